/** Least, greatest, mean and variance of numbers that are too many to be counted each. */
import { type Moments, mergeMoments, NO_MOMENTS } from './moments.js';
import type { Points } from './numeric.js';

/** What is known of some finite numbers besides their counts. It is added to. */
export interface Running {
  min: number;
  max: number;
  zeros: number;
  moments: Moments;
}

/** What follows from numbers that were counted each, in any order. */
export function runningOf({ points, counts }: Points): Running {
  const running = {
    min: Number.POSITIVE_INFINITY,
    max: Number.NEGATIVE_INFINITY,
    zeros: 0,
    moments: NO_MOMENTS,
  };
  let count = 0;
  let mean = 0;
  for (let i = 0; i < points.length; i++) {
    count += counts[i]!;
    if (points[i]! < running.min) running.min = points[i]!;
    if (points[i]! > running.max) running.max = points[i]!;
    if (points[i] === 0) running.zeros = counts[i]!;
  }
  if (count === 0) return running;
  for (let i = 0; i < points.length; i++) mean += points[i]! * (counts[i]! / count);
  let rest = 0;
  let squares = 0;
  for (let i = 0; i < points.length; i++) {
    const apart = points[i]! - mean;
    rest += apart * counts[i]!;
    squares += apart * apart * counts[i]!;
  }
  running.moments = momentsFrom(count, mean, rest, squares);
  return running;
}

/**
 * Adds a block of numbers, of which the running mean is near enough to measure distances from. Gives false, and adds
 * nothing, when one of them is not finite or so large that sums overflow. Zeros are counted elsewhere.
 */
export function addBlock(
  running: Running,
  values: Float32Array | Float64Array,
  start: number,
  end: number,
): boolean {
  if (start === end) return true;
  const { mean } = running.moments;
  let { min, max } = running;
  // Two strands: one would wait for each addition.
  let rest = 0;
  let squares = 0;
  let rest2 = 0;
  let squares2 = 0;
  const even = end - ((end - start) & 1);
  for (let i = start; i < even; i += 2) {
    const value = values[i]!;
    const value2 = values[i + 1]!;
    if (value < min) min = value;
    if (value > max) max = value;
    if (value2 < min) min = value2;
    if (value2 > max) max = value2;
    const apart = value - mean;
    const apart2 = value2 - mean;
    rest += apart;
    squares += apart * apart;
    rest2 += apart2;
    squares2 += apart2 * apart2;
  }
  if (even < end) {
    const value = values[even]!;
    if (value < min) min = value;
    if (value > max) max = value;
    rest += value - mean;
    squares += (value - mean) * (value - mean);
  }
  rest += rest2;
  squares += squares2;
  if (!Number.isFinite(rest) || !Number.isFinite(squares)) return false;
  running.min = min;
  running.max = max;
  const moments = momentsFrom(end - start, mean, rest, squares);
  running.moments = mergeMoments(running.moments, moments);
  return true;
}

/** Adds a block of finite numbers whose sums overflow. */
export function addLargeBlock(
  running: Running,
  values: Float32Array | Float64Array,
  start: number,
  end: number,
): void {
  const count = end - start;
  let mean = 0;
  for (let i = start; i < end; i++) {
    const value = values[i]!;
    mean += value / count;
    running.min = Math.min(running.min, value);
    running.max = Math.max(running.max, value);
  }
  const moments = { count, mean, meanRest: 0, squares: Number.POSITIVE_INFINITY };
  running.moments = mergeMoments(running.moments, moments);
}

/** The moments of numbers from the sums of their distances from a number near their mean (Chan et al. 1983). */
function momentsFrom(count: number, near: number, rest: number, squares: number): Moments {
  const step = rest / count;
  if (!Number.isFinite(squares) || !Number.isFinite(step)) {
    return { count, mean: near, meanRest: 0, squares: Number.POSITIVE_INFINITY };
  }
  const mean = near + step;
  const back = mean - near;
  const meanRest = near - (mean - back) + (step - back);
  return { count, mean, meanRest, squares: Math.max(0, squares - rest * step) };
}
