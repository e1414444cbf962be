/**
 * Rows or model? Both rows are scored by both models, and the change is split by the mean over both orders in which one could
 * have replaced the other: the Shapley value of two players. It adds up exactly.
 */
import type { KeyMatch } from './pairs.js';
import { influenceOf, measureOf, type Target } from './targets.js';

/** A part of a change, and its standard error: what it may be off by because only a sample was looked at. */
export interface Part {
  readonly change: number;
  readonly error: number;
}

/** One side of the crossover: what each model says of its rows; the same array twice where the model is the same. */
export interface ScoredSide {
  /** Of how many rows these are a sample. */
  readonly population: number;
  /** What the old and the new model say; undefined where the rows lack what the model takes. */
  readonly old: Float64Array | undefined;
  readonly new: Float64Array | undefined;
}

/** How much each order counts: rows first, as the old model sees them, or last, as the new one does. */
export interface OrderWeights {
  readonly old: number;
  readonly new: number;
}

/** A change, split. */
export interface Crossover {
  /** Of the samples. */
  readonly sampled: { readonly before: number; readonly now: number };
  /** The whole change, of all rows where that is known; its error says how far chance alone goes among so many rows. */
  readonly total: Part;
  readonly rows: Part;
  readonly model: Part;
}

/** The orders that can be looked at; undefined when neither can, and the model is not the same. */
export function orderWeights(before: ScoredSide, now: ScoredSide): OrderWeights | undefined {
  if (now.old !== undefined && before.new !== undefined) return { old: 0.5, new: 0.5 };
  if (now.old !== undefined) return { old: 1, new: 0 };
  if (before.new !== undefined) return { old: 0, new: 1 };
  return undefined;
}

/** Splits the change of a target. Rows of the same key are no independent draws: errors know of them. */
export function crossover(
  target: Target,
  sides: {
    readonly before: ScoredSide;
    readonly now: ScoredSide;
    readonly match: KeyMatch | undefined;
  },
  weights: OrderWeights,
): Crossover {
  const { before, now, match } = sides;
  const of = (values: Float64Array | undefined): number =>
    values === undefined ? 0 : measureOf(target, values);
  const start = of(before.old);
  const end = of(now.new);
  const rows = weights.old * (of(now.old) - start) + weights.new * (end - of(before.new));
  const sampled = end - start;
  const model = sampled - rows;
  const terms = {
    total: [scaled(target, before.old, -1), scaled(target, now.new, 1)] as const,
    rows: [
      summed(
        scaled(target, before.old, -weights.old),
        scaled(target, weights.new === 0 ? undefined : before.new, -weights.new),
      ),
      summed(
        scaled(target, weights.old === 0 ? undefined : now.old, weights.old),
        scaled(target, now.new, weights.new),
      ),
    ] as const,
  };
  const totalTerms = unitTerms(terms.total, sides, true);
  const rowTerms = unitTerms(terms.rows, sides, true);
  const variance = covariance(totalTerms, totalTerms, match);
  const rowVariance = covariance(rowTerms, rowTerms, match);
  const shared = covariance(rowTerms, totalTerms, match);
  const modelVariance = Math.max(0, rowVariance + variance - 2 * shared);
  const known =
    target.before === null || target.now === null ? undefined : target.now - target.before;
  // What the sample missed of the whole change is laid to the part that may have missed it: a regression estimate.
  const missed = known === undefined ? 0 : known - sampled;
  const isSameModel = before.old === before.new;
  const isRows = isSameModel || (Math.abs(rows) >= Math.abs(model) && rows !== 0);
  const share = variance > 0 ? shared / variance : isRows ? 1 : 0;
  const left = (own: number, common: number): number =>
    Math.sqrt(
      Math.max(0, known === undefined || variance === 0 ? own : own - (common * common) / variance),
    );
  const wholeTerms = unitTerms(terms.total, sides, false);
  const chance = Math.sqrt(Math.max(0, covariance(wholeTerms, wholeTerms, match)));
  return {
    sampled: { before: start, now: end },
    total: { change: known ?? sampled, error: chance },
    rows: { change: rows + missed * share, error: left(rowVariance, shared) },
    model: {
      change: model + missed * (1 - share),
      error: left(modelVariance, variance - shared),
    },
  };
}

function scaled(
  target: Target,
  values: Float64Array | undefined,
  weight: number,
): Float64Array | undefined {
  return values === undefined || weight === 0
    ? undefined
    : influenceOf(target, values).map((value) => weight * value);
}

function summed(
  a: Float64Array | undefined,
  b: Float64Array | undefined,
): Float64Array | undefined {
  if (a === undefined || b === undefined) return a ?? b;
  return a.map((value, row) => value + b[row]!);
}

type Terms = readonly [before: Float64Array, now: Float64Array];

/**
 * What each row adds to the error of a sum of two means. `asSample`: as a draw from the population, so that a sample of all
 * has none; else as one of as many rows as the population has.
 */
function unitTerms(
  values: readonly [Float64Array | undefined, Float64Array | undefined],
  { before, now }: { readonly before: ScoredSide; readonly now: ScoredSide },
  asSample: boolean,
): Terms {
  const own = (mine: Float64Array | undefined, side: ScoredSide): Float64Array => {
    const rows = (side.old ?? side.new)!.length;
    if (mine === undefined) return new Float64Array(rows);
    const mean = mine.reduce((sum, value) => sum + value, 0) / rows;
    const size = asSample
      ? Math.sqrt(Math.max(0, 1 - rows / side.population)) / rows
      : Math.sqrt(rows / Math.max(rows, side.population)) / rows;
    return mine.map((value) => (value - mean) * size);
  };
  return [own(values[0], before), own(values[1], now)];
}

/** What is left below this share of what cancels is rounding. */
const ROUNDING = 1e-12;

/** The covariance of two sums, of which rows of the same key are one draw. */
function covariance(a: Terms, b: Terms, match: KeyMatch | undefined): number {
  let sum = 0;
  let size = 0;
  const add = (term: number): void => {
    sum += term;
    size += Math.abs(term);
  };
  for (const side of [0, 1] as const) {
    for (let row = 0; row < a[side].length; row++) add(a[side][row]! * b[side][row]!);
  }
  for (let i = 0; i < (match?.before.length ?? 0); i++) {
    const [old, fresh] = [match!.before[i]!, match!.now[i]!];
    add(a[0][old]! * b[1][fresh]! + a[1][fresh]! * b[0][old]!);
  }
  return Math.abs(sum) <= ROUNDING * size ? 0 : sum;
}
