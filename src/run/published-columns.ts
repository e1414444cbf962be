/** The columns that a run publishes, held against those of the partitions that stay published beside them. */
import { shown } from '../base/errors.js';
import { unifiedType } from '../plan/signature.js';
import { type Columns, distinctColumns, hasRows } from './kept-columns.js';
import type { Base, Publication } from './snapshot.js';

/** What is compared: the columns of a publication, of all that is published, and of what of it stays. */
interface Compared {
  readonly ours: readonly [Columns, ...Columns[]];
  readonly published: readonly Columns[];
  readonly stays: readonly Columns[];
}

/**
 * Columns that a publication has with a type that they have nowhere in what is published, where partitions with another type
 * stay: a line each. A type that is published already was let through by a person, or is of before there was this check. Partitions
 * without rows, and columns of Parquet's null type, have no values that could be of another type.
 */
export function typesApart(publication: Publication, latest: Base | undefined): string[] {
  const compared = compare(publication, latest, hasRows);
  if (compared === undefined) return [];
  const { ours: all, published, stays } = compared;
  // All have the same columns, but what one knows only as nulls may have values in another.
  const kept = all.flatMap(({ unit, kept: own }) =>
    own.filter(({ nulls }) => nulls !== true).map((column) => ({ ...column, unit })),
  );
  const [first] = all;
  const lineOf = (
    unit: string,
    what: string,
    name: string,
    type: string | undefined,
    toDo: (theirs: string) => string,
  ): string[] => {
    const typeIn = ({ kept: others, predictions }: Columns): string | undefined =>
      [...others.filter(({ nulls }) => nulls !== true), ...predictions].find((column) =>
        isSame(column.name, name),
      )?.type;
    if (type === undefined || published.some((columns) => typeIn(columns) === type)) return [];
    const other = stays.find((columns) => typeIn(columns) !== undefined);
    if (other === undefined) return [];
    const theirs = typeIn(other)!;
    return [
      `${what} "${shown(name)}": is ${shown(type)} in ${named(unit)} and ${shown(theirs)} in ${named(other.unit)}, which stays published, so that what reads both fails or reads other values; ${toDo(theirs)}, or publish it with --because`,
    ];
  };
  return [
    ...[...new Map(kept.toReversed().map((column) => [column.name, column])).values()]
      .toReversed()
      .flatMap(({ unit, name, type }) =>
        lineOf(unit, 'output.keep', name, type, (theirs) => {
          const both = unifiedType(type, theirs);
          return both === undefined
            ? 'no type holds both: mend the data'
            : `score both again in one run, as ${both}`;
        }),
      ),
    ...first.predictions.flatMap(({ name, type }) =>
      lineOf(first.unit, 'prediction', name, type, () => 'score all with one model'),
    ),
  ];
}

/** Notes on columns that a publication has and nothing that is published, and on those that all of that has and it does not. */
export function columnNotes(publication: Publication, base: Base | undefined): string[] {
  const compared = compare(publication, base);
  if (compared === undefined) return [];
  const {
    ours: [ours],
    published,
    stays,
  } = compared;
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
  counts: typeof hasRows = () => true,
): Compared | undefined {
  const [first, ...others] = distinctColumns([...units].filter(counts));
  if (first === undefined || latest === undefined) return undefined;
  const ours = [first, ...others] as const;
  const published = Object.entries(latest.manifest.units).filter(counts);
  const stays = published.filter(([unit]) => !units.has(unit) && !removals.includes(unit));
  return { ours, published: distinctColumns(published), stays: distinctColumns(stays) };
}

function namesOf({ kept, predictions }: Columns): string[] {
  return [...kept, ...predictions].map(({ name }) => name);
}

/** Readers differ in whether they tell upper from lower case. */
function isSame(a: string, b: string): boolean {
  return a.toLowerCase() === b.toLowerCase();
}

function named(unit: string): string {
  return shown(unit === '' ? '.' : unit);
}
