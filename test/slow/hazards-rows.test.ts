/** What becomes of rows: keys, filters, kept integers beyond 2^53, and the same values in every output format. */
import { mkdirSync, renameSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { columns, exactPath, query, schemaOf, writeParquet } from '../parquet.js';
import { balancedLedger, manifestOf, publishedColumns } from '../published.js';

const OK = { exit: 0, report: { error: null } };

/** A job that keeps and checks the key id, with files given as SQL by path. */
async function keyed(files: Record<string, string>, input: object = {}): Promise<JobCase> {
  const job = makeCase({
    input: { path: 'in', key: 'id', ...input },
    output: { path: 'out', keep: ['id'] },
  });
  for (const [path, ids] of Object.entries(files)) {
    await writeParquet(
      join(job.input, path),
      `SELECT id, 1::FLOAT AS a, 2::FLOAT AS b FROM (SELECT unnest([${ids}]) AS id)`,
    );
  }
  return job;
}

describe('a key', () => {
  test('beyond 2^53 is kept exactly and told apart from its neighbour', async () => {
    const job = await keyed({
      'a.parquet': '9007199254740993, 9007199254740992',
      'b.parquet': '9007199254740994, -9223372036854775808, 9223372036854775807',
    });
    expect(await job.run()).toMatchObject(OK);
    const { id } = await publishedColumns(job);
    expect(id).toEqual([2n ** 53n + 1n, 2n ** 53n, 2n ** 53n + 2n, -(2n ** 63n), 2n ** 63n - 1n]);
  });

  test('given twice within a partition is refused by its value, across files', async () => {
    const job = await keyed({
      'p=1/a.parquet': '1, 2',
      'p=1/b.parquet': '3, 2',
      'p=2/c.parquet': '4',
    });
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('partition p=1: input.key "id" is not unique: 2 (2 times)');
  });

  test('may come again in another partition', async () => {
    const job = await keyed({ 'p=1/a.parquet': '1, 2', 'p=2/a.parquet': '2, 1' });
    expect(await job.run()).toMatchObject(OK);
    expect((await publishedColumns(job)).id).toEqual([1, 2, 2, 1]);
  });

  test('that is null is refused, unless its row is filtered', async () => {
    const job = await keyed({ 'p=1/a.parquet': '1, NULL, NULL' });
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('partition p=1: input.key "id" is null in 2 rows');
    job.change({ input: { path: 'in', key: 'id', where: 'id IS NOT NULL' } });
    expect(await job.run()).toMatchObject(OK);
    expect(balancedLedger(job)).toEqual({ rows: 3, scored: 1, quarantined: 0, filtered: 2 });
  });

  test('may be any type, and its text is shown shortened and escaped', async () => {
    const text = `'${'\u001b[31m'}${'k'.repeat(500)}'`;
    const job = await keyed({ 'a.parquet': `${text}, ${text}, 'x'` });
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('\\u{1b}[31mkk');
    expect(stderr).not.toContain('\u001b');
    expect(stderr.length).toBeLessThan(300);
    const lists = await keyed(
      { 'a.parquet': '[1], [2], NULL::INTEGER[]' },
      { where: 'id IS NOT NULL' },
    );
    expect(await lists.run()).toMatchObject(OK);
  });
});

describe('a kept column that is BIGINT in one file and DOUBLE in another', () => {
  test('never changes an integer beyond 2^53: it is refused, or kept exactly', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['n'] } });
    const rest = '1::FLOAT AS a, 2::FLOAT AS b';
    await writeParquet(join(job.input, 'a.parquet'), `SELECT 9007199254740993 AS n, ${rest}`);
    await writeParquet(join(job.input, 'b.parquet'), `SELECT 2.5::DOUBLE AS n, ${rest}`);
    const { exit, stderr } = await job.run();
    if (exit === 0) {
      const [row] = await query(`SELECT n::VARCHAR AS n FROM read_parquet(${job.published()})`);
      expect(row?.n).toMatch(/^9007199254740993/);
    } else {
      expect(exit).toBe(4);
      expect(stderr).toContain('output.keep "n"');
    }
  });

  test.each([
    ['INTEGER', 'DOUBLE', '-2147483648', '2.7', 'DOUBLE'],
    ['TINYINT', 'FLOAT', '7', '2.7', 'DOUBLE'],
    ['UINTEGER', 'INTEGER', '4294967295', '-1', 'BIGINT'],
    ['FLOAT', 'DOUBLE', '0.1', '0.1', 'DOUBLE'],
  ])('%s and %s: one type holds the values of both', async (first, second, a, b, both) => {
    const job = makeCase({ output: { path: 'out', keep: ['n'] } });
    const rest = '1::FLOAT AS a, 2::FLOAT AS b';
    await writeParquet(join(job.input, 'a.parquet'), `SELECT '${a}'::${first} AS n, ${rest}`);
    await writeParquet(join(job.input, 'b.parquet'), `SELECT '${b}'::${second} AS n, ${rest}`);
    expect(await job.run()).toMatchObject(OK);
    const file = join(job.output, 'current/data', job.files()[0]!);
    expect((await schemaOf(file)).n).toBe(both);
    const wanted = await columns(
      `SELECT unnest(['${a}'::${first}::${both}, '${b}'::${second}::${both}]) AS n`,
    );
    expect((await publishedColumns(job, 'n')).n).toEqual(wanted.n);
  });

  test('BIGINT and UBIGINT: refused, as no integer type holds both', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['n'] } });
    const rest = '1::FLOAT AS a, 2::FLOAT AS b';
    await writeParquet(join(job.input, 'a.parquet'), `SELECT -1::BIGINT AS n, ${rest}`);
    await writeParquet(join(job.input, 'b.parquet'), `SELECT 1::UBIGINT AS n, ${rest}`);
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('output.keep "n": is BIGINT in some files and UBIGINT in others');
  });
});

describe('a filter', () => {
  test('that no row passes leaves an empty file with the right columns and types', async () => {
    const job = await keyed(
      { 'p=1/a.parquet': '1, 2', 'p=2/b.parquet': '30' },
      { where: 'id > 20' },
    );
    expect(await job.run()).toMatchObject(OK);
    expect(job.files()).toEqual(['p=1/case-00000.parquet', 'p=2/case-00000.parquet']);
    const [empty, full] = await Promise.all(
      job.files().map((file) => schemaOf(join(job.output, 'current/data', file))),
    );
    expect(empty).toEqual({ id: 'INTEGER', y: 'FLOAT' });
    expect(empty).toEqual(full);
    expect(await publishedColumns(job)).toEqual({ id: [30], y: [9] });
    expect(balancedLedger(job)).toEqual({ rows: 3, scored: 1, quarantined: 0, filtered: 2 });
  });

  test('counts a row for which it is NULL as filtered, per file', async () => {
    const job = await keyed(
      { 'a.parquet': '1, NULL, 3', 'b.parquet': 'NULL::INTEGER' },
      { where: 'id <> 1' },
    );
    expect(await job.run()).toMatchObject(OK);
    const [unit] = Object.values(manifestOf(job).units);
    expect(unit?.inputs.map(({ path, ledger }) => [path, ledger.scored, ledger.filtered])).toEqual([
      ['a.parquet', 1, 2],
      ['b.parquet', 0, 1],
    ]);
    expect(balancedLedger(job)).toMatchObject({ rows: 4, filtered: 3 });
  });
});

describe('rows of which none can be scored', () => {
  test('leave an empty data file beside the quarantine', async () => {
    const job = makeCase({
      model: { path: modelPath('small/multi') },
      features: ['x0', 'x1', 'x2'],
      quarantine: { max: '100%' },
      output: { path: 'out', keep: ['x0'] },
    });
    await writeParquet(
      join(job.input, 'a.parquet'),
      "SELECT 'inf'::FLOAT AS x0, 'nan'::FLOAT AS x1, NULL::FLOAT AS x2 FROM range(3)",
    );
    expect(await job.run()).toMatchObject(OK);
    expect(balancedLedger(job)).toEqual({ rows: 3, scored: 0, quarantined: 3, filtered: 0 });
    expect(await schemaOf(join(job.output, 'current/data', job.files()[0]!))).toEqual({
      x0: 'FLOAT',
      p: 'FLOAT[]',
      label: 'BIGINT',
    });
  });
});

describe('output formats', () => {
  const KEEP = ['id', 'text', 'f', 'd', 'big', 'flag', 'day', 'moment', 'cost', 'list', 'nothing'];
  const ROWS =
    "SELECT i AS id, CASE i % 5 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN 'a,\"b\"' || chr(10) || 'c' WHEN 3 THEN 'NULL' ELSE 'é 東京' END AS text, " +
    '(i / 7)::FLOAT AS f, i / 7 AS d, 9007199254740993 + i AS big, i % 2 = 0 AS flag, ' +
    "DATE '2024-02-28' + i::INTEGER AS day, TIMESTAMP '2024-02-28 23:59:59.123456' + INTERVAL (i) HOUR AS moment, " +
    '(i / 4)::DECIMAL(9,2) AS cost, [i, NULL] AS list, NULL::INTEGER AS nothing, ' +
    '(i / 3)::FLOAT AS a, (i / 9)::FLOAT AS b FROM range(40) t(i)';
  let job: JobCase;
  let source: Record<string, unknown>[];
  const select = `SELECT ${KEEP.join(', ')}, y FROM`;

  beforeAll(async () => {
    job = makeCase({ output: { path: 'out', keep: KEEP } });
    await writeParquet(join(job.input, 'x.parquet'), ROWS);
    expect(await job.run()).toMatchObject(OK);
    source = await query(`${select} read_parquet(${job.published()})`);
    expect(source).toHaveLength(40);
    const kept = KEEP.join(', ');
    expect(await query(`SELECT ${kept} FROM read_parquet(${job.published()})`)).toEqual(
      await query(`SELECT ${kept} FROM '${job.input}/x.parquet'`),
    );
  });

  test.each(['snappy', 'gzip', 'lz4', 'uncompressed'])(
    'parquet, %s: the same values',
    async (compression) => {
      job.change({ output: { path: 'out', keep: KEEP, compression } });
      expect(await job.run()).toMatchObject(OK);
      expect(await query(`${select} read_parquet(${job.published()})`)).toEqual(source);
      const [meta] = await query(
        `SELECT DISTINCT compression FROM parquet_metadata(${job.published()})`,
      );
      expect(String(meta?.compression).toLowerCase()).toBe(
        compression === 'lz4' ? 'lz4_raw' : compression,
      );
    },
  );

  test.each([
    [undefined, 'csv'],
    ['none', 'csv'],
    ['gzip', 'csv.gz'],
    ['zstd', 'csv.zst'],
  ])('csv, %s: the same values, null and empty text told apart', async (compression, extension) => {
    job.change({
      output: { path: 'out', keep: KEEP, format: 'csv', ...(compression && { compression }) },
    });
    expect(await job.run()).toMatchObject(OK);
    expect(job.files()).toEqual([`case-00000.${extension}`]);
    const described = await query(
      `DESCRIBE ${select} '${job.input}/x.parquet', (SELECT 0::FLOAT AS y)`,
    );
    const types = described.map((row) => `'${row.column_name}': '${row.column_type}'`).join(', ');
    const path = exactPath(join(job.output, 'current/data', job.files()[0]!));
    const read = await query(
      `${select} read_csv(${path}, header = true, delim = ',', quote = '"', allow_quoted_nulls = false, columns = {${types}})`,
    );
    expect(read).toEqual(source);
  });

  test('snappy is read by another reader, with the same values', async () => {
    const flat = ['id', 'text', 'f', 'd', 'flag'];
    job.change({ output: { path: 'out', keep: flat, compression: 'snappy' } });
    expect(await job.run()).toMatchObject(OK);
    const { ParquetReader } = createRequire(import.meta.url)('parquetjs-lite');
    const reader = await ParquetReader.openFile(join(job.output, 'current/data', job.files()[0]!));
    const cursor = reader.getCursor();
    const rows: Record<string, unknown>[] = [];
    for (let row = await cursor.next(); row; row = await cursor.next()) rows.push(row);
    await reader.close();
    const wanted = await columns(
      `SELECT ${flat.join(', ')}, y FROM read_parquet(${job.published()})`,
    );
    expect(rows).toHaveLength(40);
    for (const name of [...flat, 'y']) {
      // It gives a null as an absent field, and what it finds in a dictionary as text.
      const values = rows.map((row, at) => {
        const value = row[name] ?? null;
        if (typeof value !== 'string') return value;
        const like = wanted[name]?.[at];
        if (typeof like === 'bigint') return BigInt(value);
        return typeof like === 'number' ? Number(value) : value;
      });
      expect(values).toEqual(wanted[name]);
    }
  });
});

describe('folders whose own names bite', () => {
  test('hold jobs, inputs and outputs like any other', async () => {
    const job = makeCase({
      input: { path: 'data/i*n [1] \'q\' "r"' },
      output: { path: 'out/*?[x]; -- é\n', keep: ['id'] },
      quarantine: { max: '100%' },
    });
    await writeParquet(
      join(job.input, 'x [a-z]*.parquet'),
      "SELECT i AS id, CASE WHEN i = 1 THEN 'inf'::FLOAT ELSE i END AS a, 1::FLOAT AS b FROM range(3) t(i)",
    );
    // Names that the first would match if it were a glob.
    await writeParquet(
      join(job.folder, 'decoy.parquet'),
      'SELECT 9 AS id, 9::FLOAT AS a, 9::FLOAT AS b',
    );
    mkdirSync(join(job.folder, 'data'));
    renameSync(job.input, join(job.folder, 'data/i*n [1] \'q\' "r"'));
    expect(await job.run()).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 3, scored: 2, quarantined: 1, filtered: 0 } },
    });
    const folder = join(job.folder, 'out/*?[x]; -- é\n/current/data');
    expect(
      await columns(`FROM read_parquet(${exactPath(join(folder, 'case-00000.parquet'))})`),
    ).toEqual({
      id: [0n, 2n],
      y: [4, 8],
    });
    expect((await job.run()).report.outcome).toBe('unchanged');
  });
});
