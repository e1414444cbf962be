/** Compares a column of joined rows: how many of its values differ from what is expected, and how far. */
import { type Chunk, type Database, guardedSql } from '../base/duckdb.js';
import type { CheckedColumn, RowExample } from '../stats/checked.js';
import {
  type Distance,
  distanceOf,
  isSame,
  isTolerated,
  type Tolerance,
} from '../stats/tolerance.js';

/** How many rows are named of each kind of difference. */
export const EXAMPLES = 10;
/** How many pairs of labels are named. */
const PAIRS = 20;

/** How the values of a column are compared, and of which type each side has it. */
export interface Pair {
  readonly name: string;
  readonly kind: 'number' | 'list' | 'text';
  readonly expected: string;
  readonly scored: string;
  /** The bits of a number. */
  readonly width: 32 | 64;
  readonly tolerance: Tolerance;
}

/** A row of a query as an example. */
export function exampleOf(row: Record<string, unknown>): RowExample {
  const text = (value: unknown): string | null =>
    value === null || value === undefined ? null : String(value);
  return {
    key: String(row.key),
    unit: String(row.unit),
    expected: text(row.before),
    scored: text(row.now),
  };
}

/** Labels, texts and whatever else is no number: the same or not. */
export async function compareTexts(
  database: Database,
  pair: Pair,
  index: number,
): Promise<CheckedColumn> {
  const native = pair.expected === pair.scored;
  const value = (side: string): string =>
    native ? `${side}${index}` : `CAST(${side}${index} AS VARCHAR)`;
  const changed = `FROM joined WHERE paired AND ${value('e')} IS DISTINCT FROM ${value('s')}`;
  const [counted] = await database.rows(`SELECT count(*)::INTEGER AS n ${changed}`);
  const texts = `CAST(e${index} AS VARCHAR) AS before, CAST(s${index} AS VARCHAR) AS now`;
  const rows = await database.rows(`SELECT key, unit, ${texts} ${changed} LIMIT ${EXAMPLES}`);
  const pairs = await database.rows(
    `SELECT ${texts}, count(*)::INTEGER AS rows ${changed} GROUP BY ALL ORDER BY rows DESC, before, now LIMIT ${PAIRS}`,
  );
  const n = Number(counted?.n);
  return {
    ...describe(pair),
    differ: n,
    beyond: n,
    largest: null,
    meanChange: null,
    worst: rows.map(exampleOf),
    pairs: pairs.map((row) => {
      const { expected, scored } = exampleOf(row);
      return { expected, scored, rows: Number(row.rows) };
    }),
  };
}

function describe({ name, kind, expected, scored, tolerance }: Pair) {
  return { name, kind, types: { expected, scored }, tolerance };
}

/** What is summed up of numbers that differ. */
interface Tally {
  differ: number;
  beyond: number;
  sum: number;
  finite: number;
  readonly largest: { absolute: number; relative: number; ulp: number };
  readonly worst: { readonly example: RowExample; readonly distance: number }[];
}

/** Numbers, and lists of them element by element: how far each is from what is expected. */
export async function compareNumbers(
  database: Database,
  pair: Pair,
  index: number,
): Promise<CheckedColumn> {
  const { kind, tolerance } = pair;
  const value = (side: string): string => comparable(pair, `${side}${index}`);
  const element = (side: string): string =>
    kind === 'list' ? `CAST(unnest(${value(side)}) AS DOUBLE)` : `CAST(${value(side)} AS DOUBLE)`;
  const sql =
    `SELECT ${guardedSql('key', false)}, ${guardedSql('unit', false)}, number, ${element('e')} AS e, ${element('s')} AS s ` +
    `FROM (SELECT row_number() OVER () AS number, * FROM joined WHERE paired AND ${value('e')} IS DISTINCT FROM ${value('s')})`;
  const tally: Tally = {
    differ: 0,
    beyond: 0,
    sum: 0,
    finite: 0,
    largest: { absolute: 0, relative: 0, ulp: 0 },
    worst: [],
  };
  const last = { differ: -1n, beyond: -1n };
  for await (const chunk of database.chunks(sql, false)) {
    judgeChunk(chunk, pair, { tally, last });
  }
  return {
    ...describe(pair),
    differ: tally.differ,
    beyond: tolerance.kind === 'exact' ? tally.differ : tally.beyond,
    largest: tally.differ === 0 ? null : tally.largest,
    meanChange: tally.finite === 0 ? null : tally.sum / tally.finite,
    worst: tally.worst.map(({ example }) => example),
    pairs: [],
  };
}

/** A value as it is compared: where one side is a float32 and no distance is asked for, the other is rounded to it. */
export function comparable(
  { kind, tolerance, width, expected, scored }: Pair,
  sql: string,
): string {
  const mixed = expected !== scored && width === 32;
  if (!mixed || tolerance.kind === 'absolute' || tolerance.kind === 'relative') return sql;
  return `CAST(${sql} AS ${kind === 'list' ? 'FLOAT[]' : 'FLOAT'})`;
}

function judgeChunk(
  chunk: Chunk,
  { tolerance, width }: Pair,
  { tally, last }: { readonly tally: Tally; readonly last: { differ: bigint; beyond: bigint } },
): void {
  const [keys, units] = [chunk.texts(0), chunk.texts(1)];
  const numbers = new BigInt64Array(copyOf(chunk.bytes(2, 'int64')));
  const [expected, scored] = [valuesOf(chunk, 3), valuesOf(chunk, 4)];
  for (let row = 0; row < chunk.rows; row++) {
    const [e, s] = [expected(row), scored(row)];
    const number = numbers[row]!;
    if (last.differ !== number) {
      last.differ = number;
      tally.differ++;
    }
    // Lists of which another element differs; or whole numbers of which doubles do not tell the difference.
    if (isSame(e, s)) continue;
    const distance = distanceOf(e, s, width);
    for (const kind of ['absolute', 'relative', 'ulp'] as const)
      tally.largest[kind] = Math.max(tally.largest[kind], distance[kind]);
    if (Number.isFinite(distance.absolute)) {
      tally.sum += (s ?? 0) - (e ?? 0);
      tally.finite++;
    }
    if (!isTolerated(tolerance, distance) && last.beyond !== number) {
      last.beyond = number;
      tally.beyond++;
    }
    const place = { key: keys[row] ?? '', unit: units[row] ?? '' };
    keepWorst(tally.worst, { ...place, expected: textOf(e), scored: textOf(s) }, distance);
  }
}

function keepWorst(worst: Tally['worst'], example: RowExample, { absolute }: Distance): void {
  const full = worst.length === EXAMPLES;
  if (full && absolute <= worst.at(-1)!.distance) return;
  if (full) worst.pop();
  // The first of equals stays the first.
  const at = worst.findIndex(({ distance }) => distance < absolute);
  worst.splice(at < 0 ? worst.length : at, 0, { example, distance: absolute });
}

function valuesOf(chunk: Chunk, column: number): (row: number) => number | null {
  const values = new Float64Array(copyOf(chunk.bytes(column, 'float64')));
  const validity = chunk.validity(column);
  return (row) =>
    validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0 ? null : values[row]!;
}

function copyOf(bytes: Uint8Array): ArrayBuffer {
  return new Uint8Array(bytes).buffer;
}

function textOf(value: number | null): string | null {
  return value === null ? null : String(value);
}
