/** The part of a task: what is published of its rows, beside its scores; and how both enter the store. */
import { join } from 'node:path';
import { type Database, dictionaryOption, quoteName, quoteText } from '../base/duckdb.js';
import { createFile, createSubfolder, putFolderIfAbsent } from '../base/files.js';
import { canonicalJson, sealed } from '../base/hash.js';
import {
  balances,
  dataExtension,
  dataFileName,
  type InputLedger,
  type PartRecord,
  type ScoresRecord,
  type StoredFile,
  sumLedgers,
} from '../plan/ledger.js';
import { UNREADABLE_DECIMAL } from '../plan/signature.js';
import { type KeptBeside, writeBeside } from './beside.js';
import type { TaskOrder } from './protocol.js';
import { ROW_STATUS } from './quarantine.js';
import { type Segment, segmentSql, unifyColumns } from './read.js';
import { copyTo, distinctOutputs } from './score-table.js';

/** The ledger of each input file, from the status of its rows. */
export function ledgersOf(order: TaskOrder, status: Uint8Array): InputLedger[] {
  let start = 0;
  return order.files.map(({ path, rowStart, rowEnd }) => {
    const rows = rowEnd - rowStart;
    const own = status.subarray(start, start + rows);
    start += rows;
    const [scored, filtered, quarantined] = tallyOf(own);
    return { path, ledger: { rows, scored, quarantined, filtered } };
  });
}

/** How many rows have each status. */
function tallyOf(status: Uint8Array): [number, number, number] {
  const tally = new Uint32Array(3);
  for (let row = 0; row < status.length; row++) tally[status[row]!]!++;
  return [tally[0]!, tally[1]!, tally[2]!];
}

/**
 * Writes the part of a task, below the attempt's own folder, from the tables of its scores: the rows that were scored, with the kept columns, and the
 * rows set aside, with their original columns and the reasons.
 */
export async function writePart(
  database: Database,
  order: TaskOrder,
  segments: readonly Segment[],
  { inputs, statistics, sample }: Pick<ScoresRecord, 'inputs'> & KeptBeside,
): Promise<PartRecord> {
  const folder = join(order.temporaryFolder, 'part');
  await createSubfolder(folder);
  const ledger = sumLedgers(inputs.map((input) => input.ledger));
  if (!balances(ledger) || ledger.rows !== order.rows) {
    throw new Error(
      `task ${order.name}: the ledger does not balance: ${JSON.stringify(ledger)} of ${order.rows}`,
    );
  }
  await checkFolderValues(database, order, segments);
  const dataPath = join(folder, dataFileName(dataExtension(order.publishing)));
  const data = await copyTo(
    database,
    dataSql(order, segments, ledger.scored),
    dataPath,
    copyOptions(order),
    ledger.scored,
  );
  let quarantine: StoredFile | null = null;
  if (ledger.quarantined > 0) {
    const path = join(folder, 'quarantine.parquet');
    const texts = Math.max(...segments.map((segment) => textColumns(order, segment)));
    const options = `FORMAT parquet, COMPRESSION zstd${dictionaryOption(texts)}`;
    quarantine = await copyTo(
      database,
      quarantineSql(order, segments),
      path,
      options,
      ledger.quarantined,
    );
  }
  const part: PartRecord = {
    key: order.partKey,
    scoreKey: order.scoreKey,
    ledger,
    data,
    quarantine,
  };
  const record = {
    part,
    inputs,
    ...(await writeBeside(folder, { statistics, sample })),
  };
  await createFile(join(folder, 'part.json'), `${canonicalJson(sealed(record))}\n`);
  return part;
}

/**
 * Makes what an attempt wrote visible under its keys, scores and part at once: one without the other is made again. What another
 * attempt has put there already is the same.
 */
export async function putInStore(order: TaskOrder): Promise<void> {
  const { temporaryFolder, haveScores, scoreFolder, partFolder } = order;
  const put = [putFolderIfAbsent(join(temporaryFolder, 'part'), partFolder)];
  if (!haveScores) put.push(putFolderIfAbsent(join(temporaryFolder, 'scores'), scoreFolder));
  // The attempt's own folder goes when this ends: nothing may be under way in it then.
  const ends = await Promise.allSettled(put);
  const failed = ends.find((end) => end.status === 'rejected');
  if (failed !== undefined) throw failed.reason;
}

/** Reads the folder columns that the files leave to their folders: a value that is not of the column's type is refused all the same. */
async function checkFolderValues(
  database: Database,
  { publishing, inFolders }: TaskOrder,
  segments: readonly Segment[],
): Promise<void> {
  const left = publishing.keep.filter(({ name }) => inFolders.includes(name));
  const [segment] = segments;
  if (left.length === 0 || segment === undefined) return;
  const casts = left.map(({ name, type }, i) => `CAST(${quoteName(name)} AS ${type}) AS k${i}`);
  await database.rows(`${segmentSql(segment, casts)} LIMIT 1`);
}

function copyOptions({ publishing }: TaskOrder): string {
  if (publishing.format === 'csv')
    return `FORMAT csv, HEADER true, COMPRESSION ${publishing.compression}`;
  const texts = publishing.keep.filter(({ type }) => type.includes('VARCHAR')).length;
  return `FORMAT parquet, COMPRESSION ${publishing.compression}, ROW_GROUP_SIZE 131072, DICTIONARY_SIZE_LIMIT 5000${dictionaryOption(texts)}`;
}

/** The columns of a segment that are text where its rows are set aside: all of what was CSV. */
function textColumns({ scoring }: TaskOrder, { columns }: Segment): number {
  const isText = (type: string): boolean => scoring.csv !== undefined || type.includes('VARCHAR');
  return columns.filter(({ type }) => isText(type)).length;
}

/** The published rows: kept columns, then predictions. */
function dataSql(order: TaskOrder, segments: readonly Segment[], scored: number): string {
  const { columns } = order.publishing;
  const inFolders = new Set(order.inFolders);
  const keep = order.publishing.keep.filter(({ name }) => !inFolders.has(name));
  const outputs = distinctOutputs(columns).map(({ name }) => name);
  const predictions = columns.map(({ column, output, index }) => {
    const source = `o${outputs.indexOf(output)}`;
    return `${index === undefined ? source : `${source}[${index + 1}]`} AS ${quoteName(column)}`;
  });
  const where = scored === order.rows ? '' : ` WHERE status = ${ROW_STATUS.scored}`;
  if (keep.length === 0) return `SELECT ${predictions.join(', ')} FROM scores${where}`;
  // What has no values may be of a type that does not cast to that of the values elsewhere.
  const inner = ({ columns: own }: Segment): string[] =>
    keep.map(({ name, type }, i) => {
      const isNull = order.rows === 0 || own.some((one) => one.name === name && one.nulls === true);
      return `CAST(${isNull ? 'NULL' : quoteName(name)} AS ${type}) AS k${i}`;
    });
  const outer = keep.map(({ name }, i) => `k${i} AS ${quoteName(name)}`);
  const rows = segments.map((segment) => segmentSql(segment, inner(segment))).join(' UNION ALL ');
  return `SELECT ${[...outer, ...predictions].join(', ')} FROM (${rows}) POSITIONAL JOIN scores${where}`;
}

/** The rows set aside: their original columns (not those of the folder, nor of an earlier quarantine), their place and the reason. */
function quarantineSql(order: TaskOrder, segments: readonly Segment[]): string {
  const types = unifyColumns(segments);
  const names = [
    ...new Set(
      segments.flatMap(({ columns }) =>
        columns
          .filter(({ partition, type }) => !partition && type !== UNREADABLE_DECIMAL)
          .map(({ name }) => name),
      ),
    ),
  ].filter((name) => !/^scoreline_/i.test(name));
  const rows = segments.map((segment) => {
    const own = new Set(segment.columns.map(({ name }) => name));
    const columns = names.map((name, i) => {
      // What was CSV is shown as it was written.
      const type = order.scoring.csv === undefined ? (types.get(name) ?? 'VARCHAR') : 'VARCHAR';
      return own.has(name)
        ? `CAST(${quoteName(name)} AS ${type}) AS q${i}`
        : `CAST(NULL AS ${type}) AS q${i}`;
    });
    const paths = segment.files.map(({ path }) => quoteText(path)).join(', ');
    columns.push(
      `([${paths}])[CAST(file_index AS BIGINT) + 1] AS place_file`,
      'file_row_number AS place_row',
    );
    return segmentSql(segment, columns, { raw: true });
  });
  const outer = names.map((name, i) => `q${i} AS ${quoteName(name)}`);
  outer.push(
    'place_file AS scoreline_file',
    'place_row AS scoreline_row',
    'bad_column AS scoreline_column',
    'reason AS scoreline_reason',
    'message AS scoreline_message',
  );
  return (
    `SELECT ${outer.join(', ')} FROM (SELECT * FROM (${rows.join(' UNION ALL ')}) POSITIONAL JOIN scores ` +
    `WHERE status = ${ROW_STATUS.quarantined}) POSITIONAL JOIN bad`
  );
}
