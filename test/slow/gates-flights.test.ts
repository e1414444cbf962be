/** Gates on a year of real flights: a drifted month, and a year of days of which each has those before it as its baseline. */
import { cpSync, existsSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { columns, exactPath, query, writeParquet } from '../parquet.js';
import { FIXTURES, scoreline } from '../scoreline.js';

const FEATURES = ['month', 'day', 'weekday', 'hour', 'minute', 'dep_delay', 'distance', 'air_time'];
const JOB = {
  name: 'flights',
  model: { path: modelPath('flights') },
  features: [...FEATURES, 'carrier_code', 'origin_code', 'dest_code', 'sched_arr_time'],
  output: { path: 'out', keep: ['flight_id', 'carrier'], columns: { delay_minutes: 'variable' } },
  run: { workers: 2 },
};
const YEAR = `read_parquet(${exactPath(join(FIXTURES, 'flights')).slice(0, -1)}/*/*.parquet', hive_partitioning = true)`;

describe('months of flights', () => {
  const WATCHED = ['dep_delay', 'delay_minutes', 'distance', 'carrier'];

  test('that are like those before pass; one whose delays were counted from another clock is staged', async () => {
    const job = makeCase({
      ...JOB,
      input: { path: 'in', key: 'flight_id', where: 'cancelled = false' },
      gates: {
        rows: { min: 1000, change: '30%' },
        nulls: { max_increase: '2%' },
        drift: { psi: { warn: 0.1, fail: 0.2 }, columns: WATCHED },
        scores: { mean_change: 15 },
        new_categories: { max: 2, columns: ['carrier'] },
      },
    });
    for (const month of [1, 2, 3]) {
      cpSync(join(FIXTURES, `flights/month=${month}`), join(job.input, `month=${month}`), {
        recursive: true,
      });
      const like = await job.run();
      expect([month, like.exit, like.report.outcome]).toEqual([month, 0, 'published']);
    }
    const before = job.manifest();
    const april = join(job.input, 'month=4', 'flights.parquet');
    const source = exactPath(join(FIXTURES, 'flights/month=4/flights.parquet'));
    // Whoever wrote it took local time for UTC: every departure is an hour late.
    const select = `SELECT * REPLACE (dep_delay + 60 AS dep_delay) FROM read_parquet(${source}, hive_partitioning = false)`;
    await writeParquet(april, select);
    const drifted = await job.run();
    expect([drifted.exit, drifted.report.outcome]).toEqual([3, 'staged']);
    expect(drifted.stderr).toMatch(/drift\.psi dep_delay: [\d.]+ \(limit 0\.2\)/);
    expect(drifted.stderr).toMatch(/scores\.mean_change delay_minutes/);
    expect(job.manifest()).toBe(before);
    const { runId } = drifted.report;
    const because = ['--because', 'they do count in UTC now'];
    const published = await scoreline(['publish', job.output, runId, ...because]);
    expect(published.exit).toBe(0);
    expect(Object.keys(JSON.parse(job.manifest()).units)).toContain('month=4');
    const history = await scoreline(['runs', job.output]);
    expect(history.stdout).toContain('because they do count in UTC now');
  });
});

/** The days of the year, each with its flights and their departure delays, sorted. */
interface Day {
  readonly date: string;
  readonly rows: number;
  readonly delays: Float64Array;
}

/** Kolmogorov and Smirnov's distance of two sorted samples, by walking along both. */
function ksOf(a: Float64Array, b: Float64Array): number {
  let [i, j, most] = [0, 0, 0];
  while (i < a.length && j < b.length) {
    const value = Math.min(a[i]!, b[j]!);
    while (i < a.length && a[i]! === value) i++;
    while (j < b.length && b[j]! === value) j++;
    most = Math.max(most, Math.abs(i / a.length - j / b.length));
  }
  return most;
}

describe('a backfilled year of days', () => {
  let job: JobCase;
  const days: Day[] = [];
  /** Each into an output of its own: what is published already is not judged again. */
  const run = (baseline: object, gates: object) => {
    const path = `out/${Object.keys(baseline).join()}`;
    job.change({ baseline, gates, output: { ...JOB.output, path } });
    return job.run('--from', '2013-01-01', '--to', '2013-12-31');
  };
  /** The day that is farthest from its baseline, by a measure of one's own. */
  const worstOf = (
    baselineOf: (index: number) => readonly Day[],
    measure: (day: Day, baseline: readonly Day[]) => number,
  ): { readonly date: string; readonly measured: number } => {
    const measured = days.flatMap((day, index) => {
      const baseline = baselineOf(index);
      return baseline.length === 0 ? [] : [{ date: day.date, measured: measure(day, baseline) }];
    });
    return measured.reduce((worst, one) => (one.measured > worst.measured ? one : worst));
  };
  const trailing = (index: number): Day[] => days.slice(Math.max(0, index - 28), index);
  const sameWeekday = (index: number): Day[] =>
    [1, 2, 3, 4, 5, 6, 7, 8].flatMap((weeks) => days[index - 7 * weeks] ?? []);
  const ks = (day: Day, baseline: readonly Day[]): number =>
    ksOf(day.delays, Float64Array.from(baseline.flatMap(({ delays }) => [...delays])).sort());

  beforeAll(async () => {
    job = makeCase({
      ...JOB,
      input: { path: 'in/{date:yyyy-MM-dd}.parquet', key: 'flight_id', where: 'cancelled = false' },
    });
    const dates = await query(
      `SELECT DISTINCT printf('2013-%02d-%02d', month, day) AS date, month, day FROM ${YEAR} ORDER BY date`,
    );
    for (const { date, month, day } of dates) {
      const own = `FROM ${YEAR} WHERE month = ${String(month)} AND day = ${String(day)}`;
      const path = join(job.input, `${String(date)}.parquet`);
      await writeParquet(path, `SELECT * REPLACE (month::INTEGER AS month) ${own}`);
      const flown = await columns(
        `SELECT dep_delay FROM read_parquet(${exactPath(path)}, hive_partitioning = false) WHERE NOT cancelled`,
      );
      const delays = (flown.dep_delay ?? []).filter((delay) => delay !== null);
      const sorted = Float64Array.from(delays.map(Number)).sort();
      days.push({ date: String(date), rows: flown.dep_delay?.length ?? 0, delays: sorted });
    }
    expect(days).toHaveLength(365);
  });

  test('is judged day by day against the days before; the day of the blizzard has too few flights', async () => {
    const worst = worstOf(trailing, ({ rows }, baseline) => {
      const mean = baseline.reduce((sum, day) => sum + day.rows, 0) / baseline.length;
      return Math.abs(rows / mean - 1);
    });
    // The airports of New York were closed.
    expect(worst.date).toBe('2013-02-09');
    const stopped = await run({ trailing: 28 }, { rows: { change: '60%' } });
    const percent = (100 * worst.measured).toPrecision(3);
    expect([stopped.exit, stopped.stderr]).toEqual([
      3,
      expect.stringMatching(
        new RegExp(`rows\\.change: ${percent} % .* the last 28 before, on 2013-02-09`),
      ),
    ]);
    expect(existsSync(join(job.output, 'trailing/current'))).toBe(false);
  });

  test.each([
    ['the days before', { trailing: 28 }, trailing],
    ['the same day of the week', { 'same-weekday': 8 }, sameWeekday],
  ] as const)(
    'is measured against %s as one would by hand, and published when every day is within its limit',
    async (_, baseline, baselineOf) => {
      const worst = worstOf(baselineOf, ks);
      const columns = ['dep_delay'];
      const limit = Number(worst.measured.toFixed(3)) - 0.001;
      const stopped = await run(baseline, { drift: { ks: limit, columns } });
      const said = /drift\.ks dep_delay: ([\d.]+) .*, on ([\d-]+); staged/.exec(stopped.stderr);
      expect([stopped.exit, said?.[2]]).toEqual([3, worst.date]);
      expect(Number(said?.[1])).toBeCloseTo(worst.measured, 3);
      const whole = await run(baseline, { drift: { ks: limit + 0.002, columns } });
      expect([whole.exit, whole.report.verdict]).toEqual([0, 'pass']);
    },
  );
});
