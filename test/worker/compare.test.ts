import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { compareParts } from '../../src/worker/compare.js';
import { writeParquet } from '../parquet.js';
import { makeFolder } from '../scoreline.js';

const folder = makeFolder();
let database: Database;

beforeAll(async () => {
  database = await Database.open({
    memoryLimitBytes: 2 ** 28,
    temporaryFolder: join(folder, 'spill'),
    allowedFolders: [folder],
  });
});
afterAll(() => database.close());

async function compare(published: string, again: string) {
  const paths = {
    published: join(folder, 'published.parquet'),
    again: join(folder, 'again.parquet'),
  };
  await writeParquet(paths.published, published);
  await writeParquet(paths.again, again);
  return compareParts(database, { ...paths, shownAs: 'x.parquet' });
}

describe('two files of rows', () => {
  test('are the same where every value has the same bits, whatever the bytes around them', async () => {
    const select = "SELECT i::FLOAT / 3 AS x, [i, NULL] AS l, 'ä' || i AS t FROM range(5000) t(i)";
    const answer = await compare(select, `${select} ORDER BY i`);
    expect(answer).toEqual({ rows: 5000, different: 0, differences: [] });
    expect(await compare("SELECT 'nan'::FLOAT AS x", "SELECT 'nan'::FLOAT AS x")).toMatchObject({
      different: 0,
    });
  });

  test.each([
    ['the last bit of a float', '0.1::FLOAT', '0.10000001::FLOAT', '0.1', '0.10000001'],
    [
      'the last bit of a double',
      '0.1::DOUBLE',
      '0.10000000000000002::DOUBLE',
      '0.1',
      '0.10000000000000002',
    ],
    ['the sign of a zero', "'-0.0'::FLOAT", "'0.0'::FLOAT", '-0.0', '0.0'],
    ['a null', 'NULL::FLOAT', '0::FLOAT', null, '0.0'],
    ['a value in a list', '[1, 2]::FLOAT[]', '[1, 3]::FLOAT[]', '[1.0, 2.0]', '[1.0, 3.0]'],
    ['a space', "'a'", "'a '", 'a', 'a '],
  ])('differ by %s', async (_what, published, again, one, other) => {
    expect(await compare(`SELECT ${published} AS "a b"`, `SELECT ${again} AS "a b"`)).toEqual({
      rows: 1,
      different: 1,
      differences: [{ row: 0, column: 'a b', published: one, again: other }],
    });
  });

  test('differ in more values than are named, the first of each column first', async () => {
    const answer = await compare(
      'SELECT i AS a, i AS b FROM range(100) t(i)',
      'SELECT i + (i > 9)::INT AS a, i AS b FROM range(100) t(i)',
    );
    expect(answer).toMatchObject({ different: 90 });
    const rows = 'differences' in answer ? answer.differences.map(({ row }) => row) : [];
    expect(rows).toEqual([10, 11, 12, 13, 14]);
  });

  test('cannot be compared where they have other columns, types or numbers of rows', async () => {
    expect(await compare('SELECT 1 AS a', 'SELECT 1 AS b')).toEqual({
      problem: 'has the columns "a" INTEGER, not "b" INTEGER',
    });
    expect(await compare('SELECT 1 AS a', 'SELECT 1::BIGINT AS a')).toHaveProperty('problem');
    expect(await compare('SELECT 1 AS a', 'SELECT 1 AS a FROM range(2)')).toEqual({
      problem: 'has 1 rows, not 2',
    });
  });
});
