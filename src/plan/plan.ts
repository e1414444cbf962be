/**
 * The plan: which rows form a task, and the keys that name what a task yields. Pure: it depends on the data, the
 * model and the job alone, so that every run, on any machine, with any number of workers, makes the same tasks.
 */
import { type Json, keyOf, sha256 } from '../base/hash.js';
import { type CsvDialect, dialectJson } from './csv.js';
import type { DataFile, FileFacts } from './dataset.js';
import { partitionValues } from './partition.js';
import type { OutputBinding } from './predictions.js';
import type { ColumnType, InputBinding } from './signature.js';

/** A task holds at most this many rows … */
export const TASK_ROWS = 128 * 1024;
/** … and this many bytes before compression; a single row group of fewer rows may exceed that, and one of more than 512 Ki rows both. */
export const TASK_BYTES = 256 * 1024 * 1024;
/** … from at most this many files. */
const TASK_FILES = 512;
/**
 * A row group of more rows than a task is cut into at most this many tasks. Each decodes what it skips in part: 4 tasks decode a row
 * group about twice, which costs less than idle workers do.
 */
const GROUP_TASKS = 4;

/** Changes whenever equal inputs would give other scores: it is part of every score key. */
const SCORING_FORMAT = 3;
/** The same, for models that take text: with NUL it was cut off there before 2, and lost a U+FEFF that it began with. */
const TEXTS_FORMAT = 2;
/** Changes whenever equal scores would be published as other bytes: it is part of every part key. */
const PART_FORMAT = 1;

/** All that settles the scores of given rows. */
export interface ScoringConfig {
  readonly model: readonly string[];
  readonly device: string;
  readonly batchRows: number;
  /** The batch size that the model insists on; undefined when it takes any. */
  readonly fixedBatch: number | undefined;
  readonly where: string | undefined;
  /** How the CSV files are written; undefined for Parquet. */
  readonly csv: CsvDialect | undefined;
  readonly types: readonly ColumnType[];
  readonly inputs: readonly InputBinding[];
  /** The model outputs that are asked for. */
  readonly outputs: readonly string[];
  /** Whether a score that is not finite is set aside or kept. */
  readonly nonFinite: 'quarantine' | 'keep';
}

/** A kept column and its one type over the whole dataset. */
export interface KeptColumn {
  readonly name: string;
  readonly type: string;
}

/** All that settles how given scores are published. */
export interface PublishingConfig {
  readonly keep: readonly KeptColumn[];
  readonly columns: readonly OutputBinding[];
  readonly format: 'parquet' | 'csv';
  readonly compression: string;
  /** Whether files hold also the kept columns that their folders give; without it the folders alone do. */
  readonly partitionColumns?: 'files' | 'folders';
  /** The kept columns of which statistics are made. */
  readonly statistics?: readonly string[];
}

/** A range of rows of one file: whole row groups, or a piece of a large one. */
export interface TaskFile {
  readonly file: DataFile;
  readonly facts: FileFacts;
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** The unit of work: rows of one unit, scored in one attempt by one worker. */
export interface Task {
  readonly unit: string;
  /** Its place among the tasks of its unit, from 0. */
  readonly index: number;
  readonly files: readonly TaskFile[];
  readonly rows: number;
  /** The keys of its scores and of its part; undefined while a file's content is not known. */
  readonly scoreKey: string | undefined;
  readonly partKey: string | undefined;
}

/** A unit of publication: a folder of the input. */
export interface UnitPlan {
  readonly unit: string;
  readonly files: readonly { readonly file: DataFile; readonly facts: FileFacts }[];
  readonly tasks: readonly Task[];
}

/** Makes the plan: units in order, each with its tasks in order. Files without facts are left out. */
export function makePlan(
  files: readonly DataFile[],
  facts: ReadonlyMap<string, FileFacts>,
  scoring: ScoringConfig,
  publishing: PublishingConfig,
): UnitPlan[] {
  const units = new Map<string, { file: DataFile; facts: FileFacts }[]>();
  for (const file of files) {
    const known = facts.get(file.path);
    if (known === undefined) continue;
    const unit = units.get(file.unit);
    if (unit === undefined) units.set(file.unit, [{ file, facts: known }]);
    else unit.push({ file, facts: known });
  }
  const scoringJson = scoringKeyPart(scoring);
  const publishingJson = publishingKeyPart(publishing);
  return [...units].map(([unit, members]) => {
    const inFolders = columnsInFolders(publishing, unit);
    const publishingOfUnit = {
      publishing: publishingJson,
      ...(inFolders.length === 0 ? {} : { inFolders }),
    };
    return {
      unit,
      files: members,
      tasks: rangesOf(members, scoring.batchRows).map((range, index) => {
        const scoreKey = scoreKeyOf(range, scoringJson);
        return {
          unit,
          index,
          files: range,
          rows: range.reduce((sum, { rowStart, rowEnd }) => sum + rowEnd - rowStart, 0),
          scoreKey,
          partKey:
            scoreKey === undefined
              ? undefined
              : keyOf({ format: PART_FORMAT, score: scoreKey, ...publishingOfUnit }),
        };
      }),
    };
  });
}

/**
 * The kept columns of a unit that its published files do not hold, because the folders above them give the values: readers that
 * know partitions refuse a column that both give, or take the folder's.
 */
export function columnsInFolders(
  { keep, partitionColumns }: PublishingConfig,
  unit: string,
): string[] {
  if (partitionColumns === 'files') return [];
  const given = new Set(partitionValues(unit).map(({ name }) => name));
  return keep.filter(({ name }) => given.has(name)).map(({ name }) => name);
}

/** The part of a score key that does not depend on rows. */
export function scoringKeyPart(config: ScoringConfig): Json {
  return {
    format: SCORING_FORMAT,
    model: config.model,
    device: config.device,
    batchRows: config.batchRows,
    where: config.where ?? null,
    csv: config.csv === undefined ? null : dialectJson(config.csv),
    types: config.types.map(({ column, type }) => ({ column, type })),
    inputs: config.inputs.map(({ name, element, rank, columns, list }) => ({
      name,
      element,
      rank,
      columns,
      ...(list === undefined ? {} : { list }),
      ...(element === 'utf8' ? { texts: TEXTS_FORMAT } : {}),
    })),
    outputs: config.outputs,
    nonFinite: config.nonFinite,
  };
}

/** The part of a part key that does not depend on the scores. */
export function publishingKeyPart(config: PublishingConfig): Json {
  return {
    keep: config.keep.map(({ name, type }) => ({ name, type })),
    columns: config.columns.map(({ column, output, index }) => ({
      column,
      output,
      index: index ?? null,
    })),
    format: config.format,
    compression: config.compression,
    ...(config.statistics?.length ? { statistics: config.statistics } : {}),
  };
}

function scoreKeyOf(range: readonly TaskFile[], scoring: Json): string | undefined {
  const files: Json[] = [];
  for (const { file, facts, rowStart, rowEnd } of range) {
    if (facts.sha256 === null) return undefined;
    files.push({ path: file.path, sha256: facts.sha256, rowStart, rowEnd });
  }
  return keyOf({ files, scoring });
}

/**
 * Cuts the files of a unit, in order, into the row ranges of its tasks. Empty files have none, but where all are empty the first one
 * has a task without rows: its part has the columns, and readers find no rows instead of no file.
 */
function rangesOf(
  members: readonly { file: DataFile; facts: FileFacts }[],
  batchRows: number,
): TaskFile[][] {
  const tasks: TaskFile[][] = [];
  let small: TaskFile[] = [];
  const flush = (): void => {
    tasks.push(...pack(small));
    small = [];
  };
  for (const { file, facts } of members) {
    if (facts.rows === 0) continue;
    const whole = { file, facts, rowStart: 0, rowEnd: facts.rows };
    if (facts.rows <= TASK_ROWS && bytesOf(whole) <= TASK_BYTES) {
      small.push(whole);
    } else {
      flush();
      tasks.push(...split(file, facts, batchRows).map((range) => [range]));
    }
  }
  flush();
  const [first] = members;
  if (tasks.length === 0 && first !== undefined) tasks.push([{ ...first, rowStart: 0, rowEnd: 0 }]);
  return tasks;
}

function bytesOf({ facts, rowStart, rowEnd }: TaskFile): number {
  const bytes = facts.rowGroups.reduce((sum, group) => sum + group.bytes, 0);
  return (bytes * (rowEnd - rowStart)) / Math.max(1, facts.rows);
}

/** Cuts a large file at the boundaries of its row groups, and inside of those that are larger than a task. */
function split(file: DataFile, facts: FileFacts, batchRows: number): TaskFile[] {
  const ranges: TaskFile[] = [];
  let rowStart = 0;
  let rowEnd = 0;
  let bytes = 0;
  const cutAt = (row: number): void => {
    if (row > rowStart) ranges.push({ file, facts, rowStart, rowEnd: row });
    rowStart = row;
    bytes = 0;
  };
  for (const group of facts.rowGroups) {
    if (rowEnd - rowStart + group.rows > TASK_ROWS || bytes + group.bytes > TASK_BYTES) {
      cutAt(rowEnd);
    }
    rowEnd += group.rows;
    bytes += group.bytes;
    if (group.rows <= TASK_ROWS) continue;
    const rows = rowsWithin(group.rows, batchRows);
    while (rowStart + rows < rowEnd) cutAt(rowStart + rows);
    cutAt(rowEnd);
  }
  cutAt(rowEnd);
  return ranges;
}

/** How many rows of a large row group a task has: whole batches, so that without a filter the model gets the batches of the uncut row group. */
function rowsWithin(groupRows: number, batchRows: number): number {
  const tasks = Math.min(GROUP_TASKS, Math.ceil(groupRows / TASK_ROWS));
  return tasks <= 1 ? groupRows : Math.ceil(groupRows / tasks / batchRows) * batchRows;
}

/**
 * Packs neighbouring small files into tasks: while a run of files is too large it is cut before the file whose path
 * has the greatest hash. Where the cuts lie thus follows from the names, as in a treap: a file that comes or
 * goes moves the cuts around it and leaves the others.
 */
function pack(files: readonly TaskFile[]): TaskFile[][] {
  const hashes = files.map(({ file }) => Number.parseInt(sha256(file.path).slice(0, 12), 16));
  const rows = prefixSums(files.map(({ rowStart, rowEnd }) => rowEnd - rowStart));
  const bytes = prefixSums(files.map(bytesOf));
  const packs: TaskFile[][] = [];
  const open: [number, number][] = files.length > 0 ? [[0, files.length]] : [];
  for (let next = open.pop(); next !== undefined; next = open.pop()) {
    const [start, end] = next;
    const fits =
      end - start <= TASK_FILES &&
      rows[end]! - rows[start]! <= TASK_ROWS &&
      bytes[end]! - bytes[start]! <= TASK_BYTES;
    if (fits || end - start === 1) {
      packs.push(files.slice(start, end));
      continue;
    }
    let cut = start + 1;
    for (let i = cut + 1; i < end; i++) if (hashes[i]! > hashes[cut]!) cut = i;
    open.push([cut, end], [start, cut]);
  }
  return packs;
}

function prefixSums(values: readonly number[]): number[] {
  const sums = [0];
  for (const value of values) sums.push(sums[sums.length - 1]! + value);
  return sums;
}

/** A short name for a task in messages: its unit and place. */
export function taskName(task: Pick<Task, 'unit' | 'index'>): string {
  return `${task.unit === '' ? '.' : task.unit}#${task.index}`;
}

/**
 * How many rows the model gets at once: what the job says, else 16,384 for models whose rows are cheap and 1,024 for
 * others, fewer where a row is so wide that a batch would exceed 32 MiB. Part of the plan, because the values of some models
 * depend on their neighbours in the batch.
 */
export function batchRowsFor(options: {
  readonly wanted: number | 'auto';
  readonly fixed: number | undefined;
  readonly rowwise: boolean;
  readonly bytesPerRow: number;
}): number {
  if (options.fixed !== undefined) return options.fixed;
  if (options.wanted !== 'auto') return options.wanted;
  let rows = options.rowwise ? 16_384 : 1_024;
  while (rows > 1 && rows * options.bytesPerRow > 32 * 1024 * 1024) rows /= 2;
  return rows;
}
