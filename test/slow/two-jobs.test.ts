/** An output belongs to one job: another one is refused, and the same one is known again wherever it was moved. */
import { cpSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCase, withoutClosing } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { makeFolder, scoreline } from '../scoreline.js';

const ROWS = (rows: number) => `SELECT i::FLOAT AS a, 1::FLOAT AS b FROM range(${rows}) t(i)`;

/** A job that has published 3 rows, and a function that writes another job file beside its own. */
async function published() {
  const job = makeCase();
  await writeParquet(join(job.input, 'x.parquet'), ROWS(3));
  await writeParquet(join(job.folder, 'us', 'x.parquet'), ROWS(2));
  expect((await job.run()).exit).toBe(0);
  const text = JSON.parse(readFileSync(job.jobFile, 'utf8'));
  const another = (file: string, changes: object): string => {
    const path = join(job.folder, file);
    writeFileSync(path, JSON.stringify({ ...text, ...changes }));
    return path;
  };
  return { job, another };
}

const run = (file: string, ...args: string[]) => scoreline(['run', file, '--quiet', ...args]);

describe('another job in an output', () => {
  test('is refused by its input, by its name, and by its file in one folder', async () => {
    const { job, another } = await published();
    await writeParquet(join(job.input, 'y.parquet'), ROWS(1));
    const others = {
      input: another('us.yaml', { input: { path: 'us' } }),
      name: another('other.yaml', { name: 'other' }),
      file: another('y.yaml', { input: { path: 'in/y.parquet' } }),
    };
    const before = job.manifest();
    for (const file of Object.values(others)) {
      const { exit, stderr } = await run(file);
      expect([exit, withoutClosing(stderr)]).toEqual([
        2,
        expect.stringMatching(
          /^scoreline: output\.path \S+\/out: belongs to job "case" \(\S+\), and this is job "(case|other)" \(\S+\), which would replace .*; give each job an output\.path of its own, or take this one over with --adopt\n$/,
        ),
      ]);
    }
    expect((await scoreline(['plan', others.input])).exit).toBe(2);
    expect(job.manifest()).toBe(before);
    expect((await job.run()).exit).toBe(0);

    expect((await scoreline(['plan', others.input, '--adopt'])).exit).toBe(0);
    expect((await run(others.input, '--adopt')).exit).toBe(0);
    // From then on it is the other's.
    expect((await run(others.input)).exit).toBe(0);
    expect((await job.run()).exit).toBe(2);
  });

  test('is refused in an output of a version that kept no owner: the records say whose it is', async () => {
    const { job, another } = await published();
    const other = another('us.yaml', { input: { path: 'us' } });
    for (const damage of [
      () => rmSync(join(job.output, 'owner.json')),
      () => writeFileSync(join(job.output, 'owner.json'), '{"format":1'),
    ]) {
      damage();
      expect((await run(other)).exit).toBe(2);
      expect((await job.run()).report.outcome).toBe('unchanged');
      expect((await run(other)).exit).toBe(2);
    }
    // Without records, the published name does.
    rmSync(join(job.output, 'owner.json'));
    rmSync(join(job.output, 'runs'), { recursive: true });
    expect((await run(another('other.yaml', { name: 'other' }))).exit).toBe(2);
    expect((await job.run()).exit).toBe(0);
  });

  test('may come where nothing was published: a first run that failed claims nothing', async () => {
    const job = makeCase({ features: ['a', 'none'] });
    await writeParquet(join(job.input, 'x.parquet'), ROWS(3));
    await writeParquet(join(job.folder, 'us', 'x.parquet'), ROWS(2));
    expect((await job.run()).exit).toBe(4);
    job.change({ input: { path: 'us' }, features: ['a', 'b'] });
    expect((await job.run()).exit).toBe(0);
  });
});

describe('the same job', () => {
  test('is known where its file was edited: another part of the same input', async () => {
    const { job } = await published();
    job.change({ input: { path: 'in/*.parquet' } });
    expect((await job.run()).exit).toBe(0);
    expect((await job.run('--set', 'input.path=in/x.parquet')).exit).toBe(0);
  });

  test('is known when all of it, its output, its job file or its input were moved', async () => {
    const { job } = await published();
    const there = join(makeFolder(), 'moved');
    // A copy of all: the old place is still there.
    cpSync(job.folder, there, { recursive: true, verbatimSymlinks: true });
    expect((await run(join(there, 'job.yaml'))).exit).toBe(0);
    renameSync(join(there, 'out'), join(there, 'elsewhere'));
    expect((await run(join(there, 'job.yaml'), '--set', 'output.path=elsewhere')).exit).toBe(0);
    mkdirSync(join(there, 'jobs'));
    const text = JSON.parse(readFileSync(join(there, 'job.yaml'), 'utf8'));
    const changed = { ...text, input: { path: '../in' }, output: { path: '../elsewhere' } };
    writeFileSync(join(there, 'jobs', 'renamed.yaml'), JSON.stringify(changed));
    expect((await run(join(there, 'jobs', 'renamed.yaml'))).exit).toBe(0);
    // Its checkout moves away from the output: the input reads as before, and is no longer where it was.
    const checkout = join(makeFolder(), 'checkout');
    mkdirSync(checkout);
    for (const name of ['in', 'jobs']) renameSync(join(there, name), join(checkout, name));
    const output = `output.path=${join(there, 'elsewhere')}`;
    const moved = join(checkout, 'jobs', 'renamed.yaml');
    expect((await run(moved, '--set', output)).exit).toBe(0);
  });
});
