/**
 * Which features carried the change of the rows? In couples of an old and a new row, features go over from the old to the new
 * values one after the other; what the score does at each step is that feature's. The steps of a couple add up to the
 * whole difference of its scores. Averaged over orders that is the Shapley value (Shapley 1953; Štrumbelj and Kononenko
 * 2014), with the old rows as background: what Python's `shap` calls interventional. Each order is used with its reverse
 * (antithetic), and blocks of couples have orders of their own, so that errors can be seen.
 */
import { shuffled } from './random.js';
import { isSameRow, pickRows, type SampleColumn } from './sample.js';

/** Scores rows: of each, a number for each target. NaN where there is none. */
export type RowScorer = (columns: readonly SampleColumn[], rows: number) => Promise<Float64Array[]>;

/** One model, and what it says of the couples' rows as they are. */
export interface WalkModel {
  /** How much it counts; those of all add up to 1. */
  readonly weight: number;
  readonly score: RowScorer;
  /** By target: of each couple's old row, and of its new one. */
  readonly before: readonly Float64Array[];
  readonly now: readonly Float64Array[];
}

/** Couples of rows, and what goes over from one to the other. */
export interface Walk {
  /** The features of each couple's old row, and of its new one. */
  readonly before: readonly SampleColumn[];
  readonly now: readonly SampleColumn[];
  readonly weights: Float64Array;
  /** What goes over in one step: features by their places; each is in one of them. */
  readonly players: readonly (readonly number[])[];
  readonly models: readonly WalkModel[];
  readonly targets: number;
  /** How many rows may be scored, about. */
  readonly budget: number;
  readonly random: (limit: number) => number;
}

/** By target, then player: what each couple adds (its weight is not in it). */
export type Contributions = readonly (readonly Float64Array[])[];

/** So many players have all their orders walked, if the budget allows. */
const ALL_ORDERS = 4;
/** How many blocks of couples have orders of their own. */
export const BLOCKS = 32;
/** More orders than these, each with its reverse, tell no more. */
const MOST_COUPLES = 32;

/** What each player adds to each target, by couple. Orders are at least two: one and its reverse. */
export async function walkCouples(walk: Walk): Promise<Contributions> {
  const { weights, players, targets, random } = walk;
  const couples = weights.length;
  const sums = Array.from({ length: targets }, () => players.map(() => new Float64Array(couples)));
  if (players.length === 0 || couples === 0) return sums;
  const stepRows = couples * walk.models.length * Math.max(1, players.length - 1);
  const affordable = Math.floor(walk.budget / stepRows);
  const orders = ordersFor(players.length, affordable, random);
  for (const order of orders) await walkOrder(walk, order, sums);
  for (const ofTarget of sums) {
    for (const values of ofTarget) {
      for (let i = 0; i < couples; i++) values[i]! /= orders.length;
    }
  }
  return sums;
}

/** The order of the players in each block. */
type Order = readonly ArrayLike<number>[];

function ordersFor(players: number, affordable: number, random: Walk['random']): Order[] {
  const everywhere = (order: ArrayLike<number>): Order =>
    Array.from({ length: BLOCKS }, () => order);
  if (players === 1) return [everywhere([0])];
  if (players <= ALL_ORDERS) {
    const all = permutations(players);
    if (all.length <= affordable || all.length <= 2) return all.map(everywhere);
  }
  const couples = Math.min(MOST_COUPLES, Math.max(1, Math.floor(affordable / 2)));
  return Array.from({ length: couples }, () => {
    const forth = Array.from({ length: BLOCKS }, () => shuffled(players, random));
    return [forth, forth.map((order) => order.slice().reverse())];
  }).flat();
}

function permutations(n: number): number[][] {
  if (n === 0) return [[]];
  return permutations(n - 1).flatMap((shorter) =>
    Array.from({ length: n }, (_, place) => shorter.toSpliced(place, 0, n - 1)),
  );
}

/** The block of a couple: neighbours are in different ones. */
export function blockOf(couple: number): number {
  return couple % BLOCKS;
}

async function walkOrder(walk: Walk, order: Order, sums: Float64Array[][]): Promise<void> {
  const { before, now, players, models } = walk;
  const couples = walk.weights.length;
  const all = Int32Array.from({ length: couples }, (_, i) => i);
  const mixed = before.map((column) => pickRows(column, all));
  const current = models.map((model) => model.before.map((values) => values.slice()));
  for (let step = 0; step < players.length; step++) {
    const changed: number[] = [];
    for (let couple = 0; couple < couples; couple++) {
      let isChanged = false;
      for (const feature of players[order[blockOf(couple)]![step]!]!) {
        if (isSameRow(mixed[feature]!, couple, now[feature]!, couple)) continue;
        isChanged = true;
        copyRow(mixed[feature]!, now[feature]!, couple);
      }
      if (isChanged) changed.push(couple);
    }
    const isLast = step === players.length - 1;
    // What did not change moves no score: at the end all have come to their new rows.
    const looked = isLast ? all : changed;
    if (looked.length === 0) continue;
    for (const [index, model] of models.entries()) {
      const scores = isLast
        ? model.now
        : await model.score(
            mixed.map((column) => pickRows(column, looked)),
            looked.length,
          );
      for (const [target, values] of scores.entries()) {
        const reached = current[index]![target]!;
        for (let i = 0; i < looked.length; i++) {
          const couple = looked[i]!;
          const score = values[isLast ? couple : i]!;
          const moved = score - reached[couple]!;
          // A mixed row that the model has no number for leaves the step to the next one.
          if (Number.isNaN(moved)) continue;
          const player = order[blockOf(couple)]![step]!;
          sums[target]![player]![couple]! += model.weight * moved;
          reached[couple] = score;
        }
      }
    }
  }
}

function copyRow(to: SampleColumn, from: SampleColumn, row: number): void {
  const target = to.values as { [at: number]: unknown };
  for (let at = row * to.width; at < (row + 1) * to.width; at++) target[at] = from.values[at];
}

/**
 * A player's part of the change, and its standard error, with what was missed given to those who may have missed it. Weights are of
 * all couples: those in which nothing differs need not be there.
 */
export function partsOf(
  contributions: readonly Float64Array[],
  weights: Float64Array,
  whole: { readonly change: number; readonly copies: number },
): { readonly change: number; readonly error: number }[] {
  const couples = weights.length;
  const mean = (values: Float64Array): number => {
    let sum = 0;
    for (let i = 0; i < couples; i++) sum += weights[i]! * values[i]!;
    return sum;
  };
  const raw = contributions.map(mean);
  const each = new Float64Array(couples);
  for (const values of contributions) for (let i = 0; i < couples; i++) each[i]! += values[i]!;
  const sum = mean(each);
  const missed = whole.change - sum;
  const shares = contributions.map((values, player) => {
    let shared = -raw[player]! * sum;
    for (let i = 0; i < couples; i++) shared += weights[i]! * values[i]! * each[i]!;
    return shared;
  });
  const variance = shares.reduce((total, share) => total + share, 0);
  const size = raw.reduce((total, value) => total + Math.abs(value), 0);
  return contributions.map((values, player) => {
    const share =
      variance > 1e-12 * sum * sum
        ? shares[player]! / variance
        : size > 0
          ? Math.abs(raw[player]!) / size
          : 1 / contributions.length;
    const error = blockError(values, weights) * Math.sqrt(whole.copies);
    return { change: raw[player]! + missed * share, error };
  });
}

/** The standard error of a weighted sum, from how far the sums of blocks are apart. */
function blockError(values: Float64Array, weights: Float64Array): number {
  const blocks = Math.min(BLOCKS, values.length);
  if (blocks < 2) return 0;
  const sums = new Float64Array(blocks);
  for (let i = 0; i < values.length; i++) sums[blockOf(i) % blocks]! += weights[i]! * values[i]!;
  const mean = sums.reduce((total, each) => total + each, 0) / blocks;
  const squares = sums.reduce((total, each) => total + (each - mean) ** 2, 0);
  return Math.sqrt((squares * blocks) / (blocks - 1));
}
