/** Which features go over together, and how far each has moved. */
import { kolmogorovTail } from '../stats/significance.js';
import { codesOf, isSameRow, numbersOf, type SampleColumn } from './sample.js';

/** Features that correlate so strongly, and moved both or neither, cannot be told apart. */
const CORRELATED = 0.95;
/** A feature has moved when chance would do so with less than this probability. */
const UNLIKELY = 0.001;
/** With more features those that moved least go over together. */
const MOST_PLAYERS = 40;

/** How far a feature has moved. */
export interface Movement {
  /** The Kolmogorov–Smirnov distance (of texts: half the sum of differences of shares), nulls as a value of their own. */
  readonly distance: number;
  readonly isSure: boolean;
}

/** How far a feature moved between two samples. */
export function movementOf(before: SampleColumn, now: SampleColumn): Movement {
  const distance = before.element === 'utf8' ? shareDistance(before, now) : ksDistance(before, now);
  const p = kolmogorovTail(distance, before.values.length, now.values.length);
  return { distance, isSure: p < UNLIKELY };
}

function shareDistance(before: SampleColumn, now: SampleColumn): number {
  const shares = new Map<unknown, number>();
  for (const text of before.values)
    shares.set(text, (shares.get(text) ?? 0) - 1 / before.values.length);
  for (const text of now.values) shares.set(text, (shares.get(text) ?? 0) + 1 / now.values.length);
  return [...shares.values()].reduce((sum, share) => sum + Math.abs(share), 0) / 2;
}

function ksDistance(before: SampleColumn, now: SampleColumn): number {
  // Sorting puts NaN last: they are one value, greater than all.
  const a = numbersOf(before).sort();
  const b = numbersOf(now).sort();
  const isBefore = (x: number | undefined, y: number | undefined): boolean =>
    x !== undefined && (y === undefined || x < y || (Number.isNaN(y) && !Number.isNaN(x)));
  let [i, j, most] = [0, 0, 0];
  while (i < a.length || j < b.length) {
    const least = isBefore(a[i], b[j]) || j === b.length ? a[i]! : b[j]!;
    const isLeast = (value: number | undefined): boolean =>
      value !== undefined && (value === least || (Number.isNaN(value) && Number.isNaN(least)));
    while (isLeast(a[i])) i++;
    while (isLeast(b[j])) j++;
    most = Math.max(most, Math.abs(i / a.length - j / b.length));
  }
  return most;
}

/** The features of both samples, and couples of their rows. */
export interface PlayersInput {
  readonly before: readonly SampleColumn[];
  readonly now: readonly SampleColumn[];
  /** Couples of the same key: only what differs in them has changed. Undefined where most couples are by chance. */
  readonly match: { readonly before: Int32Array; readonly now: Int32Array } | undefined;
}

/** Who goes over in one step: features by their places. What differs in no row is in none. */
export function playersOf(input: PlayersInput): number[][] {
  const { before, now, match } = input;
  const moved = before.map((column, i) => {
    if (match === undefined) return movementOf(column, now[i]!);
    const differing = match.before.reduce(
      (sum, row, couple) => sum + (isSameRow(column, row, now[i]!, match.now[couple]!) ? 0 : 1),
      0,
    );
    return { distance: differing / match.before.length, isSure: differing > 0 };
  });
  const some = moved.flatMap(({ distance }, i) => (distance > 0 || match === undefined ? [i] : []));
  const groups = some.map((feature) => [feature]);
  const numbers = new Map(
    some
      .filter((i) => before[i]!.element !== 'utf8' && before[i]!.width === 1)
      .map((i) => [i, { before: numbersOf(before[i]!), now: numbersOf(now[i]!) }]),
  );
  const isTogether = (a: number, b: number): boolean => {
    const [x, y] = [numbers.get(a), numbers.get(b)];
    if (x === undefined || y === undefined || moved[a]!.isSure !== moved[b]!.isSure) return false;
    const least = Math.min(correlation(x.before, y.before), correlation(x.now, y.now));
    return least >= CORRELATED;
  };
  for (let i = 0; i < groups.length; i++) {
    for (let j = groups.length - 1; j > i; j--) {
      if (!groups[i]!.some((a) => groups[j]!.some((b) => isTogether(a, b)))) continue;
      groups[i]!.push(...groups.splice(j, 1)[0]!);
      j = groups.length;
    }
  }
  const farthest = (group: readonly number[]): number =>
    Math.max(...group.map((feature) => moved[feature]!.distance));
  const sorted = groups
    .map((group) => group.sort((a, b) => moved[b]!.distance - moved[a]!.distance || a - b))
    .sort((a, b) => farthest(b) - farthest(a) || a[0]! - b[0]!);
  if (sorted.length <= MOST_PLAYERS) return sorted;
  return [...sorted.slice(0, MOST_PLAYERS - 1), sorted.slice(MOST_PLAYERS - 1).flat()];
}

/** The size of Pearson's correlation of two columns, over the rows that have both; 0 where one does not vary. */
function correlation(a: Float64Array, b: Float64Array): number {
  let [n, sumA, sumB] = [0, 0, 0];
  const has = (i: number): boolean => Number.isFinite(a[i]!) && Number.isFinite(b[i]!);
  for (let i = 0; i < a.length; i++) {
    if (!has(i)) continue;
    n++;
    sumA += a[i]!;
    sumB += b[i]!;
  }
  let [aa, bb, ab] = [0, 0, 0];
  for (let i = 0; i < a.length; i++) {
    if (!has(i)) continue;
    const [x, y] = [a[i]! - sumA / n, b[i]! - sumB / n];
    aa += x * x;
    bb += y * y;
    ab += x * y;
  }
  // Values that are missing in one column alone tell it apart from the other.
  const missing = a.reduce((sum, value, i) => {
    return sum + (Number.isNaN(value) === Number.isNaN(b[i]!) ? 0 : 1);
  }, 0);
  if (missing > 0.01 * a.length || aa === 0 || bb === 0) return 0;
  return Math.abs(ab) / Math.sqrt(aa * bb);
}

/** What of a feature's values made its part: nulls, a category that is new, or one that is gone. */
export interface Cause {
  readonly kind: 'nulls' | 'new' | 'gone';
  /** The category; null for nulls. */
  readonly value: string | null;
  /** The share of rows that have it, on either side. */
  readonly before: number;
  readonly now: number;
}

/** A category is one of at most so many different values … */
const CATEGORIES = 100;
/** … and new or gone only where this share of the other side has it: fewer may be chance. */
const LEAST_SHARE = 0.003;
/** A cause is named when it makes so much of its feature's part. */
const MOST_OF_PART = 0.5;

/** Names the cause of a feature's part, where there is one: by what the couples with it add. */
export function causeOf(
  before: SampleColumn,
  now: SampleColumn,
  couples: {
    readonly before: Int32Array;
    readonly now: Int32Array;
    readonly weights: Float64Array;
    readonly contributions: Float64Array;
  },
): Cause | undefined {
  if (before.width !== 1) return undefined;
  const codes = new Map<string, number>();
  const old = codesOf(before, codes);
  const fresh = codesOf(now, codes);
  const names = new Map([...codes].map(([text, code]) => [code, text]));
  const sum = (isMeant: (x: number, y: number) => boolean): number => {
    let total = 0;
    for (let i = 0; i < couples.weights.length; i++) {
      if (isMeant(old[couples.before[i]!]!, fresh[couples.now[i]!]!))
        total += couples.weights[i]! * couples.contributions[i]!;
    }
    return total;
  };
  const whole = sum(() => true);
  const isMost = (part: number): boolean => part * whole > 0 && part / whole >= MOST_OF_PART;
  const shareOf = (values: Float64Array, isMeant: (value: number) => boolean): number =>
    values.reduce((count, value) => count + (isMeant(value) ? 1 : 0), 0) / values.length;
  const nulls = { before: shareOf(old, Number.isNaN), now: shareOf(fresh, Number.isNaN) };
  if (
    Math.abs(nulls.now - nulls.before) >= LEAST_SHARE &&
    isMost(sum((x, y) => Number.isNaN(x) !== Number.isNaN(y)))
  )
    return { kind: 'nulls', value: null, ...nulls };
  const [olds, news] = [sharesOf(old), sharesOf(fresh)];
  if (olds.size > CATEGORIES || news.size > CATEGORIES) return undefined;
  if (!isCategory(before) || !isCategory(now)) return undefined;
  const nameOf = (value: number): string =>
    before.element === 'utf8' ? (names.get(value) ?? '') : String(value);
  const lone = (own: ReadonlyMap<number, number>, other: ReadonlyMap<number, number>): number[] =>
    [...own].filter(([value, share]) => !other.has(value) && share >= LEAST_SHARE).map(([v]) => v);
  const candidates = [
    ...lone(news, olds).map((value) => ({ kind: 'new' as const, value })),
    ...lone(olds, news).map((value) => ({ kind: 'gone' as const, value })),
  ];
  const found = candidates
    .map((each) => ({
      ...each,
      part: sum((x, y) => (each.kind === 'new' ? y : x) === each.value),
    }))
    .filter(({ part }) => isMost(part))
    .sort((a, b) => Math.abs(b.part) - Math.abs(a.part))[0];
  if (found === undefined) return undefined;
  const { kind, value } = found;
  return {
    kind,
    value: nameOf(value),
    before: olds.get(value) ?? 0,
    now: news.get(value) ?? 0,
  };
}

function isCategory(column: SampleColumn): boolean {
  return (
    column.element === 'utf8' ||
    numbersOf(column).every((v) => Number.isNaN(v) || Number.isInteger(v))
  );
}

/** The share of each value that is there. */
function sharesOf(values: Float64Array): Map<number, number> {
  const counts = new Map<number, number>();
  for (const value of values) {
    if (!Number.isNaN(value)) counts.set(value, (counts.get(value) ?? 0) + 1);
  }
  return new Map([...counts].map(([value, count]) => [value, count / values.length]));
}
