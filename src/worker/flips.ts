/** Joins two sets of published predictions by key, and counts what changed. */
import { type Database, duckdbError, quoteName, quotePath } from '../base/duckdb.js';
import { ScorelineError, shown } from '../base/errors.js';
import { type ColumnFlips, FLIPS_KEPT, type FlipColumn, type Flips } from '../stats/flips.js';
import type { FlipsOrder } from './protocol.js';

/**
 * The flips between the predictions of one partition before and now. Keys that a side has twice are an error: they would
 * be counted twice. Throws `input` when the key is not published.
 */
export async function compareByKey(database: Database, order: FlipsOrder): Promise<Flips> {
  const { key, columns } = order;
  const what = `predictions by key "${shown(key)}"`;
  try {
    const sides = {
      before: await sideOf(database, order, order.before),
      now: await sideOf(database, order, order.now),
    };
    const lacking = (side: Side): FlipColumn[] => columns.filter(({ name }) => !side.has.has(name));
    const absent = new Set(
      [...lacking(sides.before), ...lacking(sides.now)].map(({ name }) => name),
    );
    const compared = columns.filter(({ name }) => !absent.has(name));
    const type = keyType(sides.before, sides.now);
    const select = (side: Side, values: readonly FlipColumn[]): string => side.select(type, values);
    const keysOnly = { before: select(sides.before, []), now: select(sides.now, []) };
    const inStep = await areInStep(database, keysOnly.before, keysOnly.now);
    await database.run(
      `CREATE OR REPLACE TABLE joined AS
       SELECT coalesce(b.key, n.key) AS key, b.key IS NOT NULL AS was, n.key IS NOT NULL AS is_now
         ${compared.map((_, i) => `, b.c${i} AS b${i}, n.c${i} AS n${i}`).join('')}
       FROM (${select(sides.before, compared)}) b
         ${inStep ? 'POSITIONAL' : 'FULL'} JOIN (${select(sides.now, compared)}) n
         ${inStep ? '' : 'ON b.key = n.key'}`,
    );
    const [counted] = await database.rows(
      `SELECT count(*) FILTER (was AND is_now) AS both, count(*) FILTER (NOT is_now) AS before,
              count(*) FILTER (NOT was) AS now, ${inStep ? 'true' : 'count(*) = count(DISTINCT key)'} AS once
       FROM joined`,
    );
    if (counted?.once !== true)
      throw new ScorelineError('input', `${what}: a key stands there more than once`);
    const flips: ColumnFlips[] = [];
    for (const [index, column] of compared.entries()) {
      flips.push(
        await (column.kind === 'label' ? labelFlips : numberFlips)(database, column, index),
      );
    }
    const keys = {
      both: Number(counted.both),
      before: Number(counted.before),
      now: Number(counted.now),
    };
    return { keys, columns: flips, absent: [...absent].sort() };
  } catch (error) {
    throw error instanceof ScorelineError ? error : duckdbError(error, what, 'input');
  } finally {
    await database.run('DROP TABLE IF EXISTS joined');
  }
}

/** One side: the types of its key, which of the columns all of its files have, and how to select them with a key of some type. */
interface Side {
  readonly keyTypes: ReadonlySet<string>;
  readonly has: ReadonlySet<string>;
  readonly select: (keyType: string, columns: readonly FlipColumn[]) => string;
}

/** The type to compare keys as: their own, where all have one in which what is equal is also the same text. */
function keyType(before: Side, now: Side): string {
  const [type, ...others] = new Set([...before.keyTypes, ...now.keyTypes]);
  const isOne = type !== undefined && others.length === 0;
  return isOne && /^(?:U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|UUID|DATE)$/.test(type)
    ? type
    : 'VARCHAR';
}

/**
 * Whether both sides hold the same keys in the same, rising order, as a new model on the same rows gives them: then rows go with
 * rows, and no key stands there twice.
 */
async function areInStep(database: Database, before: string, now: string): Promise<boolean> {
  const [found] = await database.rows(
    `SELECT count(*) FILTER (b_key IS DISTINCT FROM n_key) = 0 AS same,
            count(*) FILTER (b_key IS NULL OR b_key <= previous) = 0 AS rises
     FROM (SELECT b.key AS b_key, n.key AS n_key, lag(b.key) OVER () AS previous
           FROM (${before}) b POSITIONAL JOIN (${now}) n)`,
  );
  return found?.same === true && found.rises === true;
}

async function sideOf(
  database: Database,
  { key, columns, csv }: FlipsOrder,
  files: readonly string[],
): Promise<Side> {
  const names = [key, ...columns.map(({ name }) => name)];
  // Files of one set of columns and types are read together: types that differ are not to be mixed.
  const groups = new Map<string, { readonly files: string[]; readonly has: Set<string> }>();
  for (const file of files) {
    const described = await database.rows(`DESCRIBE SELECT * FROM ${readSql([file], csv)}`);
    const types = names.map((name) =>
      String(described.find(({ column_name: column }) => column === name)?.column_type ?? ''),
    );
    if (types[0] === '') {
      throw new ScorelineError(
        'input',
        `input.key "${shown(key)}" is not published: name it in output.keep to see what changed for each key`,
      );
    }
    const id = JSON.stringify(types);
    const group = groups.get(id);
    if (group === undefined) {
      const has = names.filter((_, i) => types[i] !== '');
      groups.set(id, { files: [file], has: new Set(has) });
    } else group.files.push(file);
  }
  const all = [...groups.values()];
  return {
    keyTypes: new Set([...groups.keys()].map((id) => (JSON.parse(id) as string[])[0]!)),
    has: new Set(names.filter((name) => all.every(({ has }) => has.has(name)))),
    select: (type, compared) => {
      const values = compared.map(({ name, kind }, i) => {
        return `, CAST(${quoteName(name)} AS ${kind === 'label' ? 'VARCHAR' : 'DOUBLE'}) AS c${i}`;
      });
      const list = `CAST(${quoteName(key)} AS ${type}) AS key${values.join('')}`;
      if (all.length > 0)
        return all
          .map((group) => `SELECT ${list} FROM ${readSql(group.files, csv)}`)
          .join(' UNION ALL ');
      const none = compared.map(({ kind }, i) => {
        return `, CAST(NULL AS ${kind === 'label' ? 'VARCHAR' : 'DOUBLE'}) AS c${i}`;
      });
      return `SELECT CAST(NULL AS ${type}) AS key${none.join('')} WHERE false`;
    },
  };
}

function readSql(files: readonly string[], csv: boolean): string {
  const list = `[${files.map(quotePath).join(', ')}]`;
  return csv
    ? `read_csv(${list}, header = true, delim = ',', quote = '"', escape = '"', all_varchar = true, hive_partitioning = false)`
    : `read_parquet(${list}, hive_partitioning = false)`;
}

async function labelFlips(
  database: Database,
  column: FlipColumn,
  index: number,
): Promise<ColumnFlips> {
  const [before, now] = [`b${index}`, `n${index}`];
  const flipped = `FROM joined WHERE was AND is_now AND ${before} IS DISTINCT FROM ${now}`;
  const [counted] = await database.rows(`SELECT count(*) AS n ${flipped}`);
  const pairs = await database.rows(
    `SELECT ${before} AS before, ${now} AS now, count(*) AS keys ${flipped} GROUP BY ALL ORDER BY ALL`,
  );
  return {
    ...column,
    changed: Number(counted?.n),
    pairs: pairs
      .map((pair) => ({
        before: textOf(pair.before),
        now: textOf(pair.now),
        keys: Number(pair.keys),
      }))
      .sort((a, b) => b.keys - a.keys)
      .slice(0, PAIRS_KEPT),
    sum: 0,
    finite: 0,
    largest: 0,
    movers: await moversOf(database, index, `${flipped} ORDER BY key`),
  };
}
/** More than are shown: partitions are summed before the most frequent are picked. */
const PAIRS_KEPT = 1000;

async function numberFlips(
  database: Database,
  column: FlipColumn,
  index: number,
): Promise<ColumnFlips> {
  const [before, now] = [`b${index}`, `n${index}`];
  const moved = `${now} - ${before}`;
  const flipped = `FROM joined WHERE was AND is_now AND ${before} IS DISTINCT FROM ${now}`;
  const [counted] = await database.rows(
    `SELECT count(*) FILTER (${before} IS DISTINCT FROM ${now}) AS changed,
            coalesce(fsum(${moved}) FILTER (isfinite(${moved})), 0) AS sum,
            count(*) FILTER (isfinite(${moved})) AS finite,
            coalesce(max(abs(${moved})) FILTER (isfinite(${moved})), 0) AS largest
     FROM joined WHERE was AND is_now`,
  );
  return {
    ...column,
    changed: Number(counted?.changed),
    pairs: [],
    sum: Number(counted?.sum),
    finite: Number(counted?.finite),
    largest: Number(counted?.largest),
    movers: await moversOf(
      database,
      index,
      // What is no number on one side moved most of all.
      `${flipped} ORDER BY CASE WHEN isfinite(${moved}) THEN abs(${moved}) ELSE 'inf'::DOUBLE END DESC, key`,
    ),
  };
}

async function moversOf(
  database: Database,
  index: number,
  from: string,
): Promise<ColumnFlips['movers']> {
  const rows = await database.rows(
    `SELECT key, CAST(b${index} AS VARCHAR) AS before, CAST(n${index} AS VARCHAR) AS now ${from} LIMIT ${FLIPS_KEPT}`,
  );
  return rows.map(({ key, before, now }) => ({
    key: String(key),
    before: textOf(before),
    now: textOf(now),
  }));
}

function textOf(value: unknown): string | null {
  return value === null || value === undefined ? null : String(value);
}
