/** Canonical JSON, SHA-256 and the identity of a file's content. */
import { createHash } from 'node:crypto';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { ScorelineError, shown, systemError } from './errors.js';

/** A value that JSON can carry. */
export type Json =
  | null
  | boolean
  | number
  | string
  | readonly Json[]
  | { readonly [key: string]: Json };

/**
 * JSON with sorted keys and no white space: the same text for equal values, whatever the order in which they
 * were built. Throws on what JSON cannot carry (undefined, NaN, bigint …).
 */
export function canonicalJson(value: unknown): string {
  if (value === null || typeof value === 'string' || typeof value === 'boolean') {
    return JSON.stringify(value);
  }
  if (typeof value === 'number' && Number.isFinite(value)) return JSON.stringify(value);
  if (Array.isArray(value)) return `[${value.map(canonicalJson).join(',')}]`;
  if (typeof value !== 'object') throw new TypeError(`not JSON: ${String(value)}`);
  const entries = Object.entries(value).sort(([a], [b]) => compareText(a, b));
  return `{${entries.map(([key, v]) => `${JSON.stringify(key)}:${canonicalJson(v)}`).join(',')}}`;
}

/** Orders two texts by UTF-16 code units: the same on every machine and in every locale. */
export function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

/** The SHA-256 of a text or of bytes, in lower-case hexadecimal. */
export function sha256(content: string | Uint8Array): string {
  return createHash('sha256').update(content).digest('hex');
}

/** The SHA-256 of a text in base64, as a Content-Security-Policy has it. */
export function sha256Base64(text: string): string {
  return createHash('sha256').update(text).digest('base64');
}

/** The key of a value: the SHA-256 of its canonical JSON. */
export function keyOf(value: Json): string {
  return sha256(canonicalJson(value));
}

/** A record with the digest of the rest of it, so that a change shows. Throws on what JSON cannot carry. */
export function sealed<Sealed extends object>(
  record: Sealed,
): Sealed & { readonly digest: string } {
  return { ...record, digest: sha256(canonicalJson(record)) };
}

/** Whether a record is as it was sealed. */
export function isUnedited({ digest, ...rest }: { readonly digest: string }): boolean {
  return digest === sha256(canonicalJson(rest));
}

/**
 * What the file system says of a file's identity. Two equal stamps mean the same content, unless a time lies
 * within two seconds of the look (see `isSettled`). Times are in ns and, like inode and device, text: they
 * exceed 2^53.
 */
export interface FileStamp {
  readonly dev: string;
  readonly ino: string;
  readonly size: number;
  readonly mtimeNs: string;
  readonly ctimeNs: string;
}

/** The stamp of a file; throws the system's error. */
export async function stampOf(path: string): Promise<FileStamp> {
  const s = await stat(path, { bigint: true });
  return {
    dev: String(s.dev),
    ino: String(s.ino),
    size: Number(s.size),
    mtimeNs: String(s.mtimeNs),
    ctimeNs: String(s.ctimeNs),
  };
}

/** A stamp as one text, to compare and to use as a cache key. */
export function stampText(stamp: FileStamp): string {
  return `${stamp.dev}:${stamp.ino}:${stamp.size}:${stamp.mtimeNs}:${stamp.ctimeNs}`;
}

const SETTLED_AFTER_NS = 2_000_000_000n;

/**
 * Whether a stamp taken at `nowNs` (ns since 1970) can be trusted later: a file written within two seconds of the
 * look may be written again without its times changing (git calls such an entry racy).
 */
export function isSettled(stamp: FileStamp, nowNs: bigint): boolean {
  const newest =
    BigInt(stamp.mtimeNs) > BigInt(stamp.ctimeNs) ? BigInt(stamp.mtimeNs) : BigInt(stamp.ctimeNs);
  return nowNs - newest > SETTLED_AFTER_NS;
}

/**
 * The SHA-256 of a file's content. `look` reads in the file meanwhile, mostly forwards, so that it is read once. Throws `changed`
 * when the file is written to meanwhile, `input` when it cannot be read, and what `look` throws.
 */
export async function hashFile(
  path: string,
  look?: (reader: HashingReader) => Promise<void>,
): Promise<{ sha256: string; stamp: FileStamp }> {
  try {
    const before = await stampOf(path);
    const seen = await lookThrough(path, before.size, look);
    const after = await stampOf(path);
    if (stampText(before) !== stampText(after)) {
      throw new ScorelineError('changed', `${shown(path)}: changed while it was read; run again`);
    }
    if ('error' in seen) throw seen.error;
    return { sha256: seen.sha256, stamp: before };
  } catch (error) {
    throw systemError(error, `cannot read ${shown(path)}`, 'input');
  }
}

/** What was found in a file may be due to a change of it: that is for the caller to say. */
async function lookThrough(
  path: string,
  size: number,
  look: ((reader: HashingReader) => Promise<void>) | undefined,
): Promise<{ sha256: string } | { error: unknown }> {
  const file = await open(path, 'r');
  try {
    const reader = new HashingReader(file, size);
    await look?.(reader);
    return { sha256: await reader.digest() };
  } catch (error) {
    return { error };
  } finally {
    await file.close();
  }
}

const READ_BYTES = 1 << 20;
const WINDOW_BYTES = 4 << 20;

/** Hashes a file from its beginning to its end, and lends what it reads. A class because window and hash change together. */
export class HashingReader {
  private readonly file: FileHandle;
  private readonly hash = createHash('sha256');
  private window = Buffer.allocUnsafe(READ_BYTES);
  /** The bytes from `start` to `end` are in the window; those up to `end` are hashed. */
  private start = 0;
  private end = 0;
  readonly size: number;

  constructor(file: FileHandle, size: number) {
    this.file = file;
    this.size = size;
  }

  /** The most that is lent at a time. */
  static readonly maxBytes = WINDOW_BYTES - READ_BYTES;

  /** The bytes of a range, until the next call; undefined where they have to be read first. */
  lent(position: number, length: number): Buffer | undefined {
    return position >= this.start && position + length <= this.end
      ? this.window.subarray(position - this.start, position - this.start + length)
      : undefined;
  }

  /** The bytes of a range, until the next call: at most `maxBytes`, and fewer where the file ends. */
  async read(position: number, length: number): Promise<Buffer> {
    if (position < this.start) {
      const { buffer, bytesRead } = await this.file.read(Buffer.alloc(length), 0, length, position);
      return buffer.subarray(0, bytesRead);
    }
    while (this.end < position) if (!(await this.advance(position))) break;
    if (this.window.length < WINDOW_BYTES && length > READ_BYTES / 2) this.grow();
    while (this.end < position + length) if (!(await this.advance(position))) break;
    return this.window.subarray(
      Math.max(0, position - this.start),
      Math.max(0, Math.min(position + length, this.end) - this.start),
    );
  }

  private grow(): void {
    const window = Buffer.allocUnsafe(WINDOW_BYTES);
    this.window.copy(window, 0, 0, this.end - this.start);
    this.window = window;
  }

  /** Reads on, and keeps what lies behind `from`; false at the end. */
  private async advance(from: number): Promise<boolean> {
    const keep = Math.min(from, this.end);
    if (this.end - this.start + READ_BYTES / 2 > this.window.length && keep > this.start) {
      this.window.copyWithin(0, keep - this.start, this.end - this.start);
      this.start = keep;
    }
    const used = this.end - this.start;
    const { bytesRead } = await this.file.read(
      this.window,
      used,
      Math.min(READ_BYTES, this.window.length - used),
      null,
    );
    this.hash.update(this.window.subarray(used, used + bytesRead));
    this.end += bytesRead;
    return bytesRead > 0;
  }

  /** The SHA-256 of the whole file, which is read to its end. */
  async digest(): Promise<string> {
    while (await this.advance(this.end));
    return this.hash.digest('hex');
  }
}
