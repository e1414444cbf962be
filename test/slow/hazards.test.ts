/** What DuckDB does silently, and scoreline must not: cases that need a file of another writer, or several schemas. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCase, modelPath } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';

describe('files of one partition whose schemas differ', () => {
  test('a quarantined row keeps the columns of its own file', async () => {
    const job = makeCase({
      model: { path: modelPath('small/nan-out') },
      features: ['x'],
      quarantine: { max: '100%' },
    });
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
  test('a decimal wider than 38 digits is refused rather than read as garbage', async () => {
    const job = makeCase();
    writeFileSync(join(job.input, 'x.parquet'), Buffer.from(DECIMAL_45, 'base64'));
    const result = await job.run();
    expect(result.exit).toBe(4);
    expect(result.stderr).toMatch(/^scoreline: x\.parquet: .*"a"/);
  });

  test('a key that is an integer in one file and a float in another is compared exactly, or refused by its types', async () => {
    const job = makeCase({ input: { path: 'in', key: 'id' } });
    const ab = '1::FLOAT AS a, 2::FLOAT AS b';
    await writeParquet(
      join(job.input, '1.parquet'),
      `SELECT 9007199254740993 + i AS id, ${ab} FROM range(5) t(i)`,
    );
    await writeParquet(join(job.input, '2.parquet'), `SELECT 0.5::DOUBLE AS id, ${ab}`);
    const { exit, stderr } = await job.run();
    expect([0, 4]).toContain(exit);
    expect(stderr).not.toContain('not unique');
  });
});

describe('a filter', () => {
  test('that is no condition over the columns of a row is refused as a mistake in the job', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
    const filters: [string, RegExp][] = [
      ['c > 1', /input\.where: .*"?c"?/],
      ['a > random()', /input\.where: function random\(\) is not allowed/],
      ["a > (SELECT count(*) FROM read_text('x'))", /input\.where: subquery/],
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
