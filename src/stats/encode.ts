/**
 * Statistics as they are stored: JSON whose long lists of numbers are packed. The same statistics are the same text.
 *
 * The numbers that were counted each are stored as differences, in the first form that holds all of them: as whole
 * numbers of some decimal place (`0.25` as 25 hundredths), in the order of float32, else as their eight bytes.
 */
import type { Json } from '../base/hash.js';
import { type CategorySketch, HASHES } from './category.js';
import type { ColumnStatistics, Statistics } from './column.js';
import type { NumericSketch } from './numeric.js';
import { packWholes } from './varints.js';

/** The number of the format; statistics of another are made again. */
export const STATISTICS_FORMAT = 1;
/** How many decimal places are tried. */
export const MOST_PLACES = 6;
/** Greater whole numbers are stored otherwise: their differences would exceed 2^53. */
export const GREATEST_WHOLE = 2 ** 51;

/** The statistics of some rows as JSON. */
export function encodeStatistics({ rows, columns }: Statistics): Json {
  return { format: STATISTICS_FORMAT, rows, columns: columns.map(encodeColumn) };
}

function encodeColumn({ name, role, sketch }: ColumnStatistics): Json {
  const encoded = sketch.kind === 'numeric' ? encodeNumeric(sketch) : encodeCategory(sketch);
  return { name, role, ...encoded };
}

function encodeNumeric(sketch: NumericSketch): { readonly [key: string]: Json } {
  const { nulls, nan, positiveInfinite, negativeInfinite, zeros, min, max, moments } = sketch;
  return {
    kind: 'numeric',
    nulls,
    nan,
    infinite: [negativeInfinite, positiveInfinite],
    zeros,
    range: min === undefined || max === undefined ? null : [min, max],
    mean: [moments.mean, moments.meanRest],
    // JSON has no infinity.
    squares: Number.isFinite(moments.squares) ? moments.squares : null,
    points: encodePoints(sketch),
    counts: packWholes(sketch.counts),
  };
}

function encodeCategory(sketch: CategorySketch): { readonly [key: string]: Json } {
  const { nulls, rows, empty, shortest, longest, length, bound, texts, counts } = sketch;
  return {
    kind: 'category',
    nulls,
    rows,
    empty,
    lengths: shortest === undefined || longest === undefined ? null : [shortest, longest, length],
    // Null where all texts are counted.
    bound: bound === HASHES ? null : bound,
    texts,
    counts: packWholes(counts),
  };
}

function encodePoints({ resolution, points }: NumericSketch): Json {
  if (resolution === 'bucket') return { as: 'buckets', packed: packRising(points) };
  for (let places = 0; places <= MOST_PLACES; places++) {
    const wholes = wholesOf(points, places);
    if (wholes !== undefined) return { as: 'decimals', places, packed: packRising(wholes) };
  }
  if (points.every((value) => Math.fround(value) === value)) {
    return { as: 'float32', packed: packRising(points.map(orderOfFloat)) };
  }
  const bytes = new DataView(new ArrayBuffer(8 * points.length));
  points.forEach((value, i) => {
    bytes.setFloat64(8 * i, value, true);
  });
  return { as: 'float64', packed: Buffer.from(bytes.buffer).toString('base64') };
}

/** Numbers in units of a decimal place; undefined where one is not exactly what it then reads as. */
function wholesOf(points: Float64Array, places: number): Float64Array | undefined {
  const units = 10 ** places;
  const wholes = points.map((value) => Math.round(value * units));
  const isExact = wholes.every(
    (whole, i) => Math.abs(whole) <= GREATEST_WHOLE && whole / units === points[i],
  );
  return isExact ? wholes : undefined;
}

/** The first number (its sign in the lowest bit), then by how much each is greater than the one before. */
function packRising(values: Float64Array): string {
  return packWholes(
    values.map((value, i) => {
      if (i > 0) return value - values[i - 1]!;
      return value < 0 ? -2 * value - 1 : 2 * value;
    }),
  );
}

const float = new Float32Array(1);
const bits = new Int32Array(float.buffer);

/** A place for each float32, in their order: those of negative numbers are negative. */
export function orderOfFloat(value: number): number {
  float[0] = value;
  const all = bits[0]!;
  return all >= 0 ? all : -(all & 0x7fffffff) - 1;
}

/** The float32 at a place. */
export function floatOfOrder(order: number): number {
  bits[0] = order >= 0 ? order : (-order - 1) | 0x80000000;
  return float[0]!;
}
