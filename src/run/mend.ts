/** Published files that are damaged, and how a run or `verify --repair` gets whole ones in their places. */
import { lstat } from 'node:fs/promises';
import { join } from 'node:path';
import { type PublishedFile, publishedFiles, unitOf } from '../plan/manifest.js';
import { damageMarks, isWhole } from './damage-marks.js';
import type { Snapshot } from './snapshot.js';
import type { Output } from './store.js';

/** How many files are looked at at once. */
const AT_ONCE = 64;

/**
 * Finds the published files of some partitions that are marked as damaged, missing, or of another size than recorded. Contents are
 * not read: `verify` does that. `isMarked`: something else in the snapshot's folder is marked.
 */
export async function findDamaged(
  output: Output,
  { number, folder, manifest }: Snapshot,
  units: ReadonlySet<string>,
): Promise<{ readonly files: PublishedFile[]; readonly isMarked: boolean }> {
  const marks = await damageMarks(output);
  const files = publishedFiles(manifest).filter(({ unit }) => units.has(unit));
  const found: PublishedFile[] = [];
  for (let start = 0; start < files.length; start += AT_ONCE) {
    const some = files.slice(start, start + AT_ONCE);
    const sizes = await Promise.all(some.map(({ path }) => sizeOf(join(folder, path))));
    found.push(...some.filter((one, i) => marks.has(one) || sizes[i] !== one.file.bytes));
  }
  return { files: found, isMarked: marks.has({ snapshot: number }) };
}

/** The size of a file; undefined when it is missing, cannot be looked at, or is not a file. */
async function sizeOf(path: string): Promise<number | undefined> {
  const found = await lstat(path).catch(() => undefined);
  return found?.isFile() === true ? found.size : undefined;
}

/**
 * Takes out of the store whatever cannot replace damaged published files, so that a run rebuilds it. Rejected records of CSV
 * files are rebuilt with the parts of their partition.
 */
export async function takeUnusable(
  output: Output,
  { manifest }: Pick<Snapshot, 'manifest'>,
  damaged: readonly PublishedFile[],
  temporary: string,
): Promise<void> {
  for (const { unit, kind, key, name, file } of damaged) {
    if (await isWhole(join(output.storeFolder(kind, key), name), file)) continue;
    await output.takeAway(kind, key, temporary);
    const parts = kind === 'csv' ? (unitOf(manifest, unit)?.parts ?? []) : [];
    for (const part of parts) await output.takeAway('parts', part.key, temporary);
  }
}
