/** What a person published though its gates failed: which data are a baseline afterwards, whatever becomes of the output. */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gc } from '../../src/run/gc.js';
import { baselineRecords, newNormalSince, supersededUnits } from '../../src/run/overridden.js';
import { revert } from '../../src/run/revert.js';
import { latestSnapshot, type Snapshot } from '../../src/run/snapshot.js';
import { publishStaged, stage } from '../../src/run/staged.js';
import { verify } from '../../src/run/verify.js';
import { failure } from '../failure.js';
import { output, publicationOf, publishUnits, temporary } from '../publication-case.js';

const now = () => new Date('2030-01-01T00:00:00Z');
const RUN = '20130601T020000.123Z-k3f9';

/** Publishes a unit that a run staged because a gate failed, as a person says. */
async function override(
  unit: string,
  text: string,
  { as, date = null }: { as?: 'exception' | 'new-normal'; date?: string | null } = {},
): Promise<void> {
  const base = await latestSnapshot(output);
  const judged = [{ unit, date, failed: true }];
  const how = { runId: RUN, reason: 'psi', gates: ['fail drift.psi'], judged, temporary };
  await stage(output, await publicationOf({ [unit]: [text] }), base, how);
  await publishStaged(output, RUN, { now, because: 'a campaign', as });
}

async function latest(): Promise<Snapshot> {
  return (await latestSnapshot(output))!;
}

/** The text of the parts that later runs are compared with, by unit. */
async function baseline(): Promise<Record<string, string>> {
  const records = baselineRecords(await latest());
  const entries = [...records].map(([unit, { parts }]) => {
    const file = join(output.partFolder(parts[0]!.key), 'data.parquet');
    return [unit, readFileSync(file, 'utf8')];
  });
  return Object.fromEntries(entries);
}

describe('an exception', () => {
  test('is what is overridden by itself, and never a baseline', async () => {
    const first = await publishUnits({ a: ['1'] });
    await override('b', '2');
    expect((await latest()).overridden).toMatchObject([{ unit: 'b', as: 'exception' }]);
    expect(await baseline()).toEqual({ a: '1' });
    await publishUnits({ c: ['3'] }, first);
    expect(await baseline()).toEqual({ a: '1', c: '3' });
  });

  test('leaves what its unit held before as the baseline, also one after another', async () => {
    await publishUnits({ a: ['1'] });
    await override('a', '2');
    await override('a', '3');
    expect(await baseline()).toEqual({ a: '1' });
  });

  test('ends with other content of the unit', async () => {
    await publishUnits({ a: ['1'] });
    await override('a', '2');
    await publishUnits({ a: ['3'] }, await latest());
    expect((await latest()).overridden).toEqual([]);
    expect(await baseline()).toEqual({ a: '3' });
  });

  test('stays one after a repair and after gc, which keeps what it took the place of', async () => {
    await publishUnits({ a: ['1'] });
    await override('a', '2');
    await publishUnits({ b: ['3'] }, await latest());
    const { folder } = await latest();
    const bytes = readdirSync(join(folder, 'data', 'b'));
    writeFileSync(join(folder, 'data', 'b', `x${bytes[0]}`), 'not published');
    await verify(output, { now, all: false, repair: true });
    expect((await latest()).number).toBe(4);
    await gc(output, { keep: 1, dryRun: false, now });
    expect(await baseline()).toEqual({ a: '1', b: '3' });
    expect(readdirSync(output.path('snapshots'))).toHaveLength(1);
  });

  test('comes back with a revert to it, and goes with one to what was before', async () => {
    await publishUnits({ a: ['1'] });
    await override('a', '2');
    await publishUnits({ a: ['3'] }, await latest());
    await revert(output, 2, { now, because: undefined });
    expect(await baseline()).toEqual({ a: '1' });
    await revert(output, 1, { now, because: undefined });
    expect((await latest()).overridden).toEqual([]);
  });

  test('of which the record is damaged stops runs with the file that is to blame', async () => {
    await publishUnits({ a: ['1'] });
    await override('a', '2');
    const path = join((await latest()).folder, 'overridden.json');
    writeFileSync(path, readFileSync(path, 'utf8').replace('exception', 'superseded'));
    const { code, message } = await failure(() => latestSnapshot(output));
    expect([code, message]).toEqual(['environment', expect.stringContaining(`${path}: damaged`)]);
  });
});

describe('a new normal', () => {
  test('supersedes what was published before it, until that gets other content', async () => {
    await publishUnits({ a: ['1'], b: ['2'] });
    await override('c', '3', { as: 'new-normal' });
    expect([...supersededUnits(await latest())]).toEqual(['a', 'b']);
    await publishUnits({ a: ['4'] }, await latest());
    expect([...supersededUnits(await latest())]).toEqual(['b']);
  });

  test('begins on its day, also when the file of that day is delivered once more', async () => {
    await publishUnits({ '2024-01-01': ['1'] });
    await override('2024-01-02', '2', { as: 'new-normal', date: '2024-01-02' });
    await publishUnits({ '2024-01-02': ['3'] }, await latest());
    const since = (date: string) => latest().then((snapshot) => newNormalSince(snapshot, date));
    expect(await since('2024-01-01')).toBeUndefined();
    expect(await since('2024-01-09')).toBe('2024-01-02');
  });
});

test('an output without overridden data has no file about them', async () => {
  await publishUnits({ a: ['1'] });
  expect(existsSync(join((await latest()).folder, 'overridden.json'))).toBe(false);
});

test('how overridden data are to be taken is refused without a reason', async () => {
  const error = await failure(() =>
    publishStaged(output, RUN, { now, because: undefined, as: 'exception' }),
  );
  expect([error.code, error.message]).toEqual([
    'usage',
    '--exception: needs --because "…", which says why',
  ]);
});
