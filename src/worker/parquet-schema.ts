/** The columns of Parquet files as DuckDB reads them, beside what their footers say of them. */
import { type Database, quotePath } from '../base/duckdb.js';
import { ScorelineError, shown } from '../base/errors.js';
import type { SchemaColumn } from '../plan/dataset.js';
import { UNREADABLE_DECIMAL } from '../plan/signature.js';
import type { FileRef } from './protocol.js';

/** The nodes of a footer's schema as DuckDB tells them, depth first: a node's children follow it. */
type Declaration = readonly {
  readonly name: string;
  readonly num_children: number | null;
  readonly precision: number | null;
  readonly logical_type: string | null;
}[];

/**
 * The schema of each file, by absolute path; files whose footers declare the same columns are asked once. Throws `input` for
 * a file that has a name twice: DuckDB would rename one of the two.
 */
export async function parquetSchemas(
  database: Database,
  files: readonly FileRef[],
): Promise<Map<string, readonly SchemaColumn[]>> {
  const list = `[${files.map(({ absolute }) => quotePath(absolute)).join(', ')}]`;
  const declared = await database.rows(
    'SELECT file_name, to_json(list(struct_pack(name, type, type_length, num_children, repetition_type, converted_type, scale, ' +
      `precision, logical_type, duckdb_type) ORDER BY column_id))::VARCHAR AS columns FROM parquet_schema(${list}) GROUP BY file_name`,
  );
  const paths = new Map(files.map(({ absolute, path }) => [absolute, path]));
  const byDeclaration = new Map<string, readonly SchemaColumn[]>();
  const schemas = new Map<string, readonly SchemaColumn[]>();
  for (const row of declared) {
    const name = String(row.file_name);
    const text = String(row.columns);
    let schema = byDeclaration.get(text);
    if (schema === undefined) {
      const declaration = topLevel(JSON.parse(text) as Declaration);
      const read = await readSchema(database, name);
      refuseTwins(paths.get(name) ?? name, declaration, read);
      const nodes = new Map(declaration.map((node) => [node.name, node]));
      schema = read.map((column) => withDeclared(column, nodes.get(column.name)));
      byDeclaration.set(text, schema);
    }
    schemas.set(name, schema);
  }
  return schemas;
}

async function readSchema(database: Database, absolute: string): Promise<SchemaColumn[]> {
  const rows = await database.rows(
    `DESCRIBE SELECT * FROM read_parquet(${quotePath(absolute)}, hive_partitioning = false)`,
  );
  return rows.map((row) => ({ name: String(row.column_name), type: String(row.column_type) }));
}

/** The columns among the nodes: the children of the root. */
function topLevel(nodes: Declaration): Declaration {
  const columns: Declaration[number][] = [];
  let within = 0;
  for (const node of nodes.slice(1)) {
    if (within === 0) columns.push(node);
    else within--;
    within += node.num_children ?? 0;
  }
  return columns;
}

function refuseTwins(path: string, declared: Declaration, read: readonly SchemaColumn[]): void {
  for (const [index, { name }] of declared.entries()) {
    if (read[index]?.name === name) continue;
    const twin = declared
      .slice(0, index)
      .find((before) => before.name.toLowerCase() === name.toLowerCase());
    if (twin === undefined) continue;
    const as =
      twin.name === name ? '' : ` (as "${shown(twin.name)}"; upper and lower case are the same)`;
    throw new ScorelineError(
      'input',
      `${shown(path)}: column "${shown(name)}" is given twice${as}; rename one of them`,
    );
  }
}

function withDeclared(column: SchemaColumn, node: Declaration[number] | undefined): SchemaColumn {
  if ((node?.precision ?? 0) > 38) return { ...column, type: UNREADABLE_DECIMAL };
  return node?.logical_type === 'NullType()' ? { ...column, nulls: true } : column;
}
