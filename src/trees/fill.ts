/** Brings columns of features into the kernel's memory, as a Cast would. */
import type { Floats } from './floats.js';

/** A column of values: row r is `values[r * stride + offset]`. */
export interface FeatureColumn {
  readonly values: Floats | BigInt64Array | Int32Array;
  readonly stride: number;
  readonly offset: number;
}

/** Copies rows of a column. Between types this rounds to the nearest, ties to even, as a Cast does. */
export function fillColumn(
  target: Floats,
  { values, stride, offset }: FeatureColumn,
  start: number,
  count: number,
): void {
  if (values instanceof BigInt64Array) {
    fillLongs(target, values, { at: start * stride + offset, stride, count });
  } else if (stride === 1) {
    target.set(values.subarray(start + offset, start + offset + count));
  } else {
    for (let row = 0; row < count; row++) target[row] = values[(start + row) * stride + offset]!;
  }
}

/** 2^53 in steps of 2^32: up to there a double holds every whole number. */
const EXACT = 2 ** 21;

/** Whole numbers of 64 bits, without a BigInt for each. */
function fillLongs(
  target: Floats,
  values: BigInt64Array,
  { at, stride, count }: { readonly at: number; readonly stride: number; readonly count: number },
): void {
  const halves = new Int32Array(values.buffer, values.byteOffset, 2 * values.length);
  const isFloat = target instanceof Float32Array;
  for (let row = 0, half = 2 * at; row < count; row++, half += 2 * stride) {
    const low = halves[half]! >>> 0;
    const high = halves[half + 1]!;
    // A sum of doubles rounds once. To round to a 32-bit float once, of large numbers the lowest bits become one that says
    // whether any of them was set: it decides between two floats only where nothing else does.
    const isLarge = isFloat && (high >= EXACT || high < -EXACT);
    const kept = isLarge ? (low & 0xffff0000) >>> 0 : low;
    const sticky = isLarge && kept !== low ? 0x10000 : 0;
    target[row] = high * 2 ** 32 + ((kept | sticky) >>> 0);
  }
}
