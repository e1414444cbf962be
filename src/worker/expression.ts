/** Checks an expression of a job with DuckDB's own parser and binder. */
import { type Database, duckdbError, quoteText } from '../base/duckdb.js';
import { ScorelineError } from '../base/errors.js';
import type { WorkLimit } from '../base/watch-report.js';
import type { Macro } from '../plan/expression-size.js';
import {
  checkCasts,
  checkExpression,
  checkText,
  expressionStatement,
  withTextColumns,
} from '../plan/expressions.js';
import type { CheckExpression } from './protocol.js';

/** Does some work within a limit; past it, the process ends. */
export type Limited = <Result>(limit: WorkLimit, work: () => Promise<Result>) => Promise<Result>;

/** What DuckDB may take to bind an expression and to compute its constants: a hundred times what filters take. */
const BINDING: WorkLimit = { cpuMs: 1000, bytes: 128 * 2 ** 20 };

/**
 * Checks that a text is one harmless expression that gives a truth value of the columns. Throws `usage`; ends the process
 * where the constants of the expression take too much to compute.
 */
export async function checkExpressionText(
  database: Database,
  { expression, where, columns }: CheckExpression,
  limited: Limited,
): Promise<void> {
  checkText(expression, where);
  const [parsed] = await database.rows(
    `SELECT json_serialize_sql(${quoteText(expressionStatement(expression))})::VARCHAR AS parsed`,
  );
  // Parentheses that close what the text did not open would not stand between brackets.
  const [bracketed] = await database.rows(
    `SELECT json_serialize_sql(${quoteText(`SELECT [\n${expression}\n]`)})::VARCHAR AS parsed`,
  );
  if (
    /^\{"error":true/.test(String(bracketed?.parsed)) &&
    !/^\{"error":true/.test(String(parsed?.parsed))
  ) {
    throw new ScorelineError('usage', `${where}: its parentheses do not match`);
  }
  // To list all functions takes longer than the rest, and most filters call none.
  const { deterministic, fixedSize, macros } = String(parsed?.parsed).includes('"class":"FUNCTION"')
    ? await functionsOf(database)
    : NO_FUNCTIONS;
  checkExpression(String(parsed?.parsed), where, {
    columns: columns.map(({ name }) => name),
    isDeterministic: (name) => deterministic.has(name),
    isFixedSize: (name) => fixedSize.has(name),
    macros,
  });
  const row = columns
    .map(({ name, type }) => `CAST(NULL AS ${type}) AS "${name.replaceAll('"', '""')}"`)
    .join(', ');
  const statement = expressionStatement(expression, `(SELECT ${row})`);
  let bound: { readonly type: string; readonly plan: string };
  try {
    bound = await limited(BINDING, () => bind(database, statement));
  } catch (error) {
    throw withTextColumns(duckdbError(error, where, 'usage'), String(parsed?.parsed), columns);
  }
  const { type, plan } = bound;
  if (type !== 'BOOLEAN') {
    throw new ScorelineError('usage', `${where}: must be true or false, but its type is ${type}`);
  }
  checkCasts(String(parsed?.parsed), plan, where);
}

/** The type of a statement's one column, and its plan as JSON. */
async function bind(
  database: Database,
  statement: string,
): Promise<{ readonly type: string; readonly plan: string }> {
  const [described] = await database.rows(`DESCRIBE ${statement}`);
  // Every query that holds the expression computes its constants first: a row of nulls shows what they take.
  await database.run(statement).catch(() => undefined);
  const [bound] = await database.rows(
    `SELECT json_serialize_plan(${quoteText(statement)}, optimize := false)::VARCHAR AS plan`,
  );
  return { type: String(described?.column_type), plan: String(bound?.plan) };
}

/** What an expression may call: scalar functions whose results are settled by their arguments, and macros by name. */
interface Functions {
  readonly deterministic: ReadonlySet<string>;
  /** Those whose results are numbers, truth values or times. */
  readonly fixedSize: ReadonlySet<string>;
  readonly macros: ReadonlyMap<string, readonly Macro[]>;
}

const NO_FUNCTIONS: Functions = {
  deterministic: new Set(),
  fixedSize: new Set(),
  macros: new Map(),
};

const FIXED_TYPES =
  '^(BOOLEAN|U?(TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL|DATE|TIME.*|INTERVAL|UUID)$';

const known = new WeakMap<Database, Promise<Functions>>();

/** The functions of a database, looked up once. */
function functionsOf(database: Database): Promise<Functions> {
  const functions = known.get(database) ?? lookUpFunctions(database);
  known.set(database, functions);
  return functions;
}

async function lookUpFunctions(database: Database): Promise<Functions> {
  const functions = await database.rows(
    `SELECT function_name AS name, bool_and(coalesce(regexp_matches(return_type, '${FIXED_TYPES}'), false)) AS fixed ` +
      "FROM duckdb_functions() WHERE function_type = 'scalar' " +
      "GROUP BY function_name HAVING bool_and(stability = 'CONSISTENT')",
  );
  // Of macros DuckDB does not say whether their results are settled by their arguments.
  const rows = await database.rows(
    'SELECT function_name AS name, to_json(parameters)::VARCHAR AS parameters, ' +
      `json_serialize_sql(replace(${quoteText(expressionStatement('?'))}, '?', macro_definition))::VARCHAR AS parsed ` +
      "FROM duckdb_functions() WHERE function_type = 'macro'",
  );
  const macros = new Map<string, Macro[]>();
  for (const { name, parameters, parsed } of rows) {
    const macro = { parameters: JSON.parse(String(parameters)), parsed: String(parsed) };
    macros.set(String(name), [...(macros.get(String(name)) ?? []), macro]);
  }
  return {
    deterministic: new Set(functions.map(({ name }) => String(name))),
    fixedSize: new Set(
      functions.filter(({ fixed }) => fixed === true).map(({ name }) => String(name)),
    ),
    macros,
  };
}
