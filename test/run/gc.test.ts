import { spawnSync } from 'node:child_process';
import {
  existsSync,
  mkdirSync,
  readdirSync,
  statSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import { processSpace } from '../../src/base/identity.js';
import { type GcReport, gc } from '../../src/run/gc.js';
import { revert } from '../../src/run/revert.js';
import { latestSnapshot, publish } from '../../src/run/snapshot.js';
import { discardStaged, publishStaged, stage } from '../../src/run/staged.js';
import { failure } from '../failure.js';
import {
  contents,
  current,
  output,
  publicationOf,
  publishUnits,
  temporary,
} from '../publication-case.js';

const NOW = new Date('2033-06-01T00:00:00Z');
const DAY_MS = 24 * 60 * 60 * 1000;

const clean = (keep = 1, dryRun = false): Promise<GcReport> =>
  gc(output, { keep, dryRun, now: () => NOW });

async function publishOnTop(units: Readonly<Record<string, readonly string[]>>): Promise<void> {
  await publishUnits(units, await latestSnapshot(output));
}

const partOf = (content: string): string => output.partFolder(sha256(`part ${content}`));

/** Says that a folder was touched so many days before now. */
function age(folder: string, days: number): void {
  const date = new Date(NOW.getTime() - days * DAY_MS);
  utimesSync(folder, date, date);
}

describe('gc', () => {
  test('keeps the newest snapshots and removes the others, with what only they need', async () => {
    for (const content of ['1', '22', '333', '4444']) await publishOnTop({ a: [content] });
    const report = await clean(2);
    expect(report).toMatchObject({ dryRun: false, snapshots: [1, 2], parts: 2, scores: 0, csv: 0 });
    expect(readdirSync(output.path('snapshots'))).toEqual(['000003', '000004']);
    expect(['1', '22', '333', '4444'].map((content) => existsSync(partOf(content)))).toEqual([
      false,
      false,
      true,
      true,
    ]);
    expect(current()).toBe('snapshots/000004');
    expect(contents(output.path('current', 'data'))).toEqual({ 'a/flights-00000.parquet': '4444' });
    expect(await clean(2)).toMatchObject({ snapshots: [], parts: 0, bytes: 0 });
  });

  test('says what it would remove, and removes nothing, when it is only to look', async () => {
    for (const content of ['1', '22', '333']) await publishOnTop({ a: [content] });
    const look = await clean(1, true);
    expect(readdirSync(output.path('snapshots'))).toHaveLength(3);
    expect(existsSync(partOf('1'))).toBe(true);
    expect(await clean(1)).toEqual({ ...look, dryRun: false });
    expect(look).toMatchObject({ snapshots: [1, 2], parts: 2 });
  });

  test('counts as freed only what has no other name', async () => {
    await publishOnTop({ a: ['x'.repeat(10_000)], b: ['y'.repeat(100_000)] });
    await publishOnTop({ a: ['z'] });
    const { bytes } = await clean(1, true);
    expect(bytes).toBeGreaterThan(10_000);
    expect(bytes).toBeLessThan(20_000);
  });

  test('never removes the current snapshot, however few are to be kept', async () => {
    await publishOnTop({ a: ['1'] });
    expect(await clean(1)).toMatchObject({ snapshots: [], parts: 0 });
    await expect(clean(0)).rejects.toThrow(RangeError);
    await expect(clean(Number.NaN)).rejects.toThrow(RangeError);
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
  });

  test.each([
    [6.9, true],
    [7.1, false],
  ])('of what was touched %d days ago, needed or not, keeps: %s', async (days, kept) => {
    for (const kind of ['parts', 'scores', 'csv', 'models'] as const) {
      const folder = output.storeFolder(kind, sha256('x'));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'file'), 'x');
      age(folder, days);
    }
    const count = kept ? 0 : 1;
    expect(await clean()).toMatchObject({
      parts: count,
      scores: count,
      csv: count,
      models: count,
    });
    expect(existsSync(output.scoreFolder(sha256('x')))).toBe(kept);
  });

  test('keeps the scores of published parts, and the converted files with bad records', async () => {
    const publication = await publicationOf({ a: ['1'] });
    const key = sha256('csv');
    const unit = publication.units.get('a')!;
    const file = { sha256: sha256('bad'), bytes: 3, rows: 1 };
    publication.units.get('a')!.rejected = [{ key, file }];
    for (const folder of [output.csvFolder(key), output.scoreFolder(unit.parts[0]!.scoreKey)]) {
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'rejected.parquet'), 'bad');
      age(folder, 100);
    }
    await stage(output, publication, undefined, { runId: 'run-1', reason: '', temporary });
    expect(await clean()).toMatchObject({ parts: 0, scores: 0, csv: 0 });
    await publishStaged(output, 'run-1', { now: () => NOW, because: undefined });
    expect(await clean()).toMatchObject({ parts: 0, scores: 0, csv: 0 });
  });

  test('keeps the models that kept snapshots were scored with', async () => {
    for (const model of ['old', 'new', 'newest']) {
      const publication = await publicationOf({ a: [model] });
      publication.units.get('a')!.model = [sha256(model)];
      await publish(output, publication, await latestSnapshot(output), temporary);
      const folder = output.storeFolder('models', sha256(model));
      mkdirSync(folder, { recursive: true });
      writeFileSync(join(folder, 'model.json'), model);
      age(folder, 100);
    }
    expect(await clean(2)).toMatchObject({ snapshots: [1], models: 1 });
    const kept = (model: string): boolean =>
      existsSync(output.storeFolder('models', sha256(model)));
    expect(['old', 'new', 'newest'].map(kept)).toEqual([false, true, true]);
  });

  test('keeps what is staged until it is discarded', async () => {
    await publishOnTop({ a: ['1'] });
    const how = { runId: 'run-1', reason: '', temporary };
    await stage(output, await publicationOf({ a: ['2'] }), await latestSnapshot(output), how);
    for (const content of ['3', '4']) await publishOnTop({ b: [content] });
    expect(await clean()).toMatchObject({ snapshots: [1, 2], parts: 1 });
    expect(existsSync(partOf('2'))).toBe(true);
    await discardStaged(output, 'run-1', { now: () => NOW, because: undefined });
    expect(await clean()).toMatchObject({ parts: 1 });
    expect(existsSync(partOf('2'))).toBe(false);
  });

  test('keeps what a reverted output can go back to', async () => {
    for (const content of ['1', '2', '3']) await publishOnTop({ a: [content] });
    await revert(output, 1, { now: () => NOW, because: undefined });
    expect(await clean(2)).toMatchObject({ snapshots: [1, 2], parts: 1 });
    await revert(output, 3, { now: () => NOW, because: undefined });
    expect(contents(output.path('current', 'data'))).toEqual({ 'a/flights-00000.parquet': '3' });
  });

  test('removes nothing while a manifest is damaged', async () => {
    for (const content of ['1', '2', '3']) await publishOnTop({ a: [content] });
    const path = output.path('snapshots', '000002', 'manifest.json');
    unlinkSync(path);
    writeFileSync(path, '{}');
    expect((await failure(() => clean(2))).code).toBe('environment');
    expect(readdirSync(output.path('snapshots'))).toHaveLength(3);
    expect(await clean(1)).toMatchObject({ snapshots: [1, 2] });
  });

  test('removes temporary folders of processes that are gone, and leaves those of others', async () => {
    const { pid } = spawnSync(process.execPath, ['-e', '']);
    for (const name of [`${processSpace()}-${pid}-1-abc`, `ffffffffffff-${pid}-1-abc`]) {
      mkdirSync(output.path('tmp', name, 'deep'), { recursive: true });
      writeFileSync(output.path('tmp', name, 'deep', 'file'), 'leftover');
    }
    const now = (): Date => new Date();
    const report = await gc(output, { keep: 10, dryRun: false, now });
    expect(report).toMatchObject({ temporary: 1, bytes: 8 });
    expect(readdirSync(output.path('tmp')).sort()).toEqual(
      [temporary.split('/').at(-1), `ffffffffffff-${pid}-1-abc`].sort(),
    );
  });

  test('many times at once removes each thing once', async () => {
    for (const content of ['1', '2', '3', '4', '5', '6']) await publishOnTop({ a: [content] });
    const reports = await Promise.all(Array.from({ length: 4 }, () => clean(2)));
    expect(reports.flatMap(({ snapshots }) => snapshots).sort()).toEqual([1, 2, 3, 4]);
    expect(reports.reduce((sum, { parts }) => sum + parts, 0)).toBe(4);
    expect(Object.keys(contents(output.path('snapshots')))).toHaveLength(4);
  });

  test('beside publishers loses nothing that they publish', async () => {
    await publishOnTop({ base: ['0'] });
    const publishAll = async (unit: string): Promise<void> => {
      const own = await output.makeTemporary();
      for (let i = 0; i < 8; i++) {
        const publication = await publicationOf({ [unit]: [`${unit} ${i}`] });
        await publish(output, publication, await latestSnapshot(output), own);
      }
    };
    let publishing = true;
    const cleanAll = async (): Promise<void> => {
      // With a clock that is right: what the publishers made just now is fresh.
      while (publishing) await gc(output, { keep: 1, dryRun: false, now: () => new Date() });
    };
    const publishers = Promise.all(['a', 'b', 'c'].map(publishAll)).finally(() => {
      publishing = false;
    });
    await Promise.all([publishers, cleanAll(), cleanAll()]);
    await clean();
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': 'a 7',
      'b/flights-00000.parquet': 'b 7',
      'base/flights-00000.parquet': '0',
      'c/flights-00000.parquet': 'c 7',
    });
  });
});

describe('touching', () => {
  test('keeps what is in the store for a while, and tells whether it is there', async () => {
    await publishUnits({ a: ['1'] });
    const key = sha256('part 1');
    age(partOf('1'), 100);
    expect(await output.touch('parts', key)).toBe(true);
    expect(Math.abs(Date.now() - statSync(partOf('1')).mtimeMs)).toBeLessThan(60_000);
    expect(await output.touch('parts', sha256('other'))).toBe(false);
  });
});
