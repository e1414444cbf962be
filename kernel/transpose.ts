/**
 * Turns 8 × 8 squares of bits: byte j of vector k becomes the byte that holds bit k of byte j of all eight vectors. It
 * leads from bytes to planes and back: it is its own inverse.
 */
export function transpose(at: u32): void {
  const m4 = i8x16.splat(0x0f);
  const m2 = i8x16.splat(0x33);
  const m1 = i8x16.splat(0x55);
  let r0 = v128.load(at);
  let r1 = v128.load(at, 16);
  let r2 = v128.load(at, 32);
  let r3 = v128.load(at, 48);
  let r4 = v128.load(at, 64);
  let r5 = v128.load(at, 80);
  let r6 = v128.load(at, 96);
  let r7 = v128.load(at, 112);
  let t = v128.and(v128.xor(i64x2.shr_u(r0, 4), r4), m4);
  r4 = v128.xor(r4, t);
  r0 = v128.xor(r0, i64x2.shl(t, 4));
  t = v128.and(v128.xor(i64x2.shr_u(r1, 4), r5), m4);
  r5 = v128.xor(r5, t);
  r1 = v128.xor(r1, i64x2.shl(t, 4));
  t = v128.and(v128.xor(i64x2.shr_u(r2, 4), r6), m4);
  r6 = v128.xor(r6, t);
  r2 = v128.xor(r2, i64x2.shl(t, 4));
  t = v128.and(v128.xor(i64x2.shr_u(r3, 4), r7), m4);
  r7 = v128.xor(r7, t);
  r3 = v128.xor(r3, i64x2.shl(t, 4));

  t = v128.and(v128.xor(i64x2.shr_u(r0, 2), r2), m2);
  r2 = v128.xor(r2, t);
  r0 = v128.xor(r0, i64x2.shl(t, 2));
  t = v128.and(v128.xor(i64x2.shr_u(r1, 2), r3), m2);
  r3 = v128.xor(r3, t);
  r1 = v128.xor(r1, i64x2.shl(t, 2));
  t = v128.and(v128.xor(i64x2.shr_u(r4, 2), r6), m2);
  r6 = v128.xor(r6, t);
  r4 = v128.xor(r4, i64x2.shl(t, 2));
  t = v128.and(v128.xor(i64x2.shr_u(r5, 2), r7), m2);
  r7 = v128.xor(r7, t);
  r5 = v128.xor(r5, i64x2.shl(t, 2));

  t = v128.and(v128.xor(i64x2.shr_u(r0, 1), r1), m1);
  r1 = v128.xor(r1, t);
  r0 = v128.xor(r0, i64x2.shl(t, 1));
  t = v128.and(v128.xor(i64x2.shr_u(r2, 1), r3), m1);
  r3 = v128.xor(r3, t);
  r2 = v128.xor(r2, i64x2.shl(t, 1));
  t = v128.and(v128.xor(i64x2.shr_u(r4, 1), r5), m1);
  r5 = v128.xor(r5, t);
  r4 = v128.xor(r4, i64x2.shl(t, 1));
  t = v128.and(v128.xor(i64x2.shr_u(r6, 1), r7), m1);
  r7 = v128.xor(r7, t);
  r6 = v128.xor(r6, i64x2.shl(t, 1));
  v128.store(at, r0);
  v128.store(at, r1, 16);
  v128.store(at, r2, 32);
  v128.store(at, r3, 48);
  v128.store(at, r4, 64);
  v128.store(at, r5, 80);
  v128.store(at, r6, 96);
  v128.store(at, r7, 112);
}
