/** What comes before tree ensembles: which of it is done away with, and the bits of ONNX Runtime in all outputs. */
import { describe, expect, test } from 'vitest';
import {
  attribute,
  constant,
  ELEMENT,
  int,
  type ModelParts,
  node,
  number,
  part,
  tensor,
  writeModel,
} from '../onnx.js';
import { compareFeeds } from '../tree-engines.js';
import { type EnsembleParts, ensembleNode, stump } from '../tree-models.js';
import { checked, grove, partsOf, X, Y } from '../tree-parts.js';

describe('before the ensemble', () => {
  test.each<[string, Partial<ModelParts> & Pick<ModelParts, 'nodes'>, unknown]>([
    ['nothing', { nodes: [] }, { before: 0, inputs: [['x', 'float32', 1]] }],
    [
      'a scaler, whose numbers lie beside it',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        nodes: [
          node('Sub', ['raw', 'mean'], ['centred']),
          node('Div', ['centred', 'scale'], ['x']),
        ],
        constants: [
          constant('mean', 'float', [2], [0.3, -1]),
          constant('scale', 'float', [2], [3, 7]),
        ],
      },
      { before: 2, inputs: [] },
    ],
    [
      'a negation of a matrix of doubles: what it makes is found out',
      {
        inputs: [tensor('raw', 'double', ['N', 2])],
        nodes: [node('Neg', ['raw'], ['x'])],
      },
      { before: 1, inputs: [] },
    ],
    [
      'a Cast that rounds and one that widens again',
      {
        inputs: [tensor('raw', 'double', ['N', 2])],
        nodes: [
          node('Cast', ['raw'], ['cast'], number('to', ELEMENT.float)),
          node('Cast', ['cast'], ['x'], number('to', ELEMENT.double)),
        ],
      },
      { before: 2, inputs: [] },
    ],
    [
      'a Cast that rounds, and one that does nothing',
      {
        inputs: [tensor('raw', 'double', ['N', 2])],
        nodes: [
          node('Cast', ['raw'], ['cast'], number('to', ELEMENT.float)),
          node('Cast', ['cast'], ['x'], number('to', ELEMENT.float)),
        ],
      },
      { before: 0, inputs: [['raw', 'float64', 1]] },
    ],
    [
      'a Cast that makes whole numbers, and one back',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        nodes: [
          node('Cast', ['raw'], ['cast'], number('to', ELEMENT.int64)),
          node('Cast', ['cast'], ['x'], number('to', ELEMENT.float)),
        ],
      },
      { before: 2, inputs: [] },
    ],
    [
      'short whole numbers behind a Cast',
      {
        inputs: [tensor('raw', 'int32', ['N', 2])],
        nodes: [node('Cast', ['raw'], ['x'], number('to', ELEMENT.float))],
      },
      { before: 0, inputs: [['raw', 'int32', 1]] },
    ],
    [
      'bytes behind a Cast',
      {
        inputs: [tensor('raw', 'uint8', ['N', 2])],
        nodes: [node('Cast', ['raw'], ['x'], number('to', ELEMENT.float))],
      },
      { before: 1, inputs: [] },
    ],
    [
      'columns of several inputs, each with its own Cast',
      {
        inputs: [tensor('a', 'double', ['N', 1]), tensor('b', 'int64', ['N', 1])],
        nodes: [
          node('Cast', ['a'], ['c'], number('to', ELEMENT.float)),
          node('Cast', ['b'], ['d'], number('to', ELEMENT.float)),
          node('Concat', ['c', 'd'], ['x'], number('axis', -1)),
        ],
      },
      {
        before: 0,
        inputs: [
          ['a', 'float64', 0],
          ['b', 'int64', 0],
        ],
      },
    ],
    [
      'columns of several inputs, one of which is computed',
      {
        inputs: [tensor('a', 'float', ['N', 1]), tensor('b', 'float', ['N', 1])],
        nodes: [node('Neg', ['b'], ['c']), node('Concat', ['a', 'c'], ['x'], number('axis', 1))],
      },
      { before: 2, inputs: [] },
    ],
    [
      'some columns in another order',
      {
        inputs: [tensor('raw', 'float', ['N', 5])],
        nodes: [node('Gather', ['raw', 'places'], ['x'], number('axis', 1))],
        constants: [constant('places', 'int64', [2], [4, 1])],
      },
      { before: 0, inputs: [['raw', 'float32', 4]] },
    ],
    [
      'some columns counted from the end',
      {
        inputs: [tensor('raw', 'float', ['N', 5])],
        nodes: [node('Gather', ['raw', 'places'], ['x'], number('axis', 1))],
        constants: [constant('places', 'int64', [2], [-1, 1])],
      },
      { before: 1, inputs: [] },
    ],
    [
      'some columns by a node of scikit-learn’s exports',
      {
        inputs: [tensor('raw', 'float', ['N', 'F'])],
        nodes: [node('ai.onnx.ml.ArrayFeatureExtractor', ['raw', 'places'], ['x'])],
        constants: [constant('places', 'int64', [1, 2], [1, 0])],
      },
      { before: 0, inputs: [['raw', 'float32', 1]] },
    ],
    [
      'texts of which numbers are made',
      {
        inputs: [tensor('word', 'string', ['N', 1]), tensor('a', 'float', ['N', 1])],
        nodes: [
          node(
            'ai.onnx.ml.LabelEncoder',
            ['word'],
            ['code'],
            attribute('keys_strings', ['a', 'b']),
            part(
              5,
              part(1, 'values_floats'),
              part(7, Buffer.from(Float32Array.of(1, -2).buffer)),
              int(20, 6),
            ),
          ),
          node('Concat', ['code', 'a'], ['x'], number('axis', 1)),
        ],
      },
      { before: 2, inputs: [] },
    ],
  ])('%s', async (_name, { inputs = [X], nodes, constants = [] }, expected) => {
    const all = { inputs, constants, outputs: [Y], nodes: [...nodes, ensembleNode(grove())] };
    const where = await checked(all);
    expect(where).toMatchObject({ behind: 0, outputs: ['y'], ...(expected as object) });
  });
});

test.each(['int64', 'int32'] as const)(
  'a classifier takes %s as they are, and as ONNX Runtime makes them',
  async (element) => {
    const parts: ModelParts = {
      inputs: [tensor('x', element, ['N', 2])],
      outputs: [tensor('label', 'int64', ['N']), tensor('y', 'float', ['N', 2])],
      nodes: [ensembleNode({ ...grove(), labels: [4, 7], transform: 'LOGISTIC' })],
    };
    expect(await checked(parts)).toMatchObject({ before: 0, inputs: [['x', element, 1]] });
    const inputs = [tensor('raw', element, ['N', 2])];
    const nodes = [node('Neg', ['raw'], ['x']), ...parts.nodes];
    expect(await checked({ ...parts, inputs, nodes })).toMatchObject({ before: 1, inputs: [] });
  },
);

test('whole numbers beyond those that a float or a double holds are rounded once', async () => {
  const near = [2n ** 24n, 2n ** 53n, 2n ** 60n, 2n ** 62n].flatMap((power) =>
    [0n, 1n, power / 2n ** 23n, power / 2n ** 24n].flatMap((step) =>
      [-1n, 0n, 1n].map((more) => power + step + more),
    ),
  );
  const values = [...near, ...near.map((value) => -value), 2n ** 63n - 1n, -(2n ** 63n), 0n];
  for (const element of ['float', 'double'] as const) {
    // Each threshold is what one of the numbers is rounded to.
    const [first, ...others] = values.map((value, tree) => {
      const round = element === 'float' ? Math.fround : Number;
      return { ...stump(), treeids: [tree, tree, tree], threshold: round(Number(value)) };
    });
    const all = [first!, ...others];
    const e: EnsembleParts = {
      ...stump(),
      element,
      asTensors: element === 'double',
      treeids: all.flatMap(({ treeids }) => treeids),
      nodeids: all.flatMap(({ nodeids }) => nodeids),
      featureids: all.flatMap(({ featureids }) => featureids),
      modes: all.flatMap(({ modes }) => modes),
      values: all.flatMap(({ threshold }) => [threshold, 0, 0]),
      truenodeids: all.flatMap(({ truenodeids }) => truenodeids),
      falsenodeids: all.flatMap(({ falsenodeids }) => falsenodeids),
      weightTreeids: all.flatMap((_, tree) => [tree, tree]),
      weightNodeids: all.flatMap(() => [1, 2]),
      weightIds: all.flatMap((_, tree) => [tree, tree]),
      weights: all.flatMap(() => [1, 2]),
      targets: all.length,
    };
    const path = writeModel({
      inputs: [tensor('raw', 'int64', ['N', 1])],
      outputs: [tensor('y', 'float', ['N', all.length])],
      nodes: [node('Cast', ['raw'], ['x'], number('to', ELEMENT[element])), ensembleNode(e)],
      ml: 3,
    });
    expect(await partsOf(path)).toMatchObject({ before: 0, inputs: [['raw', 'int64', 0]] });
    const feed = { element: 'int64' as const, shape: [values.length, 1] };
    const compared = await compareFeeds(
      path,
      () => new Map([['raw', { ...feed, values: BigInt64Array.from(values) }]]),
    );
    expect(compared).toEqual({ different: 0, values: values.length ** 2 });
  }
});
