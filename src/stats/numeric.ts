/**
 * The statistics of a column of numbers: small, and the same for the same numbers in whatever order and groups they came
 * (mean and variance to 1e-12).
 *
 * Up to 4,096 different numbers are counted each. Where there are more, all are counted into buckets: the more numbers come
 * together, the more different ones there are, so that parts of which one has buckets give what the whole would have given.
 */
import { bucketEdges, bucketMiddle, bucketOf } from './buckets.js';
import { type Moments, mergeMoments, NO_MOMENTS } from './moments.js';

/** How many different numbers are counted each. */
export const EXACT_NUMBERS = 4096;

/** What was counted of a column of numbers. A negative zero is counted as a zero. */
export interface NumericSketch {
  readonly kind: 'numeric';
  /** Rows without a value. */
  readonly nulls: number;
  readonly nan: number;
  readonly positiveInfinite: number;
  readonly negativeInfinite: number;
  /** How many of the finite numbers are 0. */
  readonly zeros: number;
  /** The least and the greatest finite number; undefined where there is none. */
  readonly min: number | undefined;
  readonly max: number | undefined;
  /** Of the finite numbers. */
  readonly moments: Moments;
  /** Whether `points` are numbers or buckets. */
  readonly resolution: 'exact' | 'bucket';
  /** The different finite numbers, or their buckets, in rising order. */
  readonly points: Float64Array;
  /** How often each was there. */
  readonly counts: Float64Array;
}

/** The statistics of no rows. */
export const NO_NUMBERS: NumericSketch = {
  kind: 'numeric',
  nulls: 0,
  nan: 0,
  positiveInfinite: 0,
  negativeInfinite: 0,
  zeros: 0,
  min: undefined,
  max: undefined,
  moments: NO_MOMENTS,
  resolution: 'exact',
  points: new Float64Array(0),
  counts: new Float64Array(0),
};

/** How many rows were looked at. */
export function numericRows(sketch: NumericSketch): number {
  return (
    sketch.nulls +
    sketch.nan +
    sketch.positiveInfinite +
    sketch.negativeInfinite +
    sketch.moments.count
  );
}

/** The statistics of two sets of rows together. */
export function mergeNumeric(a: NumericSketch, b: NumericSketch): NumericSketch {
  return {
    kind: 'numeric',
    nulls: a.nulls + b.nulls,
    nan: a.nan + b.nan,
    positiveInfinite: a.positiveInfinite + b.positiveInfinite,
    negativeInfinite: a.negativeInfinite + b.negativeInfinite,
    zeros: a.zeros + b.zeros,
    min: lesser(a.min, b.min),
    max: greater(a.max, b.max),
    moments: mergeMoments(a.moments, b.moments),
    ...mergePoints(a, b),
  };
}

function lesser(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.min(a, b);
}

function greater(a: number | undefined, b: number | undefined): number | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return Math.max(a, b);
}

/** The counted part of a sketch. */
export type Points = Pick<NumericSketch, 'resolution' | 'points' | 'counts'>;

function mergePoints(a: Points, b: Points): Points {
  if (a.resolution !== b.resolution) return mergePoints(toBuckets(a), toBuckets(b));
  const { points, baseline, current } = align(a, b);
  const counts = baseline.map((count, i) => count + current[i]!);
  const merged: Points = { resolution: a.resolution, points, counts };
  return a.resolution === 'exact' && points.length > EXACT_NUMBERS ? toBuckets(merged) : merged;
}

/** Counted numbers as counted buckets; buckets stay as they are. */
export function toBuckets(counted: Points): Points {
  if (counted.resolution === 'bucket') return counted;
  const points: number[] = [];
  const counts: number[] = [];
  counted.points.forEach((value, i) => {
    const bucket = bucketOf(value);
    if (points.at(-1) === bucket) counts[counts.length - 1]! += counted.counts[i]!;
    else {
      points.push(bucket);
      counts.push(counted.counts[i]!);
    }
  });
  return {
    resolution: 'bucket',
    points: Float64Array.from(points),
    counts: Float64Array.from(counts),
  };
}

/** Two sets of counts over the same points. */
export interface AlignedPoints {
  readonly points: Float64Array;
  readonly baseline: Float64Array;
  readonly current: Float64Array;
}

/** The counts of two sets of points of one resolution, over all points of either. */
export function align(a: Points, b: Points): AlignedPoints {
  const most = a.points.length + b.points.length;
  const points = new Float64Array(most);
  const baseline = new Float64Array(most);
  const current = new Float64Array(most);
  let length = 0;
  for (let i = 0, j = 0; i < a.points.length || j < b.points.length; length++) {
    const left = a.points[i];
    const right = b.points[j];
    const point = left === undefined || (right !== undefined && right < left) ? right! : left;
    points[length] = point;
    if (left === point) baseline[length] = a.counts[i++]!;
    if (right === point) current[length] = b.counts[j++]!;
  }
  return {
    points: points.slice(0, length),
    baseline: baseline.slice(0, length),
    current: current.slice(0, length),
  };
}

/** The number that stands for a point: itself, or the middle of its bucket. */
export function numberAt(resolution: Points['resolution'], point: number): number {
  return resolution === 'exact' ? point : bucketMiddle(point);
}

/** The numbers that a point can be. */
export function edgesAt(
  resolution: Points['resolution'],
  point: number,
): readonly [low: number, high: number] {
  return resolution === 'exact' ? [point, point] : bucketEdges(point);
}

/** The most frequent of the finite numbers, with their counts, the lesser one first among equals; undefined for buckets. */
export function topNumbers(
  { resolution, points, counts }: Points,
  most: number,
): { readonly value: number; readonly count: number }[] | undefined {
  if (resolution === 'bucket') return undefined;
  return Array.from(points, (value, i) => ({ value, count: counts[i]! }))
    .sort((a, b) => b.count - a.count || a.value - b.value)
    .slice(0, most);
}

/**
 * Quantiles of the finite numbers: for each share the least number that so many do not exceed (NumPy's `inverted_cdf`), exact for
 * counted numbers, within 0.4 % for buckets. Shares must rise. Empty where there is no number.
 */
export function quantilesOf(sketch: NumericSketch, shares: readonly number[]): number[] {
  const { count } = sketch.moments;
  const { min, max } = sketch;
  if (count === 0 || min === undefined || max === undefined) return [];
  let i = 0;
  let seen = sketch.counts[0]!;
  return shares.map((share) => {
    const needed = Math.max(1, Math.ceil(share * count - 1e-9));
    while (seen < needed && i + 1 < sketch.points.length) seen += sketch.counts[++i]!;
    if (needed <= 1) return min;
    if (needed >= count) return max;
    return Math.min(max, Math.max(min, numberAt(sketch.resolution, sketch.points[i]!)));
  });
}
