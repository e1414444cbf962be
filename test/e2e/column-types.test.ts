/** Published columns whose types change from run to run. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeEach, describe, expect, test } from 'vitest';
import { type JobCase, makeCase } from '../job-case.js';
import { ELEMENT, node, number, tensor, writeModel } from '../onnx.js';
import { exactPath, query, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

describe('a kept column that changes its type from day to day', () => {
  let job: JobCase;
  const day = (n: number): string[] => ['--date', `2024-01-0${n}`];

  beforeEach(async () => {
    job = makeCase({
      input: { path: 'in/d={date:yyyy-MM-dd}' },
      output: { path: 'out', keep: ['k'] },
    });
    const types = ['INTEGER', 'BIGINT', 'BIGINT', 'VARCHAR'];
    for (const [index, type] of types.entries())
      await writeParquet(
        join(job.input, `d=2024-01-0${index + 1}`, 'x.parquet'),
        `SELECT 7::${type} AS k, 1::FLOAT AS a, 2::FLOAT AS b`,
      );
    expect((await job.run(...day(1))).exit).toBe(0);
  });

  test('is staged, not published, until a person says why; then it stops no more', async () => {
    const { exit, stderr, report } = await job.run(...day(2));
    expect(exit).toBe(3);
    expect(stderr).toContain(
      'output.keep "k": is BIGINT in d=2024-01-02 and INTEGER in d=2024-01-01, which stays published',
    );
    expect(report).toMatchObject({ outcome: 'staged', snapshot: 1 });
    expect(job.files()).toEqual(['d=2024-01-01/case-00000.parquet']);

    const refused = await scoreline(['publish', job.output, report.runId]);
    expect([refused.exit, refused.stderr]).toEqual([3, expect.stringContaining('output.keep "k"')]);
    const published = await scoreline(['publish', job.output, report.runId, '--because', 'wider']);
    expect(published.exit).toBe(0);
    expect((await job.run(...day(2))).report.outcome).toBe('unchanged');
    expect((await job.run(...day(3))).exit).toBe(0);
    expect((await job.run(...day(4))).stderr).toContain('output.keep "k": is VARCHAR');
  });

  test('is published where a run covers all days, with one type', async () => {
    const { exit } = await job.run('--from', '2024-01-01', '--to', '2024-01-03');
    expect(exit).toBe(0);
    const types = await query(
      `SELECT DISTINCT typeof(k) AS t FROM read_parquet(${job.published()}, union_by_name = true)`,
    );
    expect(types).toEqual([{ t: 'BIGINT' }]);
    expect(
      JSON.parse(readFileSync(join(job.output, 'current', 'manifest.json'), 'utf8')).units,
    ).toHaveProperty('d=2024-01-03');
  });

  test('is told beside too many bad rows', async () => {
    await writeParquet(
      join(job.input, 'd=2024-01-02', 'y.parquet'),
      `SELECT 7::BIGINT AS k, 'inf'::FLOAT AS a, 2::FLOAT AS b FROM range(20)`,
    );
    // The first run stops early; the second finds the part in the store, and stages it.
    expect((await job.run(...day(2))).exit).toBe(3);
    const { exit, stderr, report } = await job.run(...day(2));
    expect([exit, stderr]).toEqual([
      3,
      expect.stringMatching(/quarantine\.max: 20 of 21.*output\.keep "k": is BIGINT/s),
    ]);
    expect((await scoreline(['publish', job.output, report.runId])).exit).toBe(3);
  });

  test('that only some days have is noted', async () => {
    job.change({ output: { path: 'out', keep: ['k', 'a'] } });
    expect((await job.run(...day(1))).exit).toBe(0);
    job.change({ output: { path: 'out', keep: ['a'] } });
    const { exit, report } = await job.run(...day(2));
    expect([exit, report.notes]).toEqual([
      0,
      ['columns that only partitions which stay published have: k'],
    ]);
  });
});

test('days without rows take the type of the others, and stop none of them', async () => {
  const job = makeCase({
    input: { path: 'in/{date:yyyy-MM-dd}.parquet' },
    output: { path: 'out', keep: ['k'] },
  });
  const write = (day: number, rest: string) =>
    writeParquet(
      join(job.input, `2024-01-0${day}.parquet`),
      `SELECT ${rest === '' ? "'x'" : '7::INTEGER'} AS k, 1::FLOAT AS a, 2::FLOAT AS b ${rest}`,
    );
  for (const day of [1, 3]) await write(day, 'WHERE false');
  await write(2, '');
  const run = (day: number) => job.run('--date', `2024-01-0${day}`);
  // The output begins with a day without rows, whose own type is all there is.
  for (const day of [1, 2, 3]) expect((await run(day)).exit).toBe(0);
  const typeOf = async (day: number) => {
    const file = exactPath(join(job.output, 'current/data', `2024-01-0${day}/case-00000.parquet`));
    const [column] = await query(`DESCRIBE SELECT k FROM read_parquet(${file})`);
    return column?.column_type;
  };
  expect(await Promise.all([1, 2, 3].map(typeOf))).toEqual(['INTEGER', 'VARCHAR', 'VARCHAR']);
  for (const day of [2, 3]) expect((await run(day)).report.outcome).toBe('unchanged');
  // Run again, the first takes the type of the others, once.
  expect((await run(1)).report.outcome).toBe('published');
  expect(await typeOf(1)).toBe('VARCHAR');
  expect((await run(1)).report.outcome).toBe('unchanged');
});

test('a prediction of another type than on the days before is staged, and published where all days have it', async () => {
  const modelOf = (element: 'float' | 'int64'): string =>
    writeModel({
      inputs: [tensor('a', 'float', ['N', 1])],
      outputs: [tensor('label', element, ['N', 1])],
      nodes: [node('Cast', ['a'], ['label'], number('to', ELEMENT[element]))],
    });
  const job = makeCase({
    input: { path: 'in/d={date:yyyy-MM-dd}' },
    model: { path: modelOf('float') },
    features: ['a'],
  });
  for (const day of [1, 2])
    await writeParquet(
      join(job.input, `d=2024-01-0${day}`, 'x.parquet'),
      'SELECT 1::FLOAT AS a FROM range(3)',
    );
  expect((await job.run('--date', '2024-01-01')).exit).toBe(0);
  job.change({ model: { path: modelOf('int64') } });
  const { exit, stderr } = await job.run('--date', '2024-01-02');
  expect(exit).toBe(3);
  expect(stderr).toContain(
    'prediction "label": is BIGINT in d=2024-01-02 and FLOAT in d=2024-01-01, which stays published, so that what reads both fails or reads other values; score all with one model, or publish it with --because',
  );
  expect(job.files()).toEqual(['d=2024-01-01/case-00000.parquet']);
  expect((await job.run('--from', '2024-01-01', '--to', '2024-01-02')).exit).toBe(0);
  const types = await query(
    `SELECT DISTINCT typeof(label) AS t FROM read_parquet(${job.published()}, union_by_name = true)`,
  );
  expect(types).toEqual([{ t: 'BIGINT' }]);
});
