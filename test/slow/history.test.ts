/** What a person does with an output after its runs. */
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command, write } from '../history-case.js';
import { type JobCase, makeCase } from '../job-case.js';
import { makeFolder, scoreline } from '../scoreline.js';

describe('scoreline runs', () => {
  test('lists what was published, unchanged, and failed, the newest last', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1, 2]);
    await job.run();
    await job.run();
    writeFileSync(join(job.input, 'y.csv'), 'a\n1\n');
    expect((await job.run()).exit).toBe(4);
    const { exit, report } = await command(job, 'runs');
    expect(exit).toBe(0);
    expect(report).toMatchObject([
      { command: 'run', verdict: 'published', rows: 2, snapshot: 1 },
      { verdict: 'unchanged', rows: 2, snapshot: 1 },
      { verdict: 'failed', rows: 0, snapshot: 1, error: expect.stringMatching(/^y\.csv: /) },
    ]);
    const { stdout } = await scoreline(['runs', job.output]);
    expect(stdout.split('\n')[0]).toMatch(
      /^run +when \(UTC\) +what +verdict +rows +scored +quarantined +seconds/,
    );
    expect(stdout.split('\n')).toHaveLength(5);
  });

  test('escapes what a record holds for the terminal', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1]);
    const runId = '20130601T020000Z-k3f9';
    await job.run();
    mkdirSync(join(job.output, 'runs', runId));
    writeFileSync(
      join(job.output, 'runs', runId, 'run.json'),
      JSON.stringify({
        format: 1,
        runId,
        outcome: '\x1b[31m',
        times: { wall: 1 },
        error: '\u202e\x07',
      }),
    );
    const { stdout } = await scoreline(['runs', job.output]);
    expect(stdout).toContain('\\u{1b}[31m');
    expect(stdout).toContain('\\u{202e}\\u{7}');
    expect([...stdout].filter((c) => c < ' ' && c !== '\n')).toEqual([]);
  });

  test('refuses a folder that is no output', async () => {
    const folder = makeFolder();
    const nothing = await scoreline(['runs', folder]);
    expect(nothing).toMatchObject({
      exit: 4,
      stdout: '',
      stderr: `scoreline: ${folder}: no scoreline output there\n`,
    });
  });
});

describe('what a run staged', () => {
  /** A job of two partitions, the second with a bad row too many; its last run staged both. */
  async function stagedCase(): Promise<{ job: JobCase; runId: string }> {
    const job = makeCase({ quarantine: { max: 0 } });
    write(job, 'p=1/x.csv', [1, 2]);
    write(job, 'p=2/x.csv', [3, 'bad']);
    // The first stops early, before it has seen all there is.
    expect((await job.run()).exit).toBe(3);
    const { exit, report } = await job.run();
    expect([exit, report.outcome, job.files()]).toEqual([3, 'staged', []]);
    return { job, runId: report.runId };
  }

  test('is published by hand, with the reason, and the next run does not ask about its bad rows again', async () => {
    const { job, runId } = await stagedCase();
    const { exit, report } = await command(job, 'publish', runId, '--because', 'known bad row');
    expect(exit).toBe(0);
    expect(report).toMatchObject({ outcome: 'published', snapshot: 1, because: 'known bad row' });
    expect(job.files()).toEqual(['p=1/case-00000.parquet', 'p=2/case-00000.parquet']);
    expect(job.files('quarantine')).toEqual(['p=2/case-00000.parquet']);
    expect((await job.run()).report).toMatchObject({ outcome: 'unchanged', snapshot: 1 });
    write(job, 'p=3/x.csv', [5]);
    expect((await job.run()).report).toMatchObject({ outcome: 'published', snapshot: 2 });
    expect((await command(job, 'runs')).report).toMatchObject([
      { verdict: 'failed' },
      { verdict: 'staged', snapshot: null },
      { command: 'publish', verdict: 'published', subject: runId, snapshot: 1 },
      { verdict: 'unchanged' },
      { verdict: 'published' },
    ]);
  });

  test('is a conflict where another run has published other content since', async () => {
    const { job, runId } = await stagedCase();
    write(job, 'p=2/x.csv', [3, 4]);
    expect((await job.run('--partition', 'p=2')).exit).toBe(0);
    const { exit, stderr, stdout } = await scoreline(['publish', job.output, runId]);
    expect([exit, stdout]).toEqual([7, '']);
    expect(stderr).toMatch(/^scoreline: partition p=2: snapshot 1 of another run [^\n]*\n$/);
  });

  test('is removed by hand', async () => {
    const { job, runId } = await stagedCase();
    const { exit, report } = await command(job, 'discard', runId);
    expect([exit, report]).toEqual([0, expect.objectContaining({ outcome: 'discarded' })]);
    const again = await scoreline(['discard', job.output, runId]);
    expect(again).toMatchObject({ exit: 2, stdout: '' });
    expect(again.stderr).toMatch(/: has been discarded; "scoreline status" shows what waits\n$/);
  });
});

test('a part that vanishes from the store is made again and published anew', async () => {
  const job = makeCase();
  write(job, 'p=1/x.csv', [1, 2]);
  write(job, 'p=2/x.csv', [1, 'bad', 3]);
  await job.run();
  const before = [job.manifest(), job.files()];
  rmSync(join(job.output, 'store'), { recursive: true });
  const { exit, report } = await job.run();
  expect([exit, report.outcome, report.snapshot]).toEqual([0, 'published', 2]);
  expect([job.manifest(), job.files()]).toEqual(before);
  expect((await job.run()).report.outcome).toBe('unchanged');
});

describe('scoreline revert', () => {
  test('survives the next run, until the data change or somebody says why not', async () => {
    const job = makeCase();
    write(job, 'p=1/x.csv', [1]);
    await job.run();
    const [before, files] = [job.manifest(), job.files()];
    write(job, 'p=1/x.csv', [2]);
    write(job, 'p=2/x.csv', [3]);
    await job.run();
    const taken = job.manifest();

    const reverted = await command(job, 'revert', '--because', 'wrong data');
    expect(reverted).toMatchObject({ exit: 0, report: { outcome: 'reverted', snapshot: 3 } });
    expect([job.manifest(), job.files()]).toEqual([before, files]);

    const { exit, stderr, report } = await job.run();
    expect([exit, report.outcome, report.snapshot]).toEqual([3, 'failed', 3]);
    expect(stderr).toMatch(/^scoreline: partition p=1 and 1 more: this content was published as/);
    expect(job.manifest()).toBe(before);

    const forced = await job.run('--because', 'right after all');
    expect(forced).toMatchObject({ exit: 0, report: { snapshot: 4, because: 'right after all' } });
    expect(job.manifest()).toBe(taken);

    await command(job, 'revert', '--to', '1');
    write(job, 'p=1/x.csv', [4]);
    expect((await job.run()).exit).toBe(3);
    write(job, 'p=2/x.csv', [5]);
    expect((await job.run()).report).toMatchObject({ outcome: 'published', snapshot: 6 });
    expect((await command(job, 'runs')).report).toMatchObject([
      { verdict: 'published' },
      { verdict: 'published' },
      { command: 'revert', verdict: 'reverted', subject: 'snapshot 1', because: 'wrong data' },
      { verdict: 'failed' },
      { verdict: 'published', because: 'right after all' },
      { verdict: 'reverted' },
      { verdict: 'failed' },
      { verdict: 'published' },
    ]);
  });

  test('is refused where there is nothing to go back to', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1]);
    await job.run();
    expect(await scoreline(['revert', job.output])).toMatchObject({
      exit: 2,
      stdout: '',
      stderr: expect.stringMatching(/^scoreline: .*: there is no older snapshot .*\n$/),
    });
    expect((await scoreline(['revert', job.output, '--to', '9'])).exit).toBe(2);
    expect((await scoreline(['revert', job.output, '--to', '-1'])).exit).toBe(2);
  });
});
