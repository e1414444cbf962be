/** Days that a person published though their gates failed: the days after them are judged as that person said. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseQuality } from '../../src/report/quality-schema.js';
import { command } from '../history-case.js';
import { type JobCase, makeCase } from '../job-case.js';

/** Writes a day whose values of `a` lie around a level; no two days have the same. */
function writeDay(job: JobCase, day: number, level: number): string {
  const date = `2024-01-${String(day).padStart(2, '0')}`;
  const rows = Array.from({ length: 200 }, (_, i) => `${level + ((i * 7 + day) % 200) / 100},1\n`);
  writeFileSync(join(job.input, `${date}.csv`), `a,b\n${rows.join('')}`);
  return date;
}

function nightlyJob(sections: object): JobCase {
  return makeCase({
    input: { path: 'in/{date:yyyy-MM-dd}.csv' },
    gates: { drift: { psi: 0.2 } },
    sample_rows: 0,
    ...sections,
  });
}

test.each([[{ baseline: { trailing: 7 } }], [{ baseline: 'auto' }]])(
  'the nights after an accepted bad day pass, and another bad one does not: %j',
  async (sections) => {
    const job = nightlyJob(sections);
    for (const day of [1, 2, 3]) writeDay(job, day, 0);
    expect((await job.run('--from', '2024-01-01', '--to', '2024-01-03')).exit).toBe(0);
    const bad = await job.run('--date', writeDay(job, 4, 50));
    expect(bad.exit).toBe(3);
    const published = await command(job, 'publish', bad.report.runId, '--because', 'a campaign');
    expect(published.report).toMatchObject({
      override: { as: 'exception', partitions: ['2024-01-04'] },
    });
    expect((await job.run('--date', writeDay(job, 5, 0))).exit).toBe(0);
    expect((await job.run('--date', writeDay(job, 6, 50))).exit).toBe(3);
  },
  60_000,
);

test('the nights after a new normal are judged by the days since it, and say that it was overridden', async () => {
  const job = nightlyJob({ baseline: { trailing: 7 } });
  for (const day of [1, 2, 3]) writeDay(job, day, 0);
  await job.run('--from', '2024-01-01', '--to', '2024-01-03');
  const { report } = await job.run('--date', writeDay(job, 4, 50));
  const flags = ['--new-normal', '--because', 'new prices'];
  expect((await command(job, 'publish', report.runId, ...flags)).exit).toBe(0);
  const next = await job.run('--date', writeDay(job, 5, 50));
  expect([next.exit, next.report.gates[0]]).toEqual([
    0,
    expect.stringContaining('against the last 1 before (overridden: 2024-01-04), 200 rows'),
  ]);
  const fallen = await job.run('--date', writeDay(job, 6, 0));
  expect([fallen.exit, fallen.stderr]).toEqual([
    3,
    expect.stringContaining('against the last 2 before (overridden: 2024-01-04)'),
  ]);
}, 60_000);

describe('a backfill', () => {
  const range = ['--from', '2024-01-01', '--to', '2024-01-09'];

  function backfill(): JobCase {
    const job = nightlyJob({ baseline: { trailing: 3 } });
    for (let day = 1; day <= 9; day++) writeDay(job, day, [4, 7].includes(day) ? 50 : 0);
    return job;
  }

  test('names each of its bad days once, with every column, and no bad day spoils the next', async () => {
    const job = backfill();
    const { exit, stderr, report } = await job.run(...range);
    const lines = stderr.split('\n').filter((line) => line.includes('fail '));
    expect([exit, lines]).toEqual([
      3,
      ['2024-01-04', '2024-01-07'].map((day) =>
        expect.stringMatching(new RegExp(`drift\\.psi a: .*; also y [\\d.]+, on ${day}`)),
      ),
    ]);
    expect(report.gates.filter((line) => line.includes('fail '))).toHaveLength(2);
    const quality = parseQuality(readFileSync(join(report.path!, 'report.json'), 'utf8'));
    expect(quality?.days?.map(({ verdict }) => verdict)).toEqual(
      Array.from({ length: 9 }, (_, i) => ([3, 6].includes(i) ? 'fail' : 'pass')),
    );
    const page = readFileSync(join(job.output, 'runs', report.runId, 'report.html'), 'utf8');
    expect(page).toContain('2024-01-04, the worst of 9 days.');
    expect(page).toContain('7 of 9 days pass.');
  }, 60_000);

  test('with --publish-passing publishes the days that pass and stages the others, once', async () => {
    const job = backfill();
    const { exit, report } = await job.run(...range, '--publish-passing');
    expect([exit, report.outcome, report.snapshot]).toEqual([3, 'partial', 1]);
    const published = Object.keys(JSON.parse(job.manifest()).units);
    expect(published).toEqual([1, 2, 3, 5, 6, 8, 9].map((day) => `2024-01-0${day}`));
    const record = JSON.parse(readFileSync(join(report.staged!, 'staged.json'), 'utf8'));
    expect(record).toMatchObject({ units: ['2024-01-04', '2024-01-07'] });
    const manifest = job.manifest();
    const again = await job.run(...range, '--publish-passing');
    expect([again.exit, again.report.outcome, job.manifest()]).toEqual([3, 'staged', manifest]);
    expect((await command(job, 'publish', report.runId, '--because', 'known')).exit).toBe(0);
    expect((await job.run(...range)).report.outcome).toBe('unchanged');
  }, 60_000);
});
