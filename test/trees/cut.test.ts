/** Models that are more than a tree ensemble: what runs where, and the bits of ONNX Runtime in all outputs. */
import { writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { Session, type TensorValues } from '../../src/base/onnx.js';
import { describeTrees } from '../../src/worker/trees.js';
import { loadTrees } from '../../src/worker/trees-load.js';
import {
  attribute,
  constant,
  ELEMENT,
  int,
  type ModelParts,
  node,
  number,
  part,
  sequence,
  shapeless,
  tensor,
  tensorAttribute,
  writeModel,
} from '../onnx.js';
import { Random } from '../random.js';
import { compareFeeds } from '../tree-engines.js';
import { type EnsembleParts, ensembleNode, stump } from '../tree-models.js';

const ROWS = 700;

/** Rows for every input of a model: numbers around 0, some of them missing, whole numbers, texts. */
function drawFeeds({ inputs }: Session): Map<string, TensorValues> {
  const random = new Random(3);
  const draw = (): number => 8 * random.next() - 4;
  return new Map(
    inputs.map(({ name, element, shape }) => {
      const sizes = [ROWS, ...shape.slice(1).map((size) => (typeof size === 'number' ? size : 2))];
      const length = sizes.reduce((product, size) => product * size);
      const makers: Partial<Record<string, () => TensorValues['values']>> = {
        float32: () =>
          Float32Array.from({ length }, () => (random.next() < 0.1 ? Number.NaN : draw())),
        float64: () => Float64Array.from({ length }, draw),
        int64: () => BigInt64Array.from({ length }, () => BigInt(Math.round(draw()))),
        int32: () => Int32Array.from({ length }, () => Math.round(draw())),
        uint8: () => Uint8Array.from({ length }, () => random.whole(0, 3)),
        utf8: () => Array.from({ length }, () => random.pick(['a', 'b', 'c'])),
      };
      return [name, { element: element!, shape: sizes, values: makers[element!]!() }];
    }),
  );
}

/** What of a model runs where; a text says why nothing runs in the trees. */
async function partsOf(path: string): Promise<unknown> {
  const trees = await loadTrees(path);
  if (typeof trees === 'string') return trees;
  try {
    const facts = describeTrees(trees);
    if ('why' in facts) throw new Error(facts.why);
    const inputs = facts.inputs.map(({ name, element, lastColumn }) => [name, element, lastColumn]);
    const { before, behind, outputs } = facts;
    return { units: trees.units.length, before, behind, inputs, outputs };
  } finally {
    await trees.close();
  }
}

/** Checks the bits of every output, and gives what runs where. */
async function checked(parts: ModelParts): Promise<unknown> {
  const path = writeModel(parts);
  const where = await partsOf(path);
  if (typeof where === 'string') return where;
  const { different, values } = await compareFeeds(path, drawFeeds);
  expect(different).toBe(0);
  expect(values).toBeGreaterThanOrEqual(ROWS);
  return where;
}

/** Three trees over two features. */
function grove(): EnsembleParts {
  const parts = [0, 1, 2].map((tree) => {
    const { weights, ...one } = stump();
    return {
      ...one,
      treeids: one.treeids.map(() => tree),
      weightTreeids: one.weightTreeids.map(() => tree),
      featureids: one.featureids.map(() => tree % 2),
      values: one.values.map(() => tree - 1),
      weights: weights.map((weight) => weight / (tree + 3)),
    };
  });
  const all = <Key extends keyof EnsembleParts>(key: Key): EnsembleParts[Key] =>
    parts.flatMap((each) => (each as EnsembleParts)[key] as unknown[]) as EnsembleParts[Key];
  return {
    ...{ treeids: all('treeids'), nodeids: all('nodeids'), featureids: all('featureids') },
    ...{ modes: all('modes'), values: all('values'), truenodeids: all('truenodeids') },
    ...{ falsenodeids: all('falsenodeids'), weightTreeids: all('weightTreeids') },
    ...{ weightNodeids: all('weightNodeids'), weightIds: all('weightIds') },
    weights: all('weights'),
  };
}

const X = tensor('x', 'float', ['N', 2]);
const Y = tensor('y', 'float', ['N', 1]);
const OUT = tensor('out', 'float', ['N', 1]);

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
          node('Concat', ['c', 'd'], ['x'], number('axis', 1)),
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

/** A branch of an If: nodes that make `then`. */
function branch(name: string, ...nodes: Buffer[]): Buffer {
  const graph = [...nodes.map((each) => part(1, each)), part(2, name), part(12, shapeless('then'))];
  return part(5, part(1, name), part(6, ...graph), int(20, 5));
}

describe('a part of a model has', () => {
  test('external data, from the folder of the whole', async () => {
    const entry = (key: string, value: string): Buffer => part(13, part(1, key), part(2, value));
    const outside = Buffer.concat([
      int(1, 2),
      int(2, ELEMENT.float),
      part(8, 'scale'),
      entry('location', 'scale.bin'),
      entry('length', '8'),
      int(14, 1),
    ]);
    const path = writeModel({
      inputs: [tensor('raw', 'float', ['N', 2])],
      outputs: [OUT],
      nodes: [
        node('Mul', ['raw', 'scale'], ['x']),
        ensembleNode(grove()),
        node('Neg', ['y'], ['out']),
      ],
      constants: [outside],
    });
    const scale = Buffer.from(Float32Array.of(2, 3).buffer);
    writeFileSync(join(dirname(path), 'scale.bin'), scale);
    expect(await partsOf(path)).toMatchObject({ before: 1, behind: 1 });
    expect(await compareFeeds(path, drawFeeds)).toEqual({ different: 0, values: ROWS });
  });

  test('the functions of the whole, and its sparse constants', async () => {
    const twice = Buffer.concat([
      part(1, 'Twice'),
      part(4, 'of'),
      part(5, 'result'),
      part(7, node('Add', ['of', 'of'], ['result'])),
      part(9, part(1, ''), int(2, 13)),
      part(10, 'own'),
    ]);
    const sparse = part(
      15,
      part(1, constant('shift', 'float', [1], [3])),
      part(2, constant('shift_places', 'int64', [1], [1])),
      int(3, 2),
    );
    const parts: ModelParts = {
      inputs: [tensor('raw', 'float', ['N', 2])],
      outputs: [OUT],
      nodes: [
        node('own.Twice', ['raw'], ['double']),
        node('Add', ['double', 'shift'], ['x']),
        ensembleNode(grove()),
        node('own.Twice', ['y'], ['out']),
      ],
      more: [sparse],
      after: [part(25, twice), part(8, part(1, 'own'), int(2, 1))],
    };
    expect(await checked(parts)).toMatchObject({ before: 2, behind: 1 });
  });

  test('a fixed number of rows, where the whole has', async () => {
    const path = writeModel({
      inputs: [tensor('raw', 'float', [8, 2])],
      outputs: [tensor('out', 'float', [8, 1])],
      nodes: [node('Neg', ['raw'], ['x']), ensembleNode(grove()), node('Neg', ['y'], ['out'])],
    });
    const values = Float32Array.from({ length: 16 }, (_, i) => (i % 7) - 3);
    const feeds = new Map([['raw', { element: 'float32' as const, shape: [8, 2], values }]]);
    expect(await compareFeeds(path, () => feeds)).toEqual({ different: 0, values: 8 });
  });
});

describe('a model is left to ONNX Runtime, with the reason, when', () => {
  test.each<[string, Partial<ModelParts> & Pick<ModelParts, 'nodes'>, string]>([
    [
      'nodes form a circle',
      {
        nodes: [
          node('Identity', ['b'], ['a']),
          node('Identity', ['a'], ['b']),
          ensembleNode(grove()),
        ],
      },
      'the nodes of the graph form a cycle',
    ],
    [
      'its ensemble stands in a branch',
      {
        nodes: [
          node(
            'If',
            ['is'],
            ['y'],
            branch('then_branch', ensembleNode(grove(), { y: 'then' })),
            branch('else_branch', node('Neg', ['x'], ['then'])),
          ),
        ],
        inputs: [X, tensor('is', 'bool', [])],
      },
      'its tree ensembles stand in branches, loops or functions',
    ],
    [
      'its input is a constant',
      {
        nodes: [ensembleNode(grove(), { x: 'c' })],
        constants: [constant('c', 'float', [1, 2], [1, 2])],
      },
      'its input holds neither floats nor whole numbers',
    ],
    [
      'a sequence crosses',
      {
        inputs: [tensor('raw', 'float', ['N', 2])],
        nodes: [
          node('SplitToSequence', ['raw'], ['columns'], number('axis', 1)),
          node('ConcatFromSequence', ['columns'], ['x'], number('axis', 1)),
          ensembleNode(grove()),
          node('SequenceLength', ['columns'], ['length']),
          node('Cast', ['length'], ['count'], number('to', ELEMENT.float)),
          node('Mul', ['y', 'count'], ['out']),
        ],
        outputs: [OUT],
      },
      'what crosses the ensemble is no tensor',
    ],
    [
      'no output comes from its ensemble',
      {
        nodes: [ensembleNode(grove()), node('Neg', ['x'], ['out'])],
        outputs: [tensor('out', 'float', ['N', 2])],
      },
      'no output comes from the ensemble',
    ],
  ])('%s', async (_name, { inputs = [X], outputs = [Y], nodes, constants = [] }, why) => {
    expect(await partsOf(writeModel({ inputs, outputs, nodes, constants }))).toBe(why);
  });

  test('its ensemble stands in a function', async () => {
    const grown = Buffer.concat([
      part(1, 'Grown'),
      part(4, 'of'),
      part(5, 'result'),
      part(7, ensembleNode(grove(), { x: 'of', y: 'result' })),
      part(9, part(1, 'ai.onnx.ml'), int(2, 3)),
      part(10, 'own'),
    ]);
    const path = writeModel({
      inputs: [X],
      outputs: [Y],
      nodes: [node('own.Grown', ['x'], ['y'])],
      after: [part(25, grown), part(8, part(1, 'own'), int(2, 1))],
      ml: 3,
    });
    await (await Session.open(path, 'm', 'cpu')).close();
    expect(await partsOf(path)).toBe('its tree ensembles stand in branches, loops or functions');
  });

  test('ONNX Runtime refuses a part of it', async () => {
    const path = writeModel({
      inputs: [tensor('raw', 'float', ['N', 2])],
      outputs: [Y],
      nodes: [node('NoSuchThing', ['raw'], ['x']), ensembleNode(grove())],
    });
    await expect(Session.open(path, 'm', 'cpu')).rejects.toThrow();
    expect(await partsOf(path)).toMatch(/^ONNX Runtime refuses a part of it: .*NoSuchThing/);
  });

  test('an output is a sequence: the others are given', async () => {
    const path = writeModel({
      inputs: [X],
      outputs: [Y, sequence('parts')],
      nodes: [ensembleNode(grove()), node('SequenceConstruct', ['y', 'y'], ['parts'])],
    });
    expect(await partsOf(path)).toMatchObject({ behind: 1, outputs: ['y', 'parts'] });
  });
});
