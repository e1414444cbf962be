/** Expressions whose constants would take much memory or time are refused before DuckDB computes them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { checkExpressionText } from '../../src/worker/expression.js';
import { failure } from '../failure.js';
import { makeFolder } from '../scoreline.js';
import { HOSTILE } from './hostile-expressions.js';

const COLUMNS = [
  { name: 'a', type: 'INTEGER' },
  { name: 'text', type: 'VARCHAR' },
  { name: 'moment', type: 'TIMESTAMP' },
  { name: 'list', type: 'INTEGER[]' },
];

let database: Database;

beforeAll(async () => {
  const folder = makeFolder();
  database = await Database.open({
    memoryLimitBytes: 2 ** 28,
    temporaryFolder: folder,
    allowedFolders: [folder],
  });
});

afterAll(() => {
  database.close();
});

/** Checks an expression; tells whether DuckDB was asked to bind it. */
async function check(expression: string): Promise<boolean> {
  let bound = false;
  await checkExpressionText(
    database,
    { expression, where: 'input.where', columns: COLUMNS },
    (_limit, work) => {
      bound = true;
      return work();
    },
  );
  return bound;
}

test.each(HOSTILE.map((expression) => [expression.slice(0, 80).trim(), expression]))(
  'refuses %s',
  async (_name, expression) => {
    const started = performance.now();
    const before = process.memoryUsage.rss();
    const error = await failure(() => check(expression));
    expect([error.code, error.message]).toEqual([
      'usage',
      expect.stringMatching(/^input\.where: [^\n]* (?:allowed: |too large)/),
    ]);
    expect(performance.now() - started).toBeLessThan(1000);
    expect(process.memoryUsage.rss() - before).toBeLessThan(100e6);
  },
);

test('names at least sixty of them', () => {
  expect(HOSTILE.length).toBeGreaterThan(60);
});

describe('accepts what people write:', () => {
  test.each([
    "repeat(text, 3) = 'abcabcabc'",
    "lpad(text, 10, '0') = '0000000042'",
    "rpad(trim(lower(text)), 20, ' ') <> ''",
    'a IN (1, 2) IS NULL',
    `a IN (${Array.from({ length: 9000 }, (_, i) => i).join(',')})`,
    `text IN (${Array.from({ length: 4000 }, (_, i) => `'customer-${i}'`).join(',')})`,
    'len(range(a)) > 3',
    'list_contains(range(1, 9000), a)',
    'list_contains(generate_series(0, 1000000, 1000), a)',
    'len(range(moment, moment + INTERVAL 7 DAY, INTERVAL 1 HOUR)) > 3',
    "format('{:>5}', text) = '   ab'",
    "printf('%08.2f', a) = '00000001.00'",
    "strftime(moment, '%Y-%m-%d %H:%M:%S') > '2024-01-01 00:00:00'",
    "replace(replace(replace(text, '.', ''), ',', '.'), ' ', '')::DOUBLE > 1",
    "regexp_replace(text, '[^0-9]', '', 'g') <> ''",
    "concat_ws('-', text, a, moment) = 'x-1-2024-01-01 00:00:00'",
    "nullif(nullif(nullif(text, ''), 'NA'), 'null') IS NOT NULL",
    "split_part(split_part(text, '-', 1), '_', 2) = 'x'",
    "array_to_string(list, ',') = '1,2'",
    'list_sum(list) > 1 AND list_avg(list) < 3 AND len(list_distinct(list)) > 1',
    'list::INTEGER[3] IS NOT NULL',
    "hex(text) = '41' AND md5(text) <> '' AND to_base64(text::BLOB) <> ''",
    "json_extract_string(text, '$.a') = 'x' AND json_valid(text)",
    `text = '${'x'.repeat(20_000)}'`,
    `upper('${'x'.repeat(20_000)}') = text`,
    `CAST('${'x'.repeat(20_000)}' AS VARCHAR) = text OR '${'y'.repeat(20_000)}' || text = 'z'`,
    `a = 0${Array.from({ length: 1500 }, (_, i) => ` OR a = ${i}`).join('')}`,
    'a * 1000000000 > 3 AND a + 5000000000 > 1 AND 10 ** 9 > a',
    "moment BETWEEN TIMESTAMP '2000-01-01' AND TIMESTAMP '2030-01-01' + INTERVAL 100000 DAY",
    'power(a, 9) > 1e300 AND round(a / 1e-9, 3) > 1e12',
  ])('%s', async (expression) => {
    // A refusal of DuckDB's own comes after the limits.
    const bound = await check(expression).catch((error: unknown) => String(error));
    expect(bound).toSatisfy(
      (answer: unknown) => answer === true || /text is|column "text"/.test(String(answer)),
    );
  });
});
