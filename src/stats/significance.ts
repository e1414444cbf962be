/** How likely a difference is by chance: tail probabilities of test statistics, and their correction for many tests. */

/** The logarithm of the gamma function for x > 0 (Lanczos 1964, with g = 7 and nine terms); relative error about 1e-15. */
export function lnGamma(x: number): number {
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - lnGamma(1 - x);
  const [first, ...rest] = LANCZOS;
  const y = x - 1;
  const sum = rest.reduce((total, term, i) => total + term / (y + i + 1), first!);
  const t = y + 7.5;
  return Math.log(2 * Math.PI) / 2 + (y + 0.5) * Math.log(t) - t + Math.log(sum);
}

const LANCZOS = [
  0.999_999_999_999_809_93, 676.520_368_121_885_1, -1259.139_216_722_402_8, 771.323_428_777_653_13,
  -176.615_029_162_140_59, 12.507_343_278_686_905, -0.138_571_095_265_720_12,
  9.984_369_578_019_571_6e-6, 1.505_632_735_149_311_6e-7,
];

const TINY = 1e-300;
const PRECISE = 1e-16;

/** The upper incomplete gamma function, divided by the complete one (Abramowitz and Stegun 6.5.29, 6.5.31; Lentz 1976). */
function upperGamma(a: number, x: number): number {
  if (x <= 0) return 1;
  const scale = Math.exp(a * Math.log(x) - x - lnGamma(a));
  if (x < a + 1) {
    let term = 1 / a;
    let sum = term;
    for (let n = 1; n < 100_000 && term > sum * PRECISE; n++) {
      term *= x / (a + n);
      sum += term;
    }
    return Math.max(0, 1 - sum * scale);
  }
  let b = x + 1 - a;
  let c = 1 / TINY;
  let d = 1 / b;
  let fraction = d;
  for (let n = 1; n < 100_000; n++) {
    const step = -n * (n - a);
    b += 2;
    d = 1 / notTiny(step * d + b);
    c = notTiny(b + step / c);
    fraction *= c * d;
    if (Math.abs(c * d - 1) < PRECISE) break;
  }
  return scale * fraction;
}

function notTiny(value: number): number {
  return Math.abs(value) < TINY ? TINY : value;
}

/** The probability of a chi-squared statistic of at least `statistic` with `freedom` degrees of freedom. */
export function chiSquaredTail(statistic: number, freedom: number): number {
  return freedom <= 0 ? 1 : upperGamma(freedom / 2, statistic / 2);
}

/** The probability of a standard normal value at least `z` from 0, to either side. */
export function normalTails(z: number): number {
  return upperGamma(0.5, (z * z) / 2);
}

/**
 * The probability that the greatest distance between the empirical distributions of two samples of one continuous
 * distribution is at least `distance`: Kolmogorov's limit, corrected for small samples as in Stephens 1970. Where values
 * are tied it is too large, which raises no alarm.
 */
export function kolmogorovTail(distance: number, rows: number, otherRows: number): number {
  const root = Math.sqrt((rows * otherRows) / (rows + otherRows));
  const scaled = (root + 0.12 + 0.11 / root) * distance;
  if (!(scaled > 0.2)) return 1;
  let sum = 0;
  for (let k = 1; k <= 100; k++) {
    const term = Math.exp(-2 * k * k * scaled * scaled);
    sum += k % 2 === 1 ? term : -term;
    if (term < 1e-18) break;
  }
  return Math.min(1, Math.max(0, 2 * sum));
}

/**
 * The probability that of all marked rows at least `currentMarked` are among the current ones, when it is chance which
 * rows are marked: Fisher's exact test, one-sided.
 */
export function surplusTail(counts: {
  readonly rows: number;
  readonly currentRows: number;
  readonly marked: number;
  readonly currentMarked: number;
}): number {
  const { rows, currentRows, currentMarked } = counts;
  const marked = counts.marked + currentMarked;
  const least = Math.max(0, marked - rows);
  if (currentMarked <= least) return 1;
  const most = Math.min(marked, currentRows);
  const ways = (k: number): number =>
    lnChoose(currentRows, k) + lnChoose(rows, marked - k) - lnChoose(rows + currentRows, marked);
  // Below the mean the terms rise first: then the other tail is the one to add up.
  const isUpper = currentMarked > (marked * currentRows) / (rows + currentRows);
  const [from, step, end] = isUpper ? [currentMarked, 1, most] : [currentMarked - 1, -1, least];
  let term = Math.exp(ways(from));
  let sum = 0;
  for (let k = from; ; k += step) {
    sum += term;
    if (k === end || term <= sum * 1e-17) break;
    term *= isUpper
      ? ((currentRows - k) * (marked - k)) / ((k + 1) * (rows - marked + k + 1))
      : (k * (rows - marked + k)) / ((currentRows - k + 1) * (marked - k + 1));
  }
  return Math.min(1, Math.max(0, isUpper ? sum : 1 - sum));
}

function lnChoose(n: number, k: number): number {
  return lnGamma(n + 1) - lnGamma(k + 1) - lnGamma(n - k + 1);
}

/**
 * p-values corrected for how many there are, in their order: the false discovery rate at which each would be taken for a
 * discovery (Benjamini and Hochberg 1995).
 */
export function adjusted(pValues: readonly number[]): number[] {
  const order = pValues.map((_, i) => i).sort((a, b) => pValues[b]! - pValues[a]!);
  const result = pValues.slice();
  let least = 1;
  order.forEach((index, place) => {
    const rank = pValues.length - place;
    least = Math.min(least, (pValues[index]! * pValues.length) / rank);
    result[index] = least;
  });
  return result;
}
