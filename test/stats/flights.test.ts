/** Statistics of the flights: how large they are, and what the gates say of a year. */
import { beforeAll, expect, test } from 'vitest';
import { canonicalJson } from '../../src/base/hash.js';
import type { Statistics } from '../../src/stats/column.js';
import { encodeStatistics } from '../../src/stats/encode.js';
import { DEFAULT_GATES } from '../../src/stats/gate-settings.js';
import { judgeGates, verdictOf } from '../../src/stats/gates.js';
import { type Month, readMonth, statisticsOf } from './flights.js';

let february: Month;
let march: Month;

beforeAll(async () => {
  february = await readMonth(2);
  march = await readMonth(3);
});

/** New planes come every month. */
const SETTINGS = { ...DEFAULT_GATES, newCategories: { max: 5, columns: ['carrier', 'dest'] } };

function verdict(current: Statistics, baseline: Statistics) {
  const results = judgeGates({
    settings: SETTINGS,
    current,
    units: 1,
    baseline: { statistics: baseline, units: 1 },
    flips: undefined,
    history: () => [],
    ignored: [],
    scope: 'all',
  });
  const failed = results
    .filter(({ status }) => status === 'fail')
    .map(({ gate, findings }) => `${gate} ${findings[0]!.column}`);
  return { verdict: verdictOf(results), failed };
}

test('the statistics of a column of a month take a few KB', () => {
  for (const column of statisticsOf(february).columns) {
    const bytes = canonicalJson(encodeStatistics({ rows: 1, columns: [column] })).length;
    // The tail numbers are texts, each once: what they take is themselves.
    expect(bytes, column.name).toBeLessThan(column.name === 'tailnum' ? 50_000 : 8000);
  }
});

/** March with one column changed. */
function changed(name: string, change: (value: number) => number): Statistics {
  const numbers = new Map(march.numbers);
  numbers.set(name, march.numbers.get(name)!.map(change));
  return statisticsOf({ ...march, numbers });
}

test('a month like the one before passes', () => {
  expect(verdict(statisticsOf(march), statisticsOf(february))).toEqual({
    verdict: 'pass',
    failed: [],
  });
});

test.each<[string, string, (value: number) => number, string[]]>([
  ['scaled', 'distance', (value) => value * 1.609, ['drift.psi distance']],
  ['moved', 'hour', (value) => (value + 5) % 24, ['drift.psi hour']],
  ['capped', 'air_time', (value) => Math.min(value, 100), ['drift.psi air_time']],
  [
    'emptied',
    'dep_delay',
    () => Number.NaN,
    ['nulls.max_increase dep_delay', 'drift.psi dep_delay'],
  ],
  ['doubled', 'score', (value) => value * 2, ['drift.psi score', 'scores.mean_change score']],
])('a month with a column %s fails by that column: %s', (_, name, change, failed) => {
  expect(verdict(changed(name, change), statisticsOf(february)).failed).toEqual(failed);
});
