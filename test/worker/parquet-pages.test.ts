/** Damaged Parquet files: what is refused before a row of them is read. fixtures/make/checksums.py made the files. */
import { readdirSync, readFileSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { hashFile } from '../../src/base/hash.js';
import { readFooter } from '../../src/worker/parquet-footer.js';
import { checkFile, pagesOf, varint, withFooter } from '../parquet-damage.js';
import { FIXTURES, makeFolder } from '../scoreline.js';

const FOLDER = join(FIXTURES, 'parquet');

function fixture(name: string): Buffer {
  return readFileSync(join(FOLDER, `${name}.parquet`));
}

/** What is said of a file with such content; undefined where it is taken. */
async function refusal(content: Buffer): Promise<string | undefined> {
  const path = join(makeFolder(), 'x.parquet');
  writeFileSync(path, content);
  try {
    await checkFile(path);
    return undefined;
  } catch (error) {
    expect(error).toMatchObject({ code: 'input' });
    return (error as Error).message;
  }
}

test.each(readdirSync(FOLDER))('%s is taken, and has the hash of its bytes', async (name) => {
  const path = join(FOLDER, name);
  expect(await checkFile(path)).toBe((await hashFile(path)).sha256);
});

test.each([
  ['v1-snappy', 23],
  ['v2-zstd', 23],
])('every flipped bit of the pages of %s is refused by name', async (name, step) => {
  const whole = fixture(name);
  const pages = pagesOf(whole, await readFooter(name, join(FOLDER, `${name}.parquet`)));
  expect(pages.length).toBeGreaterThan(8);
  let bit = 0;
  for (const { place, start, end } of pages) {
    for (let at = start; at < end; at += step) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 1 << (bit++ % 8);
      const said = await refusal(flipped);
      expect({ at, said }).toEqual({ at, said: expect.stringContaining(`x.parquet: ${place} `) });
      expect(said).toMatch(/; the file is damaged: write it again$/);
    }
  }
});

test('gzip has checksums of its own: flipped bits are refused where they change the content', async () => {
  const whole = fixture('v1-gzip-without');
  const pages = pagesOf(whole, await readFooter('x', join(FOLDER, 'v1-gzip-without.parquet')));
  for (const { start, end } of pages) {
    const content = gunzipSync(whole.subarray(start, end));
    for (let at = start; at < end; at += 13) {
      const flipped = Buffer.from(whole);
      flipped[at]! ^= 4;
      if ((await refusal(flipped)) !== undefined) continue;
      expect(gunzipSync(flipped.subarray(start, end)).equals(content)).toBe(true);
    }
  }
});

describe('levels that cannot be', () => {
  const lists = fixture('v1-lists-without');
  const path = join(FOLDER, 'v1-lists-without.parquet');

  async function withPage(column: string, change: (page: Buffer) => void): Promise<string> {
    const changed = Buffer.from(lists);
    const pages = pagesOf(changed, await readFooter('x', path));
    const { start, end } = pages.find(({ place }) => place.includes(`"${column}": page 0`))!;
    change(changed.subarray(start, end));
    return (await refusal(changed)) ?? 'taken';
  }

  test('a list that begins within a row', async () => {
    // Repetition levels: their length, the header of a run of packed bits, and the bits.
    const said = await withPage('l.list.element', (page) => {
      page[5]! |= 1;
    });
    expect(said).toContain('column "l.list.element": page 0 does not begin with a row; ');
  });

  test('fewer levels than values', async () => {
    const said = await withPage('b', (page) => {
      page[4] = 3;
      page.writeUInt32LE(2, 0);
    });
    expect(said).toMatch(/column "b": page 0 has levels for 8 of \d+ values; /);
  });

  test('fewer rows than the footer says', async () => {
    const said = await withPage('l.list.element', (page) => {
      page[6] = 0;
    });
    expect(said).toMatch(/column "l\.list\.element": its pages have \d+ rows, its footer 400; /);
  });

  test('levels that are longer than their page', async () => {
    const said = await withPage('b', (page) => {
      page.writeUInt32LE(0x7fff_fff0, 0);
    });
    expect(said).toMatch(/column "b": page 0 claims levels of 2147483632 bytes, and has \d+; /);
  });
});

describe('footers that cannot be', () => {
  const whole = fixture('v1-snappy');

  test('sizes, places and numbers that the file cannot have', async () => {
    const footer = await readFooter('x', join(FOLDER, 'v1-snappy.parquet'));
    const chunk = footer.groups[1]!.chunks[3]!;
    const claims: [string, Buffer, Buffer, RegExp][] = [
      ['1 TiB', varint(chunk.size), varint(2n ** 40n), /with 1099511627776 bytes, outside/],
      ['a negative size', varint(chunk.size), varint(-5), /with -5 bytes, outside of the file/],
      ['a place behind', varint(chunk.start), varint(2n ** 33n), /outside of the file|cannot/],
      ['rows', rows(600), rows(2n ** 40n), /says 1099511627776 rows, its row groups 600/],
      ['row groups', groups('192c'), groups('19fc', 2n ** 30n), /a list is longer than/],
      ['a type', groups('192c'), groups('192f'), /a field has another type/],
    ];
    for (const [name, from, to, message] of claims) {
      const said = await refusal(withFooter(whole, from, to));
      expect({ name, said }).toEqual({ name, said: expect.stringMatching(message) });
      expect(said).toMatch(/^x\.parquet: .*; the file is damaged: write it again$/);
    }
  });

  test('a file that ends early, whatever is left of it', async () => {
    const path = join(makeFolder(), 'x.parquet');
    for (let length = 0; length < whole.length; length += 97) {
      writeFileSync(path, whole);
      truncateSync(path, length);
      await expect(checkFile(path), `${length} bytes`).rejects.toMatchObject({ code: 'input' });
    }
  });
});

/** The footer's number of rows, as far as the field behind it. */
function rows(count: bigint | number): Buffer {
  return Buffer.concat([Buffer.from([0x16]), varint(count), Buffer.from([0x19])]);
}

/** The header of the list of row groups, with a length of its own, behind the number of rows. */
function groups(header: string, count?: bigint): Buffer {
  const length = count === undefined ? Buffer.alloc(0) : varint(count, false);
  return Buffer.concat([rows(600).subarray(0, -1), Buffer.from(header, 'hex'), length]);
}
