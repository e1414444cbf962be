/** How gates are judged. */
import { describe, expect, test } from 'vitest';
import { CategoryBuilder } from '../../src/stats/category.js';
import type { ColumnRole, ColumnStatistics, Statistics } from '../../src/stats/column.js';
import { gateLine } from '../../src/stats/gate-line.js';
import {
  DEFAULT_GATES,
  type GateInput,
  type GateResult,
  type GateSettings,
} from '../../src/stats/gate-settings.js';
import { judgeGates, verdictOf } from '../../src/stats/gates.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';
import { Random } from '../random.js';

type Values = readonly (number | null)[] | readonly string[];

function column(name: string, values: Values, role: ColumnRole = 'feature'): ColumnStatistics {
  if (typeof values[0] === 'string') {
    const builder = new CategoryBuilder();
    builder.add(values as readonly string[]);
    return { name, role, sketch: builder.finish() };
  }
  const builder = new NumericBuilder('other');
  const numbers = Float64Array.from(
    values as readonly (number | null)[],
    (value) => value ?? Number.NaN,
  );
  builder.add(numbers, { rows: values.length });
  return { name, role, sketch: builder.finish() };
}

function of(rows: number, ...columns: ColumnStatistics[]): Statistics {
  return { rows, columns };
}

const random = new Random(8);
const bell = (rows: number, mean = 0, sd = 1): number[] =>
  Array.from({ length: rows }, () => {
    let sum = 0;
    for (let i = 0; i < 12; i++) sum += random.next();
    return mean + (sum - 6) * sd;
  });
const picks = (rows: number, values: readonly string[]): string[] =>
  Array.from({ length: rows }, () => random.pick(values));

function judge(
  settings: GateSettings,
  current: Statistics,
  baseline: Statistics | undefined,
  more: Partial<GateInput> = {},
): GateResult[] {
  return judgeGates({
    settings,
    current,
    units: 1,
    baseline: baseline && { statistics: baseline, units: 1 },
    flips: undefined,
    history: () => [],
    ignored: [],
    scope: 'all',
    ...more,
  });
}

const line = (result: GateResult | undefined): string => gateLine(result!, 'month=1');

describe('rows', () => {
  const settings = { rows: { min: 1000, change: 0.3 } };

  test('fail below a number, whatever the baseline', () => {
    const [min] = judge(settings, of(999), undefined);
    expect(line(min)).toBe('fail    rows.min: 999 rows (limit 1,000 rows)');
    expect(judge(settings, of(1000), undefined)[0]?.status).toBe('pass');
  });

  test('fail when they change by more than a share, up or down, for each unit', () => {
    const change = (rows: number, before: number, units = 1) =>
      judge(settings, of(rows), of(before), { units })[1];
    expect(line(change(6000, 10_000))).toBe(
      'fail    rows.change: 40 % (limit 30 %) against 10,000 rows of month=1',
    );
    expect(change(13_500, 10_000)?.status).toBe('fail');
    expect(change(12_900, 10_000)?.status).toBe('pass');
    expect(change(20_000, 10_000, 2)?.status).toBe('pass');
  });

  test('warn by default where partitions lose more than half of them, and not by chance', () => {
    const change = (rows: number, before: number, units = 1) =>
      judge(DEFAULT_GATES, of(rows), of(before), { units })[0];
    expect(line(change(3, 1000))).toBe(
      'fail    rows.change: 99.7 % (limit 50 %) against 1,000 rows of month=1',
    );
    expect(change(0, 1000)?.status).toBe('fail');
    expect(change(501, 1000)?.status).toBe('pass');
    expect(change(5000, 1000)?.status).toBe('pass');
    expect(change(2, 7)).toMatchObject({
      status: 'pass',
      findings: [{ reason: 'could be chance' }],
    });
  });

  test('are not compared with nothing', () => {
    expect(line(judge(settings, of(6000), undefined)[1])).toBe('skipped rows.change: no baseline');
    expect(judge(settings, of(6000), of(0))[1]?.status).toBe('skipped');
  });
});

describe('nulls', () => {
  const settings = { nulls: { maxIncrease: 0.02 } };
  const some = (rows: number, missing: number): ColumnStatistics =>
    column(
      'x',
      Array.from({ length: rows }, (_, i) => (i < missing ? null : i % 7)),
    );

  test('fail when their share rises by more than so many points', () => {
    const [nulls] = judge(settings, of(1000, some(1000, 60)), of(5000, some(5000, 100)));
    expect(line(nulls)).toBe(
      'fail    nulls.max_increase x: 4 % (limit 2 %) against 2 % of month=1',
    );
    expect(judge(settings, of(1000, some(1000, 35)), of(5000, some(5000, 100)))[0]?.status).toBe(
      'pass',
    );
    expect(judge(settings, of(1000, some(1000, 0)), of(5000, some(5000, 900)))[0]?.status).toBe(
      'pass',
    );
  });

  test('that could be chance do not fail', () => {
    const [nulls] = judge(settings, of(120, some(120, 5)), of(1000, some(1000, 15)));
    expect(nulls).toMatchObject({ status: 'pass', findings: [{ reason: 'could be chance' }] });
  });

  test('are judged of few rows, too, by the exact test', () => {
    const of90 = (missing: number): GateResult | undefined =>
      judge(settings, of(90, some(90, missing)), of(180, some(180, 0)))[0];
    expect(line(of90(90))).toBe(
      'fail    nulls.max_increase x: 100 % (limit 2 %) against 0 % of month=1',
    );
    // scipy.stats.fisher_exact([[5, 85], [0, 180]], 'greater'): p = 0.00381495
    expect(of90(5)).toMatchObject({ status: 'pass', findings: [{ reason: 'could be chance' }] });
    expect(of90(5)?.findings[0]?.p).toBeCloseTo(0.00381495, 8);
    const tiny = (rows: number, before: number): GateResult | undefined =>
      judge(settings, of(rows, some(rows, rows)), of(before, some(before, 0)))[0];
    expect([tiny(3, 1000)?.status, tiny(3, 10)?.status]).toEqual(['fail', 'pass']);
  });

  test('of predictions count infinite ones', () => {
    const scores = (infinite: number): ColumnStatistics =>
      column(
        'p',
        Array.from({ length: 60 }, (_, i) => (i < infinite ? Number.POSITIVE_INFINITY : i % 7)),
        'output',
      );
    const [nulls] = judge(settings, of(60, scores(60)), of(60, scores(0)));
    expect(nulls).toMatchObject({ status: 'fail', findings: [{ column: 'p', measured: 1 }] });
  });

  test('only of named columns, and a name that is none is said', () => {
    const columns = ['y', 'z'];
    const results = judge(
      { nulls: { maxIncrease: 0.02, columns } },
      of(1000, some(1000, 500)),
      of(1000, some(1000, 0)),
    );
    expect(results[0]).toMatchObject({
      status: 'skipped',
      findings: [{ column: 'y' }, { column: 'z' }],
    });
    expect(line(results[0])).toBe('skipped nulls.max_increase y: no such column');
  });
});

describe('drift', () => {
  const settings = { drift: { measures: { psi: { warn: 0.1, fail: 0.2 } } } };
  const before = of(
    5000,
    column('a', bell(5000)),
    column('b', bell(5000)),
    column('c', bell(5000)),
  );

  test('names the worst column, and the others with what was measured', () => {
    const now = of(
      5000,
      column('a', bell(5000, 2)),
      column('b', bell(5000, 1)),
      column('c', bell(5000, 0.35)),
    );
    const [psi] = judge(settings, now, before);
    expect(line(psi)).toMatch(
      /^fail {4}drift\.psi a: \d\.\d+ \(limit 0\.2\) against month=1; also b \d\.\d+$/,
    );
    expect(psi?.findings.map(({ column: name, status }) => [name, status])).toEqual([
      ['a', 'fail'],
      ['b', 'fail'],
      ['c', 'warn'],
    ]);
    expect(verdictOf([psi!])).toBe('fail');
  });

  test('that is small passes, however many rows show it', () => {
    const now = of(5000, column('a', bell(60_000, 0.1)));
    const wide = of(5000, column('a', bell(60_000)));
    const [psi] = judge(settings, now, wide);
    expect(psi).toMatchObject({ status: 'pass', findings: [{ reason: null }] });
    expect(psi?.findings[0]?.p).toBeLessThan(1e-9);
  });

  test('of few rows passes, however large it looks', () => {
    const few = of(110, column('a', bell(110, 0.35)));
    const [psi] = judge(settings, few, of(110, column('a', bell(110))));
    expect(psi).toMatchObject({ status: 'pass', findings: [{ reason: 'could be chance' }] });
  });

  test('fails where no value is left, and is not judged where none was', () => {
    const none = column('a', new Array<null>(5000).fill(null));
    expect(line(judge(settings, of(5000, none), before)[0])).toBe(
      'fail    drift.psi a: no value is left',
    );
    expect(judge(settings, before, of(5000, none))[0]?.findings[0]?.status).toBe('skipped');
  });

  test('is of features and predictions, but for those that name a unit, unless columns are named', () => {
    const rows = (mean: number): Statistics =>
      of(
        1000,
        column('kept', bell(1000, mean), 'kept'),
        column('month', bell(1000, mean)),
        column('score', bell(1000, mean), 'output'),
      );
    const [psi] = judge(settings, rows(3), rows(0), { ignored: ['month'] });
    expect(psi?.findings.map((finding) => finding.column)).toEqual(['score']);
    const named = { drift: { ...settings.drift, columns: ['kept', 'month'] } };
    const [chosen] = judge(named, rows(3), rows(0), { ignored: ['month'] });
    expect(new Set(chosen?.findings.map((finding) => finding.column))).toEqual(
      new Set(['kept', 'month']),
    );
  });

  test('by every measure', () => {
    const limits = { fail: 0.05 };
    const measures = {
      psi: limits,
      ks: limits,
      js: limits,
      hellinger: limits,
      wasserstein: limits,
      chi_squared: limits,
      l_infinity: limits,
    };
    const now = of(2000, column('n', bell(2000, 1)), column('t', picks(2000, ['a', 'b', 'c'])));
    const then = of(2000, column('n', bell(2000)), column('t', picks(2000, ['a', 'a', 'b'])));
    const results = judge({ drift: { measures } }, now, then);
    expect(results.map(({ gate, status, findings }) => [gate, status, findings.length])).toEqual([
      ['drift.psi', 'fail', 2],
      ['drift.ks', 'fail', 1],
      ['drift.js', 'fail', 2],
      ['drift.hellinger', 'fail', 2],
      ['drift.wasserstein', 'fail', 1],
      ['drift.chi_squared', 'fail', 2],
      ['drift.l_infinity', 'fail', 1],
    ]);
  });

  test('is not measured in standard deviations that no number holds', () => {
    const wide = (rows: number, most: number) =>
      of(
        rows,
        column(
          'a',
          Array.from({ length: rows }, (_, i) => (i % 2 === 0 ? most : -most)),
        ),
      );
    const settings = { drift: { measures: { wasserstein: { fail: 0.5 } } } };
    for (const [before, now] of [
      [1.7e308, 1.7e308],
      [1e300, 1e200],
    ] as const) {
      const [found] = judge(settings, wide(400, now), wide(600, before));
      const isSame = before === now;
      expect(found?.findings[0], `${before}`).toMatchObject(
        isSame ? { status: 'pass', measured: 0 } : { status: 'skipped', measured: null },
      );
    }
    const odd = of(400, column('a', [...new Array<number>(399).fill(-1.7e308), 1.7e308]));
    const [found] = judge(settings, odd, wide(600, 1.7e308));
    expect(line(found)).toMatch(/^skipped drift\.wasserstein a: the variance/);
  });

  test('against a limit that earlier runs teach', () => {
    const learnt = { drift: { measures: { psi: { fail: 'history' } } } } as const;
    const now = of(5000, column('a', bell(5000, 0.6)));
    const judgeAfter = (values: readonly number[]) =>
      judge(learnt, now, before, { history: () => values })[0];
    expect(line(judgeAfter([0.3, 0.2]))).toMatch(
      /^skipped drift\.psi a: 0\.\d+ against month=1; too few earlier runs/,
    );
    expect(judgeAfter([0.3, 0.5, 0.4, 0.35, 0.45])?.status).toBe('pass');
    expect(judgeAfter([0.01, 0.012, 0.009, 0.011, 0.01])?.status).toBe('fail');
  });

  test('of a column that the baseline lacks, or has as text, is not judged', () => {
    const now = of(1000, column('new', bell(1000)), column('a', picks(1000, ['x'])));
    const [psi] = judge(settings, now, before);
    expect(psi?.findings.map(({ status, reason }) => [status, reason])).toEqual([
      ['skipped', 'no baseline'],
      ['skipped', 'no baseline'],
    ]);
  });
});

describe('scores', () => {
  const scores = (values: readonly number[]): Statistics =>
    of(values.length, column('p', values, 'output'));

  test('fail when their mean moves by more than a share of what it was', () => {
    const settings = { scores: { meanChange: { of: 'baseline', limit: 0.1 } } } as const;
    const [mean] = judge(settings, scores(bell(5000, -12)), scores(bell(5000, -10)));
    expect(line(mean)).toMatch(
      /^fail {4}scores\.mean_change p: (19|20)\.?\d* % \(limit 10 %\) against -(9\.9|10)\d* of month=1$/,
    );
    expect(judge(settings, scores(bell(5000, -10.5)), scores(bell(5000, -10)))[0]?.status).toBe(
      'pass',
    );
    const zero = judge(settings, scores(bell(500)), scores(new Array(500).fill(0)));
    expect(zero[0]).toMatchObject({
      status: 'skipped',
      findings: [{ reason: 'the mean was 0: give the limit as a number' }],
    });
  });

  test('fail when their mean moves by more than a number', () => {
    const settings = { scores: { meanChange: { of: 'number', limit: 0.5 } } } as const;
    expect(judge(settings, scores(bell(5000, 0.7)), scores(bell(5000)))[0]?.status).toBe('fail');
    expect(judge(settings, scores(bell(5000, 0.3)), scores(bell(5000)))[0]?.status).toBe('pass');
  });

  test('fail when one lies outside the range, without a baseline', () => {
    const settings = { scores: { range: [0, 1] } } as const;
    const low = judge(settings, scores([0, 0.5, -0.001, 1]), undefined);
    expect(line(low[0])).toBe('fail    scores.range p: -0.001 (limit 0)');
    expect(line(judge(settings, scores([0, 1.5]), undefined)[0])).toBe(
      'fail    scores.range p: 1.5 (limit 1)',
    );
    expect(judge(settings, scores([0, 1]), undefined)[0]?.status).toBe('pass');
    expect(judge(settings, scores([0, Infinity]), undefined)[0]?.status).toBe('fail');
    expect(line(judge(settings, scores([0.5, NaN, NaN]), undefined)[0])).toBe(
      'fail    scores.range p: 2 are NaN',
    );
  });
});

describe('flips', () => {
  const settings = { flips: { max: 0.02 } };
  const judgeFlips = (compared: number, changed: number) =>
    judge(settings, of(1), of(1), { flips: { compared, changed } })[0];

  test('fail above a share of the common keys', () => {
    // Keys are looked up in what was published of their partitions, whatever the baseline is.
    expect(line(judgeFlips(1000, 21))).toBe(
      'fail    flips.max: 2.1 % (limit 2 %) against what was published before',
    );
    expect(judgeFlips(1000, 20)?.status).toBe('pass');
  });

  test('of few common keys are not judged, nor those that were not compared', () => {
    expect(line(judgeFlips(99, 99))).toBe('skipped flips.max: too few common keys (99 of 100)');
    expect(line(judge(settings, of(1), undefined)[0])).toBe('skipped flips.max: no baseline');
  });
});

describe('new categories', () => {
  const settings = { newCategories: { max: 2 } };
  const carriers = (values: readonly string[]): ColumnStatistics =>
    column('carrier', picks(2000, values), 'kept');

  test('fail when more come than allowed, of those that are no chance', () => {
    const before = of(2000, carriers(['a', 'b']));
    const [found] = judge(settings, of(2000, carriers(['a', 'b', 'c', 'd', 'e'])), before);
    expect(line(found)).toBe('fail    new_categories.max carrier: 3 (limit 2) against month=1');
    const rare = column(
      'carrier',
      [...picks(1994, ['a', 'b']), 'c', 'd', 'e', 'f', 'g', 'h'],
      'kept',
    );
    expect(judge(settings, of(2000, rare), before)[0]).toMatchObject({
      status: 'pass',
      findings: [{ measured: 0 }],
    });
  });
});

describe('few rows against many', () => {
  const drift = { drift: { measures: { psi: { fail: 0.2 } } } };
  const airports = Array.from({ length: 100 }, (_, i) => `airport ${i}`);

  test('of a hundred categories that few can have alike raise no alarm', () => {
    const many = of(20_000, column('dest', picks(20_000, airports)));
    for (const rows of [100, 150, 300, 1000]) {
      const [psi] = judge(drift, of(rows, column('dest', picks(rows, airports))), many);
      expect(psi?.status, `${rows} rows: ${line(psi)}`).toBe('pass');
    }
  });

  test('of which half have one of a thousand categories do', () => {
    const ids = Array.from({ length: 1000 }, (_, i) => `id ${i}`);
    const now = of(150, column('id', [...picks(75, ids), ...picks(75, ['id 7'])]));
    const [psi] = judge(drift, now, of(20_000, column('id', picks(20_000, ids))));
    expect(psi?.status, line(psi)).toBe('fail');
  });

  const labels = (rows: number, ones: number) =>
    column(
      'label',
      Array.from({ length: rows }, (_, i) => (i < ones ? 1 : 0)),
      'output',
    );
  const mean = { scores: { meanChange: { of: 'baseline', limit: 0.1 } } } as const;

  test('that lack a rare label are no alarm; many that lack it are', () => {
    const rare = of(20_000, labels(20_000, 100));
    const [few] = judge(mean, of(150, labels(150, 0)), rare);
    expect(few).toMatchObject({ status: 'pass', findings: [{ reason: 'could be chance' }] });
    expect(judge(mean, of(20_000, labels(20_000, 0)), rare)[0]?.status).toBe('fail');
    expect(judge(mean, of(150, labels(150, 9)), rare)[0]?.findings[0]?.p).toBeLessThan(0.01);
  });
});

test('a first run passes, and says that there is no baseline', () => {
  const now = of(
    1000,
    column('a', bell(1000)),
    column('p', bell(1000), 'output'),
    column('k', picks(1000, ['a']), 'kept'),
  );
  const results = judge(DEFAULT_GATES, now, undefined);
  expect(results.map(line)).toEqual([
    'skipped rows.change: no baseline',
    'skipped nulls.max_increase a: no baseline',
    'skipped drift.psi a: no baseline',
    'skipped scores.mean_change p: no baseline',
    'skipped new_categories.max k: no baseline',
  ]);
  expect(verdictOf(results)).toBe('pass');
});

test('of a part of the rows only what can be said of a part is judged', () => {
  const now = of(1000, column('p', bell(1000, 9), 'output'));
  const settings = {
    ...DEFAULT_GATES,
    rows: { min: 5000 },
    scores: { range: [0, 1], meanChange: DEFAULT_GATES.scores!.meanChange },
  } as const;
  const results = judge(settings, now, of(1000, column('p', bell(1000), 'output')), {
    scope: 'part',
  });
  expect(results.map(({ gate }) => gate)).toEqual([
    'nulls.max_increase',
    'scores.range',
    'new_categories.max',
  ]);
});

test('a name from data is shown escaped', () => {
  const [range] = judge(
    { scores: { range: [0, 1] } },
    of(1, column('a\u001b[31m', [2], 'output')),
    undefined,
  );
  expect(line(range)).toBe('fail    scores.range a\\u{1b}[31m: 2 (limit 1)');
});
