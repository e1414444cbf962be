/** The types of the kept columns: those of the rows of a run, else those that are published beside them. */
import { ScorelineError, shown } from '../base/errors.js';
import {
  type Manifest,
  type RecordedColumns,
  recordedColumns,
  type UnitRecord,
} from '../plan/manifest.js';
import type { KeptColumn, UnitPlan } from '../plan/plan.js';
import { type ColumnSource, unifiedType } from '../plan/signature.js';

/** The columns that files have, and whether any of these files has rows. */
export interface RowColumns {
  readonly columns: readonly ColumnSource[];
  readonly filled: boolean;
}

/** Columns, and the first of the units that have just these. */
export interface Columns extends RecordedColumns {
  readonly unit: string;
}

/**
 * The one type of each kept column over the whole dataset. Files without rows and columns of Parquet's null type have no say where
 * others have, or where the column is published already. Throws `input` when files disagree.
 */
export function keptColumns(
  keep: readonly string[],
  rows: readonly RowColumns[],
  published: Manifest | undefined,
): KeptColumn[] {
  return keep.map((name) => {
    let type: string | undefined;
    const weak: { readonly type: string; readonly filled: boolean }[] = [];
    for (const { columns, filled } of rows) {
      const column = columns.find((candidate) => candidate.name === name);
      if (column === undefined) continue;
      // Of what is written as text the job says the type, with rows or without.
      if (!column.written && (!filled || column.nulls === true)) {
        weak.push({ type: column.type, filled });
        continue;
      }
      const both = type === undefined ? column.type : unifiedType(type, column.type);
      if (both === undefined) {
        throw new ScorelineError(
          'input',
          `output.keep "${shown(name)}": is ${shown(type ?? '')} in some files and ${shown(column.type)} in others; no type holds both`,
        );
      }
      type = both;
    }
    const known = (): string | undefined => publishedType(published, name);
    const settled =
      type === undefined ? (known() ?? weak[0]?.type ?? 'VARCHAR') : widened(type, weak, known);
    return { name, type: settled };
  });
}

/**
 * The type of values beside files that have none. Columns of the null type make it wider where that is possible, unless it is
 * published as it is; files without rows only keep it wider where it is published so.
 */
function widened(
  type: string,
  weak: readonly { readonly type: string; readonly filled: boolean }[],
  known: () => string | undefined,
): string {
  const wider = (types: typeof weak): string =>
    types.reduce((so, other) => unifiedType(so, other.type) ?? so, type);
  const widest = wider(weak);
  if (widest === type) return type;
  const published = known();
  return published === type || published === widest
    ? published
    : wider(weak.filter((one) => one.filled));
}

/** The type that a kept column is published with: where it has values, else anywhere. */
function publishedType(published: Manifest | undefined, name: string): string | undefined {
  const all = Object.entries(published?.units ?? {});
  const typeIn = (units: typeof all, alsoNulls: boolean): string | undefined =>
    distinctColumns(units)
      .flatMap(({ kept }) => kept)
      .find((column) => column.name === name && (alsoNulls || column.nulls !== true))?.type;
  return typeIn(all.filter(hasRows), false) ?? typeIn(all, true);
}

/** Whether a unit is published with rows. */
export function hasRows([, { parts }]: readonly [string, UnitRecord]): boolean {
  return parts.some(({ ledger }) => ledger.scored > 0);
}

/** The kept columns of a unit that are of Parquet's null type in all its files with rows. */
export function nullColumns(
  { files }: Pick<UnitPlan, 'files'>,
  keep: readonly KeptColumn[],
): string[] {
  const filled = files.filter(({ facts }) => facts.rows > 0);
  if (filled.length === 0) return [];
  return keep
    .map(({ name }) => name)
    .filter((name) =>
      filled.every(({ facts }) =>
        facts.schema.some((column) => column.name === name && column.nulls === true),
      ),
    );
}

/** The columns of units, each kind once: thousands of units have the same. Those of which nothing is recorded are left out. */
export function distinctColumns(units: readonly (readonly [string, UnitRecord])[]): Columns[] {
  const first = new Map<string, readonly [string, UnitRecord]>();
  for (const entry of units) {
    const { job, types = [] } = entry[1];
    const { 'output.keep': kept, 'output.partition_columns': inFolders } = job;
    const key = JSON.stringify([
      kept,
      inFolders,
      job['output.columns'],
      job['null columns'],
      types,
    ]);
    if (!first.has(key)) first.set(key, entry);
  }
  return [...first.values()].flatMap(([unit, record]) => {
    const columns = recordedColumns(record);
    return columns === undefined ? [] : [{ unit, ...columns }];
  });
}
