/** What comes behind tree ensembles, and several of them: what runs where, and the bits of ONNX Runtime in all outputs. */
import { describe, expect, test } from 'vitest';
import {
  attribute,
  constant,
  type ModelParts,
  node,
  number,
  shapeless,
  tensor,
  tensorAttribute,
} from '../onnx.js';
import { type EnsembleParts, ensembleNode, stump } from '../tree-models.js';
import { branch, checked, grove, OUT, X, Y } from '../tree-parts.js';

describe('behind the ensemble', () => {
  const classifier: EnsembleParts = { ...grove(), labels: [4, 7], transform: 'LOGISTIC' };
  const LABEL = tensor('label', 'int64', ['N']);
  test.each<[string, Partial<ModelParts> & Pick<ModelParts, 'nodes'>, unknown]>([
    [
      'a negation',
      { nodes: [ensembleNode(grove()), node('Neg', ['y'], ['out'])] },
      { units: 1, behind: 1, before: 0, outputs: ['out'] },
    ],
    [
      'scores as they are, and rounded',
      {
        outputs: [Y, OUT],
        nodes: [ensembleNode(grove()), node('Round', ['y'], ['out'])],
      },
      { behind: 1, outputs: ['y', 'out'] },
    ],
    [
      'what needs the rows, too: it crosses once where both need it',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        outputs: [tensor('out', 'float', ['N', 3])],
        nodes: [
          node('Neg', ['raw'], ['x']),
          ensembleNode(grove()),
          node('Concat', ['x', 'y'], ['out'], number('axis', 1)),
        ],
      },
      { before: 1, behind: 1 },
    ],
    [
      'an output that the part before makes',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        outputs: [Y, tensor('x', 'float', ['N', 2])],
        nodes: [node('Neg', ['raw'], ['x']), ensembleNode(grove())],
      },
      { before: 1, behind: 0, outputs: ['y', 'x'] },
    ],
    [
      'an output that needs no ensemble',
      {
        outputs: [Y, tensor('out', 'float', ['N', 2])],
        nodes: [ensembleNode(grove()), node('Neg', ['x'], ['out'])],
      },
      { before: 0, behind: 1, outputs: ['y', 'out'] },
    ],
    [
      'a constant that both sides use',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        nodes: [
          node('Constant', [], ['two'], tensorAttribute('value', constant('', 'float', [1], [2]))),
          node('Mul', ['raw', 'two'], ['x']),
          ensembleNode(grove()),
          node('Mul', ['y', 'two'], ['out']),
        ],
      },
      { before: 2, behind: 2 },
    ],
    [
      'labels by a table, and the greatest score',
      {
        outputs: [tensor('name', 'string', ['N']), tensor('place', 'int64', ['N', 1])],
        nodes: [
          ensembleNode(classifier),
          node(
            'ai.onnx.ml.LabelEncoder',
            ['label'],
            ['name'],
            attribute('keys_int64s', [4, 7]),
            attribute('values_strings', ['four', 'seven']),
          ),
          node('ArgMax', ['y'], ['place'], number('axis', 1)),
        ],
      },
      { units: 1, behind: 2, outputs: ['name', 'place'] },
    ],
    [
      'three ensembles that look at the same features are one',
      {
        nodes: [
          ensembleNode({ ...grove(), weights: [1, 2, 3, 4, 5, 6] }, { y: 'y1' }),
          ensembleNode(grove(), { y: 'y2' }),
          ensembleNode({ ...stump(), aggregate: 'SUM' }, { y: 'y3' }),
          node('Sum', ['y1', 'y2', 'y3'], ['out']),
        ],
      },
      { units: 1, behind: 1 },
    ],
    [
      'ensembles with base values and without, with several outputs, an average, and classes',
      {
        outputs: [tensor('out', 'float', ['N', 6]), LABEL],
        nodes: [
          ensembleNode({ ...grove(), bases: [0.25] }, { y: 'y1' }),
          ensembleNode({ ...grove(), weightIds: [0, 1, 0, 1, 0, 1], targets: 2 }, { y: 'y2' }),
          ensembleNode({ ...grove(), aggregate: 'AVERAGE' }, { y: 'y3' }),
          ensembleNode(classifier, { y: 'y4' }),
          node('Concat', ['y1', 'y2', 'y3', 'y4'], ['out'], number('axis', 1)),
        ],
      },
      { units: 4, behind: 1, outputs: ['out', 'label'] },
    ],
    [
      'an ensemble that looks at the scores of another stays behind it',
      {
        nodes: [
          ensembleNode(grove(), { y: 'first' }),
          ensembleNode(stump(), { x: 'first', y: 'out' }),
        ],
      },
      { units: 1, behind: 1 },
    ],
    [
      'an ensemble that the trees cannot run stays with ONNX Runtime',
      {
        nodes: [
          ensembleNode(grove(), { y: 'first' }),
          ensembleNode({ ...stump(), weights: [0.25, 0.5], transform: 'PROBIT' }, { y: 'second' }),
          node('Add', ['first', 'second'], ['out']),
        ],
      },
      { units: 1, behind: 2 },
    ],
    [
      'a branch that looks at a value from outside',
      {
        nodes: [
          ensembleNode(grove()),
          node('Neg', ['x'], ['other']),
          node('ReduceSum', ['y'], ['sum'], number('keepdims', 0)),
          node('Greater', ['sum', 'zero'], ['is_positive']),
          node(
            'If',
            ['is_positive'],
            ['out'],
            branch('then_branch', node('Abs', ['y'], ['then'])),
            branch(
              'else_branch',
              node('ReduceMax', ['other'], ['most'], attribute('axes', [1])),
              node('Mul', ['most', 'y'], ['then']),
            ),
          ),
        ],
        constants: [constant('zero', 'float', [], [0])],
        outputs: [shapeless('out')],
      },
      { behind: 4, units: 1 },
    ],
  ])('%s', async (_name, { inputs = [X], outputs = [OUT], nodes, constants = [] }, expected) => {
    expect(await checked({ inputs, outputs, nodes, constants, ml: 3 })).toMatchObject(
      expected as object,
    );
  });

  test('of what needs labels that the trees cannot tell, nothing is given', async () => {
    const some: EnsembleParts = {
      ...stump(),
      labels: [1, 2, 3],
      weightTreeids: [0, 0, 0, 0],
      weightNodeids: [1, 1, 2, 2],
      weightIds: [0, 1, 1, 2],
      weights: [-1, 2, -3, 4],
    };
    const parts = {
      inputs: [X],
      outputs: [tensor('y', 'float', ['N', 3]), tensor('next', 'int64', ['N'])],
      nodes: [ensembleNode(some), node('Add', ['label', 'one'], ['next'])],
      constants: [constant('one', 'int64', [1], [1])],
    };
    expect(await checked(parts)).toMatchObject({ behind: 0, outputs: ['y'] });
    expect(await checked({ ...parts, outputs: [parts.outputs[1]!] })).toBe(
      'some leaves have no weight for a class',
    );
  });
});
