/** How rows lie in files: row groups of every size, files of every number, and every row published once, in order. */
import { copyFileSync, mkdirSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { allowedMs, type JobCase, makeCase } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';

const ROWS = 'SELECT i AS id, (i % 1000)::FLOAT AS a, (i // 1000)::FLOAT AS b FROM range';
const KEEP = { output: { path: 'out', keep: ['id'] } };

/** Checks that the published rows are those with these ids, in order of file and place, each with its own score. */
async function expectRows(job: JobCase, rows: number): Promise<void> {
  const [sums] = await query(
    'SELECT count(*)::INTEGER AS rows, count(DISTINCT id)::INTEGER AS ids, min(id)::INTEGER AS first, max(id)::INTEGER AS last, ' +
      'count_if(y <> 2 * (id % 1000) + 3 * (id // 1000) + 1)::INTEGER AS wrong, count_if(id <> before + 1)::INTEGER AS disordered FROM ' +
      `(SELECT *, lag(id) OVER () AS before FROM read_parquet(${job.published()}))`,
  );
  expect(sums).toEqual({ rows, ids: rows, first: 0, last: rows - 1, wrong: 0, disordered: 0 });
}

describe('row groups', () => {
  test('of two rows each, and none at all', async () => {
    const job = makeCase(KEEP);
    const { ParquetSchema, ParquetWriter } = createRequire(import.meta.url)('parquetjs-lite');
    const schema = new ParquetSchema({
      id: { type: 'INT64' },
      a: { type: 'FLOAT' },
      b: { type: 'FLOAT' },
    });
    mkdirSync(job.input, { recursive: true });
    const write = async (name: string, from: number, to: number): Promise<void> => {
      const writer = await ParquetWriter.openFile(schema, join(job.input, name));
      writer.setRowGroupSize(1);
      for (let id = from; id < to; id++) await writer.appendRow({ id, a: id, b: 0 });
      await writer.close();
    };
    await write('0.parquet', 0, 40);
    await writeParquet(join(job.input, '1.parquet'), `${ROWS}(0) t(i)`);
    await write('2.parquet', 40, 41);
    await writeParquet(join(job.input, '3.parquet'), `${ROWS}(41, 43) t(i)`);
    const [groups] = await query(
      `SELECT count(DISTINCT row_group_id)::INTEGER AS n FROM parquet_metadata('${job.input}/0.parquet')`,
    );
    expect(groups?.n).toBeGreaterThan(15);
    const result = await job.run();
    expect(result).toMatchObject({ exit: 0, report: { ledger: { rows: 43, scored: 43 } } });
    await expectRows(job, 43);
  });

  test('of more rows than a task has, and small ones that fill several tasks', async () => {
    const job = makeCase({ ...KEEP, input: { path: 'in', key: 'id' } });
    await writeParquet(join(job.input, '1-large.parquet'), `${ROWS}(150000) t(i)`, {
      rowGroupSize: 200_000,
    });
    await writeParquet(join(job.input, '2-many.parquet'), `${ROWS}(150000, 450000) t(i)`, {
      rowGroupSize: 20_480,
    });
    const result = await job.run('--workers', '2');
    expect(result).toMatchObject({
      exit: 0,
      report: { tasks: { scored: 5 }, ledger: { rows: 450_000, scored: 450_000 } },
    });
    expect(job.files()).toEqual([0, 1, 2, 3, 4].map((part) => `case-0000${part}.parquet`));
    await expectRows(job, 450_000);
    const filtered = await job.run('--set', 'input.where=id % 3 = 1 AND id >= 100000');
    const { ledger } = filtered.report;
    expect(ledger).toEqual({ rows: 450_000, scored: 116_667, quarantined: 0, filtered: 333_333 });
    const [sums] = await query(
      `SELECT count(*)::INTEGER AS rows, count_if(id % 3 <> 1 OR id < 100000 OR y <> 2 * (id % 1000) + 3 * (id // 1000) + 1)::INTEGER AS wrong FROM read_parquet(${job.published()})`,
    );
    expect(sums).toEqual({ rows: 116_667, wrong: 0 });
  });
});

describe('empty files', () => {
  test('alone in their partition, or all there is, are published as files without rows', async () => {
    const job = makeCase(KEEP);
    await writeParquet(join(job.input, 'p=1', 'x.parquet'), `${ROWS}(0) t(i)`);
    const empty = await job.run();
    expect(empty).toMatchObject({
      exit: 0,
      report: { outcome: 'published', ledger: { rows: 0, scored: 0 }, units: { planned: 1 } },
    });
    expect(job.files()).toEqual(['p=1/case-00000.parquet']);
    await writeParquet(join(job.input, 'p=2', 'x.parquet'), `${ROWS}(3) t(i)`);
    expect((await job.run()).report).toMatchObject({
      outcome: 'published',
      ledger: { rows: 3, scored: 3 },
      notes: ['partitions without rows: 1'],
    });
    await expectRows(job, 3);
    // A partition that loses its rows is published without them where the job says so.
    await writeParquet(join(job.input, 'p=2', 'x.parquet'), `${ROWS}(0) t(i)`);
    expect((await job.run()).exit).toBe(3);
    await expectRows(job, 3);
    const set = ['--set', 'output.empty_partitions=publish'];
    expect((await job.run(...set)).report.ledger).toMatchObject({ rows: 0 });
    expect(job.files()).toHaveLength(2);
    const left = await query(`SELECT count(*)::INTEGER AS n FROM read_parquet(${job.published()})`);
    expect(left).toEqual([{ n: 0 }]);
  });
});

describe('ten thousand files', () => {
  test('of one row each are scored, and a second run and a plan take no time', async () => {
    const job = makeCase();
    const one = join(job.folder, 'one.parquet');
    await writeParquet(one, 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
    for (let i = 0; i < 10_000; i++) {
      if (i % 5000 === 0) mkdirSync(join(job.input, `p=${i}`));
      copyFileSync(one, join(job.input, `p=${i - (i % 5000)}`, `${i}.parquet`));
    }
    // What a file holds is remembered only when it was changed more than two seconds ago.
    await sleep(2100);
    const first = await job.run('--workers', '2', '--quiet');
    expect(first).toMatchObject({
      exit: 0,
      stderr: '',
      report: { ledger: { rows: 10_000, scored: 10_000 } },
    });
    expect(first.report.tasks.scored).toBeLessThan(100);
    const second = await job.run();
    expect(second).toMatchObject({ exit: 0, report: { outcome: 'unchanged' } });
    expect(second.ms).toBeLessThan(allowedMs(3000));
    const plan = await job.plan();
    expect(plan.report.units.map(({ files, toDo }) => [files, toDo])).toEqual([
      [5000, 0],
      [5000, 0],
    ]);
    expect(plan.ms).toBeLessThan(allowedMs(3000));
  });
});
