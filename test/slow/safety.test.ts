/** What is killed, hangs, is interrupted, runs twice at once, or has its input changed under it: nothing is lost or left behind. */
import { type ChildProcess, spawn } from 'node:child_process';
import { cpSync, existsSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  contentFiles,
  type JobCase,
  listFiles,
  makeCase,
  modelPath,
  withoutClosing,
} from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { type CommandResult, ROOT } from '../scoreline.js';

const PARTITIONS = 6;

/** A job that takes its time: the model gets one row at once. */
const SLOWLY = { run: { workers: 2, batch_rows: 1 }, output: { path: 'out', keep: ['id'] } };

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandResult>;
}

/** Starts a run; as the head of a process group, as a shell would. */
function start(job: JobCase, ...args: string[]): Started {
  const started = performance.now();
  const command = [join(ROOT, 'bin', 'scoreline.js'), 'run', job.jobFile, ...args];
  const child = spawn(process.execPath, command, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const output = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      output[name] += text;
    });
  }
  const ended = new Promise<CommandResult>((resolve) => {
    child.on('close', (exit) =>
      resolve({
        exit,
        stdout: output.stdout,
        stderr: withoutClosing(output.stderr),
        ms: performance.now() - started,
      }),
    );
  });
  return { child, ended };
}

/** Waits until something holds. */
async function until(what: string, holds: () => boolean, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(10);
  }
}

/** The processes that a process has started and that still run. */
function workersOf({ child }: Started): number[] {
  try {
    const path = `/proc/${child.pid}/task/${child.pid}/children`;
    return readFileSync(path, 'utf8').trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

/** Whether a process runs: one that has ended but was not waited for does not. */
function isRunning(pid: number): boolean {
  try {
    return !/\) Z /.test(readFileSync(`/proc/${pid}/stat`, 'utf8'));
  } catch {
    return false;
  }
}

/** How many events of a type the runs of a job have logged. */
function events(job: JobCase, type: string): number {
  const logs = listFiles(join(job.output, 'runs')).filter((name) => name.endsWith('log.jsonl'));
  const lines = logs.flatMap((log) =>
    readFileSync(join(job.output, 'runs', log), 'utf8').split('\n'),
  );
  return lines.filter((line) => line.includes(`"type":"${type}"`)).length;
}

function contents(job: JobCase): Record<string, string> {
  const root = join(job.output, 'current');
  return Object.fromEntries(
    contentFiles(root).map((name) => [name, readFileSync(join(root, name)).toString('base64')]),
  );
}

let undisturbed: JobCase;
let wanted: Record<string, string>;

beforeAll(async () => {
  undisturbed = makeCase(SLOWLY);
  for (let p = 0; p < PARTITIONS; p++) {
    await writeParquet(
      join(undisturbed.input, `p=${p}`, 'x.parquet'),
      `SELECT i AS id, (i % 100)::FLOAT AS a, ${p}::FLOAT AS b FROM range(2000) t(i)`,
    );
  }
  expect((await undisturbed.run('--quiet')).exit).toBe(0);
  wanted = contents(undisturbed);
  expect(Object.keys(wanted)).toHaveLength(PARTITIONS + 1);
});

/** The slow job in a folder of its own. */
function slowCase(): JobCase {
  const job = makeCase(SLOWLY);
  cpSync(undisturbed.input, job.input, { recursive: true });
  return job;
}

/** Checks that the next run finishes what was begun, to the bytes of the undisturbed run. */
async function expectFinish(job: JobCase): Promise<void> {
  const result = await job.run('--quiet');
  expect(result).toMatchObject({
    exit: 0,
    stderr: '',
    report: { outcome: 'published', snapshot: 1 },
  });
  expect(result.report.tasks.reused).toBeGreaterThan(0);
  expect(result.report.tasks.scored).toBeGreaterThan(0);
  expectSame(job);
}

function expectSame(job: JobCase): void {
  expect(Object.keys(contents(job))).toEqual(Object.keys(wanted));
  for (const [name, content] of Object.entries(contents(job)))
    expect(content === wanted[name], name).toBe(true);
  expect(readdirSync(join(job.output, 'tmp'))).toEqual([]);
}

/** A folder whose name must not reach a terminal as it is. */
const BUSY = 'p=2\u001b[31m';

/** Makes a job one of whose two partitions keeps the model busy for hours. */
async function hangingCase(timeoutS: number): Promise<JobCase> {
  const job = makeCase({
    model: { path: modelPath('small/slow') },
    features: ['x'],
    run: { workers: 2, batch_timeout: timeoutS },
  });
  await writeParquet(
    join(job.input, 'p=1', 'x.parquet'),
    'SELECT i::FLOAT AS x FROM range(10) t(i)',
  );
  await writeParquet(join(job.input, BUSY, 'x.parquet'), 'SELECT 2e6::FLOAT AS x');
  return job;
}

describe('a run that is killed', () => {
  test('leaves no worker, and the next one finishes to the same bytes', async () => {
    const job = slowCase();
    const run = start(job);
    await until('two tasks are done', () => events(job, 'task') >= 2);
    const workers = workersOf(run);
    expect(workers).toHaveLength(2);
    run.child.kill('SIGKILL');
    await until('the workers are gone', () => !workers.some(isRunning), 2000);
    await run.ended;
    expect(existsSync(join(job.output, 'current'))).toBe(false);
    expect(readdirSync(join(job.output, 'tmp'))).toHaveLength(1);
    await expectFinish(job);
  });

  test('leaves no worker behind that is deep in the model', async () => {
    const job = await hangingCase(300);
    const run = start(job);
    await until('one task is done', () => events(job, 'task') === 1);
    await until('both workers run', () => workersOf(run).length === 2);
    await sleep(500);
    const workers = workersOf(run);
    expect(workers).toHaveLength(2);
    run.child.kill('SIGKILL');
    await until('the workers are gone', () => !workers.some(isRunning), 2000);
    await run.ended;
  });
});

describe('a worker that is killed', () => {
  test('is replaced, and its task is done after all, to the same bytes', async () => {
    const job = slowCase();
    const run = start(job);
    await until('one task is done', () => events(job, 'task') >= 1);
    const [worker] = workersOf(run);
    process.kill(worker!, 'SIGKILL');
    const result = await run.ended;
    expect(result.exit).toBe(0);
    expect(result.stderr).toMatch(/^task p=\d#0 is tried again: it was ended by SIGKILL$/m);
    // As when memory runs out: fewer of them may have enough.
    expect(result.stderr).toMatch(/^a worker was killed: going on with 1$/m);
    expectSame(job);
  });
});

describe('a run that is interrupted', () => {
  test('ends with 143 or 130 once its running tasks are done, says so, and goes on where it stopped', async () => {
    const job = slowCase();
    const terminated = start(job, '--workers', '1');
    await until('one task is done', () => events(job, 'task') >= 1);
    terminated.child.kill('SIGTERM');
    const first = await terminated.ended;
    expect(first).toMatchObject({ exit: 143, stdout: '' });
    expect(first.stderr).toMatch(/^interrupted: the same command goes on where this one stopped$/m);
    const before = events(job, 'task');
    // The task that ran when the signal came was allowed to end.
    expect(before).toBeGreaterThanOrEqual(2);
    const interrupted = start(job, '--workers', '1');
    await until('one more task is done', () => events(job, 'task') > before);
    const workers = workersOf(interrupted);
    // As Ctrl-C does: to all of the group, the workers among them.
    process.kill(-interrupted.child.pid!, 'SIGINT');
    expect(await interrupted.ended).toMatchObject({ exit: 130, stdout: '' });
    expect(workers.filter(isRunning)).toEqual([]);
    expect(existsSync(join(job.output, 'current'))).toBe(false);
    await expectFinish(job);
  });

  test('publishes nothing, even where its last task ended in time', async () => {
    const job = slowCase();
    const run = start(job, '--workers', '1');
    await until('all but one task are done', () => events(job, 'task') >= PARTITIONS - 1);
    run.child.kill('SIGTERM');
    expect(await run.ended).toMatchObject({ exit: 143, stdout: '' });
    expect(events(job, 'task')).toBe(PARTITIONS);
    expect(existsSync(join(job.output, 'current'))).toBe(false);
    expect(await job.run('--quiet')).toMatchObject({
      exit: 0,
      report: { outcome: 'published', tasks: { reused: PARTITIONS, scored: 0 } },
    });
    expectSame(job);
  });

  test.each([
    ['when the grace period is over', ['--set', 'run.grace=0.5'], 1],
    ['with the second signal', [], 2],
  ])('ends even where the model is busy: %s', async (_when, args, signals) => {
    const job = await hangingCase(300);
    const run = start(job, ...args);
    await until('one task is done', () => events(job, 'task') === 1);
    await sleep(500);
    const workers = workersOf(run);
    const from = performance.now();
    for (let signal = 0; signal < signals; signal++) {
      run.child.kill('SIGTERM');
      await sleep(300);
    }
    expect((await run.ended).exit).toBe(143);
    expect(performance.now() - from).toBeLessThan(2500);
    await until('the workers are gone', () => workers.filter(isRunning).length === 0);
  });
});

describe('two runs at once into one output', () => {
  test('both end well, with one snapshot of the right bytes', async () => {
    const job = slowCase();
    const runs = [start(job, '--quiet'), start(job, '--quiet')];
    for (const { exit, stderr } of await Promise.all(runs.map(({ ended }) => ended))) {
      expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
    }
    expectSame(job);
    expect(readdirSync(join(job.output, 'snapshots'))).toEqual(['000001']);
  });
});

describe('input that changes while it is scored', () => {
  test('ends the run with 8, naming the file, and the next run takes what is there then', async () => {
    const job = slowCase();
    const last = join(job.input, `p=${PARTITIONS - 1}`, 'x.parquet');
    const changed = start(job, '--workers', '1', '--quiet');
    await until('one task is done', () => events(job, 'task') >= 1);
    await writeParquet(last, 'SELECT 1 AS id, 5::FLOAT AS a, 7::FLOAT AS b');
    const result = await changed.ended;
    expect(result.exit).toBe(8);
    expect(result.stderr).toBe('scoreline: p=5/x.parquet: changed while it was read; run again\n');
    const removed = start(job, '--workers', '1', '--quiet');
    await until('the plan is made', () => events(job, 'planned') === 2);
    rmSync(last);
    expect(await removed.ended).toMatchObject({
      exit: 8,
      stderr: 'scoreline: p=5/x.parquet: removed while it was read; run again\n',
    });
    expect(existsSync(join(job.output, 'current'))).toBe(false);
    await writeParquet(last, 'SELECT 1 AS id, 6::FLOAT AS a, 7::FLOAT AS b');
    expect((await job.run()).report).toMatchObject({
      outcome: 'published',
      ledger: { rows: 2000 * (PARTITIONS - 1) + 1 },
    });
    expect(await query(`SELECT id, y FROM read_parquet(${job.published()}) WHERE p = 5`)).toEqual([
      { id: '1', y: 34 },
    ]);
  });
});
