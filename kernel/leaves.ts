/** The fourth step: every row takes the value of its leaf to its score, tree after tree, in the order of ONNX Runtime. */
import { INDEX, LEAVES, ROWS } from './layout';

/** How the values of the trees come together. */
export const ADD: u32 = 0;
export const LEAST: u32 = 1;
export const GREATEST: u32 = 2;

// @ts-ignore: decorator
@inline function join(score: v128, value: v128, how: u32): v128 {
  if (how == ADD) return f32x4.add(score, value);
  // These keep the first of their operands unless the second is truly less or greater, as ONNX Runtime's own comparison.
  if (how == LEAST) return f32x4.pmin(score, value);
  return f32x4.pmax(score, value);
}

/** Adds the values of one tree, a number for each leaf, to the scores of a block. */
// @ts-ignore: decorator
@inline export function takeLeaves(
  scores: u32,
  values: u32,
  leaves: u32,
  bits: u32,
  how: u32,
): void {
  if (bits <= 4) takeFew(scores, values, false, how);
  else if (bits == 5) takeFew(scores, values, true, how);
  else if (bits <= 14) {
    for (let at: u32 = 0; at < leaves * 4; at += 16) {
      v128.store(LEAVES + at, v128.load(values + at));
    }
    if (bits == 6) {
      for (let row: u32 = 0; row < ROWS; row += 4) {
        const at = INDEX + row;
        let v = v128.load32_zero(<u32>load<u8>(at), LEAVES);
        v = v128.load32_lane(<u32>load<u8>(at, 1), v, 1, LEAVES);
        v = v128.load32_lane(<u32>load<u8>(at, 2), v, 2, LEAVES);
        v = v128.load32_lane(<u32>load<u8>(at, 3), v, 3, LEAVES);
        v128.store(scores + row * 4, join(v128.load(scores + row * 4), v, how));
      }
    } else {
      for (let row: u32 = 0; row < ROWS; row += 4) {
        const at = INDEX + row * 2;
        let v = v128.load32_zero(<u32>load<u16>(at), LEAVES);
        v = v128.load32_lane(<u32>load<u16>(at, 2), v, 1, LEAVES);
        v = v128.load32_lane(<u32>load<u16>(at, 4), v, 2, LEAVES);
        v = v128.load32_lane(<u32>load<u16>(at, 6), v, 3, LEAVES);
        v128.store(scores + row * 4, join(v128.load(scores + row * 4), v, how));
      }
    }
  } else {
    for (let row: u32 = 0; row < ROWS; row += 4) {
      const at = INDEX + row * 2;
      let v = v128.load32_zero(values + (<u32>load<u16>(at) << 2));
      v = v128.load32_lane(values + (<u32>load<u16>(at, 2) << 2), v, 1);
      v = v128.load32_lane(values + (<u32>load<u16>(at, 4) << 2), v, 2);
      v = v128.load32_lane(values + (<u32>load<u16>(at, 6) << 2), v, 3);
      v128.store(scores + row * 4, join(v128.load(scores + row * 4), v, how));
    }
  }
}

/**
 * Up to 32 leaves fit in registers: their values are laid out as the first bytes of all, then the second bytes, and so on, 32
 * places each, and a byte swizzle looks up sixteen rows at once.
 */
// @ts-ignore: decorator
@inline function takeFew(scores: u32, values: u32, isMany: bool, how: u32): void {
  const l0 = v128.load(values);
  const h0 = v128.load(values, 16);
  const l1 = v128.load(values, 32);
  const h1 = v128.load(values, 48);
  const l2 = v128.load(values, 64);
  const h2 = v128.load(values, 80);
  const l3 = v128.load(values, 96);
  const h3 = v128.load(values, 112);
  const sixteen = i8x16.splat(16);
  for (let row: u32 = 0; row < ROWS; row += 16) {
    const x = v128.load(INDEX + row);
    let b0 = i8x16.swizzle(l0, x);
    let b1 = i8x16.swizzle(l1, x);
    let b2 = i8x16.swizzle(l2, x);
    let b3 = i8x16.swizzle(l3, x);
    if (isMany) {
      // An index out of range gives 0.
      const y = i8x16.sub(x, sixteen);
      b0 = v128.or(b0, i8x16.swizzle(h0, y));
      b1 = v128.or(b1, i8x16.swizzle(h1, y));
      b2 = v128.or(b2, i8x16.swizzle(h2, y));
      b3 = v128.or(b3, i8x16.swizzle(h3, y));
    }
    const a = v128.shuffle<u8>(b0, b1, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const b = v128.shuffle<u8>(b2, b3, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const c = v128.shuffle<u8>(b0, b1, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const d = v128.shuffle<u8>(b2, b3, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31);
    const at = scores + row * 4;
    v128.store(at, join(v128.load(at), v128.shuffle<u16>(a, b, 0, 8, 1, 9, 2, 10, 3, 11), how));
    v128.store(
      at,
      join(v128.load(at, 16), v128.shuffle<u16>(a, b, 4, 12, 5, 13, 6, 14, 7, 15), how),
      16,
    );
    v128.store(
      at,
      join(v128.load(at, 32), v128.shuffle<u16>(c, d, 0, 8, 1, 9, 2, 10, 3, 11), how),
      32,
    );
    v128.store(
      at,
      join(v128.load(at, 48), v128.shuffle<u16>(c, d, 4, 12, 5, 13, 6, 14, 7, 15), how),
      48,
    );
  }
}
