/** Removing what nothing needs, also while jobs run. */
import { readdirSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type * as Api from '../../src/index.js';
import { command, write } from '../history-case.js';
import { listFiles, makeCase } from '../job-case.js';
import { ROOT, scoreline } from '../scoreline.js';

describe('scoreline gc', () => {
  test('says what it removes, and leaves what is published and what a run can go back to', async () => {
    const job = makeCase();
    for (const value of [1, 2, 3]) {
      write(job, 'x.csv', [value]);
      await job.run();
    }
    const before = job.manifest();
    const looked = await scoreline(['gc', job.output, '--keep', '2', '--dry-run']);
    expect(looked).toMatchObject({
      exit: 0,
      stdout:
        'would remove 1 snapshot (1 to 1), 0 parts, scores of 0 tasks, 0 converted CSV files, 0 temporary folders: 1 MiB\n',
    });
    const { exit, report } = await command(job, 'gc', '--keep', '2');
    expect([exit, report]).toEqual([0, expect.objectContaining({ snapshots: [1], parts: 0 })]);
    expect(job.manifest()).toBe(before);
    expect((await command(job, 'revert')).report).toMatchObject({ subject: 'snapshot 2' });
    expect((await command(job, 'verify', '--all')).exit).toBe(0);
    expect((await scoreline(['gc', job.output, '--keep', '0'])).exit).toBe(2);
  });

  test('comes after every publication, and keeps as many snapshots as the job says', async () => {
    const job = makeCase({ output: { path: 'out', keep_snapshots: 2 } });
    const snapshots = (): string[] => readdirSync(join(job.output, 'snapshots'));
    for (const value of [1, 2, 3]) {
      write(job, 'x.csv', [value]);
      expect((await job.run()).report.notes).toEqual([]);
    }
    expect(snapshots()).toEqual(['000002', '000003']);
    job.change({ output: { path: 'out', keep_snapshots: 'all' } });
    write(job, 'x.csv', [4]);
    expect((await job.run()).exit).toBe(0);
    expect(snapshots()).toEqual(['000002', '000003', '000004']);
    // A run that publishes nothing leaves them all.
    job.change({ output: { path: 'out', keep_snapshots: 1 } });
    expect((await job.run()).report.outcome).toBe('unchanged');
    expect(snapshots()).toHaveLength(3);
    expect((await command(job, 'verify', '--all')).exit).toBe(0);
  });

  test('beside runs takes nothing from them, though all that is stored is old', async () => {
    const job = makeCase();
    const partitions = [1, 2, 3, 4];
    const makeOld = (): void => {
      const old = new Date('2013-01-01');
      for (const kind of ['parts', 'scores', 'csv']) {
        const root = join(job.output, 'store', kind);
        for (const name of listFiles(root)) utimesSync(join(root, name, '..'), old, old);
      }
    };
    for (let round = 0; round < 4; round++) {
      for (const p of partitions) write(job, `p=${p}/x.csv`, [p, round]);
      expect((await job.run()).exit).toBe(0);
      if (round === 0) continue;
      // Now parts are there that no snapshot needs in a moment, and that a run takes up again.
      expect((await command(job, 'revert')).exit).toBe(0);
      makeOld();
      const results = await Promise.all([
        job.run('--because', 'once more'),
        ...[1, 2].map(() => command(job, 'gc', '--keep', '1')),
        job.run('--because', 'once more'),
        ...[1, 2].map(() => command(job, 'gc', '--keep', '1')),
      ]);
      expect(results.map(({ exit, stderr }) => [exit, stderr])).toEqual(Array(6).fill([0, '']));
    }
    expect((await job.run()).report.outcome).toBe('unchanged');
    expect(await command(job, 'verify')).toMatchObject({ exit: 0, report: { damage: [] } });
    const undisturbed = makeCase();
    for (const p of partitions) write(undisturbed, `p=${p}/x.csv`, [p, 3]);
    await undisturbed.run();
    expect([job.manifest(), job.files()]).toEqual([undisturbed.manifest(), undisturbed.files()]);
  }, 120_000);

  test('is no harm even if a part goes between plan and publication: it is made again', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1, 'bad']);
    const { loadJob, runJob } = (await import(join(ROOT, 'dist/index.js'))) as typeof Api;
    let tasks = 0;
    const report = await runJob(await loadJob(job.jobFile, []), {
      now: () => new Date(),
      onEvent: ({ type }) => {
        if (type !== 'task') return;
        tasks++;
        if (tasks === 1) rmSync(join(job.output, 'store'), { recursive: true });
      },
    });
    expect([tasks, report.outcome, report.ledger.rows]).toEqual([2, 'published', 2]);
    expect(report.notes).toContainEqual(expect.stringMatching(/^made again: statistics of \./));
    expect((await command(job, 'verify')).exit).toBe(0);
  });
});
