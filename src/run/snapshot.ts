/** Numbered snapshots of what is published, and `current`, which names the highest. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import {
  createFolder,
  createSubfolder,
  linkFile,
  linkTarget,
  listFolder,
  putFolderIfAbsent,
  removeLeftover,
  replaceLink,
  writeFileWhole,
} from '../base/files.js';
import { canonicalJson, sealed, sha256 } from '../base/hash.js';
import type { DataExtension } from '../plan/ledger.js';
import {
  type Held,
  type Manifest,
  manifestText,
  type Overridden,
  type PublishedFile,
  parseManifest,
  publishedFiles,
  type UnitRecord,
  unitOf,
} from '../plan/manifest.js';
import type { FileDigests } from '../report/report.js';
import { clearMarks } from './damage-marks.js';
import { checkHeld, contentOf, HELD_FILE, heldStill, readHeld } from './held.js';
import { OVERRIDDEN_FILE, type Override, overriddenAfter, readOverridden } from './overridden.js';
import type { Output } from './store.js';

/** A published snapshot. */
export interface Snapshot {
  readonly number: number;
  readonly folder: string;
  readonly manifest: Manifest;
  /** What was reverted before it and is not to come back by itself. */
  readonly held: readonly Held[];
  /** What a person published though gates failed: it says which data are a baseline. */
  readonly overridden: readonly Overridden[];
  /** By name: the digests of the files beside the manifest. Only the publisher knows them. */
  readonly files?: FileDigests | undefined;
}

/** What a run was planned on. */
export type Base = Pick<Snapshot, 'number' | 'manifest'>;

/** What a run publishes: whole units, in place of what was there under their names. */
export interface Publication {
  readonly name: string;
  readonly extension: DataExtension;
  readonly units: ReadonlyMap<string, UnitRecord>;
  /** Published units that it drops. */
  readonly removals?: readonly string[];
  /** Whether to publish also what was reverted. */
  readonly evenReverted?: boolean;
  /** Whether to publish also what is published already: its files were damaged. */
  readonly anew?: boolean;
  /** What a person decided about the units whose gates failed. */
  readonly override?: Override | undefined;
  /** Judges it on top of what is published, each time anew when that has changed: gives the text of its report, or throws. */
  readonly review?: (latest: Snapshot | undefined) => Promise<string>;
  readonly draft?: Draft | undefined;
}

/** Gives the text to keep with a snapshot of whoever publishes it, for the case that it cannot record it; asked just before. */
export type Draft = (next: Snapshot) => Promise<string>;

/** The name of the report in a snapshot's folder, and in that of a run. */
export const REPORT_FILE = 'report.json';

/** The name of what is kept in a snapshot's folder of whoever published it. */
export const PUBLISHER_FILE = 'publisher.json';

/** A file that is to be published is in neither the store nor a snapshot. */
export class PartMissing extends ScorelineError {
  readonly unit: string;

  constructor({ unit, path }: Pick<PublishedFile, 'unit' | 'path'>) {
    super(
      'environment',
      `${shown(path)}: is gone from the store, and no snapshot has it; "scoreline verify" says what else is`,
    );
    this.unit = unit;
  }
}

const SNAPSHOT_NAME = /^\d{6,}$/;

/** The name of a snapshot's folder. */
export function snapshotName(number: number): string {
  return String(number).padStart(6, '0');
}

/** The numbers of the snapshots, the lowest first. */
export async function snapshotNumbers(output: Output): Promise<number[]> {
  const names = await listFolder(output.path('snapshots'));
  return names
    .filter((name) => SNAPSHOT_NAME.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

/** The highest snapshot; undefined before the first publication. */
export async function latestSnapshot(output: Output): Promise<Snapshot | undefined> {
  for (;;) {
    const number = (await snapshotNumbers(output)).at(-1);
    if (number === undefined) return undefined;
    try {
      return await readSnapshot(output, number);
    } catch (error) {
      // Where a higher one was published meanwhile, gc may have taken this one.
      if ((await snapshotNumbers(output)).at(-1) === number) throw error;
    }
  }
}

/** The snapshot of a number. Throws `environment` when it is damaged or not there. */
export async function readSnapshot(output: Output, number: number): Promise<Snapshot> {
  const folder = output.path('snapshots', snapshotName(number));
  const path = join(folder, 'manifest.json');
  try {
    const manifest = parseManifest(await readFile(path, 'utf8'), path);
    const [held, overridden] = await Promise.all([readHeld(folder), readOverridden(folder)]);
    return { number, folder, manifest, held, overridden };
  } catch (error) {
    throw systemError(error, `cannot read ${shown(path)}`);
  }
}

/** The report beside a snapshot, for one that holds the same again; undefined where there is none that can be read. */
export async function reportBeside({
  folder,
}: Pick<Snapshot, 'folder'>): Promise<string | undefined> {
  return readFile(join(folder, REPORT_FILE), 'utf8').catch(() => undefined);
}

/** Makes `current` name the highest snapshot, and does so again until it holds: another run may publish meanwhile. */
export async function repairCurrent(output: Output): Promise<void> {
  for (;;) {
    const number = (await snapshotNumbers(output)).at(-1);
    if (number === undefined) return;
    const target = `snapshots/${snapshotName(number)}`;
    if ((await linkTarget(output.path('current'))) === target) return;
    await output.withTemporary((temporary) =>
      replaceLink(output.path('current'), target, join(temporary, 'current')),
    );
  }
}

/**
 * Publishes units as a new snapshot on top of the highest, in one step; undefined when that would change nothing. `base`
 * is the snapshot that the run was planned on: a unit that another run has changed since, to something else, is a
 * conflict. `holders` may have files that the store has no longer. Throws `conflict`, `gate` (what was reverted), `environment`.
 */
export async function publish(
  output: Output,
  publication: Publication,
  base: Base | undefined,
  temporary: string,
  holders: readonly Holder[] = [],
): Promise<Snapshot | undefined> {
  let published: Snapshot | undefined;
  for (;;) {
    const latest = await latestSnapshot(output);
    checkConflict(publication, base, latest);
    if (publication.evenReverted !== true) checkHeld(publication, latest);
    const manifest = merge(publication, latest);
    if (latest !== undefined && manifestText(latest.manifest) === manifestText(manifest)) {
      // What another run has published anew is whole again.
      if (publication.anew !== true || latest.number !== base?.number) {
        await repairCurrent(output);
        return published;
      }
    }
    const report = await publication.review?.(latest);
    const number = (latest?.number ?? 0) + 1;
    const { draft, override } = publication;
    const held = heldStill(latest, manifest);
    const overridden = overriddenAfter(latest, { number, manifest, override });
    const next = { number, manifest, held, overridden, report, draft };
    const all = latest === undefined ? holders : [...holders, latest];
    try {
      published = (await putSnapshot(output, next, all, temporary)) ?? published;
      // A lower number may have been free only because gc had taken what others had published under it meanwhile.
      if (published !== undefined && (await snapshotNumbers(output)).at(-1) === published.number)
        return published;
    } catch (error) {
      // A part that gc took because a newer snapshot does without it is not missed.
      const newest = (await snapshotNumbers(output)).at(-1);
      if (!(error instanceof PartMissing) || newest === latest?.number) throw error;
    }
  }
}

/** A folder laid out like a snapshot. */
export type Holder = Pick<Snapshot, 'folder' | 'manifest'>;

/**
 * Puts a snapshot in its place, in one step; undefined when another run has taken the number. Files come from the store, else
 * from a holder.
 */
export async function putSnapshot(
  output: Output,
  {
    number,
    manifest,
    held,
    overridden,
    report,
    draft,
  }: Omit<Snapshot, 'folder' | 'files'> & {
    readonly report?: string | undefined;
    readonly draft?: Draft | undefined;
  },
  holders: readonly Holder[],
  temporary: string,
): Promise<Snapshot | undefined> {
  const building = join(temporary, `snapshot-${number}`);
  try {
    await buildSnapshot(output, manifest, building, holders);
    const beside = new Map<string, string>();
    addList(beside, HELD_FILE, { held });
    addList(beside, OVERRIDDEN_FILE, { overridden });
    if (report !== undefined) beside.set(REPORT_FILE, report);
    for (const [name, text] of beside) await writeFileWhole(join(building, name), text);
    const files = Object.fromEntries([...beside].map(([name, text]) => [name, sha256(text)]));
    const folder = output.path('snapshots', snapshotName(number));
    const next = { number, folder, manifest, held, overridden, files };
    if (draft !== undefined)
      await writeFileWhole(join(building, PUBLISHER_FILE), await draft(next));
    if (!(await putFolderIfAbsent(building, folder))) return undefined;
    await repairCurrent(output);
    await clearMarks(output, next);
    return next;
  } finally {
    await removeLeftover(building);
  }
}

/** Adds the text of a file that only snapshots with something to list in it have. */
function addList(
  texts: Map<string, string>,
  name: string,
  listed: Readonly<Record<string, readonly unknown[]>>,
): void {
  if (Object.values(listed).every((list) => list.length === 0)) return;
  texts.set(name, `${canonicalJson(sealed({ format: 1, ...listed }))}\n`);
}

/** The manifest of a snapshot with the units of a publication in place of those of the same names, and without those it drops. */
export function merge(publication: Publication, latest: Base | undefined): Manifest {
  const { name, extension, units, removals = [] } = publication;
  const stays = Object.entries(latest?.manifest.units ?? {}).filter(
    ([unit]) => !removals.includes(unit),
  );
  if (latest !== undefined && latest.manifest.extension !== extension) {
    const others = stays.filter(([unit]) => !units.has(unit));
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
    units: Object.fromEntries([
      ...stays,
      ...[...units].map(([unit, record]) => [unit, sameAs(unitOf(latest?.manifest, unit), record)]),
    ]),
  };
}

/** A record of before types were recorded, where it has the same content: nothing is published anew for them alone. */
function sameAs(before: UnitRecord | undefined, record: UnitRecord): UnitRecord {
  const isSame =
    before !== undefined && before.types === undefined && contentOf(before) === contentOf(record);
  return isSame ? before : record;
}

/** The units of a publication that are not published just so already. */
export function newsOf(
  { units }: Pick<Publication, 'units'>,
  base: Base | undefined,
): Map<string, UnitRecord> {
  const text = (unit: UnitRecord | undefined): string => canonicalJson(unit ?? null);
  return new Map(
    [...units].filter(([name, unit]) => text(unitOf(base?.manifest, name)) !== text(unit)),
  );
}

function checkConflict(
  publication: Publication,
  base: Base | undefined,
  latest: Base | undefined,
): void {
  if (latest === undefined || latest.number === base?.number) return;
  const text = (unit: UnitRecord | undefined): string => canonicalJson(unit ?? null);
  const { units, removals = [] } = publication;
  const wanted = [...units, ...removals.map((name) => [name, undefined] as const)];
  for (const [name, ours] of wanted) {
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
export async function buildSnapshot(
  output: Output,
  manifest: Manifest,
  folder: string,
  holders: readonly Holder[],
): Promise<void> {
  const idOf = ({ unit, key, name }: PublishedFile): string => `${unit}\0${key}\0${name}`;
  const elsewhere = holders.map((holder) => ({
    folder: holder.folder,
    paths: new Map(publishedFiles(holder.manifest).map((file) => [idOf(file), file.path])),
  }));
  const made = new Set<string>();
  await createSubfolder(folder);
  await createSubfolder(join(folder, 'data'));
  for (const file of publishedFiles(manifest)) {
    const target = join(folder, file.path);
    if (!made.has(dirname(target))) {
      await createFolder(dirname(target));
      made.add(dirname(target));
    }
    const stored = join(output.storeFolder(file.kind, file.key), file.name);
    const held = elsewhere.flatMap(({ folder: holder, paths }) => {
      const path = paths.get(idOf(file));
      return path === undefined ? [] : [join(holder, path)];
    });
    if (!(await linkFirst([stored, ...held], target))) throw new PartMissing(file);
  }
  await writeFileWhole(join(folder, 'manifest.json'), manifestText(manifest));
}

/** Links the first of some files that is there; tells whether one is. */
async function linkFirst(sources: readonly string[], target: string): Promise<boolean> {
  for (const source of sources) {
    try {
      await linkFile(source, target);
      return true;
    } catch (error) {
      if (!(error instanceof ScorelineError && errnoOf(error.cause) === 'ENOENT')) throw error;
    }
  }
  return false;
}

/** The path of what is published, links resolved: a reader that follows it sees one snapshot. Throws `input`. */
export async function currentPath(output: Output): Promise<string> {
  await repairCurrent(output);
  const target = await linkTarget(output.path('current'));
  if (target === undefined)
    throw new ScorelineError('input', `${shown(output.root)}: nothing is published yet`);
  return output.path(target);
}
