/** Gates before publication: what fails them is staged, and published only by a person who says why. */
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { parseQuality, type QualityReport } from '../../src/report/quality-schema.js';
import { command } from '../history-case.js';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { Random } from '../random.js';
import { scoreline } from '../scoreline.js';

const ROWS = 400;

/** Writes a partition whose column `a` is spread evenly from `from` to `from + 10`, and `b` as far. */
function writePart(job: JobCase, name: string, from: number, seed = 1): void {
  const random = new Random(seed);
  const lines = Array.from({ length: ROWS }, (_, i) => {
    const [a, b, c] = [from + random.next() * 10, random.next() * 10, random.next() * 10];
    return [i, ...[a, b, c].map((value) => value.toFixed(3))].join();
  });
  mkdirSync(join(job.input, name, '..'), { recursive: true });
  writeFileSync(join(job.input, name), `id,a,b,c\n${lines.join('\n')}\n`);
}

function report(folder: string): QualityReport {
  const found = parseQuality(readFileSync(join(folder, 'report.json'), 'utf8'));
  if (found === undefined) throw new Error(`${folder}: no report`);
  return found;
}

const GATES = { drift: { psi: 0.2 }, scores: { mean_change: '20%' } };

describe('gates', () => {
  test('let a first run pass, and one like it; a drifted one is staged with a line for each gate, and published only with a reason', async () => {
    const job = makeCase({ gates: GATES });
    writePart(job, 'p=1/x.csv', 0);
    const first = await job.run();
    expect([first.exit, first.report.verdict, first.report.gates[0]]).toEqual([
      0,
      'pass',
      expect.stringContaining('no baseline (nothing was published before)'),
    ]);
    writePart(job, 'p=1/x.csv', 0, 2);
    const second = await job.run();
    expect([second.exit, second.report.verdict, second.report.gates]).toEqual([
      0,
      'pass',
      [
        expect.stringContaining('against what was published before, 400 rows'),
        expect.stringMatching(/^why {8}/),
      ],
    ]);
    const before = job.manifest();

    writePart(job, 'p=1/x.csv', 4, 3);
    const drifted = await job.run();
    expect(drifted.exit).toBe(3);
    const { runId } = drifted.report;
    expect(drifted.stderr.trim().split('\n')).toEqual([
      expect.stringMatching(
        /^scoreline: fail {4}drift\.psi a: [\d.]+ \(limit 0\.2\) against what was published before/,
      ),
      expect.stringMatching(
        /^scoreline: fail {4}scores\.mean_change y: [\d.]+ % \(limit 20 %\) against [\d.]+ of what was published before; staged in /,
      ),
      // What a mail has to say: whose it is, the page, and what to type.
      `scoreline: job case, run ${runId}: staged, not published; page: ${join(job.output, 'runs', runId, 'report.html')}`,
      `scoreline: to publish it (--exception or --new-normal): scoreline publish ${job.output} ${runId} --because '…' --exception`,
      `scoreline: to drop it: scoreline discard ${job.output} ${runId} --because '…'`,
    ]);
    expect(job.manifest()).toBe(before);
    expect(report(join(job.output, 'staged', runId))).toMatchObject({
      outcome: 'staged',
      verdict: 'fail',
      because: null,
    });
    expect(report(join(job.output, 'runs', runId)).error).toContain('drift.psi a');

    const refused = await command(job, 'publish', runId);
    expect([refused.exit, refused.stderr]).toEqual([
      3,
      expect.stringMatching(/drift\.psi a.*--because/),
    ]);
    // As `--because "$WHY"` in a script that does not set it.
    const blank = await scoreline(['publish', job.output, runId, '--because', ' ']);
    expect([blank.exit, blank.stderr.trim()]).toEqual([
      2,
      expect.stringMatching(/^scoreline: .*--because.*expected a reason.*$/),
    ]);
    expect(job.manifest()).toBe(before);
    const published = await command(job, 'publish', runId, '--because', 'a new fleet');
    expect([published.exit, published.report]).toEqual([
      0,
      expect.objectContaining({ outcome: 'published', because: 'a new fleet' }),
    ]);
    expect(job.manifest()).not.toBe(before);
    expect(report(join(job.output, 'current'))).toMatchObject({
      run: runId,
      outcome: 'published',
      because: 'a new fleet',
      verdict: 'fail',
    });
  }, 120_000);

  test('that stop a run leave the same short text in the terminal as those that let it pass', async () => {
    const job = makeCase({ gates: GATES });
    writePart(job, 'x.csv', 0);
    expect((await job.run()).exit).toBe(0);
    writePart(job, 'x.csv', 4, 3);
    const { exit, stdout, stderr } = await scoreline(['run', job.jobFile]);
    expect([exit, stderr]).toEqual([3, expect.stringMatching(/drift\.psi a/)]);
    const lines = stdout.trim().split('\n');
    expect(lines.map((line) => line.split(' ')[0])).toEqual(
      expect.arrayContaining(['rows', 'gates', 'gate', 'why', 'changes']),
    );
    expect(lines.at(-1)).toMatch(/^staged {5}.*staged.\d{8}T/);
    expect((await scoreline(['run', job.jobFile, '--quiet'])).stdout).toBe('');
  }, 60_000);

  test('that a job does not set only warn', async () => {
    const job = makeCase();
    writePart(job, 'p=1/x.csv', 0);
    await job.run();
    writePart(job, 'p=1/x.csv', 4);
    const drifted = await job.run();
    expect([drifted.exit, drifted.report.verdict]).toEqual([0, 'warn']);
    expect(drifted.report.gates[0]).toContain('the job sets no gates: these only warn');
    expect(drifted.report.gates[1]).toMatch(/^gate {7}warn {4}drift\.psi a/);
  }, 60_000);

  test('look at what a run publishes anew, not at what stays as it is', async () => {
    const job = makeCase({ gates: { rows: { min: 500 } } });
    writePart(job, 'p=1/x.csv', 0);
    writePart(job, 'p=2/x.csv', 0, 2);
    expect((await job.run()).exit).toBe(0);
    writePart(job, 'p=2/x.csv', 0, 3);
    const again = await job.run();
    expect([again.exit, again.stderr]).toEqual([
      3,
      expect.stringContaining('rows.min: 400 rows (limit 500 rows)'),
    ]);
    expect((await job.run('--set', 'gates.rows.min=400')).exit).toBe(0);
    expect((await job.run()).report).toMatchObject({ outcome: 'unchanged', verdict: 'none' });
  }, 60_000);

  test('that cannot be judged say why, but for the baseline that a first run lacks', async () => {
    const job = makeCase({ gates: { ...GATES, new_categories: { max: 5 } } });
    const few = (rows: number): void => {
      const text = `a,b,c\n${'1,2,3\n'.repeat(rows)}`;
      mkdirSync(job.input, { recursive: true });
      writeFileSync(join(job.input, 'x.csv'), text);
    };
    // No column of texts is counted: the gate would never see one.
    const blind = expect.stringMatching(
      /^gate {7}skipped new_categories\.max: no column of texts is counted: statistics/,
    );
    few(99);
    expect((await job.run()).report.gates.slice(1)).toEqual([blind]);
    few(98);
    const second = await job.run();
    expect([second.exit, second.report.verdict]).toEqual([0, 'pass']);
    expect(second.report.gates.filter((line) => line.startsWith('gate '))).toEqual([
      'gate       skipped drift.psi, scores.mean_change: too few rows (98 against 99, of 100)',
      blind,
    ]);
  }, 60_000);

  test('judge each day of a backfill by the days before it, in one run', async () => {
    const job = makeCase({
      input: { path: 'in/{date:yyyy-MM-dd}.csv' },
      gates: GATES,
      baseline: { trailing: 3 },
    });
    for (let day = 1; day <= 14; day++) {
      const date = `2013-06-${String(day).padStart(2, '0')}`;
      writePart(job, `${date}.csv`, date === '2013-06-12' ? 4 : 0, day);
    }
    const range = ['--from', '2013-06-01', '--to', '2013-06-14'];
    const drifted = await job.run(...range);
    expect([drifted.exit, drifted.stderr]).toEqual([
      3,
      expect.stringMatching(
        /drift\.psi a: .* against the last 3 before; also y [\d.]+, on 2013-06-12\n/,
      ),
    ]);
    expect(existsSync(join(job.output, 'current'))).toBe(false);
    writePart(job, '2013-06-12.csv', 0, 12);
    const whole = await job.run(...range);
    expect([whole.exit, whole.report.verdict]).toEqual([0, 'pass']);
    const judged = report(join(job.output, 'current'));
    expect([judged.judged, judged.baseline?.partitions]).toEqual([
      { rows: 14 * ROWS, partitions: 14, day: '2013-06-14' },
      ['2013-06-11', '2013-06-12', '2013-06-13'],
    ]);
  }, 120_000);

  test('judge a day by the same day of the week', async () => {
    const job = makeCase({
      input: { path: 'in/{date:yyyy-MM-dd}.csv' },
      gates: GATES,
      baseline: { 'same-weekday': 2 },
    });
    // Saturdays and Sundays are other days.
    for (let day = 1; day <= 23; day++) {
      const isWeekend = [1, 2].includes(day % 7);
      writePart(job, `2013-06-${String(day).padStart(2, '0')}.csv`, isWeekend ? 6 : 0, day);
    }
    const backfill = await job.run('--from', '2013-06-01', '--to', '2013-06-23');
    expect([backfill.exit, backfill.report.verdict]).toEqual([0, 'pass']);
    expect(report(join(job.output, 'current')).baseline?.partitions).toEqual([
      '2013-06-09',
      '2013-06-16',
    ]);
    writePart(job, '2013-06-24.csv', 6, 24);
    const monday = await job.run('--date', '2013-06-24');
    expect([monday.exit, monday.stderr]).toEqual([
      3,
      expect.stringMatching(/drift\.psi a: .* against the same day of the week.*, on 2013-06-24\n/),
    ]);
  }, 120_000);
});

describe('a limit that is learnt', () => {
  test('lets runs pass until there are enough, then those like them, and stops what none of them was like', async () => {
    const job = makeCase({
      baseline: 'previous',
      gates: { drift: { psi: 'history', columns: ['a'] } },
    });
    const next = async (part: number, from: number) => {
      writePart(job, `p=${part}/x.csv`, from, part);
      const run = await job.run();
      const { gates } = report(join(job.output, 'runs', run.report.runId));
      return { exit: run.exit, finding: gates[0]?.findings[0], stderr: run.stderr };
    };
    // The first has no baseline, so that it teaches nothing.
    for (let part = 1; part <= 6; part++) {
      const { exit, finding } = await next(part, 0);
      const reason = part === 1 ? 'no baseline' : 'too few earlier runs to learn from';
      expect([exit, finding?.status, finding?.reason]).toEqual([0, 'skipped', reason]);
    }
    const like = await next(7, 0);
    expect([like.exit, like.finding?.status]).toEqual([0, 'pass']);
    expect(Number(like.finding?.limit)).toBeGreaterThan(Number(like.finding?.measured));
    const drifted = await next(8, 3);
    expect([drifted.exit, drifted.stderr]).toEqual([
      3,
      expect.stringMatching(/drift\.psi a: [\d.]+ \(limit 0\.[\d]+\)/),
    ]);
  }, 120_000);
});

describe('a baseline in a file', () => {
  test('is what was published when it was saved', async () => {
    const job = makeCase({ gates: GATES });
    writePart(job, 'p=1/x.csv', 0);
    await job.run();
    const file = join(job.folder, 'baseline.json');
    const saved = await scoreline(['baseline', 'save', job.output, file, '--json']);
    expect(JSON.parse(saved.stdout)).toEqual({ label: 'case, snapshot 1', units: 1, rows: ROWS });
    const other = makeCase({ gates: GATES, baseline: { file } });
    writePart(other, 'x.csv', 0, 2);
    expect((await other.run()).report.gates[0]).toContain('against case, snapshot 1, 400 rows');
    writePart(other, 'x.csv', 4);
    expect((await other.run()).exit).toBe(3);
    writeFileSync(file, '{}');
    const damaged = await other.run();
    expect([damaged.exit, damaged.stderr]).toEqual([2, expect.stringContaining('is no baseline')]);
  }, 60_000);
});

describe('flips', () => {
  test('are not mistaken where rows were set aside before', async () => {
    const job = makeCase({
      input: { path: 'in', key: 'id' },
      model: { path: modelPath('small/multi') },
      features: ['a', 'b', 'c'],
      output: { path: 'out', keep: ['id'] },
      quarantine: { max: 10 },
      gates: { flips: { max: '50%' } },
    });
    writePart(job, 'x.csv', -5, 1);
    const path = join(job.input, 'x.csv');
    const text = readFileSync(path, 'utf8');
    writeFileSync(path, text.replace(/^7,[^,]*,/m, '7,none,'));
    expect((await job.run()).report.ledger.quarantined).toBe(1);
    writeFileSync(path, text);
    const mended = await job.run();
    expect(mended.exit).toBe(0);
    const { flips, gates } = report(join(job.output, 'current'));
    expect(flips).toMatchObject({ keys: { both: ROWS - 1, before: 0, now: 1 }, absent: [] });
    expect(gates[0]).toMatchObject({ gate: 'flips.max', status: 'pass' });
  }, 60_000);

  test('of labels are counted by key, and stop a run that changes too many', async () => {
    const job = makeCase({
      input: { path: 'in', key: 'id' },
      model: { path: modelPath('small/multi') },
      features: ['a', 'b', 'c'],
      output: { path: 'out', keep: ['id'], columns: { label: 'label' } },
      gates: { flips: { max: '10%' } },
    });
    writePart(job, 'x.csv', -5, 1);
    expect((await job.run()).exit).toBe(0);
    writePart(job, 'x.csv', -5, 2);
    const flipped = await job.run();
    expect([flipped.exit, flipped.stderr]).toEqual([
      3,
      expect.stringMatching(/flips\.max: [\d.]+ % \(limit 10 %\)/),
    ]);
    const { flips } = report(join(job.output, 'staged', flipped.report.runId));
    expect(flips?.keys).toEqual({ both: ROWS, before: 0, now: 0 });
    const [label] = flips?.columns ?? [];
    expect(label?.changed).toBeGreaterThan(ROWS / 10);
    expect(label?.pairs.reduce((sum, { keys }) => sum + keys, 0)).toBe(label?.changed);
  }, 60_000);

  test('are of no day, where days are judged one by one', async () => {
    const job = makeCase({
      input: { path: 'in/{date:yyyy-MM-dd}.csv', key: 'id' },
      model: { path: modelPath('small/multi') },
      features: ['a', 'b', 'c'],
      output: { path: 'out', keep: ['id'], columns: { label: 'label' } },
      baseline: { trailing: 3 },
      gates: { flips: { max: '10%' } },
    });
    const range = ['--from', '2013-06-01', '--to', '2013-06-02'];
    writePart(job, '2013-06-01.csv', -5, 1);
    writePart(job, '2013-06-02.csv', -5, 1);
    expect((await job.run(...range)).exit).toBe(0);
    writePart(job, '2013-06-01.csv', -5, 2);
    writePart(job, '2013-06-02.csv', -5, 2);
    const flipped = await job.run(...range);
    expect([flipped.exit, flipped.stderr]).toEqual([
      3,
      expect.stringMatching(
        /flips\.max: [\d.]+ % \(limit 10 %\) against what was published before; staged in/,
      ),
    ]);
  }, 60_000);
});

describe('a job', () => {
  test.each([
    [{ gates: { drift: { columns: ['aa'] } } }, /gates: "aa" is no feature.*did you mean/],
    [{ statistics: ['a'] }, /statistics: "a" is not in output\.keep/],
    [{ gates: { flips: {} } }, /gates\.flips: needs input\.key/],
    [{ baseline: { file: 'none.json' }, gates: {} }, /cannot read baseline\.file .*none\.json/],
    [
      { gates: { drift: { psi: -1 } } },
      /:\d+: gates\.drift\.psi: -1 is not allowed; expected a number from 0/,
    ],
    [
      { gates: { nulls: { max_increase: 2 } } },
      /gates\.nulls\.max_increase: 2 is not allowed; expected a percentage/,
    ],
    [
      { baseline: { trailing: 0 } },
      /baseline\.trailing: 0 is not allowed; expected a whole number/,
    ],
    [
      { baseline: { 'same-weekday': 4 } },
      /baseline\.same-weekday: needs dates in input\.path, such as \{date:yyyy-MM-dd\}/,
    ],
    [{ gates: { drift: { psy: 1 } } }, /unknown key "?gates\.drift\.psy"? \(did you mean/],
  ])(
    'with %j is refused in one line',
    async (sections, expected) => {
      const job = makeCase(sections);
      writePart(job, 'x.csv', 0);
      const { exit, stderr } = await job.run();
      expect([exit, stderr.trim()]).toEqual([2, expect.stringMatching(expected)]);
      expect(stderr.trim().split('\n')).toHaveLength(1);
    },
    30_000,
  );
});

describe('an output of before there were statistics', () => {
  test('gets them when it is scored again, with the same bytes, once', async () => {
    const job = makeCase();
    writePart(job, 'x.csv', 0);
    await job.run();
    const before = job.manifest();
    const { parts } = JSON.parse(before).units[''] as {
      parts: { key: string; scoreKey: string }[];
    };
    const { key, scoreKey } = parts[0]!;
    for (const [kind, id, name] of [
      ['parts', key, 'part.json'],
      ['scores', scoreKey, 'scores.json'],
    ] as const) {
      const folder = join(job.output, 'store', kind, id.slice(0, 2), id);
      const record = JSON.parse(readFileSync(join(folder, name), 'utf8'));
      delete record.digest;
      delete record.statistics;
      if (kind === 'scores') {
        record.format = 1;
        delete record.files.statistics;
      }
      rmSync(join(folder, 'statistics.json'));
      rmSync(join(folder, name));
      writeFileSync(join(folder, name), JSON.stringify(record));
    }
    expect((await scoreline(['verify', job.output])).exit).toBe(0);
    const again = await job.run();
    expect([again.exit, again.report.outcome, again.report.tasks.scored]).toEqual([
      0,
      'unchanged',
      1,
    ]);
    expect(job.manifest()).toBe(before);
    expect((await job.run()).report.tasks.scored).toBe(0);
    expect((await scoreline(['verify', job.output])).exit).toBe(0);
  }, 60_000);

  test('which the store has lost are made again where what is published is judged again', async () => {
    const job = makeCase({ input: { path: 'in', key: 'id' } });
    writePart(job, 'x.csv', 0);
    expect((await job.run()).exit).toBe(0);
    const files = job.files();
    rmSync(join(job.output, 'store', 'scores'), { recursive: true });
    // The same scores and parts, but another record of the partition.
    job.change({ input: { path: 'in' } });
    expect(await job.run()).toMatchObject({
      exit: 0,
      stderr: expect.not.stringContaining('gone'),
      report: { outcome: 'published', tasks: { scored: 1 } },
    });
    expect(job.files()).toEqual(files);
    expect((await scoreline(['verify', job.output])).exit).toBe(0);
  }, 60_000);

  test('of which statistics are damaged is told so by verify', async () => {
    const job = makeCase();
    writePart(job, 'x.csv', 0);
    await job.run();
    const { parts } = JSON.parse(job.manifest()).units[''] as { parts: { key: string }[] };
    const { key } = parts[0]!;
    const path = join(job.output, 'store', 'parts', key.slice(0, 2), key, 'statistics.json');
    const text = readFileSync(path, 'utf8');
    rmSync(path);
    writeFileSync(path, text.replace('"rows":400', '"rows":401'));
    const found = await scoreline(['verify', job.output]);
    expect(found.exit).not.toBe(0);
    expect(found.stdout + found.stderr).toMatch(/statistics\.json/);
  }, 60_000);
});
