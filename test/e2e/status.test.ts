/** What an output says of itself: what is published, what waits, how runs went, what to type. */
import { readdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { StatusReport } from '../../src/report/status.js';
import type { HistoryEntry } from '../../src/run/history.js';
import { command } from '../history-case.js';
import { type JobCase, makeCase } from '../job-case.js';
import { scoreline } from '../scoreline.js';

function write(job: JobCase, level: number): void {
  const rows = Array.from({ length: 200 }, (_, i) => `${level + i / 100},1\n`);
  writeFileSync(join(job.input, 'x.csv'), `a,b\n${rows.join('')}`);
}

const status = async (job: JobCase) => (await command(job, 'status')).report as StatusReport;
const runs = async (job: JobCase, ...args: string[]) =>
  (await command(job, 'runs', ...args)).report as HistoryEntry[];

test('hourly runs stage the same content once; status and runs say that it waits, and what became of it', async () => {
  const job = makeCase({ gates: { drift: { psi: 0.2 } }, sample_rows: 0 });
  write(job, 0);
  const good = await job.run();
  const { lastSuccess, published } = await status(job);
  expect([published?.snapshot, published?.at, published?.rows]).toEqual([1, lastSuccess, 200]);
  expect((await status(job)).next).toEqual([]);

  write(job, 50);
  const [first, second] = [await job.run(), await job.run()];
  const { runId } = first.report;
  expect([first.exit, second.exit, readdirSync(join(job.output, 'staged'))]).toEqual([
    3,
    3,
    [runId],
  ]);
  expect(second.stderr).toContain(`scoreline publish ${job.output} ${runId} --because`);
  const now = await status(job);
  expect(now).toMatchObject({
    job: 'case',
    jobFile: job.jobFile,
    lastSuccess,
    lastRun: { run: second.report.runId, verdict: 'staged', exit: 3 },
    staged: [{ run: runId, state: 'waits', partitions: [''], gatesFailed: true }],
  });
  expect(now.next.map(({ command: line }) => line)).toEqual([
    `scoreline publish ${job.output} ${runId} --because '…' --exception`,
    `scoreline discard ${job.output} ${runId} --because '…'`,
  ]);
  const text = await scoreline(['status', job.output]);
  expect(text.stdout).toContain(`${runId} waits, 1 partition: .`);
  const failed = await runs(job, '--failed', '--since', '2020-01-01');
  expect(failed.map((run) => [run.runId, run.staged])).toEqual(
    [first, second].map(({ report }) => [report.runId, { run: runId, state: 'waits' }]),
  );

  // Another delivery of the same partition replaces it; good data end it.
  write(job, 70);
  const third = await job.run();
  expect(readdirSync(join(job.output, 'staged'))).toEqual([third.report.runId]);
  write(job, 0.01);
  expect((await job.run()).report.notes).toEqual([
    `replaces what was staged by ${third.report.runId}`,
  ]);
  expect((await status(job)).staged).toEqual([]);
  const states = (await runs(job, '--last', '4')).map(({ staged }) => staged?.state ?? null);
  expect(states).toEqual(['replaced', 'replaced', 'replaced', null]);
  const [entry] = await runs(job);
  expect(entry).toMatchObject({ runId: good.report.runId, scored: 200, quarantined: 0 });
  const lines = (await scoreline(['runs', job.output, '--last', '2'])).stdout.split('\n');
  expect(lines[0]).toMatch(/ rows +scored +quarantined +seconds /);
  expect(lines[1]).toMatch(/ was staged .* replaced since/);
}, 60_000);

test('status says after a failed run whose job it was and what to do', async () => {
  const job = makeCase();
  write(job, 0);
  await job.run();
  writeFileSync(join(job.input, 'x.csv'), 'a\n1\n');
  const { exit, stderr, report } = await job.run('--quiet');
  expect([exit, stderr.trim().split('\n').at(-1)]).toEqual([
    4,
    `scoreline: job case, run ${report.runId}: failed; page: ${join(job.output, 'runs', report.runId, 'report.html')}`,
  ]);
  const { next, lastRun } = await status(job);
  expect([lastRun?.exit, next]).toEqual([
    4,
    [
      {
        why: expect.stringContaining('mend or remove the files'),
        command: `scoreline run ${job.jobFile}`,
      },
    ],
  ]);
  const log = await scoreline(['run', job.jobFile, '--quiet', '--log-format', 'json']);
  expect(JSON.parse(log.stderr.trim().split('\n').at(-1)!)).toMatchObject({
    exit: 4,
    job: 'case',
    page: expect.stringContaining('report.html'),
  });
}, 60_000);

test.each([
  [['--last', '0'], /expected a number of runs/],
  [['--since', 'yesterday'], /expected a day/],
  [['--failed', '--html'], /cannot be used with/],
])('runs %j is wrong usage', async (args, expected) => {
  const job = makeCase();
  const { exit, stderr } = await scoreline(['runs', job.output, ...args]);
  expect([exit, stderr]).toEqual([2, expect.stringMatching(expected)]);
});

test('counts the rows that are published, not those of the input', async () => {
  const job = makeCase({ input: { path: 'in', types: { a: 'DOUBLE' }, where: 'a >= 1' } });
  write(job, 0);
  expect((await job.run()).exit).toBe(0);
  expect((await status(job)).published?.rows).toBe(100);
});

test('an output stays with its job where a run that was to adopt it publishes nothing', async () => {
  const job = makeCase();
  write(job, 0);
  expect((await job.run()).exit).toBe(0);
  job.change({ name: 'other' });
  expect((await job.run('--adopt', '--shard', '0/1')).exit).toBe(0);
  expect((await job.run('--adopt', '--set', 'input.path=missing')).exit).toBe(4);
  expect((await job.run()).exit).toBe(2);
  job.change({ name: 'case' });
  expect((await job.run()).exit).toBe(0);
});
