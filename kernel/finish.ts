/** The last step: base values, and the ensemble's transformation; formulas and order as in ONNX Runtime. */
import { exp, expFused } from './exp';
import { ROWS } from './layout';

/** How scores become outputs. The last three are those of a classifier of two classes that has one score. */
export const PLAIN: u32 = 0;
export const SOFTMAX: u32 = 1;
export const LOGISTIC: u32 = 2;
export const SOFTMAX_ZERO: u32 = 3;
export const COMPLEMENT: u32 = 4;
const OPPOSITE: u32 = 5;
export const LOGISTIC_PAIR: u32 = 6;

/**
 * Finishes `rows` rows of a block: scores are `count` columns, outputs row-major. Scores are divided by `divisor` first, where
 * that is not 0, and the base values added.
 */
export function finish(
  scores: u32,
  count: u32,
  rows: u32,
  bases: u32,
  divisor: f32,
  how: u32,
  outputs: u32,
): void {
  for (let k: u32 = 0; k < count; k++) {
    const column = scores + k * ROWS * 4;
    const base = v128.load32_splat(bases + k * 4);
    const by = f32x4.splat(divisor);
    for (let at = column; at < column + ROWS * 4; at += 16) {
      let x = v128.load(at);
      if (divisor != 0) x = f32x4.div(x, by);
      v128.store(at, f32x4.add(x, base));
    }
  }
  if (how >= COMPLEMENT) pair(scores, rows, how, outputs);
  else if (how == PLAIN && count == 1) memory.copy(outputs, scores, rows * 4);
  else {
    for (let row: u32 = 0; row < rows; row++) {
      const target = outputs + row * count * 4;
      for (let k: u32 = 0; k < count; k++) {
        store<f32>(target + k * 4, load<f32>(scores + (k * ROWS + row) * 4));
      }
      if (how == SOFTMAX) softmax(target, count);
      else if (how == SOFTMAX_ZERO) softmaxZero(target, count);
      else if (how == LOGISTIC) {
        for (let k: u32 = 0; k < count; k++) {
          store<f32>(target + k * 4, logistic(load<f32>(target + k * 4)));
        }
      }
    }
  }
}

function pair(scores: u32, rows: u32, how: u32, outputs: u32): void {
  for (let row: u32 = 0; row < rows; row++) {
    const x = load<f32>(scores + row * 4);
    const target = outputs + row * 8;
    if (how == LOGISTIC_PAIR) {
      store<f32>(target, logistic(-x));
      store<f32>(target, logistic(x), 4);
    } else {
      store<f32>(target, how == COMPLEMENT ? 1 - x : -x);
      store<f32>(target, x, 4);
    }
  }
}

export function logistic(x: f32): f32 {
  const v: f32 = 1 / (1 + exp(-abs(x)));
  return x < 0 ? 1 - v : v;
}

// @ts-ignore: decorator
@inline export function greatest(at: u32, count: u32): f32 {
  let most: f32 = -3.4028234663852886e38;
  for (let k: u32 = 0; k < count; k++) {
    const x = load<f32>(at + k * 4);
    if (x > most) most = x;
  }
  return most;
}

export function softmax(at: u32, count: u32): void {
  const most = greatest(at, count);
  let sum: f32 = 0;
  for (let k: u32 = 0; k < count; k++) {
    const x = expFused(load<f32>(at + k * 4) - most);
    store<f32>(at + k * 4, x);
    sum += x;
  }
  for (let k: u32 = 0; k < count; k++) store<f32>(at + k * 4, load<f32>(at + k * 4) / sum);
}

/** Whether a score counts as 0. NaN does. */
// @ts-ignore: decorator
@inline export function isSmall(x: f32): bool {
  return !(x > <f32>0.0000001 || x < <f32>-0.0000001);
}

/** Leaves scores of 0 out of the sum. */
function softmaxZero(at: u32, count: u32): void {
  const most = greatest(at, count);
  const scale = expFused(-most);
  let sum: f32 = 0;
  for (let k: u32 = 0; k < count; k++) {
    let x = load<f32>(at + k * 4);
    if (!isSmall(x)) {
      x = expFused(x - most);
      sum += x;
    } else x *= scale;
    store<f32>(at + k * 4, x);
  }
  for (let k: u32 = 0; k < count; k++) store<f32>(at + k * 4, load<f32>(at + k * 4) / sum);
}
