/** Columns of Parquet's null type: what writes them does not know what their values would be, but other files may. */
import type { FileFacts } from './dataset.js';
import { unifiedType } from './signature.js';

/**
 * The facts of files with columns that hold nothing but nulls under the type that other files give them, where theirs
 * does not go with it. Where the files do not agree, the first to say something counts.
 */
export function settleNullColumns(
  facts: ReadonlyMap<string, FileFacts>,
): ReadonlyMap<string, FileFacts> {
  const schemas = new Set([...facts.values()].map(({ schema }) => schema));
  const types = new Map<string, string | undefined>();
  for (const { name, nulls } of [...schemas].flat()) if (nulls === true) types.set(name, undefined);
  if (types.size === 0) return facts;
  for (const { name, type, nulls } of [...schemas].flat()) {
    if (nulls === true || !types.has(name)) continue;
    const known = types.get(name);
    types.set(name, known === undefined ? type : (unifiedType(known, type) ?? known));
  }
  const settle = (schema: FileFacts['schema']): FileFacts['schema'] =>
    schema.map((column) => {
      const type = column.nulls === true ? types.get(column.name) : undefined;
      return type === undefined || unifiedType(column.type, type) !== undefined
        ? column
        : { ...column, type };
    });
  return new Map(
    [...facts].map(([path, fact]) => [path, { ...fact, schema: settle(fact.schema) }]),
  );
}
