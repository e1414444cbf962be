/** The SQL that takes columns to element types, and tells where that failed or lost something. */
import { quoteName } from '../base/duckdb.js';
import { type ElementType, elementOfSqlType, sqlTypeOfElement } from '../base/elements.js';
import { assertNever } from '../base/errors.js';
import type { TensorElement } from '../base/onnx.js';
import { type ColumnSource, castFor, listTypeOf } from '../plan/signature.js';
import { readTextSql } from './text-cast.js';

/** How a fetched column becomes a feature, after what SQL has done. */
export type Conversion = 'none' | 'narrow' | 'to-float16' | 'from-int64' | 'from-uint64';

/** A value, and flags that tell where the cast failed or lost something, as SQL over the column. */
export interface Cast {
  readonly value: string;
  readonly fetched: ElementType;
  readonly conversion: Conversion;
  readonly failed?: string;
  readonly lossy?: string;
}

/** The SQL that takes a column as near to an element type as can be done without losing count of what is lost. */
export function castSql(column: ColumnSource, wanted: TensorElement): Cast {
  return castText(quoteName(column.name), column, wanted);
}

/** `x` is the column, or an element of its lists, as SQL. */
function castText(x: string, column: ColumnSource, wanted: TensorElement): Cast {
  // What becomes a float16 is fetched as float64, and rounded once.
  const element = wanted === 'float16' ? 'float64' : wanted;
  const cast = castTo(x, column, element);
  if (wanted !== 'float16') return cast;
  if (cast.conversion === 'none') return { ...cast, conversion: 'to-float16' };
  // A 64-bit integer that float64 does not hold is beyond all float16.
  const value = `CAST(${cast.value} AS DOUBLE)`;
  return { value, fetched: 'float64', conversion: 'to-float16' };
}

function castTo(x: string, column: ColumnSource, element: ElementType): Cast {
  const kind = castFor(column, element);
  if (kind === 'text') {
    const cast = textCast(x, element);
    // The one value of a folder is known to be there: that it cannot be read is seen from its being missing.
    return column.partition
      ? cast
      : { ...cast, failed: `${x} IS NOT NULL AND (${cast.value}) IS NULL` };
  }
  if (kind === 'sql') return wideCast(x, column.type, element);
  const source = elementOfSqlType(column.type);
  if (kind === undefined || source === undefined)
    throw new TypeError(`no cast from ${column.type} to ${element}`);
  if (source === element) return { value: x, fetched: element, conversion: 'none' };
  if (element === 'float32' || element === 'float64') return floatCast(x, source, element);
  const target = sqlTypeOfElement(element);
  const isFloat = source === 'float32' || source === 'float64';
  // A fraction has no place in an integer: only whole numbers convert.
  const value = isFloat
    ? `CASE WHEN ${x} = trunc(${x}) THEN TRY_CAST(${x} AS ${target}) END`
    : `TRY_CAST(${x} AS ${target})`;
  const failed = `${x} IS NOT NULL AND ${value} IS NULL`;
  return { value, fetched: element, conversion: 'none', failed };
}

/** Text that is to be read as a value. */
function textCast(x: string, element: ElementType): Cast {
  if (element === 'float32' || element === 'float64') {
    const conversion = element === 'float32' ? 'narrow' : 'none';
    return { value: readTextSql(x, 'DOUBLE'), fetched: 'float64', conversion };
  }
  const value = readTextSql(x, sqlTypeOfElement(element));
  return { value, fetched: element, conversion: 'none' };
}

/** DECIMAL and 128-bit integers, which no typed array holds; ENUM and UUID as text. */
function wideCast(x: string, type: string, element: ElementType): Cast {
  const isFloat = element === 'float32' || element === 'float64';
  const source = isFloat ? doubleSql(x, type) : x;
  const value = `TRY_CAST(${source} AS ${sqlTypeOfElement(element)})`;
  if (element === 'utf8') return { value, fetched: element, conversion: 'none' };
  if (isFloat) {
    // Back through DOUBLE: DuckDB casts FLOAT to DECIMAL in float arithmetic, which loses more than the cast did.
    const back = `TRY_CAST(CAST(${value} AS DOUBLE) AS ${type})`;
    return {
      value,
      fetched: element,
      conversion: 'none',
      failed: `${x} IS NOT NULL AND ${value} IS NULL`,
      lossy: `${value} IS NOT NULL AND ${back} IS DISTINCT FROM ${x}`,
    };
  }
  const whole = `CASE WHEN TRY_CAST(${value} AS ${type}) = ${x} THEN ${value} END`;
  const failed = `${x} IS NOT NULL AND (${whole}) IS NULL`;
  return { value: whole, fetched: element, conversion: 'none', failed };
}

/** Up to so many digits every whole number is a double, and as far as to this one. */
const EXACT_DIGITS = 15;
const MOST_EXACT = '9007199254740992';
/** The last power of ten that is a double: divided by a larger one, a whole number is rounded twice. */
const EXACT_POWER = 22;

/**
 * The double that is nearest to a DECIMAL or a 128-bit integer. DuckDB's own cast of more digits than a double holds adds up two
 * parts, each rounded, and lands beside it; that to FLOAT does so with fewer. Of text it finds the nearest.
 */
function doubleSql(x: string, type: string): string {
  const direct = `CAST(${x} AS DOUBLE)`;
  const nearest = `CAST(CAST(${x} AS VARCHAR) AS DOUBLE)`;
  const decimal = /^DECIMAL\((\d+),(\d+)\)$/.exec(type);
  const precision = Number(decimal?.[1] ?? Number.POSITIVE_INFINITY);
  const scale = Number(decimal?.[2] ?? 0);
  if (precision <= EXACT_DIGITS) return direct;
  if (scale > EXACT_POWER) return nearest;
  const digits = MOST_EXACT.padStart(scale + 1, '0');
  const point = digits.length - scale;
  const fraction = point < digits.length ? `.${digits.slice(point)}` : '';
  const limit = `CAST('${digits.slice(0, point)}${fraction}' AS ${type})`;
  const least = type === 'UHUGEINT' ? '0' : `-${limit}`;
  return `CASE WHEN ${x} BETWEEN ${least} AND ${limit} THEN ${direct} ELSE ${nearest} END`;
}

function floatCast(x: string, source: ElementType, element: 'float32' | 'float64'): Cast {
  switch (source) {
    case 'int64':
      return { value: x, fetched: 'int64', conversion: 'from-int64' };
    case 'uint64':
      return { value: x, fetched: 'uint64', conversion: 'from-uint64' };
    case 'float64':
    case 'int32':
    case 'uint32':
      if (element === 'float32') {
        return { value: `CAST(${x} AS DOUBLE)`, fetched: 'float64', conversion: 'narrow' };
      }
      return { value: `CAST(${x} AS DOUBLE)`, fetched: 'float64', conversion: 'none' };
    case 'bool':
    case 'int8':
    case 'uint8':
    case 'int16':
    case 'uint16':
    case 'float32':
      return {
        value: `CAST(${x} AS ${sqlTypeOfElement(element)})`,
        fetched: element,
        conversion: 'none',
      };
    case 'utf8':
      throw new TypeError('text does not convert to a float by itself');
    default:
      return assertNever(source);
  }
}

/** What is fetched of a column of lists: each row's elements in a row, null where the list has another shape. */
export interface ListCast extends Cast {
  /** Whether a row has a list of another shape. */
  readonly wrong: string;
  /** How many elements a cast changed. */
  readonly lossy?: string;
}

/**
 * The SQL that takes the lists of a column, flat or as deep as `sizes`, to rows of elements. All levels are held to their
 * size, so that no element ever moves to another row of the matrix.
 */
export function listCastSql(
  column: ColumnSource,
  wanted: TensorElement,
  sizes: readonly number[],
): ListCast {
  const { leaf, depth } = listTypeOf(column.type)!;
  // Arrays of a fixed size become lists.
  const x = `CAST(${quoteName(column.name)} AS ${leaf}${'[]'.repeat(depth)})`;
  const total = sizes.reduce((product, size) => product * size, 1);
  const fits = `coalesce(${shapeSql(x, depth === 1 ? [total] : sizes, 0)}, false)`;
  const flat = `${'flatten('.repeat(depth - 1)}${x}${')'.repeat(depth - 1)}`;
  const item = 'scoreline_item';
  const cast = castText(item, { ...column, type: leaf, partition: false }, wanted);
  const count = (condition: string): string =>
    `CASE WHEN ${fits} THEN len(list_filter(${flat}, lambda ${item}: ${condition})) ELSE 0 END`;
  return {
    value: `CASE WHEN ${fits} THEN ${eachSql(flat, item, cast.value)} END`,
    fetched: cast.fetched,
    conversion: cast.conversion,
    wrong: `${x} IS NOT NULL AND NOT ${fits}`,
    ...(cast.failed === undefined ? {} : { failed: `${count(cast.failed)} > 0` }),
    // What becomes a float16 is counted there: rounding to float64 before changes less.
    ...(cast.lossy === undefined || cast.conversion === 'to-float16'
      ? {}
      : { lossy: `CAST(${count(cast.lossy)} AS UINTEGER)` }),
  };
}

function shapeSql(x: string, [size, ...rest]: readonly number[], level: number): string {
  const here = `len(${x}) = ${size}`;
  if (rest.length === 0) return here;
  const item = `scoreline_list${level}`;
  const inner = shapeSql(item, rest, level + 1);
  return `(${here} AND len(list_filter(${x}, lambda ${item}: ${inner})) = ${size})`;
}

/** An expression over each element of a list: a plain cast is made of the whole list. */
function eachSql(list: string, item: string, expression: string): string {
  if (expression === item) return list;
  const type = new RegExp(`^CAST\\(${item} AS (\\w+)\\)$`).exec(expression)?.[1];
  if (type !== undefined) return `CAST(${list} AS ${type}[])`;
  return `list_transform(${list}, lambda ${item}: ${expression})`;
}
