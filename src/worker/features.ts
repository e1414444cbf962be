/**
 * From columns as they are stored to features as the model takes them: every conversion is planned from the types, what
 * it loses is counted, and a value that cannot be converted puts its row aside.
 */
import {
  type Arena,
  type Column,
  columnOf,
  isValid,
  type RecordBatch,
  recordBatchOf,
  type TypedArray,
} from '../base/columns.js';
import { quoteName } from '../base/duckdb.js';
import { type ElementType, elementOfSqlType, sqlTypeOfElement } from '../base/elements.js';
import { assertNever, ScorelineError, shown } from '../base/errors.js';
import {
  type ColumnSource,
  castFor,
  columnProblems,
  type InputBinding,
} from '../plan/signature.js';
import type { QuarantineReason } from './quarantine.js';
import { type FetchColumn, failedColumn, type Segment } from './read.js';
import { readTextSql } from './text-cast.js';

/** How a fetched column becomes a feature, after what SQL has done. */
type Conversion = 'none' | 'narrow' | 'from-int64' | 'from-uint64';

/** One feature: where its values are among the fetched columns, and where the flags that SQL computed for it. */
interface FeaturePlan {
  readonly column: string;
  readonly element: ElementType;
  readonly value: number;
  readonly fetched: ElementType;
  readonly conversion: Conversion;
  /** Fetched columns that say for each row whether the cast failed, or lost something. */
  readonly failed: number | undefined;
  readonly lossy: number | undefined;
  /** Whether a missing value is one that could not be read: the column's text is there. */
  readonly nullsFailed: boolean;
}

/** What to fetch from a segment, and how it becomes features, in the order of the model's inputs and columns. */
export interface FeaturesPlan {
  readonly fetch: readonly FetchColumn[];
  readonly features: readonly FeaturePlan[];
  /** Columns whose text cannot be read in some rows, and the fetched column that says in which. */
  readonly casts: readonly { readonly column: string; readonly failed: number }[];
}

/** Plans the features of a segment. Throws `input` with every column that does not fit. */
export function planFeatures(segment: Segment, inputs: readonly InputBinding[]): FeaturesPlan {
  const problems = columnProblems(
    segment.columns,
    { inputs, outputs: [], fixedBatch: undefined },
    [],
  );
  if (problems.length > 0) {
    const path = shown(segment.files[0]!.path);
    throw new ScorelineError('input', problems.map((problem) => `${path}: ${problem}`).join('\n'));
  }
  const fetch: FetchColumn[] = [];
  const add = (sql: string, element: ElementType): number =>
    fetch.push({ name: `f${fetch.length}`, sql, element }) - 1;
  const features = inputs.flatMap((input) =>
    input.columns.map((name) => {
      const column = segment.columns.find((candidate) => candidate.name === name)!;
      const element = elementOfInput(input);
      const cast = castSql(column, element);
      return {
        column: name,
        element,
        value: add(cast.value, cast.fetched),
        fetched: cast.fetched,
        conversion: cast.conversion,
        failed: cast.failed === undefined ? undefined : add(cast.failed, 'bool'),
        lossy: cast.lossy === undefined ? undefined : add(cast.lossy, 'bool'),
        nullsFailed: segment.partition.some(
          (given) => column.partition && given.name === name && given.value !== null,
        ),
      };
    }),
  );
  const casts = segment.casts.map(({ column }, index) => ({
    column,
    failed: add(failedColumn(index), 'bool'),
  }));
  return { fetch, features, casts };
}

function elementOfInput(input: InputBinding): ElementType {
  if (input.element === 'float16')
    throw new ScorelineError('model', 'float16 inputs are not supported yet');
  return input.element;
}

interface Cast {
  readonly value: string;
  readonly fetched: ElementType;
  readonly conversion: Conversion;
  readonly failed?: string;
  readonly lossy?: string;
}

/** The SQL that takes a column as near to an element type as can be done without losing count of what is lost. */
function castSql(column: ColumnSource, element: ElementType): Cast {
  const x = quoteName(column.name);
  const target = sqlTypeOfElement(element);
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
  if (source === 'float32' || source === 'float64') {
    // A fraction has no place in an integer: only whole numbers convert.
    const value = `CASE WHEN ${x} = trunc(${x}) THEN TRY_CAST(${x} AS ${target}) END`;
    return {
      value,
      fetched: element,
      conversion: 'none',
      failed: `${x} IS NOT NULL AND ${value} IS NULL`,
    };
  }
  const value = `TRY_CAST(${x} AS ${target})`;
  return {
    value,
    fetched: element,
    conversion: 'none',
    failed: `${x} IS NOT NULL AND ${value} IS NULL`,
  };
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
  const value = `TRY_CAST(${x} AS ${sqlTypeOfElement(element)})`;
  if (element === 'utf8') return { value, fetched: element, conversion: 'none' };
  if (element === 'float32' || element === 'float64') {
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

/** Rows as the model takes them. */
export interface FeatureBatch {
  /** One column a feature, of the input's element type; missing floats are NaN. Rows that are bad hold 0 or ''. */
  readonly batch: RecordBatch;
  /** The rows that cannot be scored, in order. */
  readonly bad: readonly {
    readonly row: number;
    readonly reason: QuarantineReason;
    readonly column: string;
  }[];
}

/** Converts a batch, into arrays of the arena. Adds to `lossyCasts`, by column, how many values a cast has changed. */
export function toFeatures(
  source: RecordBatch,
  plan: FeaturesPlan,
  rows: number,
  lossyCasts: Map<string, number>,
  arena: Arena,
): FeatureBatch {
  const bad = new Map<number, { reason: QuarantineReason; column: string }>();
  for (const { column, failed } of plan.casts) {
    eachTrue(columnOf(source, failed, 'bool'), rows, (row) => {
      if (!bad.has(row)) bad.set(row, { reason: 'cast_failed', column });
    });
  }
  const columns = plan.features.map((feature) => {
    const fetched = columnOf(source, feature.value, feature.fetched);
    if (feature.failed !== undefined) {
      eachTrue(columnOf(source, feature.failed, 'bool'), rows, (row) => {
        if (!bad.has(row)) bad.set(row, { reason: 'cast_failed', column: feature.column });
      });
    }
    const { column, lossy } = convert(fetched, feature, rows, arena);
    let lost = lossy;
    if (feature.lossy !== undefined) {
      eachTrue(columnOf(source, feature.lossy, 'bool'), rows, () => {
        lost++;
      });
    }
    if (lost > 0) lossyCasts.set(feature.column, (lossyCasts.get(feature.column) ?? 0) + lost);
    const reason = feature.nullsFailed ? 'cast_failed' : 'null_value';
    return withoutNulls(column, rows, !feature.nullsFailed, (row) => {
      if (!bad.has(row)) bad.set(row, { reason, column: feature.column });
    });
  });
  return {
    batch: recordBatchOf(
      plan.features.map(({ column }) => column),
      columns,
      rows,
    ),
    bad: [...bad].sort(([a], [b]) => a - b).map(([row, why]) => ({ row, ...why })),
  };
}

function eachTrue(flags: Column, rows: number, visit: (row: number) => void): void {
  for (let row = 0; row < rows; row++) if (flags.values[row] === 1) visit(row);
}

/** Missing values: NaN in floats, where that is fine; elsewhere the row is reported. Missing others become 0 or ''. */
function withoutNulls(
  column: Column,
  rows: number,
  nanIsFine: boolean,
  report: (row: number) => void,
): Column {
  const { element, values, validity } = column;
  if (validity === undefined) return column;
  const isFloat = values instanceof Float32Array || values instanceof Float64Array;
  const isWide = values instanceof BigInt64Array || values instanceof BigUint64Array;
  const missing = Array.isArray(values) ? '' : isFloat ? Number.NaN : isWide ? 0n : 0;
  for (let row = 0; row < rows; row++) {
    if (isValid(validity, row)) continue;
    values[row] = missing as never;
    if (!isFloat || !nanIsFine) report(row);
  }
  return { element, values, validity: undefined };
}

function convert(
  column: Column,
  feature: FeaturePlan,
  rows: number,
  arena: Arena,
): { column: Column; lossy: number } {
  const { values, validity } = column;
  if (feature.conversion === 'none' || Array.isArray(values)) return { column, lossy: 0 };
  const target = arena.array(feature.element, rows);
  return {
    column: { element: feature.element, values: target, validity },
    lossy: convertValues(values, target, feature.conversion, validity),
  };
}

function convertValues(
  source: TypedArray,
  target: TypedArray,
  conversion: Exclude<Conversion, 'none'>,
  validity: Uint8Array | undefined,
): number {
  switch (conversion) {
    case 'narrow':
      return narrow(source as Float64Array, target as Float32Array, validity);
    case 'from-int64':
    case 'from-uint64':
      return fromInt64(
        source as BigInt64Array | BigUint64Array,
        target as Float32Array | Float64Array,
        validity,
      );
    default:
      return assertNever(conversion);
  }
}

/** float64 to float32; counts the values that are not the same afterwards. */
function narrow(
  source: Float64Array,
  target: Float32Array,
  validity: Uint8Array | undefined,
): number {
  let lossy = 0;
  for (let row = 0; row < target.length; row++) {
    const value = source[row]!;
    const narrowed = Math.fround(value);
    target[row] = narrowed;
    // NaN is kept as NaN; what stands at a null is not looked at.
    if (narrowed !== value && !Number.isNaN(value) && isValid(validity, row)) lossy++;
  }
  return lossy;
}

/** 64-bit integers to floats, rounded once; counts the values that are not the same afterwards. */
function fromInt64(
  source: BigInt64Array | BigUint64Array,
  target: Float32Array | Float64Array,
  validity: Uint8Array | undefined,
): number {
  const words = new Int32Array(source.buffer, source.byteOffset, source.length * 2);
  // The high word of an unsigned integer is never negative: where it looks so, the value is above 2^63.
  const lowest = source instanceof BigUint64Array ? 0 : -0x200000;
  let lossy = 0;
  for (let row = 0; row < target.length; row++) {
    const high = words[2 * row + 1]!;
    // Within 2^53 the value is exact in a double, so that the store rounds it once.
    if (high < 0x200000 && high >= lowest) {
      const value = high * 4294967296 + (words[2 * row]! >>> 0);
      target[row] = value;
      if (target[row] !== value && isValid(validity, row)) lossy++;
    } else {
      const value = source[row]!;
      target[row] = target instanceof Float32Array ? toOddDouble(value) : Number(value);
      if (isValid(validity, row) && BigInt(target[row]!) !== value) lossy++;
    }
  }
  return lossy;
}

/**
 * A double from which rounding to float32 gives the same as rounding the integer would: the bits that are cut off
 * are remembered in the last one ("round to odd", Boldo and Melquiond 2008).
 */
function toOddDouble(value: bigint): number {
  const cut = value >> 11n;
  return Number((value & 0x7ffn) === 0n ? cut : cut | 1n) * 2048;
}
