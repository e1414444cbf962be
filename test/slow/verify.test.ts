/** Damage of every kind: it is named, and a run puts it right. */
import {
  chmodSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { command, write } from '../history-case.js';
import { type JobCase, listFiles, makeCase } from '../job-case.js';
import { scoreline } from '../scoreline.js';

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

  /** A file of the store, the first whose path ends so. */
  function storeFile({ job }: Place, end: string): string {
    const store = join(job.output, 'store');
    return join(store, listFiles(store).find((name) => name.endsWith(end)) ?? 'nowhere');
  }

  /** Changes a text of a record in the store. */
  function edit(place: Place, end: string, from: RegExp, to: string): void {
    const path = storeFile(place, end);
    const text = readFileSync(path, 'utf8');
    expect(text).toMatch(from);
    replace(path, text.replace(from, to));
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
    [
      'a digit of a ledger beside a part',
      (place) => edit(place, '/part.json', /"filtered":0/, '"filtered":1'),
      [[/^store\/parts\//, /part\.json: damaged; /]],
      true,
    ],
    [
      'a digest of a part that is gone from its record',
      (place) => edit(place, '/part.json', /,"sample":"[0-9a-f]{64}"/, ''),
      [[/^store\/parts\//, /part\.json: damaged; /]],
      true,
    ],
    [
      'a digit of a ledger beside scores',
      (place) => edit(place, '/scores.json', /"filtered":0/, '"filtered":1'),
      [[/^store\/scores\/.*\/scores\.json$/, /^is damaged$/]],
      true,
    ],
    [
      'the number of rows of a CSV file',
      (place) => edit(place, '/csv.json', /,"rows":(\d+)\}$/m, ',"rows":9$1}'),
      [[/^store\/csv\//, /csv\.json: damaged; /]],
      true,
    ],
    [
      'rows of a CSV file with a flipped bit',
      (place) => flipBit(storeFile(place, '/rows.parquet')),
      [[/^store\/csv\/.*\/rows\.parquet$/, /^its content has changed$/]],
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

  test('leaves a way out where the only snapshot has a damaged manifest: move it away and run', async () => {
    const { job } = await verifyCase();
    const text = job.manifest();
    replace(join(job.output, 'snapshots/000001/manifest.json'), '');
    expect((await scoreline(['revert', job.output])).exit).toBe(2);
    renameSync(join(job.output, 'snapshots/000001'), join(job.folder, 'damaged'));
    const { exit, report } = await job.run();
    expect([exit, report.snapshot, report.tasks]).toEqual([0, 1, { scored: 0, reused: 2 }]);
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
