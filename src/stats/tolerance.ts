/** How far a number may be from the one that is expected. Pure. */

/**
 * A tolerance: `exact` is the same number; `absolute` and `relative` (to what is expected) are distances; `ulp` counts the
 * numbers of the column's type that lie between the two, and one.
 */
export type Tolerance =
  | { readonly kind: 'exact' }
  | { readonly kind: 'absolute' | 'relative' | 'ulp'; readonly limit: number };

/** How far a number is from the one that is expected: infinite where one of them is none, or infinite itself. */
export interface Distance {
  readonly absolute: number;
  readonly relative: number;
  readonly ulp: number;
}

/** How tolerances are written. */
export const TOLERANCE_FORM =
  'exact, absolute:1e-6, relative:1e-5 or ulp:4, with a limit of your own';

/** Reads `exact`, `absolute:1e-6`, `relative:1e-5` or `ulp:4`; undefined for another text. */
export function parseTolerance(text: string): Tolerance | undefined {
  if (text === 'exact') return { kind: 'exact' };
  const [, kind, number] =
    /^(absolute|relative|ulp):(\d+(?:\.\d+)?(?:[eE][+-]?\d{1,3})?)$/.exec(text) ?? [];
  const limit = Number(number);
  if (kind !== 'absolute' && kind !== 'relative' && kind !== 'ulp') return undefined;
  if (!Number.isFinite(limit) || (kind === 'ulp' && !Number.isInteger(limit))) return undefined;
  return { kind, limit };
}

/** A tolerance as it is written. */
export function toleranceText(tolerance: Tolerance): string {
  return tolerance.kind === 'exact' ? 'exact' : `${tolerance.kind}:${tolerance.limit}`;
}

/** Whether two values are the same number, or both none (null, or both NaN). */
export function isSame(expected: number | null, scored: number | null): boolean {
  return expected === scored || (Number.isNaN(expected) && Number.isNaN(scored));
}

/** The distance between two different values; `width` is how many bits a number of the column has. */
export function distanceOf(
  expected: number | null,
  scored: number | null,
  width: 32 | 64,
): Distance {
  if (expected === null || scored === null) return BEYOND_ALL;
  if (!Number.isFinite(expected) || !Number.isFinite(scored)) return BEYOND_ALL;
  const absolute = Math.abs(scored - expected);
  const relative =
    expected === 0
      ? absolute === 0
        ? 0
        : Number.POSITIVE_INFINITY
      : absolute / Math.abs(expected);
  return { absolute, relative, ulp: ulpsBetween(expected, scored, width) };
}

const BEYOND_ALL: Distance = {
  absolute: Number.POSITIVE_INFINITY,
  relative: Number.POSITIVE_INFINITY,
  ulp: Number.POSITIVE_INFINITY,
};

/** Whether a distance between two different values is tolerated. */
export function isTolerated(tolerance: Tolerance, distance: Distance): boolean {
  return tolerance.kind !== 'exact' && distance[tolerance.kind] <= tolerance.limit;
}

const singles = new Float32Array(1);
const singleBits = new Int32Array(singles.buffer);
const doubles = new Float64Array(1);
const doubleBits = new BigInt64Array(doubles.buffer);

/**
 * How many steps from one finite number to the next lead from `a` to `b`. The bits of IEEE 754 numbers of one sign, read as
 * integers, are in the order of the numbers, so that a step is one; both zeros are one number.
 */
export function ulpsBetween(a: number, b: number, width: 32 | 64): number {
  if (width === 32) return Math.abs(placeOfSingle(a) - placeOfSingle(b));
  const steps = placeOfDouble(a) - placeOfDouble(b);
  return Number(steps < 0n ? -steps : steps);
}

function placeOfSingle(value: number): number {
  singles[0] = value;
  const bits = singleBits[0]!;
  return bits < 0 ? -(bits + 2 ** 31) : bits;
}

function placeOfDouble(value: number): bigint {
  doubles[0] = value;
  const bits = doubleBits[0]!;
  return bits < 0n ? -(bits + 2n ** 63n) : bits;
}
