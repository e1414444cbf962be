/** Random tree ensembles of every kind: the bits of ONNX Runtime on one thread. */
import { expect, test } from 'vitest';
import { Session } from '../../src/base/onnx.js';
import { Random } from '../random.js';
import { makeFolder } from '../scoreline.js';
import { type Comparison, compareEngines, compareFeeds } from '../tree-engines.js';
import {
  type DrawnEnsemble,
  drawChains,
  drawEnsemble,
  drawRows,
  type EnsembleParts,
  writeEnsemble,
} from '../tree-models.js';
import { drawModel } from '../tree-surroundings.js';

/** How many ensembles have up to so many leaves a tree. */
const SIZES: readonly (readonly [leaves: number, ensembles: number])[] = [
  [1, 40],
  [2, 60],
  [5, 200],
  [31, 200],
  [32, 60],
  [33, 60],
  [64, 150],
  [65, 60],
  [127, 150],
  [256, 150],
  [257, 60],
  [900, 200],
  [5_000, 40],
  [16_384, 10],
  [17_000, 10],
  [50_000, 10],
];

/** The reasons for which an ensemble of the kinds drawn here may be left to ONNX Runtime. */
const REASONS =
  /no weights$|no weight for (?:a class|an output)$|base values|-infinity$|values from 0 to 30$/;

let compared = 0;
test.each(SIZES)(
  'up to %i leaves, %i ensembles',
  { timeout: 600_000 },
  async (leaves, ensembles) => {
    const folder = makeFolder();
    const different: string[] = [];
    for (let seed = 0, done = 0; done < ensembles; seed++) {
      const random = new Random(leaves * 100_003 + seed);
      const drawn = drawEnsemble(random, leaves);
      const path = writeEnsemble(drawn.parts, drawn.features, folder);
      const x = drawRows(random, drawn, random.pick([1, 100, 511, 512, 513, 2000]));
      const result: Comparison = await compareEngines(path, x, drawn.features);
      expect(result.refused).toBeUndefined();
      if (result.unsupported !== undefined) {
        expect(result.unsupported).toMatch(REASONS);
        continue;
      }
      done++;
      compared++;
      if (result.different > 0)
        different.push(`seed ${seed}: ${result.different} of ${result.values}`);
    }
    expect(different).toEqual([]);
  },
);

test('300 ensembles of categories as chains of nodes', { timeout: 600_000 }, async () => {
  const folder = makeFolder();
  for (let seed = 0, done = 0; done < 300; seed++) {
    const random = new Random(seed);
    const drawn = drawChains(random);
    const path = writeEnsemble(drawn.parts, drawn.features, folder);
    const x = drawRows(random, drawn, 700);
    const result = await compareEngines(path, x, drawn.features);
    if (result.unsupported === undefined) {
      expect({ seed, ...result }).toMatchObject({ different: 0, values: 700 });
      done++;
    } else expect(result.unsupported).toMatch(/disagree about missing values$/);
  }
});

/** Whether ONNX Runtime looks for a base value behind the last one: what it finds is another number each time. */
function readsBeyond({ bases, labels }: EnsembleParts): boolean {
  return bases?.length === 1 && labels?.length === 2;
}

test('400 models of one to four ensembles with nodes before and behind', {
  timeout: 600_000,
}, async () => {
  const folder = makeFolder();
  const seen = new Map<string, number>();
  for (let seed = 0, done = 0; done < 400; seed++) {
    const random = new Random(seed);
    const all = Array.from({ length: 8 }, () => drawEnsemble(random, random.pick([2, 9, 40])));
    const { element, version5 } = all[0]!.parts;
    const alike = all.filter(
      ({ parts: e }) => e.element === element && e.version5 === version5 && !readsBeyond(e),
    );
    if (alike.length === 0) continue;
    const drawn = alike.slice(0, random.whole(1, 4)) as [DrawnEnsemble, ...DrawnEnsemble[]];
    const { path, feeds, kinds } = drawModel(random, drawn, { rows: 600, folder });
    const result = await compareFeeds(path, () => new Map(feeds));
    if (result.unsupported?.startsWith('ONNX Runtime refuses a part') === true) {
      // Sets of no whole numbers, say.
      await expect(Session.open(path, 'trees.onnx', 'cpu')).rejects.toThrow();
    } else if (result.unsupported === undefined) {
      expect({ seed, kinds, ...result }).toMatchObject({ different: 0 });
      expect(result.refused).toBeUndefined();
      expect(result.values).toBeGreaterThan(0);
      for (const kind of kinds) seen.set(kind, (seen.get(kind) ?? 0) + 1);
      done++;
    } else expect(result.unsupported).toMatch(REASONS);
  }
  expect(seen.size).toBe(15);
});

test('more than a thousand ensembles were compared', () => {
  expect(compared).toBeGreaterThan(1000);
});
