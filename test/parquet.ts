/** Makes and reads data files for tests, with a DuckDB of the tests' own. */
import { mkdirSync } from 'node:fs';
import { dirname } from 'node:path';
import { type DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';

let connection: Promise<DuckDBConnection> | undefined;

function connect(): Promise<DuckDBConnection> {
  connection ??= DuckDBInstance.create(':memory:', { threads: '1' }).then(async (instance) => {
    const opened = await instance.connect();
    await opened.run("SET TimeZone = 'UTC'");
    return opened;
  });
  return connection;
}

/** A path or text as an SQL literal. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** A path as an SQL literal that is no glob, whatever it holds. */
export function exactPath(path: string): string {
  return literal(path.replace(/[*?[]/g, '[$&]'));
}

/** Writes the rows of a query to a file, in order; options are those of DuckDB's COPY. */
export async function writeParquet(
  path: string,
  sql: string,
  options: { rowGroupSize?: number; compression?: string } = {},
): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const settings = ['FORMAT parquet', `COMPRESSION ${options.compression ?? 'snappy'}`];
  if (options.rowGroupSize !== undefined) settings.push(`ROW_GROUP_SIZE ${options.rowGroupSize}`);
  await (await connect()).run(`COPY (${sql}) TO ${literal(path)} (${settings.join(', ')})`);
}

/** The rows of a query; 64-bit integers, decimals, times and NaN come as text. */
export async function query(sql: string): Promise<Record<string, unknown>[]> {
  const reader = await (await connect()).runAndReadAll(sql);
  return reader.getRowObjectsJson();
}

/** The columns of a query as JavaScript values: 64-bit integers as bigint, floats with all their bits. */
export async function columns(sql: string): Promise<Record<string, unknown[]>> {
  const reader = await (await connect()).runAndReadAll(sql);
  return reader.getColumnsObjectJS() as Record<string, unknown[]>;
}

/** The columns of a file and their types, as DuckDB reads it; without those of its folder. */
export async function schemaOf(path: string): Promise<Record<string, string>> {
  const rows = await query(
    `DESCRIBE SELECT * FROM read_parquet(${exactPath(path)}, hive_partitioning = false)`,
  );
  return Object.fromEntries(rows.map((row) => [row.column_name, String(row.column_type)]));
}
