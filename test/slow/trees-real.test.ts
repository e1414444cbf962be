/** Models of tree libraries, 500,000 rows each: the bits of ONNX Runtime on one thread. fixtures/make/trees.py made them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { compileTrees, type TreeUnit } from '../../src/trees/engine.js';
import { madeUpColumns } from '../../src/trees/made-up.js';
import { Random } from '../random.js';
import { FIXTURES } from '../scoreline.js';
import { compareEngines } from '../tree-engines.js';

const ROWS = 500_000;
const FEATURES = 5;
const FOLDER = join(FIXTURES, 'models/trees');

/** What the models were trained on, roughly; one value in four is a threshold or a float beside one, some are missing. */
function drawRows(random: Random, { program }: TreeUnit): Float32Array {
  const beside = madeUpColumns(program);
  const draws = [
    () => 4 * random.next() + 4 * random.next() - 4,
    () => 30 * random.next() * random.next(),
    () => random.whole(-40, 40),
    () => random.whole(0, 12),
    () => 2 * random.next() - 1,
  ];
  const x = new Float32Array(ROWS * FEATURES);
  for (let i = 0; i < x.length; i++) {
    const feature = i % FEATURES;
    const made = beside[program.features.indexOf(feature)];
    const kind = random.next();
    if (kind < 0.25 && made !== undefined) x[i] = random.pick(made as unknown as number[]);
    else x[i] = kind < 0.3 ? Number.NaN : draws[feature]!();
  }
  return x;
}

test.each(readdirSync(FOLDER))('%s', { timeout: 600_000 }, async (name) => {
  const path = join(FOLDER, name);
  const model = compileTrees(path);
  if (typeof model === 'string') throw new Error(model);
  const [unit] = model.units;
  const compared = await compareEngines(path, drawRows(new Random(18), unit!), FEATURES);
  expect(compared).toMatchObject({ different: 0 });
  const widths = [...unit!.outputs.values()].map((each) =>
    each.kind === 'label' ? 1 : each.width,
  );
  const values = widths.reduce((sum, width) => sum + width, 0);
  expect(compared.values).toBe(values * ROWS);
});
