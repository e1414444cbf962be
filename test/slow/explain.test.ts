/** Why scores moved, told from what runs keep: real models, real workers. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explanationSchema } from '../../src/report/explanation-schema.js';
import { explainSides } from '../explain-case.js';
import { type JobCase, makeCase, modelPath, type Sections } from '../job-case.js';
import { exactPath, writeParquet } from '../parquet.js';
import { FIXTURES } from '../scoreline.js';

const FEATURES = [
  ...['month', 'day', 'weekday', 'hour', 'minute', 'dep_delay', 'distance', 'air_time'],
  ...['carrier_code', 'origin_code', 'dest_code', 'sched_arr_time'],
];

const FLIGHTS: Sections = {
  input: { path: 'in', key: 'flight_id', where: 'cancelled = false' },
  model: { path: modelPath('flights') },
  features: FEATURES,
  output: { path: 'out', keep: ['flight_id', 'carrier', 'origin'], columns: { delay: 'variable' } },
};

const month = (number: number): string =>
  exactPath(join(FIXTURES, 'flights', `month=${number}`, 'flights.parquet'));

/** A month of flights as a delivery: `changed` are the columns that it has otherwise. */
async function deliver(
  job: JobCase,
  { from = 1, changed = '', where = 'true' }: { from?: number; changed?: string; where?: string },
): Promise<void> {
  const replace = changed === '' ? '' : ` REPLACE (${changed})`;
  await writeParquet(
    join(job.input, 'x.parquet'),
    `SELECT *${replace}, ${from}::SMALLINT AS month FROM read_parquet(${month(from)}, hive_partitioning = false) WHERE ${where}`,
  );
  const { exit, stderr } = await job.run();
  expect(exit, stderr).toBe(0);
}

describe('flights', () => {
  test('a month that is delivered again with one feature changed: the feature is named, with all of the change', async () => {
    const job = makeCase(FLIGHTS);
    await deliver(job, {});
    await deliver(job, { changed: 'dep_delay + 5 AS dep_delay' });
    const { explanation, lines } = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(explanationSchema.parse(explanation)).toEqual(explanation);
    const [change] = explanation.changes;
    expect(explanation).toMatchObject({ verdict: 'moved', sameModel: true, matched: true });
    expect(change!.features).toHaveLength(1);
    expect(change!.features[0]).toMatchObject({ features: ['dep_delay'], change: change!.change });
    expect(change!.change).toBeCloseTo(change!.now! - change!.before!, 12);
    expect(change!.model.change).toBe(0);
    expect(lines[0]).toMatch(
      /^why {8}Mean delay rose by \d\.\d \(\d+\.\d → \d+\.\d\): \+(\d\.\d) from dep_delay\.$/,
    );
  });

  test('another month is told by its features', async () => {
    const job = makeCase(FLIGHTS);
    await deliver(job, {});
    await deliver(job, { from: 7 });
    const { explanation, lines } = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(explanation).toMatchObject({ verdict: 'moved', matched: false });
    expect(explanation.changes[0]!.features[0]!.features).toEqual(['dep_delay']);
    const sum = explanation.changes[0]!.features.reduce((total, { change }) => total + change!, 0);
    expect(sum).toBeCloseTo(explanation.changes[0]!.change!, 8);
    expect(lines[0]).toMatch(/from dep_delay/);
  });

  test('rows that came are told by their keys, and by the category that is new', async () => {
    const job = makeCase(FLIGHTS);
    await deliver(job, { where: "origin <> 'EWR'" });
    await deliver(job, {});
    const came = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(came.explanation.matched).toBe(true);
    const { keys } = came.explanation.changes[0]!;
    expect(keys!.came.share).toBeGreaterThan(0.3);
    expect(keys!.came.change).toBeCloseTo(came.explanation.changes[0]!.change!, 8);
    expect(keys).toMatchObject({ went: { share: 0, change: 0 }, changed: { share: 0 } });
    expect(came.lines.join('\n')).toMatch(/of the change: new keys \(3\d % of rows\) 100 %/);
    expect(came.lines.join('\n')).toMatch(/is where origin is "EWR" \(0 % → 3\d % of rows\)/);
  });
});

describe('a small model', () => {
  const SMALL: Sections = {
    input: { path: 'in', key: 'id' },
    output: { path: 'out', keep: ['id'], columns: { score: 'y' } },
  };
  const rows = (changed = 'i % 89'): string =>
    `SELECT i::BIGINT AS id, (i % 97)::FLOAT AS a, (${changed})::FLOAT AS b FROM range(2000) t(i)`;

  test('the same rows scored by a new model: all model', async () => {
    const job = makeCase(SMALL);
    await writeParquet(join(job.input, 'x.parquet'), rows());
    expect((await job.run()).exit).toBe(0);
    // This one takes the same columns, each as an input of its own.
    job.change({
      model: { path: modelPath('small/named') },
      features: { a: 'a', b: 'b' },
      output: { path: 'out', keep: ['id'], columns: { score: 'sum' } },
    });
    const second = await job.run();
    expect(second.exit, second.stderr).toBe(0);
    const { explanation, lines } = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(explanation).toMatchObject({ sameModel: false, orders: 'both', matched: true });
    expect(explanation.changes[0]!.rows).toEqual({ change: 0, error: 0 });
    expect(explanation.changes[0]!.model.change).toBe(explanation.changes[0]!.change);
    expect(lines).toEqual([expect.stringMatching(/: [+−][\d.]+ from the new model\.$/)]);
  });

  test('a new model that says the same, and takes 32 rows at a time: nothing moved', async () => {
    const job = makeCase(SMALL);
    await writeParquet(join(job.input, 'x.parquet'), rows());
    expect((await job.run()).exit).toBe(0);
    job.change({ model: { path: modelPath('small/fixed-batch') } });
    expect((await job.run()).exit).toBe(0);
    const { explanation } = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(explanation).toMatchObject({ verdict: 'nothing', sameModel: false });
  });

  test('two identical runs: nothing moved, whether rows were read again or not', async () => {
    const job = makeCase(SMALL);
    await writeParquet(join(job.input, 'x.parquet'), rows());
    expect((await job.run()).exit).toBe(0);
    const same = await explainSides(job.output, { snapshot: 1 }, { snapshot: 1 });
    expect(same.lines).toEqual([
      'why        Nothing moved: the same rows, scored by the same model.',
    ]);
    rmSync(join(job.input, 'x.parquet'));
    await writeParquet(join(job.input, 'y.parquet'), rows(), { rowGroupSize: 700 });
    expect((await job.run()).exit).toBe(0);
    const again = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(again.explanation).toMatchObject({ verdict: 'nothing', matched: true });
    expect(again.lines).toEqual([
      expect.stringMatching(/^why {8}Nothing moved: Mean score is \S+ as before\.$/),
    ]);
  });

  test('what is not kept is said', async () => {
    const job = makeCase({ ...SMALL, sample_rows: 0 });
    await writeParquet(join(job.input, 'x.parquet'), rows());
    expect((await job.run()).exit).toBe(0);
    job.change({ sample_rows: 100 });
    await writeParquet(join(job.input, 'x.parquet'), rows('i % 83'));
    expect((await job.run()).exit).toBe(0);
    const { explanation, lines } = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(explanation.verdict).toBe('none');
    expect(lines).toEqual([
      'why        not explained: no sample is kept (sample_rows, in the job file, keeps one) of what it is compared with',
    ]);
    rmSync(join(job.output, 'store', 'models'), { recursive: true });
    const without = await explainSides(job.output, { snapshot: 1 }, { snapshot: 2 });
    expect(without.lines[0]).toMatch(/not explained: the model is not kept/);
  });
});
