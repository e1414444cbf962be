/** Models in parts for tests: rows for any of them, what of one runs where, and a small ensemble. */
import { expect } from 'vitest';
import type { Session, TensorValues } from '../src/base/onnx.js';
import { describeTrees } from '../src/worker/trees.js';
import { loadTrees } from '../src/worker/trees-load.js';
import { int, type ModelParts, part, shapeless, tensor, writeModel } from './onnx.js';
import { Random } from './random.js';
import { compareFeeds } from './tree-engines.js';
import { type EnsembleParts, stump } from './tree-models.js';

/** The rows that a model gets. */
export const ROWS = 700;

/** Rows for every input of a model: numbers around 0, some of them missing, whole numbers, texts. */
export function drawFeeds({ inputs }: Session): Map<string, TensorValues> {
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
export async function partsOf(path: string): Promise<unknown> {
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
export async function checked(parts: ModelParts): Promise<unknown> {
  const path = writeModel(parts);
  const where = await partsOf(path);
  if (typeof where === 'string') return where;
  const { different, values } = await compareFeeds(path, drawFeeds);
  expect(different).toBe(0);
  expect(values).toBeGreaterThanOrEqual(ROWS);
  return where;
}

/** Three trees over two features. */
export function grove(): EnsembleParts {
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

/** The declarations of an ensemble's two features, of its score, and of what becomes of that. */
export const X = tensor('x', 'float', ['N', 2]);
export const Y = tensor('y', 'float', ['N', 1]);
export const OUT = tensor('out', 'float', ['N', 1]);

/** A branch of an If: nodes that make `then`. */
export function branch(name: string, ...nodes: Buffer[]): Buffer {
  const graph = [...nodes.map((each) => part(1, each)), part(2, name), part(12, shapeless('then'))];
  return part(5, part(1, name), part(6, ...graph), int(20, 5));
}
