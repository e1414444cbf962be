/** No partition gets emptier without a word: quarantine, filters and inputs that shrink. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command } from '../history-case.js';
import { type JobCase, listFiles, makeCase } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

/** Writes a partition of CSV records. */
function write(job: JobCase, partition: string, records: readonly string[]): void {
  mkdirSync(join(job.input, partition), { recursive: true });
  writeFileSync(join(job.input, partition, 'x.csv'), `a,b\n${records.join('\n')}\n`);
}

const times = (rows: number, record: string): string[] =>
  Array.from({ length: rows }, () => record);

/** A run as cron has it: what it says, and how it ends. */
async function quietly(job: JobCase, ...args: string[]): Promise<[number | null, string[]]> {
  const { exit, stderr, stdout } = await scoreline(['run', job.jobFile, '--quiet', ...args]);
  expect(stdout).toBe('');
  // The lines that close the mail of a failed night are tested elsewhere.
  const lines = stderr
    .split('\n')
    .filter((line) => !/^$|^scoreline: (job case, run|to (publish|drop) it)/.test(line));
  return [exit, lines];
}

async function publishedRows(job: JobCase): Promise<number> {
  const [count] = await query(
    `SELECT count(*)::INTEGER AS n FROM read_parquet(${job.published()})`,
  );
  return Number(count?.n);
}

describe('a partition whose rows are all set aside', () => {
  test('is staged, new or published before, and published by a person or where the job says so', async () => {
    const job = makeCase();
    write(job, 'day=1', times(8, '1,2'));
    expect(await quietly(job)).toEqual([0, []]);
    const line = (day: number, rest: string) => [
      3,
      [expect.stringContaining(`partition day=${day}: all of its 4 rows were set aside${rest};`)],
    ];
    write(job, 'day=2', times(4, '1,2,3'));
    expect(await quietly(job)).toEqual(line(2, ''));
    const set = ['--set', 'output.empty_partitions=publish', '--set', 'quarantine.max=4'];
    expect(await quietly(job, ...set)).toEqual([0, []]);
    // What is published so was looked at.
    expect(await quietly(job)).toEqual([0, []]);
    // A redelivery with decimal commas.
    write(job, 'day=1', times(4, '"1,5","2,5"'));
    expect(await quietly(job)).toEqual(line(1, ', and 8 published rows would go'));
    expect(await publishedRows(job)).toBe(8);

    // The same content again is staged once.
    const staged = basename((await job.run()).report.path ?? '');
    const refused = await command(job, 'publish', staged);
    expect([refused.exit, refused.stderr]).toEqual([3, expect.stringContaining('--because')]);
    expect((await command(job, 'publish', staged, '--because', 'closed')).exit).toBe(0);
    expect(await publishedRows(job)).toBe(0);
    expect(await quietly(job)).toEqual([0, []]);
  }, 60_000);

  test('leaves the others to --publish-passing', async () => {
    const job = makeCase();
    write(job, 'day=1', times(5, '1,2'));
    write(job, 'day=2', times(5, '1,x'));
    expect(await quietly(job, '--publish-passing')).toEqual([
      3,
      [expect.stringMatching(/partition day=2: all of its 5 rows .*published as snapshot 1$/)],
    ]);
    expect(await publishedRows(job)).toBe(5);
  }, 30_000);
});

test('a partition may set aside no more than half of its rows by the floor of a percentage', async () => {
  const job = makeCase();
  write(job, 'day=1', [...times(7, '1,x'), ...times(6, '1,2')]);
  write(job, 'day=2', times(100, '1,2'));
  expect(await quietly(job)).toEqual([
    3,
    [
      expect.stringContaining(
        'quarantine.max: 7 of 13 rows of partition day=1 were set aside, more than the 6 allowed in one partition',
      ),
    ],
  ]);
  write(job, 'day=1', [...times(6, '1,x'), ...times(6, '1,2')]);
  expect(await quietly(job)).toEqual([0, []]);
}, 30_000);

test('a filter that leaves nothing is said, and does not replace published rows; a partition that shrinks is said', async () => {
  const job = makeCase();
  const file = join(job.input, 'x.parquet');
  const rows = (count: number): Promise<void> =>
    writeParquet(
      file,
      `SELECT 'active' AS s, i::FLOAT AS a, 1::FLOAT AS b FROM range(${count}) t(i)`,
    );
  await rows(1000);
  const wrong = ['--set', "input.where=s = 'ACTIVE'"];
  expect(await quietly(job, ...wrong)).toEqual([
    0,
    [
      'scoreline: warning: partition .: input.where leaves none of its 1,000 rows; check the condition',
    ],
  ]);
  expect(await quietly(job)).toEqual([0, []]);
  expect(await quietly(job, ...wrong)).toEqual([
    3,
    [
      expect.stringContaining(
        'partition .: input.where leaves none of its 1,000 rows, and 1,000 published rows would go;',
      ),
    ],
  ]);
  await rows(3);
  expect(await quietly(job)).toEqual([
    0,
    ['scoreline: warning: partition .: 3 scored rows, where 1,000 were published; check the input'],
  ]);
  await rows(0);
  expect(await quietly(job)).toEqual([
    3,
    [expect.stringContaining('partition .: its input has no row, and 3 published rows would go;')],
  ]);
}, 60_000);

test('many partitions that shrink are one line', async () => {
  const job = makeCase();
  for (let day = 1; day <= 7; day++) write(job, `day=${day}`, times(30, '1,2'));
  expect(await quietly(job)).toEqual([0, []]);
  for (let day = 1; day <= 7; day++) write(job, `day=${day}`, times(3, '1,2'));
  expect(await quietly(job)).toEqual([
    0,
    [
      'scoreline: warning: 7 partitions: 21 scored rows, where 210 were published: day=1, day=2, day=3, day=4, day=5, … (7); check the input',
    ],
  ]);
  expect(
    await quietly(job, '--set', "input.where=a = '9'", '--set', 'output.empty_partitions=publish'),
  ).toEqual([
    0,
    [
      'scoreline: warning: 7 partitions: input.where leaves none of their 21 rows: day=1, day=2, day=3, day=4, day=5, … (7); check the condition',
    ],
  ]);
}, 60_000);

describe('gates of the job and few rows', () => {
  const GATES = {
    nulls: { max_increase: '2%' },
    drift: { psi: 0.2 },
    scores: { mean_change: '10%' },
  };

  test('judge nulls and scores that are no number; what they cannot judge is said', async () => {
    const job = makeCase({ gates: GATES, quarantine: { non_finite: 'keep' } });
    const part = (day: string, a: string, b: string): Promise<void> =>
      writeParquet(
        join(job.input, day, 'x.parquet'),
        `SELECT (${a})::FLOAT AS a, (${b})::FLOAT AS b FROM range(90) t(i)`,
      );
    await part('01', 'i % 10', 'i % 7');
    expect(await quietly(job)).toEqual([0, []]);
    await part('02', 'i % 10', 'i % 7');
    expect(await quietly(job)).toEqual([
      0,
      [
        'scoreline: warning: not judged: drift.psi, scores.mean_change: too few rows (90 against 90, of 100)',
      ],
    ]);
    await part('03', 'i + 1000', 'NULL');
    expect(await quietly(job)).toEqual([
      3,
      [
        expect.stringContaining('nulls.max_increase b: 100 % (limit 2 %)'),
        expect.stringContaining('drift.psi b: no value is left'),
        expect.stringContaining('scores.mean_change y: no value is left'),
      ],
    ]);
  }, 60_000);

  test('judge small days of a run together', async () => {
    const job = makeCase({ gates: { drift: { psi: 0.2 } }, baseline: { trailing: 5 } });
    job.change({ input: { path: 'in/{date:yyyy-MM-dd}.csv' } });
    const day = (number: number, shift: number): void => {
      const records = Array.from({ length: 40 }, (_, i) => `${shift + (i % 20)},${i % 10}`);
      writeFileSync(join(job.input, `2024-01-0${number}.csv`), `a,b\n${records.join('\n')}\n`);
    };
    for (const number of [1, 2, 3, 4]) day(number, 0);
    expect(await quietly(job, '--from', '2024-01-01', '--to', '2024-01-04')).toEqual([0, []]);
    for (const number of [5, 6, 7]) day(number, 0);
    expect(await quietly(job, '--from', '2024-01-05', '--to', '2024-01-07')).toEqual([0, []]);
    for (const number of [5, 6, 7]) day(number, 15);
    expect(await quietly(job, '--from', '2024-01-05', '--to', '2024-01-07')).toEqual([
      3,
      expect.arrayContaining([
        expect.stringMatching(/drift\.psi a: .*on 2024-01-05 to 2024-01-07/),
      ]),
    ]);
  }, 60_000);
});

describe('a run that too many bad rows stop', () => {
  test('keeps them beside its record, says where, and how many there were', async () => {
    const job = makeCase();
    write(job, 'day=1', [...times(20, '1,2'), ...times(11, '1,x')]);
    const { exit, report, stderr } = await job.run();
    const folder = join(job.output, 'runs', report.runId, 'quarantine');
    expect([exit, report.outcome, stderr.trim()]).toEqual([
      3,
      'failed',
      expect.stringMatching(/stopped early, nothing published; look at the rows in \S+quarantine$/),
    ]);
    expect(stderr).toContain(folder);
    expect(report.ledger).toEqual({ rows: 31, scored: 20, quarantined: 11, filtered: 0 });
    const [count] = await query(
      `SELECT count(*)::INTEGER AS n FROM read_parquet('${join(folder, 'day=1', 'case-00000.parquet')}') WHERE scoreline_reason = 'cast_failed'`,
    );
    expect(count?.n).toBe(11);
    const page = readFileSync(join(job.output, 'runs', report.runId, 'report.html'), 'utf8');
    expect(page).toMatch(/set aside<\/th><td class="n">11</);
    expect((await command(job, 'verify')).exit).toBe(0);
  }, 30_000);

  test('keeps CSV records that are invalid, too', async () => {
    const job = makeCase();
    write(job, 'day=1', times(8, '1,2'));
    write(job, 'day=2', times(12, '1,2,3'));
    const { exit, report } = await job.run();
    expect([exit, report.ledger.quarantined]).toEqual([3, 12]);
    const files = listFiles(join(job.output, 'runs', report.runId, 'quarantine'));
    expect(files).toEqual(['day=2/case-00000.rejected.parquet']);
  }, 30_000);
});
