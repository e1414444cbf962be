/** Kept columns that folders give: they are published in the names of the folders, not in the files. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCase, publishedContents } from '../job-case.js';
import { columns, query, writeParquet } from '../parquet.js';
import { manifestOf, publishedColumns } from '../published.js';
import { scoreline } from '../scoreline.js';

const OUTPUT = { path: 'out', keep: ['id', 'month'], columns: { y: 'y' } };
const ROWS = (id: number) => `SELECT ${id} AS id, ${id}::FLOAT AS a, 1::FLOAT AS b`;

async function monthly(output: object = OUTPUT) {
  const job = makeCase({ output });
  for (const month of [3, 4])
    await writeParquet(join(job.input, `month=${month}`, 'x.parquet'), ROWS(month));
  return job;
}

describe('a kept column of a folder', () => {
  test('is not in the files, and readers that know partitions read its value', async () => {
    const job = await monthly();
    expect((await job.run()).exit).toBe(0);
    expect(Object.keys(await publishedColumns(job))).toEqual(['id', 'y']);
    const rows = `SELECT id, month::VARCHAR AS month FROM read_parquet(${job.published()}, hive_partitioning = true)`;
    expect(await columns(`${rows} ORDER BY id`)).toEqual({ id: [3, 4], month: ['3', '4'] });
    // What is published is input like any other.
    const next = makeCase({
      input: { path: join(job.output, 'current/data') },
      features: ['y', 'id'],
      output: { path: 'out', keep: ['id', 'month'], columns: { z: 'y' } },
    });
    const second = await next.run();
    expect([second.exit, second.report?.ledger.scored]).toEqual([0, 2]);
    expect((await job.run()).report.outcome).toBe('unchanged');
  });

  test('is in the files too with output.partition_columns: files; both are made of the same scores', async () => {
    const job = await monthly({ ...OUTPUT, partition_columns: 'files' });
    // A folder without the column is published as ever.
    await writeParquet(
      join(job.input, 'rest', 'x.parquet'),
      `SELECT *, '5' AS month FROM (${ROWS(5)})`,
    );
    expect((await job.run()).exit).toBe(0);
    expect(Object.keys(await publishedColumns(job))).toEqual(['id', 'month', 'y']);
    const before = manifestOf(job).units;
    const old = publishedContents(job.output);
    job.change({ output: OUTPUT });
    const plan = (await job.plan('--hash')).report.units.map(({ unit, why }) => [unit, why]);
    expect(plan).toEqual([
      ['month=3', 'job changed (output.partition_columns)'],
      ['month=4', 'job changed (output.partition_columns)'],
      ['rest', null],
    ]);
    const { report } = await job.run();
    expect([report.tasks, report.times.infer]).toEqual([{ scored: 2, reused: 1 }, 0]);
    const after = manifestOf(job).units;
    const same = Object.keys(after).map((unit) => [
      after[unit]!.parts[0]!.key === before[unit]!.parts[0]!.key,
      after[unit]!.parts[0]!.scoreKey === before[unit]!.parts[0]!.scoreKey,
    ]);
    expect(same).toEqual([
      [false, true],
      [false, true],
      [true, true],
    ]);
    // The old bytes come back from the store with the old setting.
    const back = await job.run('--set', 'output.partition_columns=files');
    expect(back.report.tasks).toEqual({ scored: 0, reused: 3 });
    expect(publishedContents(job.output)).toEqual(old);
  });

  test('is left out of CSV files as well', async () => {
    const job = await monthly({ ...OUTPUT, format: 'csv' });
    expect((await job.run()).exit).toBe(0);
    const path = join(job.output, 'current/data/month=3/case-00000.csv');
    expect(await query(`SELECT * FROM read_csv('${path}', hive_partitioning = false)`)).toEqual([
      { id: expect.anything(), y: expect.anything() },
    ]);
  });
});

test('a prediction with the name of a folder column is refused, whatever its case', async () => {
  const job = await monthly({ path: 'out', columns: { Month: 'y' } });
  for (const command of ['run', 'plan']) {
    const { exit, stderr } = await scoreline([command, job.jobFile]);
    expect([exit, stderr]).toEqual([
      2,
      'scoreline: output.columns: prediction "Month" has the name of a column that folders give (month=…), which readers take instead; give the prediction another name under output.columns\n',
    ]);
  }
});
