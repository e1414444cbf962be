/**
 * DuckDB with safe settings: the only importer of its packages.
 *
 * An instance has one thread, unless it is told more; rows come and go in order. It may touch only the folders it is told, load no
 * extension and reach no network, and its settings are locked (a job's SQL cannot change them).
 */
import { createRequire } from 'node:module';
import type {
  DuckDBAppender,
  DuckDBConnection,
  DuckDBDataChunk,
  DuckDBInstance,
  DuckDBType,
} from '@duckdb/node-api';
import type { Vector } from '@duckdb/node-bindings';
import { bytesOfElement, type ElementType, sqlTypeOfElement } from './elements.js';
import {
  type ErrorCode,
  firstLine,
  isOutOfMemory,
  messageOf,
  ScorelineError,
  shown,
} from './errors.js';

// Required, not imported: finding out the named exports of these CommonJS packages takes longer than loading them.
const require = createRequire(import.meta.url);
const duckdb: typeof import('@duckdb/node-api') = require('@duckdb/node-api');
const bindings: typeof import('@duckdb/node-bindings') = require('@duckdb/node-bindings');
const { LIST, ResultReturnType } = duckdb;

/** The DuckDB type of each element type. */
const TYPES: Readonly<Record<ElementType, DuckDBType>> = {
  bool: duckdb.BOOLEAN,
  int8: duckdb.TINYINT,
  uint8: duckdb.UTINYINT,
  int16: duckdb.SMALLINT,
  uint16: duckdb.USMALLINT,
  int32: duckdb.INTEGER,
  uint32: duckdb.UINTEGER,
  int64: duckdb.BIGINT,
  uint64: duckdb.UBIGINT,
  float32: duckdb.FLOAT,
  float64: duckdb.DOUBLE,
  utf8: duckdb.VARCHAR,
};

/** A name as SQL: quoted, so that it is only ever a name. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A text as an SQL literal. NUL cannot be written in one and is refused. */
export function quoteText(text: string): string {
  if (text.includes('\0')) throw new ScorelineError('input', `${shown(text)}: contains NUL`);
  return `'${text.replaceAll("'", "''")}'`;
}

/** A path as an SQL literal that a reading function does not take for a glob. */
export function quotePath(path: string): string {
  return quoteText(path.replace(/[*?[]/g, '[$&]'));
}

/** Up to 2,048 rows as DuckDB hands them out. The arrays are views of its memory: they are valid as long as the chunk. */
export interface Chunk {
  readonly rows: number;
  /** The bytes of a column of fixed-size elements; the element's own size times `rows`. */
  bytes(column: number, element: ElementType): Uint8Array;
  /** One bit a row, least significant first, 1 = not null; undefined when no row is null. */
  validity(column: number): Uint8Array | undefined;
  /** The values of a text column, selected with `guardedSql`. */
  texts(column: number): (string | null)[];
  /**
   * The lists of a column, all of `width` elements but for those that are null, as `width` elements a row (which hold
   * anything at a null), and one bit an element, 1 = not null.
   */
  lists(column: number, element: ElementType, width: number): ChunkLists;
}

/** The elements of lists: bytes, or texts. */
export interface ChunkLists {
  readonly values: Uint8Array | readonly (string | null)[];
  readonly items: Uint8Array | undefined;
}

/** Values to append: `width` elements a row (1 for a plain column). */
export interface AppendColumn {
  readonly element: ElementType;
  readonly width: number;
  readonly values: ArrayBufferView | readonly string[];
}

/** What an instance may use. */
export interface DatabaseOptions {
  readonly memoryLimitBytes: number;
  /** Where it may spill to. */
  readonly temporaryFolder: string;
  /** The folders it may read from and write to. */
  readonly allowedFolders: readonly string[];
  /** How many cores it may use: 1, unless it says more. */
  readonly threads?: number;
}

/** One DuckDB instance: a connection for statements, and one more for each result that is streamed. The opener closes it. */
export class Database {
  private readonly instance: DuckDBInstance;
  private readonly connection: DuckDBConnection;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection) {
    this.instance = instance;
    this.connection = connection;
  }

  /** Opens an instance in memory and locks its settings. */
  static async open(options: DatabaseOptions): Promise<Database> {
    const instance = await duckdb.DuckDBInstance.create(':memory:', {
      threads: String(options.threads ?? 1),
      memory_limit: `${Math.floor(options.memoryLimitBytes / 2 ** 20)}MiB`,
      temp_directory: options.temporaryFolder,
      autoinstall_known_extensions: 'false',
      autoload_known_extensions: 'false',
      allow_community_extensions: 'false',
      preserve_insertion_order: 'true',
      enable_external_file_cache: 'false',
    });
    const connection = await instance.connect();
    // In both forms: DuckDB compares a path as it is given, and `quotePath` gives it with brackets.
    const folders = options.allowedFolders
      .map((folder) => (folder.endsWith('/') ? folder : `${folder}/`))
      .flatMap((folder) => [quoteText(folder), quotePath(folder)])
      .join(', ');
    // Global: every connection of the instance has them.
    for (const statement of [
      "SET GLOBAL TimeZone = 'UTC'",
      "SET GLOBAL default_null_order = 'nulls_last'",
      "SET GLOBAL default_collation = ''",
      `SET allowed_directories = [${folders}]`,
      'SET enable_external_access = false',
      'SET lock_configuration = true',
    ]) {
      await connection.run(statement);
    }
    return new Database(instance, connection);
  }

  /** Runs a statement and drops its result. Throws DuckDB's own error: see `duckdbError`. */
  async run(sql: string): Promise<void> {
    await this.connection.run(sql);
  }

  /** All rows of a query, for small results; 64-bit integers and decimals come as text. */
  async rows(sql: string): Promise<Record<string, unknown>[]> {
    const reader = await this.connection.runAndReadAll(sql);
    return reader.getRowObjectsJson();
  }

  /**
   * The rows of a query, chunk by chunk, in order. `whole` computes all of them before the first: faster, for results
   * that memory holds easily; without it memory stays bounded. Other statements may run between two chunks. The query cannot see
   * temporary tables. Throws when DuckDB ends the rows early.
   */
  async *chunks(sql: string, whole: boolean): AsyncGenerator<Chunk, void, undefined> {
    if (whole) {
      const result = await this.connection.run(sql);
      for (let i = 0; i < result.chunkCount; i++) yield chunkOf(result.getChunk(i));
      return;
    }
    // The next statement on a connection (an appender's flush too) ends what is streamed from it, as if there were no more rows.
    const connection = await this.instance.connect();
    try {
      const result = await connection.stream(sql);
      for (;;) {
        const chunk = await result.fetchChunk();
        if (chunk === null || chunk.rowCount === 0) {
          if (result.returnType === ResultReturnType.INVALID) await throwReason(connection, sql);
          return;
        }
        yield chunkOf(chunk);
      }
    } finally {
      connection.closeSync();
    }
  }

  /** Starts appending to a table whose columns are those of `columns`, in order. */
  async appender(table: string): Promise<Appender> {
    return new Appender(await this.connection.createAppender(table));
  }

  /** Closes the connection and the instance. */
  close(): void {
    this.connection.closeSync();
    this.instance.closeSync();
  }
}

/**
 * Throws the error that ended the rows of a query. The binding hands out no error of a streamed result, which ends like one that
 * is complete: so the query runs once more, reduced to one row.
 */
async function throwReason(connection: DuckDBConnection, sql: string): Promise<never> {
  await connection.run(`SELECT max(hash(COLUMNS(*))) FROM (${sql})`);
  throw new ScorelineError('environment', 'DuckDB ended a query before its last row; run again');
}

function chunkOf(chunk: DuckDBDataChunk): Chunk {
  const rows = chunk.rowCount;
  const vector = (column: number) => bindings.data_chunk_get_vector(chunk.chunk, column);
  const texts = new Map<number, (string | null)[]>();
  return {
    rows,
    bytes: (column, element) =>
      bindings.vector_get_data(vector(column), rows * bytesOfElement(element)),
    validity: (column) =>
      bindings.vector_get_validity(vector(column), Math.ceil(rows / 64) * 8) ?? undefined,
    texts: (column) => {
      const known = texts.get(column);
      if (known !== undefined) return known;
      const values = chunk
        .getColumnValues(column)
        .map((value) => (value === null ? null : unguarded(String(value))));
      texts.set(column, values);
      return values;
    },
    lists: (column, element, width) =>
      element === 'utf8'
        ? { values: listTexts(chunk, column, width), items: undefined }
        : listBytes(vector(column), rows, bytesOfElement(element), width),
  };
}

/**
 * Text, or lists of it, as SQL that `texts` and `lists` of a chunk can read: the binding drops a U+FEFF that a text begins
 * with, so each gets a character before it.
 */
export function guardedSql(sql: string, isList: boolean): string {
  return isList ? `list_transform(${sql}, lambda item: '=' || item)` : `'=' || (${sql})`;
}

function unguarded(text: string): string {
  return text.slice(1);
}

function listTexts(chunk: DuckDBDataChunk, column: number, width: number): (string | null)[] {
  return chunk.getColumnValues(column).flatMap((value) => {
    const items = value instanceof duckdb.DuckDBListValue ? value.items : [];
    return Array.from({ length: width }, (_, at) =>
      items[at] == null ? null : unguarded(String(items[at])),
    );
  });
}

/** A list vector holds for each row where its elements begin among those of a child vector, and how many there are. */
function listBytes(vector: Vector, rows: number, size: number, width: number): ChunkLists {
  const entries = bindings.vector_get_data(vector, rows * 16);
  const places = new BigUint64Array(entries.buffer, entries.byteOffset, rows * 2);
  const validity = bindings.vector_get_validity(vector, Math.ceil(rows / 64) * 8) ?? undefined;
  const child = bindings.list_vector_get_child(vector);
  const length = bindings.list_vector_get_size(vector);
  const bytes = bindings.vector_get_data(child, length * size);
  const bits = bindings.vector_get_validity(child, Math.ceil(length / 64) * 8) ?? undefined;
  const isNull = (row: number): boolean =>
    validity !== undefined && (validity[row >> 3]! & (1 << (row & 7))) === 0;
  let dense = length === rows * width;
  for (let row = 0; row < rows && dense; row++) {
    dense = !isNull(row) && places[2 * row] === BigInt(row * width);
  }
  if (dense) return { values: bytes, items: bits };
  const values = new Uint8Array(rows * width * size);
  const items = bits && new Uint8Array(Math.ceil((rows * width) / 8)).fill(0xff);
  for (let row = 0; row < rows; row++) {
    if (isNull(row)) continue;
    const start = Number(places[2 * row]);
    if (Number(places[2 * row + 1]) !== width) throw new RangeError('a list of another length');
    values.set(bytes.subarray(start * size, (start + width) * size), row * width * size);
    if (bits === undefined || items === undefined) continue;
    for (let at = 0; at < width; at++) {
      const bit = start + at;
      const to = row * width + at;
      if ((bits[bit >> 3]! & (1 << (bit & 7))) === 0) items[to >> 3]! &= ~(1 << (to & 7));
    }
  }
  return { values, items };
}

/** The declared type of a column that holds `width` elements a row. */
export function columnSqlType(element: ElementType, width: number): string {
  return width === 1 ? sqlTypeOfElement(element) : `${sqlTypeOfElement(element)}[]`;
}

/** The elements of a column that are appended at a time: what DuckDB holds of them is outside its limit. */
const CHUNK_ELEMENTS = 2 ** 21;

/** Appends typed arrays to a table. */
export class Appender {
  private readonly appender: DuckDBAppender;

  constructor(appender: DuckDBAppender) {
    this.appender = appender;
  }

  /** Appends the rows `rowStart` to `rowEnd` of the columns. */
  append(columns: readonly AppendColumn[], rowStart: number, rowEnd: number): void {
    const types = columns.map(({ element, width }) =>
      width === 1 ? TYPES[element] : LIST(TYPES[element]),
    );
    const widest = Math.max(1, ...columns.map(({ width }) => width));
    const chunkRows = Math.max(
      1,
      Math.min(bindings.vector_size(), Math.floor(CHUNK_ELEMENTS / widest)),
    );
    for (let start = rowStart; start < rowEnd; start += chunkRows) {
      const end = Math.min(start + chunkRows, rowEnd);
      const chunk = duckdb.DuckDBDataChunk.create(types, end - start);
      columns.forEach((column, index) => {
        setColumn(chunk, index, column, start, end);
      });
      this.appender.appendDataChunk(chunk);
    }
  }

  /** Makes what was appended visible to queries. */
  close(): void {
    this.appender.flushSync();
    this.appender.closeSync();
  }
}

function setColumn(
  chunk: DuckDBDataChunk,
  index: number,
  column: AppendColumn,
  start: number,
  end: number,
): void {
  const { element, width, values } = column;
  if (!ArrayBuffer.isView(values)) {
    chunk.setColumnValues(index, nest(values.slice(start * width, end * width), width));
    return;
  }
  const vector = bindings.data_chunk_get_vector(chunk.chunk, index);
  const target = width === 1 ? vector : listsIn(vector, end - start, width);
  const bytesPerRow = bytesOfElement(element) * width;
  const buffer = values.buffer;
  if (!(buffer instanceof ArrayBuffer)) throw new TypeError('shared memory cannot be appended');
  bindings.copy_data_to_vector(
    target,
    0,
    buffer,
    values.byteOffset + start * bytesPerRow,
    (end - start) * bytesPerRow,
  );
}

/** Makes `rows` lists of `width` elements in a vector, and gives the vector of their elements. */
function listsIn(vector: Vector, rows: number, width: number): Vector {
  bindings.list_vector_reserve(vector, rows * width);
  bindings.list_vector_set_size(vector, rows * width);
  const places = new BigUint64Array(rows * 2);
  for (let row = 0; row < rows; row++) {
    places[2 * row] = BigInt(row * width);
    places[2 * row + 1] = BigInt(width);
  }
  bindings.copy_data_to_vector(vector, 0, places.buffer, 0, places.byteLength);
  return bindings.list_vector_get_child(vector);
}

/** Texts as DuckDB values: one a row, or a list of `width` a row. */
function nest(texts: readonly string[], width: number) {
  if (width === 1) return texts;
  return Array.from({ length: texts.length / width }, (_, row) => ({
    items: texts.slice(row * width, (row + 1) * width),
  }));
}

/** The most text columns that a file has with DuckDB's own dictionaries, and what those of a wider file take together. */
const PLAIN_TEXT_COLUMNS = 512;
const DICTIONARIES_BYTES = 128 * 2 ** 20;

/**
 * The option of COPY to Parquet for a file of so many text columns. DuckDB reserves a megabyte for the dictionary of each,
 * however few its rows are; narrower files are written as ever.
 */
export function dictionaryOption(textColumns: number): string {
  if (textColumns <= PLAIN_TEXT_COLUMNS) return '';
  const bytes = Math.max(1024, Math.floor(DICTIONARIES_BYTES / textColumns));
  return `, STRING_DICTIONARY_PAGE_SIZE_LIMIT ${bytes}`;
}

/** Whether an error means that the instance is beyond use and has to be opened anew. */
export function isFatal(error: unknown): boolean {
  return (
    /^(INTERNAL|FATAL) Error/.test(messageOf(error)) ||
    /database has been invalidated/.test(messageOf(error))
  );
}

/**
 * DuckDB's error as one of ours: what the disk, the memory or permissions refuse is `environment`, the rest is
 * `otherwise`. `what` says what was being done. Messages may carry cell contents: they are cut and escaped.
 */
export function duckdbError(error: unknown, what: string, otherwise: ErrorCode): ScorelineError {
  if (error instanceof ScorelineError) return error;
  const message = firstLine(messageOf(error));
  const reason = SYSTEM_REASONS.exec(message)?.[0];
  const isMemory = isOutOfMemory(error);
  const environment = reason !== undefined || isMemory;
  // The system's reason comes last, behind a path: it must not be what is cut off.
  const why = reason === undefined || shown(message).endsWith(reason) ? '' : `${reason}: `;
  return new ScorelineError(
    environment ? 'environment' : otherwise,
    `${what}: ${why}${shown(message)}${isMemory ? '; raise run.memory, or take fewer run.workers' : ''}`,
    { cause: error },
  );
}

/** What the system says through DuckDB when the fault is the machine's: texts of the C library. */
const SYSTEM_REASONS =
  /No space left on device|Disk quota exceeded|File too large|Permission denied|Operation not permitted|Read-only file system|Too many open files|Input\/output error|Stale file handle/;

/** The version of DuckDB. */
export function duckdbVersion(): string {
  return bindings.library_version();
}
