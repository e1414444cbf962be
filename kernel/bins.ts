/** The first step: every value becomes a bin, the number of the feature's thresholds that are less than it. */
import { field, ROWS } from './layout';

/** How a bucket is found for a value: by its place between the least and the greatest threshold, or by its bits. */
export const LINEAR: u32 = 0;
export const ORDERED: u32 = 1;
/** Few thresholds: each is compared. */
export const COMPARE: u32 = 2;

/**
 * Bins a column of a block. Buckets only narrow the search: they grow with the value, and within one the thresholds
 * themselves are compared, so that the bin is exact. NaN gives the greatest bin, 255 or 65535.
 */
export function binColumn(feature: u32): void {
  const mode = field(feature, 3);
  const steps = field(feature, 4);
  const isWide = field(feature, 2) != 0;
  if (mode == COMPARE) {
    bin(feature, COMPARE, false, false);
  } else if (mode == LINEAR) {
    if (isWide) bin(feature, LINEAR, false, true);
    else if (steps == 1) bin(feature, LINEAR, true, false);
    else bin(feature, LINEAR, false, false);
  } else if (isWide) bin(feature, ORDERED, false, true);
  else if (steps == 1) bin(feature, ORDERED, true, false);
  else bin(feature, ORDERED, false, false);
}

// @ts-ignore: decorator
@inline function bin(feature: u32, mode: u32, single: bool, isWide: bool): void {
  const input = field(feature, 0);
  const low = field(feature, 1);
  const high = field(feature, 2);
  const steps = field(feature, 4);
  const table = field(feature, 5);
  const thresholds = field(feature, 6);
  const buckets = field(feature, 7);
  const zero = i32x4.splat(0);
  for (let row: u32 = 0; row < ROWS; row += 4) {
    const x = v128.load(input + row * 4);
    const nan = f32x4.ne(x, x);
    let found: v128;
    if (mode == COMPARE) {
      found = zero;
      const end = thresholds + buckets * 4;
      for (let at = thresholds; at < end; at += 4) {
        found = i32x4.sub(found, f32x4.gt(x, v128.load32_splat(at)));
      }
    } else {
      const bucket = bucketOf(feature, mode, x, nan);
      if (single) {
        // One threshold a bucket: it and the number of those before it lie side by side.
        const at = i32x4.shl(bucket, 3);
        const first = i64x2.extract_lane(at, 0);
        const second = i64x2.extract_lane(at, 1);
        let a = v128.load64_zero(table + <u32>first);
        a = v128.load64_lane(table + <u32>(first >>> 32), a, 1);
        let b = v128.load64_zero(table + <u32>second);
        b = v128.load64_lane(table + <u32>(second >>> 32), b, 1);
        const before = v128.shuffle<i32>(a, b, 1, 3, 5, 7);
        found = i32x4.sub(before, f32x4.gt(x, v128.shuffle<f32>(a, b, 0, 2, 4, 6)));
      } else {
        let first = <u64>i64x2.extract_lane(bucket, 0);
        let second = <u64>i64x2.extract_lane(bucket, 1);
        let n0 = <u32>load<u16>(table + (<u32>first << 1));
        let n1 = <u32>load<u16>(table + (<u32>(first >> 32) << 1));
        let n2 = <u32>load<u16>(table + (<u32>second << 1));
        let n3 = <u32>load<u16>(table + (<u32>(second >> 32) << 1));
        found = i32x4.splat(n0);
        found = i32x4.replace_lane(found, 1, n1);
        found = i32x4.replace_lane(found, 2, n2);
        found = i32x4.replace_lane(found, 3, n3);
        let step: u32 = (<u32>1 << steps) >> 1;
        while (step != 0) {
          const at = thresholds + ((step - 1) << 2);
          let t = v128.load32_zero(at + (n0 << 2));
          t = v128.load32_lane(at + (n1 << 2), t, 1);
          t = v128.load32_lane(at + (n2 << 2), t, 2);
          t = v128.load32_lane(at + (n3 << 2), t, 3);
          found = i32x4.add(found, v128.and(f32x4.gt(x, t), i32x4.splat(step)));
          step >>= 1;
          first = <u64>i64x2.extract_lane(found, 0);
          second = <u64>i64x2.extract_lane(found, 1);
          n0 = <u32>first;
          n1 = <u32>(first >> 32);
          n2 = <u32>second;
          n3 = <u32>(second >> 32);
        }
      }
    }
    storeBins(low + row, isWide ? high + row : 0, v128.or(found, nan));
  }
}

/** The bucket of four values, which grows with the value. */
// @ts-ignore: decorator
@inline export function bucketOf(feature: u32, mode: u32, x: v128, nan: v128): v128 {
  const zero = i32x4.splat(0);
  const buckets = field(feature, 7);
  if (mode == LINEAR) {
    // Adding 2^23 leaves the nearest whole number in the low bits. NaN becomes 0: `pmin` and `pmax` keep their first.
    let place = f32x4.sub(x, v128.load32_splat(feature, 32));
    place = f32x4.mul(place, v128.load32_splat(feature, 36));
    place = f32x4.pmin(f32x4.splat(<f32>(buckets - 1)), f32x4.pmax(zero, place));
    return v128.and(f32x4.add(place, f32x4.splat(8388608)), i32x4.splat(0x7fffff));
  }
  let key = v128.xor(x, i32x4.shr_u(i32x4.shr_s(x, 31), 1));
  key = i32x4.sub(i32x4.shr_s(key, <i32>field(feature, 11)), v128.load32_splat(feature, 40));
  return v128.andnot(i32x4.min_s(i32x4.splat(buckets - 1), i32x4.max_s(zero, key)), nan);
}

/** Stores the bins of four rows: their low bytes, and where `high` is not 0 their high bytes too. */
// @ts-ignore: decorator
@inline export function storeBins(low: u32, high: u32, found: v128): void {
  const bytes = v128.shuffle<u8>(
    found, found, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12, 0, 4, 8, 12,
  );
  v128.store_lane<u32>(low, bytes, 0);
  if (high != 0) {
    const above = v128.shuffle<u8>(
      found, found, 1, 5, 9, 13, 1, 5, 9, 13, 1, 5, 9, 13, 1, 5, 9, 13,
    );
    v128.store_lane<u32>(high, above, 0);
  }
}
