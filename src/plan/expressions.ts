/**
 * Which SQL a job file may hold: one expression over the row's own columns, whose value depends on nothing else.
 *
 * The text is parsed by DuckDB itself (`json_serialize_sql`) inside `SELECT (…) FROM rows`; this file judges the tree.
 * What is not known to be harmless is refused: subqueries, windows, aggregates, and every function whose result
 * is not settled by its arguments.
 */
import { z } from 'zod';
import { ScorelineError, shown } from '../base/errors.js';

/** The table name that an expression is parsed against. */
export const ROWS_TABLE = 'scoreline_rows';

/** The statement to hand to `json_serialize_sql`: the line breaks end a comment that the expression may hold. */
export function expressionStatement(expression: string): string {
  return `SELECT (\n${expression}\n) FROM ${ROWS_TABLE}`;
}

const nodeSchema = z.looseObject({ class: z.string(), type: z.string() });

const parsedSchema = z.object({
  error: z.literal(false),
  statements: z
    .array(
      z.object({
        node: z.looseObject({
          type: z.literal('SELECT_NODE'),
          modifiers: z.array(z.unknown()).length(0),
          cte_map: z.object({ map: z.array(z.unknown()).length(0) }),
          select_list: z.array(nodeSchema).length(1),
          from_table: z.looseObject({
            type: z.literal('BASE_TABLE'),
            table_name: z.literal(ROWS_TABLE),
          }),
          where_clause: z.null(),
          group_expressions: z.array(z.unknown()).length(0),
          having: z.null(),
          sample: z.null(),
          qualify: z.null(),
        }),
      }),
    )
    .length(1),
});

const ALLOWED_CLASSES = new Set([
  'BETWEEN',
  'CASE',
  'CAST',
  'COLLATE',
  'COLUMN_REF',
  'COMPARISON',
  'CONJUNCTION',
  'CONSTANT',
  'FUNCTION',
  'OPERATOR',
]);

/** Functions that answer alike for equal arguments but tell of the session, not of the row. */
const REFUSED_FUNCTIONS = new Set(['current_setting', 'getvariable', 'version', 'getenv']);

/**
 * Checks the parsed form of an expression (the answer of `json_serialize_sql`). `where` names it in messages (the
 * key of the job file); `isDeterministic` tells whether DuckDB knows a function as scalar and free of side effects.
 * Throws `usage`.
 */
export function checkExpression(
  parsed: string,
  where: string,
  isDeterministic: (functionName: string) => boolean,
): void {
  const json: unknown = JSON.parse(parsed);
  const failure = z.object({ error: z.literal(true), error_message: z.string() }).safeParse(json);
  if (failure.success) {
    throw new ScorelineError(
      'usage',
      `${where}: not an SQL expression: ${shown(failure.data.error_message)}`,
    );
  }
  const statement = parsedSchema.safeParse(json);
  if (!statement.success) {
    throw new ScorelineError(
      'usage',
      `${where}: must be one SQL expression over the columns of a row`,
    );
  }
  checkNode(statement.data.statements[0]!.node.select_list[0], where, isDeterministic);
}

function checkNode(node: unknown, where: string, isDeterministic: (name: string) => boolean): void {
  if (Array.isArray(node)) {
    for (const child of node) checkNode(child, where, isDeterministic);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const expression = nodeSchema.safeParse(node);
  if (expression.success) {
    const { class: kind } = expression.data;
    if (!ALLOWED_CLASSES.has(kind)) {
      throw new ScorelineError(
        'usage',
        `${where}: ${kind.toLowerCase()} expressions are not allowed in it`,
      );
    }
    if (kind === 'FUNCTION') checkFunction(expression.data.function_name, where, isDeterministic);
    if (kind === 'CONSTANT') return;
  }
  for (const child of Object.values(node)) checkNode(child, where, isDeterministic);
}

function checkFunction(
  name: unknown,
  where: string,
  isDeterministic: (name: string) => boolean,
): void {
  const text = String(name);
  if (REFUSED_FUNCTIONS.has(text) || !isDeterministic(text)) {
    throw new ScorelineError(
      'usage',
      `${where}: function ${shown(text)}() is not allowed: its result must depend on its arguments alone`,
    );
  }
}
