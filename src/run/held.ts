/** What a revert took back, and what a publication makes of that: it does not come back by itself. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { canonicalJson, keyOf } from '../base/hash.js';
import { type Held, type Manifest, parseHeld, type UnitRecord, unitOf } from '../plan/manifest.js';

/** The name of the file in a snapshot's folder. */
export const HELD_FILE = 'held.json';

/** The units that a publication brings, and those that it drops. */
interface Brought {
  readonly units: ReadonlyMap<string, UnitRecord>;
  readonly removals?: readonly string[];
}

/** A snapshot's manifest, and what it holds back. */
interface Holding {
  readonly manifest: Manifest;
  readonly held: readonly Held[];
}

/** Returns what the snapshot in a folder holds back. Throws `environment` when that is damaged. */
export function readHeld(folder: string): Promise<readonly Held[]> {
  return readBeside(folder, { name: HELD_FILE, parse: parseHeld, says: 'what was reverted' });
}

/**
 * Returns what a file beside a manifest lists; nothing where a snapshot has no such file. Throws `environment` when the file is
 * damaged; `says` tells the user what it holds.
 */
export async function readBeside<Listed>(
  folder: string,
  file: {
    readonly name: string;
    readonly parse: (text: string) => readonly Listed[] | undefined;
    readonly says: string;
  },
): Promise<readonly Listed[]> {
  const path = join(folder, file.name);
  try {
    const listed = file.parse(await readFile(path, 'utf8'));
    if (listed !== undefined) return listed;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return [];
    throw systemError(error, `cannot read ${shown(path)}`);
  }
  throw new ScorelineError(
    'environment',
    `${shown(path)}: damaged; it says ${file.says}: restore it from a copy, or remove it`,
  );
}

/** The content of a unit as one digest. Types follow from the rest, and are not in records of before. */
export function contentOf({ types, ...content }: UnitRecord): string {
  return keyOf(content as Parameters<typeof keyOf>[0]);
}

/** What of a publication was taken back by a revert. */
export function heldOf(
  { units, removals = [] }: Brought,
  latest: Pick<Holding, 'held'> | undefined,
): readonly Held[] {
  return (latest?.held ?? []).filter(({ unit, content }) => {
    const ours = units.get(unit);
    return ours === undefined
      ? content === null && removals.includes(unit)
      : contentOf(ours) === content;
  });
}

/** What was taken back and is published, or dropped, all the same: a line each. */
export function overriddenReverts(held: readonly Held[]): string[] {
  return held.map(({ unit, content, snapshot }) => {
    const name = shown(unit === '' ? '.' : unit);
    return content === null
      ? `partition ${name}: gone as of snapshot ${snapshot}, which was reverted`
      : `partition ${name}: its content of snapshot ${snapshot}, which was reverted`;
  });
}

/** Throws `gate` when a publication would bring back what was reverted. */
export function checkHeld(publication: Brought, latest: Holding | undefined): void {
  const back = heldOf(publication, latest);
  const [first] = back;
  if (first === undefined) return;
  const more = back.length > 1 ? ` and ${back.length - 1} more` : '';
  const what =
    first.content === null
      ? `it was gone as of snapshot ${first.snapshot}, which was reverted: run without --prune, or drop it again with --because`
      : `this content was published as snapshot ${first.snapshot} and reverted: change data, model or job, or publish it again with --because`;
  throw new ScorelineError(
    'gate',
    `partition ${shown(first.unit === '' ? '.' : first.unit)}${more}: ${what}`,
  );
}

/** What is still held back after a publication: a unit that became something else is free again. */
export function heldStill(latest: Holding | undefined, manifest: Manifest): readonly Held[] {
  return (latest?.held ?? []).filter(
    ({ unit }) =>
      canonicalJson(unitOf(latest?.manifest, unit) ?? null) ===
      canonicalJson(unitOf(manifest, unit) ?? null),
  );
}
