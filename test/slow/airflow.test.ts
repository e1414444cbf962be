/** The example DAGs in a real Airflow: its scheduler, its tasks, its retries. */
import { type ChildProcess, execFileSync, spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, openSync, readFileSync, writeFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { firstLine } from '../../src/base/errors.js';
import { modelPath } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { makeFolder, ROOT } from '../scoreline.js';
import { makeSite, type Site } from './scheduler-case.js';

const AIRFLOW = 'apache-airflow==3.3.2';
const DAYS = ['2013-06-01', '2013-06-02', '2013-06-03'] as const;

/** A run of a DAG: its tasks by name, each with its state and how often it was tried, and what they handed on. */
interface DagRun {
  readonly run: string;
  readonly day: string;
  readonly state: string;
  readonly tasks: Record<string, readonly [state: string, tries: number]>;
  readonly said: Record<string, unknown>;
}

/** An Airflow of its own. */
interface Airflow {
  readonly site: Site;
  readonly home: string;
  command(...args: string[]): string;
  runs(dag: string): DagRun[];
  stop(): Promise<void>;
}

/** Installs Airflow; gives the reason where no package of it can be had. */
function install(): { readonly bin: string } | { readonly why: string } {
  const folder = makeFolder();
  execFileSync('python3', ['-m', 'venv', folder]);
  const bin = join(folder, 'bin');
  const pip = (...args: string[]) =>
    spawnSync(join(bin, 'python'), ['-m', 'pip', ...args], { encoding: 'utf8' });
  const reached = pip('download', '--quiet', '--no-deps', '--dest', folder, AIRFLOW);
  if (reached.status !== 0)
    return { why: `${AIRFLOW} cannot be downloaded: ${firstLine(reached.stderr)}` };
  const constraints = join(ROOT, 'test/slow/airflow-constraints.txt');
  const { status, stderr } = pip('install', '--quiet', '--no-compile', AIRFLOW, '-c', constraints);
  if (status !== 0) throw new Error(`${AIRFLOW} cannot be installed: ${stderr}`);
  return { bin };
}

/** A port that nothing listens on. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, '127.0.0.1', () => {
      const address = server.address();
      server.close(() =>
        resolve(typeof address === 'object' && address !== null ? address.port : 0),
      );
    });
  });
}

/** The site of the examples, with days of two partitions each; the second is like the first, the third drifted. */
async function makeDays(): Promise<Site> {
  const site = await makeSite();
  const job = {
    name: 'daily',
    input: { path: '../in/daily/{date:yyyy-MM-dd}' },
    model: { path: modelPath('small/linear') },
    features: ['a', 'b'],
    output: { path: '../out/daily' },
    gates: { drift: { psi: 0.2 } },
  };
  writeFileSync(join(site.folder, 'jobs/daily.yaml'), JSON.stringify(job));
  for (const [index, day] of DAYS.entries()) {
    const shift = index === 2 ? 500 : 0;
    for (const part of [1, 2]) {
      const rows = `SELECT (i % 997 + ${shift})::FLOAT AS a, (i % 13)::FLOAT AS b FROM range(${2000 * part}) AS r(i)`;
      await writeParquet(join(site.folder, `in/daily/${day}/part=${part}/x.parquet`), rows);
    }
  }
  return site;
}

/** On the path in place of scoreline: kills one shard of the first day in the middle of its first try. */
const KILLER = (site: Site, program: string): string => `#!/bin/bash
if [[ "$*" == *"--shard 1/2 --date ${DAYS[0]}"* ]] && mkdir ${site.folder}/killed 2>/dev/null; then
  ${program} "$@" &
  until [ -n "$(cat /proc/$!/task/$!/children)" ] || ! kill -0 $!; do sleep 0.01; done
  kill -KILL $!
  wait $!
  exit $?
fi
exec ${program} "$@"
`;

async function start(bin: string): Promise<Airflow> {
  const site = await makeDays();
  const program = `"${process.execPath}" "${ROOT}/bin/scoreline.js"`;
  writeFileSync(join(site.folder, 'bin/scoreline'), KILLER(site, program), { mode: 0o755 });
  const home = makeFolder();
  mkdirSync(join(home, 'dags'));
  for (const name of ['flights_daily', 'flights_hourly']) {
    const dag = readFileSync(join(ROOT, `examples/airflow/${name}.py`), 'utf8')
      .replaceAll('/srv/scoreline', site.folder)
      .replace(
        'catchup=True,',
        'catchup=True, end_date=pendulum.datetime(2013, 6, 3, 12, tz="UTC"),',
      )
      .replace('timedelta(minutes=5)', 'timedelta(seconds=1)');
    writeFileSync(join(home, `dags/${name}.py`), dag);
  }
  const port = await freePort();
  const env = {
    ...process.env,
    PATH: `${join(site.folder, 'bin')}:${bin}:${process.env.PATH}`,
    AIRFLOW_HOME: home,
    AIRFLOW__API__PORT: String(port),
    AIRFLOW__API__HOST: '127.0.0.1',
    AIRFLOW__API__WORKERS: '1',
    AIRFLOW__CORE__EXECUTION_API_SERVER_URL: `http://127.0.0.1:${port}/execution/`,
    AIRFLOW__CORE__LOAD_EXAMPLES: 'False',
    AIRFLOW__CORE__PARALLELISM: '2',
    AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_ALL_ADMINS: 'True',
    AIRFLOW__API_AUTH__JWT_SECRET:
      'a secret for the length of this test, of many characters, and no other use at all',
    AIRFLOW__SCHEDULER__SCHEDULER_HEARTBEAT_SEC: '1',
    AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME: '0.5',
  };
  const airflow = join(bin, 'airflow');
  const command = (...args: string[]): string =>
    execFileSync(airflow, args, { env, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  command('db', 'migrate');
  const services: ChildProcess[] = ['api-server', 'scheduler', 'dag-processor'].map((name) => {
    const log = openSync(join(home, `${name}.log`), 'w');
    return spawn(airflow, [name], { env, detached: true, stdio: ['ignore', log, log] });
  });
  return {
    site,
    home,
    command,
    runs: (dag) => {
      const script = join(ROOT, 'test/slow/airflow.py');
      return JSON.parse(execFileSync('python3', [script, home, dag], { encoding: 'utf8' }));
    },
    stop: async () => {
      for (const signal of ['SIGTERM', 'SIGKILL'] as const) {
        for (const { pid } of services) {
          try {
            process.kill(-pid!, signal);
          } catch {
            // It and all that it started have ended.
          }
        }
        if (signal === 'SIGTERM') await sleep(3000);
      }
    },
  };
}

/** What the services said last: for whoever looks at a failure. */
function logsOf({ home }: Airflow): string {
  return ['api-server', 'scheduler', 'dag-processor']
    .map((name) => `${name}: ${readFileSync(join(home, `${name}.log`), 'utf8').slice(-2000)}`)
    .join('\n');
}

async function until(airflow: Airflow, what: string, holds: () => boolean): Promise<void> {
  const deadline = performance.now() + 300_000;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not in time: ${what}\n${logsOf(airflow)}`);
    await sleep(1000);
  }
}

const isOver = ({ state }: DagRun): boolean => state === 'success' || state === 'failed';

describe('Airflow', () => {
  let airflow: Airflow | undefined;
  let why = '';
  beforeAll(async () => {
    const installed = install();
    if ('why' in installed) {
      why = installed.why;
      console.log(`skipped: ${why}`);
    } else airflow = await start(installed.bin);
  });
  afterAll(async () => {
    await airflow?.stop();
  });

  test('runs three days: a killed shard is tried again, a day without news is skipped, a gate is not tried again', async ({
    skip,
  }) => {
    if (airflow === undefined) return skip(why);
    const { site, command, runs } = airflow;
    // The second day is published before its run.
    const args = ['run', 'jobs/daily.yaml', '--quiet', '--date', DAYS[1]];
    expect(site.run('scoreline', args)).toMatchObject({ exit: 0, stderr: '' });
    await until(airflow, 'the DAG is known', () =>
      command('dags', 'list', '-o', 'json').includes('flights_daily'),
    );
    command('dags', 'unpause', 'flights_daily', '--yes');
    await until(airflow, 'three runs', () => runs('flights_daily').filter(isOver).length === 3);
    const [first, second, third] = runs('flights_daily');

    expect(existsSync(join(site.folder, 'killed'))).toBe(true);
    expect(first).toMatchObject({
      day: DAYS[0],
      state: 'success',
      tasks: {
        plan: ['success', 1],
        'shard[0]': ['success', 1],
        'shard[1]': ['success', 2],
        publish: ['success', 1],
        report: ['success', 1],
      },
      said: {
        plan: ['0/2', '1/2'],
        'shard[1]': { scored: 1, reused: 0 },
        publish: { outcome: 'published', tasks: { scored: 0, reused: 2 } },
        report: expect.stringMatching(/\/report\.html$/),
      },
    });
    expect(readFileSync(String(first?.said.report), 'utf8')).toContain('<html');

    expect(second).toMatchObject({ day: DAYS[1], state: 'success', said: { plan: [] } });
    expect(second?.tasks).toEqual({
      plan: ['success', 1],
      shard: ['skipped', expect.any(Number)],
      publish: ['skipped', 1],
      report: ['skipped', expect.any(Number)],
    });

    expect(third).toMatchObject({ day: DAYS[2], state: 'failed' });
    expect(third?.tasks).toMatchObject({
      'shard[0]': ['success', 1],
      'shard[1]': ['success', 1],
      publish: ['failed', 1],
      report: ['upstream_failed', expect.any(Number)],
    });
    const history = JSON.parse(site.run('scoreline', ['runs', 'out/daily', '--json']).stdout);
    const verdicts = history.map(({ verdict }: { verdict: string }) => verdict);
    expect(verdicts.filter((verdict: string) => verdict === 'staged')).toHaveLength(1);
    // The shard that was killed left no record but that it began.
    expect(verdicts.filter((verdict: string) => verdict === 'unfinished')).toHaveLength(1);
  });

  test('skips an hour without news', async ({ skip }) => {
    if (airflow === undefined) return skip(why);
    const { command, runs } = airflow;
    command('dags', 'unpause', 'flights_hourly', '--yes');
    const over = (count: number) => () => runs('flights_hourly').filter(isOver).length >= count;
    await until(airflow, 'a run', over(1));
    command('dags', 'trigger', 'flights_hourly', '--run-id', 'again');
    await until(airflow, 'another run', over(2));
    const states = runs('flights_hourly').map(({ tasks }) => tasks.score?.[0]);
    // The hour may change meanwhile, and bring a run of its own.
    expect(states.toSorted().slice(-2)).toEqual(['skipped', 'success']);
    expect(new Set(states)).toEqual(new Set(['skipped', 'success']));
  });
});
