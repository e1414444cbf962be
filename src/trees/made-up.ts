/** Rows made up of an ensemble's thresholds: what decides whether a comparison is right to the last bit. */
import { after, before, type Floats, type Precision, zeros } from './floats.js';
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
const SPECIAL_DOUBLES = [
  ...SPECIAL,
  Number.MAX_VALUE,
  -Number.MAX_VALUE,
  Number.MIN_VALUE,
  -Number.MIN_VALUE,
];

/** How many rows `madeUpColumns` gives: enough for every threshold of every feature. */
export function madeUpRows({ thresholds, precision }: Made): number {
  const most = thresholds.reduce((sum, each) => Math.max(sum, each.length), 0);
  return 3 * most + specialOf(precision).length;
}

type Made = Pick<Program, 'thresholds' | 'precision'>;

function specialOf(precision: Precision): readonly number[] {
  return precision === 'float64' ? SPECIAL_DOUBLES : SPECIAL;
}

/**
 * A column for each of the program's features: every threshold, the floats on both sides of it, and the values that are like no
 * other; each feature in an order of its own, so that rows reach many leaves.
 */
export function madeUpColumns(program: Made): Floats[] {
  const { precision } = program;
  const special = specialOf(precision);
  const rows = madeUpRows(program);
  return program.thresholds.map((thresholds, index) => {
    const values = zeros(precision, 3 * thresholds.length + special.length);
    values.set(special);
    let at = special.length;
    for (const threshold of thresholds) {
      values[at++] = threshold === -Infinity ? threshold : before(precision, threshold);
      values[at++] = threshold;
      values[at++] = threshold === Infinity ? threshold : after(precision, threshold);
    }
    const stride = coprime(values.length, 2 * index + 7919);
    const column = zeros(precision, rows);
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
