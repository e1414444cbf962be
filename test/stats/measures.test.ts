/** Every measure against SciPy, NumPy and Evidently, on the pairs of columns of fixtures/stats. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { columnReports } from '../../src/report/quality.js';
import { distinctValues, type Sketch } from '../../src/stats/column.js';
import { compareColumn, QUANTILES } from '../../src/stats/drift.js';
import { varianceOf } from '../../src/stats/moments.js';
import { quantilesOf } from '../../src/stats/numeric.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';
import {
  adjusted,
  chiSquaredTail,
  normalTails,
  surplusTail,
} from '../../src/stats/significance.js';
import { FIXTURES } from '../scoreline.js';
import { categoryOf, numericOf, type Recipe } from './recipes.js';

interface Side {
  readonly nulls: number;
  readonly nan: number;
  readonly above: number;
  readonly below: number;
  readonly count: number;
  readonly zeros: number;
  readonly distinct: number;
  readonly min?: number;
  readonly max?: number;
  readonly mean?: number;
  readonly variance?: number;
  /** The mean size of the numbers. */
  readonly size?: number;
  readonly quantiles?: readonly number[];
}

interface Truth {
  readonly baseline: Side;
  readonly current: Side;
  readonly missing_p?: number;
  readonly bins?: number;
  readonly psi?: number;
  readonly js?: number;
  readonly hellinger?: number;
  readonly linf?: number;
  readonly p?: number;
  readonly chi2?: number;
  readonly freedom?: number;
  readonly chi2_p?: number;
  readonly ks?: number;
  readonly ks_buckets?: number;
  readonly largest?: number;
  readonly ks_p?: number;
  readonly wasserstein?: number;
  readonly wasserstein_buckets?: number;
  readonly wasserstein_normed?: number;
  readonly mean_p?: number;
  readonly added?: number;
  readonly vanished?: number;
  readonly added_surely?: number;
}

interface Pair {
  readonly name: string;
  readonly type: 'numbers' | 'texts';
  readonly baseline: Recipe;
  readonly current: Recipe;
  readonly truth: Truth;
}

const { tails, pairs } = JSON.parse(
  readFileSync(join(FIXTURES, 'stats', 'truth.json'), 'utf8'),
) as {
  tails: {
    chi2: [number, number, number][];
    normal: [number, number][];
    fisher: [number, number, number, number, number][];
    adjusted: [number[], number[]][];
  };
  pairs: Pair[];
};

/** How near two numbers are: the difference, or its share of the second where that is large. */
function off(found: number | undefined, wanted: number | undefined): number {
  if (found === undefined || wanted === undefined) return found === wanted ? 0 : 1;
  return Math.abs(found - wanted) / Math.max(1, Math.abs(wanted));
}

/** Whether a probability is right to eight digits of itself, or too small to matter. */
function offTail(found: number, wanted: number): number {
  return wanted < 1e-250 && found < 1e-250 ? 0 : Math.abs(found - wanted) / wanted;
}

const BUCKET = 1 / 256;

function problemsOfSide(sketch: Sketch, side: Side): string[] {
  const found: string[] = [];
  const check = (what: string, error: number, most: number): void => {
    if (!(error <= most)) found.push(`${what} is off by ${error}`);
  };
  check('nulls', off(sketch.nulls, side.nulls), 0);
  if (sketch.kind === 'category') {
    check('count', off(sketch.rows, side.count), 0);
    check('distinct', off(distinctValues(sketch), side.distinct), 0);
    return found;
  }
  check('nan', off(sketch.nan, side.nan), 0);
  check('above', off(sketch.positiveInfinite, side.above), 0);
  check('below', off(sketch.negativeInfinite, side.below), 0);
  check('count', off(sketch.moments.count, side.count), 0);
  check('zeros', off(sketch.zeros, side.zeros), 0);
  check('min', off(sketch.min, side.min), 1e-10);
  check('max', off(sketch.max, side.max), 1e-10);
  if (sketch.resolution === 'exact')
    check('distinct', off(distinctValues(sketch), side.distinct), 0);
  else if (side.distinct <= 4096) found.push('buckets, where each could be counted');
  if (side.mean === undefined) return found;
  const { mean } = sketch.moments;
  const variance = varianceOf(sketch.moments)!;
  const spread = Math.sqrt(side.variance!);
  check('mean', Math.abs(mean - side.mean) / (Math.max(Math.abs(side.mean), spread) || 1), 1e-12);
  check(
    'variance',
    Math.abs(variance - side.variance!) / (Math.max(side.variance!, 1e-12 * mean * mean) || 1),
    1e-12,
  );
  const most = sketch.resolution === 'exact' ? 1e-10 : BUCKET;
  quantilesOf(sketch, QUANTILES).forEach((quantile, i) => {
    const wanted = side.quantiles![i]!;
    // Numbers beyond float32 share its last bucket.
    if (Math.abs(wanted) > 3e38) return;
    check(`quantile ${QUANTILES[i]}`, Math.abs(quantile - wanted) / (Math.abs(wanted) || 1), most);
  });
  return found;
}

function problemsOf({ type, baseline, current, truth }: Pair): string[] {
  const of = type === 'numbers' ? numericOf : categoryOf;
  const [a, b] = [of(baseline), of(current)];
  const found = [...problemsOfSide(a, truth.baseline), ...problemsOfSide(b, truth.current)];
  const comparison = compareColumn(a, b)!;
  const check = (what: string, error: number, most: number): void => {
    if (!(error <= most)) found.push(`${what} is off by ${error}`);
  };
  if (truth.missing_p !== undefined)
    check('missing p', offTail(comparison.missing!.p, truth.missing_p), 1e-6);
  const drift = comparison.numeric ?? comparison.category;
  check('bins', off(drift?.bins.length, truth.bins), 0);
  check('psi', off(drift?.psi, truth.psi), 1e-9);
  check('jensen-shannon', off(drift?.jensenShannon, truth.js), 1e-7);
  check('hellinger', off(drift?.hellinger, truth.hellinger), 1e-7);
  check('chi-squared', off(drift?.chiSquared.statistic, truth.chi2), 1e-9);
  check('degrees of freedom', off(drift?.chiSquared.freedom, truth.freedom), 0);
  if (drift !== undefined) check('chi-squared p', offTail(drift.chiSquared.p, truth.chi2_p!), 1e-7);
  if (comparison.category !== undefined) {
    check('p of the categories', offTail(comparison.category.p, truth.p!), 1e-7);
    check('L-infinity', off(comparison.category.greatestChange, truth.linf), 1e-10);
    check('added', off(comparison.added.length, truth.added), 0);
    check('vanished', off(comparison.vanished.length, truth.vanished), 0);
    check(
      'surely added',
      off(comparison.added.filter(({ p }) => p < 0.001).length, truth.added_surely),
      0,
    );
  }
  const { numeric, mean } = comparison;
  if (numeric === undefined) return found;
  check('ks', off(numeric.ks.distance, truth.ks_buckets ?? truth.ks), 1e-10);
  if (
    truth.ks! < numeric.ks.distance - 1e-10 ||
    truth.ks! > numeric.ks.distance + (truth.largest ?? 0) + 1e-10
  ) {
    found.push(`ks ${numeric.ks.distance} is not near ${truth.ks}`);
  }
  check('ks p', Math.abs(numeric.ks.p - truth.ks_p!), 1e-9);
  check(
    'wasserstein',
    off(numeric.wasserstein, truth.wasserstein_buckets ?? truth.wasserstein),
    1e-9,
  );
  const isBeyond = Math.max(Math.abs(truth.baseline.max!), Math.abs(truth.current.max!)) > 3e38;
  if (truth.wasserstein_buckets !== undefined && !isBeyond) {
    const most = BUCKET * (truth.baseline.size! + truth.current.size!);
    check('wasserstein of the numbers', Math.abs(numeric.wasserstein - truth.wasserstein!), most);
  } else if (truth.wasserstein_normed !== undefined && !isBeyond) {
    check('wasserstein, normed', off(numeric.wassersteinNormed, truth.wasserstein_normed), 1e-8);
  }
  if (truth.mean_p !== undefined) check('p of the mean', Math.abs(mean!.p - truth.mean_p), 1e-7);
  return found;
}

/** What a report says of a pair, where it has to be what was measured. */
function problemsOfReport({ type, baseline, current, truth }: Pair): string[] {
  const of = type === 'numbers' ? numericOf : categoryOf;
  const statistics = (sketch: Sketch) => ({
    rows: 0,
    columns: [{ name: 'c', role: 'feature' as const, sketch }],
  });
  const [report] = columnReports(statistics(of(current)), statistics(of(baseline)), []);
  const found: string[] = [];
  const check = (what: string, said: unknown, error: number, most: number): void => {
    if (!(error <= most)) found.push(`${what} is ${said}, off by ${error}`);
  };
  for (const [name, side] of [
    ['baseline', truth.baseline],
    ['current', truth.current],
  ] as const) {
    const summary = report?.[name];
    if (summary?.kind !== 'numeric') continue;
    const { nulls, nan, positiveInfinite, negativeInfinite, top } = summary;
    check(`${name}: nulls`, nulls, off(nulls, side.nulls), 0);
    check(`${name}: NaN`, nan, off(nan, side.nan), 0);
    check(`${name}: +∞`, positiveInfinite, off(positiveInfinite, side.above), 0);
    check(`${name}: −∞`, negativeInfinite, off(negativeInfinite, side.below), 0);
    const most = side.distinct > 4096 ? undefined : Math.min(10, side.distinct);
    check(`${name}: top`, top?.length, off(top?.length, most), 0);
  }
  const wanted = truth.wasserstein_buckets ?? truth.wasserstein;
  const said = report?.change?.wassersteinPlain ?? undefined;
  check('wasserstein', said, off(said === undefined ? said : Number(said), wanted), 1e-9);
  return found;
}

test('there are 200 pairs and more, of each kind', () => {
  expect(pairs.length).toBeGreaterThanOrEqual(200);
  expect(pairs.filter(({ type }) => type === 'texts').length).toBeGreaterThan(30);
  expect(pairs.filter(({ truth }) => truth.ks_buckets !== undefined).length).toBeGreaterThan(50);
});

describe('statistics and measures equal those of Python', () => {
  test.each(pairs.map((pair) => [pair.name, pair] as const))('%s', (_, pair) => {
    expect(problemsOf(pair)).toEqual([]);
  });
});

describe('a report says them', () => {
  test.each(pairs.map((pair) => [pair.name, pair] as const))('%s', (_, pair) => {
    expect(problemsOfReport(pair)).toEqual([]);
  });

  test('the most frequent numbers with their counts, as of labels; of buckets there are none', () => {
    const of = (values: readonly number[]) => {
      const builder = new NumericBuilder('other');
      builder.add(Float64Array.from(values), { rows: values.length });
      const columns = [{ name: 'label', role: 'output' as const, sketch: builder.finish() }];
      const summary = columnReports({ rows: values.length, columns }, undefined, [])[0]?.current;
      return summary?.kind === 'numeric' ? summary.top : [];
    };
    expect(of([3, 1, 1, 2, 3, 1, -0, Number.NaN])).toEqual([
      { value: 1, count: 3 },
      { value: 3, count: 2 },
      { value: 0, count: 1 },
      { value: 2, count: 1 },
    ]);
    expect(of(Array.from({ length: 4097 }, (_, i) => i))).toBeUndefined();
  });
});

describe('probabilities equal those of SciPy', () => {
  test('chi-squared', () => {
    for (const [statistic, freedom, p] of tails.chi2) {
      expect(
        offTail(chiSquaredTail(statistic, freedom), p),
        `${statistic} ${freedom}`,
      ).toBeLessThan(1e-9);
    }
  });

  test('normal', () => {
    for (const [z, p] of tails.normal)
      expect(offTail(normalTails(z), p), `${z}`).toBeLessThan(1e-9);
  });

  test("Fisher's exact test", () => {
    for (const [rows, currentRows, marked, currentMarked, p] of tails.fisher) {
      const found = surplusTail({ rows, currentRows, marked, currentMarked });
      expect(offTail(found, p), `${rows} ${currentRows} ${marked} ${currentMarked}`).toBeLessThan(
        1e-7,
      );
    }
  });

  test('corrected for their number', () => {
    for (const [given, wanted] of tails.adjusted) {
      adjusted(given).forEach((p, i) => {
        expect(p).toBeCloseTo(wanted[i]!, 10);
      });
    }
  });
});
