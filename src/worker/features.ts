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
import type { ElementType } from '../base/elements.js';
import { assertNever, ScorelineError, shown } from '../base/errors.js';
import { FLOAT16_NAN, float16Numbers, float16Of } from '../base/float16.js';
import type { TensorElement } from '../base/onnx.js';
import { type ColumnSource, columnProblems, type InputBinding } from '../plan/signature.js';
import { type Cast, type Conversion, castSql, listCastSql } from './casts.js';
import type { BadRow, QuarantineReason } from './quarantine.js';
import { type FetchColumn, failedColumn, type Segment } from './read.js';

/** One feature: where its values are among the fetched columns, and where the flags that SQL computed for it. */
interface FeaturePlan {
  readonly column: string;
  /** That of the column: float16 is held as its bits. */
  readonly element: ElementType;
  /** What stands for a missing value, where the model can hold that. */
  readonly nan: number | undefined;
  readonly value: number;
  readonly fetched: ElementType;
  readonly conversion: Conversion;
  /** Fetched columns that say for each row whether the cast failed, or lost something. */
  readonly failed: number | undefined;
  readonly lossy: number | undefined;
  /** Of a column of lists: the elements a row, and the fetched column that says which rows have another list. */
  readonly list: { readonly width: number; readonly wrong: number } | undefined;
  /** Whether a missing value is one that could not be read: the column's text is there. */
  readonly nullsFailed: boolean;
}

/** What to fetch from a segment, and how it becomes features, in the order of the model's inputs and columns. */
export interface FeaturesPlan {
  readonly fetch: readonly FetchColumn[];
  readonly features: readonly FeaturePlan[];
  /** Columns whose text cannot be read in some rows, and the fetched column that says in which. */
  readonly casts: readonly {
    readonly column: string;
    readonly failed: number;
    readonly detail?: string;
  }[];
  /** The fetched column that names a row to its sample, and its element type. */
  readonly rowKey?: { readonly index: number; readonly element: 'int64' | 'uint64' } | undefined;
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
  const add = (sql: string, element: ElementType, list?: number): number =>
    fetch.push({ name: `f${fetch.length}`, sql, element, ...(list && { list }) }) - 1;
  const features = inputs.flatMap((input) =>
    input.columns.map((name) => {
      const column = segment.columns.find((candidate) => candidate.name === name)!;
      return {
        column: name,
        element: input.element === 'float16' ? ('uint16' as const) : input.element,
        nan: nanOf(input.element),
        ...(input.list === undefined
          ? planScalar(castSql(column, input.element), add)
          : planList(column, input, add)),
        nullsFailed: segment.partition.some(
          (given) => column.partition && given.name === name && given.value !== null,
        ),
      };
    }),
  );
  const casts = segment.casts.map(({ column, type }, index) => ({
    column,
    failed: add(failedColumn(index), 'bool'),
    ...(type === 'TIMESTAMP' && { detail: NO_TIMESTAMP }),
  }));
  return { fetch, features, casts };
}

/** What may be wrong with a text that is no TIMESTAMP. */
const NO_TIMESTAMP = 'with a UTC offset it is a TIMESTAMPTZ (input.types)';

type Fetched = Pick<FeaturePlan, 'value' | 'fetched' | 'conversion' | 'failed' | 'lossy' | 'list'>;

/** Adds a column to fetch, and gives its place. */
type Add = (sql: string, element: ElementType, list?: number) => number;

function planScalar(cast: Cast, add: Add): Fetched {
  return {
    value: add(cast.value, cast.fetched),
    fetched: cast.fetched,
    conversion: cast.conversion,
    failed: cast.failed === undefined ? undefined : add(cast.failed, 'bool'),
    lossy: cast.lossy === undefined ? undefined : add(cast.lossy, 'bool'),
    list: undefined,
  };
}

function planList(column: ColumnSource, { element, list = [] }: InputBinding, add: Add): Fetched {
  // Open sizes are settled for each task before: see `withKnownSizes`.
  const sizes = list.map((size) => size ?? 1);
  const width = sizes.reduce((product, size) => product * size, 1);
  const cast = listCastSql(column, element, sizes);
  return {
    value: add(cast.value, cast.fetched, width),
    fetched: cast.fetched,
    conversion: cast.conversion,
    failed: cast.failed === undefined ? undefined : add(cast.failed, 'bool'),
    lossy: cast.lossy === undefined ? undefined : add(cast.lossy, 'uint32'),
    list: { width, wrong: add(cast.wrong, 'bool') },
  };
}

function nanOf(element: TensorElement): number | undefined {
  if (element === 'float16') return FLOAT16_NAN;
  return element === 'float32' || element === 'float64' ? Number.NaN : undefined;
}

/** Rows as the model takes them. */
export interface FeatureBatch {
  /**
   * One column a feature, of the input's element type, lists of fixed length for a column of lists; missing floats are
   * NaN. Rows that are bad hold 0 or ''.
   */
  readonly batch: RecordBatch;
  /** The rows that cannot be scored, in order. */
  readonly bad: readonly BadRow[];
}

/** Converts a batch, into arrays of the arena. Adds to `lossyCasts`, by column, how many values a cast has changed. */
export function toFeatures(
  source: RecordBatch,
  plan: FeaturesPlan,
  rows: number,
  lossyCasts: Map<string, number>,
  arena: Arena,
): FeatureBatch {
  const bad = new Map<number, Omit<BadRow, 'row'>>();
  const blame = (
    row: number,
    reason: QuarantineReason,
    { column, detail }: Pick<BadRow, 'column' | 'detail'>,
  ): void => {
    if (!bad.has(row)) bad.set(row, { reason, column, ...(detail !== undefined && { detail }) });
  };
  for (const cast of plan.casts) {
    eachTrue(columnOf(source, cast.failed, 'bool'), rows, (row) => blame(row, 'cast_failed', cast));
  }
  const columns = plan.features.map((feature) => {
    const fetched = columnOf(source, feature.value, feature.fetched);
    if (feature.failed !== undefined) {
      eachTrue(columnOf(source, feature.failed, 'bool'), rows, (row) =>
        blame(row, 'cast_failed', feature),
      );
    }
    if (feature.list !== undefined) {
      eachTrue(columnOf(source, feature.list.wrong, 'bool'), rows, (row) =>
        blame(row, 'wrong_length', feature),
      );
    }
    const { column, lossy } = convert(fetched, feature, rows, arena);
    const lost = lossy + lostInSql(source, fetched, column, feature, rows);
    if (lost > 0) lossyCasts.set(feature.column, (lossyCasts.get(feature.column) ?? 0) + lost);
    eachWithNul(column, (row) => blame(row, 'nul_in_text', feature));
    const reason = feature.nullsFailed ? 'cast_failed' : 'null_value';
    return withoutNulls(column, rows, feature, (row) => blame(row, reason, feature));
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

/** Visits the rows with a text that contains NUL: the binding of ONNX Runtime hands on what stands before it. */
function eachWithNul({ values, list }: Column, visit: (row: number) => void): void {
  if (!Array.isArray(values)) return;
  const width = list?.width ?? 1;
  for (let at = 0; at < values.length; at++) {
    if (values[at]?.includes('\0')) visit(Math.floor(at / width));
  }
}

/** How many values SQL has changed, but for those whose conversion was counted as lossy too. */
function lostInSql(
  source: RecordBatch,
  fetched: Column,
  column: Column,
  { lossy, list, conversion }: FeaturePlan,
  rows: number,
): number {
  if (lossy === undefined) return 0;
  let lost = 0;
  if (list !== undefined) {
    const counts = columnOf(source, lossy, 'uint32').values;
    for (let row = 0; row < rows; row++) lost += Number(counts[row]);
    return lost;
  }
  const numbers = float16Numbers();
  eachTrue(columnOf(source, lossy, 'bool'), rows, (row) => {
    const isCounted =
      conversion === 'to-float16' && numbers[Number(column.values[row])] !== fetched.values[row];
    if (!isCounted) lost++;
  });
  return lost;
}

/** Missing values: NaN in floats, where that is fine; elsewhere the row is reported. Missing others become 0 or ''. */
function withoutNulls(
  column: Column,
  rows: number,
  { nan, nullsFailed }: FeaturePlan,
  report: (row: number) => void,
): Column {
  const { element, values, validity, list } = column;
  const width = list?.width ?? 1;
  // A list that is missing has no NaN to be: the row has nothing to score.
  const nanIsFine = nan !== undefined && !nullsFailed;
  if (list !== undefined && validity !== undefined) {
    for (let row = 0; row < rows; row++) if (!isValid(validity, row)) report(row);
  }
  const each = list === undefined ? validity : list.validity;
  if (each !== undefined) {
    const isWide = values instanceof BigInt64Array || values instanceof BigUint64Array;
    const missing = nan ?? (Array.isArray(values) ? '' : isWide ? 0n : 0);
    for (let at = 0; at < rows * width; at++) {
      if (isValid(each, at)) continue;
      values[at] = missing as never;
      if (!nanIsFine) report(Math.floor(at / width));
    }
  }
  const own = { element, values, validity: undefined };
  return list === undefined ? own : { ...own, list: { width, validity: undefined } };
}

function convert(
  column: Column,
  feature: FeaturePlan,
  rows: number,
  arena: Arena,
): { column: Column; lossy: number } {
  const { values, validity, list } = column;
  if (feature.conversion === 'none' || Array.isArray(values)) return { column, lossy: 0 };
  const target = arena.array(feature.element, rows * (list?.width ?? 1));
  const each = list === undefined ? validity : list.validity;
  return {
    column: { ...column, element: feature.element, values: target },
    lossy: convertValues(values, target, feature.conversion, each),
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
    case 'to-float16':
      return toFloat16(source as Float64Array, target as Uint16Array, validity);
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

/** float64 to the bits of float16; counts the values that are not the same afterwards. */
function toFloat16(
  source: Float64Array,
  target: Uint16Array,
  validity: Uint8Array | undefined,
): number {
  const numbers = float16Numbers();
  let lossy = 0;
  for (let row = 0; row < target.length; row++) {
    const value = source[row]!;
    const bits = float16Of(value);
    target[row] = bits;
    if (numbers[bits] !== value && !Number.isNaN(value) && isValid(validity, row)) lossy++;
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
