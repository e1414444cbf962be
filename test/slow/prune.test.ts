/** Published partitions whose input has vanished: they stay, unless they are to be dropped. */
import { mkdirSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command, write } from '../history-case.js';
import { type JobCase, makeCase } from '../job-case.js';
import { scoreline } from '../scoreline.js';

/** A job of which partitions p=1, p=2 … are published. */
async function publishedCase(partitions: number, sections = {}): Promise<JobCase> {
  const job = makeCase(sections);
  for (let p = 1; p <= partitions; p++) write(job, `p=${p}/x.csv`, [p]);
  expect((await job.run()).exit).toBe(0);
  return job;
}

function vanish(job: JobCase, ...units: string[]): void {
  for (const unit of units) rmSync(join(job.input, unit), { recursive: true });
}

const unitsOf = (job: JobCase): string[] => job.files().map((name) => name.replace(/\/[^/]*$/, ''));

describe('input that has vanished', () => {
  test('leaves what is published of it, and the run says so, five names at most', async () => {
    const job = await publishedCase(8);
    vanish(job, 'p=1', 'p=2', 'p=3', 'p=4', 'p=5', 'p=6');
    const { exit, report } = await job.run();
    expect([exit, report.outcome, unitsOf(job).length]).toEqual([0, 'unchanged', 8]);
    expect(report.units).toMatchObject({ planned: 2, pruned: [] });
    expect(report.units.vanished).toHaveLength(6);
    expect(report.notes).toEqual([
      'published, but no longer in the input (--prune drops it): p=1, p=2, p=3, p=4, p=5, … (6)',
    ]);
  });

  test('is dropped with --prune, as the plan said; the rest is published as ever', async () => {
    const job = await publishedCase(3);
    vanish(job, 'p=2');
    write(job, 'p=3/x.csv', [33]);
    write(job, 'p=4/x.csv', [4]);
    const plain = await job.plan('--hash');
    expect(plain.report).toMatchObject({ vanished: ['p=2'], dropped: [] });
    const plan = await job.plan('--hash', '--prune');
    expect(plan.report).toMatchObject({ vanished: ['p=2'], dropped: ['p=2'], notDropped: [] });
    const { stdout } = await scoreline(['plan', job.jobFile, '--prune']);
    expect(stdout).toMatch(/^published, but its input is gone, to be dropped: p=2$/m);
    const { exit, report } = await job.run('--prune');
    expect([exit, report.outcome, unitsOf(job)]).toEqual([0, 'published', ['p=1', 'p=3', 'p=4']]);
    expect(report.units).toMatchObject({ vanished: [], pruned: ['p=2'] });
    expect((await job.run('--prune')).report.outcome).toBe('unchanged');
    expect((await command(job, 'verify', '--all')).exit).toBe(0);
    const undisturbed = makeCase();
    for (const [p, value] of [
      [1, 1],
      [3, 33],
      [4, 4],
    ])
      write(undisturbed, `p=${p}/x.csv`, [value!]);
    await undisturbed.run();
    expect(job.manifest()).toBe(undisturbed.manifest());
  });

  test('is published again when it comes back', async () => {
    const job = await publishedCase(2);
    const before = job.manifest();
    renameSync(join(job.input, 'p=2'), join(job.folder, 'aside'));
    expect((await job.run('--prune')).report.snapshot).toBe(2);
    renameSync(join(job.folder, 'aside'), join(job.input, 'p=2'));
    expect((await job.run('--prune')).report).toMatchObject({
      snapshot: 3,
      tasks: { scored: 0, reused: 2 },
    });
    expect(job.manifest()).toBe(before);
  });

  test('is never all of it: nothing is dropped where nothing is found', async () => {
    const job = await publishedCase(2);
    vanish(job, 'p=1', 'p=2');
    expect((await job.run('--prune')).exit).toBe(4);
    rmSync(job.input, { recursive: true });
    expect((await job.run('--prune')).exit).toBe(4);
    expect(unitsOf(job)).toEqual(['p=1', 'p=2']);
  });

  test('is dropped inside the selection only, also where the selection has nothing else', async () => {
    const job = await publishedCase(4);
    vanish(job, 'p=1', 'p=2');
    const outside = await job.run('--prune', '--partition', 'p=3');
    expect([outside.report.outcome, outside.report.units.vanished]).toEqual(['unchanged', []]);
    const { exit, report } = await job.run('--prune', '--partition', 'p=2');
    expect([exit, report.units.pruned, unitsOf(job)]).toEqual([0, ['p=2'], ['p=1', 'p=3', 'p=4']]);
    const none = await job.run('--prune', '--partition', 'p=9');
    expect([none.exit, none.stderr]).toEqual([4, expect.stringContaining('no partition of the')]);
  });

  test.each([
    ['folders', 'in/dt={date:yyyy-MM-dd}', (day: string) => `dt=2013-06-${day}/x.csv`],
    [
      'folders with a glob',
      'in/{date:yyyy}/{date:MM}/{date:dd}/*.csv',
      (day: string) => `2013/06/${day}/x.csv`,
    ],
    ['names', 'in/sales-{date:yyyyMMdd}-*.csv', (day: string) => `sales-201306${day}-a.csv`],
  ])('is dropped inside the dates only, with dates in %s', async (_where, path, fileOf) => {
    const job = makeCase({ input: { path } });
    for (const day of ['01', '02', '03', '04']) write(job, fileOf(day), [Number(day)]);
    expect((await job.run('--from', '2013-06-01', '--to', '2013-06-04')).exit).toBe(0);
    const before = job.files();
    for (const day of ['01', '03']) rmSync(join(job.input, fileOf(day)));
    const range = ['--from', '2013-06-02', '--to', '2013-06-04'];
    expect((await job.run(...range, '--prune')).exit).toBe(4);
    expect((await job.run('--date', '2013-06-03', '--prune', '--allow-missing')).exit).toBe(4);
    expect(job.files()).toEqual(before);
    const { exit, report } = await job.run(...range, '--prune', '--allow-missing');
    expect([exit, report.units.pruned.length]).toEqual([0, 1]);
    expect(job.files()).toEqual([before[0], before[1], before[3]]);
  });

  test('waits for its ready file: a partition that is being written has not vanished', async () => {
    const job = makeCase({ input: { path: 'in', ready: '_SUCCESS' } });
    for (const p of [1, 2, 3]) {
      write(job, `p=${p}/x.csv`, [p]);
      writeFileSync(join(job.input, `p=${p}/_SUCCESS`), '');
    }
    await job.run();
    rmSync(join(job.input, 'p=1/_SUCCESS'));
    vanish(job, 'p=2');
    mkdirSync(join(job.input, 'p=2'));
    const { report } = await job.run('--prune');
    expect([report.outcome, report.units]).toMatchObject([
      'unchanged',
      { vanished: [], pruned: [] },
    ]);
    vanish(job, 'p=2');
    expect((await job.run('--prune')).report.units.pruned).toEqual(['p=2']);
    expect(unitsOf(job)).toEqual(['p=1', 'p=3']);
  });

  test('is staged as dropped when a gate fails, and goes when that is published', async () => {
    const job = await publishedCase(2, { quarantine: { max: 0 } });
    vanish(job, 'p=1');
    write(job, 'p=2/x.csv', ['bad']);
    await job.run('--prune');
    const { exit, report } = await job.run('--prune');
    expect([exit, report.outcome, unitsOf(job)]).toEqual([3, 'staged', ['p=1', 'p=2']]);
    const because = ['--because', 'the source is gone'];
    expect((await command(job, 'publish', report.runId, ...because)).exit).toBe(0);
    expect(unitsOf(job)).toEqual(['p=2']);
  });

  test('stays dropped or published as a revert left it, until somebody says why not', async () => {
    const job = await publishedCase(2);
    vanish(job, 'p=2');
    await job.run('--prune');
    expect((await command(job, 'revert')).report).toMatchObject({ subject: 'snapshot 1' });
    expect(unitsOf(job)).toEqual(['p=1', 'p=2']);
    expect((await job.run()).report.outcome).toBe('unchanged');
    const { exit, stderr } = await job.run('--prune');
    expect([exit, stderr]).toEqual([3, expect.stringContaining('it was gone as of snapshot 2')]);
    expect((await job.plan('--prune')).report).toMatchObject({ dropped: [], notDropped: ['p=2'] });
    expect((await job.run('--prune', '--because', 'really')).report.units.pruned).toEqual(['p=2']);
    expect(unitsOf(job)).toEqual(['p=1']);
  });

  test('is no matter of a shard', async () => {
    const job = makeCase();
    const { exit, stderr } = await job.run('--prune', '--shard', '0/2');
    expect([exit, stderr]).toEqual([2, expect.stringMatching(/^scoreline: --prune: does not go/)]);
  });
});

test('a plan names what was reverted: it would not be published again', async () => {
  const job = await publishedCase(2);
  write(job, 'p=1/x.csv', [9]);
  await job.run();
  await command(job, 'revert');
  const { report } = await job.plan('--hash');
  expect(report.units).toMatchObject([
    { unit: 'p=1', why: 'input changed', held: true },
    { unit: 'p=2', why: null, held: false },
  ]);
  const { stdout } = await scoreline(['plan', job.jobFile, '--hash']);
  expect(stdout).toMatch(/^p=1 .* held: reverted, needs --because$/m);
  write(job, 'p=1/x.csv', [10]);
  expect((await job.plan('--hash')).report.units).toMatchObject([{ held: false }, {}]);
});
