/** Snapshots whose run or act ended before it could record that it published them. */
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { basename } from 'node:path';
import { describe, expect, test } from 'vitest';
import { processSpace } from '../../src/base/identity.js';
import { appendRecord } from '../../src/run/chain.js';
import { gc } from '../../src/run/gc.js';
import { readHistory } from '../../src/run/history.js';
import { revert } from '../../src/run/revert.js';
import { latestSnapshot, publish, type Snapshot } from '../../src/run/snapshot.js';
import { draftText, sweep } from '../../src/run/unrecorded.js';
import { verify } from '../../src/run/verify.js';
import { output, publicationOf, temporary } from '../publication-case.js';

const RUN = '20130601T020000.123Z-k3f9';
const ENDED = '2013-06-01T02:00:05.000Z';
const now = (): Date => new Date('2013-06-01T03:00:00.000Z');
const GONE = `${processSpace()}-${spawnSync(process.execPath, ['-e', '']).pid}-1-abc`;
const ELSEWHERE = 'ffffffffffff-1-1-abc';

/** The record of a run as far as it is looked at here. */
function reportOf(runId: string, { number }: Pick<Snapshot, 'number'>) {
  return {
    ...{ format: 1, runId, outcome: 'published', snapshot: number, manifest: 'ab', error: null },
    ledger: { rows: 1 },
    times: { wall: 1 },
    receipt: { user: 'u', host: 'h', ended: ENDED },
  } as never;
}

/** Publishes as a run does whose temporary folder has a name, and leaves that folder behind. */
async function publishAs(owner: string, runId = RUN, content = runId): Promise<Snapshot> {
  mkdirSync(output.path('tmp', owner), { recursive: true });
  mkdirSync(output.path('runs', runId));
  const draft = (next: Snapshot): Promise<string> =>
    draftText(output, output.path('tmp', owner), reportOf(runId, next));
  const publication = { ...(await publicationOf({ a: [content] })), draft };
  return (await publish(output, publication, await latestSnapshot(output), temporary))!;
}

/** The records of the chain. */
function chain(): { runId: string; snapshot: number | null; error: string | null }[] {
  const path = (number: number): string =>
    output.path('runs/chain/000', String(number).padStart(6, '0'), 'record.json');
  const records = [];
  for (let number = 1; existsSync(path(number)); number++)
    records.push(JSON.parse(readFileSync(path(number), 'utf8')));
  return records;
}

async function damage(repair = false): Promise<[string, string, string | null][]> {
  const found = await verify(output, { now, all: true, repair });
  return found.damage
    .filter(({ path }) => !path.endsWith('manifest.json'))
    .map(({ path, problem, repair: mended }) => [path, problem, mended]);
}

const LATE = 'ended before it could record this; the record was added afterwards';

describe('a snapshot whose run was killed before it could record it', () => {
  test('gets its record from whoever comes next, once', async () => {
    await publishAs(GONE);
    expect(chain()).toEqual([]);
    await sweep(output, now());
    const record = { runId: RUN, outcome: 'published', snapshot: 1, error: LATE };
    expect(chain()).toMatchObject([record]);
    expect(existsSync(output.path('tmp', GONE))).toBe(false);
    mkdirSync(output.path('tmp', GONE));
    await sweep(output, now());
    expect(chain()).toHaveLength(1);
    expect(await readHistory(output)).toMatchObject([
      { runId: RUN, verdict: 'published', snapshot: 1, error: LATE },
    ]);
    expect(await damage()).toEqual([]);
  });

  test('gets one record when many come at once', async () => {
    await publishAs(GONE);
    await publishAs(GONE, '20130601T020001.000Z-aaaa');
    await Promise.all(Array.from({ length: 12 }, () => sweep(output, now())));
    expect(
      chain()
        .map(({ snapshot }) => snapshot)
        .sort(),
    ).toEqual([1, 2]);
  });

  test('gets its record before that of an act', async () => {
    const first = await publishAs(GONE);
    await publishAs(GONE, '20130601T020001.000Z-aaaa');
    await revert(output, first.number, { now, because: undefined });
    expect(chain().map(({ snapshot }) => snapshot)).toEqual([2, 1, 3]);
    expect(chain()[2]?.error).toBeNull();
  });

  test('is unfinished in the history until then, with what it published', async () => {
    await publishAs(GONE);
    expect(await readHistory(output)).toMatchObject([
      { runId: RUN, verdict: 'unfinished', snapshot: 1, rows: 1, user: 'u', wallMs: null },
    ]);
  });

  test('is named by verify, which records it when it repairs', async () => {
    await publishAs(GONE);
    const problem = 'no record names it: whoever published it ended before';
    expect(await damage()).toEqual([['snapshots/000001', problem, null]]);
    expect(await damage(true)).toEqual([['snapshots/000001', problem, 'recorded']]);
    expect(await damage()).toEqual([]);
    expect(chain()).toHaveLength(1);
  });

  test('is kept by gc until it is recorded', async () => {
    await publishAs(basename(temporary));
    await publishAs(GONE, '20130601T020001.000Z-aaaa');
    const options = { keep: 1, now: () => new Date(), dryRun: false };
    expect(await gc(output, { ...options, dryRun: true })).toMatchObject({ snapshots: [] });
    expect(chain()).toEqual([]);
    expect(await gc(output, options)).toMatchObject({ snapshots: [] });
    expect(chain()).toMatchObject([{ snapshot: 2 }]);
    await appendRecord(output, RUN, reportOf(RUN, { number: 1 }));
    expect(await gc(output, options)).toMatchObject({ snapshots: [1] });
  });

  test('gets its record from gc also where its temporary folder was removed', async () => {
    await publishAs(GONE);
    rmSync(output.path('tmp', GONE), { recursive: true });
    await sweep(output, now());
    expect(chain()).toEqual([]);
    await gc(output, { keep: 10, now, dryRun: false });
    expect(chain()).toMatchObject([{ snapshot: 1, error: LATE }]);
  });

  test('that is recorded in the chain alone gets no second record', async () => {
    await publishAs(GONE);
    await sweep(output, now());
    rmSync(output.path('runs', RUN), { recursive: true });
    await appendRecord(output, 'other', { runId: 'other' });
    rmSync(output.path('runs', RUN), { recursive: true });
    mkdirSync(output.path('tmp', GONE));
    await sweep(output, now());
    expect(chain().map(({ runId }) => runId)).toEqual([RUN, 'other']);
  });

  test('has no record where what was kept of it was edited, and verify says so', async () => {
    const { folder } = await publishAs(GONE);
    const path = `${folder}/publisher.json`;
    const text = readFileSync(path, 'utf8');
    unlinkSync(path);
    writeFileSync(path, text.replace('"rows":1', '"rows":2'));
    await sweep(output, now());
    expect(chain()).toEqual([]);
    expect(await damage(true)).toEqual([
      ['snapshots/000001/publisher.json', 'is damaged, and no record names the snapshot', null],
    ]);
  });
});

describe('a snapshot whose run goes on', () => {
  test('is left to it', async () => {
    await publishAs(basename(temporary));
    mkdirSync(output.path('tmp', GONE));
    await sweep(output, now());
    expect(await damage(true)).toEqual([]);
    expect(chain()).toEqual([]);
    await appendRecord(output, RUN, reportOf(RUN, { number: 1 }));
    expect(chain()).toMatchObject([{ runId: RUN, error: null }]);
  });

  test('elsewhere is left to it for an hour, and never gets two records', async () => {
    await publishAs(ELSEWHERE);
    await sweep(output, now());
    expect(await damage()).toEqual([]);
    expect(chain()).toEqual([]);
    await sweep(output, new Date('2013-06-01T03:00:06.000Z'));
    expect(chain()).toMatchObject([{ runId: RUN, error: LATE }]);
    await appendRecord(output, 'other', { runId: 'other' });
    await appendRecord(output, RUN, reportOf(RUN, { number: 1 }));
    expect(chain().map(({ runId }) => runId)).toEqual([RUN, 'other']);
    expect(existsSync(output.path('tmp', ELSEWHERE))).toBe(true);
  });
});
