/** Names of columns that bite: they are only ever names, in what is written, read and shown. */
import { join } from 'node:path';
import { ParquetSchema, ParquetWriter } from 'parquetjs-lite';
import { beforeAll, describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { balancedLedger, publishedColumns } from '../published.js';
import { scoreline } from '../scoreline.js';

const HOSTILE = [
  'a"b',
  "it's",
  '"; DROP TABLE scores; --',
  "'); DELETE FROM bad; --",
  '<script>alert(1)</script>',
  '\u001b[31mred\u001b[0m',
  'naïve 東京 🛫',
  'two\nlines',
  ' around ',
  '..',
  '../x',
  '%00',
  'select',
  '\u202egnp',
  '*',
  'x'.repeat(300),
];

/** Names that the queries behind a task use themselves. */
const OWN = [
  'status',
  'o0',
  'k0',
  'k1',
  'q0',
  'q1',
  'f0',
  'f1',
  'row',
  'rows',
  'bad',
  'scores',
  'bad_row',
  'bad_column',
  'reason',
  'message',
  'place_file',
  'place_row',
  'key',
  'passes',
  'n',
];

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`;

/** Rows 0 to 19: every fourth is filtered, every fifth has a bad feature; each column says which it is. */
function rowsSql(names: readonly string[]): string {
  const columns = names.map((name, at) => `i * 100 + ${at} AS ${quoted(name)}`);
  return `SELECT ${columns.join(', ')}, CASE WHEN i % 5 <> 0 THEN i END AS idx, i AS id FROM range(20) t(i)`;
}

/** Writes doubles with another writer than DuckDB, which takes names that DuckDB does not. */
async function writeRows(
  path: string,
  names: readonly string[],
  rows: readonly (readonly (number | undefined)[])[],
): Promise<void> {
  const fields = names.map((name) => [name, { type: 'DOUBLE', optional: true }]);
  const writer = await ParquetWriter.openFile(new ParquetSchema(Object.fromEntries(fields)), path);
  for (const row of rows) {
    await writer.appendRow(Object.fromEntries(names.map((name, at) => [name, row[at]])));
  }
  await writer.close();
}

const SCORED = [...Array(20).keys()].filter((row) => row % 4 !== 0 && row % 5 !== 0);
const QUARANTINED = [5, 10, 15];

async function score(names: readonly string[], feature: string): Promise<JobCase> {
  const job = makeCase({
    input: { path: 'in', where: 'id % 4 <> 0', key: 'id' },
    model: { path: modelPath('small/ints') },
    features: { i: 'idx', f: feature },
    quarantine: { max: '100%' },
    output: { path: 'out', keep: ['id', ...names], columns: { [`${feature} prediction`]: 'd' } },
  });
  await writeParquet(join(job.input, 'rows.parquet'), rowsSql(names));
  expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
  return job;
}

describe.each([
  ['hostile names', HOSTILE],
  ['names that the program uses itself', OWN],
])('%s', (_what, names) => {
  const feature = names[0]!;
  let job: JobCase;

  beforeAll(async () => {
    job = await score(names, feature);
  });

  test('of kept columns come out as they are, with the values of their rows', async () => {
    const rows = await publishedColumns(job);
    const ids = SCORED.map(BigInt);
    expect(rows).toEqual({
      id: ids,
      ...Object.fromEntries(
        names.map((name, at) => [name, ids.map((id) => id * 100n + BigInt(at))]),
      ),
      [`${feature} prediction`]: SCORED.map((id) => id * 101),
    });
    expect(Object.keys(rows)).toEqual(['id', ...names, `${feature} prediction`]);
  });

  test('of columns come out in the quarantine, with the values of their rows', async () => {
    const { scoreline_row, scoreline_reason, scoreline_column, ...rows } = await publishedColumns(
      job,
      '* EXCLUDE (scoreline_file, scoreline_message, idx)',
      'quarantine',
    );
    const ids = QUARANTINED.map(BigInt);
    expect(rows).toEqual({
      id: ids,
      ...Object.fromEntries(
        names.map((name, at) => [name, ids.map((id) => id * 100n + BigInt(at))]),
      ),
    });
    expect(scoreline_row).toEqual(ids);
    expect(new Set(scoreline_reason)).toEqual(new Set(['null_value']));
    expect(new Set(scoreline_column)).toEqual(new Set(['idx']));
    expect(balancedLedger(job)).toEqual({ rows: 20, scored: 12, quarantined: 3, filtered: 5 });
  });

  test('can stand in a filter and be the key', async () => {
    job.change({
      input: { path: 'in', where: `${quoted(names.at(-1)!)} >= 1000`, key: feature },
      output: { path: 'out', keep: ['id'] },
    });
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    const { id } = await publishedColumns(job, 'id');
    expect(id?.map(Number)).toEqual([...Array(20).keys()].filter((i) => i >= 10 && i % 5 !== 0));
  });
});

describe('hostile names on a terminal', () => {
  test('are escaped, in every message and listing', async () => {
    const red = '\u001b[31mred';
    const job = makeCase({ features: [`${red} `, 'b'] });
    await writeParquet(
      join(job.input, `k=${red}`, `${red}.parquet`),
      `SELECT NULL::FLOAT AS ${quoted(red)}, 1::FLOAT AS b, i::FLOAT AS c FROM range(20) t(i)`,
    );
    const file = join(job.input, `k=${red}`, `${red}.parquet`);
    const missing = await scoreline(['run', job.jobFile]);
    job.change({ features: [red, 'b'] });
    const tooMany = await scoreline(['run', job.jobFile]);
    job.change({ input: { path: 'in', key: red }, features: ['b', 'c'] });
    const nullKey = await scoreline(['run', job.jobFile]);
    job.change({
      input: { path: 'in' },
      output: { path: 'out', keep: [red], columns: { [`${red} y`]: 'y' } },
    });
    const answers = [
      missing,
      tooMany,
      nullKey,
      await scoreline(['run', job.jobFile, '--verbose']),
      await scoreline(['plan', job.jobFile]),
      await scoreline(['inspect', file]),
    ];
    expect(answers.map(({ exit }) => exit)).toEqual([4, 3, 4, 0, 0, 0]);
    for (const { stdout, stderr } of answers) {
      expect(stdout + stderr).not.toContain('\u001b');
    }
    expect(missing.stderr).toContain('\\u{1b}[31mred');
    expect(nullKey.stderr).toContain('\\u{1b}[31mred');
  });
});

describe('names that differ in case only', () => {
  test('in one file: the second is never taken for the first', async () => {
    const job = makeCase({ features: ['a', 'b'], output: { path: 'out', keep: ['A'] } });
    await writeRows(join(job.input, 'x.parquet'), ['A', 'a', 'b'], [[1, 2, 3]]);
    const { exit, stderr } = await job.run();
    if (exit === 0) {
      expect(await publishedColumns(job)).toEqual({ A: [1], y: [14] });
    } else {
      expect(exit).toBe(4);
      expect(stderr).toMatch(/x\.parquet: .*"a"/);
    }
  });

  test('in two files: each is refused or taken as what the job calls it', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 3::FLOAT AS b');
    await writeParquet(join(job.input, 'y.parquet'), 'SELECT 1::FLOAT AS A, 3::FLOAT AS b');
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('y.parquet: has no column "a" (did you mean "A"');
    expect(stderr).not.toContain('x.parquet:');
  });

  test('of columns that nothing asks for do not keep bad rows from being set aside', async () => {
    const job = makeCase({
      model: { path: modelPath('small/gather') },
      features: { idx: 'idx' },
      quarantine: { max: '100%' },
      output: { path: 'out', keep: ['idx'] },
    });
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT NULL::INTEGER AS idx, 1 AS note');
    await writeParquet(join(job.input, 'y.parquet'), "SELECT 4 AS idx, 'two' AS NOTE");
    await writeParquet(
      join(job.input, 'z.parquet'),
      "SELECT NULL::INTEGER AS idx, 'three' AS NOTE",
    );
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    const [first, second] = await query(`FROM read_parquet(${job.published('quarantine')})`);
    expect(Object.values(first!)).toEqual(expect.arrayContaining(['x.parquet', 1]));
    expect(Object.values(second!)).toEqual(expect.arrayContaining(['z.parquet', 'three']));
  });
});

describe('a column that is named like a place', () => {
  test.each([
    ['file_row_number', 4],
    ['FILE_INDEX', 4],
    ['filename', 0],
  ])('%s: refused, or read as any other', async (name, expected) => {
    const job = makeCase({
      model: { path: modelPath('small/named') },
      features: { a: 'a', b: name },
      output: { path: 'out', keep: [name] },
    });
    const sql = `SELECT 1::FLOAT AS a, 40 + i AS "${name}" FROM range(3) t(i)`;
    await writeParquet(join(job.input, 'x.parquet'), sql);
    const { exit, stderr } = await job.run();
    expect(exit).toBe(expected);
    if (exit === 0) {
      expect(await publishedColumns(job)).toEqual({ [name]: [40n, 41n, 42n], sum: [41, 42, 43] });
    } else {
      expect(stderr).toContain(`x.parquet: column "${name}" has a name that is reserved`);
    }
  });

  test('scoreline_file and scoreline_row: kept in the data, never mixed with our own in the quarantine', async () => {
    const job = makeCase({
      model: { path: modelPath('small/gather') },
      features: { idx: 'idx' },
      quarantine: { max: '100%' },
      output: { path: 'out', keep: ['scoreline_file', 'scoreline_row'] },
    });
    const theirs = "'theirs' AS scoreline_file, -1 AS scoreline_row";
    await writeParquet(
      join(job.input, 'x.parquet'),
      `SELECT unnest([1, NULL, 2]) AS idx, ${theirs}`,
    );
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    expect(await publishedColumns(job)).toEqual({
      scoreline_file: ['theirs', 'theirs'],
      scoreline_row: [-1, -1],
      v: [1.5, 2.5],
    });
    expect(await publishedColumns(job, 'scoreline_file, scoreline_row', 'quarantine')).toEqual({
      scoreline_file: ['x.parquet'],
      scoreline_row: [1n],
    });
  });
});

describe('a column whose name is empty', () => {
  test('does not keep the others from being scored or set aside', async () => {
    const job = makeCase({
      model: { path: modelPath('small/gather') },
      features: { idx: 'idx' },
      quarantine: { max: '100%' },
    });
    await writeRows(
      join(job.input, 'x.parquet'),
      ['', 'idx'],
      [
        [7, 1],
        [8, undefined],
        [9, 2],
      ],
    );
    const { exit, stderr } = await job.run();
    if (exit === 0) {
      expect(await publishedColumns(job)).toEqual({ v: [1.5, 2.5] });
      expect(balancedLedger(job)).toEqual({ rows: 3, scored: 2, quarantined: 1, filtered: 0 });
    } else {
      expect(exit).toBe(4);
      expect(stderr).toMatch(/x\.parquet: .*(name|column)/);
    }
  });
});
