/** The second step: from bins to planes, one bit a row for every distinct condition of the ensemble. */
import { BITS, field, HIGH, HIGH_BYTE, LOW, LOW_BYTE, PLANE } from './layout';
import { transpose } from './transpose';

/** A condition: the number of thresholds in its low 16 bits, and how it is meant above them. */
const NAN_IS_LESS: u32 = 1;
const EQUAL: u32 = 2;
const ONE_OF: u32 = 4;

/**
 * Fills the planes of a feature's conditions: a bit says that the row goes to the right, where the bin is at least
 * some number (or, of EQUAL and ONE_OF, not that number or any of those).
 */
export function fillPlanes(feature: u32): void {
  const low = field(feature, 1);
  const high = field(feature, 2);
  const words = field(feature, 12);
  const count = field(feature, 13);
  const planes = field(feature, 14);
  const nans = field(feature, 15);
  for (let part: u32 = 0; part < PLANE; part += 16) {
    v128.store(nans + part, atLeast(low + part * 8, part));
  }
  if (high == 0) {
    conditions(words, count, planes, nans, false);
    return;
  }
  wholeBytes(LOW_BYTE);
  for (let part: u32 = 0; part < PLANE; part += 16) {
    const all = atLeast(high + part * 8, part);
    v128.store(nans + part, v128.and(v128.load(nans + part), all));
  }
  wholeBytes(HIGH_BYTE);
  for (let part: u32 = 0; part < PLANE; part += 16) {
    v128.store(HIGH_BYTE + 256 * PLANE + part, i32x4.splat(0));
  }
  conditions(words, count, planes, nans, true);
}

/** Where a bin is at least `n`. */
// @ts-ignore: decorator
@inline function reached(n: u32, part: u32, isWide: bool): v128 {
  const above = isWide ? HIGH_BYTE + (n >> 8) * PLANE + part : HIGH + (n >> 4) * PLANE + part;
  const below = isWide ? LOW_BYTE + (n & 255) * PLANE + part : LOW + (n & 15) * PLANE + part;
  return v128.or(v128.load(above, PLANE), v128.and(v128.load(above), v128.load(below)));
}

// @ts-ignore: decorator
@inline function conditions(words: u32, count: u32, planes: u32, nans: u32, isWide: bool): void {
  const nan0 = v128.load(nans);
  const nan1 = v128.load(nans, 16);
  const nan2 = v128.load(nans, 32);
  const nan3 = v128.load(nans, 48);
  let word = words;
  let plane = planes;
  for (let i: u32 = 0; i < count; i++) {
    const condition = load<u32>(word);
    const n = condition & 0xffff;
    const how = condition >> 16;
    word += 4;
    if (how & (EQUAL | ONE_OF)) {
      let members: u32 = 1;
      let first = word - 4;
      if (how & ONE_OF) {
        members = load<u32>(word);
        first = word + 4;
        word = first + members * 4;
      }
      for (let part: u32 = 0; part < PLANE; part += 16) {
        let any = i32x4.splat(0);
        for (let m: u32 = 0; m < members; m++) {
          const member = load<u32>(first + m * 4) & 0xffff;
          const past = reached(member + 1, part, isWide);
          any = v128.or(any, v128.andnot(reached(member, part, isWide), past));
        }
        v128.store(plane + part, v128.not(any));
      }
      if (how & NAN_IS_LESS) {
        v128.store(plane, v128.andnot(v128.load(plane), nan0));
        v128.store(plane, v128.andnot(v128.load(plane, 16), nan1), 16);
        v128.store(plane, v128.andnot(v128.load(plane, 32), nan2), 32);
        v128.store(plane, v128.andnot(v128.load(plane, 48), nan3), 48);
      }
    } else if (how & NAN_IS_LESS) {
      v128.store(plane, v128.andnot(reached(n, 0, isWide), nan0));
      v128.store(plane, v128.andnot(reached(n, 16, isWide), nan1), 16);
      v128.store(plane, v128.andnot(reached(n, 32, isWide), nan2), 32);
      v128.store(plane, v128.andnot(reached(n, 48, isWide), nan3), 48);
    } else {
      v128.store(plane, reached(n, 0, isWide));
      v128.store(plane, reached(n, 16, isWide), 16);
      v128.store(plane, reached(n, 32, isWide), 32);
      v128.store(plane, reached(n, 48, isWide), 48);
    }
    plane += PLANE;
  }
}

/** Planes of whole bytes from those of their halves. */
function wholeBytes(target: u32): void {
  for (let n: u32 = 0; n < 256; n++) {
    for (let part: u32 = 0; part < PLANE; part += 16) {
      v128.store(target + n * PLANE + part, reached(n, part, false));
    }
  }
}

/** The planes of both halves of 128 bytes, as far as they concern `part`; gives where all bits of a byte are set. */
function atLeast(bytes: u32, part: u32): v128 {
  v128.store(BITS, v128.load(bytes), 0);
  v128.store(BITS, v128.load(bytes, 16), 16);
  v128.store(BITS, v128.load(bytes, 32), 32);
  v128.store(BITS, v128.load(bytes, 48), 48);
  v128.store(BITS, v128.load(bytes, 64), 64);
  v128.store(BITS, v128.load(bytes, 80), 80);
  v128.store(BITS, v128.load(bytes, 96), 96);
  v128.store(BITS, v128.load(bytes, 112), 112);
  transpose(BITS);
  const none = i32x4.splat(0);
  half(LOW + part, BITS);
  half(HIGH + part, BITS + 64);
  v128.store(HIGH + 16 * PLANE + part, none);
  let all = v128.and(v128.load(BITS), v128.load(BITS, 16));
  all = v128.and(all, v128.and(v128.load(BITS, 32), v128.load(BITS, 48)));
  all = v128.and(all, v128.and(v128.load(BITS, 64), v128.load(BITS, 80)));
  return v128.and(all, v128.and(v128.load(BITS, 96), v128.load(BITS, 112)));
}

/** From four bits, given least first, the planes of "at least j" for j < 16. */
// @ts-ignore: decorator
@inline function half(target: u32, bits: u32): void {
  const b0 = v128.load(bits);
  const b1 = v128.load(bits, 16);
  const b2 = v128.load(bits, 32);
  const b3 = v128.load(bits, 48);
  const all = i32x4.splat(-1);
  quarter(target, all, v128.or(b3, b2), b0, b1);
  quarter(target + 4 * PLANE, v128.or(b3, b2), b3, b0, b1);
  quarter(target + 8 * PLANE, b3, v128.and(b3, b2), b0, b1);
  quarter(target + 12 * PLANE, v128.and(b3, b2), i32x4.splat(0), b0, b1);
}

// @ts-ignore: decorator
@inline function quarter(target: u32, here: v128, past: v128, b0: v128, b1: v128): void {
  v128.store(target, here);
  v128.store(target + PLANE, v128.or(past, v128.and(here, v128.or(b1, b0))));
  v128.store(target + 2 * PLANE, v128.or(past, v128.and(here, b1)));
  v128.store(target + 3 * PLANE, v128.or(past, v128.and(here, v128.and(b1, b0))));
}
