import { mkdirSync, readdirSync, rmSync, truncateSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import { publishedFiles } from '../../src/plan/manifest.js';
import { clearMarks, damageMarks, markDamaged } from '../../src/run/damage-marks.js';
import { findDamaged, takeUnusable } from '../../src/run/mend.js';
import { latestSnapshot, publish, type Snapshot } from '../../src/run/snapshot.js';
import { verify } from '../../src/run/verify.js';
import { output, publicationOf, publishUnits, temporary } from '../publication-case.js';

const FILE = 'data/a/flights-00000.parquet';
const ALL = new Set(['a', 'b']);

async function published(): Promise<Snapshot> {
  await publishUnits({ a: ['1'], b: ['22'] });
  return (await latestSnapshot(output))!;
}

const paths = async (snapshot: Snapshot, units = ALL): Promise<string[]> =>
  (await findDamaged(output, snapshot, units)).files.map(({ path }) => path);

function marks(): string[] {
  return readdirSync(output.path('store', 'damaged'));
}

describe('a run finds published files', () => {
  test('that are missing, cut short or not files, of the partitions that it covers', async () => {
    const snapshot = await published();
    expect(await paths(snapshot)).toEqual([]);
    unlinkSync(join(snapshot.folder, FILE));
    expect(await paths(snapshot)).toEqual([FILE]);
    expect(await paths(snapshot, new Set(['b']))).toEqual([]);
    mkdirSync(join(snapshot.folder, FILE));
    expect(await paths(snapshot)).toEqual([FILE]);
    truncateSync(join(snapshot.folder, 'data/b/flights-00000.parquet'), 1);
    expect(await paths(snapshot)).toEqual([FILE, 'data/b/flights-00000.parquet']);
  });

  test('that are marked, though their sizes are right', async () => {
    const snapshot = await published();
    await markDamaged(output, publishedFiles(snapshot.manifest).slice(0, 1));
    expect(await paths(snapshot)).toEqual([FILE]);
  });

  test('and takes from the store what cannot replace them', async () => {
    const snapshot = await published();
    const files = publishedFiles(snapshot.manifest);
    await takeUnusable(output, snapshot, files, temporary);
    expect(await output.has('parts', sha256('part 1'))).toBe(true);
    // A hard link: the published file has the same damage.
    writeFileSync(join(output.partFolder(sha256('part 1')), 'data.parquet'), 'x');
    await takeUnusable(output, snapshot, files, temporary);
    expect(await output.has('parts', sha256('part 1'))).toBe(false);
    expect(await output.has('parts', sha256('part 22'))).toBe(true);
  });
});

describe('a mark of damage', () => {
  test('stays until a publication has the whole file', async () => {
    const snapshot = await published();
    await markDamaged(output, [...publishedFiles(snapshot.manifest), { snapshot: 1 }]);
    expect(marks()).toHaveLength(3);
    rmSync(output.partFolder(sha256('part 1')), { recursive: true });
    writeFileSync(join(snapshot.folder, FILE), 'x');
    // Another partition is published meanwhile, and the damaged file is carried over.
    await publishUnits({ b: ['333'] }, snapshot);
    expect(marks()).toEqual([`parts-${sha256('part 1')}`, `parts-${sha256('part 22')}`].sort());
    const second = (await latestSnapshot(output))!;
    expect(await paths(second)).toEqual([FILE]);
    const whole = { ...(await publicationOf({ a: ['1'] })), anew: true };
    await publish(output, whole, second, temporary);
    expect(marks()).toEqual([`parts-${sha256('part 22')}`]);
    expect(await paths((await latestSnapshot(output))!)).toEqual([]);
  });

  test('of what is published no more does no harm', async () => {
    await published();
    await markDamaged(output, [{ kind: 'parts', key: sha256('gone') }]);
    await clearMarks(output, (await latestSnapshot(output))!);
    const { has } = await damageMarks(output);
    expect(has({ kind: 'parts', key: sha256('gone') })).toBe(true);
    expect(await paths((await latestSnapshot(output))!)).toEqual([]);
  });

  test('is left by a repair that cannot mend, and dropped by one that finds the file whole', async () => {
    const snapshot = await published();
    const path = join(snapshot.folder, FILE);
    unlinkSync(path);
    rmSync(output.partFolder(sha256('part 1')), { recursive: true });
    const repair = { now: () => new Date(), all: false, repair: true };
    await verify(output, repair);
    expect(marks()).toEqual([`parts-${sha256('part 1')}`]);
    writeFileSync(path, '1');
    await verify(output, repair);
    expect(marks()).toEqual([]);
  });
});
