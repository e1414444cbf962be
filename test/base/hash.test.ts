import { renameSync, statSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  canonicalJson,
  compareText,
  type FileStamp,
  hashFile,
  isSettled,
  keyOf,
  sha256,
  stampOf,
  stampText,
} from '../../src/base/hash.js';
import { failure } from '../failure.js';
import { asNobody, IS_ROOT } from '../nobody.js';
import { Random } from '../random.js';
import { makeFolder } from '../scoreline.js';

const NAMES = ['a', 'b', 'B', '10', '9', '', 'é', '\u{1f600}', '\uffee', '__proto__', 'toString'];

/** A value of JSON; objects have their keys in any order. */
function drawJson(random: Random, depth: number): unknown {
  const kind = random.whole(0, depth > 0 ? 6 : 4);
  if (kind === 0) return null;
  if (kind === 1) return random.next() < 0.5;
  if (kind === 2) return random.whole(-3, 3);
  if (kind === 3) return random.next() * 10 ** random.whole(-30, 30);
  if (kind === 4) return random.pick([...NAMES, 'a "quote"', '\\', '\n\0\u2028', '\ud800']);
  const values = Array.from({ length: random.whole(0, 4) }, () => drawJson(random, depth - 1));
  if (kind === 5) return values;
  const names = random.shuffled(NAMES);
  return Object.fromEntries(values.map((value, i) => [names[i]!, value]));
}

/** The same value, built in another order. */
function rebuilt(random: Random, value: unknown): unknown {
  if (Array.isArray(value)) return value.map((inner) => rebuilt(random, inner));
  if (typeof value !== 'object' || value === null) return value;
  const entries = random.shuffled(Object.entries(value));
  return Object.fromEntries(entries.map(([name, inner]) => [name, rebuilt(random, inner)]));
}

describe('canonical JSON', () => {
  test('does not depend on the order in which keys were set, and can be read back', () => {
    const random = new Random(1);
    for (let trial = 0; trial < 2_000; trial++) {
      const value = drawJson(random, 4);
      const text = canonicalJson(value);
      expect(canonicalJson(rebuilt(random, value))).toBe(text);
      expect(JSON.parse(text)).toEqual(value);
      expect(canonicalJson(JSON.parse(text))).toBe(text);
    }
  });

  test('differs for values that differ', () => {
    const random = new Random(2);
    const known = new Map<string, unknown>();
    for (let trial = 0; trial < 2_000; trial++) {
      const value = drawJson(random, 3);
      const text = canonicalJson(value);
      if (known.has(text)) expect(value).toEqual(known.get(text));
      known.set(text, value);
    }
    expect(new Set([[], {}, null, '', 0, false, '[]', '{}'].map(canonicalJson)).size).toBe(8);
    expect(canonicalJson(['a,b'])).not.toBe(canonicalJson(['a', 'b']));
    expect(canonicalJson({ a: null })).not.toBe(canonicalJson({}));
  });

  test('sorts keys by code units and holds no white space', () => {
    const value = { '\uffee': 1, '\u{1f600}': 2, b: [1, 2], a: 3, B: 4, 9: 5, 10: 6, é: 7 };
    expect(canonicalJson(value)).toBe(
      '{"10":6,"9":5,"B":4,"a":3,"b":[1,2],"é":7,"\u{1f600}":2,"\uffee":1}',
    );
  });

  test('writes numbers as JSON does, and one zero', () => {
    expect(canonicalJson([1e21, 1e-7, 0.1, -0, 123456789012345680000])).toBe(
      '[1e+21,1e-7,0.1,0,123456789012345680000]',
    );
  });

  test('keeps lone surrogates apart', () => {
    expect(canonicalJson('\ud800')).toBe('"\\ud800"');
    expect(keyOf('\ud800')).not.toBe(keyOf('\udfff'));
  });

  test.each([
    ['undefined', undefined],
    ['NaN', Number.NaN],
    ['infinity', Number.POSITIVE_INFINITY],
    ['a bigint', 1n],
    ['a function', () => 1],
    ['a symbol', Symbol('s')],
  ])('refuses %s, at any depth', (_name, value) => {
    expect(() => canonicalJson(value)).toThrow(TypeError);
    expect(() => canonicalJson([value])).toThrow(TypeError);
    expect(() => canonicalJson({ a: [{ b: value }] })).toThrow(TypeError);
  });
});

test('texts are ordered by code units, whatever the locale', () => {
  const names = ['é', 'z', 'a', 'Z', '\uffee', '\u{1f600}', '', 'a1', 'a10', 'a2'];
  expect(names.toSorted(compareText)).toEqual(names.toSorted());
  expect(compareText('a', 'a')).toBe(0);
});

test('SHA-256 is that of the standard, over UTF-8', () => {
  expect(sha256('')).toBe('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855');
  expect(sha256('abc')).toBe('ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad');
  expect(sha256('é')).toBe(sha256(Uint8Array.of(0xc3, 0xa9)));
  expect(keyOf({ b: 1, a: 2 })).toBe(sha256('{"a":2,"b":1}'));
});

describe('a stamp is settled', () => {
  const stamp = (mtimeNs: bigint, ctimeNs: bigint): FileStamp => ({
    dev: '1',
    ino: '2',
    size: 3,
    mtimeNs: String(mtimeNs),
    ctimeNs: String(ctimeNs),
  });
  const NOW = 1_700_000_000_000_000_000n;
  const TWO_SECONDS = 2_000_000_000n;

  test.each([
    ['exactly two seconds after the last change: no', TWO_SECONDS, TWO_SECONDS, false],
    ['a nanosecond later: yes', TWO_SECONDS + 1n, TWO_SECONDS + 1n, true],
    ['when only the modification is recent: no', 0n, TWO_SECONDS + 1n, false],
    ['when only the change of its record is recent: no', TWO_SECONDS * 10n, 5n, false],
    ['when a time lies in the future: no', -TWO_SECONDS * 10n, TWO_SECONDS * 10n, false],
  ])('%s', (_name, modifiedAgo, changedAgo, expected) => {
    expect(isSettled(stamp(NOW - modifiedAgo, NOW - changedAgo), NOW)).toBe(expected);
  });
});

describe('a stamp', () => {
  test('keeps times to the nanosecond and changes when the file is written to', async () => {
    const path = join(makeFolder(), 'file');
    writeFileSync(path, 'one');
    const before = await stampOf(path);
    const stats = statSync(path, { bigint: true });
    expect(before).toEqual({
      dev: String(stats.dev),
      ino: String(stats.ino),
      size: 3,
      mtimeNs: String(stats.mtimeNs),
      ctimeNs: String(stats.ctimeNs),
    });
    expect(stampText(await stampOf(path))).toBe(stampText(before));
    utimesSync(path, 1, 1);
    writeFileSync(path, 'two');
    utimesSync(path, Number(stats.mtimeNs / 1_000_000_000n), 5);
    expect(stampText(await stampOf(path))).not.toBe(stampText(before));
  });

  test('changes when another file takes the name, even one with the same times and size', async () => {
    const folder = makeFolder();
    for (const name of ['a', 'b']) {
      writeFileSync(join(folder, name), name);
      utimesSync(join(folder, name), 1000, 1000);
    }
    const before = await stampOf(join(folder, 'a'));
    renameSync(join(folder, 'b'), join(folder, 'a'));
    expect(stampText(await stampOf(join(folder, 'a')))).not.toBe(stampText(before));
  });
});

describe('hashing a file', () => {
  test('gives the digest of its content, also of more than one read', async () => {
    const folder = makeFolder();
    for (const size of [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, 3 * (1 << 20)]) {
      const path = join(folder, String(size));
      const content = new Uint8Array(size).map((_, i) => i % 251);
      writeFileSync(path, content);
      const hashed = await hashFile(path);
      expect(hashed).toEqual({ sha256: sha256(content), stamp: await stampOf(path) });
    }
  });

  /** A file that takes many reads, so that there is time to meddle with it. */
  function largeFile(): string {
    const path = join(makeFolder(), 'large');
    writeFileSync(path, '');
    truncateSync(path, 64 << 20);
    return path;
  }

  /** Repeats something until hashing a file ends: some of it falls between the first look and the last. */
  async function hashWhile(path: string, meddle: () => void) {
    const timer = setInterval(meddle, 1);
    try {
      return await failure(() => hashFile(path));
    } finally {
      clearInterval(timer);
    }
  }

  test('ends with "changed" when the file is written to meanwhile', async () => {
    const path = largeFile();
    let time = 1;
    const error = await hashWhile(path, () => utimesSync(path, ++time, time));
    expect(error.code).toBe('changed');
    expect(error.message).toContain('large: changed while it was read; run again');
  });

  test('ends with "changed" when another file takes its name meanwhile', async () => {
    const path = largeFile();
    const error = await hashWhile(path, () => {
      writeFileSync(`${path}.new`, 'other');
      renameSync(`${path}.new`, path);
    });
    expect(error.code).toBe('changed');
  });

  test('blames the input for a file that is not there or is a folder', async () => {
    const folder = makeFolder();
    const absent = await failure(() => hashFile(join(folder, 'absent')));
    expect([absent.code, absent.message]).toEqual(['input', expect.stringMatching(/ENOENT$/)]);
    const isFolder = await failure(() => hashFile(folder));
    expect([isFolder.code, isFolder.message]).toEqual(['input', expect.stringMatching(/EISDIR$/)]);
  });

  test.skipIf(!IS_ROOT)('blames the environment for a file that may not be read', async () => {
    const path = join(makeFolder(), 'file');
    writeFileSync(path, '');
    const error = await asNobody(() => failure(() => hashFile(path)));
    expect([error.code, error.message]).toEqual(['environment', expect.stringMatching(/EACCES$/)]);
  });
});
