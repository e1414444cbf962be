/** Samples of one month against each other: nothing has changed, and the default gates say so. */
import { describe, expect, test } from 'vitest';
import { CategoryBuilder } from '../../src/stats/category.js';
import type { Statistics } from '../../src/stats/column.js';
import { DEFAULT_GATES, type GateResult } from '../../src/stats/gate-settings.js';
import { judgeGates } from '../../src/stats/gates.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';
import { Random } from '../random.js';
import { readMonth, statisticsOf } from '../stats/flights.js';

const SAMPLES = 500;

/** The default gates but for the number of rows, which these samples have by design. */
const { rows: ROWS, ...SETTINGS } = DEFAULT_GATES;

function alarms(current: Statistics, baseline: Statistics): GateResult[] {
  return judgeGates({
    settings: SETTINGS,
    current,
    units: 1,
    baseline: { statistics: baseline, units: 1 },
    flips: undefined,
    history: () => [],
    ignored: [],
    scope: 'all',
  }).filter(({ status }) => status === 'warn' || status === 'fail');
}

describe.each([1000, 10_000, 100_000])('500 samples of %d rows of a month', (rows) => {
  test('raise an alarm in fewer than 1 % of the cases', async () => {
    const month = await readMonth(1);
    const whole = statisticsOf(month);
    const random = new Random(rows);
    const places = new Int32Array(rows);
    const found = { month: [] as string[], sample: [] as string[] };
    let before: Statistics | undefined;
    let judgements = 0;
    for (let sample = 0; sample < SAMPLES; sample++) {
      for (let i = 0; i < rows; i++) places[i] = random.whole(0, month.rows - 1);
      const current = statisticsOf(month, places);
      if (alarms(current, whole).length > 0) found.month.push(alarms(current, whole)[0]!.gate);
      if (before !== undefined) {
        const [alarm] = alarms(current, before);
        if (alarm !== undefined) found.sample.push(alarm.gate);
      }
      before = current;
      judgements++;
    }
    expect(judgements).toBe(SAMPLES);
    expect(found.month.length, found.month.join()).toBeLessThan(0.01 * SAMPLES);
    expect(found.sample.length, found.sample.join()).toBeLessThan(0.01 * SAMPLES);
  });
});

/** Rows of a made-up job: categories of many kinds, and labels that are rare. */
function drawn(rows: number, random: Random): Statistics {
  const categories = [20, 100, 500, 3000].flatMap((values) =>
    [1, 3].map((power) => {
      const builder = new CategoryBuilder();
      builder.add(
        Array.from({ length: rows }, () => `c${Math.floor(values * random.next() ** power)}`),
      );
      return {
        name: `${values} to the ${power}`,
        role: 'feature',
        sketch: builder.finish(),
      } as const;
    }),
  );
  const labels = [0.001, 0.005, 0.02, 0.1].map((share) => {
    const builder = new NumericBuilder('other');
    const values = Float64Array.from({ length: rows }, () => (random.next() < share ? 1 : 0));
    builder.add(values, { rows });
    return { name: `label of ${share}`, role: 'output', sketch: builder.finish() } as const;
  });
  return { rows, columns: [...categories, ...labels] };
}

describe.each([
  [150, 10_000],
  [1000, 10_000],
  [10_000, 150],
])('500 times %d rows against %d, of the same', (rows, before) => {
  test('raise an alarm in fewer than 1 % of the cases', () => {
    const random = new Random(rows + before);
    const found: string[] = [];
    for (let sample = 0; sample < SAMPLES; sample++) {
      const [alarm] = alarms(drawn(rows, random), drawn(before, random));
      if (alarm !== undefined) found.push(`${alarm.gate} ${alarm.findings[0]?.column}`);
    }
    expect(found.length, found.join()).toBeLessThan(0.01 * SAMPLES);
  });
});

test('numbers of rows that vary by chance raise an alarm in fewer than 1 % of the cases', () => {
  const random = new Random(1);
  /** Rows that arrive by chance, `mean` of them on average. */
  const arrivals = (mean: number): Statistics => {
    let rows = 0;
    for (let time = -Math.log(1 - random.next()); time < mean; rows++)
      time -= Math.log(1 - random.next());
    return { rows, columns: [] };
  };
  for (const mean of [2, 5, 10, 20, 50, 200]) {
    let found = 0;
    for (let sample = 0; sample < 2000; sample++) {
      const results = judgeGates({
        settings: { rows: ROWS! },
        current: arrivals(mean),
        units: 1,
        baseline: { statistics: arrivals(mean), units: 1 },
        flips: undefined,
        history: () => [],
        ignored: [],
        scope: 'all',
      });
      if (results.some(({ status }) => status === 'fail')) found++;
    }
    expect(found, `mean ${mean}`).toBeLessThan(0.01 * 2000);
  }
});
