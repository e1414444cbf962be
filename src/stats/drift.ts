/** How a column differs from its baseline. */

import { compareText } from '../base/hash.js';
import { type Bin, numberBins, numberPair, type TextPair, textBins, textPair } from './bins.js';
import type { CategorySketch } from './category.js';
import { missingRows, type Sketch, sketchRows } from './column.js';
import {
  type ChiSquared,
  categoryChance,
  chiSquared,
  greatestChange,
  hellinger,
  jensenShannon,
  kolmogorovSmirnov,
  populationStability,
  wasserstein,
} from './distances.js';
import { varianceOf } from './moments.js';
import { type NumericSketch, quantilesOf } from './numeric.js';
import { adjusted, normalTails, surplusTail } from './significance.js';

/** The shares for which quantiles are compared. */
export const QUANTILES = [0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99] as const;

/** A share of the rows on each side. */
export interface ShareChange {
  readonly baseline: number;
  readonly current: number;
  /** By how much it rose: of the rows, not of the share. */
  readonly increase: number;
  /** How likely at least so many current rows are when both sides have the same share (Fisher's exact test, one-sided). */
  readonly p: number;
}

/** How the rest of a column's values changed. Undefined where a side has no value, or the measure has no meaning. */
interface Distances {
  readonly psi: number;
  readonly jensenShannon: number;
  readonly hellinger: number;
  readonly chiSquared: ChiSquared;
  /** How likely values as different are when both sides are drawn from one distribution. */
  readonly p: number;
  readonly bins: readonly Bin[];
}

/** How a column of numbers differs from its baseline. */
export interface NumericDrift extends Distances {
  readonly ks: { readonly distance: number; readonly p: number };
  readonly wasserstein: number;
  /**
   * Wasserstein's distance in standard deviations of the baseline; of both sides together where that has none. Undefined where they
   * exceed what a double holds.
   */
  readonly wassersteinNormed: number | undefined;
}

/** How a column of texts differs from its baseline. */
export interface CategoryDrift extends Distances {
  readonly greatestChange: number;
}

/** Mean values, and whether they differ by more than chance. */
export interface MeanChange {
  readonly baseline: number;
  readonly current: number;
  readonly change: number;
  /** The change as a share of the size of the baseline's mean; undefined where that is 0. */
  readonly relative: number | undefined;
  /**
   * How likely a change as large is when both sides have the same mean: by the normal distribution, with the greater of two
   * standard errors, that of Welch's test and that of a common variance. Few rows that lack what is rare know nothing of its variance.
   */
  readonly p: number;
}

/** A category that one side lacks. */
export interface LoneCategory {
  readonly text: string;
  readonly count: number;
  /** How likely that is when both sides are drawn from the same rows, corrected for the number of categories. */
  readonly p: number;
}

/** A column beside its baseline. */
export interface ColumnComparison {
  readonly rows: number;
  readonly currentRows: number;
  /** Rows without a value: null or not a number. */
  readonly missing: ShareChange | undefined;
  readonly infinite: ShareChange | undefined;
  /** Rows without a value and infinite ones together; undefined for texts. */
  readonly nonFinite: ShareChange | undefined;
  readonly numeric: NumericDrift | undefined;
  readonly category: CategoryDrift | undefined;
  readonly mean: MeanChange | undefined;
  readonly quantiles: readonly {
    readonly share: number;
    readonly baseline: number;
    readonly current: number;
  }[];
  /** Categories that only the current rows have, and that only the baseline has, the most frequent first. */
  readonly added: readonly LoneCategory[];
  readonly vanished: readonly LoneCategory[];
}

/** Compares a column with its baseline; undefined when one is of numbers and the other of texts. */
export function compareColumn(baseline: Sketch, current: Sketch): ColumnComparison | undefined {
  if (baseline.kind === 'numeric') {
    return current.kind === 'numeric' ? compareNumbers(baseline, current) : undefined;
  }
  return current.kind === 'category' ? compareTexts(baseline, current) : undefined;
}

function compareNumbers(baseline: NumericSketch, current: NumericSketch): ColumnComparison {
  const infinite = (sketch: NumericSketch): number =>
    sketch.positiveInfinite + sketch.negativeInfinite;
  const before = quantilesOf(baseline, QUANTILES);
  const after = quantilesOf(current, QUANTILES);
  const isBoth = before.length > 0 && after.length > 0;
  return {
    ...sidesOf(baseline, current),
    infinite: shareChange(baseline, current, infinite(baseline), infinite(current)),
    nonFinite: shareChange(
      baseline,
      current,
      missingRows(baseline) + infinite(baseline),
      missingRows(current) + infinite(current),
    ),
    numeric: numericDrift(baseline, current),
    category: undefined,
    mean: meanChange(baseline, current),
    quantiles: isBoth
      ? QUANTILES.map((share, i) => ({ share, baseline: before[i]!, current: after[i]! }))
      : [],
    added: [],
    vanished: [],
  };
}

function sidesOf(baseline: Sketch, current: Sketch) {
  return {
    rows: sketchRows(baseline),
    currentRows: sketchRows(current),
    missing: shareChange(baseline, current, missingRows(baseline), missingRows(current)),
  };
}

function shareChange(
  baseline: Sketch,
  current: Sketch,
  before: number,
  after: number,
): ShareChange | undefined {
  const [rows, currentRows] = [sketchRows(baseline), sketchRows(current)];
  if (rows === 0 || currentRows === 0) return undefined;
  const shares = { baseline: before / rows, current: after / currentRows };
  return {
    ...shares,
    increase: shares.current - shares.baseline,
    p: surplusTail({ rows, currentRows, marked: before, currentMarked: after }),
  };
}

function numericDrift(baseline: NumericSketch, current: NumericSketch): NumericDrift | undefined {
  const pair = numberPair(baseline, current);
  if (pair.rows === 0 || pair.currentRows === 0) return undefined;
  const distance = wasserstein(pair);
  const unit = unitOf(baseline, current);
  const normed = Number.isFinite(unit) ? distance / unit : undefined;
  return {
    ...distancesOf(numberBins(pair)),
    ks: kolmogorovSmirnov(pair),
    wasserstein: distance,
    wassersteinNormed: distance === 0 ? 0 : normed,
  };
}

function distancesOf(bins: readonly Bin[]): Distances {
  const found = chiSquared(bins);
  return {
    psi: populationStability(bins),
    jensenShannon: jensenShannon(bins),
    hellinger: hellinger(bins),
    chiSquared: found,
    p: found.p,
    bins,
  };
}

/** The standard deviation of the baseline; where it has none, that of both sides, each with half the weight. */
function unitOf(baseline: NumericSketch, current: NumericSketch): number {
  const own = varianceOf(baseline.moments) ?? 0;
  if (own > 0) return Math.sqrt(own);
  const apart = (current.moments.mean - baseline.moments.mean) / 2;
  return Math.sqrt((varianceOf(current.moments) ?? 0) / 2 + apart * apart);
}

function meanChange(baseline: NumericSketch, current: NumericSketch): MeanChange | undefined {
  const [a, b] = [baseline.moments, current.moments];
  const [before, after] = [varianceOf(a), varianceOf(b)];
  if (before === undefined || after === undefined) return undefined;
  const change = b.mean - a.mean + (b.meanRest - a.meanRest);
  const welch = before / a.count + after / b.count;
  const rows = a.count + b.count;
  const common = before * (a.count / rows) + after * (b.count / rows);
  const error = Math.sqrt(Math.max(welch, common / a.count + common / b.count));
  // Where the variance exceeds what a double holds, nothing can be said.
  const p =
    change === 0 || !Number.isFinite(error) ? 1 : error === 0 ? 0 : normalTails(change / error);
  const relative = a.mean === 0 ? undefined : change / Math.abs(a.mean);
  return { baseline: a.mean, current: b.mean, change, relative, p };
}

function compareTexts(baseline: CategorySketch, current: CategorySketch): ColumnComparison {
  const pair = textPair(baseline, current);
  const bins = textBins(pair);
  const isBoth = pair.rows > 0 && pair.currentRows > 0;
  return {
    ...sidesOf(baseline, current),
    infinite: undefined,
    nonFinite: undefined,
    numeric: undefined,
    category: isBoth
      ? { ...distancesOf(bins), p: categoryChance(pair), greatestChange: greatestChange(bins) }
      : undefined,
    mean: undefined,
    quantiles: [],
    added: isBoth ? loneCategories(pair, 'current') : [],
    vanished: isBoth ? loneCategories(pair, 'baseline') : [],
  };
}

function loneCategories(pair: TextPair, side: 'baseline' | 'current'): LoneCategory[] {
  const other = side === 'current' ? 'baseline' : 'current';
  const [rows, otherRows] =
    side === 'current' ? [pair.currentRows, pair.rows] : [pair.rows, pair.currentRows];
  const found = [...pair.texts.keys()].filter((i) => pair[other][i] === 0);
  const chances = found.map((i) =>
    surplusTail({ rows: otherRows, currentRows: rows, marked: 0, currentMarked: pair[side][i]! }),
  );
  // All categories are looked at, not only those that turn out to be alone.
  const corrected = adjusted([
    ...chances,
    ...new Array<number>(pair.texts.length - found.length).fill(1),
  ]);
  return found
    .map((i, place) => ({ text: pair.texts[i]!, count: pair[side][i]!, p: corrected[place]! }))
    .sort((a, b) => b.count - a.count || compareText(a.text, b.text));
}
