/** A canary: one task of each partition is scored and judged before the others are. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';

const ROWS = 300_000;

/** A partition of three tasks; `a` is null in one of so many rows. */
async function write(job: JobCase, name: string, nulls: number): Promise<void> {
  await writeParquet(
    join(job.input, name),
    `SELECT CASE WHEN i % ${nulls} = 0 THEN NULL ELSE (i * 7919 % 1000)::FLOAT END AS a, (i % 97)::FLOAT AS b FROM range(${ROWS}) t(i)`,
    { rowGroupSize: 122_880 },
  );
}

describe('a canary', () => {
  test('stops a run whose first tasks fail a gate before the others are scored; without it all is scored and staged', async () => {
    const job = makeCase({
      canary: true,
      gates: { nulls: { max_increase: '2%' } },
      quarantine: { non_finite: 'keep', max: '100%' },
      run: { workers: 2 },
    });
    await write(job, 'p=1/x.parquet', 1000);
    await write(job, 'p=2/x.parquet', 1000);
    const first = await job.run();
    expect([first.exit, first.report.tasks.scored]).toEqual([0, 6]);
    const before = job.manifest();

    await write(job, 'p=1/x.parquet', 10);
    await write(job, 'p=2/x.parquet', 999);
    const stopped = await job.run();
    expect([stopped.exit, stopped.report.outcome]).toEqual([3, 'failed']);
    expect(stopped.stderr).toMatch(
      /nulls\.max_increase a: [\d.]+ % \(limit 2 %\) .*; stopped after the first task of each partition, nothing published/,
    );
    expect(stopped.report.gates.join('\n')).toContain('nulls.max_increase');
    expect(job.manifest()).toBe(before);
    expect(readdirSync(join(job.output, 'staged'))).toEqual([]);

    // What stopped it is in the store: the same run again is stopped by it, and scores nothing.
    const again = await job.run();
    expect([again.exit, again.report.outcome, again.report.tasks.scored]).toEqual([3, 'failed', 0]);
    expect(again.stderr).toContain('stopped after the first task of each partition');

    const staged = await job.run('--set', 'canary=false');
    expect([staged.exit, staged.report.tasks, staged.report.outcome]).toMatchObject([
      3,
      { scored: 4, reused: 2 },
      'staged',
    ]);

    // The second run finds the task that passed and goes on.
    await write(job, 'p=1/x.parquet', 1001);
    const whole = await job.run();
    expect([whole.exit, whole.report.outcome]).toEqual([0, 'published']);
    expect(whole.report.ledger.rows).toBe(2 * ROWS);
  }, 120_000);
});
