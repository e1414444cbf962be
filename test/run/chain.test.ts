/** The records of an output, each of which holds the hash of the one before. */
import { createHash } from 'node:crypto';
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { appendRecord } from '../../src/run/chain.js';
import { verify } from '../../src/run/verify.js';
import { output } from '../publication-case.js';

const runId = (number: number): string =>
  `20130601T0200${String(number).padStart(2, '0')}.000Z-abcd`;
const chainFile = (number: number): string =>
  output.path('runs/chain/000', String(number).padStart(6, '0'), 'record.json');
const runFile = (number: number): string => output.path('runs', runId(number), 'run.json');
const read = (path: string) => JSON.parse(readFileSync(path, 'utf8'));
const sha256sum = (path: string): string =>
  createHash('sha256').update(readFileSync(path)).digest('hex');

/** Writes over a file, whatever its other names. */
function replace(path: string, text: string): void {
  unlinkSync(path);
  writeFileSync(path, text);
}

async function append(...numbers: number[]): Promise<void> {
  for (const number of numbers)
    await appendRecord(output, runId(number), {
      format: 1,
      runId: runId(number),
      outcome: 'published',
      times: { wall: 1 },
      error: null,
    });
}

async function damage(
  repair = false,
  because?: string,
): Promise<[string, string, string | null][]> {
  const found = await verify(output, { now: () => new Date(), all: false, repair, because });
  return found.damage.map(({ path, problem, repair: mended }) => [path, problem, mended]);
}

describe('the chain of records', () => {
  test('gives each record the next number and the hash of the one before, in both of its places', async () => {
    await append(1, 2, 3);
    expect(read(chainFile(1)).chain).toEqual({ number: 1, previous: null });
    expect(read(chainFile(2)).chain).toEqual({ number: 2, previous: sha256sum(chainFile(1)) });
    expect(read(chainFile(3)).chain).toEqual({ number: 3, previous: sha256sum(chainFile(2)) });
    for (const number of [1, 2, 3])
      expect(readFileSync(runFile(number))).toEqual(readFileSync(chainFile(number)));
    const found = await verify(output, { now: () => new Date(), all: true, repair: false });
    expect(found).toMatchObject({
      records: 3,
      newestRecord: sha256sum(chainFile(3)),
      damage: [],
    });
    expect(readdirSync(output.path('tmp'))).toHaveLength(1);
  });

  test('has a place for each of many that come at once', async () => {
    await Promise.all(Array.from({ length: 12 }, (_, number) => append(number + 1)));
    const places = Array.from({ length: 12 }, (_, number) => read(chainFile(number + 1)));
    expect(new Set(places.map((record) => record.runId)).size).toBe(12);
    expect(await damage()).toEqual([]);
  });

  test('goes on beyond a thousand, and where the folder for the next thousand was left empty', async () => {
    await append(1);
    const last = read(chainFile(1));
    mkdirSync(output.path('runs/chain/000/000999'));
    writeFileSync(chainFile(999), JSON.stringify(last));
    mkdirSync(output.path('runs/chain/001'));
    await append(2);
    expect(read(output.path('runs/chain/001/001000/record.json')).chain).toEqual({
      number: 1000,
      previous: sha256sum(chainFile(999)),
    });
    await append(3);
    expect(existsSync(output.path('runs/chain/001/001001/record.json'))).toBe(true);
  });

  test('is whole when a process ends before its record is in the folder of its run, which the next sees to', async () => {
    await append(1, 2);
    rmSync(output.path('runs', runId(2)), { recursive: true });
    expect(await damage()).toEqual([]);
    await append(3);
    expect(readFileSync(runFile(2))).toEqual(readFileSync(chainFile(2)));
    expect(await damage()).toEqual([]);
  });
});

describe('verify names', () => {
  const NEW = `${JSON.stringify({ format: 1, runId: 'x', outcome: 'published', times: { wall: 1 } })}\n`;

  test('a record that was edited where it is, also the newest', async () => {
    await append(1, 2, 3);
    for (const number of [2, 3]) {
      const text = readFileSync(chainFile(number), 'utf8');
      writeFileSync(chainFile(number), text.replace('published', 'failed'));
    }
    const changed = 'its content has changed';
    expect(await damage()).toEqual([
      ['runs/chain/000/000002/record.json', changed, null],
      ['runs/chain/000/000003/record.json', changed, null],
    ]);
  });

  test('a record that was written anew with a digest of its own', async () => {
    await append(1, 2, 3);
    const old = readFileSync(chainFile(2), 'utf8');
    rmSync(output.path('runs/chain/000/000003'), { recursive: true });
    const three = readFileSync(runFile(3), 'utf8');
    // The same record made in another place: whole by itself, but it is not what 3 followed.
    rmSync(output.path('runs/chain/000/000002'), { recursive: true });
    rmSync(output.path('runs', runId(2)), { recursive: true });
    await append(4);
    mkdirSync(output.path('runs/chain/000/000003'));
    writeFileSync(chainFile(3), three);
    expect(readFileSync(chainFile(2), 'utf8')).not.toBe(old);
    expect(await damage()).toEqual([
      ['runs/chain/000/000002/record.json', 'is not the record that 3 was written after', null],
    ]);
  });

  test('a record that is gone in the middle, from the chain or altogether', async () => {
    await append(1, 2, 3, 4);
    rmSync(output.path('runs/chain/000/000003'), { recursive: true });
    expect(await damage()).toEqual([
      ['runs/chain/000/000003/record.json', 'is missing', null],
      [`runs/${runId(3)}/run.json`, 'is not in the chain of records', null],
    ]);
    rmSync(output.path('runs', runId(3)), { recursive: true });
    unlinkSync(chainFile(2));
    expect(await damage()).toEqual([
      ['runs/chain/000/000002/record.json', 'is missing', null],
      ['runs/chain/000/000003/record.json', 'is missing', null],
      [`runs/${runId(2)}/run.json`, 'is not in the chain of records', null],
    ]);
  });

  test('a gap that was closed by renaming', async () => {
    await append(1, 2, 3);
    rmSync(output.path('runs/chain/000/000002'), { recursive: true });
    rmSync(output.path('runs', runId(2)), { recursive: true });
    renameSync(output.path('runs/chain/000/000003'), output.path('runs/chain/000/000002'));
    expect(await damage()).toEqual([
      ['runs/chain/000/000002/record.json', 'is record 3, in the place of 2', null],
    ]);
  });

  test('a run that was put beside the chain', async () => {
    await append(1, 2);
    mkdirSync(output.path('runs', runId(5)));
    writeFileSync(runFile(5), NEW);
    mkdirSync(output.path('runs', runId(6)));
    cpSync(runFile(2), runFile(6));
    expect(await damage()).toEqual([
      [`runs/${runId(5)}/run.json`, 'is not in the chain of records', null],
      [`runs/${runId(6)}/run.json`, 'is not in the chain of records', null],
    ]);
  });

  test('that the chain is gone altogether, or its beginning', async () => {
    await append(1, 2, 3);
    rmSync(output.path('runs/chain/000/000001'), { recursive: true });
    expect(await damage()).toEqual([
      ['runs/chain/000/000001/record.json', 'is missing', null],
      [`runs/${runId(1)}/run.json`, 'is not in the chain of records', null],
    ]);
    rmSync(output.path('runs/chain'), { recursive: true });
    expect((await damage()).map(([, problem]) => problem)).toEqual(
      Array(3).fill('is not in the chain of records'),
    );
  });

  test('a record of a run that was replaced or removed, and takes it from the chain again', async () => {
    await append(1, 2, 3);
    replace(runFile(1), NEW);
    unlinkSync(runFile(2));
    expect(await damage()).toEqual([
      [`runs/${runId(1)}/run.json`, 'is not the record of the chain', null],
      [`runs/${runId(2)}/run.json`, 'is missing', null],
    ]);
    expect((await damage(true)).map(([, , mended]) => mended)).toEqual(
      Array(2).fill('taken from the chain'),
    );
    expect(await damage()).toEqual([]);
    expect(statSync(runFile(1)).ino).toBe(statSync(chainFile(1)).ino);
  });

  test('an edited record of the chain, and does not put it in the place of the one beside it', async () => {
    await append(1, 2);
    const text = readFileSync(chainFile(1), 'utf8');
    replace(chainFile(1), text.replace('published', 'failed'));
    expect((await damage(true)).map(([path, , mended]) => [path, mended])).toEqual([
      ['runs/chain/000/000001/record.json', null],
      [`runs/${runId(1)}/run.json`, null],
    ]);
    expect(readFileSync(runFile(1), 'utf8')).toBe(text);
  });

  test('what is lost no more once somebody accepted it, which is in the chain itself', async () => {
    await append(1, 2, 3, 4, 5, 6);
    for (const number of [2, 3, 4]) {
      rmSync(output.path('runs/chain/000', `00000${number}`), { recursive: true });
      rmSync(output.path('runs', runId(number)), { recursive: true });
    }
    const [gone] = await damage();
    expect(gone).toEqual([
      'runs/chain/000/000002/record.json',
      'is missing, and all up to 4',
      null,
    ]);
    expect(await damage(false, 'a disk lost them')).toEqual([[gone?.[0], gone?.[1], 'accepted']]);
    expect(read(chainFile(7))).toMatchObject({
      command: 'verify',
      outcome: 'accepted',
      because: 'a disk lost them',
      overrides: ['runs/chain/000/000002/record.json: is missing, and all up to 4'],
    });
    expect(
      await verify(output, { now: () => new Date(), all: false, repair: false }),
    ).toMatchObject({ damage: [], accepted: 1 });
    // Other damage is other damage.
    const text = readFileSync(chainFile(5), 'utf8');
    replace(chainFile(5), text.replace('published', 'unchanged'));
    expect(await damage()).toHaveLength(2);
    await damage(false, 'known');
    replace(chainFile(5), text.replace('published', 'failed'));
    expect((await damage()).map(([path]) => path)).toEqual(['runs/chain/000/000005/record.json']);
  });

  test('a number that nobody gave, and no record is added after it', async () => {
    await append(1);
    mkdirSync(output.path('runs/chain/999999/999999999'), { recursive: true });
    writeFileSync(output.path('runs/chain/999999/999999999/record.json'), '{}');
    await expect(append(2)).rejects.toThrow(/has a number that nobody gave it/);
    expect((await damage()).map(([, problem]) => problem)).toEqual([
      'is missing, and all up to 999999998',
      'is damaged',
    ]);
  });

  test('no record of before there was a chain', async () => {
    for (const number of [1, 2]) {
      mkdirSync(output.path('runs', runId(number)));
      writeFileSync(runFile(number), NEW);
    }
    expect(await damage()).toEqual([]);
    await append(3);
    expect(read(chainFile(1)).runId).toBe(runId(3));
    expect(await damage()).toEqual([]);
  });

  test('what a damaged record says of a place elsewhere is not followed', async () => {
    await append(1);
    const text = readFileSync(chainFile(1), 'utf8');
    replace(chainFile(1), text.replaceAll(runId(1), '../../elsewhere'));
    await append(2);
    expect(existsSync(join(output.root, '..', 'elsewhere'))).toBe(false);
    expect((await damage()).map(([path]) => path)).toEqual([
      'runs/chain/000/000001/record.json',
      `runs/${runId(1)}/run.json`,
    ]);
  });
});
