/** The first bytes of what a Parquet page holds: its levels come first, and all of it is more than they need. */
import { brotliDecompressSync, constants, unzipSync } from 'node:zlib';
import { zstdSize, zstdStart } from './zstd.js';

/** Compression codecs by the numbers that Parquet has for them. */
const UNCOMPRESSED = 0;
const SNAPPY = 1;
const GZIP = 2;
const BROTLI = 4;
const ZSTD = 6;
const LZ4_RAW = 7;

/**
 * Whether compressed bytes can hold as many bytes as is claimed: exactly, where the format says how many it holds, else by the
 * most that it can.
 */
export function canHold(
  codec: number,
  bytes: Uint8Array,
  length: number,
  claimed: number,
): boolean {
  if (length === 0) return claimed === 0;
  switch (codec) {
    case UNCOMPRESSED:
      return length === claimed;
    case SNAPPY:
      return snappySize(bytes)?.size === claimed;
    case GZIP:
      return claimed <= 1040 * length;
    case ZSTD:
      return (zstdSize(bytes) ?? claimed) === claimed;
    case LZ4_RAW:
      return claimed <= 256 * length;
    default:
      return true;
  }
}

/** Whether the first bytes come out of a codec for next to nothing; else most of a page is decompressed for them. */
export function isCheap(codec: number): boolean {
  return codec === UNCOMPRESSED || codec === SNAPPY || codec === LZ4_RAW;
}

/** Whether compressed bytes hold as many as is claimed, with the checksum that they have themselves; only gzip has one. */
export function isIntact(codec: number, bytes: Uint8Array, claimed: number): boolean {
  if (codec !== GZIP || bytes.length === 0) return true;
  try {
    return unzipSync(bytes, { maxOutputLength: claimed + 1 }).length === claimed;
  } catch {
    return false;
  }
}

/**
 * The first `wanted` bytes of what is compressed, or a few more, of which `bytes` are the beginning; fewer where there are not as
 * many; undefined for what cannot be decompressed here.
 */
export function decompressStart(
  codec: number,
  bytes: Uint8Array,
  wanted: number,
): Uint8Array | undefined {
  try {
    switch (codec) {
      case UNCOMPRESSED:
        return bytes.subarray(0, wanted);
      case SNAPPY:
        return snappyStart(bytes, wanted);
      case GZIP:
        return zlibStart(bytes, wanted, (part) =>
          unzipSync(part, { finishFlush: constants.Z_SYNC_FLUSH }),
        );
      case BROTLI:
        return zlibStart(bytes, wanted, (part) =>
          brotliDecompressSync(part, { finishFlush: constants.BROTLI_OPERATION_FLUSH }),
        );
      case ZSTD:
        return zstdStart(bytes, wanted);
      case LZ4_RAW:
        return lz4Start(bytes, wanted);
      default:
        return undefined;
    }
  } catch {
    // Damaged: DuckDB, which decompresses all of it, says so where the column is used.
    return undefined;
  }
}

/** Decompresses more and more of the beginning, until enough came out of it. */
function zlibStart(
  bytes: Uint8Array,
  wanted: number,
  decompress: (part: Uint8Array) => Uint8Array,
): Uint8Array {
  for (let length = 1024; ; length *= 4) {
    const out = decompress(bytes.subarray(0, length));
    if (out.length >= wanted || length >= bytes.length) return out;
  }
}

/** The number of bytes that Snappy says it holds, and how long that number is. */
function snappySize(bytes: Uint8Array): { size: number; length: number } | undefined {
  let size = 0;
  for (let i = 0; i < 5; i++) {
    const byte = bytes[i];
    if (byte === undefined) return undefined;
    size += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return { size, length: i + 1 };
  }
  return undefined;
}

/** Output of a format that copies from what it wrote before. */
class Copies {
  private readonly out: Uint8Array;
  length = 0;

  constructor(wanted: number) {
    this.out = new Uint8Array(wanted);
  }

  get isFull(): boolean {
    return this.length === this.out.length;
  }

  literal(bytes: Uint8Array): void {
    const part = bytes.subarray(0, this.out.length - this.length);
    this.out.set(part, this.length);
    this.length += part.length;
  }

  copy(distance: number, length: number): void {
    if (distance === 0 || distance > this.length) throw new RangeError('a copy from nowhere');
    const end = Math.min(this.length + length, this.out.length);
    for (; this.length < end; this.length++)
      this.out[this.length] = this.out[this.length - distance]!;
  }

  get bytes(): Uint8Array {
    return this.out.subarray(0, this.length);
  }
}

function littleEndian(bytes: Uint8Array, at: number, length: number): number {
  let value = 0;
  for (let i = 0; i < length; i++) value += (bytes[at + i] ?? Number.NaN) * 2 ** (8 * i);
  return value;
}

/** Snappy's format: a size, then literals and copies. */
function snappyStart(bytes: Uint8Array, wanted: number): Uint8Array | undefined {
  const announced = snappySize(bytes);
  if (announced === undefined) return undefined;
  const out = new Copies(Math.min(wanted, announced.size));
  let at = announced.length;
  while (!out.isFull && at < bytes.length) {
    const tag = bytes[at++]!;
    const kind = tag & 3;
    if (kind === 0) {
      const extra = Math.max(0, (tag >> 2) - 59);
      const length = 1 + (extra === 0 ? tag >> 2 : littleEndian(bytes, at, extra));
      at += extra;
      out.literal(bytes.subarray(at, at + length));
      at += length;
    } else if (kind === 1) {
      out.copy((tag >> 5) * 256 + littleEndian(bytes, at, 1), 4 + ((tag >> 2) & 7));
      at += 1;
    } else {
      const size = kind === 2 ? 2 : 4;
      out.copy(littleEndian(bytes, at, size), 1 + (tag >> 2));
      at += size;
    }
  }
  return out.bytes;
}

/** A block of LZ4: literals and copies in turn. */
function lz4Start(bytes: Uint8Array, wanted: number): Uint8Array {
  const out = new Copies(wanted);
  let at = 0;
  const lengthOf = (nibble: number): number => {
    let length = nibble;
    for (let byte = nibble === 15 ? 255 : 0; byte === 255; length += byte) byte = bytes[at++] ?? 0;
    return length;
  };
  while (!out.isFull && at < bytes.length) {
    const token = bytes[at++]!;
    const literals = lengthOf(token >> 4);
    out.literal(bytes.subarray(at, at + literals));
    at += literals;
    if (at >= bytes.length) break;
    const distance = littleEndian(bytes, at, 2);
    at += 2;
    out.copy(distance, 4 + lengthOf(token & 15));
  }
  return out.bytes;
}
