/** Settles the length of lists that a model leaves open. */
import { type Database, quoteName } from '../base/duckdb.js';
import { type InputBinding, listTypeOf } from '../plan/signature.js';
import { type Segment, segmentSql } from './read.js';

/**
 * The inputs with every size known: a length that the model leaves open is that of the task's first list, of the rows that
 * pass the filter. All others must be as long, because a tensor has one size.
 */
export async function withKnownSizes(
  database: Database,
  segments: readonly Segment[],
  inputs: readonly InputBinding[],
  where: string | undefined,
): Promise<InputBinding[]> {
  const known: InputBinding[] = [];
  for (const input of inputs) {
    if (input.list?.includes(null) !== true) {
      known.push(input);
      continue;
    }
    const size = await firstLength(database, segments, input.columns[0]!, where);
    known.push({ ...input, list: [size] });
  }
  return known;
}

async function firstLength(
  database: Database,
  segments: readonly Segment[],
  name: string,
  where: string | undefined,
): Promise<number> {
  const x = quoteName(name);
  const passes = where === undefined ? 'true' : `coalesce(CAST((\n${where}\n) AS BOOLEAN), false)`;
  for (const segment of segments) {
    const column = segment.columns.find((candidate) => candidate.name === name);
    // A column that does not fit is refused when the segment is planned.
    if (column === undefined || listTypeOf(column.type) === undefined) continue;
    const select = segmentSql(segment, [`len(${x}) AS size`, `${passes} AS passes`]);
    const [first] = await database.rows(
      `SELECT size::INTEGER AS size FROM (${select}) WHERE passes AND size > 0 LIMIT 1`,
    );
    if (first !== undefined) return Number(first.size);
  }
  return 1;
}
