/** Removes what nothing needs any more: old snapshots, what the store keeps for none of the others, leftovers. */
import { lstat, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, shown, systemError } from '../base/errors.js';
import { listFolder, listTree, removeTree } from '../base/files.js';
import type { Manifest, UnitRecord } from '../plan/manifest.js';
import { modelKey } from './model-store.js';
import { readSnapshot, snapshotName, snapshotNumbers } from './snapshot.js';
import { readStaged } from './staged.js';
import { type Output, STORE_KINDS, type StoreKind } from './store.js';
import { addMissing, isOwed } from './unrecorded.js';

/** What a run may have found in the store and not published yet is younger than this. */
const FRESH_MS = 7 * 24 * 60 * 60 * 1000;

/** What to keep, and whether to remove the rest or only to say what it is. */
export interface GcOptions {
  /** How many of the newest snapshots to keep: at least one, so that the current is. */
  readonly keep: number;
  readonly dryRun: boolean;
  readonly now: () => Date;
}

/** What was removed, or would be. */
export interface GcReport {
  readonly dryRun: boolean;
  readonly snapshots: readonly number[];
  readonly parts: number;
  readonly scores: number;
  readonly csv: number;
  readonly models: number;
  readonly temporary: number;
  /** The space that it takes: files that have other names elsewhere take none. */
  readonly bytes: number;
}

/**
 * Removes old snapshots, what the store has that no other snapshot and no staged run needs and that was not touched for
 * seven days, and temporary folders of processes that are gone, whose records are added where they are missing. Harmless beside runs and other calls. Throws `environment`
 * when a manifest is damaged, before anything is removed: then there is no saying what is needed.
 */
export async function gc(output: Output, options: GcOptions): Promise<GcReport> {
  if (!(options.keep >= 1)) throw new RangeError('gc keeps at least one snapshot');
  const numbers = await snapshotNumbers(output);
  const needed = await neededKeys(output, numbers.slice(-options.keep));
  const old: number[] = [];
  // One that no record names yet has what its record will say.
  for (const number of numbers.slice(0, -options.keep))
    if (!(await isOwed(output, number))) old.push(number);
  const freshAfterMs = options.now().getTime() - FRESH_MS;
  const isFresh = async (folder: string): Promise<boolean> =>
    ((await mtimeOf(folder)) ?? Number.POSITIVE_INFINITY) >= freshAfterMs;
  const unneeded: { kind: StoreKind; folder: string }[] = [];
  for (const kind of STORE_KINDS) {
    for (const key of await output.storedKeys(kind)) {
      const folder = output.storeFolder(kind, key);
      if (!needed[kind].has(key) && !(await isFresh(folder))) unneeded.push({ kind, folder });
    }
  }
  const { dead } = await output.leftovers(options.now());
  const snapshotFolder = (number: number): string => output.path('snapshots', snapshotName(number));
  const bytes = await bytesFreed([
    ...old.map(snapshotFolder),
    ...unneeded.map(({ folder }) => folder),
    ...dead,
  ]);
  const snapshots: number[] = [];
  const removed = { parts: 0, scores: 0, csv: 0, models: 0 };
  const remover = options.dryRun ? undefined : await output.makeTemporary();
  try {
    for (const number of old) {
      if (await remove(snapshotFolder(number), remover)) snapshots.push(number);
    }
    for (const { kind, folder } of unneeded) {
      if (await remove(folder, remover, isFresh)) removed[kind]++;
    }
    if (!options.dryRun) {
      await addMissing(output, options.now());
      for (const folder of dead) await removeTree(folder);
    }
  } finally {
    if (remover !== undefined) await removeTree(remover);
  }
  return { dryRun: options.dryRun, snapshots, ...removed, temporary: dead.length, bytes };
}

/** What of the store is needed, by kind, for some snapshots and all that is staged. */
async function neededKeys(
  output: Output,
  numbers: readonly number[],
): Promise<Record<StoreKind, ReadonlySet<string>>> {
  const needed = {
    parts: new Set<string>(),
    scores: new Set<string>(),
    csv: new Set<string>(),
    models: new Set<string>(),
  };
  const addParts = ({ parts, model }: Pick<UnitRecord, 'parts' | 'model'>): void => {
    needed.models.add(modelKey(model));
    for (const { key, scoreKey } of parts) {
      needed.parts.add(key);
      needed.scores.add(scoreKey);
    }
  };
  const add = ({ units }: Manifest): void => {
    for (const unit of Object.values(units)) {
      addParts(unit);
      for (const { key } of unit.rejected ?? []) needed.csv.add(key);
    }
  };
  for (const number of numbers) {
    try {
      const { manifest, overridden } = await readSnapshot(output, number);
      add(manifest);
      // An exception's baseline is what its partition held before.
      for (const { instead } of overridden) if (instead !== undefined) addParts(instead);
    } catch (error) {
      // Another call, which keeps fewer, may have taken it.
      if ((await snapshotNumbers(output)).includes(number)) throw error;
    }
  }
  for (const name of await listFolder(output.path('staged'))) {
    try {
      add((await readStaged(output.path('staged', name))).manifest);
    } catch (error) {
      // Published or discarded meanwhile: then it is needed by a snapshot, or not at all.
      if ((await listFolder(output.path('staged'))).includes(name)) throw error;
    }
  }
  return needed;
}

async function mtimeOf(folder: string): Promise<number | undefined> {
  try {
    return (await stat(folder)).mtimeMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw systemError(error, `cannot look at ${shown(folder)}`);
  }
}

/**
 * Takes a folder away in one step, then removes it, so that nobody sees half of it; without a folder to take it to, nothing is
 * done. Puts it back when it turns out to be in use. Tells whether it is gone by this call.
 */
async function remove(
  folder: string,
  to: string | undefined,
  isFresh: (folder: string) => Promise<boolean> = async () => false,
): Promise<boolean> {
  if (to === undefined) return true;
  const away = join(to, 'removed');
  try {
    await rename(folder, away);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw systemError(error, `cannot remove ${shown(folder)}`);
  }
  // A run that found it between the look and now has touched it.
  if (await isFresh(away)) {
    const back = await rename(away, folder).then(
      () => true,
      // Made again meanwhile: the same content.
      () => false,
    );
    if (back) return false;
  }
  await removeTree(away);
  return true;
}

/** The space that goes with some folders: that of files of which no name is left. */
async function bytesFreed(folders: readonly string[]): Promise<number> {
  const files = new Map<string, { readonly bytes: number; links: number }>();
  for (const folder of folders) {
    for (const name of await listTree(folder)) {
      const found = await lstat(join(folder, name)).catch(() => undefined);
      // Gone meanwhile: not by this call.
      if (found === undefined) continue;
      const id = `${found.dev}:${found.ino}`;
      const file = files.get(id) ?? { bytes: found.size, links: found.nlink };
      file.links--;
      files.set(id, file);
    }
  }
  return [...files.values()].reduce((sum, { bytes, links }) => sum + (links <= 0 ? bytes : 0), 0);
}
