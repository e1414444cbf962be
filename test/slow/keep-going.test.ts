/** Units that cannot be scored, and what becomes of the others. */
import { readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command, write } from '../history-case.js';
import { contentFiles, type JobCase, makeCase } from '../job-case.js';
import { scoreline } from '../scoreline.js';

/** A job of three partitions: the second lacks a column, the third has a key twice. */
function brokenCase(): JobCase {
  const job = makeCase({ input: { path: 'in', key: 'a' } });
  write(job, 'p=1/x.csv', [1, 2]);
  write(job, 'p=2/x.csv', [3]);
  writeFileSync(join(job.input, 'p=2/x.csv'), 'a\n3\n');
  write(job, 'p=3/x.csv', [4, 4]);
  return job;
}

function mend(job: JobCase): void {
  write(job, 'p=2/x.csv', [3]);
  write(job, 'p=3/x.csv', [4, 5]);
}

/** All that readers see, and the manifest. */
function published(job: JobCase): string[][] {
  const root = join(job.output, 'current');
  return contentFiles(root).map((name) => [name, readFileSync(join(root, name), 'base64')]);
}

describe('units that cannot be scored', () => {
  test('keep all from being published, and are all named, once the others are scored', async () => {
    const job = brokenCase();
    const { exit, stderr, report } = await job.run();
    expect([exit, report.outcome, report.tasks.scored, job.files()]).toEqual([4, 'failed', 2, []]);
    expect(stderr).toMatch(/^scoreline: p=2\/x\.csv: .*"b".*\nscoreline: partition p=3: .*\n$/);
    expect(report.failures).toMatchObject([
      { unit: 'p=2', code: 'input', message: expect.stringContaining('"b"') },
      { unit: 'p=3', code: 'input', message: expect.stringContaining('partition p=3') },
    ]);
  });

  test('leave the others to be published with --keep-going, and the run fails all the same', async () => {
    const job = brokenCase();
    const { exit, stderr, report } = await job.run('--keep-going');
    expect(exit).toBe(4);
    expect(job.files()).toEqual(['p=1/case-00000.parquet']);
    expect(report).toMatchObject({
      outcome: 'partial',
      snapshot: 1,
      manifest: expect.stringMatching(/^[0-9a-f]{64}$/),
      units: { planned: 2, bad: 2 },
      failures: [{ unit: 'p=2' }, { unit: 'p=3' }],
      ledger: { rows: 2, scored: 2 },
    });
    expect(stderr.split('\n').map((line) => line.slice(0, 25))).toEqual([
      'scoreline: p=2/x.csv: has',
      'scoreline: partition p=3:',
      '',
    ]);
    // What is as it should be is published once; the run goes on to fail.
    expect((await job.run('--keep-going')).report).toMatchObject({
      outcome: 'partial',
      snapshot: 1,
      manifest: null,
    });
    expect((await command(job, 'runs')).report).toMatchObject([
      { verdict: 'partial', snapshot: 1, error: expect.stringContaining('p=2/x.csv') },
      { verdict: 'partial', snapshot: 1 },
    ]);
    expect((await command(job, 'verify')).exit).toBe(0);
  });

  test('are published once they are mended: the bytes are those of a run that never failed', async () => {
    const job = brokenCase();
    await job.run('--keep-going');
    mend(job);
    const { report } = await job.run();
    expect(report).toMatchObject({ outcome: 'published', snapshot: 2, failures: [] });
    const undisturbed = brokenCase();
    mend(undisturbed);
    await undisturbed.run();
    expect(published(job)).toEqual(published(undisturbed));
  });

  test('stay published as they were before', async () => {
    const job = brokenCase();
    mend(job);
    await job.run();
    const before = published(job);
    writeFileSync(join(job.input, 'p=2/x.csv'), 'a\n3\n');
    write(job, 'p=1/x.csv', [9]);
    const { exit, report } = await job.run('--keep-going');
    expect([exit, report.outcome, report.snapshot]).toEqual([4, 'partial', 2]);
    const of = (files: string[][], unit: string): string[][] =>
      files.filter(([name]) => name?.startsWith(`data/${unit}/`));
    expect(of(published(job), 'p=2')).toEqual(of(before, 'p=2'));
    expect(of(published(job), 'p=1')).not.toEqual(of(before, 'p=1'));
  });

  test('print what was published on stdout and each failure on stderr', async () => {
    const job = brokenCase();
    const { exit, stdout, stderr } = await scoreline(['run', job.jobFile, '--keep-going']);
    expect([exit, stderr.split('\n')]).toEqual([4, expect.objectContaining({ length: 3 })]);
    expect(stdout).toMatch(/^failed {5}2 partitions, as the errors say/m);
    expect(stdout).toMatch(/^published {2}.*000001 \(snapshot 1\)$/m);
  });

  test('publish nothing when there is no other', async () => {
    const job = brokenCase();
    rmSync(join(job.input, 'p=1'), { recursive: true });
    rmSync(join(job.input, 'p=3'), { recursive: true });
    const { exit, report } = await job.run('--keep-going');
    expect([exit, report.outcome, report.snapshot]).toEqual([4, 'failed', null]);
  });

  test('are named also where the others are staged', async () => {
    const job = brokenCase();
    job.change({ input: { path: 'in', key: 'b' }, quarantine: { max: 0 } });
    writeFileSync(join(job.input, 'p=1/x.csv'), 'a,b\n1,1\nbad,2\n');
    await job.run('--keep-going');
    const { exit, stderr, report } = await job.run('--keep-going');
    expect([exit, report.outcome]).toEqual([3, 'staged']);
    expect(stderr).toMatch(
      /^scoreline: quarantine\.max: [^\n]*; staged in [^\n]*\nscoreline: p=2\//,
    );
  });

  test('are no matter of a shard, which publishes nothing', async () => {
    const job = brokenCase();
    const { exit, stderr } = await job.run('--keep-going', '--shard', '0/2');
    expect([exit, stderr]).toEqual([2, expect.stringContaining('does not go with --shard')]);
  });
});
