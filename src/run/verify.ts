/** Looks for damage: is everything that was published and stored still what it was? */
import { basename, join } from 'node:path';
import { ScorelineError } from '../base/errors.js';
import { linkTarget, removeTree } from '../base/files.js';
import type { PublishedFile } from '../plan/manifest.js';
import { chainDamage } from './chain-damage.js';
import { Checker, type Damage, type Found } from './checker.js';
import { clearMarks, markDamaged } from './damage-marks.js';
import { act, readHistory } from './history.js';
import { MARKER, writeMarker } from './marker.js';
import { takeUnusable } from './mend.js';
import { isOwnerDamaged, OWNER_FILE } from './owner.js';
import {
  latestSnapshot,
  PUBLISHER_FILE,
  putSnapshot,
  REPORT_FILE,
  repairCurrent,
  reportBeside,
  snapshotName,
  snapshotNumbers,
} from './snapshot.js';
import {
  isMendable,
  type SnapshotDamage,
  snapshotDamage,
  stagedDamage,
} from './snapshot-damage.js';
import type { Output } from './store.js';
import { removeStored, storeDamage } from './store-damage.js';
import { addMissing, unrecorded } from './unrecorded.js';

/** What a look at an output found. */
export interface Verification {
  readonly snapshots: readonly number[];
  readonly files: number;
  readonly bytes: number;
  /** The records of the chain, and the SHA-256 of the newest. */
  readonly records: number;
  readonly newestRecord: string | null;
  /** How much damage of records there is that somebody accepted. */
  readonly accepted: number;
  readonly damage: readonly Damage[];
}

/** What to look at, and whether to mend it. */
export interface VerifyOptions {
  readonly now: () => Date;
  /** Whether to look at older snapshots too, and at what is staged. */
  readonly all: boolean;
  /** Whether to take damage out of the store, and to publish anew what the store has whole. */
  readonly repair: boolean;
  /** Why damage of records that cannot be mended is accepted from now on. */
  readonly because?: string | undefined;
}

/**
 * Compares what is published, and all of the store, with what was recorded of it, and the records with their chain. With
 * `repair`, what is damaged in the store is removed, so that no run uses it; a damaged snapshot is published anew from the
 * store where that has all of it, else the next run makes again what it lacks. With `because`, records that cannot be mended
 * are accepted as they are: a record says so, and they are not named again unless they change.
 */
export async function verify(output: Output, options: VerifyOptions): Promise<Verification> {
  const checker = new Checker(output);
  const stored = await storeDamage(checker);
  const numbers = await snapshotNumbers(output);
  const checked = options.all ? numbers : numbers.slice(-1);
  const chain = await chainDamage(output, options);
  const snapshots = new Map<number, SnapshotDamage>();
  const made = await digestsOfHistory(output);
  for (const number of checked) {
    const found = await snapshotDamage(checker, number, {
      manifests: made.get(number),
      files: chain.snapshotFiles.get(number),
    });
    if (found.damage.length > 0) snapshots.set(number, found);
  }
  const staged = options.all ? await stagedDamage(checker) : [];
  const current = await currentDamage(output, numbers.at(-1));
  const { markerProblem } = output;
  const marker = markerProblem === undefined ? [] : [{ path: MARKER, problem: markerProblem }];
  const owner = (await isOwnerDamaged(output)) ? [{ path: OWNER_FILE, problem: 'is damaged' }] : [];
  const owed = await owedDamage(output, options.now(), made);
  const repairs = new Map<string, string>();
  if (options.repair) {
    if (marker.length > 0) await writeMarker(output.root);
    for (const { path } of marker) repairs.set(path, 'restored');
    for (const { path } of owner) {
      await removeTree(output.path(path));
      repairs.set(path, 'removed: the records say whose the output is, and the next run writes it');
    }
    if (current.length > 0) await repairCurrent(output);
    for (const { path } of current) repairs.set(path, 'names it again');
    for (const { path, mend } of chain.damage)
      if (mend !== undefined) repairs.set(path, await mend());
    await addMissing(output, options.now());
    for (const { path, isKnown } of owed) if (isKnown) repairs.set(path, 'recorded');
    const latest = snapshots.get(numbers.at(-1) ?? 0);
    // A crash after this leaves the marks: the next run republishes what they name.
    if (latest !== undefined) await markSnapshot(output, latest);
    await output.withTemporary((temporary) => removeStored(output, stored, temporary, repairs));
    if (latest !== undefined) await mendLatest(output, latest, options.now, repairs);
    await dropMarks(output);
  }
  const lost = chain.damage.filter(({ mend }) => mend === undefined);
  if (options.because !== undefined && lost.length > 0) {
    const about = { ...options, because: options.because, command: 'verify' as const };
    const overrides = lost.map(({ id }) => id);
    await act(output, { ...about, subject: 'records' }, async () => ({
      outcome: 'accepted',
      snapshot: undefined,
      overrides,
    }));
    for (const { path } of lost) repairs.set(path, 'accepted');
  }
  const damage = [
    ...marker,
    ...owner,
    ...current,
    ...[...snapshots.values()].flatMap((one) => one.damage),
    ...staged,
  ];
  return {
    snapshots: checked,
    files: checker.files,
    bytes: checker.bytes,
    records: chain.records,
    newestRecord: chain.newest,
    accepted: chain.accepted,
    damage: [...damage, ...stored, ...chain.damage, ...owed].map(({ path, problem }) => ({
      path,
      problem,
      repair: repairs.get(path) ?? null,
    })),
  };
}

async function currentDamage(output: Output, number: number | undefined): Promise<Found[]> {
  if (number === undefined) return [];
  const target = await linkTarget(output.path('current'));
  if (target === `snapshots/${snapshotName(number)}`) return [];
  return [{ path: 'current', problem: `does not name snapshot ${number}, the highest` }];
}

interface OwedDamage extends Found {
  /** Whether what its record is to say can be read. */
  readonly isKnown: boolean;
}

/** The snapshots that no record names though their runs and acts are gone; `made` are those that records name. */
async function owedDamage(
  output: Output,
  now: Date,
  made: ReadonlyMap<number, unknown>,
): Promise<OwedDamage[]> {
  return (await unrecorded(output, now)).flatMap(({ number, draft }): OwedDamage[] => {
    const folder = join('snapshots', snapshotName(number));
    if (draft !== null) {
      const problem = 'no record names it: whoever published it ended before';
      return [{ path: folder, problem, isKnown: true }];
    }
    if (made.has(number)) return [];
    const problem = 'is damaged, and no record names the snapshot';
    return [{ path: join(folder, PUBLISHER_FILE), problem, isKnown: false }];
  });
}

/** By number of a snapshot: the digests of the manifests that were published under it. */
async function digestsOfHistory(output: Output): Promise<Map<number, Set<string>>> {
  const digests = new Map<number, Set<string>>();
  for (const { snapshot, manifest } of await readHistory(output)) {
    if (snapshot === null || manifest === null) continue;
    digests.set(snapshot, (digests.get(snapshot) ?? new Set()).add(manifest));
  }
  return digests;
}

/** The damage of a snapshot's folder that a publication of the same content ends. */
function mendableOf({ snapshot, damage }: SnapshotDamage): readonly Found[] {
  return snapshot === undefined ? [] : damage.filter(isMendable);
}

/** Marks what is damaged in the highest snapshot. */
async function markSnapshot(output: Output, found: SnapshotDamage): Promise<void> {
  const { snapshot, files } = found;
  if (snapshot === undefined) return;
  const isMore = mendableOf(found).length > files.length;
  await markDamaged(output, [...files, ...(isMore ? [{ snapshot: snapshot.number }] : [])]);
}

/** Drops the marks of what is whole again. */
async function dropMarks(output: Output): Promise<void> {
  // Without its manifest there is no saying what the snapshot held.
  const latest = await latestSnapshot(output).catch(() => undefined);
  if (latest !== undefined) await clearMarks(output, latest);
}

/** Publishes a damaged snapshot anew from the store, or has the next run make again what the store lacks. */
async function mendLatest(
  output: Output,
  found: SnapshotDamage,
  now: () => Date,
  repairs: Map<string, string>,
): Promise<void> {
  const { snapshot, files } = found;
  if (snapshot === undefined) return;
  const lacking: PublishedFile[] = [];
  for (const file of files) if (!(await output.has(file.kind, file.key))) lacking.push(file);
  const subject = `snapshot ${snapshot.number}`;
  const options = { command: 'verify' as const, subject, now, because: undefined };
  if (lacking.length === 0) {
    const { number, manifest, held, overridden } = snapshot;
    const mendable = mendableOf(found);
    if (mendable.length === 0) return;
    await act(output, options, async ({ temporary, draft }) => {
      const isReport = ({ path }: Found): boolean => basename(path) === REPORT_FILE;
      const report = mendable.some(isReport) ? undefined : await reportBeside(snapshot);
      const next = {
        number: number + 1,
        manifest,
        held,
        overridden,
        report,
        draft: draft({ outcome: 'repaired' }),
      };
      const again = await putSnapshot(output, next, [snapshot], temporary);
      if (again === undefined)
        throw new ScorelineError('conflict', `${subject}: a run published meanwhile; verify again`);
      for (const { path } of mendable)
        repairs.set(path, `published anew as snapshot ${number + 1}`);
      return { outcome: 'repaired', snapshot: again };
    });
    return;
  }
  // A run makes again what the store lacks: the marks tell it to publish that.
  await output.withTemporary((temporary) => takeUnusable(output, snapshot, lacking, temporary));
}
