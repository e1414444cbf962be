/**
 * How the kernel finds the bin of a value: it computes a bucket, which tells how many thresholds are surely less, and compares
 * the few that are left. A bucket must grow with the value, and nothing else is asked of it: the comparisons make the bin exact.
 */
import { orderOf } from './floats.js';

/** The search table of one feature. */
export interface Buckets {
  /** 0: by place between the least and the greatest threshold. 1: by the bits of the float. 2: no buckets, compare all. */
  readonly mode: number;
  readonly count: number;
  /** Halving steps within a bucket. */
  readonly steps: number;
  readonly least: number;
  readonly scale: number;
  readonly keyLeast: number;
  readonly keyShift: number;
  /** The thresholds in the buckets before each. */
  readonly before: Uint16Array;
}

const COMPARE_ALL = 10;
const MANY = 1000;

/** Chooses the buckets that leave the fewest comparisons. `thresholds` rise, and are none of them NaN. */
export function chooseBuckets(thresholds: Float32Array): Buckets {
  if (thresholds.length <= COMPARE_ALL) {
    const unused = { least: 0, scale: 0, keyLeast: 0, keyShift: 0, steps: 0 };
    return { mode: 2, count: thresholds.length, before: new Uint16Array(), ...unused };
  }
  const finite = thresholds.filter(Number.isFinite);
  const [first, last] = [finite[0] ?? 0, finite.at(-1) ?? 0];
  let best: Buckets | undefined;
  for (const count of thresholds.length > MANY ? [4096, 16384] : [512, 1024, 2048]) {
    for (const candidate of [linear(first, last, count), ordered(first, last, count)]) {
      if (candidate === undefined) continue;
      const buckets = filled(candidate, thresholds);
      if (best === undefined || buckets.steps < best.steps) best = buckets;
    }
  }
  return best!;
}

type Bucketing = Omit<Buckets, 'before' | 'steps'> & { readonly of: (x: number) => number };

/** The same arithmetic as the kernel's, rounded to 32 bits at each step. */
function linear(first: number, last: number, count: number): Bucketing | undefined {
  const scale = Math.fround((count - 1) / (last - first));
  const usable = Number.isFinite(Math.fround(last - first)) && Number.isFinite(scale) && scale > 0;
  if (!usable) return undefined;
  const of = (x: number): number => {
    const place = Math.fround(Math.fround(x - first) * scale);
    const clamped = Math.min(count - 1, Math.max(0, place));
    return Math.fround(clamped + 8388608) - 8388608;
  };
  return { mode: 0, count, least: first, scale, keyLeast: 0, keyShift: 0, of };
}

function ordered(first: number, last: number, count: number): Bucketing {
  let keyShift = 0;
  while ((orderOf(last) >> keyShift) - (orderOf(first) >> keyShift) >= count) keyShift++;
  const keyLeast = orderOf(first) >> keyShift;
  const of = (x: number): number =>
    Math.min(count - 1, Math.max(0, (orderOf(x) >> keyShift) - keyLeast));
  return { mode: 1, count, least: 0, scale: 0, keyLeast, keyShift, of };
}

function filled({ of, ...bucketing }: Bucketing, thresholds: Float32Array): Buckets {
  const inside = new Uint16Array(bucketing.count);
  for (const threshold of thresholds) inside[of(threshold)]!++;
  const before = new Uint16Array(bucketing.count);
  let sum = 0;
  let most = 0;
  for (let bucket = 0; bucket < bucketing.count; bucket++) {
    before[bucket] = sum;
    sum += inside[bucket]!;
    most = Math.max(most, inside[bucket]!);
  }
  let steps = 0;
  while (1 << steps <= most) steps++;
  return { ...bucketing, before, steps };
}
