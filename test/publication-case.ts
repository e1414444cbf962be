/** Publications of hand-made parts, whose data are texts. */
import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { beforeEach } from 'vitest';
import { putFolderIfAbsent } from '../src/base/files.js';
import { sha256 } from '../src/base/hash.js';
import type { DataExtension, PartRecord } from '../src/plan/ledger.js';
import type { UnitRecord } from '../src/plan/manifest.js';
import { type Publication, publish, type Snapshot } from '../src/run/snapshot.js';
import { Output } from '../src/run/store.js';
import { makeFolder } from './scoreline.js';

/** The output of the test that runs, new for each. */
export let output: Output;
/** A temporary folder in it. */
export let temporary: string;

beforeEach(useNewOutput);

/** Goes on with an output of which nothing was published. */
export async function useNewOutput(): Promise<void> {
  output = await Output.open(join(makeFolder(), 'out'));
  temporary = await output.makeTemporary();
}

/** Puts a part whose data are a text into the store, and says what a manifest says of it. */
export async function makePart(
  content: string,
  extension = 'parquet',
  bad?: string,
): Promise<PartRecord> {
  const key = sha256(`part ${content}`);
  const folder = join(temporary, key);
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder);
  writeFileSync(join(folder, `data.${extension}`), content);
  if (bad !== undefined) writeFileSync(join(folder, 'quarantine.parquet'), bad);
  const stored = (text: string) => ({ sha256: sha256(text), bytes: text.length, rows: 1 });
  const part: PartRecord = {
    key,
    scoreKey: sha256(`score ${content}`),
    ledger: { rows: 1, scored: 1, quarantined: 0, filtered: 0 },
    data: stored(content),
    quarantine: bad === undefined ? null : stored(bad),
  };
  writeFileSync(join(folder, 'part.json'), JSON.stringify({ part, inputs: [] }));
  if (!(await putFolderIfAbsent(folder, output.partFolder(key))))
    rmSync(folder, { recursive: true });
  return part;
}

/** A unit whose parts hold these texts. */
async function unitOf(...contents: readonly string[]): Promise<UnitRecord> {
  const parts: PartRecord[] = [];
  for (const content of contents) parts.push(await makePart(content));
  return recordOf(parts);
}

export function recordOf(parts: PartRecord[]): UnitRecord {
  const ledger = { rows: 1, scored: 1, quarantined: 0, filtered: 0 };
  return {
    inputs: parts.map(({ key }) => ({ path: `${key}.parquet`, sha256: key, ledger })),
    model: [sha256('model')],
    job: {},
    parts,
  };
}

/** A publication of units, each with the texts of its parts. */
export async function publicationOf(
  units: Readonly<Record<string, readonly string[]>>,
  extension: DataExtension = 'parquet',
): Promise<Publication> {
  const records = new Map<string, UnitRecord>();
  for (const [unit, contents] of Object.entries(units))
    records.set(unit, await unitOf(...contents));
  return { name: 'flights', extension, units: records };
}

export async function publishUnits(
  units: Readonly<Record<string, readonly string[]>>,
  base?: Snapshot,
): Promise<Snapshot | undefined> {
  return publish(output, await publicationOf(units), base, temporary);
}

/** The files below a folder and their texts. */
export function contents(folder: string): Record<string, string> {
  const names = existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: 'utf8' })
    : [];
  const files = names.filter((name) => statSync(join(folder, name)).isFile()).sort();
  return Object.fromEntries(files.map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
}

export function current(): string {
  return readlinkSync(output.path('current'));
}
