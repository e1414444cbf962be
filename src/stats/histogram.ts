/** Histograms to look at: bins of equal width with round edges, around where nearly all of the numbers are. */
import { type NumericSketch, numberAt, quantilesOf } from './numeric.js';

/** About how many bins there are. */
const BINS = 24;
/** The share of the numbers on either end that lies outside, where they reach far. */
const TAIL = 0.005;

/** How many numbers lie in each bin, on both sides. */
export interface Histogram {
  /** One more than there are bins, rising. A number on an edge is in the bin above it, but for the last edge. */
  readonly edges: readonly number[];
  readonly current: HistogramSide;
  /** null without a baseline. */
  readonly baseline: HistogramSide | null;
}

/** Counts of one side. Infinities are below and above. */
export interface HistogramSide {
  readonly counts: readonly number[];
  readonly below: number;
  readonly above: number;
}

/** The histogram of a column beside its baseline; null where there is no finite number. */
export function histogramOf(
  current: NumericSketch,
  baseline: NumericSketch | undefined,
): Histogram | null {
  const sides = baseline === undefined ? [current] : [current, baseline];
  const ends = sides.flatMap((side) => quantilesOf(side, [TAIL, 1 - TAIL]));
  if (ends.length === 0) return null;
  const edges = roundEdges(Math.min(...ends), Math.max(...ends));
  return {
    edges,
    current: countIn(current, edges),
    baseline: baseline === undefined ? null : countIn(baseline, edges),
  };
}

function roundEdges(least: number, most: number): number[] {
  const step = roundStep(most / BINS - least / BINS) ?? roundStep(Math.abs(least) / 10) ?? 1;
  const first = Math.floor(least / step);
  const count = Math.max(1, Math.floor(most / step) + 1 - first);
  // Multiples of the step, not sums of it: 0.1 + 0.2 is no round number.
  const digits = Math.max(0, 1 - Math.floor(Math.log10(step)));
  return Array.from({ length: count + 1 }, (_, i) => {
    const edge = (first + i) * step;
    // A multiple beyond the largest number is none that JSON can carry.
    const finite = Math.max(-Number.MAX_VALUE, Math.min(Number.MAX_VALUE, edge));
    return digits > 20 ? finite : Number(finite.toFixed(digits));
  });
}

/** The next of 1, 2 and 5 times a power of ten; undefined where numbers are too close together. */
function roundStep(least: number): number | undefined {
  if (!(least > 1e-300)) return undefined;
  const power = 10 ** Math.floor(Math.log10(least));
  const factor = [1, 2, 5, 10].find((each) => each * power >= least) ?? 10;
  return factor * power;
}

function countIn(sketch: NumericSketch, edges: readonly number[]): HistogramSide {
  const counts = new Array<number>(edges.length - 1).fill(0);
  let below = sketch.negativeInfinite;
  let above = sketch.positiveInfinite;
  let bin = 0;
  // Points rise, and so do edges.
  sketch.points.forEach((point, i) => {
    const value = numberAt(sketch.resolution, point);
    const count = sketch.counts[i]!;
    if (value < edges[0]!) below += count;
    else if (value > edges.at(-1)!) above += count;
    else {
      while (bin < counts.length - 1 && value >= edges[bin + 1]!) bin++;
      counts[bin]! += count;
    }
  });
  return { counts, below, above };
}
