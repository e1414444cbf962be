/** The scores of a task: what the model said of each row, first in a table, then in the store. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { newArray } from '../base/columns.js';
import {
  type AppendColumn,
  type Appender,
  columnSqlType,
  type Database,
  quotePath,
  quoteText,
} from '../base/duckdb.js';
import type { ElementType } from '../base/elements.js';
import { ScorelineError, shown } from '../base/errors.js';
import { createFile, createSubfolder } from '../base/files.js';
import { canonicalJson, hashFile, sealed } from '../base/hash.js';
import type { ScoresRecord, StoredFile } from '../plan/ledger.js';
import { keptElement, type OutputBinding } from '../plan/predictions.js';
import { type KeptBeside, storedFile, writeBeside } from './beside.js';
import type { OutputColumn } from './model-run.js';
import type { TaskOrder } from './protocol.js';
import { type BadRow, messageOfRow, ROW_STATUS } from './quarantine.js';

/** The table of a task's scores: one row for each row of the task, its status first, then whether it may be sampled. */
export class ScoreTable {
  private readonly database: Database;
  private readonly outputs: readonly { name: string; element: ElementType; width: number }[];
  private appender: Appender | undefined;
  readonly status: Uint8Array;
  private readonly sampled: Uint8Array;
  readonly bad: BadRow[] = [];

  private constructor(database: Database, order: TaskOrder) {
    this.database = database;
    this.outputs = distinctOutputs(order.publishing.columns);
    this.status = new Uint8Array(order.rows).fill(ROW_STATUS.filtered);
    this.sampled = new Uint8Array(order.rows);
  }

  /** Creates the empty table; that of an earlier task is dropped. */
  static async create(database: Database, order: TaskOrder): Promise<ScoreTable> {
    const table = new ScoreTable(database, order);
    const columns = table.outputs.map(
      ({ element, width }, i) => `, o${i} ${columnSqlType(element, width)}`,
    );
    await database.run(
      `CREATE OR REPLACE TABLE scores (status UTINYINT, sampled BOOLEAN${columns.join('')})`,
    );
    return table;
  }

  /**
   * Appends the task rows `rowStart` to `rowEnd`: those at `positions` (all of them, if undefined) are in the batch, of which the
   * rows `sampled` are marked.
   */
  async append(
    batch: { rows: number; rowStart: number; rowEnd: number; positions: Uint32Array | undefined },
    {
      outputs,
      bad,
      sampled,
    }: {
      readonly outputs: ReadonlyMap<string, OutputColumn>;
      readonly bad: readonly BadRow[];
      readonly sampled: Int32Array | undefined;
    },
  ): Promise<void> {
    const { rows, rowStart, rowEnd, positions } = batch;
    const place = (row: number): number => positions?.[row] ?? rowStart + row;
    if (positions === undefined) this.status.fill(ROW_STATUS.scored, rowStart, rowStart + rows);
    else setAt(this.status, positions.subarray(0, rows), ROW_STATUS.scored);
    for (const { row, ...why } of bad) {
      this.status[place(row)] = ROW_STATUS.quarantined;
      this.bad.push({ row: place(row), ...why });
    }
    const span = rowEnd - rowStart;
    if (sampled !== undefined) setAt(this.sampled, placesOf(batch, sampled), 1);
    const columns: AppendColumn[] = [
      { element: 'uint8', width: 1, values: this.status.subarray(rowStart, rowEnd) },
      { element: 'bool', width: 1, values: this.sampled.subarray(rowStart, rowEnd) },
    ];
    for (const { name, element, width } of this.outputs) {
      const values = outputs.get(name)?.values ?? blank(element, rows * width);
      columns.push({ element, width, values: spread(values, width, positions, rowStart, span) });
    }
    this.appender ??= await this.database.appender('scores');
    this.appender.append(columns, 0, span);
  }

  /** Ends appending. */
  async finish(): Promise<void> {
    this.appender?.close();
    if (this.bad.length === 0) return;
    await createBadTable(this.database);
    const appender = await this.database.appender('bad');
    const texts = (of: (bad: BadRow) => string): AppendColumn => ({
      element: 'utf8',
      width: 1,
      values: this.bad.map(of),
    });
    const rows = Uint32Array.from(this.bad, ({ row }) => row);
    appender.append(
      [
        { element: 'uint32', width: 1, values: rows },
        texts(({ reason }) => reason),
        texts(({ column }) => column),
        texts(messageOfRow),
      ],
      0,
      rows.length,
    );
    appender.close();
  }

  /** Writes the scores below the attempt's own folder; `putInStore` makes them visible. */
  async write(order: TaskOrder, record: ScoresRecord, about: KeptBeside): Promise<void> {
    const folder = join(order.temporaryFolder, 'scores');
    await createSubfolder(folder);
    const columns = this.outputs.map((_, i) =>
      this.bad.length === 0
        ? `o${i}`
        : `CASE WHEN status = ${ROW_STATUS.scored} THEN o${i} END AS o${i}`,
    );
    const scores = await copyTo(
      this.database,
      `SELECT ${['status', ...columns].join(', ')} FROM scores`,
      join(folder, 'scores.parquet'),
      'FORMAT parquet, COMPRESSION uncompressed, DICTIONARY_SIZE_LIMIT 1',
      order.rows,
    );
    const { bad } = this;
    const badFile =
      bad.length === 0
        ? undefined
        : await copyTo(
            this.database,
            'FROM bad',
            join(folder, 'bad.parquet'),
            'FORMAT parquet, COMPRESSION snappy',
            bad.length,
          );
    const files = {
      scores: scores.sha256,
      bad: badFile?.sha256 ?? null,
      ...(await writeBeside(folder, about)),
    };
    await createFile(
      join(folder, 'scores.json'),
      `${canonicalJson(sealed({ ...record, files }))}\n`,
    );
  }

  /**
   * Fills the tables from scores that are in the store already, of which rows at some places were sampled, and returns what is
   * recorded beside them.
   */
  static async load(
    database: Database,
    order: TaskOrder,
    sampled: Uint32Array | undefined,
  ): Promise<ScoresRecord> {
    // Loaded when it is needed: most tasks do not come here, and every worker would wait for it.
    const { parseScores } = await import('../plan/manifest.js');
    const path = join(order.scoreFolder, 'scores.json');
    const record = parseScores(await readFile(path, 'utf8'), order.scoreKey);
    if (record === undefined) throw damagedScores(path);
    const file = join(order.scoreFolder, 'scores.parquet');
    if (record.files !== undefined && (await hashFile(file)).sha256 !== record.files.scores)
      throw damagedScores(file);
    const table = await ScoreTable.create(database, order);
    const columns = table.outputs.map(
      ({ element, width }, i) => `CAST(o${i} AS ${columnSqlType(element, width)})`,
    );
    const [stored] = await database.rows(
      `INSERT INTO scores SELECT ${['status', marked(sampled), ...columns].join(', ')} FROM read_parquet(${quotePath(file)})`,
    );
    if (Number(stored?.Count) !== order.rows) throw damagedScores(file);
    if (record.inputs.some((input) => input.ledger.quarantined > 0)) {
      const badFile = join(order.scoreFolder, 'bad.parquet');
      if (record.files !== undefined && (await hashFile(badFile)).sha256 !== record.files.bad)
        throw damagedScores(badFile);
      await createBadTable(database);
      await database.run(`INSERT INTO bad SELECT * FROM read_parquet(${quotePath(badFile)})`);
    }
    return record;
  }
}

function marked(places: Uint32Array | undefined): string {
  if (places === undefined || places.length === 0) return 'false';
  return `file_row_number IN (SELECT unnest([${places.join(', ')}]))`;
}

function damagedScores(path: string): ScorelineError {
  return new ScorelineError(
    'environment',
    `${shown(path)}: damaged; "scoreline verify --repair" removes it, then run again`,
  );
}

/** Only tasks with bad rows have a table of them. */
async function createBadTable(database: Database): Promise<void> {
  await database.run(
    'CREATE OR REPLACE TABLE bad (bad_row UINTEGER, reason VARCHAR, bad_column VARCHAR, message VARCHAR)',
  );
}

/** The outputs of the model behind some columns, each once, in the order of the table of scores. */
export function distinctOutputs(
  columns: readonly OutputBinding[],
): { readonly name: string; readonly element: ElementType; readonly width: number }[] {
  const outputs = new Map<string, { name: string; element: ElementType; width: number }>();
  for (const { output, element, width } of columns) {
    outputs.set(output, { name: output, element: keptElement(element), width });
  }
  return [...outputs.values()];
}

/** Sets some elements to a value. Loops over rows are functions of their own, of few types: they are compiled once, and soon. */
function setAt(values: Uint8Array, places: Uint32Array, value: number): void {
  for (let i = 0; i < places.length; i++) values[places[i]!] = value;
}

/** The places in the task of some rows of a batch. */
export function placesOf(
  {
    positions,
    rowStart,
  }: { readonly positions: Uint32Array | undefined; readonly rowStart: number },
  rows: Int32Array,
): Uint32Array {
  const places = new Uint32Array(rows.length);
  if (positions === undefined)
    for (let i = 0; i < rows.length; i++) places[i] = rowStart + rows[i]!;
  else for (let i = 0; i < rows.length; i++) places[i] = positions[rows[i]!]!;
  return places;
}

function blank(element: ElementType, length: number): OutputColumn['values'] {
  return element === 'utf8' ? new Array<string>(length).fill('') : newArray(element, length);
}

/** Moves the values of a batch to their places among the task rows from `rowStart` on. */
function spread(
  values: OutputColumn['values'],
  width: number,
  positions: Uint32Array | undefined,
  rowStart: number,
  span: number,
): AppendColumn['values'] {
  if (positions === undefined) return values;
  if (Array.isArray(values)) {
    const texts = new Array<string>(span * width).fill('');
    positions.forEach((position, row) => {
      for (let i = 0; i < width; i++)
        texts[(position - rowStart) * width + i] = values[row * width + i]!;
    });
    return texts;
  }
  const bytesPerRow = values.BYTES_PER_ELEMENT * width;
  const source = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const target = new Uint8Array(span * bytesPerRow);
  positions.forEach((position, row) => {
    target.set(
      source.subarray(row * bytesPerRow, (row + 1) * bytesPerRow),
      (position - rowStart) * bytesPerRow,
    );
  });
  return target;
}

/** Writes what a query gives to a file. Throws when it gives another number of rows than `expected`. */
export async function copyTo(
  database: Database,
  select: string,
  path: string,
  options: string,
  expected: number,
): Promise<StoredFile> {
  const [answer] = await database.rows(`COPY (${select}) TO ${quoteText(path)} (${options})`);
  if (Number(answer?.Count) !== expected) {
    throw new Error(`${Number(answer?.Count)} rows written, expected ${expected}`);
  }
  return storedFile(path, expected);
}
