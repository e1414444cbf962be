/** Copies of input files in which something is different that must not change the scores of other rows. */
import { type Database, duckdbError, quoteName, quotePath, quoteText } from '../base/duckdb.js';
import { shown } from '../base/errors.js';
import { touchedSql } from './check.js';
import type { DisturbOrder } from './protocol.js';

/**
 * Copies a file with its rows in another order (of the hashes of their keys), or with nulls: a touched row loses the value of one
 * column, the columns in turn. Throws `input` when it cannot be read.
 */
export async function disturb(database: Database, order: DisturbOrder): Promise<null> {
  const { from, to, nulls } = order;
  const source = `read_parquet(${quotePath(from)}, hive_partitioning = false)`;
  try {
    const rows =
      nulls.length === 0
        ? `SELECT * FROM ${source} ORDER BY hash(CAST(${quoteName(order.key)} AS VARCHAR))`
        : nullsSql(source, order, await columnsOf(database, source));
    await database.run(`COPY (${rows}) TO ${quoteText(to)} (${formatOf(order)})`);
    return null;
  } catch (error) {
    throw duckdbError(error, shown(order.shownAs), 'input');
  }
}

async function columnsOf(database: Database, source: string): Promise<string[]> {
  const rows = await database.rows(`DESCRIBE SELECT * FROM ${source}`);
  return rows.map((row) => String(row.column_name));
}

function nullsSql(
  source: string,
  { key, keyType, nulls, oneOf }: DisturbOrder,
  columns: readonly string[],
): string {
  const typed =
    keyType === undefined ? quoteName(key) : `TRY_CAST(${quoteName(key)} AS ${keyType})`;
  const touched = touchedSql(typed, oneOf);
  const own = nulls.filter((name) => columns.includes(name));
  const turn = `(hash(CAST(${typed} AS VARCHAR)) // ${oneOf}) % ${Math.max(1, own.length)}`;
  const list = columns.map((name) => {
    const at = own.indexOf(name);
    if (at < 0) return quoteName(name);
    return `CASE WHEN ${touched} AND ${turn} = ${at} THEN NULL ELSE ${quoteName(name)} END AS ${quoteName(name)}`;
  });
  return `SELECT ${list.join(', ')} FROM ${source}`;
}

function formatOf({ to, csv }: DisturbOrder): string {
  if (!csv) return 'FORMAT parquet, COMPRESSION zstd';
  const compression = /\.gz$/i.test(to) ? 'gzip' : /\.zst$/i.test(to) ? 'zstd' : 'none';
  return `FORMAT csv, HEADER true, DELIMITER ',', QUOTE '"', ESCAPE '"', NULLSTR '', COMPRESSION '${compression}'`;
}
