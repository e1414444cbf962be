/** Looks for damage: is everything that was published and stored still what it was? */
import { lstat, readFile } from 'node:fs/promises';
import { join, relative } from 'node:path';
import { errnoOf, messageOf, ScorelineError } from '../base/errors.js';
import { linkTarget, listFolder, listTree } from '../base/files.js';
import { hashFile, sha256, stampText } from '../base/hash.js';
import { SAMPLE_FILE, STATISTICS_FILE, type StoredFile } from '../plan/ledger.js';
import {
  type Manifest,
  manifestText,
  type PublishedFile,
  parseScores,
  publishedFiles,
  unitOf,
} from '../plan/manifest.js';
import { chainDamage } from './chain-damage.js';
import { act, readHistory } from './history.js';
import { readModelRecord } from './model-store.js';
import {
  PUBLISHER_FILE,
  putSnapshot,
  readSnapshot,
  repairCurrent,
  reportBeside,
  type Snapshot,
  snapshotName,
  snapshotNumbers,
} from './snapshot.js';
import { readStaged } from './staged.js';
import { type Output, STORE_KINDS, type StoreKind } from './store.js';
import { addMissing, unrecorded } from './unrecorded.js';

/** Something that is not what it was. */
export interface Damage {
  /** Relative to the output. */
  readonly path: string;
  readonly problem: string;
  /** What was done about it; null when it is still so. */
  readonly repair: string | null;
}

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
  const snapshots = new Map<number, SnapshotDamage>();
  const made = await digestsOfHistory(output);
  for (const number of checked) {
    const found = await snapshotDamage(checker, number, made.get(number));
    if (found.damage.length > 0) snapshots.set(number, found);
  }
  const staged = options.all ? await stagedDamage(checker) : [];
  const current = await currentDamage(output, numbers.at(-1));
  const chain = await chainDamage(output);
  const owed = await owedDamage(output, options.now(), made);
  const repairs = new Map<string, string>();
  if (options.repair) {
    if (current.length > 0) await repairCurrent(output);
    for (const { path } of current) repairs.set(path, 'names it again');
    for (const { path, mend } of chain.damage)
      if (mend !== undefined) repairs.set(path, await mend());
    await addMissing(output, options.now());
    for (const { path, isKnown } of owed) if (isKnown) repairs.set(path, 'recorded');
    await output.withTemporary((temporary) => removeStored(output, stored, temporary, repairs));
    const latest = snapshots.get(numbers.at(-1) ?? 0);
    if (latest !== undefined) await mendLatest(output, latest, options.now, repairs);
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
  const damage = [...current, ...[...snapshots.values()].flatMap((one) => one.damage), ...staged];
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

type Found = Omit<Damage, 'repair'>;

/** Compares files with their digests; each content is read once, whatever its names. */
class Checker {
  readonly output: Output;
  private readonly known = new Map<string, string>();
  files = 0;
  bytes = 0;

  constructor(output: Output) {
    this.output = output;
  }

  /** What is wrong with a file; nothing when it is what it was. */
  async check(path: string, { sha256, bytes }: Partial<StoredFile>): Promise<Found[]> {
    const problem = await this.problemOf(path, sha256, bytes);
    return problem === undefined ? [] : [this.found(path, problem)];
  }

  found(path: string, problem: string): Found {
    return { path: relative(this.output.root, path), problem };
  }

  private async problemOf(
    path: string,
    digest: string | undefined,
    bytes: number | undefined,
  ): Promise<string | undefined> {
    this.files++;
    try {
      const stat = await lstat(path, { bigint: true });
      if (!stat.isFile()) return 'is no file';
      const size = Number(stat.size);
      if (bytes !== undefined && size !== bytes) return `has ${size} bytes, not ${bytes}`;
      if (digest === undefined) return undefined;
      const inode = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
      let found = this.known.get(inode);
      if (found === undefined) {
        const hashed = await hashFile(path);
        found = hashed.sha256;
        this.known.set(stampText(hashed.stamp), found);
        this.bytes += size;
      }
      return found === digest ? undefined : 'its content has changed';
    } catch (error) {
      return errnoOf(error) === 'ENOENT' ? 'is missing' : messageOf(error);
    }
  }
}

/** Damage of a snapshot, and the files of its manifest that have it. */
interface SnapshotDamage {
  readonly snapshot: Snapshot | undefined;
  readonly damage: readonly Found[];
  readonly files: readonly PublishedFile[];
}

async function snapshotDamage(
  checker: Checker,
  number: number,
  digests: ReadonlySet<string> | undefined,
): Promise<SnapshotDamage> {
  const { output } = checker;
  const folder = output.path('snapshots', snapshotName(number));
  try {
    const snapshot = await readSnapshot(output, number);
    const { damage, files } = await laidOutDamage(checker, folder, snapshot.manifest);
    if (digests !== undefined && !digests.has(sha256(manifestText(snapshot.manifest)))) {
      damage.unshift(checker.found(join(folder, 'manifest.json'), 'is not what was published'));
    }
    return { snapshot, damage, files };
  } catch (error) {
    // gc may have taken it meanwhile.
    const gone = !(await snapshotNumbers(output)).includes(number);
    const damage = gone ? [] : [checker.found(folder, messageOf(error))];
    return { snapshot: undefined, damage, files: [] };
  }
}

/** Compares a folder with the manifest in it. */
async function laidOutDamage(
  checker: Checker,
  folder: string,
  manifest: Manifest,
): Promise<{ damage: Found[]; files: PublishedFile[] }> {
  const damage: Found[] = [];
  const files: PublishedFile[] = [];
  const expected = new Set<string>();
  for (const file of publishedFiles(manifest)) {
    expected.add(file.path);
    const found = await checker.check(join(folder, file.path), file.file);
    if (found.length > 0) files.push(file);
    damage.push(...found);
  }
  for (const kind of ['data', 'quarantine']) {
    for (const name of await listTree(join(folder, kind))) {
      const path = `${kind}/${name}`;
      if (!expected.has(path)) damage.push(checker.found(join(folder, path), 'was not published'));
    }
  }
  return { damage, files };
}

async function stagedDamage(checker: Checker): Promise<Found[]> {
  const damage: Found[] = [];
  for (const name of await listFolder(checker.output.path('staged'))) {
    const folder = checker.output.path('staged', name);
    try {
      const { manifest } = await readStaged(folder);
      damage.push(...(await laidOutDamage(checker, folder, manifest)).damage);
    } catch (error) {
      damage.push(checker.found(folder, messageOf(error)));
    }
  }
  return damage;
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

interface StoredDamage extends Found {
  readonly kind: StoreKind;
  readonly key: string;
}

async function storeDamage(checker: Checker): Promise<StoredDamage[]> {
  const { output } = checker;
  const damage: StoredDamage[] = [];
  for (const kind of STORE_KINDS) {
    for (const key of await output.storedKeys(kind)) {
      const found = await entryDamage(checker, kind, key);
      // gc may have taken it meanwhile.
      if (found.length === 0 || !(await output.has(kind, key))) continue;
      damage.push(...found.map((one) => ({ ...one, kind, key })));
    }
  }
  return damage;
}

async function entryDamage(checker: Checker, kind: StoreKind, key: string): Promise<Found[]> {
  const folder = checker.output.storeFolder(kind, key);
  const check = (name: string, file: Partial<StoredFile>): Promise<Found[]> =>
    checker.check(join(folder, name), file);
  const names = await listFolder(folder);
  try {
    if (kind === 'parts') {
      const stored = await checker.output.readPart(key);
      if (stored === undefined) return [checker.found(join(folder, 'part.json'), 'is missing')];
      const { part, statistics, sample } = stored;
      const data = names.find((name) => name.startsWith('data.')) ?? 'data';
      const bad =
        part.quarantine === null ? [] : await check('quarantine.parquet', part.quarantine);
      const counted =
        statistics === undefined ? [] : await check(STATISTICS_FILE, { sha256: statistics });
      const sampled = sample === undefined ? [] : await check(SAMPLE_FILE, { sha256: sample });
      return [...(await check(data, part.data)), ...bad, ...counted, ...sampled];
    }
    if (kind === 'csv') {
      const record = await checker.output.readCsv(key);
      if (record === undefined) return [checker.found(join(folder, 'csv.json'), 'is missing')];
      const { data = {}, rejected } = record;
      const bad = rejected === null ? [] : await check('rejected.parquet', rejected);
      return [...(await check('rows.parquet', data)), ...bad];
    }
    if (kind === 'models') {
      const record = await readModelRecord(checker.output, key);
      if (record === undefined) return [checker.found(join(folder, 'model.json'), 'is damaged')];
      const found = record.files.map(({ path, ...file }) => check(join('files', path), file));
      return (await Promise.all(found)).flat();
    }
    const record = parseScores(await readFile(join(folder, 'scores.json'), 'utf8'));
    if (record === undefined) return [checker.found(join(folder, 'scores.json'), 'is damaged')];
    const { scores, bad, statistics, sample } = record.files ?? {};
    const ofBad = bad == null ? [] : await check('bad.parquet', { sha256: bad });
    return [
      ...(await check('scores.parquet', scores === undefined ? {} : { sha256: scores })),
      ...ofBad,
      ...(statistics === undefined ? [] : await check(STATISTICS_FILE, { sha256: statistics })),
      ...(sample === undefined ? [] : await check(SAMPLE_FILE, { sha256: sample })),
    ];
  } catch (error) {
    return [checker.found(folder, messageOf(error))];
  }
}

/** Takes damaged entries out of the store. */
async function removeStored(
  output: Output,
  damage: readonly StoredDamage[],
  temporary: string,
  repairs: Map<string, string>,
): Promise<void> {
  for (const { path, kind, key } of damage) {
    await output.takeAway(kind, key, temporary);
    repairs.set(path, 'removed from the store');
  }
}

/** Publishes a damaged snapshot anew from the store, or has the next run make again what the store lacks. */
async function mendLatest(
  output: Output,
  { snapshot, damage, files }: SnapshotDamage,
  now: () => Date,
  repairs: Map<string, string>,
): Promise<void> {
  // Without its manifest there is no saying what it held.
  if (snapshot === undefined) return;
  const lacking: PublishedFile[] = [];
  for (const file of files) if (!(await output.has(file.kind, file.key))) lacking.push(file);
  const subject = `snapshot ${snapshot.number}`;
  const options = { command: 'verify' as const, subject, now, because: undefined };
  if (lacking.length === 0) {
    const { number, manifest, held, overridden, folder } = snapshot;
    const edited = join(relative(output.root, folder), 'manifest.json');
    const mendable = damage.filter(({ path }) => path !== edited);
    if (mendable.length === 0) return;
    await act(output, options, async ({ temporary, draft }) => {
      const report = await reportBeside(snapshot);
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
  // A run makes again a part that the store lacks; bad records of CSV files come with their unit's parts.
  await output.withTemporary(async (temporary) => {
    for (const { unit, kind } of lacking) {
      const parts = kind === 'csv' ? (unitOf(snapshot.manifest, unit)?.parts ?? []) : [];
      for (const { key } of parts) await output.takeAway('parts', key, temporary);
    }
  });
}
