/** Files that a person names: a named pipe, a socket or a device in place of one must not keep anyone waiting. */
import { constants, type Stats } from 'node:fs';
import { type FileHandle, open, stat } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ErrorCode, errnoOf, ScorelineError, systemError } from './errors.js';

/** Checks that a path names a regular file. Throws `code` otherwise; `what` names the file in the message. */
export async function requireFile(path: string, what: string, code: ErrorCode): Promise<void> {
  let stats: Stats;
  try {
    stats = await stat(path);
  } catch (error) {
    throw systemError(error, `cannot read ${what}`, code);
  }
  if (!stats.isFile()) throw notAFile(stats, what, code);
}

function notAFile(stats: Stats, what: string, code: ErrorCode): ScorelineError {
  return new ScorelineError(code, `${what}: is ${kindOf(stats)}; expected a regular file`);
}

function kindOf(stats: Stats): string {
  if (stats.isDirectory()) return 'a folder';
  if (stats.isFIFO()) return 'a named pipe';
  return stats.isSocket() ? 'a socket' : 'a device';
}

/** How long a pipe may be silent, and how often it is looked at. */
const SILENT_MS = 10_000;
const LOOK_MS = 20;

/**
 * Returns the content of a file or of a pipe that is being written to, and at most `maxBytes` of it. Throws the system's
 * error, and `code` for a pipe that nothing comes through.
 */
export async function readFileOrPipe(
  path: string,
  maxBytes: number,
  { what, code }: { readonly what: string; readonly code: ErrorCode },
): Promise<Buffer> {
  // Without O_NONBLOCK, opening a pipe waits until something writes to it.
  const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
  try {
    const stats = await file.stat();
    // Of a folder the system says so when it is read.
    if (stats.isSocket() || stats.isCharacterDevice() || stats.isBlockDevice())
      throw notAFile(stats, what, code);
    const bytes = Buffer.alloc(maxBytes);
    let length = 0;
    while (length < maxBytes) {
      const read = await readSome(file, bytes, length);
      if (read === undefined)
        throw new ScorelineError(code, `${what}: is a pipe that nothing came through for 10 s`);
      if (read === 0) break;
      length += read;
    }
    if (length === 0 && stats.isFIFO())
      throw new ScorelineError(code, `${what}: is a named pipe that nothing writes to`);
    return bytes.subarray(0, length);
  } finally {
    await file.close();
  }
}

/** Reads what is there, 0 at the end; undefined where nothing comes. */
async function readSome(
  file: FileHandle,
  bytes: Buffer,
  from: number,
): Promise<number | undefined> {
  for (let waited = 0; waited < SILENT_MS; waited += LOOK_MS) {
    try {
      return (await file.read(bytes, from, bytes.length - from, null)).bytesRead;
    } catch (error) {
      if (errnoOf(error) !== 'EAGAIN') throw error;
    }
    await sleep(LOOK_MS);
  }
  return undefined;
}
