/** The order of floats of both widths: their bits as numbers, and the floats beside one. */

/** Numbers of either width. */
export type Floats = Float32Array | Float64Array;

/** How wide the numbers are that an ensemble compares and adds. */
export type Precision = 'float32' | 'float64';

const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);
const DOUBLE = new Float64Array(1);
const BITS64 = new BigInt64Array(DOUBLE.buffer);

/** `count` zeros. */
export function zeros(precision: Precision, count: number): Floats {
  return precision === 'float64' ? new Float64Array(count) : new Float32Array(count);
}

/** The bits of a 32-bit float, as a signed number. */
function bitsOf(x: number): number {
  FLOAT[0] = x;
  return BITS[0]!;
}

function floatOf(bits: number): number {
  BITS[0] = bits;
  return FLOAT[0]!;
}

/** The greatest number of that precision that is less than `x`, which is neither NaN nor -infinity. */
export function before(precision: Precision, x: number): number {
  if (precision === 'float64') return doubleBefore(x);
  if (x === 0) return floatOf(-0x7fffffff);
  const bits = bitsOf(x);
  return floatOf(bits > 0 ? bits - 1 : bits + 1);
}

function doubleBefore(x: number): number {
  if (x === 0) return -Number.MIN_VALUE;
  DOUBLE[0] = x;
  BITS64[0] = BITS64[0]! + (x > 0 ? -1n : 1n);
  return DOUBLE[0];
}

/** The least number of that precision that is greater than `x`, which is neither NaN nor infinity. */
export function after(precision: Precision, x: number): number {
  return -before(precision, -x);
}

/** A number that grows with the 32-bit float. */
export function orderOf(x: number): number {
  const bits = bitsOf(x);
  return bits ^ ((bits >> 31) >>> 1);
}
