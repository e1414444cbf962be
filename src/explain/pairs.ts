/** Which old row is held against which new one. */
import { randomWholes, shuffled } from './random.js';
import type { Sample } from './sample.js';

/** What keys say of two samples: rows by their places in them. */
export interface KeyMatch {
  /** Rows of the same key, on either side. */
  readonly before: Int32Array;
  readonly now: Int32Array;
  /** Old rows whose key is gone, and new ones whose key is new. */
  readonly went: Int32Array;
  readonly came: Int32Array;
}

/** Old and new rows, and the weight of each couple; weights add up to 1. */
export interface Pairs {
  readonly before: Int32Array;
  readonly now: Int32Array;
  readonly weights: Float64Array;
  /** How often each row is in a couple, about: at least 1. */
  readonly copies: number;
}

/** Keys say something when both samples have at least this share of their rows below the common bound. */
const COMMON_SHARE = 0.5;

/**
 * Finds rows of the same key. A key that a side does not have below the common bound is not on that side at all, because
 * samples hold all rows up to their bounds. Undefined where rows have no keys, or no key is on both sides.
 */
export function matchKeys(before: Sample, now: Sample): KeyMatch | undefined {
  if (before.key === null || before.key !== now.key) return undefined;
  const bound = Math.min(before.bound, now.bound);
  const within = ({ hashes }: Sample): number => {
    const beyond = hashes.findIndex((hash) => hash > bound);
    return beyond < 0 ? hashes.length : beyond;
  };
  const [rows, nowRows] = [within(before), within(now)];
  const enough = (found: number, { hashes }: Sample): boolean =>
    found > 0 && found >= COMMON_SHARE * hashes.length;
  if (!enough(rows, before) || !enough(nowRows, now)) return undefined;
  const match = { before: [] as number[], now: [] as number[] };
  const went: number[] = [];
  const came: number[] = [];
  let [old, fresh] = [0, 0];
  while (old < rows || fresh < nowRows) {
    const apart = hashAt(before, old, rows) - hashAt(now, fresh, nowRows);
    if (apart < 0) went.push(old++);
    else if (apart > 0) came.push(fresh++);
    else {
      match.before.push(old++);
      match.now.push(fresh++);
    }
  }
  if (match.before.length === 0) return undefined;
  return {
    before: Int32Array.from(match.before),
    now: Int32Array.from(match.now),
    went: Int32Array.from(went),
    came: Int32Array.from(came),
  };
}

function hashAt({ hashes }: Sample, row: number, rows: number): number {
  // An end that is the same on both sides would be no number as a difference: it is never compared.
  return row < rows ? hashes[row]! : Number.MAX_VALUE;
}

/**
 * Couples rows so that each side has all of its rows with the same weight: rows of the same key with each other, what is left
 * by chance, each left row about `copies` times.
 */
export function pairRows(sizes: {
  readonly before: number;
  readonly now: number;
  readonly match: KeyMatch | undefined;
  readonly copies: number;
  readonly seed: number;
}): Pairs {
  const { before: rows, now: nowRows, match, copies, seed } = sizes;
  const all = (length: number): Int32Array => Int32Array.from({ length }, (_, i) => i);
  const matched = match?.before.length ?? 0;
  // What lies beyond the common bound of keys is left out: nothing is known of its keys.
  const own = match === undefined ? rows : matched + match.went.length;
  const nowOwn = match === undefined ? nowRows : matched + match.came.length;
  const shared = match === undefined ? 0 : Math.min(1 / own, 1 / nowOwn);
  const rest = Math.max(0, 1 - shared * matched);
  const before = [...(match?.before ?? [])];
  const now = [...(match?.now ?? [])];
  const weights: number[] = new Array(matched).fill(shared);
  if (rest > 1e-9) {
    const random = randomWholes(seed);
    const left = {
      before: leftOver(match?.before ?? [], match?.went ?? all(rows), { each: 1 / own, shared }),
      now: leftOver(match?.now ?? [], match?.came ?? all(nowRows), { each: 1 / nowOwn, shared }),
    };
    const least = Math.max(left.before.rows.length, left.now.rows.length);
    const drawn = copies * least;
    const beforeDrawn = spreadDraws(left.before, drawn, random);
    const nowDrawn = spreadDraws(left.now, drawn, random);
    for (let i = 0; i < drawn; i++) {
      before.push(beforeDrawn[i]!);
      now.push(nowDrawn[i]!);
      weights.push(rest / drawn);
    }
  }
  return {
    before: Int32Array.from(before),
    now: Int32Array.from(now),
    weights: Float64Array.from(weights),
    copies: rest > 0.5 ? copies : 1,
  };
}

/** Rows, and the weight that each has left. */
interface LeftOver {
  readonly rows: readonly number[];
  readonly weights: readonly number[];
}

function leftOver(
  matched: ArrayLike<number>,
  unmatched: ArrayLike<number>,
  { each, shared }: { readonly each: number; readonly shared: number },
): LeftOver {
  const partly = each - shared > 1e-12 ? Array.from(matched) : [];
  return {
    rows: [...partly, ...Array.from(unmatched)],
    weights: [...partly.map(() => each - shared), ...Array.from(unmatched, () => each)],
  };
}

/** Draws rows by their weights, evenly spread (systematic sampling), in an order of chance. */
function spreadDraws(
  { rows, weights }: LeftOver,
  draws: number,
  random: (limit: number) => number,
): number[] {
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const order = shuffled(rows.length, random);
  const found: number[] = [];
  let reached = 0;
  for (const place of order) {
    reached += weights[place]! / sum;
    while (found.length < draws && (found.length + 0.5) / draws <= reached)
      found.push(rows[place]!);
  }
  while (found.length < draws) found.push(rows[order.at(-1)!]!);
  return Array.from(shuffled(draws, random), (i) => found[i]!);
}
