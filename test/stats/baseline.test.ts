import { describe, expect, test } from 'vitest';
import { chooseBaseline, type PublishedUnit } from '../../src/stats/baseline.js';
import { LEAST_RUNS, learntLimit } from '../../src/stats/history.js';

const MONTHS: readonly PublishedUnit[] = [1, 2, 3].map((month) => ({
  unit: `month=${month}`,
  date: undefined,
  since: month,
}));

/** Every day of 2013, published day by day. */
const YEAR: readonly PublishedUnit[] = Array.from({ length: 365 }, (_, i) => {
  const date = new Date(Date.UTC(2013, 0, 1 + i)).toISOString().slice(0, 10);
  return { unit: date, date, since: i + 1 };
});

const undated = (...units: string[]) => units.map((unit) => ({ unit, date: undefined }));
const days = (...dates: string[]) => dates.map((date) => ({ unit: date, date }));

describe('auto', () => {
  test('is what the same units held before', () => {
    expect(chooseBaseline({ mode: 'auto' }, undated('month=2', 'month=9'), MONTHS)).toEqual({
      units: ['month=2'],
      label: 'before',
    });
  });

  test('is the last publication where none of the units was published', () => {
    expect(chooseBaseline({ mode: 'auto' }, undated('month=4'), MONTHS)).toEqual({
      units: ['month=3'],
      label: 'snapshot 3',
    });
  });
});

test('previous is all that the last publication brought', () => {
  const published = [...MONTHS, { unit: 'month=4', date: undefined, since: 3 }];
  const choice = chooseBaseline({ mode: 'previous' }, undated('month=1'), published);
  expect(choice.units).toEqual(['month=3', 'month=4']);
});

test.each([
  { mode: 'auto' } as const,
  { mode: 'previous' } as const,
  { mode: 'trailing', count: 3 } as const,
  { mode: 'same-weekday', count: 3 } as const,
])('before the first publication there is none: $mode', (mode) => {
  expect(chooseBaseline(mode, days('2013-06-01'), [])).toEqual({
    units: undefined,
    reason: 'nothing was published before',
  });
});

describe('trailing', () => {
  test('is the last days before the first day covered, in the middle of a year too', () => {
    const choice = chooseBaseline(
      { mode: 'trailing', count: 7 },
      days('2013-06-16', '2013-06-15'),
      YEAR,
    );
    expect(choice.units).toEqual(
      ['08', '09', '10', '11', '12', '13', '14'].map((day) => `2013-06-${day}`),
    );
  });

  test('is fewer days at the beginning, and none on the first', () => {
    const first = (day: string) =>
      chooseBaseline({ mode: 'trailing', count: 7 }, days(day), YEAR).units;
    expect(first('2013-01-03')).toEqual(['2013-01-01', '2013-01-02']);
    expect(first('2013-01-01')).toBeUndefined();
  });

  test('goes by publication where units have no dates, and leaves out those that are covered', () => {
    const choice = chooseBaseline({ mode: 'trailing', count: 2 }, undated('month=3'), MONTHS);
    expect(choice.units).toEqual(['month=1', 'month=2']);
  });
});

describe('same-weekday', () => {
  test('is the last such days before each day of a backfilled year', () => {
    for (const { unit, date } of YEAR) {
      const { units } = chooseBaseline({ mode: 'same-weekday', count: 4 }, [{ unit, date }], YEAR);
      const earlier = [28, 21, 14, 7]
        .map((back) => new Date(Date.parse(date!) - back * 86_400_000).toISOString().slice(0, 10))
        .filter((day) => day >= '2013-01-01');
      expect(units, date).toEqual(earlier.length === 0 ? undefined : earlier);
    }
  });
});

describe('a learnt limit', () => {
  test('is the median and four deviations', () => {
    // The median is 3, the distances from it 2, 1, 0, 1, 2: their median is 1.
    expect(learntLimit([5, 1, 3, 2, 4], 0)).toBeCloseTo(3 + 4 * 1.4826, 12);
    // An even number: the median is 2.75, the distances from it .25, .25, .75, 1.25, 1.75, 97.25.
    expect(learntLimit([1, 2, 3, 4, 100, 2.5], 0)).toBeCloseTo(2.75 + 4 * 1.4826, 12);
  });

  test('is of the last 30 runs', () => {
    const longAgo = new Array(100).fill(9);
    expect(learntLimit([...new Array(30).fill(1), ...longAgo], 0)).toBe(1);
  });

  test('is no less than the least, and takes a number of runs', () => {
    expect(learntLimit([0.01, 0.01, 0.01, 0.01, 0.01], 0.02)).toBe(0.02);
    expect(learntLimit(new Array(LEAST_RUNS - 1).fill(1), 0)).toBeUndefined();
  });
});
