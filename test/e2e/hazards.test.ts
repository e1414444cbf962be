/** What DuckDB does silently with values, types and schemas, and scoreline must not. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCase, modelPath } from '../job-case.js';
import { columns, query, schemaOf, writeParquet } from '../parquet.js';

/** The published columns of a job. */
async function published(job: ReturnType<typeof makeCase>): Promise<Record<string, unknown[]>> {
  return columns(`SELECT * FROM read_parquet(${job.published()}, hive_partitioning = false)`);
}

describe('files of one partition whose schemas differ', () => {
  test('an integer file before one with fractions: no value is rounded', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['a', 'id'] } });
    const b = '0::FLOAT AS b';
    await writeParquet(
      join(job.input, '1.parquet'),
      `SELECT 1::INTEGER AS a, ${b}, 1::SMALLINT AS id`,
    );
    await writeParquet(
      join(job.input, '2.parquet'),
      `SELECT 2.7::DOUBLE AS a, ${b}, 2::INTEGER AS id`,
    );
    await writeParquet(
      join(job.input, '3.parquet'),
      `SELECT 3::UTINYINT AS a, ${b}, 3::UTINYINT AS id`,
    );
    await writeParquet(
      join(job.input, '4.parquet'),
      `SELECT 4.25::FLOAT AS a, ${b}, 4::INTEGER AS id`,
    );
    const result = await job.run();
    // One task: the files are read together.
    expect(result).toMatchObject({ exit: 0, report: { tasks: { scored: 1 } } });
    expect(await published(job)).toEqual({
      a: [1, 2.7, 3, 4.25],
      id: [1, 2, 3, 4],
      y: [3, Math.fround(2 * Math.fround(2.7) + 1), 7, 9.5],
    });
    expect(result.report.lossyCasts).toEqual([{ column: 'a', values: 1 }]);
    expect(await schemaOf(join(job.output, 'current/data/case-00000.parquet'))).toMatchObject({
      a: 'DOUBLE',
      id: 'INTEGER',
    });
  });

  test('the order of columns and extra columns: each file is read by name', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['id'] } });
    await writeParquet(
      join(job.input, '1.parquet'),
      'SELECT 1 AS id, 1::FLOAT AS a, 100::FLOAT AS b',
    );
    await writeParquet(
      join(job.input, '2.parquet'),
      "SELECT 200::FLOAT AS b, 'x' AS z, 2::FLOAT AS a, 2 AS id",
    );
    await writeParquet(
      join(job.input, '3.parquet'),
      'SELECT 3::FLOAT AS a, 300::FLOAT AS b, 3 AS id',
    );
    expect((await job.run()).exit).toBe(0);
    expect(await published(job)).toEqual({ id: [1, 2, 3], y: [303, 605, 907] });
  });

  test('a file that lacks a column is refused by its name, not filled with NULL', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'p=1', '1.parquet'), 'SELECT 1::FLOAT AS a, 1::FLOAT AS b');
    await writeParquet(join(job.input, 'p=1', '2.parquet'), 'SELECT 1::FLOAT AS a');
    const result = await job.run();
    expect(result).toMatchObject({
      exit: 4,
      stderr: expect.stringMatching(/^scoreline: p=1\/2\.parquet: has no column "b"[^\n]*\n$/),
    });
  });

  test('a kept column with types that no type holds is refused', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['k'] } });
    const ab = '1::FLOAT AS a, 1::FLOAT AS b';
    await writeParquet(join(job.input, '1.parquet'), `SELECT ${ab}, 'x' AS k`);
    await writeParquet(join(job.input, '2.parquet'), `SELECT ${ab}, 5 AS k`);
    expect(await job.run()).toMatchObject({
      exit: 4,
      stderr:
        'scoreline: output.keep "k": is VARCHAR in some files and INTEGER in others; no type holds both\n',
    });
  });

  test('a quarantined row keeps the columns of its own file', async () => {
    const job = makeCase({ model: { path: modelPath('small/nan-out') }, features: ['x'] });
    await writeParquet(
      join(job.input, '1.parquet'),
      "SELECT -1::INTEGER AS x, 'one' AS only_here, 1 AS n",
    );
    await writeParquet(
      join(job.input, '2.parquet'),
      'SELECT 2.5::DOUBLE AS n, -2.5::DOUBLE AS x, [1, 2] AS there',
    );
    expect((await job.run()).report.ledger).toMatchObject({ scored: 0, quarantined: 2 });
    const rows = await query(
      `SELECT x, only_here, n, there, scoreline_file, scoreline_row FROM read_parquet(${job.published('quarantine')})`,
    );
    expect(rows).toEqual([
      {
        x: -1,
        only_here: 'one',
        n: 1,
        there: null,
        scoreline_file: '1.parquet',
        scoreline_row: '0',
      },
      {
        x: -2.5,
        only_here: null,
        n: 2.5,
        there: [1, 2],
        scoreline_file: '2.parquet',
        scoreline_row: '0',
      },
    ]);
  });
});

describe('numbers that do not fit', () => {
  test('wide decimals and integers reach a float rounded once, and each lossy cast is counted', async () => {
    const job = makeCase({ features: ['a', 'b'], output: { path: 'out', keep: ['a', 'b'] } });
    const file = join(job.input, 'x.parquet');
    await writeParquet(
      file,
      'SELECT unnest([1.5, 12345678901234567890.123456789, NULL, -0.1]::DECIMAL(38,9)[]) AS a, unnest([16777217, 9007199254740993, 0, NULL]::BIGINT[]) AS b',
    );
    const result = await job.run('--set', 'quarantine.non_finite=keep');
    expect(result.exit).toBe(0);
    const rows = await published(job);
    expect(rows.y?.[0]).toBe(Math.fround(2 * 1.5 + 3 * 16777216 + 1));
    expect(rows.y?.slice(2)).toEqual([Number.NaN, Number.NaN]);
    expect(result.report.lossyCasts).toEqual([
      { column: 'a', values: 1 },
      { column: 'b', values: 2 },
    ]);
    const kept = 'SELECT a::VARCHAR AS a, b FROM';
    expect(await columns(`${kept} read_parquet(${job.published()})`)).toEqual(
      await columns(`${kept} '${file}'`),
    );
    expect(await schemaOf(join(job.output, 'current/data/case-00000.parquet'))).toMatchObject({
      a: 'DECIMAL(38,9)',
      b: 'BIGINT',
    });
  });

  test('a decimal wider than 38 digits is refused rather than read as garbage', async () => {
    const job = makeCase();
    writeFileSync(join(job.input, 'x.parquet'), Buffer.from(DECIMAL_45, 'base64'));
    const result = await job.run();
    expect(result.exit).toBe(4);
    expect(result.stderr).toMatch(/^scoreline: x\.parquet: .*"a"/);
  });

  test('a fraction does not become a whole number, whatever its type', async () => {
    const job = makeCase({
      model: { path: modelPath('small/gather') },
      features: ['idx'],
      output: { path: 'out', keep: ['id'] },
    });
    const types = ['DOUBLE', 'FLOAT', 'DECIMAL(10,2)', 'DECIMAL(38,2)'];
    for (const [at, type] of types.entries()) {
      const file = join(job.input, `${at}.parquet`);
      await writeParquet(file, `SELECT ${at} AS id, unnest([2.7, 3, 99])::${type} AS idx`);
    }
    await writeParquet(join(job.input, 'idx=2.7', 'x.parquet'), 'SELECT 9 AS id');
    await writeParquet(join(job.input, 'idx=3', 'x.parquet'), 'SELECT 8 AS id');
    const result = await job.run('--set', 'input.where=idx::DOUBLE < 99');
    expect(result).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 14, scored: 5, quarantined: 5, filtered: 4 }, lossyCasts: [] },
    });
    expect(await published(job)).toEqual({ id: [0, 1, 2, 3, 8], v: [3.5, 3.5, 3.5, 3.5, 3.5] });
  });

  test('a key beyond 2^53 is kept exactly, and two neighbours are not taken for one', async () => {
    const job = makeCase({
      input: { path: 'in', key: 'id' },
      output: { path: 'out', keep: ['id', 'u'] },
    });
    await writeParquet(
      join(job.input, 'x.parquet'),
      'SELECT 9007199254740993 + i AS id, (18446744073709551615 - i)::UBIGINT AS u, 1::FLOAT AS a, 2::FLOAT AS b FROM range(3) t(i)',
    );
    expect((await job.run()).exit).toBe(0);
    const rows = await published(job);
    expect(rows.id).toEqual([9007199254740993n, 9007199254740994n, 9007199254740995n]);
    expect(rows.u).toEqual([2n ** 64n - 1n, 2n ** 64n - 2n, 2n ** 64n - 3n]);
  });

  test('a key that is an integer in one file and a float in another is still compared exactly', async () => {
    const job = makeCase({ input: { path: 'in', key: 'id' } });
    const ab = '1::FLOAT AS a, 2::FLOAT AS b';
    await writeParquet(
      join(job.input, '1.parquet'),
      `SELECT 9007199254740993 + i AS id, ${ab} FROM range(5) t(i)`,
    );
    await writeParquet(join(job.input, '2.parquet'), `SELECT 0.5::DOUBLE AS id, ${ab}`);
    expect(await job.run()).toMatchObject({ exit: 0, report: { ledger: { scored: 6 } } });
  });
});

describe('kept columns', () => {
  test('keep their types and values, nested ones too', async () => {
    const types = {
      bool: 'true',
      tiny: '(-5)::TINYINT',
      utiny: '250::UTINYINT',
      small: '(-300)::SMALLINT',
      usmall: '65000::USMALLINT',
      uint: '4000000000::UINTEGER',
      decimal: '1.05::DECIMAL(9,4)',
      double: "'-0.0'::DOUBLE",
      nan: "'NaN'::FLOAT",
      text: "'a\"b''é' || chr(10) || chr(0)",
      blob: "'\\x00\\xFF'::BLOB",
      uuid: "'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11'::UUID",
      date: "DATE '1969-12-31'",
      time: "TIME '23:59:59.999999'",
      stamp: "TIMESTAMP '1700-01-01 00:00:00.000001'",
      stamp_ns: "'2262-04-11 23:47:16.854775806'::TIMESTAMP_NS",
      stamp_ms: "'2000-01-01 00:00:00.123'::TIMESTAMP_MS",
      zoned: "TIMESTAMPTZ '2013-03-10 02:30:00+02'",
      interval: "INTERVAL '1 month 2 days 3 seconds'",
      enumerated: "'b'::ENUM('a', 'b')",
      list: '[1, NULL, 3]',
      nested: '[[1.5::FLOAT], [], NULL]',
      struct: "{'a b': 1, 'A': {'x': 'y'}}",
      map: "MAP {'k': [1], 'l': []}",
      none: 'NULL::VARCHAR',
      'a "quoted" name': "'q'",
      status: "'not the row''s'",
      o0: "'not the output'",
      k0: '7',
      key: "'k'",
    };
    const names = Object.keys(types);
    const job = makeCase({
      model: { path: modelPath('small/nan-out') },
      features: ['x'],
      input: { path: 'in', where: "x <> 9 AND status LIKE 'not%' AND key = 'k'", key: 'id' },
      output: { path: 'out', keep: ['id', ...names], columns: { bad: 'y' } },
    });
    const file = join(job.input, 'p=1', 'x.parquet');
    const select = Object.entries(types).map(
      ([name, sql]) => `${sql} AS "${name.replaceAll('"', '""')}"`,
    );
    await writeParquet(
      file,
      `SELECT i AS id, (CASE i WHEN 1 THEN -1 WHEN 2 THEN 9 ELSE i + 1 END)::FLOAT AS x, ${select.join(', ')} FROM range(5) t(i)`,
    );
    const result = await job.run();
    expect(result).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 5, scored: 3, quarantined: 1, filtered: 1 } },
    });
    const source = await schemaOf(file);
    const output = join(job.output, 'current/data/p=1/case-00000.parquet');
    const { x: _x, ...kept } = source;
    expect(await schemaOf(output)).toEqual({ ...kept, bad: 'FLOAT' });
    const all = ['id', ...names].map((name) => `"${name.replaceAll('"', '""')}"`).join(', ');
    const rows = await query(`SELECT ${all} FROM '${output}'`);
    expect(rows).toHaveLength(3);
    expect(rows).toEqual(await query(`SELECT ${all} FROM '${file}' WHERE id NOT IN (1, 2)`));
    const aside = join(job.output, 'current/quarantine/p=1/case-00000.parquet');
    expect(await schemaOf(aside)).toMatchObject(source);
    expect(await query(`SELECT ${all} FROM '${aside}'`)).toEqual(
      await query(`SELECT ${all} FROM '${file}' WHERE id = 1`),
    );
  });
});

describe('a filter', () => {
  test('takes NULL for false, and may look at partition columns; what does not pass is counted', async () => {
    const job = makeCase({
      input: { path: 'in', where: "ok AND p <> '2'  -- a comment" },
      output: { path: 'out', keep: ['id', 'p'] },
    });
    for (const p of ['1', '2', '__HIVE_DEFAULT_PARTITION__']) {
      await writeParquet(
        join(job.input, `p=${p}`, 'x.parquet'),
        'SELECT unnest([1, 2, 3]) AS id, unnest([true, false, NULL]) AS ok, 1::FLOAT AS a, 2::FLOAT AS b',
      );
    }
    expect(await job.run()).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 9, scored: 1, quarantined: 0, filtered: 8 } },
    });
    expect(await published(job)).toEqual({ id: [1], p: ['1'], y: [9] });
    expect(job.files()).toHaveLength(3);
  });

  test('that is no condition over the columns of a row is refused as a mistake in the job', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
    const filters: [string, RegExp][] = [
      ['c > 1', /input\.where: .*"?c"?/],
      ['a', /input\.where: must be true or false, but its type is FLOAT/],
      ['a > random()', /input\.where: function random\(\) is not allowed/],
      ['true) OR (SELECT true', /input\.where: /],
      ["a > (SELECT count(*) FROM read_text('/etc/passwd'))", /input\.where: subquery/],
      ['a > 1; DROP TABLE scores', /input\.where: /],
    ];
    for (const [where, words] of filters) {
      const result = await job.run('--set', `input.where=${where}`);
      expect(result.exit).toBe(2);
      expect(result.stderr).toMatch(words);
      expect(result.stderr.trim().split('\n')).toHaveLength(1);
    }
  });
});

/** One row: a = 1.00 as DECIMAL(45,2), b = 1 as float32; made with pyarrow. */
const DECIMAL_45 =
  'UEFSMRUAFTIVMiwVAhUAFQYVBhwAAAACAAAAAgEAAAAAAAAAAAAAAAAAAAAAAABkFQAVFBUULBUCFQAVBhUGHAAA' +
  'AAIAAAACAQAAgD8VBBk8NQAYBnNjaGVtYRUEABUOFSYVAhgBYSUKFQQVWixcFQQVWgAAABUIJQIYAWIAFgIZHBks' +
  'JgAcFQ4ZJQYAGRgBYRUAFgIWWBZYJghJHBUAFQAVAgA8KQYZJgACAAAAJgAcFQgZJQYAGRgBYhUAFgIWOhY6JmBJ' +
  'HBUAFQAVAgA8KQYZJgACAAAAFpIBFgImCBaSAQAoIHBhcnF1ZXQtY3BwLWFycm93IHZlcnNpb24gMjYuMC4xGSwc' +
  'AAAcAAAAwQAAAFBBUjE=';
