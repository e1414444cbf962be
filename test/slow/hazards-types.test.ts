/** Types of columns: as features they convert with every loss counted, as kept columns they come out as they were. */
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath, type RunResult } from '../job-case.js';
import { query, schemaOf, writeParquet } from '../parquet.js';
import { balancedLedger, lossyCastsByUnit, publishedColumns } from '../published.js';

const KEEP_ALL = { max: '100%', non_finite: 'keep' };

/** One file a partition, each with the values of a type in column x; a null after them. */
async function writeValues(
  job: JobCase,
  column: string,
  values: Record<string, readonly string[]>,
) {
  for (const [name, texts] of Object.entries(values)) {
    const [type] = name.split(' ');
    const list = texts.map((text) => `CAST('${text}' AS ${type})`).join(', ');
    await writeParquet(
      join(job.input, name, 'x.parquet'),
      `SELECT unnest([${list}, NULL]) AS "${column}", 0::FLOAT AS zero`,
    );
  }
}

/** The published values of a column, by unit. */
async function valuesByUnit(job: JobCase, column: string): Promise<Record<string, unknown[]>> {
  const rows = await publishedColumns(job, `"${column}" AS value, filename`);
  const units: Record<string, unknown[]> = {};
  rows.value?.forEach((value, row) => {
    const unit = String(rows.filename?.[row]).split('/').at(-2)!;
    units[unit] ??= [];
    units[unit].push(value);
  });
  return units;
}

describe('features of a float32 input', () => {
  // What is stored, what the model must get, and how many of these a cast must have changed.
  const TYPES: Record<string, { values: string[]; floats: number[]; lossy: number }> = {
    TINYINT: { values: ['-128', '127'], floats: [-128, 127], lossy: 0 },
    UTINYINT: { values: ['0', '255'], floats: [0, 255], lossy: 0 },
    SMALLINT: { values: ['-32768', '32767'], floats: [-32768, 32767], lossy: 0 },
    USMALLINT: { values: ['65535'], floats: [65535], lossy: 0 },
    BOOLEAN: { values: ['true', 'false'], floats: [1, 0], lossy: 0 },
    INTEGER: {
      values: ['16777216', '16777217', '-2147483648', '2147483647'],
      floats: [2 ** 24, 2 ** 24, -(2 ** 31), 2 ** 31],
      lossy: 2,
    },
    UINTEGER: { values: ['4294967295', '4294967040'], floats: [2 ** 32, 4294967040], lossy: 1 },
    BIGINT: {
      // The fourth rounds to another float32 when it is rounded to a double first.
      values: [
        '16777217',
        '-9223372036854775808',
        '9223372036854775807',
        `${2n ** 60n + 2n ** 36n + 1n}`,
        `${-(2n ** 60n + 2n ** 36n + 1n)}`,
        '-1',
      ],
      floats: [2 ** 24, -(2 ** 63), 2 ** 63, 2 ** 60 + 2 ** 37, -(2 ** 60 + 2 ** 37), -1],
      lossy: 4,
    },
    UBIGINT: {
      values: ['0', '9223372036854775808', '18446744073709551615', '18446744073709551614'],
      floats: [0, 2 ** 63, 2 ** 64, 2 ** 64],
      lossy: 2,
    },
    // DuckDB writes it as DOUBLE.
    HUGEINT: {
      values: ['-1', '170141183460469231731687303715884105727'],
      floats: [-1, 2 ** 127],
      lossy: 0,
    },
    FLOAT: {
      values: ['0.1', '-0.0', '3.4028235e38', 'inf', 'nan'],
      floats: [Math.fround(0.1), -0, 3.4028234663852886e38, Infinity, Number.NaN],
      lossy: 0,
    },
    DOUBLE: {
      values: ['0.5', '0.1', '1e300', '1e-300', '-inf', 'nan'],
      floats: [0.5, Math.fround(0.1), Infinity, 0, -Infinity, Number.NaN],
      lossy: 3,
    },
    'DECIMAL(9,2)': {
      values: ['-1234567.25', '0.01', '167772.19'],
      floats: [-1234567.25, 0.01, 167772.19],
      lossy: 0,
    },
    'DECIMAL(18,3)': { values: ['16777217.125'], floats: [16777217.125], lossy: 1 },
    'DECIMAL(38,4)': {
      values: ['1.5', '16777217.0001', '9999999999999999999999999999999999.9999', '0'],
      floats: [1.5, 16777217.0001, 1e34, 0],
      lossy: 2,
    },
  };
  let job: JobCase;
  let result: RunResult;

  beforeAll(async () => {
    job = makeCase({
      model: { path: modelPath('small/named') },
      features: { a: 'x', b: 'zero' },
      quarantine: KEEP_ALL,
      output: { path: 'out', columns: { sum: 'sum' } },
    });
    const values = Object.entries(TYPES).map(([name, type]) => [name, type.values]);
    await writeValues(job, 'x', Object.fromEntries(values));
    result = await job.run();
  });

  test('of every number type are scored, and the sum of changed values is reported', () => {
    expect(result).toMatchObject({ exit: 0, report: { error: null } });
    const lossy = Object.values(TYPES).reduce((sum, type) => sum + type.lossy, 0);
    expect(result.report.lossyCasts).toEqual([{ column: 'x', values: lossy }]);
    expect(balancedLedger(job)).toMatchObject({ quarantined: 0, filtered: 0 });
  });

  test.each(Object.keys(TYPES))('%s: values are the nearest float32, null is NaN', async (name) => {
    const got = (await valuesByUnit(job, 'sum'))[name];
    // Adding 0 to -0 gives 0.
    const floats = TYPES[name]!.floats.map((value) => Math.fround(value) + 0);
    expect(got).toEqual([...floats, Number.NaN]);
  });

  test.each(Object.keys(TYPES))('%s: changed values are counted, null is not', (name) => {
    const { lossy } = TYPES[name]!;
    expect(lossyCastsByUnit(job)[name]).toEqual(lossy === 0 ? {} : { x: lossy });
  });
});

describe('features of an int64 input', () => {
  // The values that must be scored, and those whose rows must be set aside.
  const TYPES: Record<string, { good: string[]; bad: string[] }> = {
    TINYINT: { good: ['-128', '127'], bad: [] },
    BOOLEAN: { good: ['1', '0'], bad: [] },
    BIGINT: { good: ['-9223372036854775808', '9007199254740993'], bad: [] },
    UBIGINT: { good: ['9223372036854775807'], bad: ['9223372036854775808'] },
    DOUBLE: {
      good: ['-3', '9007199254740992'],
      bad: ['2.7', '1e300', 'nan', '9223372036854775808'],
    },
    FLOAT: { good: ['16777216'], bad: ['0.5', '-inf'] },
    'DECIMAL(38,0)': { good: ['9007199254740993'], bad: ['9223372036854775808'] },
    'DECIMAL(38,4)': { good: ['-3'], bad: ['2.7', '9223372036854775807.5'] },
  };
  let job: JobCase;
  let result: RunResult;

  beforeAll(async () => {
    job = makeCase({
      model: { path: modelPath('small/ints') },
      features: { i: 'x', f: 'zero' },
      quarantine: KEEP_ALL,
      output: { path: 'out', columns: { k: 'k' } },
    });
    const values = Object.entries(TYPES).map(([name, { good, bad }]) => [name, [...good, ...bad]]);
    await writeValues(job, 'x', Object.fromEntries(values));
    result = await job.run();
    expect(result.exit).toBe(0);
  });

  test.each(Object.keys(TYPES))(
    '%s: whole numbers in range pass, all else is set aside',
    async (name) => {
      const { good, bad } = TYPES[name]!;
      expect((await valuesByUnit(job, 'k'))[name]).toEqual(good.map(BigInt));
      const set = await publishedColumns(
        job,
        'scoreline_row, scoreline_column, scoreline_reason, filename',
        'quarantine',
      );
      const here = [...set.filename!.keys()].filter(
        (row) => String(set.filename![row]).split('/').at(-2) === name,
      );
      expect(here.map((row) => [set.scoreline_row![row], set.scoreline_reason![row]])).toEqual([
        ...bad.map((_, at) => [BigInt(good.length + at), 'cast_failed']),
        [BigInt(good.length + bad.length), 'null_value'],
      ]);
    },
  );

  test('every row is accounted for, and none was changed', () => {
    expect(result.report.lossyCasts).toEqual([]);
    const { scored, quarantined, rows } = balancedLedger(job);
    expect(scored).toBe(Object.values(TYPES).reduce((sum, { good }) => sum + good.length, 0));
    expect(quarantined).toBe(rows - scored);
  });
});

describe('features of a float64 input', () => {
  test('keep what a double can hold, and integers beyond 2^53 count as changed', async () => {
    const job = makeCase({
      model: { path: modelPath('small/ints') },
      features: { i: 'zero', f: 'x' },
      quarantine: KEEP_ALL,
      output: { path: 'out', columns: { d: 'd' } },
    });
    await writeValues(job, 'x', {
      BIGINT: ['9007199254740992', '9007199254740993', '-9223372036854775808'],
      UBIGINT: ['18446744073709551615', '18446744073709549568'],
      FLOAT: ['0.1'],
      DOUBLE: ['0.1', '1e300'],
      UINTEGER: ['4294967295'],
    });
    const result = await job.run();
    expect(result).toMatchObject({ exit: 0, report: { error: null } });
    expect(await valuesByUnit(job, 'd')).toEqual({
      BIGINT: [2 ** 53, 2 ** 53, -(2 ** 63), Number.NaN],
      UBIGINT: [2 ** 64, 2 ** 64 - 2 ** 11, Number.NaN],
      FLOAT: [Math.fround(0.1), Number.NaN],
      DOUBLE: [0.1, 1e300, Number.NaN],
      UINTEGER: [4294967295, Number.NaN],
    });
    expect(lossyCastsByUnit(job)).toMatchObject({ BIGINT: { x: 1 }, UBIGINT: { x: 1 } });
    expect(result.report.lossyCasts).toEqual([{ column: 'x', values: 2 }]);
  });
});

describe('features of a text input', () => {
  test('take text and UUIDs, and refuse numbers by name', async () => {
    const job = makeCase({ model: { path: modelPath('small/strings') }, features: { s: 'x' } });
    const uuid = '6f1e0a3c-0000-4000-8000-00000000abcd';
    await writeParquet(
      join(job.input, 'a.parquet'),
      `SELECT unnest(['${uuid}'::UUID, '${uuid}'::UUID]) AS x`,
    );
    await writeParquet(join(job.input, 'b.parquet'), "SELECT unnest(['', 'é, 東京']) AS x");
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    expect(await publishedColumns(job)).toEqual({ same: [uuid, uuid, '', 'é, 東京'] });
    await writeParquet(join(job.input, 'c.parquet'), 'SELECT 7 AS x');
    const refused = await job.run();
    expect(refused.exit).toBe(4);
    expect(refused.stderr).toContain(
      'c.parquet: column "x" is INTEGER, model input "s" expects text',
    );
  });
});

describe('types that no input takes', () => {
  test('are refused, all at once, with the column and the type', async () => {
    const job = makeCase();
    await writeParquet(
      join(job.input, 'x.parquet'),
      "SELECT [1.0::FLOAT] AS a, TIMESTAMP '2020-01-01' AS b",
    );
    const result = await job.run();
    expect(result.exit).toBe(4);
    expect(result.stderr).toContain('column "a" is FLOAT[], model input "x" expects float32');
    expect(result.stderr).toContain('column "b" is TIMESTAMP, model input "x" expects float32');
  });
});

describe('kept columns', () => {
  const VALUES: Record<string, string> = {
    list: '[1, NULL, i]',
    list_of_lists: "[['a'], [], NULL]",
    struct: `{'x y': i, 'it''s "q"': 'v', n: {z: [i]}}`,
    list_of_structs: '[{k: i, v: NULL::VARCHAR}]',
    map: "MAP {'k1': i, 'k2': NULL}",
    timestamp: "TIMESTAMP '2024-02-29 23:59:59.123456' + INTERVAL (i) DAY",
    timestamp_ms: "TIMESTAMP_MS '1969-12-31 23:59:59.999'",
    timestamp_ns: "TIMESTAMP_NS '2024-02-29 23:59:59.123456789'",
    timestamptz: "TIMESTAMPTZ '2024-03-31 02:30:00+02'",
    date: "DATE '0001-01-01' + i::INTEGER",
    time: "TIME '23:59:59.999999'",
    decimal: "'12345678901234567890123456789012.3456'::DECIMAL(38,4) + i",
    small_decimal: "'-1.5'::DECIMAL(4,1)",
    blob: `'\\x00\\xFF\\x27'::BLOB`,
    uuid: "'6f1e0a3c-0000-4000-8000-00000000abcd'::UUID",
    enum_text: "'b'::ENUM('a', 'b')",
    interval: "INTERVAL '1 year 2 months 3 days 4 seconds'",
    text: `'é "quoted", ''東京''' || chr(10) || '🛫'`,
    empty: "''",
    boolean: 'i % 2 = 0',
    tinyint: '(-i)::TINYINT',
    ubigint: '18446744073709551615::UBIGINT',
    bigint: '9007199254740993 + i',
    float: '0.1::FLOAT',
    double: "'-0.0'::DOUBLE",
    nan: "'nan'::DOUBLE",
    json: `'{"a": [1, null]}'::JSON`,
    all_null: 'NULL::INTEGER[]',
  };
  const names = Object.keys(VALUES);
  // Every fourth row is filtered and every fifth is set aside, so that rows must be matched up.
  const rowsFrom = (columns: readonly string[], start: number): string =>
    `SELECT ${columns.map((name) => `CASE WHEN i % 7 <> 3 THEN ${VALUES[name]} END AS "${name}"`).join(', ')}, ` +
    `CASE WHEN i % 5 <> 0 THEN i END AS idx, i AS id FROM range(${start}, ${start + 40}) t(i)`;
  let job: JobCase;

  beforeAll(async () => {
    job = makeCase({
      input: { path: 'in', where: 'id % 4 <> 0' },
      model: { path: modelPath('small/ints') },
      features: { i: 'idx', f: 'id' },
      quarantine: KEEP_ALL,
      output: { path: 'out', keep: ['id', ...names], columns: { d: 'd' } },
    });
    await writeParquet(join(job.input, 'a.parquet'), rowsFrom(names, 0), { rowGroupSize: 7 });
    await writeParquet(join(job.input, 'b.parquet'), rowsFrom(names.toReversed(), 40));
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
  });

  test('keep their types', async () => {
    const source = await schemaOf(join(job.input, 'a.parquet'));
    const { id, d, ...kept } = await schemaOf(join(job.output, 'current/data', job.files()[0]!));
    expect({ id, d }).toEqual({ id: 'BIGINT', d: 'DOUBLE' });
    expect(kept).toEqual(Object.fromEntries(names.map((name) => [name, source[name]])));
  });

  test('keep their values beside the prediction of their row', async () => {
    const list = names.map((name) => `"${name}"`).join(', ');
    const source = await query(
      `SELECT id, ${list}, id * 2::DOUBLE AS d FROM read_parquet(['${job.input}/a.parquet', '${job.input}/b.parquet'], ` +
        'union_by_name = true) WHERE id % 4 <> 0 AND id % 5 <> 0 ORDER BY id',
    );
    const published = await query(`FROM read_parquet(${job.published()})`);
    expect(published).toEqual(source);
    expect(source).toHaveLength(48);
  });

  test('of rows that were set aside keep types and values too', async () => {
    const list = ['id', 'idx', ...names].map((name) => `"${name}"`).join(', ');
    const source = await query(
      `SELECT ${list} FROM read_parquet(['${job.input}/a.parquet', '${job.input}/b.parquet'], ` +
        'union_by_name = true) WHERE id % 4 <> 0 AND id % 5 = 0 ORDER BY id',
    );
    const set = await query(`SELECT ${list} FROM read_parquet(${job.published('quarantine')})`);
    expect(set).toEqual(source);
    expect(balancedLedger(job)).toEqual({ rows: 80, scored: 48, quarantined: 12, filtered: 20 });
  });
});
