/** The statistics that tasks leave behind: those of NumPy, whatever the workers and the cuts between tasks. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { parseManifest } from '../../src/plan/manifest.js';
import { StatisticsReader } from '../../src/run/statistics.js';
import { Output } from '../../src/run/store.js';
import { missingRows, type Statistics, sketchRows } from '../../src/stats/column.js';
import { QUANTILES } from '../../src/stats/drift.js';
import { varianceOf } from '../../src/stats/moments.js';
import { quantilesOf } from '../../src/stats/numeric.js';
import { query } from '../parquet.js';
import { FIXTURES, makeFolder, scoreline } from '../scoreline.js';

const FEATURES = [
  'month',
  'day',
  'weekday',
  'hour',
  'minute',
  'dep_delay',
  'distance',
  'air_time',
  'carrier_code',
  'origin_code',
  'dest_code',
  'sched_arr_time',
];

const folder = makeFolder();
// The month is in the folder's name alone.
const JANUARY = `read_parquet('${FIXTURES}/flights/month=1/flights.parquet', hive_partitioning = false)`;

interface Truth {
  readonly rows: number;
  readonly columns: Readonly<
    Record<
      string,
      {
        readonly rows: number;
        readonly missing: number;
        readonly zeros: number;
        readonly min: number;
        readonly max: number;
        readonly mean: number;
        readonly variance: number;
        readonly quantiles: readonly number[];
      }
    >
  >;
  readonly carrier: Readonly<Record<string, number>>;
}

const truth = JSON.parse(readFileSync(join(FIXTURES, 'stats', 'january.json'), 'utf8')) as Truth;

/** Scores January from a folder, and reads the statistics of its one partition. */
async function statisticsOf(input: string, name: string, ...args: string[]): Promise<Statistics> {
  const job = {
    name: 'flights',
    input: { path: input, where: 'cancelled = false' },
    model: { path: join(FIXTURES, 'models', 'flights.onnx') },
    features: FEATURES,
    output: {
      path: join(folder, name),
      keep: ['flight_id', 'carrier'],
      columns: { delay_minutes: 'variable' },
    },
    statistics: ['carrier'],
  };
  const file = join(folder, `${name}.yaml`);
  writeFileSync(file, JSON.stringify(job));
  const run = await scoreline(['run', file, '--quiet', ...args]);
  expect([run.exit, run.stderr]).toEqual([0, '']);
  const output = (await Output.find(join(folder, name)))!;
  const path = output.path('current', 'manifest.json');
  const { units } = parseManifest(readFileSync(path, 'utf8'), path);
  return (await new StatisticsReader(output).ofUnit(Object.values(units)[0]!))!;
}

/** What does not depend on how sums were added up. */
function counts({ rows, columns }: Statistics): unknown {
  return [
    rows,
    columns.map(({ name, role, sketch }) => {
      if (sketch.kind === 'category') return { name, role, ...sketch };
      const { moments, ...rest } = sketch;
      return { name, role, ...rest, count: moments.count };
    }),
  ];
}

let whole: Statistics;

beforeAll(async () => {
  mkdirSync(join(folder, 'whole', 'month=1'), { recursive: true });
  await query(`COPY (FROM ${JANUARY}) TO '${folder}/whole/month=1/a.parquet' (FORMAT parquet)`);
  whole = await statisticsOf(join(folder, 'whole'), 'one', '--workers', '1');
}, 120_000);

test('are those of NumPy: counts exact, mean and variance to 1e-12, quantiles within 0.4 %', () => {
  expect(whole.rows).toBe(truth.rows);
  const numeric = whole.columns.filter(({ sketch }) => sketch.kind === 'numeric');
  expect(numeric.map(({ name, role }) => [name, role])).toEqual([
    ...FEATURES.map((name) => [name, 'feature']),
    ['delay_minutes', 'output'],
  ]);
  for (const { name, sketch } of numeric) {
    if (sketch.kind !== 'numeric') continue;
    const expected = truth.columns[name]!;
    const { min, max, zeros, moments, resolution } = sketch;
    expect({
      name,
      rows: sketchRows(sketch),
      missing: missingRows(sketch),
      zeros,
      min,
      max,
    }).toEqual({
      name,
      rows: expected.rows,
      missing: expected.missing,
      zeros: expected.zeros,
      min: expected.min,
      max: expected.max,
    });
    expect(Math.abs(moments.mean / expected.mean - 1), name).toBeLessThan(1e-12);
    const variance = varianceOf(moments)!;
    expect(Math.abs(variance - expected.variance), name).toBeLessThanOrEqual(
      1e-12 * expected.variance,
    );
    const found = quantilesOf(sketch, QUANTILES);
    const error = resolution === 'exact' ? 0 : 0.004;
    expected.quantiles.forEach((value, i) => {
      expect(Math.abs(found[i]! - value), `${name} ${QUANTILES[i]}`).toBeLessThanOrEqual(
        error * Math.abs(value),
      );
    });
  }
  // The predictions are too many to be counted each: the error of buckets is looked at, too.
  expect(numeric.at(-1)!.sketch).toMatchObject({ resolution: 'bucket' });
});

test('of a kept column that is asked for are exact counts', () => {
  const [carrier, ...others] = whole.columns.filter(({ role }) => role === 'kept');
  expect([carrier?.name, others]).toEqual(['carrier', []]);
  const { sketch } = carrier!;
  if (sketch.kind !== 'category') throw new Error('no texts');
  expect(Object.fromEntries(sketch.texts.map((text, i) => [text, sketch.counts[i]]))).toEqual(
    truth.carrier,
  );
});

test('are the same for every number of workers, and for other cuts between tasks', async () => {
  mkdirSync(join(folder, 'cut', 'month=1'), { recursive: true });
  // Tasks of very different sizes: the second file is too large to share one.
  const cuts = [0, 1, 700, 26_000, 30_000];
  for (let i = 1; i < cuts.length; i++) {
    await query(
      `COPY (FROM ${JANUARY} LIMIT ${cuts[i]! - cuts[i - 1]!} OFFSET ${cuts[i - 1]}) ` +
        `TO '${folder}/cut/month=1/${i}.parquet' (FORMAT parquet)`,
    );
  }
  for (const workers of ['2', '4']) {
    const same = await statisticsOf(join(folder, 'whole'), `w${workers}`, '--workers', workers);
    expect(same).toEqual(whole);
  }
  const cut = await statisticsOf(join(folder, 'cut'), 'cut-out', '--workers', '2');
  expect(counts(cut)).toEqual(counts(whole));
}, 240_000);
