/**
 * The steps that look at numbers, for ensembles whose numbers have 64 bits: bins, and the values of leaves. What lies between is
 * bits, and the same.
 */
import { bucketOf, COMPARE, LINEAR, ORDERED, storeBins } from './bins';
import { field, INDEX, ROWS } from './layout';
import { ADD, LEAST } from './leaves';

/** As `binColumn`. The bucket is that of the nearest 32-bit float, which grows with the value too. */
export function binDoubles(feature: u32): void {
  const mode = field(feature, 3);
  if (mode == COMPARE) bin(feature, COMPARE);
  else if (mode == LINEAR) bin(feature, LINEAR);
  else bin(feature, ORDERED);
}

/** The halves of four masks of 64 bits. */
// @ts-ignore: decorator
@inline function narrowed(a: v128, b: v128): v128 {
  return v128.shuffle<i32>(a, b, 0, 2, 4, 6);
}

// @ts-ignore: decorator
@inline function bin(feature: u32, mode: u32): void {
  const input = field(feature, 0);
  const low = field(feature, 1);
  const high = field(feature, 2);
  const steps = field(feature, 4);
  const table = field(feature, 5);
  const thresholds = field(feature, 6);
  for (let row: u32 = 0; row < ROWS; row += 4) {
    const x0 = v128.load(input + row * 8);
    const x1 = v128.load(input + row * 8, 16);
    const nan = narrowed(f64x2.ne(x0, x0), f64x2.ne(x1, x1));
    let found = i32x4.splat(0);
    if (mode == COMPARE) {
      const end = thresholds + field(feature, 7) * 8;
      for (let at = thresholds; at < end; at += 8) {
        const t = v128.load64_splat(at);
        found = i32x4.sub(found, narrowed(f64x2.gt(x0, t), f64x2.gt(x1, t)));
      }
    } else {
      const nearest = v128.shuffle<f32>(
        f32x4.demote_f64x2_zero(x0), f32x4.demote_f64x2_zero(x1), 0, 1, 4, 5,
      );
      const bucket = bucketOf(feature, mode, nearest, nan);
      let n0 = <u32>load<u16>(table + (i32x4.extract_lane(bucket, 0) << 1));
      let n1 = <u32>load<u16>(table + (i32x4.extract_lane(bucket, 1) << 1));
      let n2 = <u32>load<u16>(table + (i32x4.extract_lane(bucket, 2) << 1));
      let n3 = <u32>load<u16>(table + (i32x4.extract_lane(bucket, 3) << 1));
      found = i32x4.splat(n0);
      found = i32x4.replace_lane(found, 1, n1);
      found = i32x4.replace_lane(found, 2, n2);
      found = i32x4.replace_lane(found, 3, n3);
      for (let step: u32 = (<u32>1 << steps) >> 1; step != 0; step >>= 1) {
        const at = thresholds + ((step - 1) << 3);
        const a = v128.load64_lane(at + (n1 << 3), v128.load64_zero(at + (n0 << 3)), 1);
        const b = v128.load64_lane(at + (n3 << 3), v128.load64_zero(at + (n2 << 3)), 1);
        const isGreater = narrowed(f64x2.gt(x0, a), f64x2.gt(x1, b));
        found = i32x4.add(found, v128.and(isGreater, i32x4.splat(step)));
        n0 = i32x4.extract_lane(found, 0);
        n1 = i32x4.extract_lane(found, 1);
        n2 = i32x4.extract_lane(found, 2);
        n3 = i32x4.extract_lane(found, 3);
      }
    }
    storeBins(low + row, high != 0 ? high + row : 0, v128.or(found, nan));
  }
}

/** As `takeLeaves`; the values are laid out as they are. What stands in `INDEX` depends on `bits`: see `findLeaves`. */
export function takeDoubles(scores: u32, values: u32, bits: u32, how: u32): void {
  if (bits <= 5) take(scores, values, 0, 3, how);
  else if (bits == 6) take(scores, values, 0, 1, how);
  else if (bits <= 14) take(scores, values, 1, 1, how);
  else take(scores, values, 1, 3, how);
}

// @ts-ignore: decorator
@inline function place(row: u32, wide: u32, shift: u32): u32 {
  if (wide != 0) return <u32>load<u16>(INDEX + row * 2) << shift;
  return <u32>load<u8>(INDEX + row) << shift;
}

// @ts-ignore: decorator
@inline function take(scores: u32, values: u32, wide: u32, shift: u32, how: u32): void {
  for (let row: u32 = 0; row < ROWS; row += 2) {
    let value = v128.load64_zero(values + place(row, wide, shift));
    value = v128.load64_lane(values + place(row + 1, wide, shift), value, 1);
    const at = scores + row * 8;
    const score = v128.load(at);
    // As for 32 bits: the first of both unless the second is truly less or greater.
    if (how == ADD) v128.store(at, f64x2.add(score, value));
    else if (how == LEAST) v128.store(at, f64x2.pmin(score, value));
    else v128.store(at, f64x2.pmax(score, value));
  }
}
