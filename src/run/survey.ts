/** What the data of a drafted job look like: their columns, and which of them may name rows. Workers look. */
import { ScorelineError, shown } from '../base/errors.js';
import type { CsvDialect } from '../plan/csv.js';
import type { Dataset, FileFacts, SchemaColumn } from '../plan/dataset.js';
import { type DraftColumn, keyCandidates } from '../plan/draft.js';
import type { PartitionValue } from '../plan/partition.js';
import { columnsOfFile, unifiedType } from '../plan/signature.js';
import { describeFiles } from './describe.js';
import { DescriptionCache } from './description-cache.js';
import { inspectWith } from './inspect.js';
import { askPatiently, type Pool } from './pool.js';

/** Keys are looked for where there are no more rows than this: a run with a key looks at all of them anyway. */
const KEY_ROWS = 2_000_000;
/** In how many columns a key is looked for. */
const KEY_COLUMNS = 8;

/** What was found in the data. */
export interface Survey {
  readonly columns: readonly DraftColumn[];
  /** Columns that have another value in every row that was looked at. */
  readonly unique: readonly string[];
  readonly looked: { readonly rows: number; readonly all: boolean };
  /** How CSV files are written; undefined for Parquet. */
  readonly csv: CsvDialect | undefined;
  /** What columns of CSV files look like. */
  readonly types: readonly { readonly column: string; readonly type: string }[];
}

/** Looks at the data. Throws `input` where none of it can be read. */
export async function surveyData(
  dataset: Dataset,
  pool: Pool,
  nowNs: () => bigint,
): Promise<Survey> {
  return dataset.format === 'csv' ? surveyCsv(dataset, pool) : surveyParquet(dataset, pool, nowNs);
}

async function surveyCsv(dataset: Dataset, pool: Pool): Promise<Survey> {
  const [first] = dataset.files;
  if (first === undefined) throw new Error('a dataset without files');
  const look = await inspectWith(pool, first.absolute, first.path);
  if (look.kind !== 'csv')
    throw new ScorelineError('input', `${shown(first.path)}: is no CSV file, as others are`);
  const schema = look.columns.map(({ name }) => ({ name, type: 'VARCHAR' }));
  const likely = new Map(look.columns.map(({ name, type }) => [name, type ?? 'VARCHAR']));
  const columns = draftColumns(dataset, first, schema).map((column) =>
    column.partition ? column : { ...column, looksLike: likely.get(column.name) ?? 'VARCHAR' },
  );
  const distinct = look.columns.filter((column) => column.distinct).map(({ name }) => name);
  return {
    columns,
    unique: keyCandidates(
      columns.filter(({ name }) => distinct.includes(name)),
      KEY_COLUMNS,
    ),
    looked: { rows: look.records, all: false },
    csv: look.dialect,
    types: look.columns.flatMap(({ name, type }) =>
      type === undefined ? [] : [{ column: name, type }],
    ),
  };
}

async function surveyParquet(dataset: Dataset, pool: Pool, nowNs: () => bigint): Promise<Survey> {
  const cache = await DescriptionCache.load(undefined);
  const { facts, failures } = await describeFiles({
    files: dataset.files,
    csv: undefined,
    hash: false,
    checksums: false,
    cache,
    pool: () => pool,
    nowNs,
  });
  const first = dataset.files.find(({ path }) => facts.has(path));
  if (first === undefined) throw [...failures.values()][0] ?? new Error('a dataset without files');
  const columns = draftColumns(dataset, first, sharedColumns([...facts.values()]));
  const rows = [...facts.values()].reduce((sum, fact) => sum + fact.rows, 0);
  const look = rows > 0 && rows <= KEY_ROWS && failures.size === 0;
  const unique: string[] = [];
  for (const key of look ? keyCandidates(columns, KEY_COLUMNS) : [])
    if (await isKey(key, dataset, facts, pool)) unique.push(key);
  return { columns, unique, looked: { rows, all: true }, csv: undefined, types: [] };
}

/** The columns that all files have, in the order of the first, each with the one type that holds its values in all. */
function sharedColumns(facts: readonly FileFacts[]): SchemaColumn[] {
  const [first, ...others] = new Map(
    facts.map(({ schema }) => [JSON.stringify(schema), schema]),
  ).values();
  return (first ?? []).flatMap(({ name, type }) => {
    const shared = others.reduce<string | undefined>((so, schema) => {
      const other = schema.find((column) => column.name === name)?.type;
      return so === undefined || other === undefined ? undefined : unifiedType(so, other);
    }, type);
    return shared === undefined ? [] : [{ name, type: shared }];
  });
}

/** Columns as a draft has them, with those that folders give. */
function draftColumns(
  dataset: Dataset,
  { path, unit }: { readonly path: string; readonly unit: string },
  schema: readonly SchemaColumn[],
): DraftColumn[] {
  const partition = dataset.partitions.get(unit) ?? [];
  const all = [...dataset.partitions.values()];
  return columnsOfFile(path, schema, partition, [], dataset.format === 'csv').map((column) => ({
    ...column,
    looksLike: column.partition ? likeness(column.name, all) : column.type,
  }));
}

/** What the values that folders give to a column look like. */
function likeness(name: string, units: readonly (readonly PartitionValue[])[]): string {
  const values = units.map((values) => values.find((one) => one.name === name)?.value ?? null);
  return values.every((value) => value !== null && /^[+-]?\d{1,18}(?:\.\d+)?$/.test(value))
    ? 'DOUBLE'
    : 'VARCHAR';
}

/** Whether a column has another value in every row of each partition. */
async function isKey(
  key: string,
  dataset: Dataset,
  facts: ReadonlyMap<string, FileFacts>,
  pool: Pool,
): Promise<boolean> {
  for (const [unit, partition] of dataset.partitions) {
    const files = dataset.files
      .filter((file) => file.unit === unit)
      .flatMap(({ path, absolute, stamp }) => {
        const { schema = [], rows = 0 } = facts.get(path) ?? {};
        return rows === 0
          ? []
          : [{ path, absolute, stamp, schema, fileRows: rows, rowStart: 0, rowEnd: rows }];
      });
    const scoring = { where: undefined, types: [], csv: undefined };
    if (files.length === 0) continue;
    try {
      await askPatiently(pool, 'check-key', { unit, key, files, partition, scoring });
    } catch (error) {
      if (error instanceof ScorelineError && error.code === 'input') return false;
      throw error;
    }
  }
  return true;
}
