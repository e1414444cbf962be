/** `scoreline compare`: any two of what statistics are kept of. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { ComparisonReport } from '../../src/report/comparison.js';
import { parseQuality } from '../../src/report/quality-schema.js';
import { type JobCase, makeCase } from '../job-case.js';
import { Random } from '../random.js';
import { scoreline } from '../scoreline.js';

/** Writes a partition whose column `a` is spread from `from` to `from + 10`. */
function writePart(job: JobCase, name: string, from: number, seed: number, rows = 500): void {
  const random = new Random(seed);
  const lines = Array.from({ length: rows }, (_, i) => {
    const [a, b] = [from + random.next() * 10, random.next() * 10];
    return `${i},${a.toFixed(3)},${b.toFixed(3)},${from > 0 ? 'late' : 'early'}`;
  });
  mkdirSync(join(job.input, name, '..'), { recursive: true });
  writeFileSync(join(job.input, name), `id,a,b,c\n${lines.join('\n')}\n`);
}

describe('comparing', () => {
  let job: JobCase;
  let staged = '';
  let published = '';
  const compare = async (...args: string[]): Promise<ComparisonReport> => {
    const { exit, stdout, stderr } = await scoreline(['compare', job.output, '--json', ...args]);
    expect([exit, stderr]).toEqual([0, '']);
    return JSON.parse(stdout) as ComparisonReport;
  };
  const psiOf = (report: ComparisonReport, name: string): number =>
    Number(report.columns.find((column) => column.name === name)?.change?.psi);

  beforeAll(async () => {
    job = makeCase({ statistics: ['c'], output: { path: 'out', keep: ['c'] } });
    writePart(job, 'p=1/x.csv', 0, 1);
    writePart(job, 'p=2/x.csv', 0, 2);
    await job.run();
    writePart(job, 'p=2/x.csv', 4, 3);
    published = (await job.run()).report.runId;
    writePart(job, 'p=1/x.csv', 20, 4, 300);
    staged = (await job.run('--set', 'gates.drift.psi=0.2')).report.runId;
  });

  test('takes the snapshot before and the latest by itself, the columns that moved most first', async () => {
    const report = await compare();
    expect([report.baseline, report.current]).toEqual([
      { label: 'snapshot 1', rows: 1000, partitions: 2 },
      { label: 'snapshot 2', rows: 1000, partitions: 2 },
    ]);
    const names = report.columns.map(({ name }) => name);
    expect([names.at(-1), [...names].sort()]).toEqual(['b', ['a', 'b', 'c', 'y']]);
    expect(psiOf(report, 'a')).toBeGreaterThan(0.2);
    expect(report.columns.find(({ name }) => name === 'c')?.change?.added).toMatchObject({
      count: 1,
      first: [{ text: 'late', count: 500 }],
    });
  });

  test('measures what the gates of the run measured', async () => {
    const text = readFileSync(join(job.output, 'runs', published, 'report.json'), 'utf8');
    const judged = parseQuality(text)?.columns.find(({ name }) => name === 'a')?.change?.psi;
    const report = await compare('1', published, '--baseline', 'p=2', '--current', 'p=2');
    expect(report.current).toEqual({ label: 'p=2 of snapshot 2', rows: 500, partitions: 1 });
    expect(psiOf(report, 'a')).toBe(judged);
  });

  test('takes partitions of what is published, and knows that their columns differ by nature', async () => {
    const report = await compare('--baseline', 'p=1', '--current', 'p=2');
    expect([report.baseline.label, report.current.label]).toEqual([
      'p=1 of snapshot 2',
      'p=2 of snapshot 2',
    ]);
    expect(psiOf(report, 'a')).toBeGreaterThan(0.2);
  });

  test('takes what a run staged: what it has of the partitions that it covers', async () => {
    const report = await compare('latest', staged);
    expect(report.current).toEqual({ label: `what ${staged} staged`, rows: 800, partitions: 2 });
  });

  test('takes saved baselines, of what is published or of other data', async () => {
    const saved = join(job.folder, 'saved.json');
    const made = join(job.folder, 'made.json');
    expect((await scoreline(['baseline', 'save', job.output, saved])).exit).toBe(0);
    writePart(job, 'p=1/x.csv', 0, 1);
    const from = await scoreline([
      ...['baseline', 'from', job.input, '--job', job.jobFile, '--output', made, '--json'],
    ]);
    expect([from.exit, JSON.parse(from.stdout)]).toMatchObject([0, { units: 2, rows: 1000 }]);
    for (const file of [saved, made]) {
      const report = await compare(file);
      expect(report.baseline.rows).toBe(1000);
      expect(report.columns.map(({ change }) => change?.psi)).toEqual([0, 0, 0, 0]);
    }
  });

  test('shows a person a table', async () => {
    const { stdout } = await scoreline(['compare', job.output]);
    expect(stdout.split('\n')).toEqual(
      expect.arrayContaining([
        'baseline   snapshot 1: 1,000 rows in 2 partitions',
        'moved      3 of 4 columns',
        expect.stringMatching(/^column +as +psi/),
        expect.stringMatching(/^c +kept .* 1 new$/),
      ]),
    );
  });

  test.each([
    [['7'], 2, /snapshot 7: is not there; there are 1, 2/],
    [['lates'], 2, /lates: neither .*did you mean "latest"/],
    [['20130601T000000Z-abcdef'], 2, /no run of this name|neither/],
    [['--current', 'p=9'], 2, /p=9: no partition of snapshot 2; it has p=1, p=2/],
    [['--current', 'p'], 2, /p: no partition of snapshot 2; it has p=1, p=2/],
    [['--current', '=1'], 2, /--current =1: expected name=value or a folder/],
  ])('%j is refused in one line', async (args, exit, expected) => {
    const refused = await scoreline(['compare', job.output, ...args]);
    expect([refused.exit, refused.stderr.trim()]).toEqual([exit, expect.stringMatching(expected)]);
    expect(refused.stderr.trim().split('\n')).toHaveLength(1);
  });

  test('takes what a person published or brought back by a command', async () => {
    const other = makeCase();
    writePart(other, 'x.csv', 0, 1);
    await other.run();
    writePart(other, 'x.csv', 4, 2);
    await other.run();
    const { stdout } = await scoreline(['revert', other.output, '--json']);
    const { runId } = JSON.parse(stdout) as { runId: string };
    const found = await scoreline(['compare', other.output, '2', runId, '--json']);
    expect([found.exit, JSON.parse(found.stdout).current.label]).toEqual([0, 'snapshot 3']);
  });

  test('takes days, and other folders that are no name=value: one, or all below it', async () => {
    const days = makeCase({ input: { path: 'in/{date:yyyy}/{date:MM-dd}.csv' } });
    const dates = ['05-31', '06-01', '06-02'];
    for (const [i, date] of dates.entries()) writePart(days, `2013/${date}.csv`, 4 * i, i);
    expect((await days.run('--from', '2013-05-31', '--to', '2013-06-02')).exit).toBe(0);
    const rows = async (...args: string[]) => {
      const { stdout, stderr } = await scoreline(['compare', days.output, '--json', ...args]);
      if (stderr !== '') return stderr;
      const { baseline, current } = JSON.parse(stdout) as ComparisonReport;
      return [baseline.rows, current.rows, baseline.label];
    };
    expect(await rows('--baseline', '2013/05-31', '--current', '2013/06-02/')).toEqual([
      ...[500, 500],
      '2013/05-31 of snapshot 1',
    ]);
    expect(await rows('--baseline', '2013/06-01', '--baseline', '2013/06-02')).toEqual([
      ...[1000, 1500],
      '2013/06-01, 2013/06-02 of snapshot 1',
    ]);
    expect(await rows('--current', '2013')).toEqual([1500, 1500, 'snapshot 1']);
    expect(await rows('--current', '2013/06')).toMatch(/2013\/06: no partition of snapshot 1/);
  });

  test('a run that published nothing and staged nothing is no side', async () => {
    const { report } = await job.run('--set', 'model.path=none.onnx');
    const runId = report?.runId;
    const unchanged = runId ?? (await scoreline(['discard', job.output, staged, '--json'])).stdout;
    const id = /\d{8}T\d{6}[^"]*/.exec(unchanged)?.[0] ?? '';
    const refused = await scoreline(['compare', job.output, id]);
    expect([refused.exit, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/published nothing and has nothing staged/),
    ]);
  });
});

describe('a baseline of other data', () => {
  test('goes where the job names it, and leaves nothing else', async () => {
    const job = makeCase({ baseline: { file: 'training.json' }, gates: { drift: { psi: 0.2 } } });
    writePart(job, '../training.csv', 0, 1);
    const training = join(job.folder, 'training.csv');
    const made = await scoreline(['baseline', 'from', training, '--job', job.jobFile]);
    expect([made.exit, made.stdout]).toEqual([0, expect.stringMatching(/^saved 500 rows in 1/)]);
    writePart(job, 'x.csv', 0, 2);
    const like = await job.run();
    expect([like.exit, like.report.gates[0]]).toEqual([
      0,
      expect.stringMatching(/against .*training\.csv, as case has it, 500 rows/),
    ]);
    writePart(job, 'x.csv', 4, 3);
    expect((await job.run()).exit).toBe(3);
  }, 60_000);

  test('is refused where nothing says where it goes, and where too many rows are bad', async () => {
    const job = makeCase();
    writePart(job, 'x.csv', 0, 1);
    const lost = await scoreline(['baseline', 'from', job.input, '--job', job.jobFile]);
    expect([lost.exit, lost.stderr]).toEqual([2, expect.stringMatching(/where is the baseline/)]);
    writeFileSync(join(job.input, 'x.csv'), `a,b\n${'zero,1\n'.repeat(50)}`);
    const file = join(job.folder, 'b.json');
    const bad = await scoreline([
      ...['baseline', 'from', job.input, '--job', job.jobFile, '-o', file],
    ]);
    expect([bad.exit, bad.stderr]).toEqual([3, expect.stringMatching(/50 of 50 rows|50 rows/)]);
  }, 60_000);
});
