/** What a person does with an output after its runs. */
import {
  chmodSync,
  mkdirSync,
  readFileSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, listFiles, makeCase, withReport } from '../job-case.js';
import { makeFolder, scoreline } from '../scoreline.js';

/** Writes a CSV file of a job's input, one row for each value of `a`. */
function write(job: JobCase, name: string, values: readonly (number | string)[]): void {
  mkdirSync(join(job.input, name, '..'), { recursive: true });
  writeFileSync(join(job.input, name), `a,b\n${values.map((a) => `${a},1\n`).join('')}`);
}

/** A command about a job's output, and what it printed for machines. */
async function command(job: JobCase, name: string, ...args: string[]) {
  return withReport<unknown>(await scoreline([name, job.output, '--json', ...args]));
}

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
    expect(stdout.split('\n')[0]).toMatch(/^run +when \(UTC\) +what +verdict +rows +seconds/);
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
    expect((await job.run()).exit).toBe(0);
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
    expect(again.stderr).toMatch(/no run of this name has anything staged; nothing is staged\n$/);
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

describe('scoreline verify', () => {
  interface Place {
    readonly job: JobCase;
    readonly published: string;
    readonly stored: string;
  }

  /** A job of two partitions, published once; the files of the first. */
  async function verifyCase(): Promise<Place> {
    const job = makeCase();
    write(job, 'p=1/x.csv', [1, 'bad']);
    write(job, 'p=2/x.csv', [3]);
    expect((await job.run()).exit).toBe(0);
    const published = join(job.output, 'snapshots/000001/data/p=1/case-00000.parquet');
    const parts = join(job.output, 'store/parts');
    const inode = statSync(published).ino;
    const stored = listFiles(parts).find((name) => statSync(join(parts, name)).ino === inode);
    return { job, published, stored: join(parts, stored ?? 'nowhere') };
  }

  function flipBit(path: string): void {
    const bytes = readFileSync(path);
    bytes[bytes.length >> 1]! ^= 1;
    chmodSync(path, 0o644);
    writeFileSync(path, bytes);
  }

  /** Replaces a file, so that its other names keep what they had. */
  function replace(path: string, text: string | Buffer): void {
    unlinkSync(path);
    writeFileSync(path, text);
  }

  const IN_SNAPSHOT = /^snapshots\/000001\/data\/p=1\/case-00000\.parquet$/;
  const IN_STORE = /^store\/parts\/.*\/data\.parquet$/;

  /** What is damaged, how verify names it, and whether it can mend it without a run. */
  const DAMAGE: readonly [string, (place: Place) => void, [RegExp, RegExp][], boolean][] = [
    [
      'a flipped bit in what is both stored and published',
      ({ stored }) => flipBit(stored),
      [
        [IN_SNAPSHOT, /^its content has changed$/],
        [IN_STORE, /^its content has changed$/],
      ],
      false,
    ],
    [
      'a file cut short',
      ({ stored }) => {
        chmodSync(stored, 0o644);
        truncateSync(stored, 100);
      },
      [
        [IN_SNAPSHOT, /^has 100 bytes, not \d+$/],
        [IN_STORE, /^has 100 bytes, not \d+$/],
      ],
      false,
    ],
    [
      'a published file that is gone',
      ({ published }) => unlinkSync(published),
      [[IN_SNAPSHOT, /^is missing$/]],
      true,
    ],
    [
      'a published file that is gone, and its part with it',
      ({ published, stored }) => {
        unlinkSync(published);
        rmSync(join(stored, '..'), { recursive: true });
      },
      [[IN_SNAPSHOT, /^is missing$/]],
      false,
    ],
    [
      'a published file that was replaced',
      ({ published }) => replace(published, 'PAR1'),
      [[IN_SNAPSHOT, /^has 4 bytes, not \d+$/]],
      true,
    ],
    [
      'a file that nobody published',
      ({ published }) => writeFileSync(join(published, '../more.parquet'), 'PAR1'),
      [[/\/p=1\/more\.parquet$/, /^was not published$/]],
      true,
    ],
    [
      "a part's record that was edited",
      ({ stored }) => replace(join(stored, '../part.json'), '{}'),
      [[/^store\/parts\//, /part\.json: damaged; /]],
      true,
    ],
    [
      'scores with a flipped bit',
      ({ job }) => {
        const scores = join(job.output, 'store/scores');
        flipBit(join(scores, listFiles(scores).find((name) => name.endsWith('/scores.parquet'))!));
      },
      [[/^store\/scores\/.*\/scores\.parquet$/, /^its content has changed$/]],
      true,
    ],
  ];

  test.each(DAMAGE)('names %s, and it is mended', async (_name, spoil, named, mended) => {
    const place = await verifyCase();
    const { job } = place;
    const data = () =>
      job.files().map((name) => readFileSync(join(job.output, 'current/data', name), 'base64'));
    const before = [job.manifest(), job.files(), data()];
    expect(await command(job, 'verify')).toMatchObject({ exit: 0, report: { damage: [] } });

    spoil(place);
    const { exit, report, stderr } = await command(job, 'verify');
    expect(exit).toBe(6);
    expect(stderr).toMatch(
      /^scoreline: (1 file is|2 files are) damaged: see "scoreline verify --repair"\n$/,
    );
    expect(report).toMatchObject({
      damage: named.map(([path, problem]) => ({
        path: expect.stringMatching(path),
        problem: expect.stringMatching(problem),
        repair: null,
      })),
    });

    expect((await command(job, 'verify', '--repair')).exit).toBe(mended ? 0 : 6);
    expect((await job.run()).exit).toBe(0);
    expect([job.manifest(), job.files(), data()]).toEqual(before);
    expect(await command(job, 'verify')).toMatchObject({ exit: 0, report: { damage: [] } });
    expect((await job.run()).report.outcome).toBe('unchanged');
  });

  test('names a manifest that was edited, which a run of the unit or a revert puts right', async () => {
    const { job } = await verifyCase();
    const text = job.manifest();
    const path = join(job.output, 'snapshots/000001/manifest.json');
    replace(path, text.replace(/"rows":2/, '"rows":3'));
    const named = {
      exit: 6,
      report: {
        damage: [{ path: 'snapshots/000001/manifest.json', problem: 'is not what was published' }],
      },
    };
    expect(await command(job, 'verify')).toMatchObject(named);
    expect(await command(job, 'verify', '--repair')).toMatchObject(named);
    expect((await job.run()).report).toMatchObject({ outcome: 'published', snapshot: 2 });
    expect(job.manifest()).toBe(text);
    expect((await command(job, 'verify')).exit).toBe(0);
    expect(await command(job, 'verify', '--all')).toMatchObject(named);
  });

  test('says that a manifest cannot be read, and revert puts an older snapshot in its place', async () => {
    const { job } = await verifyCase();
    write(job, 'p=2/x.csv', [4]);
    await job.run();
    const text = job.manifest();
    replace(join(job.output, 'snapshots/000002/manifest.json'), text.slice(0, 99));
    const { exit, stdout } = await scoreline(['verify', job.output]);
    expect([exit, stdout]).toEqual([
      6,
      expect.stringMatching(/^snapshots\/000002: .*damaged manifest/),
    ]);
    expect((await job.run()).exit).toBe(6);
    expect(await command(job, 'revert')).toMatchObject({ exit: 0, report: { snapshot: 3 } });
    expect((await job.run()).exit).toBe(0);
    expect(job.manifest()).toBe(text);
  });

  test('does not let scores with a flipped bit be used, repaired or not', async () => {
    const { job, stored } = await verifyCase();
    const scores = join(job.output, 'store/scores');
    for (const name of listFiles(scores)) {
      if (name.endsWith('/scores.parquet')) flipBit(join(scores, name));
    }
    rmSync(join(stored, '..'), { recursive: true });
    const { exit, stderr } = await job.run();
    expect([exit, stderr]).toEqual([
      6,
      expect.stringMatching(/scores\.parquet: damaged; "scoreline/),
    ]);
    expect((await command(job, 'verify', '--repair')).exit).toBe(0);
    expect((await job.run()).exit).toBe(0);
  });

  test('has bad records of a CSV file made again as well', async () => {
    const job = makeCase();
    writeFileSync(join(job.input, 'x.csv'), 'a,b\n1,2\n3\n');
    await job.run();
    const before = job.manifest();
    const [rejected] = job.files('quarantine');
    unlinkSync(join(job.output, 'current/quarantine', rejected!));
    rmSync(join(job.output, 'store/csv'), { recursive: true });
    expect((await command(job, 'verify', '--repair')).exit).toBe(6);
    expect((await job.run()).exit).toBe(0);
    expect([job.manifest(), job.files('quarantine')]).toEqual([before, [rejected]]);
    expect((await command(job, 'verify')).exit).toBe(0);
  });

  test('points current at the highest snapshot again', async () => {
    const { job } = await verifyCase();
    unlinkSync(join(job.output, 'current'));
    expect(await command(job, 'verify', '--repair')).toMatchObject({
      exit: 0,
      report: { damage: [{ path: 'current', problem: 'does not name snapshot 1, the highest' }] },
    });
    expect(job.files()).toHaveLength(2);
  });

  test('keeps in the history what it published anew', async () => {
    const { job, published } = await verifyCase();
    unlinkSync(published);
    await command(job, 'verify', '--repair');
    expect((await command(job, 'runs')).report).toMatchObject([
      { verdict: 'published', snapshot: 1 },
      { command: 'verify', verdict: 'repaired', subject: 'snapshot 1', snapshot: 2 },
    ]);
  });
});
