/** Mean and variance that can be put together from parts, with errors far below those of the data. */

/**
 * Of some finite numbers: their mean, what it lacks (the mean is the sum of both, so that means of large numbers that differ
 * little stay apart), and the sum of squared distances from it. All 0 for no numbers.
 */
export interface Moments {
  readonly count: number;
  readonly mean: number;
  readonly meanRest: number;
  /** Infinite where it exceeds what a double holds. */
  readonly squares: number;
}

/** The moments of nothing. */
export const NO_MOMENTS: Moments = { count: 0, mean: 0, meanRest: 0, squares: 0 };

/**
 * The moments of two sets of numbers together (Chan, Golub and LeVeque 1983, "Algorithms for computing the sample
 * variance"), the mean in two doubles (Dekker 1971).
 */
export function mergeMoments(a: Moments, b: Moments): Moments {
  if (a.count === 0) return b;
  if (b.count === 0) return a;
  const count = a.count + b.count;
  const apart = b.mean - a.mean + (b.meanRest - a.meanRest);
  if (!Number.isFinite(apart)) {
    const mean = a.mean * (a.count / count) + b.mean * (b.count / count);
    return { count, mean, meanRest: 0, squares: Number.POSITIVE_INFINITY };
  }
  const step = a.meanRest + apart * (b.count / count);
  const mean = a.mean + step;
  // What the sum of the two cut off (Knuth's TwoSum).
  const back = mean - a.mean;
  const meanRest = a.mean - (mean - back) + (step - back);
  const squares = a.squares + b.squares + apart * apart * ((a.count / count) * b.count);
  return { count, mean, meanRest, squares };
}

/** The variance: the mean of squared distances (that of the population, as NumPy's); undefined for no numbers. */
export function varianceOf({ count, squares }: Moments): number | undefined {
  return count === 0 ? undefined : squares / count;
}
