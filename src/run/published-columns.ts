/** The columns that a run publishes, held against those of the partitions that stay published beside them. */
import { shown } from '../base/errors.js';
import { type RecordedColumns, recordedColumns, type UnitRecord } from '../plan/manifest.js';
import { unifiedType } from '../plan/signature.js';
import type { Base, Publication } from './snapshot.js';

/** Columns, and the first of the units that have just these. */
interface Columns extends RecordedColumns {
  readonly unit: string;
}

/** What is compared: the columns of a publication, of all that is published, and of what of it stays. */
interface Compared {
  readonly ours: Columns;
  readonly published: readonly Columns[];
  readonly stays: readonly Columns[];
}

/**
 * Columns that a publication has with a type that they have nowhere in what is published, where partitions with another type
 * stay: a line each. A type that is published already was let through by a person, or is of before there was this check.
 */
export function typesApart(publication: Publication, latest: Base | undefined): string[] {
  const compared = compare(publication, latest);
  if (compared === undefined) return [];
  const { ours, published, stays } = compared;
  const lineOf = (
    what: string,
    name: string,
    type: string | undefined,
    toDo: (theirs: string) => string,
  ): string[] => {
    const typeIn = ({ kept, predictions }: Columns): string | undefined =>
      [...kept, ...predictions].find((column) => isSame(column.name, name))?.type;
    if (type === undefined || published.some((columns) => typeIn(columns) === type)) return [];
    const other = stays.find((columns) => typeIn(columns) !== undefined);
    if (other === undefined) return [];
    const theirs = typeIn(other)!;
    return [
      `${what} "${shown(name)}": is ${shown(type)} in ${named(ours)} and ${shown(theirs)} in ${named(other)}, which stays published, so that what reads both fails or reads other values; ${toDo(theirs)}, or publish it with --because`,
    ];
  };
  return [
    ...ours.kept.flatMap(({ name, type }) =>
      lineOf('output.keep', name, type, (theirs) => {
        const both = unifiedType(type, theirs);
        return both === undefined
          ? 'no type holds both: mend the data'
          : `score both again in one run, as ${both}`;
      }),
    ),
    ...ours.predictions.flatMap(({ name, type }) =>
      lineOf('prediction', name, type, () => 'score all with one model'),
    ),
  ];
}

/** Notes on columns that a publication has and nothing that is published, and on those that all of that has and it does not. */
export function columnNotes(publication: Publication, base: Base | undefined): string[] {
  const compared = compare(publication, base);
  if (compared === undefined) return [];
  const { ours, published, stays } = compared;
  if (stays.length === 0) return [];
  const mine = namesOf(ours);
  const others = published.map(namesOf);
  const has = (names: readonly string[], name: string): boolean =>
    names.some((other) => isSame(other, name));
  const added = mine.filter((name) => !others.some((names) => has(names, name)));
  const [first = []] = others;
  const gone = first.filter(
    (name) => others.every((names) => has(names, name)) && !has(mine, name),
  );
  const note = (what: string, names: readonly string[]): string[] =>
    names.length === 0 ? [] : [`${what}: ${names.map((name) => shown(name)).join(', ')}`];
  return [
    ...note('columns that partitions which stay published do not have', added),
    ...note('columns that only partitions which stay published have', gone),
  ];
}

/** All units of a publication are of one run, and so of one job: they have the same columns. */
function compare(
  { units, removals = [] }: Publication,
  latest: Base | undefined,
): Compared | undefined {
  const [ours] = distinctColumns([...units]);
  if (ours === undefined || latest === undefined) return undefined;
  const published = Object.entries(latest.manifest.units);
  const stays = published.filter(([unit]) => !units.has(unit) && !removals.includes(unit));
  return { ours, published: distinctColumns(published), stays: distinctColumns(stays) };
}

/** The columns of units, each kind once: thousands of units have the same. Those of which nothing is recorded are left out. */
function distinctColumns(units: readonly (readonly [string, UnitRecord])[]): Columns[] {
  const first = new Map<string, readonly [string, UnitRecord]>();
  for (const entry of units) {
    const { job, types = [] } = entry[1];
    const { 'output.keep': kept, 'output.partition_columns': inFolders } = job;
    const key = JSON.stringify([kept, inFolders, job['output.columns'], types]);
    if (!first.has(key)) first.set(key, entry);
  }
  return [...first.values()].flatMap(([unit, record]) => {
    const columns = recordedColumns(record);
    return columns === undefined ? [] : [{ unit, ...columns }];
  });
}

function namesOf({ kept, predictions }: Columns): string[] {
  return [...kept, ...predictions].map(({ name }) => name);
}

/** Readers differ in whether they tell upper from lower case. */
function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function named({ unit }: Columns): string {
  return shown(unit === '' ? '.' : unit);
}
