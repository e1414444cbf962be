/** Puts the values of two columns into the same few bins, so that shares can be compared. */
import { type CategorySketch, HASHES, withinBound } from './category.js';
import { align, edgesAt, type NumericSketch, numberAt, type Points, toBuckets } from './numeric.js';

/** Into how many bins of equal share the numbers of the baseline are put, where none is frequent. */
export const NUMBER_BINS = 10;
/** Categories with a smaller share than this, on the mean of both sides, are put together. */
export const CATEGORY_SHARE = 0.01;

/** A bin, and how many values of each side are in it. */
export interface Bin {
  /** From which number (the number itself included) to which (included); infinite for the outermost bins. */
  readonly from?: number;
  readonly to?: number;
  /** The category; undefined for numbers, and for the bin of the rare categories. */
  readonly text?: string;
  readonly baseline: number;
  readonly current: number;
}

/** The values of two columns of numbers, over the same points in rising order, infinities included. */
export interface NumberPair {
  readonly resolution: Points['resolution'];
  /** Points of infinite number are infinite. */
  readonly points: Float64Array;
  readonly baseline: Float64Array;
  readonly current: Float64Array;
  /** The sums of both. */
  readonly rows: number;
  readonly currentRows: number;
}

/** Brings two columns to one resolution, that of the coarser. */
export function numberPair(baseline: NumericSketch, current: NumericSketch): NumberPair {
  const coarse = baseline.resolution === 'bucket' || current.resolution === 'bucket';
  const [a, b] = [withInfinities(baseline, coarse), withInfinities(current, coarse)];
  return {
    resolution: coarse ? 'bucket' : 'exact',
    ...align(a, b),
    rows: sumOf(a.counts),
    currentRows: sumOf(b.counts),
  };
}

function withInfinities(sketch: NumericSketch, coarse: boolean): Points {
  const { resolution, points, counts } = coarse ? toBuckets(sketch) : sketch;
  const below = sketch.negativeInfinite > 0 ? [sketch.negativeInfinite] : [];
  const above = sketch.positiveInfinite > 0 ? [sketch.positiveInfinite] : [];
  return {
    resolution,
    points: Float64Array.from([
      ...below.map(() => Number.NEGATIVE_INFINITY),
      ...points,
      ...above.map(() => Number.POSITIVE_INFINITY),
    ]),
    counts: Float64Array.from([...below, ...counts, ...above]),
  };
}

/** The number that stands for a point of a pair. */
export function pairNumber({ resolution, points }: NumberPair, index: number): number {
  const point = points[index]!;
  return Number.isFinite(point) ? numberAt(resolution, point) : point;
}

/** A run of points, from the first to before the second. */
interface Run {
  readonly start: number;
  readonly end: number;
  readonly baseline: number;
  /** One frequent point. */
  readonly alone: boolean;
}

/**
 * Bins for numbers, from the baseline: a number that has a tenth of the baseline, or more, is a bin of its own; between such,
 * neighbours are put together until they have a tenth. What is left before a frequent number or at the end, and is less than
 * half of that, joins the bin before it, unless that is one number.
 */
export function numberBins(pair: NumberPair): Bin[] {
  const runs = runsOf(pair);
  return runs.map(({ start, end }, i) => ({
    from: i === 0 ? Number.NEGATIVE_INFINITY : edgeOf(pair, start, 0),
    to: i === runs.length - 1 ? Number.POSITIVE_INFINITY : edgeOf(pair, end - 1, 1),
    baseline: sumOf(pair.baseline.subarray(start, end)),
    current: sumOf(pair.current.subarray(start, end)),
  }));
}

function edgeOf({ resolution, points }: NumberPair, index: number, side: 0 | 1): number {
  const point = points[index]!;
  return Number.isFinite(point) ? edgesAt(resolution, point)[side] : point;
}

function runsOf({ points, baseline, rows }: NumberPair): Run[] {
  const wanted = rows / NUMBER_BINS;
  const runs: Run[] = [];
  let start = 0;
  let mass = 0;
  const close = (end: number): void => {
    const last = runs.at(-1);
    if (end > start) {
      if (mass < wanted / 2 && last !== undefined && !last.alone) {
        runs[runs.length - 1] = { ...last, end, baseline: last.baseline + mass };
      } else runs.push({ start, end, baseline: mass, alone: false });
    }
    start = end;
    mass = 0;
  };
  for (let i = 0; i < points.length; i++) {
    const count = baseline[i]!;
    if (count >= wanted && count > 0) {
      close(i);
      runs.push({ start: i, end: i + 1, baseline: count, alone: true });
      start = i + 1;
    } else {
      mass += count;
      if (mass >= wanted && mass > 0) close(i + 1);
    }
  }
  close(points.length);
  return runs;
}

/** The categories of two columns of texts: those that both sides count each. */
export interface TextPair {
  readonly texts: readonly string[];
  readonly baseline: Float64Array;
  readonly current: Float64Array;
  readonly rows: number;
  readonly currentRows: number;
  /** Whether only a sample of the categories was counted on a side. */
  readonly sampled: boolean;
}

/** Brings two columns of texts to the categories that both would have counted. */
export function textPair(baseline: CategorySketch, current: CategorySketch): TextPair {
  const bound = Math.min(baseline.bound, current.bound);
  const counts = new Map<string, [number, number]>();
  for (const [side, sketch] of [baseline, current].entries()) {
    const own = withinBound(sketch, bound);
    own.texts.forEach((text, i) => {
      const both = counts.get(text) ?? [0, 0];
      both[side] = own.counts[i]!;
      counts.set(text, both);
    });
  }
  const before = Float64Array.from(counts.values(), ([count]) => count);
  const after = Float64Array.from(counts.values(), ([, count]) => count);
  return {
    texts: [...counts.keys()],
    baseline: before,
    current: after,
    rows: sumOf(before),
    currentRows: sumOf(after),
    sampled: bound < HASHES,
  };
}

/** Bins for categories: one each, but for the rare ones, which are one together. */
export function textBins({ texts, baseline, current, rows, currentRows }: TextPair): Bin[] {
  const bins: Bin[] = [];
  const rare = { baseline: 0, current: 0 };
  texts.forEach((text, i) => {
    const own = { baseline: baseline[i]!, current: current[i]! };
    const share = (own.baseline / (rows || 1) + own.current / (currentRows || 1)) / 2;
    if (share >= CATEGORY_SHARE) bins.push({ text, ...own });
    else {
      rare.baseline += own.baseline;
      rare.current += own.current;
    }
  });
  if (rare.baseline + rare.current > 0) bins.push(rare);
  return bins;
}

/** The sum of some counts. */
export function sumOf(counts: Float64Array): number {
  let sum = 0;
  for (const count of counts) sum += count;
  return sum;
}
