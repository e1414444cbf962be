/**
 * The only place where files become visible. Whatever another process can see is whole: it is written under a
 * temporary name, flushed to the disk, renamed, and the folder that names it is flushed too.
 */
import { constants, realpathSync } from 'node:fs';
import {
  copyFile,
  link,
  lstat,
  mkdir,
  open,
  readdir,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import { errnoOf, shown, systemError } from './errors.js';

/** Flushes a file's or a folder's content to the disk. */
async function flush(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** Creates a folder and those above it, and makes their names durable; an existing one is fine. */
export async function makeFolder(path: string): Promise<void> {
  for (const created of await createFolder(path)) {
    await flush(dirname(created)).catch((error: unknown) => {
      throw systemError(error, `cannot create folder ${shown(path)}`);
    });
  }
}

/**
 * Creates a folder and those above it, for what is not visible yet; returns those that were not there. One by one: a
 * recursive mkdir of Node 20 never ends where a folder cannot be made below one that exists, as under /proc.
 */
export async function createFolder(path: string): Promise<string[]> {
  const created: string[] = [];
  try {
    try {
      await mkdir(path);
    } catch (error) {
      if (errnoOf(error) !== 'ENOENT') throw error;
      created.push(...(await createFolder(dirname(path))));
      await mkdir(path);
    }
    return [...created, path];
  } catch (error) {
    // Another worker may have made it meanwhile.
    if (errnoOf(error) === 'EEXIST' && (await isFolder(path))) return created;
    throw systemError(error, `cannot create folder ${shown(path)}`);
  }
}

/**
 * Creates a folder in one that is there; an existing one is fine. Where the output was moved away or its mount is gone,
 * nothing of it is made anew.
 */
export async function createSubfolder(path: string): Promise<void> {
  try {
    await mkdir(path);
  } catch (error) {
    if (errnoOf(error) === 'EEXIST' && (await isFolder(path))) return;
    throw systemError(error, `cannot create folder ${shown(path)}`);
  }
}

/** The same, and its name is durable. */
export async function makeSubfolder(path: string): Promise<void> {
  await createSubfolder(path);
  await flush(dirname(path)).catch((error: unknown) => {
    throw systemError(error, `cannot create folder ${shown(path)}`);
  });
}

async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    // Whatever keeps it from being looked at keeps it from being used: the caller reports its own error.
    return false;
  }
}

/**
 * Replaces the file `path` by `text` in one step. A crash before the rename leaves the old file and, beside it, a
 * temporary one that nothing reads.
 */
export async function writeFileWhole(path: string, content: string | Uint8Array): Promise<void> {
  const temporary = `${path}.${process.pid}.${Math.random().toString(36).slice(2)}.tmp`;
  try {
    await writeFile(temporary, content, { flag: 'wx' });
    await flush(temporary);
    await rename(temporary, path);
    await flush(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(ignoreLeftover);
    throw systemError(error, `cannot write ${shown(path)}`);
  }
}

/** A temporary file that cannot be removed is swept later: nothing reads it. */
function ignoreLeftover(): void {}

/** Writes a file of what is not visible yet, into a folder that is there. */
export async function createFile(path: string, content: string | Uint8Array): Promise<void> {
  try {
    await writeFile(path, content);
  } catch (error) {
    throw systemError(error, `cannot write ${shown(path)}`);
  }
}

/**
 * Makes the folder `temporary` visible as `target` if there is nothing at `target` yet, and tells whether it did.
 * Files are made read-only and flushed first, so a crash before the rename leaves nothing at `target`, and one
 * after it leaves a whole folder. When the place is taken, `temporary` is left to the caller.
 */
export async function putFolderIfAbsent(temporary: string, target: string): Promise<boolean> {
  try {
    await sealFolder(temporary);
    await createFolder(dirname(target));
  } catch (error) {
    throw systemError(error, `cannot write ${shown(target)}`);
  }
  try {
    // rename(2) would replace an empty folder: nothing of scoreline's ever leaves one at a target.
    await rename(temporary, target);
    await Promise.all([flush(dirname(target)), flush(dirname(dirname(target)))]);
    return true;
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOTEMPTY' || errno === 'EEXIST') return false;
    throw systemError(error, `cannot write ${shown(target)}`);
  }
}

/** Flushes every file and folder below `folder`, bottom up; files that are not shared become read-only. */
async function sealFolder(folder: string): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true });
  await Promise.all(
    entries.map((entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory()) return sealFolder(path);
      return entry.isFile() ? sealFile(path) : undefined;
    }),
  );
  await flush(folder);
}

async function sealFile(path: string): Promise<void> {
  const handle = await open(path, 'r');
  try {
    // A file with another name is sealed already, under that name.
    if ((await handle.stat()).nlink > 1) return;
    await handle.sync();
    await handle.chmod(0o444);
  } finally {
    await handle.close();
  }
}

/** Copies a file into a folder that is not visible yet: a clone, where the file system has such. */
export async function copyWhole(source: string, target: string): Promise<void> {
  try {
    await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
  } catch (error) {
    throw systemError(error, `cannot copy ${shown(source)} to ${shown(target)}`);
  }
}

/** Gives `target` the content of `source`: a hard link, or where links do not work a clone or a copy. */
export async function linkFile(source: string, target: string): Promise<void> {
  try {
    await link(source, target);
  } catch (error) {
    if (!LINK_UNSUPPORTED.has(errnoOf(error) ?? '')) {
      throw systemError(error, `cannot link ${shown(target)}`);
    }
    try {
      await copyFile(source, target, constants.COPYFILE_FICLONE | constants.COPYFILE_EXCL);
    } catch (copyError) {
      throw systemError(copyError, `cannot copy to ${shown(target)}`);
    }
  }
}

const LINK_UNSUPPORTED = new Set(['EXDEV', 'EPERM', 'EMLINK', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS']);

/** Points the symbolic link `path` at `target` (a relative text) in one step; `temporary` is a path of the caller's own. */
export async function replaceLink(path: string, target: string, temporary: string): Promise<void> {
  try {
    await symlink(target, temporary);
    await rename(temporary, path);
    await flush(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(ignoreLeftover);
    throw systemError(error, `cannot point ${shown(path)} at ${shown(target)}`);
  }
}

/** The text of a symbolic link, or undefined where there is none. */
export async function linkTarget(path: string): Promise<string | undefined> {
  try {
    return await readlink(path);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'EINVAL') return undefined;
    throw systemError(error, `cannot read link ${shown(path)}`);
  }
}

/** The names in a folder, in code unit order; none when it does not exist. */
export async function listFolder(path: string): Promise<string[]> {
  try {
    return (await readdir(path)).sort();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw systemError(error, `cannot list ${shown(path)}`);
  }
}

/** The paths of all that is below a folder and no folder itself, relative to it; none when it does not exist. */
export async function listTree(path: string): Promise<string[]> {
  const names: string[] = [];
  for (const name of await listFolder(path)) {
    if (await isOwnFolder(join(path, name))) {
      names.push(...(await listTree(join(path, name))).map((below) => `${name}/${below}`));
    } else names.push(name);
  }
  return names;
}

/** Whether a folder itself is there, not a link to one. */
async function isOwnFolder(path: string): Promise<boolean> {
  try {
    return (await lstat(path)).isDirectory();
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw systemError(error, `cannot look at ${shown(path)}`);
  }
}

/** Removes what nothing reads any more, if it can be removed now: what is left is swept by a later run. */
export async function removeLeftover(path: string): Promise<void> {
  await rm(path, { recursive: true, force: true }).catch(ignoreLeftover);
}

/** Removes a folder or file and what is below it; nothing there is fine. */
export async function removeTree(path: string): Promise<void> {
  try {
    await rm(path, { recursive: true, force: true });
  } catch (error) {
    throw systemError(error, `cannot remove ${shown(path)}`);
  }
}

/** A path with the links of its existing part resolved; it need not exist. */
export function resolved(path: string): string {
  try {
    return realpathSync(path);
  } catch (error) {
    if (errnoOf(error) !== 'ENOENT' || dirname(path) === path) return path;
    return join(resolved(dirname(path)), basename(path));
  }
}
