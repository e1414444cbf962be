/**
 * Brings couples of chance nearer to each other: what goes over from an old to a new row is to be what changed, not what differs
 * between any two rows. Columns that depend on each other then stay so in mixed rows, as far as they can.
 *
 * A column that lost its dependence on others, as one that was permuted has, counts less: couples are to be near in those that kept
 * theirs.
 *
 * Distances are between ranks, each side by its own, so that a column that moved as a whole has not moved. Couples are put in the
 * order of a projection of chance, and neighbours swap their new rows where that brings both couples nearer; again, with
 * other projections.
 */
import { randomWholes } from './random.js';
import { codesOf, type SampleColumn } from './sample.js';

const ROUNDS = 10;
/** How many neighbours in the order each couple is tried with. */
const NEIGHBOURS = 6;
/** Of many columns these are looked at, the first. */
const MOST_COLUMNS = 24;

/** Ranks from 0 to 1 for each row; texts have numbers of their own, compared for being the same. */
interface Ranks {
  readonly before: Float32Array;
  readonly now: Float32Array;
  readonly isText: boolean;
  /** How much it counts. */
  readonly weight: number;
}

/** Swaps the new rows (`now`, in place) of the couples from `first` on. Columns have one value a row, others are passed over. */
export function bringNearer(
  couples: { readonly before: Int32Array; readonly now: Int32Array; readonly first: number },
  columns: { readonly before: readonly SampleColumn[]; readonly now: readonly SampleColumn[] },
  seed: number,
): void {
  const ranks = columns.before
    .map((column, i) => ({ before: column, now: columns.now[i]! }))
    .filter(({ before, now }) => before.width === 1 && now.width === 1)
    .slice(0, MOST_COLUMNS)
    .map(ranksOf);
  const weighted = withWeights(ranks);
  const { before, now, first } = couples;
  const count = before.length - first;
  if (count < 2 || ranks.length === 0) return;
  const random = randomWholes(seed);
  for (let round = 0; round < ROUNDS; round++) {
    const weights = weighted.map(() => random(201) - 100);
    const places = Float64Array.from({ length: count }, (_, i) => {
      const row = before[first + i]!;
      return weighted.reduce((sum, rank, at) => sum + weights[at]! * finite(rank.before[row]!), 0);
    });
    const order = Int32Array.from({ length: count }, (_, i) => i).sort(
      (a, b) => places[a]! - places[b]! || a - b,
    );
    for (let i = 0; i < count; i++) {
      const a = first + order[i]!;
      for (let j = i + 1; j < Math.min(count, i + 1 + NEIGHBOURS); j++) {
        const b = first + order[j]!;
        const [x, y] = [now[a]!, now[b]!];
        const apart = distance(weighted, before[a]!, x) + distance(weighted, before[b]!, y);
        const swapped = distance(weighted, before[a]!, y) + distance(weighted, before[b]!, x);
        if (swapped >= apart) continue;
        now[a] = y;
        now[b] = x;
      }
    }
  }
}

function finite(rank: number): number {
  return Number.isNaN(rank) ? 0 : rank;
}

function ranksOf({ before, now }: { before: SampleColumn; now: SampleColumn }): Ranks {
  const isText = before.element === 'utf8';
  const codes = new Map<string, number>();
  const [old, fresh] = [codesOf(before, codes), codesOf(now, codes)];
  const weight = 1;
  if (isText)
    return { before: Float32Array.from(old), now: Float32Array.from(fresh), isText, weight };
  return { before: rankOf(old), now: rankOf(fresh), isText, weight };
}

/** The share of numbers below each number, with half of those that are the same; NaN of NaN. */
function rankOf(values: Float64Array): Float32Array {
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  const ranks = new Map<number, number>();
  for (let start = 0; start < sorted.length; ) {
    let end = start;
    while (end < sorted.length && sorted[end] === sorted[start]) end++;
    ranks.set(sorted[start]!, (start + end) / 2 / sorted.length);
    start = end;
  }
  return Float32Array.from(values, (value) => ranks.get(value) ?? Number.NaN);
}

/** By how much two correlations have to differ at least, in standard errors, to be different. */
const SURE = 4;
/** How fast a column loses weight as its correlations change. */
const DECAY = 3;

/** The columns with their weights: by how far their rank correlations with the others are what they were. */
function withWeights(ranks: readonly Ranks[]): Ranks[] {
  const changes = ranks.map(() => 0);
  for (const [i, a] of ranks.entries()) {
    for (const [j, b] of ranks.entries()) {
      if (j <= i || a.isText || b.isText) continue;
      const change = Math.abs(correlation(a.before, b.before) - correlation(a.now, b.now));
      if (change < SURE * Math.sqrt(1 / a.before.length + 1 / a.now.length)) continue;
      changes[i]! += change;
      changes[j]! += change;
    }
  }
  return ranks.map((rank, i) => ({ ...rank, weight: Math.exp(-DECAY * changes[i]!) }));
}

/** The correlation of two columns of ranks, over the rows that have both; 0 where one does not vary. */
function correlation(a: Float32Array, b: Float32Array): number {
  let [n, sumA, sumB, aa, bb, ab] = [0, 0, 0, 0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    const [x, y] = [a[i]! - 0.5, b[i]! - 0.5];
    if (Number.isNaN(x + y)) continue;
    n++;
    sumA += x;
    sumB += y;
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  const spread = (n * aa - sumA * sumA) * (n * bb - sumB * sumB);
  return spread > 1e-9 ? (n * ab - sumA * sumB) / Math.sqrt(spread) : 0;
}

function distance(ranks: readonly Ranks[], row: number, other: number): number {
  let sum = 0;
  for (let i = 0; i < ranks.length; i++) {
    const { before, now, isText, weight } = ranks[i]!;
    const apart = before[row]! - now[other]!;
    if (apart === 0) continue;
    // Not a number is as far from all numbers as can be, and as near as can be to itself.
    if (Number.isNaN(apart))
      sum += Number.isNaN(before[row]!) && Number.isNaN(now[other]!) ? 0 : weight;
    else sum += weight * (isText ? 1 : Math.abs(apart));
  }
  return sum;
}
