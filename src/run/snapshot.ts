/** Numbered snapshots of what is published, and `current`, which names the highest. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import {
  createFolder,
  linkFile,
  linkTarget,
  listFolder,
  putFolderIfAbsent,
  removeTree,
  replaceLink,
  writeFileWhole,
} from '../base/files.js';
import { canonicalJson } from '../base/hash.js';
import { type DataExtension, dataFileName } from '../plan/ledger.js';
import {
  type Manifest,
  manifestText,
  parseManifest,
  partFileName,
  type UnitRecord,
  unitOf,
} from '../plan/manifest.js';
import type { Output } from './store.js';

/** A published snapshot. */
export interface Snapshot {
  readonly number: number;
  readonly folder: string;
  readonly manifest: Manifest;
}

/** What a run publishes: whole units, in place of what was there under their names. */
export interface Publication {
  readonly name: string;
  readonly extension: DataExtension;
  readonly units: ReadonlyMap<string, UnitRecord>;
}

const SNAPSHOT_NAME = /^\d{6,}$/;

function snapshotName(number: number): string {
  return String(number).padStart(6, '0');
}

/** The highest snapshot; undefined before the first publication. */
export async function latestSnapshot(output: Output): Promise<Snapshot | undefined> {
  const names = (await listFolder(output.path('snapshots'))).filter((name) =>
    SNAPSHOT_NAME.test(name),
  );
  const number = Math.max(0, ...names.map(Number));
  return number === 0 ? undefined : readSnapshot(output, number);
}

async function readSnapshot(output: Output, number: number): Promise<Snapshot> {
  const folder = output.path('snapshots', snapshotName(number));
  const path = join(folder, 'manifest.json');
  try {
    return { number, folder, manifest: parseManifest(await readFile(path, 'utf8'), path) };
  } catch (error) {
    throw systemError(error, `cannot read ${shown(path)}`);
  }
}

/** Makes `current` name the highest snapshot, and does so again until it holds: another run may publish meanwhile. */
export async function repairCurrent(output: Output): Promise<void> {
  for (;;) {
    const names = (await listFolder(output.path('snapshots'))).filter((name) =>
      SNAPSHOT_NAME.test(name),
    );
    const number = Math.max(0, ...names.map(Number));
    if (number === 0) return;
    const target = `snapshots/${snapshotName(number)}`;
    if ((await linkTarget(output.path('current'))) === target) return;
    await replaceLink(output.path('current'), target);
  }
}

/**
 * Publishes units as a new snapshot on top of the highest, in one step; undefined when that would change nothing. `base`
 * is the snapshot that the run was planned on: a unit that another run has changed since, to something else, is a
 * conflict. Throws `conflict`, `environment`.
 */
export async function publish(
  output: Output,
  publication: Publication,
  base: Snapshot | undefined,
  temporary: string,
): Promise<Snapshot | undefined> {
  for (;;) {
    const latest = await latestSnapshot(output);
    checkConflict(publication, base, latest);
    const manifest = merge(publication, latest);
    if (latest !== undefined && manifestText(latest.manifest) === manifestText(manifest)) {
      await repairCurrent(output);
      return undefined;
    }
    const number = (latest?.number ?? 0) + 1;
    const building = join(temporary, `snapshot-${number}`);
    await build(output, manifest, latest, building);
    const folder = output.path('snapshots', snapshotName(number));
    if (await putFolderIfAbsent(building, folder)) {
      await repairCurrent(output);
      return { number, folder, manifest };
    }
    // Another run took the number: on top of its snapshot, then.
    await removeTree(building);
  }
}

/** Builds what would have been published, to look at; the folder appears whole. */
export async function stage(
  output: Output,
  publication: Publication,
  runId: string,
  temporary: string,
): Promise<string> {
  const latest = await latestSnapshot(output);
  const building = join(temporary, 'staged');
  await build(output, merge(publication, latest), latest, building);
  const folder = output.path('staged', runId);
  await putFolderIfAbsent(building, folder);
  return folder;
}

function merge(publication: Publication, latest: Snapshot | undefined): Manifest {
  const { name, extension, units } = publication;
  if (latest !== undefined && latest.manifest.extension !== extension) {
    const others = Object.keys(latest.manifest.units).filter((unit) => !units.has(unit));
    if (others.length > 0) {
      throw new ScorelineError(
        'usage',
        `output.format: ${others.length} published partitions outside this run are .${latest.manifest.extension}; publish .${extension} to an output of its own`,
      );
    }
  }
  return {
    format: 1,
    name,
    extension,
    units: Object.fromEntries([...Object.entries(latest?.manifest.units ?? {}), ...units]),
  };
}

function checkConflict(
  publication: Publication,
  base: Snapshot | undefined,
  latest: Snapshot | undefined,
): void {
  if (latest === undefined || latest.number === base?.number) return;
  const text = (unit: UnitRecord | undefined): string => canonicalJson(unit ?? null);
  for (const [name, ours] of publication.units) {
    const before = text(unitOf(base?.manifest, name));
    const theirs = text(unitOf(latest.manifest, name));
    if (theirs !== before && theirs !== text(ours)) {
      throw new ScorelineError(
        'conflict',
        `partition ${shown(name === '' ? '.' : name)}: snapshot ${latest.number} of another run was published first, with other content; run again`,
      );
    }
  }
}

/** Lays a snapshot out in a folder: links to the parts, and the manifest. */
async function build(
  output: Output,
  manifest: Manifest,
  latest: Snapshot | undefined,
  folder: string,
): Promise<void> {
  const made = new Set<string>();
  const place = async (
    source: string,
    inSnapshot: string,
    old: string | undefined,
  ): Promise<void> => {
    const target = join(folder, inSnapshot);
    if (!made.has(dirname(target))) {
      await createFolder(dirname(target));
      made.add(dirname(target));
    }
    await linkFirst(source, old, target);
  };
  await createFolder(join(folder, 'data'));
  for (const [unit, { parts }] of Object.entries(manifest.units)) {
    const oldUnit = unitOf(latest?.manifest, unit);
    for (const [index, part] of parts.entries()) {
      const oldIndex = oldUnit?.parts.findIndex(({ key }) => key === part.key) ?? -1;
      const source = output.partFolder(part.key);
      for (const { kind, extension, stored } of filesOf(manifest, part)) {
        const inSnapshot = join(kind, unit, partFileName(manifest.name, index, extension));
        const old =
          latest === undefined || oldIndex < 0
            ? undefined
            : join(
                latest.folder,
                kind,
                unit,
                partFileName(latest.manifest.name, oldIndex, extension),
              );
        await place(join(source, stored), inSnapshot, old);
      }
    }
    for (const [index, { key }] of (manifest.units[unit]?.rejected ?? []).entries()) {
      const oldIndex = oldUnit?.rejected?.findIndex((record) => record.key === key) ?? -1;
      const nameIn = (name: string, at: number): string =>
        join('quarantine', unit, partFileName(name, at, 'rejected.parquet'));
      await place(
        join(output.csvFolder(key), 'rejected.parquet'),
        nameIn(manifest.name, index),
        latest === undefined || oldIndex < 0
          ? undefined
          : join(latest.folder, nameIn(latest.manifest.name, oldIndex)),
      );
    }
  }
  await writeFileWhole(join(folder, 'manifest.json'), manifestText(manifest));
}

function filesOf(manifest: Manifest, part: UnitRecord['parts'][number]) {
  const { extension } = manifest;
  const data = { kind: 'data', extension, stored: dataFileName(extension) };
  const quarantine = { kind: 'quarantine', extension: 'parquet', stored: 'quarantine.parquet' };
  return part.quarantine === null ? [data] : [data, quarantine];
}

/** Links a part's file from the store or, where the store has it no longer, from the snapshot before. */
async function linkFirst(source: string, old: string | undefined, target: string): Promise<void> {
  try {
    await linkFile(source, target);
  } catch (error) {
    const missing = error instanceof ScorelineError && errnoOf(error.cause) === 'ENOENT';
    if (!missing || old === undefined) throw error;
    await linkFile(old, target);
  }
}

/** The path of what is published, links resolved: a reader that follows it sees one snapshot. Throws `input`. */
export async function currentPath(output: Output): Promise<string> {
  await repairCurrent(output);
  const target = await linkTarget(output.path('current'));
  if (target === undefined)
    throw new ScorelineError('input', `${shown(output.root)}: nothing is published yet`);
  return output.path(target);
}
