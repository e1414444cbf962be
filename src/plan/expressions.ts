/**
 * Which SQL a job file may hold: one expression over the row's own columns, whose value depends on nothing else.
 *
 * The text is parsed by DuckDB itself (`json_serialize_sql`) inside `SELECT (…) FROM rows`; this file judges the tree.
 * What is not known to be harmless is refused: subqueries, windows, aggregates, and every function whose result
 * is not settled by its arguments.
 */
import { z } from 'zod';
import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import {
  checkSize,
  type FunctionSizes,
  MAX_EXPRESSION_BYTES,
  type Macro,
} from './expression-size.js';

/** The table name that an expression is parsed against. */
export const ROWS_TABLE = 'scoreline_rows';

/**
 * The statement to hand to `json_serialize_sql`, or with `rows` to `json_serialize_plan`: the line breaks end a comment
 * that the expression may hold, and its places are the same in both.
 */
export function expressionStatement(expression: string, rows: string = ROWS_TABLE): string {
  return `SELECT (\n${expression}\n) FROM ${rows}`;
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

/** Functions that DuckDB calls consistent, but that tell of the clock or the session, not of the row. */
const REFUSED_FUNCTIONS = new Set([
  'age',
  'current_localtime',
  'current_localtimestamp',
  'current_setting',
  'getenv',
  'getvariable',
  'json_deserialize_sql',
  'json_serialize_plan',
  'json_serialize_sql',
  'vector_type',
  'version',
]);

/** What an expression may speak of. */
export interface KnownNames extends FunctionSizes {
  readonly columns: readonly string[];
  /** Whether DuckDB knows a function as scalar and its result as settled by its arguments. */
  readonly isDeterministic: (functionName: string) => boolean;
  /** By name: a macro, for each number of parameters that it may have. */
  readonly macros: ReadonlyMap<string, readonly Macro[]>;
}

/** Throws `usage` for an expression that must not be handed to DuckDB's parser, because parsing it would take too long. */
export function checkText(expression: string, where: string): void {
  if (expression.includes('\0')) throw new ScorelineError('usage', `${where}: contains NUL`);
  const bytes = Buffer.byteLength(expression);
  if (bytes <= MAX_EXPRESSION_BYTES) return;
  throw new ScorelineError(
    'usage',
    `${where}: has ${bytes} bytes; at most ${MAX_EXPRESSION_BYTES} are allowed: filter by a column of the input instead`,
  );
}

/**
 * Checks the parsed form of an expression (the answer of `json_serialize_sql`); `where` names it in messages (the key
 * of the job file). Throws `usage`.
 */
export function checkExpression(parsed: string, where: string, known: KnownNames): void {
  let json: unknown;
  try {
    json = JSON.parse(parsed);
  } catch (error) {
    // DuckDB writes a number beyond all bounds as a bare word.
    throw new ScorelineError('usage', `${where}: holds a number that is out of range`, {
      cause: error,
    });
  }
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
  const tree = statement.data.statements[0]!.node.select_list[0];
  checkNode(tree, { where, known, allowed: new Set() });
  checkSize(tree, where, known);
}

/** What the nodes of one expression are checked with. */
interface Scope {
  readonly where: string;
  readonly known: KnownNames;
  /** Functions that were found to be allowed. */
  readonly allowed: Set<string>;
}

function checkNode(node: unknown, scope: Scope): void {
  if (Array.isArray(node)) {
    for (const child of node) checkNode(child, scope);
    return;
  }
  if (typeof node !== 'object' || node === null) return;
  const expression = nodeSchema.safeParse(node);
  if (expression.success) {
    const { class: kind, function_name, column_names } = expression.data;
    if (!ALLOWED_CLASSES.has(kind)) {
      throw new ScorelineError(
        'usage',
        `${scope.where}: ${kind.toLowerCase()} expressions are not allowed in it`,
      );
    }
    if (kind === 'FUNCTION') checkFunction(String(function_name), scope);
    if (kind === 'COLUMN_REF') checkColumn(column_names, scope);
    if (kind === 'CONSTANT') return;
  }
  for (const child of Object.values(node)) checkNode(child, scope);
}

/** A bare word that is no column is refused: `current_date` looks like a column until it is bound. */
function checkColumn(names: unknown, { where, known: { columns } }: Scope): void {
  const name = String(Array.isArray(names) ? names[0] : names);
  if (columns.some((column) => column.toLowerCase() === name.toLowerCase())) return;
  throw new ScorelineError(
    'usage',
    `${where}: the input has no column "${shown(name)}"${didYouMean(name, columns)}`,
  );
}

function checkFunction(name: string, { where, known, allowed }: Scope): void {
  if (allowed.has(name)) return;
  const macros = known.macros.get(name);
  const isAllowed =
    macros === undefined
      ? known.isDeterministic(name)
      : macros.every((macro) => isHarmless(macro, where, without(name, known)));
  if (REFUSED_FUNCTIONS.has(name) || !isAllowed) {
    throw new ScorelineError(
      'usage',
      `${where}: function ${shown(name)}() is not allowed: its result must depend on its arguments alone`,
    );
  }
  allowed.add(name);
}

/** What may be spoken of in a macro: not the function of its own name, of which the macro hides what it is. */
function without(name: string, known: KnownNames): KnownNames {
  const { macros, isDeterministic } = known;
  return {
    ...known,
    macros: new Map([...macros].filter(([macro]) => macro !== name)),
    isDeterministic: (other) => other !== name && isDeterministic(other),
  };
}

/** Whether what a macro stands for could be written in its place; one that looks at no parameter tells of the session. */
function isHarmless({ parameters, parsed }: Macro, where: string, known: KnownNames): boolean {
  try {
    checkExpression(parsed, where, { ...known, columns: parameters });
  } catch (error) {
    if (error instanceof ScorelineError) return false;
    throw error;
  }
  return namesColumn(JSON.parse(parsed));
}

function namesColumn(node: unknown): boolean {
  if (typeof node !== 'object' || node === null) return false;
  return 'column_names' in node || Object.values(node).some(namesColumn);
}

const typeSchema = z.looseObject({ id: z.string() });

/** A cast that the expression asks for. */
const writtenCastSchema = z.looseObject({
  class: z.literal('CAST'),
  query_location: z.number(),
  cast_type: typeSchema,
});

/** A cast as DuckDB bound it, whoever asked for it. */
const boundCastSchema = z.object({
  expression_class: z.literal('BOUND_CAST'),
  query_location: z.number(),
  child: z.looseObject({
    expression_class: z.string(),
    alias: z.string(),
    return_type: typeSchema.optional(),
    value: z.looseObject({ type: typeSchema, value: z.unknown().optional() }).optional(),
  }),
  return_type: typeSchema,
});

type BoundCast = z.infer<typeof boundCastSchema>;

const planSchema = z.object({
  error: z.literal(false),
  plans: z.array(z.object({ expressions: z.array(z.unknown()) })).length(1),
});

const TEXTS = /^(?:VARCHAR|ENUM)$/;
const NUMBERS = /^(?:U?(?:TINY|SMALL|BIG|HUGE)INT|U?INTEGER|FLOAT|DOUBLE|DECIMAL|BIGNUM|BOOLEAN)$/;
const TIMES = /^(?:DATE|TIME.*)$/;

/**
 * Refuses text that DuckDB would take for a number or a truth value without being told to ('7.4' is 7 for it, and 'no' false),
 * or for a time, but for literals. `parsed` is the expression as `checkExpression` takes it, `bound` the answer of
 * `json_serialize_plan` for the same text. Throws `usage`.
 */
export function checkCasts(parsed: string, bound: string, where: string): void {
  const plan = planSchema.safeParse(JSON.parse(bound));
  if (!plan.success) throw new ScorelineError('usage', `${where}: its types cannot be checked`);
  const written = new Set<string>();
  forEachObject(JSON.parse(parsed), (node) => {
    const cast = writtenCastSchema.safeParse(node);
    if (cast.success) written.add(placeOf(cast.data.query_location, cast.data.cast_type));
  });
  forEachObject(plan.data.plans[0]!.expressions, (node) => {
    if (!('expression_class' in node) || node.expression_class !== 'BOUND_CAST') return;
    const cast = boundCastSchema.parse(node);
    const { query_location, return_type } = cast;
    // Typed literals (DATE '…', true) have no place, and neither have some casts of DuckDB's own, but not of constants.
    const isPlaced = query_location <= Number.MAX_SAFE_INTEGER || isConstant(cast);
    if (isPlaced && written.has(placeOf(query_location, return_type))) return;
    if (isGuess(cast)) throw new ScorelineError('usage', `${where}: ${sayGuess(cast)}`);
  });
}

const TYPE_IT = 'give it a type under input.types (if CSV files or folders give it), CAST it';

/** DuckDB's refusal of text beside another type, and which columns of the expression are text; others as they are. */
export function withTextColumns(
  error: ScorelineError,
  parsed: string,
  columns: readonly { readonly name: string; readonly type: string }[],
): ScorelineError {
  if (!/VARCHAR.* an explicit cast is required/.test(error.message)) return error;
  const texts = columns.filter(({ type }) => type === 'VARCHAR').map(({ name }) => name);
  const used = new Set<string>();
  forEachObject(JSON.parse(parsed), (node) => {
    const names =
      'column_names' in node && Array.isArray(node.column_names) ? node.column_names : [];
    const name = String(names[0]).toLowerCase();
    for (const text of texts) if (text.toLowerCase() === name) used.add(text);
  });
  if (used.size === 0) return error;
  const named = [...used].map((name) => `"${shown(name)}"`).join(', ');
  const message = `${error.message}; text is column ${named}: ${TYPE_IT}, or write what is beside it in quotes`;
  return new ScorelineError(error.code, message, { cause: error });
}

function placeOf(location: number, { id }: z.infer<typeof typeSchema>): string {
  return `${location} ${id}`;
}

function isConstant({ child }: BoundCast): boolean {
  return child.expression_class === 'BOUND_CONSTANT';
}

function isGuess(cast: BoundCast): boolean {
  const from = cast.child.return_type ?? cast.child.value?.type;
  const to = cast.return_type.id;
  if (from === undefined || !TEXTS.test(from.id)) return false;
  return NUMBERS.test(to) || (TIMES.test(to) && !isConstant(cast));
}

function sayGuess(cast: BoundCast): string {
  const { child, return_type } = cast;
  const quoted = 'write what is beside it in quotes';
  if (isConstant(cast)) {
    const text = shown(`'${String(child.value?.value)}'`, 40);
    return `${text} is text, but used as ${return_type.id}: write it without quotes, or CAST it`;
  }
  if (child.expression_class === 'BOUND_REF') {
    const name = shown(child.alias);
    return `column "${name}" is text, but used as ${return_type.id}: ${TYPE_IT}, or ${quoted}`;
  }
  return `text is used as ${return_type.id}: CAST it, or ${quoted}`;
}

function forEachObject(node: unknown, visit: (node: object) => void): void {
  if (typeof node !== 'object' || node === null) return;
  visit(node);
  for (const child of Object.values(node)) forEachObject(child, visit);
}
