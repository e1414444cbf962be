/**
 * Marks of damage in the highest snapshot. `verify --repair` writes them before it removes anything; the publication that puts
 * whole files in place of damaged ones removes them. Until then every run that covers such a partition republishes it, so
 * a process that is killed in between loses nothing.
 */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { listFolder, makeSubfolder, removeLeftover } from '../base/files.js';
import { hashFile } from '../base/hash.js';
import type { StoredFile } from '../plan/ledger.js';
import { type Manifest, type PublishedFile, publishedFiles } from '../plan/manifest.js';
import type { Output } from './store.js';

/** A published file, by its place in the store; or all else that a snapshot's folder holds. */
type Marked = Pick<PublishedFile, 'kind' | 'key'> | { readonly snapshot: number };

/** The marks that an output has. */
export interface DamageMarks {
  readonly has: (marked: Marked) => boolean;
}

/** Reads the marks of an output. */
export async function damageMarks(output: Output): Promise<DamageMarks> {
  const names = new Set(await listFolder(folderOf(output)));
  return { has: (marked) => names.has(nameOf(marked)) };
}

/** Marks what is damaged. */
export async function markDamaged(output: Output, damaged: readonly Marked[]): Promise<void> {
  const marks = await damageMarks(output);
  const names = damaged.filter((one) => !marks.has(one)).map(nameOf);
  if (names.length === 0) return;
  await makeSubfolder(folderOf(output));
  // An empty folder is made in one step, and holds nothing that could be damaged.
  for (const name of new Set(names)) await makeSubfolder(join(folderOf(output), name));
}

/** Removes the marks of the files that are whole in a snapshot, and those of the snapshots before it. */
export async function clearMarks(
  output: Output,
  { number, folder, manifest }: Cleared,
): Promise<void> {
  const names = await listFolder(folderOf(output));
  if (names.length === 0) return;
  const marks = await damageMarks(output);
  const damaged = new Set<string>();
  const marked = publishedFiles(manifest).filter(marks.has);
  for (const { path, file, ...where } of marked)
    if (!(await isWhole(join(folder, path), file).catch(() => false))) damaged.add(nameOf(where));
  // A mark that stays has a later run republish what is whole already: that does no harm.
  const whole = marked.map(nameOf).filter((name) => !damaged.has(name));
  const older = names.filter((name) => Number(OF_SNAPSHOT.exec(name)?.[1]) < number);
  for (const name of new Set([...whole, ...older]))
    await removeLeftover(join(folderOf(output), name));
}

/** A snapshot whose files are looked at. */
interface Cleared {
  readonly number: number;
  readonly folder: string;
  readonly manifest: Manifest;
}

/** Tells whether a file is there and has the content that was recorded. */
export async function isWhole(path: string, { sha256 }: StoredFile): Promise<boolean> {
  try {
    return (await lstat(path)).isFile() && (await hashFile(path)).sha256 === sha256;
  } catch (error) {
    const cause = error instanceof ScorelineError ? error.cause : error;
    if (NOT_THERE.has(errnoOf(cause) ?? '')) return false;
    throw systemError(error, `cannot read ${shown(path)}`);
  }
}

/** Errors of a file that is missing, or that the disk no longer gives. */
const NOT_THERE = new Set(['ENOENT', 'ENOTDIR', 'EIO']);

function folderOf(output: Output): string {
  return output.path('store', 'damaged');
}

const OF_SNAPSHOT = /^snapshot-(\d+)$/;

function nameOf(marked: Marked): string {
  return 'snapshot' in marked ? `snapshot-${marked.snapshot}` : `${marked.kind}-${marked.key}`;
}
