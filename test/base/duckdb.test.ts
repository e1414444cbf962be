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

test("the system's reason is not cut off behind a long path", () => {
  const path = `/srv/${'long/'.repeat(80)}data.parquet`;
  const error = new Error(`IO Error: Could not write file "${path}": No space left on device`);
  const refused = duckdbError(error, 'p=1/x.parquet', 'input');
  expect([refused.code, refused.message]).toEqual([
    'environment',
    expect.stringMatching(/^p=1\/x\.parquet: No space left on device: IO Error: Could not write /),
  ]);
});
