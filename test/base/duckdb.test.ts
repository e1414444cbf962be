import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type Chunk, Database, duckdbError, guardedSql } from '../../src/base/duckdb.js';
import { makeFolder } from '../scoreline.js';

let database: Database;

beforeAll(async () => {
  const folder = makeFolder();
  database = await Database.open({
    memoryLimitBytes: 2 ** 28,
    temporaryFolder: join(folder, 'spill'),
    allowedFolders: [folder],
  });
});

afterAll(() => database.close());

async function chunksOf(sql: string, whole: boolean): Promise<Chunk[]> {
  const chunks: Chunk[] = [];
  for await (const chunk of database.chunks(sql, whole)) chunks.push(chunk);
  return chunks;
}

test.each([true, false])(
  'texts come as they are, a byte order mark at their start too (whole: %s)',
  async (whole) => {
    const texts =
      "['\ufeffa', 'a', '', NULL, '=', 'a longer text than a vector holds in place', '\ufeff']";
    const [chunk] = await chunksOf(`SELECT ${guardedSql(`unnest(${texts})`, false)}`, whole);
    expect(chunk?.texts(0)).toEqual([
      '\ufeffa',
      'a',
      '',
      null,
      '=',
      'a longer text than a vector holds in place',
      '\ufeff',
    ]);
    const [lists] = await chunksOf(`SELECT ${guardedSql("['\ufeffa', NULL, '']", true)}`, whole);
    expect(lists?.lists(0, 'utf8', 3).values).toEqual(['\ufeffa', null, '']);
  },
);

test.each([true, false])('rows come in order, in chunks (whole: %s)', async (whole) => {
  const chunks = await chunksOf('SELECT i::INTEGER FROM range(5000) t(i)', whole);
  const values = chunks.flatMap((chunk) => {
    const bytes = chunk.bytes(0, 'int32');
    return [...new Int32Array(bytes.buffer, bytes.byteOffset, chunk.rows)];
  });
  expect(values).toEqual(Array.from({ length: 5000 }, (_, row) => row));
});

test('a streamed result has all its rows whatever runs beside it', async () => {
  await database.run('CREATE OR REPLACE TABLE beside (n INTEGER)');
  const appender = await database.appender('beside');
  let rows = 0;
  let beside = 0;
  for await (const chunk of database.chunks('SELECT i FROM range(1000000) t(i)', false)) {
    const first = new BigInt64Array(chunk.bytes(0, 'int64').slice().buffer)[0];
    expect(first).toBe(BigInt(rows));
    rows += chunk.rows;
    const values = new Int32Array(chunk.rows);
    appender.append([{ element: 'int32', width: 1, values }], 0, chunk.rows);
    if (rows % 100_000 < 2048) {
      const [row] = await database.rows('SELECT 1::INTEGER AS one');
      expect(row).toEqual({ one: 1 });
      for await (const other of database.chunks('SELECT i FROM range(5000) t(i)', false))
        beside += other.rows;
    }
  }
  appender.close();
  expect(rows).toBe(1_000_000);
  expect(beside).toBeGreaterThanOrEqual(10 * 5000);
  const [count] = await database.rows('SELECT count(*)::INTEGER AS n FROM beside');
  expect(count).toEqual({ n: 1_000_000 });
});

test.each([true, false])(
  'what ends a result early is thrown, however far it has come (whole: %s)',
  async (whole) => {
    const sql =
      "SELECT CASE WHEN i = 500000 THEN error('no more') ELSE i END AS streamed, i, i FROM range(1000000) t(i)";
    await expect(chunksOf(sql, whole)).rejects.toThrow(/^Invalid Input Error: no more$/);
  },
);

test('what is streamed has the settings of everything else, and cannot change them', async () => {
  const settings = ['TimeZone', 'default_null_order', 'default_collation', 'lock_configuration'];
  const sql = `SELECT ${settings.map((name) => guardedSql(`CAST(current_setting('${name}') AS VARCHAR)`, false)).join(', ')}`;
  for (const whole of [true, false]) {
    const [chunk] = await chunksOf(sql, whole);
    expect(settings.map((_, column) => chunk?.texts(column)[0])).toEqual([
      'UTC',
      'NULLS_LAST',
      '',
      'true',
    ]);
  }
  await expect(chunksOf("FROM read_text('/etc/hostname')", false)).rejects.toThrow(
    /Permission Error/,
  );
});

test("the system's reason is not cut off behind a long path", () => {
  const path = `/srv/${'long/'.repeat(80)}data.parquet`;
  const error = new Error(`IO Error: Could not write file "${path}": No space left on device`);
  const refused = duckdbError(error, 'p=1/x.parquet', 'input');
  expect([refused.code, refused.message]).toEqual([
    'environment',
    expect.stringMatching(/^p=1\/x\.parquet: No space left on device: IO Error: Could not write /),
  ]);
});
