/** Damage done to Parquet files on purpose: claims of their footers, and where their pages lie. */
import { type HashingReader, hashFile } from '../src/base/hash.js';
import { ThriftReader } from '../src/base/thrift.js';
import { type Footer, readFooter } from '../src/worker/parquet-footer.js';
import { checkPages } from '../src/worker/parquet-pages.js';

/** Checks a file as a worker does when it describes it; gives its SHA-256. */
export async function checkFile(path: string): Promise<string> {
  const footer = await readFooter('x.parquet', path);
  const { sha256 } = await hashFile(path, (reader: HashingReader) =>
    checkPages(reader, footer, 'x.parquet'),
  );
  return sha256;
}

/** A whole number as Thrift's compact protocol writes it. */
export function varint(value: bigint | number, signed = true): Buffer {
  let left = BigInt(value);
  if (signed) left = left < 0n ? -left * 2n - 1n : left * 2n;
  const bytes: number[] = [];
  for (; left >= 0x80n; left >>= 7n) bytes.push(Number(left & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(left)]);
}

/** A file with some bytes of its footer replaced, the last time that they occur; its length is put right. */
export function withFooter(file: Buffer, from: Buffer, to: Buffer): Buffer {
  const start = file.length - 8 - file.readUInt32LE(file.length - 8);
  const footer = file.subarray(start, -8);
  const at = footer.lastIndexOf(from);
  if (at < 0) throw new Error('the footer has no such bytes');
  const changed = Buffer.concat([footer.subarray(0, at), to, footer.subarray(at + from.length)]);
  const length = Buffer.alloc(4);
  length.writeUInt32LE(changed.length);
  return Buffer.concat([file.subarray(0, start), changed, length, file.subarray(-4)]);
}

/** Where the contents of pages lie in a file, and whose they are. */
export function pagesOf(
  file: Buffer,
  { groups }: Footer,
): { place: string; start: number; end: number }[] {
  const pages: { place: string; start: number; end: number }[] = [];
  for (const [group, { chunks }] of groups.entries()) {
    for (const { leaf, start, size } of chunks) {
      let page = 0;
      for (let at = start; at < start + size; page++) {
        const thrift = new ThriftReader(file, at);
        let length = 0;
        thrift.struct((field) => {
          if (field !== 3) return false;
          length = thrift.whole();
          return true;
        });
        const place = `row group ${group}, column "${leaf.name}": page ${page}`;
        pages.push({ place, start: thrift.position, end: thrift.position + length });
        at = thrift.position + length;
      }
    }
  }
  return pages;
}
