/** Rows made up of an ensemble's thresholds: what decides whether a comparison is right to the last bit. */
import { after, before, type Floats, type Precision, zeros } from './floats.js';
import type { Program } from './program.js';
import type { FeatureElement } from './views.js';

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

/**
 * Some of those rows as a matrix, row-major, which may be wider than the program's features: from row `start` on, and again from
 * the first where they end. Whole numbers lie on either side of what they are made of.
 */
export function madeUpMatrix(
  { features }: Pick<Program, 'features'>,
  columns: readonly Floats[],
  wanted: { element: FeatureElement; start: number; rows: number; width: number },
): Floats | BigInt64Array | Int32Array {
  const { element, start, rows, width } = wanted;
  const numbers = zeros('float64', rows * width);
  const total = columns[0]?.length ?? 0;
  for (const [index, feature] of features.entries()) {
    for (let row = 0; row < rows; row++)
      numbers[row * width + feature] = columns[index]![(start + row) % total]!;
  }
  if (element === 'float64') return numbers;
  if (element === 'float32') return Float32Array.from(numbers);
  const limit = element === 'int64' ? 2 ** 63 : 2 ** 31;
  const whole = (x: number, i: number): number => {
    if (!(x > -limit && x < limit - 1)) return 0;
    return Math.floor(i / width) % 2 === 0 ? Math.floor(x) : Math.ceil(x);
  };
  return element === 'int64'
    ? BigInt64Array.from(numbers, (x, i) => BigInt(whole(x, i)))
    : Int32Array.from(numbers, whole);
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
