/** Limits that a job learns from its own earlier runs. */

/** From so many runs a limit can be learnt. */
export const LEAST_RUNS = 5;
/** How many runs are looked at, the last ones. */
const MOST_RUNS = 30;
/** How many deviations above what is usual a value may be. */
const DEVIATIONS = 4;
/** What makes the median absolute deviation of normal numbers their standard deviation. */
const TO_STANDARD = 1.4826;

/**
 * The limit for a measure that is small as a rule: the median of earlier values and four times their median absolute
 * deviation (as a standard deviation, Hampel 1974), but never below `least`, so that a job whose values hardly differ
 * raises no alarm of a trifle. Values are those of the last
 * runs, the last first. Undefined for too few.
 */
export function learntLimit(earlier: readonly number[], least: number): number | undefined {
  const values = earlier.slice(0, MOST_RUNS);
  if (values.length < LEAST_RUNS) return undefined;
  const middle = median(values);
  const deviation = median(values.map((value) => Math.abs(value - middle)));
  return Math.max(least, middle + DEVIATIONS * TO_STANDARD * deviation);
}

function median(values: readonly number[]): number {
  const rising = values.toSorted((a, b) => a - b);
  const half = rising.length / 2;
  return (rising[Math.ceil(half) - 1]! + rising[Math.floor(half)]!) / 2;
}
