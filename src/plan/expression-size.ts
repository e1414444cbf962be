/**
 * How large the values of an expression can become, from its text alone.
 *
 * DuckDB computes constants before it reads a row, outside its memory limit: `repeat('x', 1000000000)` takes 1 GB in every
 * process that looks at it. This file refuses such an expression before DuckDB binds it. Sizes count characters or list
 * elements. A value of a column counts as 1, because the data bounds it, not the expression.
 */
import { ScorelineError } from '../base/errors.js';

/** The longest expression in bytes. */
export const MAX_EXPRESSION_BYTES = 65_536;
/**
 * The maximum number of operators, functions, columns and constants, after DuckDB has written out its macros, without the
 * constants of IN lists.
 */
const MAX_NODES = 5_000;
/** The maximum size of a value that is longer than what it is made of. */
const MAX_SIZE = 10_000;

/** A function that DuckDB writes out as an expression over its parameters: `nullif` and `split_part` are such. */
export interface Macro {
  readonly parameters: readonly string[];
  /** The parsed expression that it stands for, as JSON. */
  readonly parsed: string;
}

/** Facts about DuckDB's functions that bound the sizes of values. */
export interface FunctionSizes {
  /** Whether every result of a function is a number, a truth value or a time. */
  readonly isFixedSize: (functionName: string) => boolean;
  readonly macros: ReadonlyMap<string, readonly Macro[]>;
}

/** Upper bounds for one expression. */
interface Bounds {
  readonly nodes: number;
  /** The size of its value. */
  readonly size: number;
  /** Its value where it is a number: what `repeat` would take as a count. */
  readonly count: number;
  readonly isConstant: boolean;
  /** The text of a constant. */
  readonly text?: string;
}

type Node = Readonly<Record<string, unknown>>;

/** Throws `usage` for an expression (its parsed tree) that is too long, or could make a value that is too large. */
export function checkSize(tree: unknown, where: string, functions: FunctionSizes): void {
  const { nodes } = new Measure(where, functions).bounds(tree as Node, new Map());
  if (nodes > MAX_NODES) {
    throw new ScorelineError(
      'usage',
      `${where}: has ${nodes} operators, functions, columns and constants outside of IN lists; at most ${MAX_NODES} are allowed: filter by a column of the input instead`,
    );
  }
}

class Measure {
  private readonly where: string;
  private readonly functions: FunctionSizes;
  /** The trees of macros that were met. */
  private readonly trees = new Map<Macro, Node>();

  constructor(where: string, functions: FunctionSizes) {
    this.where = where;
    this.functions = functions;
  }

  /** The bounds of a node; `parameters` are those of the macro that it belongs to, by lower-case name. */
  bounds(node: Node, parameters: ReadonlyMap<string, Bounds>): Bounds {
    if (node.class === 'COLUMN_REF') {
      const name = Array.isArray(node.column_names) ? String(node.column_names[0]) : '';
      return parameters.get(name.toLowerCase()) ?? COLUMN;
    }
    if (node.class === 'CONSTANT') return constant(node);
    const children = childrenOf(node).map((child) => this.bounds(child, parameters));
    // The values of an IN list cost little each, and lists of customers or products are long.
    const isIn = /^COMPARE_(?:NOT_)?IN$/.test(String(node.type));
    const counted = isIn
      ? children.filter((child) => child.nodes > 1 || !child.isConstant)
      : children;
    const nodes = sum(counted, 'nodes') + 1;
    const isConstant = children.every((child) => child.isConstant);
    const size = Math.max(1, sum(children, 'size'));
    const count = Math.max(0, ...children.map((child) => child.count));
    switch (node.class) {
      case 'FUNCTION':
        return this.functionBounds(String(node.function_name), { nodes, isConstant }, children);
      case 'CAST': {
        this.limit(typeSize(node.cast_type), 'a cast to an array type');
        // Quotes and control characters may be escaped.
        const isPlain = !isText(node.cast_type) || children[0]?.text !== undefined;
        const grown = isPlain ? size : this.limit(2 * size, 'a cast to text');
        return { nodes, isConstant, size: grown, count };
      }
      case 'CASE':
      case 'COLLATE':
        return { nodes, isConstant, size, count };
      case 'OPERATOR': {
        const isElement = /^(?:ARRAY|STRUCT)_(?:EXTRACT|SLICE)$/.test(String(node.type));
        const isList = /COALESCE|CONSTRUCTOR/.test(String(node.type));
        const own = isElement ? children[0]!.size : isList ? size : 1;
        return { nodes, isConstant, size: own, count };
      }
      default:
        return { nodes, isConstant, size: 1, count: 1 };
    }
  }

  private functionBounds(
    name: string,
    own: Pick<Bounds, 'nodes' | 'isConstant'>,
    children: readonly Bounds[],
  ): Bounds {
    const macros = this.functions.macros.get(name);
    if (macros !== undefined) return this.macroBounds(macros, own, children);
    const count = countOf(name, own.isConstant, children);
    if (this.functions.isFixedSize(name)) return { ...own, size: 1, count };
    const given = Math.max(1, sum(children, 'size'));
    const rule = RULES.get(name) ?? OTHERWISE;
    const size = Math.max(1, rule(children));
    return { ...own, size: this.limit(size, `${name}()`, given), count };
  }

  private macroBounds(
    macros: readonly Macro[],
    { nodes, isConstant }: Pick<Bounds, 'nodes' | 'isConstant'>,
    children: readonly Bounds[],
  ): Bounds {
    let size = 1;
    let count = 1;
    let written = nodes;
    for (const macro of macros.filter(({ parameters }) => parameters.length === children.length)) {
      const given = new Map(macro.parameters.map((name, i) => [name.toLowerCase(), children[i]!]));
      const body = this.bounds(this.treeOf(macro), given);
      size = Math.max(size, body.size);
      count = Math.max(count, body.count);
      written = Math.max(written, body.nodes);
    }
    return { nodes: written, size, count, isConstant };
  }

  private treeOf(macro: Macro): Node {
    const known = this.trees.get(macro) ?? (selected(JSON.parse(macro.parsed)) as Node);
    this.trees.set(macro, known);
    return known;
  }

  /** Returns a size if it is no larger than the limit, or than the size of what the value is made of. */
  private limit(size: number, what: string, given = 0): number {
    if (size <= Math.max(MAX_SIZE, given)) return size;
    const largest = Number.isFinite(size)
      ? `up to ${size} characters or elements`
      : 'a value of unlimited size';
    throw new ScorelineError(
      'usage',
      `${this.where}: ${what} could make ${largest}; at most ${MAX_SIZE} are allowed: use smaller numbers, or a column of the input`,
    );
  }
}

/** Returns the one expression of a parsed statement. */
function selected(json: { statements?: { node: { select_list: unknown[] } }[] }): unknown {
  return json.statements?.[0]?.node.select_list[0] ?? {};
}

const COLUMN: Bounds = { nodes: 1, size: 1, count: 1, isConstant: false };

function constant({ value }: Node): Bounds {
  const text = (value as Node | undefined)?.value;
  const size = typeof text === 'string' ? text.length : 1;
  // Numbers beyond 64 bits have two parts, and dates as text are not numbers.
  const number = text === undefined || typeof text === 'boolean' ? 1 : Math.abs(Number(text));
  const count = Number.isNaN(number) ? Number.POSITIVE_INFINITY : number;
  const own = { nodes: 1, size, count, isConstant: true };
  return typeof text === 'string' ? { ...own, text } : own;
}

/** The nearest expressions below a node. */
function childrenOf(node: Node): Node[] {
  const found: Node[] = [];
  const visit = (value: unknown): void => {
    if (typeof value !== 'object' || value === null) return;
    if ('class' in value && typeof value.class === 'string') found.push(value as Node);
    else for (const child of Object.values(value)) visit(child);
  };
  for (const value of Object.values(node)) visit(value);
  return found;
}

function sum(bounds: readonly Bounds[], of: 'nodes' | 'size' | 'count'): number {
  return bounds.reduce((total, each) => total + each[of], 0);
}

function countOf(name: string, isConstant: boolean, children: readonly Bounds[]): number {
  if (name === '+' || name === '-') return sum(children, 'count');
  if (name === '*') return children.reduce((product, { count }) => product * count, 1);
  if (/^(?:trunc|abs|round|floor|ceil|ceiling|to_\w+|greatest|least)$/.test(name))
    return Math.max(0, ...children.map(({ count }) => count));
  // 10 ** 9 or epoch(…): nothing is known of it. The data bounds what comes from columns.
  return isConstant ? Number.POSITIVE_INFINITY : 1;
}

const isText = (type: unknown): boolean =>
  /^(?:VARCHAR|BLOB|JSON|UNBOUND)$/.test(String((type as Node | undefined)?.id));

/** The number of elements in a value of a fixed-size type. */
function typeSize(type: unknown): number {
  if (typeof type !== 'object' || type === null) return 1;
  const { size, ...rest } = type as { size?: unknown };
  const inner = Object.values(rest).reduce<number>(
    (total, child) =>
      typeof child === 'object' && child !== null ? Math.max(total, typeSize(child)) : total,
    1,
  );
  return typeof size === 'number' ? size * inner : inner;
}

/** The size of a function's result, from the bounds of its arguments. */
type Rule = (given: readonly Bounds[]) => number;

const sizeAt = (given: readonly Bounds[], at: number): number => given[at]?.size ?? 1;
const countAt = (given: readonly Bounds[], at: number): number => given[at]?.count ?? 1;

const linear: Rule = (given) => sum(given, 'size');
const first: Rule = (given) => sizeAt(given, 0);
const times =
  (factor: number): Rule =>
  (given) =>
    factor * sum(given, 'size');
const padded: Rule = (given) => sizeAt(given, 0) + countAt(given, 1) * sizeAt(given, 2);
/** A series has as many elements as steps fit between its ends. */
const series: Rule = (given) => {
  const ends = countAt(given, 0) + (given.length > 1 ? countAt(given, 1) : 0);
  const step = Math.max(1, countAt(given, 2));
  return Number.isFinite(ends) && Number.isFinite(step) ? ends / step + 1 : ends;
};

/** Each `{}` or `%s`, of two characters, may stand for all arguments; a number in the format, or an argument, may be a width. */
const formatted: Rule = ([format, ...values]) => {
  if (format === undefined) return 1;
  const all = Math.max(1, sum(values, 'size'));
  if (format.text === undefined) return format.isConstant ? Number.POSITIVE_INFINITY : all;
  const widths = [...format.text.matchAll(/\d+/g)].map(Number);
  // A `*`, or braces in braces, take the width from an argument.
  const isTaken = /\*|\{[^}]*\{/.test(format.text);
  const counts = isTaken ? values.map(({ count }) => count) : [];
  return [...widths, ...counts].reduce((total, width) => total + width, format.size * all);
};

/** A function that has no rule: each argument may multiply the others, and each character may become eight. */
const OTHERWISE: Rule = (given) => {
  const factors = given.map(({ size, count }) =>
    Math.max(size, Number.isFinite(count) ? count : 1),
  );
  return 8 * factors.reduce((product, factor) => product * factor, 1);
};

const GROUPS: readonly (readonly [rule: Rule, names: string])[] = [
  [
    linear,
    '+ - & | ~ << >> xor add subtract || concat list_concat array_concat list_cat array_cat list_value list_pack array_value ' +
      'struct_pack row map map_concat list_zip array_zip struct_insert struct_concat struct_update struct_values greatest least ' +
      'list_intersect array_intersect union_value constant_or_null set_bit enum_range',
  ],
  [
    first,
    'substr substring substring_grapheme left left_grapheme right right_grapheme lower lcase upper ucase trim ltrim rtrim reverse ' +
      'strip_accents nfc_normalize translate string_split str_split split string_to_array string_split_regex str_split_regex ' +
      'regexp_split_to_array regexp_extract regexp_extract_all parse_path parse_dirname parse_dirpath parse_filename list_distinct ' +
      'array_distinct list_sort array_sort list_reverse_sort array_reverse_sort list_grade_up array_grade_up grade_up list_slice ' +
      'array_slice list_extract array_extract list_element element_at list_where array_where map_extract map_extract_value map_keys ' +
      'map_values map_entries map_from_entries flatten struct_extract struct_extract_at struct_keys encode decode from_hex unhex ' +
      'from_base64 from_binary unbin url_decode -> ->> json_extract json_extract_path json_extract_path_text json_extract_string ' +
      'json_value json_keys json_type json_structure json_exists json_array_length union_extract date_part datepart alias',
  ],
  [() => 64, 'dayname monthname md5 sha1 sha256 typeof chr format_bytes to_base pg_typeof'],
  [
    times(2),
    'to_base64 base64 json_quote to_json array_to_json row_to_json json_array json_object json_merge_patch regexp_escape',
  ],
  [times(8), 'hex to_hex bin to_binary url_encode'],
  [times(16), 'strftime'],
  [(given) => sizeAt(given, 0) ** 2, 'json_pretty'],
  [(given) => sizeAt(given, 0) * countAt(given, 1), 'repeat'],
  [(given) => (sizeAt(given, 0) + 1) * (sizeAt(given, 2) + 1), 'replace regexp_replace'],
  [(given) => sizeAt(given, 0) * sizeAt(given, 1), 'list_select array_select'],
  [
    (given) => sizeAt(given, 0) * sizeAt(given, 2),
    'list_aggr list_aggregate array_aggr array_aggregate aggregate',
  ],
  [padded, 'lpad rpad list_resize array_resize bitstring'],
  [(given) => linear(given) + given.length * sizeAt(given, 0), 'concat_ws'],
  [(given) => countAt(given, 3), 'bar'],
  [(given) => countAt(given, 2), 'equi_width_bins'],
  [series, 'range generate_series'],
  [formatted, 'format printf'],
];

const RULES: ReadonlyMap<string, Rule> = new Map(
  GROUPS.flatMap(([rule, names]) => names.split(' ').map((name) => [name, rule] as const)),
);
