/**
 * The last step where scores have 64 bits. ONNX Runtime transforms them in 32 bits all the same; what is left as it is, is only rounded
 * at the end, or not at all.
 */
import { expFused } from './exp';
import {
  COMPLEMENT,
  greatest,
  isSmall,
  LOGISTIC,
  LOGISTIC_PAIR,
  logistic,
  SOFTMAX,
  SOFTMAX_ZERO,
  softmax,
} from './finish';
import { ROWS } from './layout';

/** As `finish`: outputs of 32 bits. */
export function finishDoubles(
  scores: u32,
  count: u32,
  rows: u32,
  bases: u32,
  divisor: f64,
  how: u32,
  outputs: u32,
): void {
  settle(scores, count, bases, divisor);
  for (let row: u32 = 0; row < rows; row++) {
    if (how >= COMPLEMENT) pair(scores + row * 8, outputs + row * 8, how, false);
    else finishRow(scores + row * 8, count, outputs + row * count * 4, how, false);
  }
}

/** As `finish`: outputs of 64 bits. */
export function finishToDoubles(
  scores: u32,
  count: u32,
  rows: u32,
  bases: u32,
  divisor: f64,
  how: u32,
  outputs: u32,
): void {
  settle(scores, count, bases, divisor);
  for (let row: u32 = 0; row < rows; row++) {
    if (how >= COMPLEMENT) pair(scores + row * 8, outputs + row * 16, how, true);
    else finishRow(scores + row * 8, count, outputs + row * count * 8, how, true);
  }
}

/** Divides and adds base values, in place. */
function settle(scores: u32, count: u32, bases: u32, divisor: f64): void {
  const by = f64x2.splat(divisor);
  for (let k: u32 = 0; k < count; k++) {
    const column = scores + k * ROWS * 8;
    const base = v128.load64_splat(bases + k * 8);
    for (let at = column; at < column + ROWS * 8; at += 16) {
      let x = v128.load(at);
      if (divisor != 0) x = f64x2.div(x, by);
      v128.store(at, f64x2.add(x, base));
    }
  }
}

/** A score of the row whose first score is at `from`. */
// @ts-ignore: decorator
@inline function scoreOf(from: u32, k: u32): f64 {
  return load<f64>(from + k * ROWS * 8);
}

// @ts-ignore: decorator
@inline function give(target: u32, k: u32, value: f64, isWide: bool): void {
  if (isWide) store<f64>(target + k * 8, value);
  else store<f32>(target + k * 4, <f32>value);
}

// @ts-ignore: decorator
@inline function pair(from: u32, target: u32, how: u32, isWide: bool): void {
  const x = load<f64>(from);
  if (how == LOGISTIC_PAIR) {
    give(target, 0, <f64>logistic(-(<f32>x)), isWide);
    give(target, 1, <f64>logistic(<f32>x), isWide);
  } else {
    give(target, 0, how == COMPLEMENT ? 1 - x : -x, isWide);
    give(target, 1, x, isWide);
  }
}

// @ts-ignore: decorator
@inline function finishRow(from: u32, count: u32, target: u32, how: u32, isWide: bool): void {
  if (how == SOFTMAX || how == SOFTMAX_ZERO) {
    // As floats, in the place where they go.
    for (let k: u32 = 0; k < count; k++) store<f32>(target + k * 4, <f32>scoreOf(from, k));
    if (how == SOFTMAX_ZERO) {
      softmaxZero(from, count, target, isWide);
      return;
    }
    softmax(target, count);
    if (!isWide) return;
    for (let k = <i32>count - 1; k >= 0; k--) {
      store<f64>(target + k * 8, <f64>load<f32>(target + k * 4));
    }
    return;
  }
  for (let k: u32 = 0; k < count; k++) {
    const x = scoreOf(from, k);
    give(target, k, how == LOGISTIC ? <f64>logistic(<f32>x) : x, isWide);
  }
}

/** Leaves scores of 0 out of the sum; what is none of them is scaled and divided in 64 bits. */
function softmaxZero(from: u32, count: u32, target: u32, isWide: bool): void {
  const most = greatest(target, count);
  const scale = expFused(-most);
  let sum: f32 = 0;
  for (let k: u32 = 0; k < count; k++) {
    const x = <f32>scoreOf(from, k);
    if (!isSmall(x)) sum += expFused(x - most);
  }
  for (let k: u32 = 0; k < count; k++) {
    const x = scoreOf(from, k);
    const value = isSmall(<f32>x) ? x * <f64>scale : <f64>expFused(<f32>x - most);
    give(target, k, value / <f64>sum, isWide);
  }
}
