/** The engine for tree ensembles: the bits of ONNX Runtime for sound ensembles, and a reason for all others. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { compileTrees } from '../../src/trees/engine.js';
import { modelBytes, tensor } from '../onnx.js';
import { Random } from '../random.js';
import { FIXTURES } from '../scoreline.js';
import { compareEngines } from '../tree-engines.js';
import {
  drawChains,
  drawEnsemble,
  drawRows,
  type EnsembleParts,
  ensembleNode,
  stump,
  writeEnsemble,
} from '../tree-models.js';

describe('random ensembles give the bits of ONNX Runtime', () => {
  test.each([1, 2, 7, 31, 32, 33, 64, 100, 255, 300, 1000])(
    'with up to %i leaves',
    async (leaves) => {
      const random = new Random(leaves);
      let compared = 0;
      for (let i = 0; i < 8; i++) {
        const drawn = drawEnsemble(random, leaves);
        const path = writeEnsemble(drawn.parts, drawn.features);
        const x = drawRows(random, drawn, 700);
        const { values, different } = await compareEngines(path, x, drawn.features);
        expect(different).toBe(0);
        compared += values;
      }
      expect(compared).toBeGreaterThan(700);
    },
  );

  test('with 20,000 leaves in a tree', async () => {
    let compared = 0;
    for (let seed = 20_003; compared < 2; seed++) {
      const random = new Random(seed);
      const drawn = drawEnsemble(random, 20_000);
      const path = writeEnsemble(drawn.parts, drawn.features);
      const x = drawRows(random, drawn, 1000);
      const { values, different } = await compareEngines(path, x, drawn.features);
      expect(different).toBe(0);
      if (values > 0) compared++;
    }
  });

  test('of doubles, of a TreeEnsemble, and behind a Cast', async () => {
    const seen = new Set<string>();
    for (let seed = 0; seed < 120; seed++) {
      const random = new Random(seed);
      const drawn = drawEnsemble(random, 20);
      const path = writeEnsemble(drawn.parts, drawn.features);
      const x = drawRows(random, drawn, 300);
      const { values, different } = await compareEngines(path, x, drawn.features);
      expect(different).toBe(0);
      const { element, input, version5, asTensors, transform } = drawn.parts;
      if (values > 0)
        seen
          .add(`${element} ${input ?? element} ${version5 ? 5 : 3} ${asTensors}`)
          .add(`${transform}`);
    }
    const kinds = ['float double 3 false', 'double float 5 true', 'double double 3 false'];
    const kinds5 = ['float float 5 false', 'double double 5 true', 'float double 5 false'];
    expect([...seen]).toEqual(expect.arrayContaining([...kinds, ...kinds5, 'SOFTMAX_ZERO']));
  });

  test('of categories as chains of nodes', async () => {
    let compared = 0;
    for (let seed = 0; seed < 60; seed++) {
      const random = new Random(seed);
      const drawn = drawChains(random);
      const path = writeEnsemble(drawn.parts, drawn.features);
      const x = drawRows(random, drawn, 300);
      const { values, different } = await compareEngines(path, x, drawn.features);
      expect(different).toBe(0);
      if (values > 0) compared++;
    }
    expect(compared).toBeGreaterThan(20);
  });
});

describe('models of LightGBM, XGBoost, CatBoost and scikit-learn give the bits of ONNX Runtime', () => {
  const kinds = readdirSync(join(FIXTURES, 'models/kinds')).filter((kind) =>
    /boost|trees|forest|lightgbm/.test(kind),
  );
  test.each(kinds)('%s', async (kind) => {
    const random = new Random(1);
    const pool = Float32Array.from({ length: 500 }, () => 8 * random.next() - 4);
    const x = drawRows(random, { features: 5, pool }, 3000);
    const path = join(FIXTURES, 'models/kinds', kind, 'model.onnx');
    const compared = await compareEngines(path, x, 5);
    expect(compared).toMatchObject({ different: 0 });
    expect(compared.values).toBeGreaterThan(0);
  });
});

/** A tree of LightGBM's for a set of categories: a chain of BRANCH_EQ that share their true branch. */
function chain(categories: readonly number[]): EnsembleParts {
  const last = categories.length;
  const nodes = Array.from({ length: last + 2 }, (_, i) => i);
  return {
    treeids: nodes.map(() => 0),
    nodeids: nodes,
    featureids: nodes.map(() => 0),
    modes: nodes.map((i) => (i < last ? 'BRANCH_EQ' : 'LEAF')),
    values: nodes.map((i) => categories[i] ?? 0),
    truenodeids: nodes.map((i) => (i < last ? last + 1 : 0)),
    falsenodeids: nodes.map((i) => (i < last ? i + 1 : 0)),
    missing: nodes.map(() => 0),
    weightTreeids: [0, 0],
    weightNodeids: [last, last + 1],
    weightIds: [0, 0],
    weights: [-1, 1],
  };
}

test.each([
  ['3', [1, 5, 3]],
  ['4 odd', [0, 2.5, -7, 40]],
  ['300', Array.from({ length: 300 }, (_, i) => 3 * i)],
])(
  'a chain of %s categories is one condition, and gives the bits of ONNX Runtime',
  async (_name, categories) => {
    const path = writeEnsemble(chain(categories), 1);
    const model = compileTrees(path);
    expect(model).toMatchObject({ leaves: 2 });
    const x = Float32Array.from([
      ...categories.flatMap((c) => [c, c + 0.5, c - 1]),
      Number.NaN,
      -0,
    ]);
    expect(await compareEngines(path, x, 1)).toEqual({ values: x.length, different: 0 });
  },
);

describe('an ensemble is left to ONNX Runtime, with the reason, when', () => {
  const ring = { truenodeids: [1, 0, 0], modes: ['BRANCH_LEQ', 'BRANCH_LEQ', 'LEAF'] };
  test.each<[string, Partial<EnsembleParts>, string]>([
    [
      'its nodes form a cycle',
      { ...ring, falsenodeids: [2, 2, 0] },
      'the nodes of a tree form a cycle, or share too much',
    ],
    [
      'a chain of categories forms a ring',
      {
        modes: ['BRANCH_EQ', 'BRANCH_EQ', 'LEAF'],
        truenodeids: [2, 2, 0],
        falsenodeids: [1, 0, 0],
      },
      'a category has too many values',
    ],
    ['a node leads to itself', { truenodeids: [0, 0, 0] }, 'a node leads to none, or to itself'],
    ['a child is out of range', { falsenodeids: [3, 0, 0] }, 'a node leads to none, or to itself'],
    ['a child is negative', { falsenodeids: [-1, 0, 0] }, 'a node leads to none, or to itself'],
    ['a feature is negative', { featureids: [-1, 0, 0] }, 'a feature has a negative number'],
    ['a threshold is NaN', { values: [Number.NaN, 0, 0] }, 'a threshold is NaN'],
    ['a weight is NaN', { weights: [1, Number.NaN] }, 'a weight is NaN'],
    ['a node is there twice', { nodeids: [0, 1, 1] }, 'a node is there twice'],
    [
      'a leaf has no weight',
      { weightTreeids: [0], weightNodeids: [1], weightIds: [0], weights: [1] },
      'a leaf has no weight',
    ],
    ['a weight belongs to no node', { weightNodeids: [1, 7] }, 'a weight belongs to no node'],
    ['a weight belongs to no tree', { weightTreeids: [0, 9] }, 'a weight belongs to no node'],
    ['a weight belongs to no output', { weightIds: [0, 1] }, 'a weight belongs to no output'],
    ['a leaf has two weights', { weightNodeids: [1, 1] }, 'a leaf has two weights for one output'],
    ['a list is too short', { values: [0.5, 0] }, 'nodes_values has 2 elements for 3 nodes'],
    ['lists of weights differ', { weights: [1] }, 'its lists of weights differ in length'],
    [
      'a mode is unknown',
      { modes: ['BRANCH_MAYBE', 'LEAF', 'LEAF'] },
      'a node has an unknown mode',
    ],
    ['it is empty', { modes: [] }, 'it has no nodes'],
    ['it has no outputs', { targets: 0 }, 'it has 0 outputs'],
    ['it has too many outputs', { targets: 1e9 }, 'it has 1000000000 outputs'],
    ['base values do not fit', { bases: [1, 2] }, 'it has 2 base values for 1 outputs'],
    [
      'a tree stands in two places',
      { treeids: [0, 1, 0] },
      'the nodes of a tree stand in two places',
    ],
    [
      'nodes of a category disagree about missing values',
      { ...chain([1, 2]), missing: [1, 0, 0, 0] },
      'the nodes of a category disagree about missing values',
    ],
    [
      'tensors have not the type of the input',
      { asTensors: true, element: 'double', input: 'double', tensors: 'float' },
      'nodes_values_as_tensor has not the type of the input',
    ],
    ['its transformation is PROBIT', { transform: 'PROBIT' }, 'its post_transform is PROBIT'],
    [
      'an id has more than 32 bits',
      { nodeids: [0, 1, 2 ** 40] },
      'the graph cannot be read: a number beyond 32 bits in an attribute',
    ],
  ])('%s', (_name, change, why) => {
    expect(compileTrees(writeEnsemble({ ...stump(), ...change }, 1))).toBe(why);
  });

  const five = { version5: true };
  test.each<[string, Partial<EnsembleParts>, string]>([
    [
      'its nodes form a cycle',
      { ...ring, falsenodeids: [2, 2, 0], weightNodeids: [2], weights: [1] },
      'the nodes of a tree form a cycle, or share too much',
    ],
    ['a child is out of range', { falsenodeids: [3, 0, 0] }, 'a node leads to none'],
    ['a feature is negative', { featureids: [-1, 0, 0] }, 'a feature has a negative number'],
    ['a threshold is NaN', { values: [Number.NaN, 0, 0] }, 'a threshold is NaN'],
    ['a weight is NaN', { weights: [1, Number.NaN] }, 'a weight is NaN'],
    ['a weight belongs to no output', { weightIds: [0, 1] }, 'a weight belongs to no output'],
    ['a mode is unknown', { modes: ['BRANCH_?', 'LEAF', 'LEAF'] }, 'a node has an unknown mode'],
    ['it has no outputs', { targets: 0 }, 'it has 0 outputs'],
    ['its transformation is PROBIT', { transform: 'PROBIT' }, 'its post_transform is 4'],
    ['its aggregation is unknown', { aggregate: 'MEDIAN' }, 'its aggregate_function is -1'],
    [
      'a set of values is empty',
      { modes: ['BRANCH_MEMBER', 'LEAF', 'LEAF'] },
      'a node of BRANCH_MEMBER has no values',
    ],
    [
      'a set has a large value',
      { modes: ['BRANCH_MEMBER', 'LEAF', 'LEAF'], members: [[1, 31]] },
      'a set of BRANCH_MEMBER is not of few values from 0 to 30',
    ],
    [
      'numbers have not the type of the input',
      { tensors: 'double' },
      'nodes_splits has not the type of the input',
    ],
    ['it has no trees', { nodeids: [7, 1, 2] }, 'it has no trees'],
  ])('of a TreeEnsemble, %s', (_name, change, why) => {
    expect(compileTrees(writeEnsemble({ ...stump(), ...five, ...change }, 1))).toBe(why);
  });
});

test('a tree of a TreeEnsemble that is one leaf gives the bits of ONNX Runtime', async () => {
  // A node that leads to one leaf both ways: of such a root ONNX Runtime takes the leaf with the number of the node.
  const both = {
    truenodeids: [1, 0],
    falsenodeids: [1, 0],
    weightNodeids: [1],
    weightTreeids: [0],
  };
  const single: EnsembleParts = {
    ...{ ...stump(), version5: true, treeids: [0, 0], nodeids: [0, 1], featureids: [0, 0] },
    ...{ ...both, modes: ['BRANCH_LEQ', 'LEAF'], values: [0, 0], weightIds: [0], weights: [3.5] },
  };
  const path = writeEnsemble(single, 1);
  expect(await compareEngines(path, Float32Array.of(1, 2), 1)).toEqual({ values: 2, different: 0 });
  const second = (list: number[], more: number[]): number[] => [...list, ...more];
  const { parts } = { parts: stump() };
  const later: EnsembleParts = {
    ...single,
    treeids: second(parts.treeids, [1, 1]),
    nodeids: second(parts.nodeids, [0, 1]),
    featureids: second(parts.featureids, [0, 0]),
    modes: [...parts.modes, 'BRANCH_LEQ', 'LEAF'],
    values: second(parts.values, [0, 0]),
    truenodeids: second(parts.truenodeids, [1, 0]),
    falsenodeids: second(parts.falsenodeids, [1, 0]),
    weightTreeids: [0, 0, 1],
    weightNodeids: [1, 2, 1],
    weightIds: [0, 0, 0],
    weights: [1, 2, 3.5],
  };
  expect(compileTrees(writeEnsemble(later, 1))).toBe('a tree of one leaf has another root');
});

test('a model cut short at any byte is refused or left to ONNX Runtime, never read beyond its end', () => {
  const drawn = drawEnsemble(new Random(5), 5);
  const path = writeEnsemble({ ...drawn.parts, unpacked: true }, drawn.features);
  const whole = modelBytes({
    inputs: [tensor('x', 'float', ['N', drawn.features])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [ensembleNode(stump())],
  });
  for (let length = 0; length < whole.length - 3; length++) {
    writeFileSync(path, whole.subarray(0, length));
    const model = compileTrees(path);
    // The operator sets stand behind the graph: a model without them is whole as far as this goes.
    if (typeof model !== 'string') expect(model.trees).toBe(1);
    else expect(model).toMatch(/^the graph cannot be read: |^the model has no/);
  }
});

test('a flipped byte anywhere in a model does no harm', async () => {
  const bytes = modelBytes({
    inputs: [tensor('x', 'float', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [ensembleNode(stump())],
  });
  const path = writeEnsemble(stump(), 1);
  const x = Float32Array.from([0, 1, Number.NaN]);
  let same = 0;
  for (let at = 0; at < bytes.length; at++) {
    for (const flip of [0x01, 0x80]) {
      bytes[at]! ^= flip;
      writeFileSync(path, bytes);
      bytes[at]! ^= flip;
      const { unsupported, refused, different } = await compareEngines(path, x, 1).catch(() => {
        return { unsupported: undefined, refused: 'while it runs', different: 0 };
      });
      if (unsupported === undefined && refused === undefined) same++;
      expect(different).toBe(0);
    }
  }
  expect(same).toBeGreaterThan(10);
});
