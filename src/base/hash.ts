/** Canonical JSON, SHA-256 and the identity of a file's content. */
import { createHash } from 'node:crypto';
import { open, stat } from 'node:fs/promises';
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
 * The SHA-256 of a file's content. Throws `changed` when the file is written to meanwhile, `input` when it cannot
 * be read.
 */
export async function hashFile(path: string): Promise<{ sha256: string; stamp: FileStamp }> {
  try {
    const before = await stampOf(path);
    const digest = await digestOf(path);
    const after = await stampOf(path);
    if (stampText(before) !== stampText(after)) {
      throw new ScorelineError('changed', `${shown(path)}: changed while it was read; run again`);
    }
    return { sha256: digest, stamp: before };
  } catch (error) {
    throw systemError(error, `cannot read ${shown(path)}`, 'input');
  }
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash('sha256');
  const buffer = Buffer.allocUnsafe(1 << 20);
  const file = await open(path, 'r');
  try {
    for (;;) {
      const { bytesRead } = await file.read(buffer, 0, buffer.length, null);
      if (bytesRead === 0) return hash.digest('hex');
      hash.update(buffer.subarray(0, bytesRead));
    }
  } finally {
    await file.close();
  }
}
