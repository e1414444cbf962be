/** Compares what a job gives with what is expected of it, row by row, and writes down what is to be expected. */
import { type Database, duckdbError, quoteName, quotePath, quoteText } from '../base/duckdb.js';
import { ScorelineError, shown } from '../base/errors.js';
import { PARTITION_COLUMN, REASON_COLUMN } from '../plan/fixture.js';
import type { Checked, CheckedColumn, RowExample } from '../stats/checked.js';
import {
  comparable,
  compareNumbers,
  compareTexts,
  EXAMPLES,
  exampleOf,
  type Pair,
} from './check-columns.js';
import type { CheckOrder, CheckSide, RecordOrder } from './protocol.js';

/** A relation: its SQL, and the types of its columns by name. */
interface Relation {
  readonly sql: string;
  readonly types: ReadonlyMap<string, string>;
  readonly shownAs: string;
}

/** Writes the rows of a side into one Parquet file: what is to be expected from now on. */
export async function recordRows(database: Database, { side, path }: RecordOrder): Promise<null> {
  try {
    const relation = await relationOf(database, side);
    const [facts] = await database.rows(
      `SELECT count(DISTINCT ${PARTITION_COLUMN}) > 1 AS parted, count(${REASON_COLUMN}) > 0 AS bad FROM (${relation.sql})`,
    );
    const dropped = [
      ...(facts?.parted === true ? [] : [PARTITION_COLUMN]),
      ...(facts?.bad === true ? [] : [REASON_COLUMN]),
    ];
    const exclude = dropped.length === 0 ? '' : ` EXCLUDE (${dropped.join(', ')})`;
    await database.run(
      `COPY (SELECT *${exclude} FROM (${relation.sql})) TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`,
    );
    return null;
  } catch (error) {
    throw duckdbError(error, 'expected rows', 'input');
  }
}

/** Compares two sides by key. Throws `input` when the expected rows cannot be read, or a key stands there twice. */
export async function checkRows(database: Database, order: CheckOrder): Promise<Checked> {
  try {
    const expected = await relationOf(database, order.expected, order.key);
    const scored = await relationOf(database, order.scored, order.key);
    const columns = namesOf(expected, order);
    const lacking = columns.filter((name) => !scored.types.has(name));
    const pairs = columns.flatMap((name) => pairOf(name, { expected, scored, order }));
    await join(database, { expected, scored, pairs, order });
    const checked: CheckedColumn[] = [];
    for (const [index, pair] of pairs.entries()) {
      checked.push(
        await (pair.kind === 'text' ? compareTexts : compareNumbers)(database, pair, index),
      );
    }
    const answer = {
      ...(await countRows(database)),
      columns: checked,
      lacking,
      notExpected: [...scored.types.keys()].filter(
        (name) => !columns.includes(name) && !isPlace(name, order.key),
      ),
    };
    return { ...answer, casts: await blame(database, { pairs, order, checked }) };
  } catch (error) {
    throw error instanceof ScorelineError ? error : duckdbError(error, 'rows by key', 'input');
  } finally {
    await database.run('DROP TABLE IF EXISTS joined');
  }
}

function isPlace(name: string, key: string): boolean {
  return name === key || name === PARTITION_COLUMN || name === REASON_COLUMN;
}

/** The columns to compare. */
function namesOf(expected: Relation, { key, columns }: CheckOrder): string[] {
  const all = [...expected.types.keys()].filter((name) => !isPlace(name, key));
  if (columns === undefined) return all;
  const absent = columns.find((name) => !all.includes(name));
  if (absent !== undefined)
    throw new ScorelineError(
      'input',
      `${expected.shownAs}: no column "${shown(absent)}", which fixture.json names; it has ${all.map((name) => `"${shown(name, 60)}"`).join(', ')}`,
    );
  return [...columns];
}

async function relationOf(database: Database, side: CheckSide, key?: string): Promise<Relation> {
  const relation = 'file' in side ? fileSql(side.file) : await unitsSql(database, side);
  const shownAs = 'file' in side ? shown(side.shownAs) : 'the predictions';
  const described = await database
    .rows(`DESCRIBE SELECT * FROM (${relation})`)
    .catch((error: unknown) => {
      throw duckdbError(error, `cannot read ${shownAs}`, 'input');
    });
  const types = new Map(described.map((row) => [String(row.column_name), String(row.column_type)]));
  if (key !== undefined && !types.has(key))
    throw new ScorelineError(
      'input',
      `${shownAs}: no column "${shown(key)}", the input.key by which rows are compared`,
    );
  return { sql: relation, types, shownAs };
}

function fileSql(path: string): string {
  return `SELECT * FROM read_parquet(${quotePath(path)}, hive_partitioning = false)`;
}

/** The published rows of partitions, with those that were set aside: of them the key and the reason alone. */
async function unitsSql(
  database: Database,
  { key, units }: Extract<CheckSide, { units: unknown }>,
): Promise<string> {
  const read = (files: readonly string[]): string =>
    `read_parquet([${files.map(quotePath).join(', ')}], hive_partitioning = false, union_by_name = true)`;
  const some = units.find(({ data }) => data.length > 0)?.data[0];
  if (some === undefined)
    throw new ScorelineError('input', 'the job gives no rows: there is nothing to compare');
  const described = await database.rows(`DESCRIBE SELECT * FROM ${read([some])}`);
  const type = described.find(({ column_name: column }) => column === key)?.column_type;
  const parts = units.flatMap(({ unit, data, setAside }) => {
    const of = `${quoteText(unit)} AS ${PARTITION_COLUMN}`;
    const scored = `SELECT ${of}, *, CAST(NULL AS VARCHAR) AS ${REASON_COLUMN} FROM ${read(data)}`;
    // What was CSV stands there as it was written.
    const cast = `TRY_CAST(${quoteName(key)} AS ${String(type)})`;
    const bad = `SELECT ${of}, ${cast} AS ${quoteName(key)}, ${REASON_COLUMN} FROM ${read(setAside)} WHERE ${cast} IS NOT NULL`;
    return [...(data.length > 0 ? [scored] : []), ...(setAside.length > 0 ? [bad] : [])];
  });
  return parts.join(' UNION ALL BY NAME ');
}

function pairOf(
  name: string,
  sides: { readonly expected: Relation; readonly scored: Relation; readonly order: CheckOrder },
): Pair[] {
  const expected = sides.expected.types.get(name);
  const scored = sides.scored.types.get(name);
  if (expected === undefined || scored === undefined) return [];
  const isNumber = isNumeric(expected) && isNumeric(scored);
  const isList = isNumericList(expected) && isNumericList(scored);
  const kind = isNumber ? 'number' : isList ? 'list' : 'text';
  const width = /^FLOAT/.test(expected) || /^FLOAT/.test(scored) ? 32 : 64;
  const { tolerances } = sides.order;
  const own = tolerances.find(({ column }) => column === name)?.tolerance;
  const all = tolerances.find(({ column }) => column === '*')?.tolerance;
  // A tolerance for all columns is for those that have fractions.
  const isFloat = /^(?:FLOAT|DOUBLE)/.test(scored) || /^(?:FLOAT|DOUBLE)/.test(expected);
  const tolerance = own ?? (isFloat ? all : undefined) ?? { kind: 'exact' };
  if (kind === 'text' && own !== undefined && own.kind !== 'exact')
    throw new ScorelineError(
      'usage',
      `fixture.json: tolerances.${shown(name)}: only numbers have a tolerance; this column is ${shown(scored, 60)}`,
    );
  return [{ name, kind, expected, scored, width, tolerance }];
}

const NUMBER = String.raw`(?:U?(?:TINYINT|SMALLINT|INTEGER|BIGINT|HUGEINT)|FLOAT|DOUBLE|DECIMAL\(\d+,\d+\))`;

function isNumeric(type: string): boolean {
  return new RegExp(`^${NUMBER}$`).test(type);
}

function isNumericList(type: string): boolean {
  return new RegExp(String.raw`^${NUMBER}\[\d*\]$`).test(type);
}

/** Makes the table that everything else is read from: a row for each key of either side. */
async function join(
  database: Database,
  {
    expected,
    scored,
    pairs,
    order,
  }: {
    readonly expected: Relation;
    readonly scored: Relation;
    readonly pairs: readonly Pair[];
    readonly order: CheckOrder;
  },
): Promise<void> {
  const { key } = order;
  const [before, now] = [expected.types.get(key)!, scored.types.get(key)!];
  const native = before === now || (isNumeric(before) && isNumeric(now));
  const keyOf = native ? quoteName(key) : `CAST(${quoteName(key)} AS VARCHAR)`;
  const isParted = expected.types.has(PARTITION_COLUMN);
  const select = (side: Relation, prefix: string, extra: string): string => {
    const unit = isParted ? PARTITION_COLUMN : `''`;
    const reason = side.types.has(REASON_COLUMN) ? REASON_COLUMN : 'CAST(NULL AS VARCHAR)';
    const values = pairs.map(({ name }, i) => `, ${quoteName(name)} AS ${prefix}${i}`).join('');
    return `SELECT ${keyOf} AS k, ${unit} AS u, ${reason} AS r${values}${extra} FROM (${side.sql})${keptSql(order)}`;
  };
  const lossy = order.lossy.map(
    ({ column, element }, i) =>
      `, ${lossySql(quoteName(column), scored.types.get(column), element)} AS lossy${i}`,
  );
  const sides = {
    e: select(expected, 'e', ''),
    s: select(scored, 's', lossy.join('')),
  };
  await checkKeys(database, sides.e, { what: expected.shownAs, key, isParted });
  await checkKeys(database, sides.s, { what: scored.shownAs, key, isParted });
  const values = pairs.map((_, i) => `, e.e${i}, s.s${i}`).join('');
  const flags = order.lossy.map((_, i) => `, coalesce(s.lossy${i}, false) AS lossy${i}`).join('');
  await database.run(
    `CREATE OR REPLACE TABLE joined AS
     SELECT CAST(coalesce(e.k, s.k) AS VARCHAR) AS key, coalesce(e.u, s.u) AS unit, e.k IS NOT NULL AS was, s.k IS NOT NULL AS is_now,
       e.r AS before, s.r AS now, e.k IS NOT NULL AND s.k IS NOT NULL AND e.r IS NULL AND s.r IS NULL AS paired${values}${flags}
     FROM (${sides.e}) e FULL JOIN (${sides.s}) s ON e.k = s.k AND e.u = s.u
     ORDER BY coalesce(e.u, s.u), coalesce(e.k, s.k)`,
  );
}

/** Whether a value is another one once it is a float: what scoring counts as a lossy cast. */
function lossySql(x: string, type: string | undefined, element: 'float32' | 'float64'): string {
  if (type === undefined) return 'false';
  const float = `TRY_CAST(${x} AS ${element === 'float32' ? 'FLOAT' : 'DOUBLE'})`;
  const [back, original] = /^DECIMAL|HUGEINT$/.test(type)
    ? [`TRY_CAST(CAST(${float} AS DOUBLE) AS ${type})`, x]
    : /BIGINT$/.test(type)
      ? [`TRY_CAST(${float} AS HUGEINT)`, `CAST(${x} AS HUGEINT)`]
      : [`CAST(${float} AS DOUBLE)`, `TRY_CAST(${x} AS DOUBLE)`];
  return `(${float} IS NOT NULL AND ${back} IS DISTINCT FROM ${original})`;
}

/** Leaves out the rows that were touched on purpose. */
function keptSql({ key, except }: CheckOrder): string {
  return except === undefined ? '' : ` WHERE NOT (${touchedSql(quoteName(key), except)})`;
}

/** Whether a row is one of those that are touched on purpose: one of so many, by a hash of its key. */
export function touchedSql(key: string, oneOf: number): string {
  return `hash(CAST(${key} AS VARCHAR)) % ${oneOf} = 0`;
}

async function checkKeys(
  database: Database,
  sql: string,
  {
    what,
    key,
    isParted,
  }: { readonly what: string; readonly key: string; readonly isParted: boolean },
): Promise<void> {
  const [bad] = await database.rows(
    `SELECT CAST(k AS VARCHAR) AS key, count(*)::INTEGER AS rows FROM (${sql}) GROUP BY k, u HAVING k IS NULL OR count(*) > 1 ORDER BY key LIMIT 1`,
  );
  if (bad === undefined) return;
  const problem =
    bad.key === null
      ? `${Number(bad.rows)} rows have no key`
      : `the key ${shown(String(bad.key), 60)} stands there ${Number(bad.rows)} times`;
  const mend =
    isParted || bad.key === null
      ? 'each row needs a key of its own'
      : `give the expected rows a column "${PARTITION_COLUMN}" where a key is unique only within its partition`;
  throw new ScorelineError('input', `${what}: column "${shown(key)}": ${problem}; ${mend}`);
}

type Counts = Pick<Checked, 'rows' | 'missing' | 'added' | 'setAside' | 'returned'>;

async function countRows(database: Database): Promise<Counts> {
  const kinds = {
    missing: `was AND NOT is_now`,
    added: `is_now AND NOT was`,
    setAside: `was AND is_now AND now IS NOT NULL AND before IS DISTINCT FROM now`,
    returned: `was AND is_now AND before IS NOT NULL AND now IS NULL`,
  };
  const counts = Object.entries(kinds).map(
    ([name, sql]) => `count(*) FILTER (${sql})::INTEGER AS "${name}"`,
  );
  const [counted] = await database.rows(
    `SELECT count(*) FILTER (was)::INTEGER AS expected, count(*) FILTER (is_now)::INTEGER AS scored,
            count(*) FILTER (paired)::INTEGER AS compared, ${counts.join(', ')} FROM joined`,
  );
  const rowsOf = async (sql: string): Promise<{ rows: number; first: RowExample[] }> => {
    const rows = await database.rows(
      `SELECT key, unit, before, now FROM joined WHERE ${sql} LIMIT ${EXAMPLES}`,
    );
    return { rows: 0, first: rows.map(exampleOf) };
  };
  const found = async (name: keyof typeof kinds) => ({
    ...(await rowsOf(kinds[name])),
    rows: Number(counted?.[name]),
  });
  return {
    rows: {
      expected: Number(counted?.expected),
      scored: Number(counted?.scored),
      compared: Number(counted?.compared),
    },
    missing: await found('missing'),
    added: await found('added'),
    setAside: await found('setAside'),
    returned: await found('returned'),
  };
}

/** Of the rows that differ beyond their tolerance and of the others: in how many a cast changed a feature. */
async function blame(
  database: Database,
  {
    pairs,
    order,
    checked,
  }: {
    readonly pairs: readonly Pair[];
    readonly order: CheckOrder;
    readonly checked: readonly CheckedColumn[];
  },
): Promise<Checked['casts']> {
  if (order.lossy.length === 0 || checked.every(({ beyond }) => beyond === 0)) return [];
  const differs = pairs.map(
    (pair, i) => `${comparable(pair, `e${i}`)} IS DISTINCT FROM ${comparable(pair, `s${i}`)}`,
  );
  const flags = order.lossy.map(
    (_, i) =>
      `count(*) FILTER (differs AND lossy${i})::INTEGER AS a${i}, count(*) FILTER (NOT differs AND lossy${i})::INTEGER AS b${i}`,
  );
  const [row] = await database.rows(
    `SELECT count(*) FILTER (differs)::INTEGER AS a, count(*) FILTER (NOT differs)::INTEGER AS b, ${flags.join(', ')}
     FROM (SELECT *, ${differs.join(' OR ')} AS differs FROM joined WHERE paired)`,
  );
  return order.lossy.map(({ column, element }, i) => ({
    column,
    element,
    different: { rows: Number(row?.a), changed: Number(row?.[`a${i}`]) },
    same: { rows: Number(row?.b), changed: Number(row?.[`b${i}`]) },
  }));
}
