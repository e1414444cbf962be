/** What a person published though its gates failed, and which data may therefore be a baseline of later runs. */
import {
  type Manifest,
  type Overridden,
  parseOverridden,
  type UnitRecord,
  unitOf,
} from '../plan/manifest.js';
import { contentOf, readBeside } from './held.js';

/** The name of the file in a snapshot's folder. */
export const OVERRIDDEN_FILE = 'overridden.json';

/** What overridden data are to later runs: `exception`: never a baseline; `new-normal`: only data from then on are one. */
export type OverrideKind = 'exception' | 'new-normal';

/** A decision of a person about units whose gates failed. */
export interface Override {
  readonly as: OverrideKind;
  readonly failed: readonly { readonly unit: string; readonly date: string | null }[];
}

/** A snapshot's manifest, and what was overridden in it. */
interface Marked {
  readonly manifest: Manifest;
  readonly overridden: readonly Overridden[];
}

/** Returns what was overridden in the snapshot in a folder. Throws `environment` when its file is damaged. */
export function readOverridden(folder: string): Promise<readonly Overridden[]> {
  return readBeside(folder, {
    name: OVERRIDDEN_FILE,
    parse: parseOverridden,
    says: 'which data are no baseline',
  });
}

/** Returns what is overridden once snapshot `number` is published on top of `latest`. */
export function overriddenAfter(
  latest: Marked | undefined,
  {
    number,
    manifest,
    override,
  }: {
    readonly number: number;
    readonly manifest: Manifest;
    readonly override: Override | undefined;
  },
): Overridden[] {
  // The day on which a new normal began stays that day when its file is delivered once more.
  const still = (latest?.overridden ?? []).filter(
    (mark) => mark.from !== undefined || isAbout(mark, manifest),
  );
  if (override === undefined) return still;
  const { as, failed } = override;
  const [from] = failed.flatMap(({ date }) => date ?? []).sort();
  const overridden = new Set(failed.map(({ unit }) => unit));
  const others = still.filter(({ unit, as: earlier }) => !overridden.has(unit) || earlier !== as);
  const own = [...overridden].flatMap((unit): Overridden[] => {
    const record = unitOf(manifest, unit);
    if (record === undefined) return [];
    const mark = { unit, content: contentOf(record), as, snapshot: number };
    if (as === 'new-normal') return [{ ...mark, ...(from !== undefined && { from }) }];
    const before = baselineRecords(latest).get(unit);
    if (before === undefined) return [mark];
    return [{ ...mark, instead: { parts: before.parts, model: before.model } }];
  });
  if (as === 'exception') return [...others, ...own];
  const known = new Set(others.map(({ unit }) => unit));
  const superseded = Object.entries(manifest.units).flatMap(([unit, record]): Overridden[] =>
    overridden.has(unit) || known.has(unit)
      ? []
      : [{ unit, content: contentOf(record), as: 'superseded', snapshot: number }],
  );
  return [...others, ...superseded, ...own];
}

/** Whether a unit has just the content that a mark is about. */
function isAbout({ unit, content }: Overridden, manifest: Manifest): boolean {
  const record = unitOf(manifest, unit);
  return record !== undefined && contentOf(record) === content;
}

/**
 * Returns what is published of each unit, as later runs are compared with it: in place of an exception what the unit held
 * before, or nothing.
 */
export function baselineRecords(
  latest: Marked | undefined,
): Map<string, Pick<UnitRecord, 'parts' | 'model'>> {
  const records = new Map<string, Pick<UnitRecord, 'parts' | 'model'>>(
    Object.entries(latest?.manifest.units ?? {}),
  );
  for (const mark of exceptionsOf(latest)) {
    if (mark.instead === undefined) records.delete(mark.unit);
    else records.set(mark.unit, mark.instead);
  }
  return records;
}

/** Returns the exceptions among what is published. */
export function exceptionsOf(latest: Marked | undefined): Overridden[] {
  return marksOf(latest, 'exception');
}

/** Returns the names of the units that were published before a new normal. */
export function supersededUnits(latest: Marked | undefined): ReadonlySet<string> {
  return new Set(marksOf(latest, 'superseded').map(({ unit }) => unit));
}

/** Returns the names of the units that were published as a new normal. */
export function newNormalUnits(latest: Marked | undefined): ReadonlySet<string> {
  return new Set(marksOf(latest, 'new-normal').map(({ unit }) => unit));
}

/** Returns the day since which data are a baseline of `date`: that of the last new normal until then. */
export function newNormalSince(latest: Marked | undefined, date: string): string | undefined {
  return (latest?.overridden ?? [])
    .flatMap(({ from }) => (from !== undefined && from <= date ? [from] : []))
    .sort()
    .at(-1);
}

function marksOf(latest: Marked | undefined, as: Overridden['as']): Overridden[] {
  if (latest === undefined) return [];
  return latest.overridden.filter((mark) => mark.as === as && isAbout(mark, latest.manifest));
}
