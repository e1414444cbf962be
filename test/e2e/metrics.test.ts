/** The file of metrics: where it may be, and what it says when the one before is gone. */
import { chmodSync, existsSync, mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { checkMetricsPath } from '../../src/run/metrics.js';
import { failure } from '../failure.js';
import { makeCase } from '../job-case.js';
import { asNobody, IS_ROOT } from '../nobody.js';
import { writeParquet } from '../parquet.js';

const ROWS = 'SELECT i::FLOAT AS a, 1::FLOAT AS b FROM range(5) t(i)';

function lastSuccess(path: string): number {
  const line = /^scoreline_last_success_timestamp_seconds\{job="case"\} (\S+)$/m;
  return Number(line.exec(readFileSync(path, 'utf8'))?.[1]);
}

test('the last success is that of the records where the file before is gone', async () => {
  const job = makeCase();
  const path = join(job.folder, 'case.prom');
  const fail = ['--metrics', path, '--partition', 'month=9'];
  await writeParquet(join(job.input, 'x.parquet'), ROWS);
  expect((await job.run(...fail)).exit).toBe(4);
  expect(lastSuccess(path)).toBe(0);
  const { report } = await job.run();
  const ended = Date.parse(report.receipt.ended) / 1000;
  expect((await job.run(...fail)).exit).toBe(4);
  // A file of metrics from before the success does not hide it.
  expect(lastSuccess(path)).toBe(ended);
  rmSync(path);
  expect((await job.run(...fail)).exit).toBe(4);
  expect(lastSuccess(path)).toBe(ended);
});

test('a path that cannot be written is refused before the run', async () => {
  const job = makeCase();
  await writeParquet(join(job.input, 'x.parquet'), ROWS);
  mkdirSync(join(job.folder, 'folder.prom'));
  for (const [path, says] of [
    [join(job.folder, 'none', 'case.prom'), /there is no folder .*none; make it, or name another/],
    [join(job.jobFile, 'case.prom'), /there is no folder .*job\.yaml; make it/],
    [join(job.folder, 'folder.prom'), /is a folder; name a file/],
  ] as const) {
    const { exit, stderr } = await job.run('--metrics', path);
    expect([exit, stderr]).toEqual([2, expect.stringMatching(says)]);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  }
  expect(existsSync(job.output)).toBe(false);
  chmodSync(job.folder, 0o500);
  const check = (): Promise<void> => checkMetricsPath(join(job.folder, 'case.prom'));
  const denied = await failure(() => (IS_ROOT ? asNobody(check) : check()));
  chmodSync(job.folder, 0o700);
  expect([denied.code, denied.message]).toEqual([
    'environment',
    expect.stringContaining('cannot be written: EACCES'),
  ]);
});
