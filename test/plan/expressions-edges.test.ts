/** Filters that are valid for DuckDB in the place where they are parsed, but are not one expression of a row. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { checkExpressionText, type Limited } from '../../src/worker/expression.js';
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

const unlimited: Limited = (_limit, work) => work();

function check(expression: string): Promise<void> {
  const ask = { expression, where: 'input.where', columns: COLUMNS };
  return checkExpressionText(database, ask, unlimited);
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

const TYPED = [
  ...COLUMNS,
  { name: 'flag', type: 'BOOLEAN' },
  { name: 'price', type: 'DECIMAL(5,2)' },
  { name: 'day', type: 'DATE' },
  { name: 'hour', type: 'TIME' },
  { name: 'kind', type: "ENUM('7', '8')" },
  { name: 'numbers', type: 'INTEGER[]' },
  { name: 'texts', type: 'VARCHAR[]' },
  { name: 'pair', type: 'STRUCT(x INTEGER, y VARCHAR)' },
];

function checkTyped(expression: string): Promise<void> {
  return checkExpressionText(
    database,
    { expression, where: 'input.where', columns: TYPED },
    unlimited,
  );
}

const COLUMN = /^input\.where: column "s" is text/;
const CONSTANT = /^input\.where: '[^']*' is text/;
const OTHER = /^input\.where: text is/;
/** DuckDB itself refuses these. */
const DUCKDB =
  /^input\.where: Binder Error: Cannot .* an explicit cast is required; text is column "s": give it a type/;

test.each([
  ['s = 7', COLUMN],
  ['7 = s', COLUMN],
  ['s <> 7', COLUMN],
  ['s < 7.5', DUCKDB],
  ['s = a', COLUMN],
  ['S >= b', DUCKDB],
  ['s IN (1, 2)', COLUMN],
  ["s NOT IN (1, '2')", COLUMN],
  ['s BETWEEN a AND a', DUCKDB],
  ['CASE s WHEN 7 THEN true END', COLUMN],
  ['CASE WHEN s THEN true END', COLUMN],
  ['s IS DISTINCT FROM 7', COLUMN],
  ['s IS NOT DISTINCT FROM 7', COLUMN],
  ['NULLIF(s, 7) IS NULL', COLUMN],
  ['s = true', COLUMN],
  ['flag = s', COLUMN],
  ['NOT s', COLUMN],
  ['s AND flag', COLUMN],
  ['true = flag AND s = false', COLUMN],
  ['s COLLATE NOCASE = 7', COLUMN],
  ['CAST(s AS VARCHAR) = 7', COLUMN],
  // An explicit cast elsewhere stands for itself alone.
  ['CAST(s AS INTEGER) = 7 AND s = 7', COLUMN],
  ["a = INTEGER '7' AND s = 7", COLUMN],
  ['t = s', COLUMN],
  ["a = '1.4'", CONSTANT],
  ["a IN (1, '2.4')", CONSTANT],
  ["price = '1.234'", CONSTANT],
  ["flag = 'yes'", CONSTANT],
  ["coalesce(a, '1.4') = 1", CONSTANT],
  ["left(s, '1.6') = 'x'", CONSTANT],
  ['kind = 7', /^input\.where: column "kind" is text/],
  ['texts[1] = 7', OTHER],
  ['true = flag AND texts[1] = true', OTHER],
  ['pair.y = 7', OTHER],
  ['lower(s) = 7', OTHER],
  ['CAST(a AS VARCHAR) = 7', OTHER],
  ["strftime(t, '%Y') = 2024", OTHER],
  ["strftime(t, '%Y') = t", OTHER],
  ["list_contains(numbers, '1.4')", CONSTANT],
])(
  'text that would be taken for a number, a truth value or a time is refused: %s',
  async (expression, message) => {
    const error = await failure(() => checkTyped(expression));
    expect([error.code, error.message]).toEqual(['usage', expect.stringMatching(message)]);
    expect(error.message).not.toContain('\n');
    expect(error.message).toMatch(/CAST|without quotes/i);
  },
);

test.each([
  "s = '7'",
  "s IN ('1', '2') AND s BETWEEN '1' AND '2'",
  "CASE s WHEN '7' THEN true END",
  's IS DISTINCT FROM NULL',
  'coalesce(s, NULL) IS NULL',
  'CAST(s AS INTEGER) = 7',
  's::INT = 7 AND s::VARCHAR::BIGINT = 7',
  'TRY_CAST(s AS DOUBLE) > 7.5',
  "a = INTEGER '7' AND flag = true AND NOT false",
  "flag = CAST('yes' AS BOOLEAN)",
  'a = 1.5 AND b = a AND price < a AND flag = 1',
  "day >= '2024-01-01' AND day IN ('2024-01-01', '2024-01-02')",
  "t BETWEEN '2024-01-01' AND '2024-01-01 10:00:00'",
  "hour > '10:00'",
  'day > t AND s::DATE = day AND s::TIMESTAMP < t',
  "kind = '7'",
  "s || 7 = 'x7'",
  "array_to_string(numbers, ',') = '1,2'",
  "texts = ['a'] AND texts[1] = 'x' AND pair.y = 'z'",
])(
  'text beside text, what is cast by hand, and times written as text are allowed: %s',
  async (expression) => {
    await expect(checkTyped(expression)).resolves.toBeUndefined();
  },
);
