import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { checkExpressionText, type Limited } from '../../src/worker/expression.js';
import { failure } from '../failure.js';
import { makeFolder } from '../scoreline.js';

/** The columns of the rows that expressions are checked against. */
const COLUMNS = [
  { name: 'a', type: 'INTEGER' },
  { name: 'b', type: 'DOUBLE' },
  { name: 'flag', type: 'BOOLEAN' },
  { name: 'text', type: 'VARCHAR' },
  { name: 'day', type: 'DATE' },
  { name: 'moment', type: 'TIMESTAMP' },
  { name: 'list', type: 'INTEGER[]' },
  { name: 'pair', type: 'STRUCT(x INTEGER, "y z" DOUBLE)' },
  { name: 'odd "name"', type: 'BIGINT' },
  { name: 'select', type: 'BIGINT' },
];

let database: Database;

beforeAll(async () => {
  const folder = makeFolder();
  database = await Database.open({
    memoryLimitBytes: 512 * 2 ** 20,
    temporaryFolder: folder,
    allowedFolders: [folder],
  });
});

afterAll(() => {
  database.close();
});

const unlimited: Limited = (_limit, work) => work();

function check(expression: string): Promise<void> {
  return checkExpressionText(
    database,
    { expression, where: 'input.where', columns: COLUMNS },
    unlimited,
  );
}

describe('accepted is', () => {
  test.each([
    'a = 1',
    'flag',
    'NOT flag AND a IS NOT NULL',
    'TRUE',
    'a BETWEEN 1 AND 10 OR a IN (20, 30)',
    "text LIKE 'x%' AND text NOT ILIKE '%;%'",
    "text = '; DROP TABLE x; --'",
    "text = 'it''s'",
    "regexp_matches(text, '^[a-z]+$')",
    "CASE WHEN a > 1 THEN flag WHEN b < 2 THEN a = 3 ELSE text <> '' END",
    'CAST(text AS INTEGER) > 3',
    'TRY_CAST(text AS DOUBLE) IS NULL',
    'text::DATE > day',
    "day >= DATE '2024-01-01' AND moment < TIMESTAMP '2024-01-01 00:00:00'",
    'year(day) = 2024',
    "date_trunc('month', moment) = moment",
    "moment + INTERVAL '1 day' > moment",
    'coalesce(a, 0) + abs(b) > sqrt(2)',
    'nullif(a, 0) > 1',
    'NULLIF(a, 0) IS NULL',
    "split_part(text, '-', 1) = 'x'",
    'fmod(b, 2) = 1 AND fdiv(b, 2) = 3',
    'round_even(b, 1) = roundbankers(b, 1)',
    'list_sum(list_append(list, a)) > 3',
    'days_in_month(day) = 31',
    'a % 7 = 0 AND (a & 1) = 1 AND a // 2 = 3',
    'b IS DISTINCT FROM a',
    'isnan(b)',
    'greatest(a, b) > least(a, 3)',
    "text IN ('x', 'y')",
    'list[1] = 3 AND len(list) > 0',
    'list_contains(list, 4)',
    'pair.x > 1 AND pair."y z" < 2',
    '"odd ""name""" = 1',
    '"select" = 1',
    'A = 1 AND TEXT IS NULL',
    "text COLLATE NOCASE = 'abc'",
    "lower(trim(text)) || 'x' = upper('abc')",
    'hash(a) % 100 < 10',
    "md5(text) < '8'",
    'a = 1 -- a remark at the end',
    'a /* within */ = 1',
    '\n  a\n=\n1\n',
    '((((a = 1))))',
    "text = 'größe \u{1f600}'",
    'a IS NULL OR a NOT IN (1, 2)',
  ])('%s', async (expression) => {
    await expect(check(expression)).resolves.toBeUndefined();
  });
});

describe('refused is', () => {
  /** Each a way to see or do more than the row's own values allow. */
  const REFUSED: Readonly<Record<string, readonly string[]>> = {
    'another query': [
      '(SELECT true)',
      'a = (SELECT max(a) FROM scoreline_rows)',
      'EXISTS (SELECT 1)',
      'EXISTS (FROM scoreline_rows)',
      'a IN (SELECT 1)',
      'a = ANY (SELECT 1)',
      'SELECT true',
      'FROM scoreline_rows',
      'list = ARRAY(SELECT 1)',
      "(TABLE 'x.parquet')",
      '(VALUES (true))',
      'WITH t AS (SELECT 1) SELECT true',
    ],
    'what leaves its parentheses': [
      '1) FROM x; DROP TABLE y; --',
      "true) FROM scoreline_rows; COPY (SELECT 1) TO '/tmp/x'; --",
      'true) FROM scoreline_rows --',
      'true) FROM scoreline_rows WHERE (true',
      'true) FROM range(3) AS scoreline_rows; SELECT (true',
      'true), (true',
      'true) AS x, (false',
      'true) OVER (',
      'true) UNION ALL SELECT (false',
      'true) FROM scoreline_rows LIMIT (1',
      'true) FROM scoreline_rows ORDER BY (a',
      'true) FROM scoreline_rows, (SELECT 1',
      'true) FROM scoreline_rows USING SAMPLE (1',
      'true) FROM scoreline_rows QUALIFY (true',
      'true)/*',
      ')(',
      "true) FROM 'x.parquet' AS scoreline_rows --",
      '*/ true /*',
    ],
    'what is not one expression': [
      'true, false',
      'a = 1; a = 2',
      'a = 1;',
      'a, b',
      '',
      '   ',
      '-- only a remark',
      '/* only a remark */',
      '(a = 1',
      'a = 1)',
      "text = 'x",
      'a = ',
      'AND a',
      'true AS x',
      '/* open',
    ],
    aggregates: [
      'max(a) > 1',
      'count(*) > 0',
      'count() > 0',
      'sum(a) FILTER (WHERE flag) > 0',
      'bool_and(flag)',
      'first(flag)',
      "string_agg(text, ',') = ''",
      'list(a) = [1]',
      'GROUPING(a) = 1',
    ],
    windows: [
      'row_number() OVER () = 1',
      'lag(a) OVER (ORDER BY b) = a',
      'max(a) OVER (PARTITION BY text) = a',
      'rank() OVER (ORDER BY a) < 3',
    ],
    'what is not settled by the row': [
      'random() < 0.5',
      'setseed(0.5) IS NULL',
      'moment < now()',
      'day < current_date',
      'day < today()',
      'moment < current_timestamp',
      'moment < localtimestamp',
      'CAST(current_time AS VARCHAR) = text',
      'moment < get_current_timestamp()',
      'transaction_timestamp() > moment',
      'uuid() IS NULL',
      'gen_random_uuid() IS NULL',
      'uuidv7() IS NULL',
      "nextval('s') > 1",
      "currval('s') > 1",
      'txid_current() > 1',
      'pg_backend_pid() > 1',
      'age(moment) > INTERVAL 1 DAY',
      'ago(INTERVAL 1 DAY) < moment',
      'nullif(ago(INTERVAL 1 DAY), moment) IS NULL',
      'pg_conf_load_time() < moment',
      'moment < current_localtimestamp()',
      'CAST(current_localtime() AS VARCHAR) = text',
      'CAST(localtime AS VARCHAR) = text',
    ],
    'what tells of the machine or the session': [
      "getenv('HOME') = text",
      "current_setting('threads') = text",
      "getvariable('x') = 1",
      'version() = text',
      'current_user = text',
      'current_user() = text',
      "has_table_privilege(text, 'x')",
      'pg_my_temp_schema() = a',
      'pg_sleep(b) IS NULL',
      'get_block_size(text) = 1',
      'format_type(a, a) = text',
      'current_database() = text',
      'current_schema() = text',
      'current_query() = text',
      'user = text',
      'current_role = text',
      'current_catalog = text',
      'current_schema = text',
      "vector_type(a) = 'FLAT_VECTOR'",
      'session_user = text',
      "read_text('/etc/passwd') IS NOT NULL",
      "read_parquet('x.parquet') IS NOT NULL",
      "read_csv('x') IS NOT NULL",
      "glob('/*') IS NOT NULL",
      "query('SELECT 1') IS NOT NULL",
      "query_table('x') IS NOT NULL",
      'duckdb_settings() IS NOT NULL',
      'pragma_version() IS NOT NULL',
      "error('stop')",
      "write_log('x') IS NULL",
      'checkpoint() IS NULL',
      "json_execute_serialized_sql('x')",
      'pg_get_viewdef(1) IS NULL',
      "add_parquet_key('k', 'x') IS NULL",
    ],
    'another statement': [
      "COPY (SELECT 1) TO '/tmp/x'",
      "ATTACH 'x'",
      'SET threads = 8',
      'PRAGMA version',
      'INSTALL httpfs',
      'LOAD httpfs',
      'CREATE TABLE t (a INTEGER)',
      'DELETE FROM scoreline_rows',
      'EXPLAIN SELECT 1',
      'CALL pragma_version()',
    ],
    'what needs more than the row': [
      'a = ?',
      'a = $1',
      'a = $name',
      '*',
      'COLUMNS(*)',
      "COLUMNS('a.*') = 1",
      '* EXCLUDE (a)',
      '(scoreline_rows.*) IS NULL',
      'list_filter(list, x -> x > 1) = list',
      'list_filter(list, lambda x: x > 1) = list',
      '[x + 1 for x in list] = list',
      'unnest(list) = 1',
      "regexp_split_to_table(text, ',') = 'x'",
      'geomean(b) > 1',
      'weighted_avg(b, b) > 1',
      '#1',
      'DEFAULT',
    ],
    'what is not true or false': [
      'a',
      'b + 1',
      'text',
      "'true'",
      'NULL',
      'day',
      'list',
      'pair',
      '1',
    ],
    'what the columns do not allow': [
      'missing = 1',
      '"A b" = 1',
      'no_such_function(a)',
      'no_schema.abs(a) = 1',
      'sqrt(text) = 1',
      'other.a = 1',
      'pair.q = 1',
      'rowid = 1',
      'file_row_number = 1',
      'CAST(a AS no_such_type) IS NULL',
    ],
  };

  describe.each(Object.entries(REFUSED))('%s:', (_name, expressions) => {
    test.each(expressions)('%s', async (expression) => {
      const error = await failure(() => check(expression));
      expect([error.code, error.message]).toEqual([
        'usage',
        expect.stringMatching(/^input\.where: ./),
      ]);
      expect(error.message).not.toContain('\n');
      // The instance lives on, unchanged.
      expect(await database.rows('SELECT 1 AS one')).toEqual([{ one: 1 }]);
    });
  });

  test('NUL', async () => {
    for (const expression of ['a = 1\0', '\0', "text = 'a\0b'"]) {
      const error = await failure(() => check(expression));
      expect(error.message).toMatch(/NUL/);
      expect(error.code).toBe('usage');
    }
  });
});

describe('an expression of enormous size', () => {
  test.each([
    ['parentheses', `${'('.repeat(100_000)}a = 1${')'.repeat(100_000)}`],
    ['open parentheses', '('.repeat(100_000)],
    ['negations', `${'NOT '.repeat(100_000)}flag`],
    ['signs', `a = ${'- '.repeat(100_000)}1`],
    ['calls', `${'abs('.repeat(20_000)}a${')'.repeat(20_000)} = 1`],
    ['sums', `a = ${Array.from({ length: 50_000 }, () => '1').join(' + ')}`],
    ['cases', `${'CASE WHEN flag THEN '.repeat(20_000)}flag${' END'.repeat(20_000)}`],
    ['lists', `list = ${'['.repeat(100_000)}${']'.repeat(100_000)}`],
  ])('is judged or refused, but does not end the process: %s', async (_name, expression) => {
    const error = await check(expression).then(
      () => undefined,
      (refused: unknown) => refused,
    );
    if (error !== undefined) expect(error).toMatchObject({ name: 'ScorelineError', code: 'usage' });
    expect(await database.rows('SELECT 1 AS one')).toEqual([{ one: 1 }]);
  });

  test('may be long: a list of many values', async () => {
    const values = Array.from({ length: 10_000 }, (_, i) => i).join(', ');
    await expect(check(`a IN (${values})`)).resolves.toBeUndefined();
  });
});
