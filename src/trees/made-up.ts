/** Rows made up of an ensemble's thresholds: what decides whether a comparison is right to the last bit. */
import { floatAfter, floatBefore } from './floats.js';
import type { Program } from './program.js';

const SPECIAL = [
  Number.NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  3.4028234663852886e38,
  -3.4028234663852886e38,
  1.401298464324817e-45,
  -1.401298464324817e-45,
];

/** How many rows `madeUpColumns` gives: enough for every threshold of every feature. */
export function madeUpRows({ thresholds }: Pick<Program, 'thresholds'>): number {
  return thresholds.reduce((most, each) => Math.max(most, valueCount(each)), SPECIAL.length);
}

function valueCount(thresholds: Float32Array): number {
  return 3 * thresholds.length + SPECIAL.length;
}

/**
 * A column for each of the program's features: every threshold, the floats on both sides of it, and the values that are like no
 * other; each feature in an order of its own, so that rows reach many leaves.
 */
export function madeUpColumns(program: Pick<Program, 'thresholds'>): Float32Array[] {
  const rows = madeUpRows(program);
  return program.thresholds.map((thresholds, index) => {
    const values = new Float32Array(valueCount(thresholds));
    values.set(SPECIAL);
    let at = SPECIAL.length;
    for (const threshold of thresholds) {
      values[at++] = threshold === -Infinity ? threshold : floatBefore(threshold);
      values[at++] = threshold;
      values[at++] = threshold === Infinity ? threshold : floatAfter(threshold);
    }
    const stride = coprime(values.length, 2 * index + 7919);
    const column = new Float32Array(rows);
    for (let row = 0; row < rows; row++) {
      column[row] = values[(row * stride + 31 * index) % values.length]!;
    }
    return column;
  });
}

/** The first number from `start` on that has no divisor in common with `length`: its multiples pass through all remainders. */
function coprime(length: number, start: number): number {
  let candidate = start;
  while (divisor(length, candidate) !== 1) candidate++;
  return candidate;
}

function divisor(a: number, b: number): number {
  return b === 0 ? a : divisor(b, a % b);
}
