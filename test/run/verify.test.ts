import { mkdirSync, readdirSync, rmSync, symlinkSync, unlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { canonicalJson, sha256 } from '../../src/base/hash.js';
import { latestSnapshot, publish } from '../../src/run/snapshot.js';
import { stage } from '../../src/run/staged.js';
import { type Verification, verify } from '../../src/run/verify.js';
import {
  contents,
  makePart,
  output,
  publicationOf,
  publishUnits,
  recordOf,
  temporary,
} from '../publication-case.js';

const look = (options: { all?: boolean; repair?: boolean } = {}): Promise<Verification> =>
  verify(output, { now: () => new Date(), all: false, repair: false, ...options });

async function damage(options = {}): Promise<[string, string, string | null][]> {
  const found = await look(options);
  return found.damage.map(({ path, problem, repair }) => [path, problem, repair]);
}

function replace(path: string, text: string): void {
  unlinkSync(path);
  writeFileSync(path, text);
}

async function publishOnTop(units: Readonly<Record<string, readonly string[]>>): Promise<void> {
  await publishUnits(units, await latestSnapshot(output));
}

describe('verify', () => {
  test('finds nothing in what is whole, and reads each content once', async () => {
    await publishUnits({ a: ['1', '22'], b: ['333'] });
    expect(await look()).toEqual({
      snapshots: [1],
      files: 6,
      bytes: 6,
      records: 0,
      newestRecord: null,
      accepted: 0,
      damage: [],
    });
  });

  test('finds nothing where nothing is published', async () => {
    expect(await look({ all: true, repair: true })).toMatchObject({ snapshots: [], damage: [] });
  });

  test('changes nothing unless it is to repair', async () => {
    await publishUnits({ a: ['1'] });
    unlinkSync(output.path('current', 'data/a/flights-00000.parquet'));
    await damage();
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
    expect(readdirSync(output.path('store', 'parts'))).toHaveLength(1);
  });

  test('looks at older snapshots and staged runs when all are to be looked at', async () => {
    await publishUnits({ a: ['1'] });
    await publishOnTop({ a: ['2'] });
    const how = { runId: 'run-1', reason: 'bad', temporary };
    await stage(output, await publicationOf({ a: ['3'] }), await latestSnapshot(output), how);
    replace(output.path('snapshots/000001/data/a/flights-00000.parquet'), 'x');
    unlinkSync(output.path('staged/run-1/data/a/flights-00000.parquet'));
    expect(await damage()).toEqual([]);
    expect(await damage({ all: true })).toEqual([
      ['snapshots/000001/data/a/flights-00000.parquet', 'its content has changed', null],
      ['staged/run-1/data/a/flights-00000.parquet', 'is missing', null],
    ]);
    unlinkSync(output.path('staged/run-1/staged.json'));
    expect(await damage({ all: true })).toContainEqual([
      'staged/run-1',
      expect.stringMatching(/ENOENT$/),
      null,
    ]);
  });

  test('looks at rows that were set aside', async () => {
    const units = new Map([['u', recordOf([await makePart('good', 'parquet', 'bad')])]]);
    await publish(output, { name: 'flights', extension: 'parquet', units }, undefined, temporary);
    replace(output.path('current', 'quarantine/u/flights-00000.parquet'), 'dab');
    expect(await damage({ repair: true })).toEqual([
      [
        'snapshots/000001/quarantine/u/flights-00000.parquet',
        'its content has changed',
        'published anew as snapshot 2',
      ],
    ]);
    expect(await damage()).toEqual([]);
  });

  test('takes a link or a folder in place of a file for damage', async () => {
    await publishUnits({ a: ['1'], b: ['2'] });
    const [a, b] = ['a', 'b'].map((unit) => output.path('current', 'data', unit));
    unlinkSync(join(a!, 'flights-00000.parquet'));
    symlinkSync('/etc/hostname', join(a!, 'flights-00000.parquet'));
    unlinkSync(join(b!, 'flights-00000.parquet'));
    mkdirSync(join(b!, 'flights-00000.parquet'));
    expect((await damage()).map(([, problem]) => problem)).toEqual(['is no file', 'is no file']);
  });

  test.each([
    ['parts', 'part.json'],
    ['parts', 'data.parquet'],
    ['csv', 'csv.json'],
    ['csv', 'rows.parquet'],
    ['scores', 'scores.json'],
    ['scores', 'scores.parquet'],
  ] as const)('names what the store lacks of %s: %s, and removes the rest', async (kind, name) => {
    await publishUnits({ a: ['1'] });
    const key = sha256('part 1');
    const folder = output.storeFolder(kind, key);
    mkdirSync(folder, { recursive: true });
    const records = {
      parts: [],
      csv: [['csv.json', { key, rows: 1, rejected: null }]],
      scores: [
        [
          'scores.json',
          { format: 1, inputs: [], lossyCasts: [], files: { scores: sha256(''), bad: null } },
        ],
      ],
    } as const;
    for (const [file, record] of records[kind])
      writeFileSync(join(folder, file), canonicalJson(record));
    if (kind !== 'parts') {
      writeFileSync(join(folder, kind === 'csv' ? 'rows.parquet' : 'scores.parquet'), '');
    }
    expect(await damage()).toEqual([]);
    unlinkSync(join(folder, name));
    expect((await damage()).map(([path]) => path)).toEqual([
      expect.stringMatching(new RegExp(`^store/${kind}/`)),
    ]);
    const [found] = await damage({ repair: true });
    expect(found?.[2]).toBe('removed from the store');
    expect(readdirSync(join(folder, '..'))).toEqual([]);
    expect(await damage()).toEqual([]);
  });

  test("passes over what is nobody's in the store", async () => {
    await publishUnits({ a: ['1'] });
    mkdirSync(output.path('store', 'parts', 'zz'));
    writeFileSync(output.path('store', 'parts', 'notes'), '');
    mkdirSync(output.path('store', 'parts', '00', 'short'), { recursive: true });
    expect(await damage()).toEqual([]);
  });

  test('publishes anew with what is held, and what the store has whole', async () => {
    await publishUnits({ a: ['1'], b: ['2'] });
    rmSync(output.path('current', 'data', 'a'), { recursive: true });
    rmSync(output.partFolder(sha256('part 2')), { recursive: true });
    expect((await damage({ repair: true })).map(([, , repair]) => repair)).toEqual([
      'published anew as snapshot 2',
    ]);
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': '1',
      'b/flights-00000.parquet': '2',
    });
  });

  test('leaves to the next run what neither the store nor the snapshot has', async () => {
    await publishUnits({ a: ['1'] });
    const path = 'data/a/flights-00000.parquet';
    unlinkSync(output.path('current', path));
    rmSync(output.partFolder(sha256('part 1')), { recursive: true });
    expect(await damage({ repair: true })).toEqual([
      [`snapshots/000001/${path}`, 'is missing', null],
    ]);
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
  });
});
