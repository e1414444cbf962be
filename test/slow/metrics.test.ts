/** The metrics of real runs, as the official Python client reads them. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { exactPath, writeParquet } from '../parquet.js';
import { pythonWith } from '../python.js';
import { FIXTURES, ROOT, scoreline } from '../scoreline.js';

/** Prints the samples of a file, each with its metric's type and text, as the official parser has them. */
const READ = `
import json, sys
from prometheus_client.parser import text_string_to_metric_families
samples = []
for family in text_string_to_metric_families(open(sys.argv[1], newline='').read()):
    assert family.documentation
    for sample in family.samples:
        samples.append([sample.name, family.type, sample.labels, str(sample.value)])
print(json.dumps(samples))
`;

type Read = readonly [name: string, type: string, labels: Record<string, string>, value: string];

let python = '';
beforeAll(() => {
  python = pythonWith('schedulers.txt');
});

/** A file of metrics, as the client reads it. */
function metricsIn(path: string) {
  const samples: Read[] = JSON.parse(
    execFileSync(python, ['-c', READ, path], { encoding: 'utf8' }),
  );
  return {
    samples,
    value: (name: string, labels: Record<string, string> = {}): number | undefined => {
      const found = samples.filter(
        ([own, , has]) =>
          own === `scoreline_${name}` && Object.entries(labels).every(([k, v]) => has[k] === v),
      );
      return found.length === 1 ? Number(found[0]![3]) : undefined;
    },
  };
}

const FEATURES = ['month', 'day', 'weekday', 'hour', 'minute', 'dep_delay', 'distance', 'air_time'];
const makeFlights = (): JobCase =>
  makeCase({
    name: 'flights',
    input: { path: 'in', key: 'flight_id', where: 'cancelled = false' },
    model: { path: modelPath('flights') },
    features: [...FEATURES, 'carrier_code', 'origin_code', 'dest_code', 'sched_arr_time'],
    output: { path: 'out', keep: ['flight_id', 'carrier'], columns: { delay_minutes: 'variable' } },
    gates: {
      rows: { min: 1000 },
      drift: { psi: { warn: 0.1, fail: 0.2 }, columns: ['dep_delay', 'distance'] },
    },
    run: { workers: 2 },
  });
const SOURCE = (month: number): string => join(FIXTURES, `flights/month=${month}/flights.parquet`);

test('a run, one without news, one whose gate fails and one that is refused each leave theirs', async () => {
  const job = makeFlights();
  const path = join(job.folder, 'flights.prom');
  cpSync(join(FIXTURES, 'flights/month=1'), join(job.input, 'month=1'), { recursive: true });
  expect((await job.run('--metrics', path)).exit).toBe(0);
  cpSync(join(FIXTURES, 'flights/month=2'), join(job.input, 'month=2'), { recursive: true });
  const second = await job.run('--metrics', path);
  const { ledger } = second.report;
  const published = metricsIn(path);
  expect(
    published.samples.every(([, type, { job }]) => type === 'gauge' && job === 'flights'),
  ).toBe(true);
  expect(published.value('run_exit_code')).toBe(0);
  expect(published.value('run_rows', { state: 'scored' })).toBe(ledger.scored);
  expect(published.value('run_rows', { state: 'filtered' })).toBe(ledger.filtered);
  expect(published.value('run_tasks', { state: 'reused' })).toBe(1);
  expect(published.value('run_rows_per_second')).toBeGreaterThan(0);
  expect(published.value('gate_verdict', { gate: 'drift.psi', column: 'distance' })).toBe(0);
  expect(published.value('gate_verdict', { gate: 'rows.min', column: '' })).toBe(0);
  const ended = published.value('run_end_timestamp_seconds');
  expect(published.value('last_success_timestamp_seconds')).toBe(ended);
  expect(Math.abs(Date.now() / 1000 - (ended ?? 0))).toBeLessThan(60);

  const idle = await job.run('--metrics', path, '--skip-unchanged');
  const unchanged = metricsIn(path);
  expect([idle.exit, unchanged.value('run_exit_code')]).toEqual([99, 99]);
  const success = unchanged.value('last_success_timestamp_seconds');
  expect(success).toBeGreaterThan(ended ?? Number.POSITIVE_INFINITY);

  const select = `SELECT * REPLACE (dep_delay + 60 AS dep_delay) FROM read_parquet(${exactPath(SOURCE(3))}, hive_partitioning = false)`;
  await writeParquet(join(job.input, 'month=3', 'flights.parquet'), select);
  const drifted = await job.run('--metrics', path);
  const failed = metricsIn(path);
  expect([drifted.exit, failed.value('run_exit_code')]).toEqual([3, 3]);
  expect(failed.value('gate_verdict', { gate: 'drift.psi', column: 'dep_delay' })).toBe(2);
  const report = JSON.parse(
    readFileSync(join(job.output, 'runs', drifted.report.runId, 'report.json'), 'utf8'),
  );
  for (const { name, role, change, ignored } of report.columns) {
    const psi = ignored ? undefined : Number(change.psi);
    expect([name, failed.value('drift_psi', { column: name, role })]).toEqual([name, psi]);
  }
  expect(failed.value('last_success_timestamp_seconds')).toBe(success);

  const refused = await job.run('--metrics', path, '--partition', 'month=9');
  const none = metricsIn(path);
  expect([refused.exit, none.value('run_exit_code')]).toEqual([4, 4]);
  expect(none.value('last_success_timestamp_seconds')).toBe(success);
  expect(none.value('gate_verdict', { gate: 'rows.min', column: '' })).toBe(undefined);
  expect(readdirSync(job.folder).filter((name) => name.includes('.prom'))).toEqual([
    'flights.prom',
  ]);
});

test('one that was interrupted leaves its exit code', async () => {
  const job = makeFlights();
  cpSync(join(FIXTURES, 'flights'), job.input, { recursive: true });
  const path = join(job.folder, 'flights.prom');
  const program = join(ROOT, 'bin/scoreline.js');
  const args = [program, 'run', job.jobFile, '--quiet', '--metrics', path];
  const child = spawn(process.execPath, args, { stdio: ['ignore', 'ignore', 'pipe'] });
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const ended = once(child, 'close');
  while (!existsSync(join(job.output, 'runs'))) await sleep(10);
  child.kill('SIGTERM');
  expect([await ended, metricsIn(path).value('run_exit_code')]).toEqual([[143, null], 143]);
  // Whoever gets the mail wants to know why.
  expect(stderr).toBe('interrupted: the same command goes on where this one stopped\n');
});

test('where they can no longer be written the run is done, and says so: 6, or the code of what it met itself', async () => {
  const job = makeFlights();
  cpSync(join(FIXTURES, 'flights/month=1'), join(job.input, 'month=1'), { recursive: true });
  const folder = join(job.folder, 'none');
  const path = join(folder, 'flights.prom');
  // The folder goes while the run is under way.
  const losing = async (...args: string[]) => {
    mkdirSync(folder);
    const running = job.run('--metrics', path, ...args);
    while (existsSync(folder)) {
      await sleep(5);
      if (existsSync(join(job.output, 'tmp')) && readdirSync(join(job.output, 'tmp')).length > 0)
        rmSync(folder, { recursive: true, force: true });
    }
    return running;
  };
  const run = await losing();
  expect([run.exit, run.report.outcome, run.stderr]).toEqual([
    6,
    'published',
    expect.stringMatching(
      /^scoreline: --metrics: cannot write .*: ENOENT; the run itself ended with 0\n$/,
    ),
  ]);
  expect(job.files()).toHaveLength(1);
  const refused = await losing('--partition', 'month=9');
  expect([refused.exit, refused.stderr.trim().split('\n')]).toEqual([
    4,
    [expect.stringContaining('no partition'), expect.stringContaining('--metrics')],
  ]);
});

test('wrong usage leaves the file as it was', async () => {
  const job = makeFlights();
  const path = join(job.folder, 'x.prom');
  const text = join(job.folder, 'x.txt');
  for (const [args, says] of [
    [['--metrics', path, '--date', '2013-06-01'], 'has no {date:…}'],
    [['--metrics', path, '--set', 'input.pth=x'], 'input.pth'],
    [['--metrics', path, '--shard', '0/2'], 'does not go with --shard'],
    [['--metrics', text], 'end with .prom'],
  ] as const) {
    const { exit, stderr } = await job.run(...args);
    expect([exit, stderr]).toEqual([2, expect.stringContaining(says)]);
  }
  expect([existsSync(path), existsSync(text)]).toEqual([false, false]);
});

test('score writes them too', async () => {
  const job = makeCase();
  const path = join(job.folder, 'linear.prom');
  const data = SOURCE(1);
  const run = await scoreline([
    ...['score', modelPath('small/linear'), data],
    ...['-o', job.output, '--features', 'day,hour', '--metrics', path],
  ]);
  expect(run.exit).toBe(0);
  expect(metricsIn(path).value('run_exit_code', { job: 'linear' })).toBe(0);
});
