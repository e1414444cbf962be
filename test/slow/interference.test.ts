/** What others do to a run while it goes on: the model changes, processes are killed at any moment, files come and go. */
import { type ChildProcess, spawn } from 'node:child_process';
import {
  appendFileSync,
  copyFileSync,
  cpSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test, vi } from 'vitest';
import {
  contentFiles,
  type JobCase,
  listFiles,
  makeCase,
  modelPath,
  withoutClosing,
} from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { Random } from '../random.js';
import { type CommandResult, ROOT } from '../scoreline.js';

// Each test starts several processes; on a busy machine that takes a while.
vi.setConfig({ testTimeout: 90_000 });

const PARTITIONS = 5;
const ROWS = 1500;

/** A job that takes its time (the model gets one row at once), with a model of its own beside it. */
const SLOWLY = {
  model: { path: 'model.onnx' },
  features: ['a', 'b'],
  run: { workers: 2, batch_rows: 1 },
  output: { path: 'out', keep: ['id'] },
};

interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandResult>;
}

function start(job: JobCase, ...args: string[]): Started {
  const started = performance.now();
  const command = [join(ROOT, 'bin', 'scoreline.js'), 'run', job.jobFile, ...args];
  const child = spawn(process.execPath, command, { stdio: ['ignore', 'pipe', 'pipe'] });
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

async function until(what: string, holds: () => boolean, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(5);
  }
}

/** The processes below a process. */
function childrenOf(pid: number | undefined): number[] {
  try {
    const text = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return text.trim().split(' ').filter(Boolean).map(Number);
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

/** How many tasks the runs of a job have finished. */
function tasksDone(job: JobCase): number {
  const runs = join(job.output, 'runs');
  const logs = listFiles(runs).filter((name) => name.endsWith('log.jsonl'));
  const text = logs.map((log) => readFileSync(join(runs, log), 'utf8')).join('');
  return text.split('"type":"task"').length - 1;
}

/** What is published: the manifest and every file of it. */
function contents(job: JobCase): Record<string, string> {
  const root = join(job.output, 'current');
  return Object.fromEntries(
    contentFiles(root).map((name) => [name, readFileSync(join(root, name)).toString('base64')]),
  );
}

/** Every part and score file that the store holds, by its path: what is there is whole, or it would not be there. */
function stored(job: JobCase): string[] {
  return listFiles(join(job.output, 'store')).filter((name) => !name.startsWith('models'));
}

let undisturbed: JobCase;
let wanted: Record<string, string>;
let inStore: string[];

beforeAll(async () => {
  undisturbed = makeCase(SLOWLY);
  copyFileSync(modelPath('small/linear'), join(undisturbed.folder, 'model.onnx'));
  for (let p = 0; p < PARTITIONS; p++) {
    await writeParquet(
      join(undisturbed.input, `p=${p}`, 'x.parquet'),
      `SELECT i AS id, (i % 100)::FLOAT AS a, ${p}::FLOAT AS b FROM range(${ROWS}) t(i)`,
    );
  }
  expect((await undisturbed.run('--quiet')).exit).toBe(0);
  wanted = contents(undisturbed);
  inStore = stored(undisturbed);
  expect(Object.keys(wanted)).toHaveLength(PARTITIONS + 1);
});

/** The slow job in a folder of its own. */
function slowCase(): JobCase {
  const job = makeCase(SLOWLY);
  cpSync(undisturbed.input, job.input, { recursive: true });
  copyFileSync(join(undisturbed.folder, 'model.onnx'), join(job.folder, 'model.onnx'));
  return job;
}

function expectSame(job: JobCase): void {
  const got = contents(job);
  expect(Object.keys(got)).toEqual(Object.keys(wanted));
  for (const [name, content] of Object.entries(got))
    expect(content === wanted[name], name).toBe(true);
  expect(stored(job)).toEqual(inStore);
  expect(readdirSync(join(job.output, 'tmp'))).toEqual([]);
}

describe('a model that changes while a run uses it', () => {
  /** Changes the model of a run under way; the run must not publish what two models said. */
  async function changeUnderway(change: (path: string) => void): Promise<CommandResult> {
    const job = slowCase();
    const run = start(job, '--workers', '1', '--quiet');
    await until('one task is done', () => tasksDone(job) >= 1);
    change(join(job.folder, 'model.onnx'));
    const result = await run.ended;
    expect(result.stderr).not.toMatch(/bug:|\n\s+at /);
    expect(existsSync(join(job.output, 'current'))).toBe(false);
    // With the model back, the run that follows publishes what one run would have.
    rmSync(join(job.folder, 'model.onnx'), { force: true });
    copyFileSync(modelPath('small/linear'), join(job.folder, 'model.onnx'));
    expect((await job.run('--quiet')).exit).toBe(0);
    expectSame(job);
    return result;
  }

  const line = 'scoreline: model model.onnx: changed during the run; run again\n';

  test('by another in its place: exit 8, nothing published', async () => {
    const result = await changeUnderway((path) => {
      copyFileSync(modelPath('small/multi'), `${path}.new`);
      renameSync(`${path}.new`, path);
    });
    expect(result).toMatchObject({ exit: 8, stderr: line });
  });

  test('by being written to: exit 8, nothing published', async () => {
    const result = await changeUnderway((path) => appendFileSync(path, 'x'));
    expect(result).toMatchObject({ exit: 8, stderr: line });
  });

  test('by being removed: exit 8, nothing published', async () => {
    const result = await changeUnderway((path) => rmSync(path));
    expect(result.exit).toBe(8);
    expect(result.stderr).toMatch(/^scoreline: model model\.onnx: .*\n$/);
  });

  test('in its external data alone: exit 8, nothing published', async () => {
    const job = makeCase({
      ...SLOWLY,
      model: { path: 'external.onnx' },
      features: ['a', 'b', 'id', 'p'],
    });
    cpSync(undisturbed.input, job.input, { recursive: true });
    for (const name of ['external.onnx', 'external.onnx.data'])
      copyFileSync(join(modelPath('small/linear'), '..', name), join(job.folder, name));
    const run = start(job, '--workers', '1', '--quiet');
    await until('one task is done', () => tasksDone(job) >= 1);
    appendFileSync(join(job.folder, 'external.onnx.data'), 'x');
    const result = await run.ended;
    expect(result.exit).toBe(8);
    expect(result.stderr).toMatch(/^scoreline: model external\.onnx: .*run again\n$/);
    expect(existsSync(join(job.output, 'current'))).toBe(false);
  });
});

describe('a run that is killed at any moment, again and again', () => {
  test('comes to the bytes of an undisturbed run, and leaves no process', async () => {
    const job = slowCase();
    const random = new Random(20130601);
    const left: number[] = [];
    for (let attempt = 0; attempt < 8; attempt++) {
      const run = start(job, '--quiet');
      // From before the output is there to after the last task is done.
      await sleep(random.whole(20, 250 + attempt * 250));
      left.push(...childrenOf(run.child.pid));
      run.child.kill('SIGKILL');
      await run.ended;
    }
    await until('the workers are gone', () => !left.some(isRunning), 3000);
    const last = await job.run('--quiet');
    expect(last).toMatchObject({ exit: 0, stderr: '' });
    expectSame(job);
  });

  test('in the very moment of its end: `current` names a whole snapshot or nothing', async () => {
    const job = slowCase();
    expect((await job.run('--quiet')).exit).toBe(0);
    for (let i = 0; i < 4; i++) {
      rmSync(join(job.output, 'snapshots'), { recursive: true });
      rmSync(join(job.output, 'current'));
      // Every part is there: the run does nothing but publish.
      const run = start(job, '--quiet');
      await until('it publishes', () => readdirSync(join(job.output, 'tmp')).length > 0);
      await sleep(i * 40);
      run.child.kill('SIGKILL');
      await run.ended;
      if (existsSync(join(job.output, 'current'))) expect(contents(job)).toEqual(wanted);
      expect(await job.run('--quiet')).toMatchObject({ exit: 0, report: { snapshot: 1 } });
      expectSame(job);
    }
  });

  test('while it makes its output: what is left of the marker keeps no later run out', async () => {
    const job = slowCase();
    expect((await job.run('--quiet')).exit).toBe(0);
    rmSync(job.output, { recursive: true });
    cpSync(undisturbed.output, job.output, {
      recursive: true,
      filter: (path) => path === undisturbed.output,
    });
    writeFileSync(join(job.output, 'scoreline.json.4711.k3f9.tmp'), '{"for');
    expect(await job.run('--quiet')).toMatchObject({ exit: 0, stderr: '' });
    expect(contents(job)).toEqual(wanted);
  });
});

describe('workers that are killed', () => {
  test('all of them, twice, while they score: they are replaced, and the bytes are the same', async () => {
    const job = slowCase();
    const run = start(job);
    for (const tasks of [1, 3]) {
      await until('tasks are done', () => tasksDone(job) >= tasks);
      for (const worker of childrenOf(run.child.pid)) process.kill(worker, 'SIGKILL');
    }
    const result = await run.ended;
    expect(result.exit).toBe(0);
    expect(result.stderr).toMatch(/^task p=\d#0 is tried again: it was ended by SIGKILL$/m);
    expectSame(job);
  });

  test('while they describe the file or the model: neither is blamed', async () => {
    const job = slowCase();
    const ends: unknown[] = [];
    for (const delay of [0, 100, 200, 400, 600]) {
      rmSync(job.output, { recursive: true, force: true });
      const run = start(job, '--workers', '1', '--quiet', '--set', 'input.path=in/p=1');
      await until('a worker runs', () => childrenOf(run.child.pid).length > 0);
      await sleep(delay);
      for (const worker of childrenOf(run.child.pid)) process.kill(worker, 'SIGKILL');
      const { exit, stderr } = await run.ended;
      ends.push({ delay, exit, stderr });
    }
    // The kernel kills like this when memory runs out: to try again is right, and may be left to the scheduler.
    const blamed = ends.filter((end) => !/"exit":[06],/.test(JSON.stringify(end)));
    expect(blamed).toEqual([]);
  });
});

describe('files that come while a run goes on', () => {
  test('are not part of it, and the next run adds them alone', async () => {
    const job = slowCase();
    const run = start(job, '--workers', '1', '--quiet');
    await until('one task is done', () => tasksDone(job) >= 1);
    await writeParquet(
      join(job.input, 'p=9', 'x.parquet'),
      'SELECT 1 AS id, 2::FLOAT AS a, 3::FLOAT AS b',
    );
    expect((await run.ended).exit).toBe(0);
    expectSame(job);
    expect((await job.run('--quiet')).report).toMatchObject({
      outcome: 'published',
      snapshot: 2,
      tasks: { scored: 1, reused: PARTITIONS },
      ledger: { rows: PARTITIONS * ROWS + 1 },
    });
    expect(await query(`SELECT y FROM read_parquet(${job.published()}) WHERE p = 9`)).toEqual([
      { y: 14 },
    ]);
  });
});

describe('one flipped bit in the footer of the only file', () => {
  test('never ends in a crash, a hang or a wrong number of rows', async () => {
    const job = makeCase({ quarantine: { max: '100%' } });
    const file = join(job.input, 'x.parquet');
    await writeParquet(file, 'SELECT i::FLOAT AS a, i::FLOAT AS b FROM range(100) t(i)');
    const whole = readFileSync(file);
    const footer = whole.readUInt32LE(whole.length - 8);
    const random = new Random(7);
    for (let i = 0; i < 10; i++) {
      const at = whole.length - 8 - footer + random.whole(0, footer + 7);
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << random.whole(0, 7);
      writeFileSync(file, flipped);
      const { exit, stderr, ms, report } = await job.run('--quiet');
      expect({ at, exit, stderr }).toMatchObject({ exit: expect.toBeOneOf([0, 4]) });
      expect(ms).toBeLessThan(10_000);
      if (exit === 0) expect(report.ledger).toMatchObject({ rows: 100 });
      else expect(stderr).toMatch(/^scoreline: x\.parquet: /);
    }
  });
});
