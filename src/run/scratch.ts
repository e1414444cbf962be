/** Folders of the system's temporary folder, for what is scored and thrown away. */
import { lstat, mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { systemError } from '../base/errors.js';
import { listFolder, removeLeftover } from '../base/files.js';
import { identity } from '../base/identity.js';
import { isLeftBehind, temporaryName } from './store.js';

const PREFIX = /^scoreline-(?:check|baseline)-/;

/** Lends a folder, and removes it afterwards; first removes those of this user whose processes are gone. Throws `environment`. */
export async function withScratch<Result>(
  kind: 'check' | 'baseline',
  now: Date,
  use: (folder: string) => Promise<Result>,
): Promise<Result> {
  await sweepScratch(now);
  const folder = join(tmpdir(), `scoreline-${kind}-${temporaryName()}`);
  try {
    await mkdir(folder, { mode: 0o700 });
  } catch (error) {
    throw systemError(error, `cannot make a folder in ${tmpdir()}`);
  }
  try {
    return await use(folder);
  } finally {
    await removeLeftover(folder);
  }
}

async function sweepScratch(now: Date): Promise<void> {
  // A folder that cannot be listed or looked at is nothing to sweep: whoever cannot use it says so.
  for (const name of await listFolder(tmpdir()).catch(() => [])) {
    if (!PREFIX.test(name)) continue;
    const path = join(tmpdir(), name);
    const found = await lstat(path).catch(() => undefined);
    if (found?.isDirectory() !== true || found.uid !== (identity().uid ?? found.uid)) continue;
    if (await isLeftBehind(path, name.replace(PREFIX, ''), now).catch(() => false))
      await removeLeftover(path);
  }
}
