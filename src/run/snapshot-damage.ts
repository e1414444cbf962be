/** Damage of what is published, and of what is staged. */
import { basename, join } from 'node:path';
import { messageOf } from '../base/errors.js';
import { listFolder, listTree } from '../base/files.js';
import { sha256 } from '../base/hash.js';
import {
  type Manifest,
  manifestText,
  type PublishedFile,
  publishedFiles,
} from '../plan/manifest.js';
import type { FileDigests } from '../report/report.js';
import type { Checker, Found } from './checker.js';
import { HELD_FILE } from './held.js';
import { OVERRIDDEN_FILE } from './overridden.js';
import {
  PUBLISHER_FILE,
  REPORT_FILE,
  readSnapshot,
  type Snapshot,
  snapshotName,
  snapshotNumbers,
} from './snapshot.js';
import { readStaged } from './staged.js';
import { readDraft } from './unrecorded.js';

/** Damage of a snapshot, and the files of its manifest that have it. */
export interface SnapshotDamage {
  readonly snapshot: Snapshot | undefined;
  readonly damage: readonly Found[];
  readonly files: readonly PublishedFile[];
}

/** What records say of a snapshot. */
export interface Recorded {
  /** The digests of the manifests that were published under its number; undefined when no record names it. */
  readonly manifests: ReadonlySet<string> | undefined;
  /** The digests of the files beside it; undefined in records of earlier versions. */
  readonly files: FileDigests | undefined;
}

/** Whether a publication of the same content ends some damage of a snapshot. Files that say what it holds cannot be guessed. */
export function isMendable({ path }: Found): boolean {
  return ![MANIFEST_FILE, HELD_FILE, OVERRIDDEN_FILE].includes(basename(path));
}

const MANIFEST_FILE = 'manifest.json';

/** Compares a snapshot with its manifest, and the manifest with what records say. */
export async function snapshotDamage(
  checker: Checker,
  number: number,
  recorded: Recorded,
): Promise<SnapshotDamage> {
  const { output } = checker;
  const folder = output.path('snapshots', snapshotName(number));
  try {
    const snapshot = await readSnapshot(output, number);
    const { damage, files } = await laidOutDamage(checker, folder, snapshot.manifest);
    const { manifests, files: beside = {} } = recorded;
    if (manifests !== undefined && !manifests.has(sha256(manifestText(snapshot.manifest)))) {
      damage.unshift(checker.found(join(folder, MANIFEST_FILE), 'is not what was published'));
    }
    for (const [name, digest] of Object.entries(beside))
      damage.push(...(await checker.check(join(folder, name), { sha256: digest })));
    // One that no record names is looked at with the records.
    const draft = manifests === undefined ? undefined : await readDraft(output, number);
    const isLost = draft === undefined && recorded.files !== undefined;
    if (draft === null || isLost)
      damage.push(
        checker.found(join(folder, PUBLISHER_FILE), isLost ? 'is missing' : 'is damaged'),
      );
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

/** Compares what is staged with its manifests. */
export async function stagedDamage(checker: Checker): Promise<Found[]> {
  const damage: Found[] = [];
  for (const name of await listFolder(checker.output.path('staged'))) {
    const folder = checker.output.path('staged', name);
    try {
      const { manifest, record } = await readStaged(folder);
      damage.push(...(await laidOutDamage(checker, folder, manifest)).damage);
      if (record.report !== undefined)
        damage.push(...(await checker.check(join(folder, REPORT_FILE), { sha256: record.report })));
    } catch (error) {
      damage.push(checker.found(folder, messageOf(error)));
    }
  }
  return damage;
}
