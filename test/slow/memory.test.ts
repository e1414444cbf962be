/** Limits of memory, of time and of descriptors: kept, named, and never taken for the fault of something else. */
import { spawn, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, publishedContents } from '../job-case.js';
import { constant, int, node, part, tensor, writeModel } from '../onnx.js';
import { query, writeParquet } from '../parquet.js';
import { makeFolder, ROOT } from '../scoreline.js';

const PROGRAM = join(ROOT, 'bin', 'scoreline.js');

/** A model that copies each of its rows `times` times before it sums them up. */
function expanding(times: number): string {
  return writeModel({
    inputs: [tensor('x', 'float', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1])],
    constants: [
      constant('times', 'int64', [1], [times]),
      constant('axis', 'int64', [1], [1]),
      constant('first', 'int64', [1], [0]),
    ],
    nodes: [
      node('Shape', ['x'], ['shape']),
      node('Gather', ['shape', 'first'], ['rows']),
      node(
        'Concat',
        ['rows', 'times'],
        ['target'],
        part(5, part(1, 'axis'), int(3, 0), int(20, 2)),
      ),
      node('Expand', ['x', 'target'], ['wide']),
      node('ReduceSum', ['wide', 'axis'], ['y']),
    ],
  });
}

/** The line that says why a command ended: a run that failed says one more of itself. */
function first(stderr: string): string {
  expect(stderr).not.toMatch(/^ {4}at /m);
  return stderr.split('\n', 1)[0] ?? '';
}

/** A model that never ends. */
function endless(): string {
  const body = [
    part(1, node('Identity', ['c'], ['c2'])),
    part(1, node('Identity', ['v'], ['v2'])),
    part(2, 'body'),
    part(11, tensor('i', 'int64', [])),
    part(11, tensor('c', 'bool', [])),
    part(11, tensor('v', 'float', ['N', 1])),
    part(12, tensor('c2', 'bool', [])),
    part(12, tensor('v2', 'float', ['N', 1])),
  ];
  return writeModel({
    inputs: [tensor('x', 'float', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [
      node('Loop', ['', '', 'x'], ['y'], part(5, part(1, 'body'), part(6, ...body), int(20, 5))),
    ],
  });
}

async function caseOf(model: string, run: object): Promise<JobCase> {
  const job = makeCase({ model: { path: model }, features: ['x'], run: { workers: 2, ...run } });
  await writeParquet(join(job.input, 'p.parquet'), 'SELECT i::FLOAT AS x FROM range(3000) t(i)');
  return job;
}

describe('a model that takes more than run.memory', () => {
  test('in a batch is refused, and the message names the batch', async () => {
    const job = await caseOf(expanding(2 ** 20), { memory: '1GB' });
    const { exit, stderr } = await job.run('--quiet');
    expect([exit, first(stderr)]).toEqual([
      5,
      expect.stringMatching(
        /^scoreline: model model\.onnx: a batch of 1024 rows takes too much memory: the worker processes took 1\.\d+ GB, more than run\.memory \(1 GB\); set run\.batch_rows to fewer rows, or raise run\.memory$/,
      ),
    ]);
    job.change({ run: { workers: 2, memory: '1GB', batch_rows: 32 } });
    expect((await job.run('--quiet')).exit).toBe(0);
  });

  test('in its trial run is refused', async () => {
    const job = await caseOf(expanding(2 ** 28), { memory: '1GB' });
    const { exit, stderr } = await job.run('--quiet');
    expect([exit, first(stderr)]).toEqual([
      5,
      expect.stringMatching(
        /^scoreline: model model\.onnx: its trial run on two rows takes too much memory: [^\n]*$/,
      ),
    ]);
  });
});

test('a model that does not end is not said to end its process', async () => {
  const job = await caseOf(endless(), { batch_timeout: 2 });
  const { exit, stderr } = await job.run('--quiet');
  expect([exit, first(stderr)]).toEqual([
    5,
    'scoreline: model model.onnx: its trial run on two rows does not end: no sign of life for 2 s; mend the model, or raise run.batch_timeout',
  ]);
});

test('a worker that is killed from outside while it has the model is the fault of the machine', async () => {
  const job = await caseOf(endless(), {});
  const child = spawn(process.execPath, [PROGRAM, 'run', job.jobFile, '--quiet']);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const killing = setInterval(() => {
    const children = spawnSync('pgrep', ['-P', String(child.pid)], { encoding: 'utf8' }).stdout;
    for (const pid of children.split('\n').filter(Boolean)) {
      try {
        process.kill(Number(pid), 'SIGKILL');
      } catch {
        // It has ended already.
      }
    }
  }, 1000);
  const exit = await new Promise((resolve) => child.on('close', resolve));
  clearInterval(killing);
  expect([exit, first(stderr)]).toEqual([
    6,
    expect.stringMatching(/^scoreline: [^\n]*: the worker process died: it was ended by SIGKILL$/),
  ]);
});

describe('wide files', () => {
  test('a thousand kept columns of text', async () => {
    const names = Array.from({ length: 1000 }, (_, i) => `c${i}`);
    const job = makeCase({
      features: ['a', 'b'],
      output: { path: 'out', keep: names },
      run: { workers: 2, memory: '2GB' },
    });
    const texts = names.map((name) => `'text ' || i AS ${name}`).join(', ');
    await writeParquet(
      join(job.input, 'p.parquet'),
      `SELECT i::FLOAT AS a, i::FLOAT AS b, ${texts} FROM range(2) t(i)`,
    );
    expect(await job.run('--quiet')).toMatchObject({ exit: 0, stderr: '' });
    expect(
      await query(`SELECT c0, c999 FROM read_parquet(${job.published()}) ORDER BY c0`),
    ).toEqual([
      { c0: 'text 0', c999: 'text 0' },
      { c0: 'text 1', c999: 'text 1' },
    ]);
  });

  test('a CSV file of five thousand columns, with a bad record', async () => {
    const job = makeCase({
      output: { path: 'out', keep: ['c0', 'c4999'] },
      quarantine: { max: 1 },
      run: { workers: 2, memory: '4GB' },
    });
    const names = Array.from({ length: 5000 }, (_, i) => `c${i}`);
    const lines = [1, 2, 3, 4, 'x'].map((a) =>
      [a, 1, ...names.map((name) => `${name}-${a}`)].join(),
    );
    writeFileSync(
      join(job.input, 'p.csv'),
      `${[['a', 'b', ...names].join(), ...lines].join('\n')}\n`,
    );
    const { exit, report } = await job.run('--quiet');
    expect([exit, report.ledger]).toEqual([0, { rows: 5, scored: 4, quarantined: 1, filtered: 0 }]);
    expect(
      await query(`SELECT min(c0) AS a, max(c4999) AS b FROM read_parquet(${job.published()})`),
    ).toEqual([{ a: 'c0-1', b: 'c4999-4' }]);
  });
});

test('the published bytes are the same for any memory', async () => {
  const contents = [];
  for (const memory of ['600MB', '8GB']) {
    const job = makeCase({
      output: { path: 'out', keep: ['s', 't', 'l'] },
      run: { workers: 1, memory },
    });
    await writeParquet(
      join(job.input, 'p.parquet'),
      `SELECT i::FLOAT AS a, (i % 7)::FLOAT AS b, md5(i::VARCHAR) || repeat('x', 300) AS s, repeat(md5((i % 9000)::VARCHAR), 8) AS t,
         [i, i + 1, i + 2] AS l FROM range(300000) t(i)`,
    );
    expect(await job.run('--quiet')).toMatchObject({ exit: 0, stderr: '' });
    contents.push(publishedContents(job.output));
  }
  // The job is part of the manifest, by the folder of the case.
  const [small, large] = contents.map(
    (files) => new Map([...files].filter(([name]) => name.startsWith('data/'))),
  );
  expect(small).toEqual(large);
  expect(small?.size).toBeGreaterThan(0);
});

describe('a process that may not have enough', () => {
  const job = makeCase();
  writeFileSync(join(job.input, 'p.csv'), 'a,b\n1,2\n');

  /** Runs the job in a shell with a limit. */
  function limited(limit: string, redirect = ''): { exit: number | null; stderr: string } {
    const output = join(makeFolder(), 'out');
    const command = `${limit} && exec "${process.execPath}" "${PROGRAM}" run "${job.jobFile}" --set "output.path=${output}" ${redirect}`;
    const { status, stderr } = spawnSync('bash', ['-c', command], { encoding: 'utf8' });
    return { exit: status, stderr };
  }

  test.each([20, 24, 32, 40, 64, 80])(
    'of file descriptors (%d) ends with 6 and a line',
    (count) => {
      const { exit, stderr } = limited(`ulimit -n ${count}`, '--quiet');
      expect([exit, first(stderr)]).toEqual([
        6,
        expect.stringMatching(/^scoreline: [^\n]*ulimit -n 1024[^\n]*$/),
      ]);
    },
  );

  test.each([1_000_000, 1_300_000, 1_600_000])(
    'of address space (%d kB) ends well, with 6 and a line, or by its runtime',
    (kilobytes) => {
      const { exit, stderr } = limited(`ulimit -v ${kilobytes}`, '--quiet');
      expect([0, 6, 133, 134]).toContain(exit);
      if (exit === 6) expect(first(stderr)).toMatch(/^scoreline: .*$/);
    },
  );

  test('a full disk behind stdout is a line, and what was published stays', () => {
    const { exit, stderr } = limited('true', '> /dev/full');
    expect(exit).toBe(6);
    expect(stderr.trim().split('\n').at(-1)).toBe(
      'scoreline: cannot write to stdout: ENOSPC; what the command did stays, its output is cut off',
    );
    expect(limited('true', '| head -1').exit).toBe(0);
  });
});

test('an output whose tmp is a link to elsewhere is the fault of the machine', async () => {
  const job = makeCase();
  writeFileSync(join(job.input, 'p.csv'), 'a,b\n1,2\n');
  mkdirSync(job.output);
  writeFileSync(join(job.output, 'scoreline.json'), '{"format":1}');
  symlinkSync(makeFolder(), join(job.output, 'tmp'));
  const { exit, stderr } = await job.run('--quiet');
  expect([exit, first(stderr)]).toEqual([
    6,
    expect.stringMatching(/^scoreline: [^\n]*\/tmp: is a link; [^\n]*$/),
  ]);
  expect(readFileSync(join(job.output, 'scoreline.json'), 'utf8')).toContain('1');
});
