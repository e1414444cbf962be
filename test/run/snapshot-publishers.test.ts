import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  symlinkSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { manifestText } from '../../src/plan/manifest.js';
import {
  currentPath,
  latestSnapshot,
  publish,
  repairCurrent,
  type Snapshot,
} from '../../src/run/snapshot.js';
import { failure } from '../failure.js';
import { contents, current, output, publicationOf, publishUnits } from '../publication-case.js';

describe('two publishers', () => {
  test('of disjoint units both land: the second builds on the first', async () => {
    const first = await publishUnits({ a: ['1'] });
    const [ours, theirs] = [{ b: ['2'] }, { c: ['3'] }];
    expect((await publishUnits(theirs, first))?.number).toBe(2);
    expect((await publishUnits(ours, first))?.number).toBe(3);
    expect(Object.keys((await latestSnapshot(output))!.manifest.units).sort()).toEqual([
      'a',
      'b',
      'c',
    ]);
    expect(current()).toBe('snapshots/000003');
  });

  test('both land when nothing was published before either of them', async () => {
    await publishUnits({ a: ['1'] }, undefined);
    await publishUnits({ b: ['2'] }, undefined);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': '1',
      'b/flights-00000.parquet': '2',
    });
  });

  test('are judged on top of what is published in the end: anew when another was first', async () => {
    const base = await publishUnits({ a: ['1'] });
    const seen: (number | undefined)[] = [];
    const ours = {
      ...(await publicationOf({ b: ['2'] })),
      review: async (latest: Snapshot | undefined): Promise<string> => {
        seen.push(latest?.number);
        // The first time, another run publishes while this one is judged.
        if (seen.length === 1) await publishUnits({ c: ['3'] }, base);
        return `judged on top of ${latest?.number}`;
      },
    };
    const published = await publish(output, ours, base, await output.makeTemporary());
    expect([published?.number, seen]).toEqual([3, [1, 2]]);
    const report = readFileSync(output.path('snapshots', '000003', 'report.json'), 'utf8');
    expect(report).toBe('judged on top of 2');
  });

  test('and more at once each get a number of their own, and no unit is lost', async () => {
    const base = await publishUnits({ base: ['0'] });
    const publications = await Promise.all(
      Array.from({ length: 6 }, (_, i) => publicationOf({ [`u${i}`]: [String(i)] })),
    );
    const folders = await Promise.all(publications.map(() => output.makeTemporary()));
    const snapshots = await Promise.all(
      publications.map((publication, i) => publish(output, publication, base, folders[i]!)),
    );
    expect(snapshots.map((snapshot) => snapshot?.number).sort()).toEqual([2, 3, 4, 5, 6, 7]);
    const { manifest } = (await latestSnapshot(output))!;
    expect(Object.keys(manifest.units).sort()).toEqual([
      'base',
      'u0',
      'u1',
      'u2',
      'u3',
      'u4',
      'u5',
    ]);
    expect(current()).toBe('snapshots/000007');
    expect(Object.keys(contents(output.path('current', 'data')))).toHaveLength(7);
  });

  test('of the same unit with other content conflict, and the first stays', async () => {
    const base = await publishUnits({ a: ['1'], b: ['2'] });
    await publishUnits({ a: ['theirs'] }, base);
    const error = await failure(() => publishUnits({ a: ['ours'], c: ['3'] }, base));
    expect([error.code, error.message]).toEqual([
      'conflict',
      'partition a: snapshot 2 of another run was published first, with other content; run again',
    ]);
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001', '000002']);
    expect(contents(output.path('current', 'data'))['a/flights-00000.parquet']).toBe('theirs');
  });

  test('of a new unit with other content conflict, also at the root and before the first snapshot', async () => {
    await publishUnits({ '': ['theirs'] }, undefined);
    const error = await failure(() => publishUnits({ '': ['ours'] }, undefined));
    expect([error.code, error.message]).toEqual([
      'conflict',
      expect.stringMatching(/^partition \.: snapshot 1 /),
    ]);
  });

  test('of the same content agree: there is nothing to do for the second', async () => {
    const base = await publishUnits({ a: ['1'] });
    await publishUnits({ a: ['2'] }, base);
    expect(await publishUnits({ a: ['2'] }, base)).toBeUndefined();
    expect((await publishUnits({ a: ['2'], b: ['3'] }, base))?.number).toBe(3);
  });

  test('conflict when one went back to what was there before both', async () => {
    const base = await publishUnits({ a: ['1'] });
    const second = await publishUnits({ a: ['2'] }, base);
    await publishUnits({ a: ['1'] }, second);
    expect((await failure(() => publishUnits({ a: ['3'] }, second))).code).toBe('conflict');
  });
});

describe('current', () => {
  test('is what everybody can find again after the link is gone', async () => {
    await publishUnits({ a: ['1'] });
    unlinkSync(output.path('current'));
    await repairCurrent(output);
    expect(current()).toBe('snapshots/000001');
  });

  test('is moved on when it names an older snapshot, or nothing', async () => {
    const first = await publishUnits({ a: ['1'] });
    await publishUnits({ a: ['2'] }, first);
    for (const stale of ['snapshots/000001', 'snapshots/000009', '../elsewhere']) {
      unlinkSync(output.path('current'));
      symlinkSync(stale, output.path('current'));
      await repairCurrent(output);
      expect(current()).toBe('snapshots/000002');
    }
  });

  test('is repaired by a run that changes nothing', async () => {
    const first = await publishUnits({ a: ['1'] });
    unlinkSync(output.path('current'));
    expect(await publishUnits({ a: ['1'] }, first)).toBeUndefined();
    expect(current()).toBe('snapshots/000001');
  });

  test('is not there before the first publication', async () => {
    await repairCurrent(output);
    expect(existsSync(output.path('current'))).toBe(false);
    const error = await failure(() => currentPath(output));
    expect([error.code, error.message]).toEqual([
      'input',
      expect.stringMatching(/: nothing is published yet$/),
    ]);
  });

  test('is resolved for a reader that wants to see one snapshot', async () => {
    const first = await publishUnits({ a: ['1'] });
    const seen = await currentPath(output);
    await publishUnits({ a: ['2'] }, first);
    expect(seen).toBe(output.path('snapshots', '000001'));
    expect(contents(join(seen, 'data'))).toEqual({ 'a/flights-00000.parquet': '1' });
    expect(await currentPath(output)).toBe(output.path('snapshots', '000002'));
  });

  test('goes by number, not by name, after 999,999 snapshots; other names are no snapshots', async () => {
    const first = await publishUnits({ a: ['1'] });
    for (const name of ['999999', '1000000']) {
      mkdirSync(output.path('snapshots', name));
      writeFileSync(
        output.path('snapshots', name, 'manifest.json'),
        manifestText({ ...first!.manifest, name: `n${name}` }),
      );
    }
    for (const name of ['12345', '000001.tmp', 'x2000000', '-0000002']) {
      mkdirSync(output.path('snapshots', name));
    }
    expect((await latestSnapshot(output))?.number).toBe(1_000_000);
    await repairCurrent(output);
    expect(current()).toBe('snapshots/1000000');
    expect((await publishUnits({ b: ['2'] }, first))?.number).toBe(1_000_001);
  });
});
