/** CSV files: scanned once to know them, and converted to Parquet in the store when their rows are to be scored. */
import { createHash, type Hash } from 'node:crypto';
import { closeSync, createReadStream, openSync, writeSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import {
  type AppendColumn,
  Database,
  dictionaryOption,
  duckdbError,
  quoteName,
  quotePath,
  quoteText,
} from '../base/duckdb.js';
import { errnoOf, isOutOfMemory, ScorelineError, shown, systemError } from '../base/errors.js';
import {
  createFile,
  createSubfolder,
  putFolderIfAbsent,
  removeLeftover,
  removeTree,
} from '../base/files.js';
import { canonicalJson, sealed, stampOf } from '../base/hash.js';
import { unzstd } from '../base/zstd.js';
import { CSV_GROUP_ROWS, type CsvDialect, type CsvFacts, csvRowGroups } from '../plan/csv.js';
import type { CsvRecord } from '../plan/ledger.js';
import { storedFile } from './beside.js';
import { CsvScanner, type CsvSink, REJECT_REASONS, type RejectPlace } from './csv-scan.js';
import type { ConvertCsv, DescribeCsv, FileAnswer, FileRef, WorkerSetup } from './protocol.js';
import { checkUnchanged } from './read.js';

/** Scans a CSV file: its columns, its records, good and bad, and its hash. Throws `input`, `changed`. */
export async function describeCsv({ file, dialect }: DescribeCsv): Promise<FileAnswer> {
  const { path, absolute } = file;
  const stamp = await stampOf(absolute);
  const examples: string[] = [];
  const sink: CsvSink = {
    accept: () => undefined,
    reject: (place) => {
      if (examples.length < 3) examples.push(rejectText(path, place));
    },
  };
  const { scanner, sha256, bytes, compressed } = await scan(file, dialect, sink, false);
  await checkUnchanged([{ ...file, stamp }]);
  const { accepted: rows, rejected, longest, isPlain } = scanner;
  const plain = !compressed && rejected === 0 && isPlain;
  const csv: CsvFacts = { rejected, examples, plain, longest };
  const schema = (scanner.names ?? []).map((name) => ({ name, type: 'VARCHAR' }));
  return {
    path,
    stamp,
    facts: { sha256, rows, rowGroups: csvRowGroups(rows, bytes), schema, csv },
  };
}

function rejectText(path: string, { line, byte, reason }: RejectPlace): string {
  return `${shown(path)} line ${line}, byte ${byte}: ${reason}: ${REJECT_REASONS[reason]}`;
}

/** Files that are no CSV, whatever their name says, by their first bytes. */
const OTHER_FORMATS: readonly (readonly [magic: string, what: string])[] = [
  ['\x1f\x8b', 'a gzip file'],
  ['\x28\xb5\x2f\xfd', 'a zstd file'],
  ['PAR1', 'a Parquet file'],
  ['PK\x03\x04', 'a zip file'],
  ['BZh', 'a bzip2 file'],
  ['\xfd7zXZ\0', 'an xz file'],
];

/** Reads a file through a scanner; `bytes` are those after decompression. */
async function scan(
  { path, absolute }: FileRef,
  dialect: CsvDialect,
  sink: CsvSink,
  perRecord: boolean,
): Promise<{ scanner: CsvScanner; sha256: string; bytes: number; compressed: boolean }> {
  const shownAs = shown(path);
  const scanner = new CsvScanner({ dialect, sink, perRecord, shownAs });
  const hash = createHash('sha256');
  let bytes = 0;
  const compressed = await readBytes(absolute, shownAs, hash, (chunk) => {
    bytes += chunk.length;
    scanner.push(chunk);
    return true;
  });
  scanner.end();
  return { scanner, sha256: hash.digest('hex'), bytes, compressed };
}

/**
 * Reads a file and hands on its bytes, uncompressed, until `take` says no; the hash is that of the file as it stands. Tells
 * whether it was compressed.
 */
async function readBytes(
  absolute: string,
  shownAs: string,
  hash: Hash,
  take: (chunk: Buffer) => boolean,
): Promise<boolean> {
  let enough = false;
  const drain = async (source: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of source) {
      enough = !take(chunk);
      if (enough) break;
    }
  };
  const compression = /\.(gz|zst)$/i.exec(absolute)?.[1]?.toLowerCase();
  try {
    if (compression === undefined) await refuseOther(absolute, shownAs);
    const raw = hashed(absolute, hash);
    if (compression === 'gz') await pipeline(raw, createGunzip({ chunkSize: CHUNK_BYTES }), drain);
    else await drain(compression === 'zst' ? unzstd(raw) : raw);
  } catch (error) {
    // A pipeline that is left early says that it was aborted.
    if (enough) return true;
    if (error instanceof ScorelineError || compression === undefined)
      throw systemError(error, `cannot read ${shownAs}`, 'input');
    const why = error instanceof Error ? error.message : String(error);
    const text = `${shownAs}: damaged or cut short: cannot be decompressed (${shown(why)})`;
    throw new ScorelineError('input', text, { cause: error });
  }
  return compression !== undefined;
}

const CHUNK_BYTES = 1 << 20;

/** The first bytes of a CSV file, uncompressed: whole lines of up to `limit` bytes. Throws `input`. */
export async function headOf({ path, absolute }: FileRef, limit: number): Promise<Buffer> {
  const chunks: Buffer[] = [];
  let length = 0;
  const shownAs = shown(path);
  await readBytes(absolute, shownAs, createHash('sha256'), (chunk) => {
    chunks.push(chunk);
    length += chunk.length;
    return length < limit;
  });
  const bytes = Buffer.concat(chunks);
  return bytes.length < limit ? bytes : bytes.subarray(0, bytes.lastIndexOf(10, limit) + 1);
}

async function* hashed(path: string, hash: Hash): AsyncGenerator<Buffer, void, undefined> {
  for await (const chunk of createReadStream(path, { highWaterMark: CHUNK_BYTES })) {
    hash.update(chunk as Buffer);
    yield chunk as Buffer;
  }
}

async function refuseOther(absolute: string, shownAs: string): Promise<void> {
  const file = await open(absolute, 'r');
  try {
    const { buffer, bytesRead } = await file.read(Buffer.alloc(8), 0, 8, 0);
    const head = buffer.toString('latin1', 0, bytesRead);
    const other = OTHER_FORMATS.find(([magic]) => head.startsWith(magic));
    if (other !== undefined) {
      throw new ScorelineError('input', `${shownAs}: is ${other[1]}, not CSV; name it so`);
    }
  } finally {
    await file.close();
  }
}

/** How much of a bad record is kept, in bytes. */
const KEPT_BYTES = 4096;

/**
 * Puts the good records of a CSV file into the store as Parquet, all text, and the bad ones beside them with their places and
 * reasons. `own` is the worker's database. Throws `input`, `changed`, `environment`.
 */
export async function convertCsv(
  ask: ConvertCsv,
  setup: WorkerSetup,
  own: () => Promise<Database>,
): Promise<CsvRecord> {
  const { file, folder, temporaryFolder, facts } = ask;
  const shownAs = shown(file.path);
  const building = join(temporaryFolder, 'csv');
  // A worker that was killed at it has left what it had written.
  await removeTree(temporaryFolder);
  await createSubfolder(temporaryFolder);
  await createSubfolder(building);
  // With more than one thread, or more memory, another instance is needed: that of the worker has one.
  const { threads } = ask;
  const memoryLimitBytes = Math.max(
    setup.memoryLimitBytes,
    Math.min(ask.memoryBytes, ask.columns.length * threads * COLUMN_BYTES),
  );
  const isOwn = threads === 1 && memoryLimitBytes === setup.memoryLimitBytes;
  const database = isOwn
    ? await own()
    : await Database.open({ ...setup, threads, memoryLimitBytes });
  try {
    await checkUnchanged([file]);
    const source = facts.plain ? file.absolute : join(temporaryFolder, 'clean.csv');
    const rejected = facts.plain ? null : await cleanCopy(database, ask, source, building);
    await writeRows(database, ask, source, join(building, 'rows.parquet'));
    await checkUnchanged([file]);
    const data = await storedFile(join(building, 'rows.parquet'), ask.rows);
    const record: CsvRecord = { key: ask.key, rows: ask.rows, data, rejected };
    await createFile(join(building, 'csv.json'), `${canonicalJson(sealed(record))}\n`);
    await putFolderIfAbsent(building, folder);
    return record;
  } catch (error) {
    // Our own writing failed: reading has its own words.
    if (errnoOf(error) !== undefined) throw systemError(error, `${shownAs}: cannot be converted`);
    throw duckdbError(error, `${shownAs}: cannot be converted`, 'input');
  } finally {
    if (!isOwn) database.close();
    await removeLeftover(temporaryFolder);
  }
}

/** What DuckDB holds of a column, while a thread writes it: a row group of texts, or less where it may not. */
const COLUMN_BYTES = 4 * 2 ** 20;

/** The text of a bad record, as far as it is kept: whole characters, NUL and what is not UTF-8 replaced. */
function keptText(record: Buffer): string {
  let end = Math.min(record.length, KEPT_BYTES);
  // Not within a character: its later bytes begin with the bits 10.
  if (end < record.length) while (end > KEPT_BYTES - 4 && (record[end]! & 0xc0) === 0x80) end--;
  return record.toString('utf8', 0, end).replaceAll('\0', '\ufffd');
}

/** Writes the good records to `target`, one a line end, without a header; and the bad ones to a file of the store. */
async function cleanCopy(
  database: Database,
  { file, dialect, rows, facts }: ConvertCsv,
  target: string,
  building: string,
): Promise<CsvRecord['rejected']> {
  await database.run(
    'CREATE OR REPLACE TABLE rejected (scoreline_file VARCHAR, scoreline_line BIGINT, scoreline_byte BIGINT, scoreline_reason VARCHAR, ' +
      'scoreline_message VARCHAR, scoreline_record VARCHAR)',
  );
  const appender = await database.appender('rejected');
  let places: RejectPlace[] = [];
  let records: string[] = [];
  const appendRejected = (): void => {
    const texts = (values: string[]): AppendColumn => ({ element: 'utf8', width: 1, values });
    const numbers = (of: (place: RejectPlace) => number): AppendColumn => ({
      element: 'int64',
      width: 1,
      values: BigInt64Array.from(places, (place) => BigInt(of(place))),
    });
    appender.append(
      [
        texts(places.map(() => file.path)),
        numbers(({ line }) => line),
        numbers(({ byte }) => byte),
        texts(places.map(({ reason }) => reason)),
        texts(places.map(({ reason }) => REJECT_REASONS[reason])),
        texts(records),
      ],
      0,
      places.length,
    );
    places = [];
    records = [];
  };
  const output = openSync(target, 'wx');
  const out = Buffer.allocUnsafe(CHUNK_BYTES);
  let used = 0;
  const flush = (): void => {
    for (let at = 0; at < used; ) at += writeSync(output, out, at, used - at);
    used = 0;
  };
  const sink: CsvSink = {
    accept: (record) => {
      if (used + record.length + 1 > out.length) flush();
      if (record.length + 1 > out.length) {
        for (let at = 0; at < record.length; ) at += writeSync(output, record, at);
      } else used += Buffer.from(record.buffer, record.byteOffset, record.length).copy(out, used);
      out[used++] = 10;
    },
    reject: (place, record) => {
      places.push(place);
      records.push(keptText(Buffer.from(record.buffer, record.byteOffset, record.length)));
      if (places.length === 2048) appendRejected();
    },
  };
  try {
    const { scanner } = await scan(file, dialect, sink, true);
    flush();
    if (places.length > 0) appendRejected();
    appender.close();
    if (scanner.accepted !== rows || scanner.rejected !== facts.rejected) {
      throw new ScorelineError(
        'changed',
        `${shown(file.path)}: changed while it was read; run again`,
      );
    }
  } finally {
    closeSync(output);
  }
  if (facts.rejected === 0) return null;
  const path = join(building, 'rejected.parquet');
  await database.run(`COPY rejected TO ${quoteText(path)} (FORMAT parquet, COMPRESSION zstd)`);
  return storedFile(path, facts.rejected);
}

/** The smallest row group that DuckDB writes: one vector. */
const SMALL_GROUP_ROWS = 2048;

/** Has DuckDB read the records that the scan found good: as many as it counted, or something is badly wrong. */
async function writeRows(
  database: Database,
  { columns, dialect, facts, rows }: ConvertCsv,
  source: string,
  target: string,
): Promise<void> {
  const types = columns.map((name) => `${quoteText(name)}: 'VARCHAR'`).join(', ');
  const { delimiter, quote, null: nullText } = dialect;
  const options = [
    'auto_detect = false',
    'hive_partitioning = false',
    `header = ${facts.plain && dialect.columns === undefined}`,
    `delim = ${quoteText(delimiter)}`,
    `quote = ${quoteText(quote)}`,
    `escape = ${quoteText(quote)}`,
    `nullstr = ${quoteText(nullText)}`,
    'allow_quoted_nulls = false',
    // Said, for DuckDB would take the first one that it meets, even in quotes, for that of the records.
    "new_line = '\\n'",
    "encoding = 'utf-8'",
    "compression = 'none'",
    'strict_mode = true',
    'null_padding = false',
    'ignore_errors = false',
    `max_line_size = ${Math.max(2_097_152, facts.longest + 2)}`,
    `columns = {${types}}`,
  ];
  const write = async (parallel: boolean, groupRows: number): Promise<number> => {
    const layout = `ROW_GROUP_SIZE ${groupRows}${dictionaryOption(columns.length)}`;
    const [answer] = await database.rows(
      `COPY (SELECT ${columns.map(quoteName).join(', ')} FROM read_csv(${quotePath(source)}, ${[...options, `parallel = ${parallel}`].join(', ')})) ` +
        `TO ${quoteText(target)} (FORMAT parquet, COMPRESSION snappy, ${layout})`,
    );
    return Number(answer?.Count);
  };
  // Where DuckDB cannot read parts of a file at once, or reads something else, it reads it from the start to the end.
  const written = await write(true, CSV_GROUP_ROWS).catch(() => undefined);
  if (written === rows) return;
  const again = await write(false, CSV_GROUP_ROWS).catch((error: unknown) => {
    if (!isOutOfMemory(error)) throw error;
    // A file of very many columns: the plan does not depend on the row groups that are written.
    return write(false, SMALL_GROUP_ROWS);
  });
  if (again !== rows) {
    throw new Error(`${again} records converted where the scan found ${rows}`);
  }
}
