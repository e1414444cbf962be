/** How far apart two distributions are: each measure as its source defines it. */
import { compareText } from '../base/hash.js';
import { type Bin, type NumberPair, pairNumber, type TextPair } from './bins.js';
import { chiSquaredTail, kolmogorovTail } from './significance.js';

/** What stands for a share of 0 in the population stability index, which has no value for 0 (as in Evidently). */
export const LEAST_SHARE = 0.0001;
/** A test by chi-squared wants as many rows expected in each bin (Cochran 1954). */
const EXPECTED_ROWS = 5;

/** The shares of both sides in each bin. Both sides must have rows. */
function shares(bins: readonly Bin[]): { p: number; q: number }[] {
  const rows = bins.reduce((sum, bin) => sum + bin.baseline, 0);
  const currentRows = bins.reduce((sum, bin) => sum + bin.current, 0);
  return bins.map(({ baseline, current }) => ({ p: baseline / rows, q: current / currentRows }));
}

/**
 * Population stability index: the sum of (p − q) ln(p / q) over bins, with shares p of the baseline and q of the current rows
 * (Siddiqi 2006, "Credit Risk Scorecards"; it is Jeffreys' divergence). 0 for equal shares, without a greatest value.
 */
export function populationStability(bins: readonly Bin[]): number {
  const sum = shares(bins).reduce((total, { p, q }) => {
    const [before, after] = [p === 0 ? LEAST_SHARE : p, q === 0 ? LEAST_SHARE : q];
    return total + (before - after) * Math.log(before / after);
  }, 0);
  return Math.max(0, sum);
}

/** Jensen–Shannon distance: the root of the divergence, in bits, so that it is from 0 to 1 (Lin 1991; SciPy's `jensenshannon`, base 2). */
export function jensenShannon(bins: readonly Bin[]): number {
  const part = (own: number, mean: number): number => (own === 0 ? 0 : own * Math.log2(own / mean));
  const sum = shares(bins).reduce(
    (total, { p, q }) => total + part(p, (p + q) / 2) + part(q, (p + q) / 2),
    0,
  );
  return Math.sqrt(Math.min(1, Math.max(0, sum / 2)));
}

/** Hellinger distance, from 0 to 1: the root of half the sum of (√p − √q)². */
export function hellinger(bins: readonly Bin[]): number {
  const sum = shares(bins).reduce(
    (total, { p, q }) => total + (Math.sqrt(p) - Math.sqrt(q)) ** 2,
    0,
  );
  return Math.sqrt(Math.min(1, sum / 2));
}

/** L-infinity: the greatest change of a share (TensorFlow Data Validation's measure for categories). */
export function greatestChange(bins: readonly Bin[]): number {
  return shares(bins).reduce((most, { p, q }) => Math.max(most, Math.abs(p - q)), 0);
}

/** A test of two samples on bins. */
export interface ChiSquared {
  readonly statistic: number;
  readonly freedom: number;
  /** How likely a statistic as large is when both sides are drawn from one distribution. */
  readonly p: number;
  /** Cramér's V: the statistic as an effect size from 0 to 1, which does not grow with the rows. */
  readonly effect: number;
}

/**
 * Pearson's chi-squared test that both sides are drawn from one distribution (SciPy's `chi2_contingency` without
 * correction). Bins in which fewer than five rows are expected of a side are put together, the smallest first.
 */
export function chiSquared(bins: readonly Bin[]): ChiSquared {
  const pooled = pool(bins);
  const rows = pooled.reduce((sum, bin) => sum + bin.baseline, 0);
  const currentRows = pooled.reduce((sum, bin) => sum + bin.current, 0);
  const all = rows + currentRows;
  const statistic = pooled.reduce((sum, { baseline, current }) => {
    const expected = ((baseline + current) * rows) / all;
    const expectedCurrent = ((baseline + current) * currentRows) / all;
    return (
      sum +
      (baseline - expected) ** 2 / expected +
      (current - expectedCurrent) ** 2 / expectedCurrent
    );
  }, 0);
  const freedom = pooled.length - 1;
  const p = chiSquaredTail(statistic, freedom);
  return { statistic, freedom, p, effect: Math.min(1, Math.sqrt(statistic / all)) };
}

function pool(bins: readonly Bin[]): Pick<Bin, 'baseline' | 'current'>[] {
  const rows = bins.reduce((sum, bin) => sum + bin.baseline, 0);
  const currentRows = bins.reduce((sum, bin) => sum + bin.current, 0);
  const least = Math.min(rows, currentRows) / (rows + currentRows);
  const isSmall = ({ baseline, current }: Pick<Bin, 'baseline' | 'current'>): boolean =>
    (baseline + current) * least < EXPECTED_ROWS;
  const rising = bins
    .filter(({ baseline, current }) => baseline + current > 0)
    .sort((a, b) => a.baseline + a.current - (b.baseline + b.current));
  const [first, ...rest] = rising;
  if (first === undefined || !isSmall(first)) return rising;
  const pooled = { baseline: first.baseline, current: first.current };
  for (;;) {
    const next = rest[0];
    if (next === undefined || !(isSmall(next) || isSmall(pooled))) return [pooled, ...rest];
    pooled.baseline += next.baseline;
    pooled.current += next.current;
    rest.shift();
  }
}

/**
 * How likely categories as different are when both sides are drawn from one distribution: Pearson's test of groups of
 * categories, put together in the order of how many rows of both sides they have until five are expected on either. The bins
 * of the distances would not do: of few rows, those are frequent enough for a bin that happen to be.
 */
export function categoryChance({ texts, baseline, current, rows, currentRows }: TextPair): number {
  const all = [...texts.keys()].map((i) => ({ i, total: baseline[i]! + current[i]! }));
  all.sort((a, b) => a.total - b.total || compareText(texts[a.i]!, texts[b.i]!));
  const wanted = (EXPECTED_ROWS * (rows + currentRows)) / Math.min(rows, currentRows);
  const groups: { baseline: number; current: number }[] = [];
  let left = all.reduce((sum, { total }) => sum + total, 0);
  let isFull = true;
  for (const { i, total } of all) {
    // What is left at the end, and is too few, joins the last group.
    if (isFull && (left >= wanted || groups.length === 0)) groups.push({ baseline: 0, current: 0 });
    const group = groups.at(-1)!;
    group.baseline += baseline[i]!;
    group.current += current[i]!;
    left -= total;
    isFull = group.baseline + group.current >= wanted;
  }
  return chiSquared(groups).p;
}

/**
 * Kolmogorov–Smirnov: the greatest distance between both cumulative distributions, from 0 to 1 (SciPy's `ks_2samp`).
 * For buckets it is that at their edges: too small by at most the greatest share that one bucket has.
 */
export function kolmogorovSmirnov(pair: NumberPair): { distance: number; p: number } {
  let before = 0;
  let after = 0;
  let distance = 0;
  for (let i = 0; i < pair.points.length; i++) {
    before += pair.baseline[i]!;
    after += pair.current[i]!;
    distance = Math.max(distance, Math.abs(before / pair.rows - after / pair.currentRows));
  }
  return { distance, p: kolmogorovTail(distance, pair.rows, pair.currentRows) };
}

/**
 * Wasserstein's (earth mover's) distance of the finite numbers: the area between both cumulative distributions, in the unit of the
 * numbers (SciPy's `wasserstein_distance`). For buckets their middles are taken: off by at most 0.4 % of the mean size of
 * the numbers of each side.
 */
export function wasserstein(pair: NumberPair): number {
  const finite = [...pair.points.keys()].filter((i) => Number.isFinite(pair.points[i]));
  const rows = finite.reduce((sum, i) => sum + pair.baseline[i]!, 0);
  const currentRows = finite.reduce((sum, i) => sum + pair.current[i]!, 0);
  let before = 0;
  let after = 0;
  let distance = 0;
  finite.forEach((i, place) => {
    before += pair.baseline[i]! / rows;
    after += pair.current[i]! / currentRows;
    const next = finite[place + 1];
    if (next !== undefined) {
      const apart = Math.abs(before - after);
      const [low, high] = [pairNumber(pair, i), pairNumber(pair, next)];
      // Numbers of both ends can be farther apart than a number can be, where no share lies between them.
      distance += Number.isFinite(high - low)
        ? apart * (high - low)
        : 2 * (apart * (high / 2 - low / 2));
    }
  });
  return distance;
}
