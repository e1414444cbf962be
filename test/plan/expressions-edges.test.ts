/** Filters that are valid for DuckDB in the place where they are parsed, but are not one expression of a row. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { checkExpressionText } from '../../src/worker/describe.js';
import { failure } from '../failure.js';
import { makeFolder } from '../scoreline.js';

const COLUMNS = [
  { name: 'a', type: 'INTEGER' },
  { name: 'b', type: 'DOUBLE' },
  { name: 's', type: 'VARCHAR' },
  { name: 't', type: 'TIMESTAMP' },
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

function check(expression: string): Promise<void> {
  const ask = { expression, where: 'input.where', columns: COLUMNS };
  return checkExpressionText(database, ask);
}

test.each([
  ['parentheses that it did not open', 'a > 1) OR (b > 2'],
  ['parentheses around an operator', 'a) = (1'],
  ['parentheses around IN', 'true) IN (true'],
])('a filter with %s is refused: %s', async (_name, expression) => {
  const error = await failure(() => check(expression));
  expect([error.code, error.message]).toEqual(['usage', expect.stringMatching(/^input\.where: ./)]);
});

test.each(['b < 1e400', 'b > -1e999 AND a = 1', "b < 'Infinity'::DOUBLE"])(
  'a number beyond all bounds is a number or a refusal, never a bug: %s',
  async (expression) => {
    const refused = await check(expression).then(
      () => undefined,
      (error: unknown) => error,
    );
    expect(refused === undefined || (refused as { code?: string }).code === 'usage').toBe(true);
  },
);

test.each([
  'json_serialize_plan(s) IS NULL',
  'json_deserialize_sql(s) IS NULL',
  'age(t) > INTERVAL 1 DAY',
  'current_localtime() IS NULL',
  'current_localtimestamp() > t',
])('a function that looks at the clock or the catalog is refused: %s', async (expression) => {
  const error = await failure(() => check(expression));
  expect([error.code, error.message]).toEqual([
    'usage',
    expect.stringMatching(/function \w+\(\) is not allowed/),
  ]);
});
