/** The order of 32-bit floats: their bits as numbers, and the float before one. */

const FLOAT = new Float32Array(1);
const BITS = new Int32Array(FLOAT.buffer);

/** The bits of a float, as a signed number. */
export function bitsOf(x: number): number {
  FLOAT[0] = x;
  return BITS[0]!;
}

/** The float with these bits. */
export function floatOf(bits: number): number {
  BITS[0] = bits;
  return FLOAT[0]!;
}

/** The greatest float that is less than `x`, which is neither NaN nor -infinity. */
export function floatBefore(x: number): number {
  if (x === 0) return floatOf(-0x7fffffff);
  const bits = bitsOf(x);
  return floatOf(bits > 0 ? bits - 1 : bits + 1);
}

/** The least float that is greater than `x`, which is neither NaN nor infinity. */
export function floatAfter(x: number): number {
  return -floatBefore(-x);
}

/** A number that grows with the float. */
export function orderOf(x: number): number {
  const bits = bitsOf(x);
  return bits ^ ((bits >> 31) >>> 1);
}
