/** The third step, tree by tree: which leaf each row reaches. */
import { BITS, CARRY, INDEX, PLANE } from './layout';
import { transpose } from './transpose';

/**
 * Fills `reach`, whose plane j says which rows reach leaf j or one to the right of it. A node over the leaves
 * [low, high) that parts them at `middle` needs two operations for 128 rows: of the rows that reach `low` those that go right, and
 * those that reach `high` anyway. Nodes are in an order in which both are known.
 */
// @ts-ignore: decorator
@inline export function followNodes(nodes: u32, count: u32, planes: u32, reach: u32): void {
  const end = nodes + count * 8;
  for (let at = nodes; at != end; at += 8) {
    const node = load<u64>(at);
    step(
      planes + (<u32>node & 0xffff) * PLANE,
      reach + (<u32>(node >> 16) & 0xffff) * PLANE,
      reach + (<u32>(node >> 32) & 0xffff) * PLANE,
      reach + <u32>(node >> 48) * PLANE,
    );
  }
}

/** The same where a program has more planes than 16 bits can number. */
// @ts-ignore: decorator
@inline export function followWideNodes(nodes: u32, count: u32, planes: u32, reach: u32): void {
  const end = nodes + count * 16;
  for (let at = nodes; at != end; at += 16) {
    step(
      planes + load<u32>(at) * PLANE,
      reach + load<u32>(at, 4) * PLANE,
      reach + load<u32>(at, 8) * PLANE,
      reach + load<u32>(at, 12) * PLANE,
    );
  }
}

// @ts-ignore: decorator
@inline function step(right: u32, low: u32, high: u32, middle: u32): void {
  v128.store(middle, v128.or(v128.load(high), v128.and(v128.load(low), v128.load(right))));
  v128.store(
    middle,
    v128.or(v128.load(high, 16), v128.and(v128.load(low, 16), v128.load(right, 16))),
    16,
  );
  v128.store(
    middle,
    v128.or(v128.load(high, 32), v128.and(v128.load(low, 32), v128.load(right, 32))),
    32,
  );
  v128.store(
    middle,
    v128.or(v128.load(high, 48), v128.and(v128.load(low, 48), v128.load(right, 48))),
    48,
  );
}

/** Every row reaches leaf 0, and none the places from `leaves` up to the next multiple of eight. */
// @ts-ignore: decorator
@inline export function prepareReach(reach: u32, leaves: u32): void {
  const all = i32x4.splat(-1);
  const none = i32x4.splat(0);
  v128.store(reach, all);
  v128.store(reach, all, 16);
  v128.store(reach, all, 32);
  v128.store(reach, all, 48);
  const end = reach + ((leaves + 7) & ~7) * PLANE;
  for (let at = reach + leaves * PLANE; at <= end; at += PLANE) {
    v128.store(at, none);
    v128.store(at, none, 16);
    v128.store(at, none, 32);
    v128.store(at, none, 48);
  }
}

/**
 * From `reach` to the index of each row's leaf. Bit b of the index is the exclusive or of the planes at all multiples of 2^b;
 * each plane is taken once, at the greatest such power, and summed from the top.
 *
 * With up to 5 bits the index is a byte; with 6 a byte that holds four times it; up to 14, 16 bits with four times it; else
 * 16 bits.
 */
// @ts-ignore: decorator
@inline export function findLeaves(reach: u32, leaves: u32, bits: u32): void {
  const groups = (leaves + 7) >> 3;
  const none = i32x4.splat(0);
  for (let part: u32 = 0; part < PLANE; part += 16) {
    for (let b: u32 = 0; b <= bits; b++) v128.store(CARRY + b * 16, none);
    let bit0 = none;
    let bit1 = none;
    let bit2 = none;
    let at = reach + part;
    for (let group: u32 = 1; group <= groups; group++) {
      const p2 = v128.load(at, 2 * PLANE);
      const p4 = v128.load(at, 4 * PLANE);
      const p6 = v128.load(at, 6 * PLANE);
      const odd = v128.xor(
        v128.xor(v128.load(at, PLANE), v128.load(at, 3 * PLANE)),
        v128.xor(v128.load(at, 5 * PLANE), v128.load(at, 7 * PLANE)),
      );
      bit0 = v128.xor(bit0, odd);
      bit1 = v128.xor(bit1, v128.xor(p2, p6));
      bit2 = v128.xor(bit2, p4);
      const carry = CARRY + ((3 + ctz(group)) << 4);
      v128.store(carry, v128.xor(v128.load(carry), v128.load(at, 8 * PLANE)));
      at += 8 * PLANE;
    }
    if (bits <= 5) {
      let sum = bits > 4 ? v128.load(CARRY + 64) : none;
      const at5 = INDEX + part * 8;
      v128.store(at5, none, 112);
      v128.store(at5, none, 96);
      v128.store(at5, none, 80);
      v128.store(at5, sum, 64);
      sum = v128.xor(sum, bits > 3 ? v128.load(CARRY + 48) : none);
      v128.store(at5, sum, 48);
      sum = v128.xor(sum, bit2);
      v128.store(at5, sum, 32);
      sum = v128.xor(sum, bit1);
      v128.store(at5, sum, 16);
      v128.store(at5, v128.xor(sum, bit0));
      transpose(at5);
    } else if (bits == 6) {
      const at6 = INDEX + part * 8;
      let sum = v128.load(CARRY + 80);
      v128.store(at6, sum, 112);
      sum = v128.xor(sum, v128.load(CARRY + 64));
      v128.store(at6, sum, 96);
      sum = v128.xor(sum, v128.load(CARRY + 48));
      v128.store(at6, sum, 80);
      sum = v128.xor(sum, bit2);
      v128.store(at6, sum, 64);
      sum = v128.xor(sum, bit1);
      v128.store(at6, sum, 48);
      v128.store(at6, v128.xor(sum, bit0), 32);
      v128.store(at6, none, 16);
      v128.store(at6, none);
      transpose(at6);
    } else wideIndex(part, bits, bit0, bit1, bit2);
  }
}

/** The index of 128 rows in 16 bits each, from its bits in `BITS` and above it. */
function wideIndex(part: u32, bits: u32, bit0: v128, bit1: v128, bit2: v128): void {
  const none = i32x4.splat(0);
  let sum = none;
  for (let b = <i32>15; b >= 3; b--) {
    if (<u32>b < bits) sum = v128.xor(sum, v128.load(CARRY + (<u32>b << 4)));
    v128.store(BITS + (<u32>b << 4), sum);
  }
  sum = v128.xor(sum, bit2);
  v128.store(BITS, sum, 32);
  sum = v128.xor(sum, bit1);
  v128.store(BITS, sum, 16);
  v128.store(BITS, v128.xor(sum, bit0));
  transpose(BITS);
  if (bits > 8) transpose(BITS + 128);
  const shift = bits <= 14 ? 2 : 0;
  const target = INDEX + part * 16;
  for (let k: u32 = 0; k < 8; k++) {
    const low = v128.load(BITS + k * 16);
    const high = bits > 8 ? v128.load(BITS + 128 + k * 16) : none;
    const a = v128.shuffle<u8>(low, high, 0, 16, 1, 17, 2, 18, 3, 19, 4, 20, 5, 21, 6, 22, 7, 23);
    const b = v128.shuffle<u8>(
      low, high, 8, 24, 9, 25, 10, 26, 11, 27, 12, 28, 13, 29, 14, 30, 15, 31,
    );
    v128.store(target + k * 32, i16x8.shl(a, shift));
    v128.store(target + k * 32, i16x8.shl(b, shift), 16);
  }
}
