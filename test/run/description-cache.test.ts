import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import { DescriptionCache } from '../../src/run/description-cache.js';
import { Output } from '../../src/run/store.js';
import { makeFolder } from '../scoreline.js';

const STAMP = { dev: '1', ino: '2', size: 3, mtimeNs: '4', ctimeNs: '5' };
const FILE = { path: 'x.parquet', absolute: '/in/x.parquet', unit: '', stamp: STAMP };
const FACTS = {
  sha256: sha256('x'),
  rows: 7,
  rowGroups: [{ rows: 7, bytes: 90 }],
  schema: [{ name: 'a', type: 'DOUBLE' }],
};
const WANTED = { csv: undefined, hash: true, checksums: true };

/** An output whose cache knows a file. */
async function makeCache(): Promise<{ output: Output; path: string }> {
  const output = await Output.open(join(makeFolder(), 'out'));
  const cache = await DescriptionCache.load(output);
  cache.keepFile(FILE, WANTED, { stamp: STAMP, facts: FACTS }, BigInt(Date.now()) * 1_000_000n);
  await cache.save();
  return { output, path: output.path('cache', 'descriptions.json') };
}

const known = async (output: Output) => (await DescriptionCache.load(output)).file(FILE, WANTED);

test('what the cache knows of a file is read back', async () => {
  const { output } = await makeCache();
  expect(await known(output)).toEqual(FACTS);
});

test('a file whose pages were not checked is not known to a run that is to check them', async () => {
  const { output } = await makeCache();
  const cache = await DescriptionCache.load(output);
  const unchecked = { ...WANTED, checksums: false };
  expect(cache.file(FILE, unchecked)).toEqual(FACTS);
  const now = BigInt(Date.now()) * 1_000_000n;
  cache.keepFile(FILE, unchecked, { stamp: STAMP, facts: FACTS }, now);
  expect(cache.file(FILE, unchecked)).toEqual(FACTS);
  expect(cache.file(FILE, WANTED)).toBeUndefined();
  expect(cache.file(FILE, { ...WANTED, hash: false })).toEqual(FACTS);
});

test('a cache of which one bit has changed knows nothing, wherever that is', async () => {
  const { output, path } = await makeCache();
  const bytes = readFileSync(path);
  for (let at = 0; at < bytes.length; at++) {
    const changed = Buffer.from(bytes);
    changed[at]! ^= 1 << (at % 7);
    writeFileSync(path, changed);
    expect(await known(output), `byte ${at}`).toBeUndefined();
  }
});

test.each([
  ['empty', () => ''],
  ['cut short', (text: string) => text.slice(0, text.length >> 1)],
  ['of an earlier version', (text: string) => text.slice(text.indexOf('\n') + 1)],
  ['of another format', (text: string) => text.replace(/"format":\d+/, '"format":7')],
])('a cache that is %s knows nothing, and is written anew', async (_name, change) => {
  const { output, path } = await makeCache();
  const text = readFileSync(path, 'utf8');
  writeFileSync(path, change(text));
  const cache = await DescriptionCache.load(output);
  expect(cache.file(FILE, WANTED)).toBeUndefined();
  cache.keepFile(FILE, WANTED, { stamp: STAMP, facts: FACTS }, BigInt(Date.now()) * 1_000_000n);
  await cache.save();
  expect(readFileSync(path, 'utf8')).toBe(text);
});

test('a cache whose content does not fit the schema knows nothing, though its digest is right', async () => {
  const { output, path } = await makeCache();
  const text = readFileSync(path, 'utf8');
  const rest = text.slice(text.indexOf('\n') + 1).replace('"rows":7', '"rows":"7"');
  const { format } = JSON.parse(text.slice(0, text.indexOf('\n'))) as { format: number };
  writeFileSync(path, `${JSON.stringify({ format, sha256: sha256(rest) })}\n${rest}`);
  expect(await known(output)).toBeUndefined();
});
