/** Reads the rows of a task from its files as record batches. */
import {
  type ColumnBuilder as Builder,
  ColumnBuilder,
  type ColumnRows,
  type RecordBatch,
  recordBatchOf,
} from '../base/columns.js';
import {
  type Chunk,
  type Database,
  guardedSql,
  quoteName,
  quotePath,
  quoteText,
} from '../base/duckdb.js';
import { bytesOfElement, type ElementType } from '../base/elements.js';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { stampOf, stampText } from '../base/hash.js';
import type { PartitionValue } from '../plan/partition.js';
import {
  type ColumnSource,
  type ColumnType,
  columnsOfFile,
  unifiedType,
} from '../plan/signature.js';
import type { OrderFile } from './protocol.js';
import { readTextSql } from './text-cast.js';

/** Neighbouring files of a task that have the same schema: they are read by one query. */
export interface Segment {
  readonly files: readonly OrderFile[];
  readonly columns: readonly ColumnSource[];
  readonly partition: readonly PartitionValue[];
  /** Columns that are stored as text but have another type: a value that is none puts its row aside. */
  readonly casts: readonly ColumnType[];
  readonly rows: number;
}

/** What rows to read: files in order, with the columns that their folder gives. */
export interface RowSource {
  readonly files: readonly OrderFile[];
  readonly partition: readonly PartitionValue[];
  readonly types: readonly ColumnType[];
  /** Whether the files hold what was CSV: text that `types` say how to read. */
  readonly csv: boolean;
}

/** Throws `changed` when a file is not what it was when the plan was made. */
export async function checkUnchanged(
  files: readonly Pick<OrderFile, 'path' | 'absolute' | 'stamp' | 'stored'>[],
): Promise<void> {
  for (const { path, absolute, stamp, stored } of files) {
    let now: string;
    try {
      now = stampText(await stampOf(absolute));
    } catch (error) {
      if (stored) throw systemError(error, `${shown(path)}: cannot read ${shown(absolute)}`);
      if (errnoOf(error) === 'ENOENT') {
        throw new ScorelineError('changed', `${shown(path)}: removed while it was read; run again`);
      }
      throw systemError(error, `cannot read ${shown(path)}`, 'input');
    }
    if (now !== stampText(stamp)) {
      throw new ScorelineError('changed', `${shown(path)}: changed while it was read; run again`);
    }
  }
}

/** Groups the files of a task into segments. Throws `input` when a file's column hides one of its folder. */
export function segmentsOf({ files, partition, types, csv }: RowSource): Segment[] {
  const segments: Segment[] = [];
  let schema = '';
  for (const file of files) {
    const rows = file.rowEnd - file.rowStart;
    const own = JSON.stringify(file.schema);
    const last = segments.at(-1);
    // A range within a file is a query of its own: the range is a filter on the row number.
    if (last !== undefined && own === schema && isWhole(file) && last.files.every(isWhole)) {
      segments[segments.length - 1] = {
        ...last,
        files: [...last.files, file],
        rows: last.rows + rows,
      };
    } else {
      const columns = columnsOfFile(file.path, file.schema, partition, types, csv);
      const casts = columns
        .filter((column) => column.written && !column.partition && column.type !== 'VARCHAR')
        .map(({ name, type }) => ({ column: name, type }));
      segments.push({ files: [file], columns, partition, casts, rows });
    }
    schema = own;
  }
  return segments;
}

function isWhole(file: OrderFile): boolean {
  return file.rowStart === 0 && file.rowEnd === file.fileRows;
}

/** Names that DuckDB gives to a row's place; a file with a column of that name cannot be placed. */
const PLACE_COLUMNS = ['file_row_number', 'file_index'];

/** The column that says whether cast `index` of a segment failed in a row. */
export function failedColumn(index: number): string {
  return `scoreline_failed_${index}`;
}

/** The condition that a cast of a row failed; undefined for a segment without casts. */
export function failedSql({ casts }: Segment): string | undefined {
  return casts.length === 0 ? undefined : casts.map((_, index) => failedColumn(index)).join(' OR ');
}

/**
 * The rows of a segment as SQL, in order: its own columns with their types, then those of its partition, and for each cast
 * whether it failed. `raw` leaves text as it is stored.
 */
export function segmentSql(
  segment: Segment,
  select: readonly string[],
  { raw = false }: { readonly raw?: boolean } = {},
): string {
  const first = segment.files[0]!;
  for (const { name } of segment.columns) {
    if (PLACE_COLUMNS.includes(name.toLowerCase()) || /^scoreline_failed_/i.test(name)) {
      throw new ScorelineError(
        'input',
        `${shown(first.path)}: column "${shown(name)}" has a name that is reserved for a row's place; rename it`,
      );
    }
  }
  const partition = segment.partition.map(({ name, value }) => {
    const type =
      segment.columns.find((column) => column.partition && column.name === name)?.type ?? 'VARCHAR';
    return `, ${partitionSql(value, type)} AS ${quoteName(name)}`;
  });
  const paths = segment.files.map(({ absolute }) => quotePath(absolute)).join(', ');
  const range = isWhole(first)
    ? ''
    : ` WHERE file_row_number >= ${first.rowStart} AND file_row_number < ${first.rowEnd}`;
  // The place of a row is named here, where it is known, for those who ask for it.
  const place = 'file_row_number AS file_row_number, file_index AS file_index';
  const casts = raw ? [] : segment.casts;
  const replaced = casts.map(({ column, type }) => {
    const name = quoteName(column);
    return `${readTextSql(name, type)} AS ${name}`;
  });
  for (const { name, type, nulls } of segment.columns) {
    if (nulls === true) replaced.push(`CAST(NULL AS ${type}) AS ${quoteName(name)}`);
  }
  const failed = casts.map(({ column, type }, index) => {
    const name = quoteName(column);
    return `, ${name} IS NOT NULL AND (${readTextSql(name, type)}) IS NULL AS ${failedColumn(index)}`;
  });
  const own = replaced.length === 0 ? '*' : `* REPLACE (${replaced.join(', ')})`;
  return (
    `SELECT ${select.join(', ')} FROM (SELECT ${own}, ${place}${failed.join('')}${partition.join('')} ` +
    `FROM read_parquet([${paths}], hive_partitioning = false, union_by_name = false)${range})`
  );
}

function partitionSql(value: string | null, type: string): string {
  if (value === null) return `CAST(NULL AS ${type})`;
  if (type === 'VARCHAR') return quoteText(value);
  // DuckDB rounds on the way from text to numbers: only what the type holds as it is may be cast.
  const scale = /^DECIMAL\(\d+,(\d+)\)$/.exec(type)?.[1] ?? (/INT/.test(type) ? '0' : undefined);
  const fraction = /\.(\d*?)0*$/.exec(value)?.[1]?.length ?? 0;
  const isRounded = scale !== undefined && (fraction > Number(scale) || /e/i.test(value));
  if (isRounded || dropsOfTime(value, type)) {
    throw new ScorelineError(
      'input',
      `partition value "${shown(value)}": is no ${type}, which input.types says`,
    );
  }
  return `CAST(${quoteText(value)} AS ${type})`;
}

/** Whether DuckDB would drop a part of a text on its way to a date or time: the time, an offset or what is neither. */
function dropsOfTime(value: string, type: string): boolean {
  if (type === 'DATE') return /^\s*\d+\D\d+\D\d+(?!\d)\s*\S/.test(value);
  const offset = /:\d\d(?:\.\d+)?\s*(Z|[+-].*)$/i.exec(value)?.[1];
  if (type === 'TIMESTAMP') return offset !== undefined;
  return type === 'TIMESTAMPTZ' && !/^(?:Z|[+-](?:0\d|1[0-5])(?::?[0-5]\d)?)$/i.test(offset ?? '');
}

/** A column to fetch: its expression over the columns of a segment, and the element type that carries it. */
export interface FetchColumn {
  readonly name: string;
  readonly sql: string;
  readonly element: ElementType;
  /** Of a column of lists: the elements a row. Its lists are that long, or null. */
  readonly list?: number;
}

/** Rows that passed the filter, and their places in the task. */
export interface SourceBatch<Plan> {
  /** What the caller planned for the segment that the rows come from. */
  readonly plan: Plan;
  readonly batch: RecordBatch;
  readonly rows: number;
  /** The task rows `rowStart` to `rowEnd` are done with this batch: those not in it were filtered. */
  readonly rowStart: number;
  readonly rowEnd: number;
  /** The place of each row of the batch in the task; undefined when they are all of `rowStart` to `rowEnd`. */
  readonly positions: Uint32Array | undefined;
}

/** How to read a segment. */
export interface SegmentPlan {
  readonly fetch: readonly FetchColumn[];
}

/**
 * Reads a task's rows in order, in batches of exactly `batchRows` rows that pass `where` (the last one may be smaller,
 * and the last one before files whose columns are carried differently). Throws `input` when there are not as many
 * rows as the footers say.
 */
export async function* readBatches<Plan extends SegmentPlan>(
  database: Database,
  segments: readonly Segment[],
  options: {
    readonly where: string | undefined;
    readonly batchRows: number;
    readonly planFor: (segment: Segment) => Plan;
  },
): AsyncGenerator<SourceBatch<Plan>, void, undefined> {
  let collector: BatchCollector<Plan> | undefined;
  let position = 0;
  for (const segment of segments) {
    const plan = options.planFor(segment);
    if (collector === undefined || !collector.fits(plan)) {
      const rest = collector?.finish();
      if (rest !== undefined) yield rest;
      collector = new BatchCollector(
        plan,
        options.batchRows,
        position,
        options.where !== undefined,
      );
    }
    const select = plan.fetch.map(({ sql, name, element, list }) => {
      const readable = element === 'utf8' ? guardedSql(sql, list !== undefined) : sql;
      return `${readable} AS ${quoteName(name)}`;
    });
    if (options.where !== undefined) {
      // A row whose values cannot be read is no row that a filter passed over.
      const failed = failedSql(segment);
      const passes = `coalesce(CAST((\n${options.where}\n) AS BOOLEAN), false)`;
      select.push(failed === undefined ? passes : `(${failed} OR ${passes})`);
    }
    if (select.length === 0) select.push('1');
    const expected = position + segment.rows;
    const whole = isSmall(segment, plan.fetch);
    for await (const chunk of database.chunks(segmentSql(segment, select), whole)) {
      yield* collector.add(chunk, position);
      position += chunk.rows;
    }
    if (position !== expected) {
      throw new ScorelineError(
        'input',
        `${shown(segment.files[0]!.path)}: ${position - expected + segment.rows} rows read where the footer says ${segment.rows}; the file is damaged`,
      );
    }
  }
  const rest = collector?.finish(position);
  if (rest !== undefined) yield rest;
}

/** The most that is read at once: a task of most jobs, without its texts. */
const WHOLE_BYTES = 32 * 2 ** 20;

function isSmall(segment: Segment, fetch: readonly FetchColumn[]): boolean {
  if (fetch.some(({ element }) => element === 'utf8')) return false;
  const bytesPerRow = fetch.reduce(
    (sum, { element, list = 1 }) => sum + bytesOfElement(element) * list,
    1,
  );
  return segment.rows * bytesPerRow <= WHOLE_BYTES;
}

function rowsOf(chunk: Chunk, column: number, { element, list }: Builder): ColumnRows {
  const validity = chunk.validity(column);
  if (list !== undefined) return { ...chunk.lists(column, element, list), validity };
  const values = element === 'utf8' ? chunk.texts(column) : chunk.bytes(column, element);
  return { values, validity };
}

/** Gathers the rows of chunks into batches of equal size. */
class BatchCollector<Plan extends SegmentPlan> {
  private readonly plan: Plan;
  private readonly batchRows: number;
  private readonly filtered: boolean;
  private readonly builders: readonly Builder[];
  private rows = 0;
  /** The first task row of the batch, and the one after the last row that was looked at. */
  private rowStart: number;
  private rowEnd: number;
  private positions: Uint32Array;

  constructor(plan: Plan, batchRows: number, position: number, filtered: boolean) {
    this.plan = plan;
    this.batchRows = batchRows;
    this.filtered = filtered;
    this.builders = plan.fetch.map(
      ({ element, list }) => new ColumnBuilder(element, batchRows, list),
    );
    this.rowStart = position;
    this.rowEnd = position;
    this.positions = new Uint32Array(filtered ? batchRows : 0);
  }

  /** Whether rows of another segment can go into the same batches. */
  fits(plan: Plan): boolean {
    return JSON.stringify(plan) === JSON.stringify(this.plan);
  }

  /** Takes the rows of a chunk whose first is task row `position`; yields the batches that become full. */
  *add(chunk: Chunk, position: number): Generator<SourceBatch<Plan>, void, undefined> {
    // Once a chunk: rows that pass may come in very many short runs.
    const columns = this.builders.map((builder, column) => rowsOf(chunk, column, builder));
    for (const [start, end] of this.filtered ? this.passing(chunk) : [[0, chunk.rows] as const]) {
      let from = start;
      while (from < end) {
        const to = Math.min(end, from + this.batchRows - this.rows);
        this.take(columns, { from, to, position });
        from = to;
        if (this.rows === this.batchRows) yield this.emit(position + to);
      }
    }
    this.rowEnd = position + chunk.rows;
  }

  private take(
    columns: readonly ColumnRows[],
    {
      from,
      to,
      position,
    }: { readonly from: number; readonly to: number; readonly position: number },
  ): void {
    for (let i = 0; i < columns.length; i++) this.builders[i]!.append(columns[i]!, from, to);
    if (this.filtered) {
      const { positions, rows } = this;
      for (let row = from; row < to; row++) positions[rows + row - from] = position + row;
    }
    this.rows += to - from;
    this.rowEnd = position + to;
  }

  /** The runs of rows that pass the filter, the last column of the chunk. */
  private *passing(chunk: Chunk): Generator<readonly [number, number], void, undefined> {
    const passes = chunk.bytes(this.builders.length, 'bool');
    let start = -1;
    for (let row = 0; row < chunk.rows; row++) {
      if (passes[row] !== 0) {
        if (start < 0) start = row;
      } else if (start >= 0) {
        yield [start, row];
        start = -1;
      }
    }
    if (start >= 0) yield [start, chunk.rows];
  }

  /** The rows that are left, up to task row `rowEnd`; undefined when the task rows so far are all done. */
  finish(rowEnd = this.rowEnd): SourceBatch<Plan> | undefined {
    return rowEnd > this.rowStart ? this.emit(rowEnd) : undefined;
  }

  private emit(rowEnd: number): SourceBatch<Plan> {
    const { plan, rows, rowStart } = this;
    const columns = this.builders.map((builder) => builder.finish());
    const batch = recordBatchOf(
      plan.fetch.map(({ name }) => name),
      columns,
      rows,
    );
    const all = rows === rowEnd - rowStart;
    const positions = all ? undefined : this.positions.slice(0, rows);
    this.rows = 0;
    this.rowStart = rowEnd;
    return { plan, batch, rows, rowStart, rowEnd, positions };
  }
}

/** The one type of each column over all segments, where there is one: files may differ within a dataset. */
export function unifyColumns(segments: readonly Segment[]): Map<string, string | undefined> {
  const types = new Map<string, string | undefined>();
  for (const { columns } of segments) {
    for (const { name, type } of columns) {
      const known = types.get(name);
      types.set(name, types.has(name) ? known && unifiedType(known, type) : type);
    }
  }
  return types;
}
