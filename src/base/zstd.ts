/**
 * Decompresses zstd, all frames, and checks what each frame says of its content. The library decodes but passes over the
 * checksum; so the frames are walked here (RFC 8878, section 3), and the XXH64 of each one's content is compared.
 */
import { Decompress } from 'fzstd';
import xxhash from 'xxhash-wasm';

const FRAME_MAGIC = 0xfd2fb528;
/** Frames that hold no content: sixteen magic numbers from here on. */
const SKIPPABLE_MAGIC = 0x184d2a50;
const CUT_SHORT = 'it ends within a frame';

/** The content of a zstd file, in chunks. Throws an `Error` when it is damaged or ends early. */
export async function* unzstd(
  source: AsyncIterable<Buffer>,
): AsyncGenerator<Buffer, void, undefined> {
  const bytes = new Bytes(source);
  const { create64 } = await xxhash();
  if (await bytes.atEnd()) throw new Error('it is empty');
  while (!(await bytes.atEnd())) {
    const magic = await bytes.read(4);
    const number = magic.readUInt32LE();
    if ((number & 0xfffffff0) >>> 0 === SKIPPABLE_MAGIC) {
      const size = (await bytes.read(4)).readUInt32LE();
      for (let left = size; left > 0; ) left -= (await bytes.read(Math.min(left, 65_536))).length;
      continue;
    }
    if (number !== FRAME_MAGIC) throw new Error('it holds something that is no zstd frame');
    const out: Buffer[] = [];
    const hash = create64();
    const decoder = new Decompress((chunk) => {
      hash.update(chunk);
      out.push(Buffer.from(chunk.buffer, chunk.byteOffset, chunk.byteLength));
    });
    const { header, hasChecksum } = await frameHeader(bytes);
    decoder.push(Buffer.concat([magic, header]));
    for (let last = false; !last; ) {
      const block = await bytes.read(3);
      const word = block.readUIntLE(0, 3);
      last = (word & 1) !== 0;
      const type = (word >> 1) & 3;
      // A block of one repeated byte holds that byte alone.
      const content = await bytes.read(type === 1 ? 1 : word >> 3);
      decoder.push(Buffer.concat([block, content]));
      yield* out.splice(0);
    }
    if (hasChecksum) {
      const checksum = await bytes.read(4);
      decoder.push(checksum, true);
      const expected = checksum.readUInt32LE();
      if (Number(hash.digest() & 0xffffffffn) !== expected)
        throw new Error('its content does not have the checksum that it says');
    } else decoder.push(Buffer.alloc(0), true);
    yield* out;
  }
}

/** The header of a frame behind its magic number, and whether a checksum follows its blocks. */
async function frameHeader(bytes: Bytes): Promise<{ header: Buffer; hasChecksum: boolean }> {
  const first = await bytes.read(1);
  const descriptor = first[0]!;
  const isSingle = (descriptor & 0x20) !== 0;
  const dictionary = [0, 1, 2, 4][descriptor & 3]!;
  const size = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const rest = await bytes.read((isSingle ? 0 : 1) + dictionary + size);
  return { header: Buffer.concat([first, rest]), hasChecksum: (descriptor & 4) !== 0 };
}

/** Bytes that come in chunks, read as they are needed. */
class Bytes {
  private readonly source: AsyncIterator<Buffer>;
  private pending: Buffer = Buffer.alloc(0);

  constructor(source: AsyncIterable<Buffer>) {
    this.source = source[Symbol.asyncIterator]();
  }

  /** Whether nothing is left. */
  async atEnd(): Promise<boolean> {
    return !(await this.fill(1));
  }

  /** The next `count` bytes. Throws when there are fewer. */
  async read(count: number): Promise<Buffer> {
    if (!(await this.fill(count))) throw new Error(CUT_SHORT);
    const read = this.pending.subarray(0, count);
    this.pending = this.pending.subarray(count);
    return read;
  }

  private async fill(count: number): Promise<boolean> {
    while (this.pending.length < count) {
      const next = await this.source.next();
      if (next.done === true) return false;
      this.pending =
        this.pending.length === 0 ? next.value : Buffer.concat([this.pending, next.value]);
    }
    return true;
  }
}

/** The number of bytes that a frame says it holds; undefined where it does not say. */
export function zstdSize(frame: Uint8Array): number | undefined {
  const bytes = Buffer.from(frame.buffer, frame.byteOffset, Math.min(frame.length, 18));
  if (bytes.length < 6 || bytes.readUInt32LE() !== FRAME_MAGIC) return undefined;
  const descriptor = bytes[4]!;
  const isSingle = (descriptor & 0x20) !== 0;
  const length = [isSingle ? 1 : 0, 2, 4, 8][descriptor >> 6]!;
  const at = 5 + (isSingle ? 0 : 1) + [0, 1, 2, 4][descriptor & 3]!;
  if (length === 0 || bytes.length < at + length) return undefined;
  if (length === 8) return Number(bytes.readBigUInt64LE(at));
  return bytes.readUIntLE(at, length) + (length === 2 ? 256 : 0);
}

/** How much of a frame is given to the decoder at a time: it decodes no block before it has it whole. */
const START_BYTES = 16_384;

/** The first bytes of what a frame holds: `wanted` of them or more, fewer where there are not as many. Throws an `Error` for a damaged one. */
export function zstdStart(frame: Uint8Array, wanted: number): Uint8Array {
  const out: Uint8Array[] = [];
  let length = 0;
  const decoder = new Decompress((chunk) => {
    out.push(chunk.slice());
    length += chunk.length;
  });
  for (let at = 0; at < frame.length && length < wanted; at += START_BYTES)
    decoder.push(frame.subarray(at, at + START_BYTES), at + START_BYTES >= frame.length);
  return out.length === 1 ? out[0]! : Buffer.concat(out);
}
