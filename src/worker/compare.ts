/** Compares two files of published rows, value by value. */
import { type Database, duckdbError, quoteName, quotePath } from '../base/duckdb.js';
import { shown } from '../base/errors.js';
import type { CompareParts, PartsAnswer, ValueDifference } from './protocol.js';

/** How many values are named of each column. */
const SHOWN = 5;

interface Column {
  readonly name: string;
  readonly type: string;
}

/**
 * Compares rows in their order, and values as text: DuckDB writes a float with as many digits as tell it from every other, so
 * that equal texts are equal bits, but for the bits of a NaN. Throws `input` when a file cannot be read.
 */
export async function compareParts(
  database: Database,
  { published, again, shownAs }: CompareParts,
): Promise<PartsAnswer> {
  try {
    const [ours, theirs] = [sourceOf(again), sourceOf(published)];
    const columns = await columnsOf(database, theirs);
    const others = await columnsOf(database, ours);
    if (JSON.stringify(columns) !== JSON.stringify(others))
      return { problem: `has the columns ${listOf(columns)}, not ${listOf(others)}` };
    const [counts] = await database.rows(
      `SELECT (SELECT count(*) FROM ${theirs})::INTEGER AS theirs, (SELECT count(*) FROM ${ours})::INTEGER AS ours`,
    );
    const rows = Number(counts?.theirs);
    if (rows !== Number(counts?.ours))
      return { problem: `has ${rows} rows, not ${Number(counts?.ours)}` };
    const differences: ValueDifference[] = [];
    let different = 0;
    for (const { name } of columns) {
      const found = await columnDifferences(database, name, theirs, ours);
      different += found.count;
      differences.push(...found.first);
    }
    return { rows, different, differences };
  } catch (error) {
    throw duckdbError(error, shown(shownAs), 'input');
  }
}

function sourceOf(path: string): string {
  return path.endsWith('.parquet')
    ? `read_parquet(${quotePath(path)}, hive_partitioning = false)`
    : `read_csv(${quotePath(path)}, header = true, all_varchar = true, delim = ',', quote = '"', hive_partitioning = false)`;
}

async function columnsOf(database: Database, source: string): Promise<Column[]> {
  const rows = await database.rows(`DESCRIBE SELECT * FROM ${source}`);
  return rows.map((row) => ({ name: String(row.column_name), type: String(row.column_type) }));
}

function listOf(columns: readonly Column[]): string {
  return columns.map(({ name, type }) => `"${shown(name, 60)}" ${shown(type, 60)}`).join(', ');
}

async function columnDifferences(
  database: Database,
  name: string,
  theirs: string,
  ours: string,
): Promise<{ count: number; first: ValueDifference[] }> {
  const text = (as: string): string => `CAST(${quoteName(name)} AS VARCHAR) AS ${as}`;
  const differing =
    `FROM (SELECT row_number() OVER () - 1 AS place, * FROM (SELECT ${text('published')} FROM ${theirs}) ` +
    `POSITIONAL JOIN (SELECT ${text('again')} FROM ${ours})) WHERE published IS DISTINCT FROM again`;
  const [counted] = await database.rows(`SELECT count(*)::INTEGER AS count ${differing}`);
  const count = Number(counted?.count);
  if (count === 0) return { count, first: [] };
  const rows = await database.rows(
    `SELECT place::INTEGER AS place, published, again ${differing} ORDER BY place LIMIT ${SHOWN}`,
  );
  const textOf = (value: unknown): string | null => (value === null ? null : String(value));
  return {
    count,
    first: rows.map(({ place, published, again }) => ({
      row: Number(place),
      column: name,
      published: textOf(published),
      again: textOf(again),
    })),
  };
}
