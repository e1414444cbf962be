/** The messages between the parent and its workers, and how errors cross from one to the other. */
import { type ErrorCode, messageOf, ScorelineError, settledError } from '../base/errors.js';
import type { FileStamp } from '../base/hash.js';
import type { Explained } from '../explain/explain.js';
import type { Target } from '../explain/targets.js';
import type { CsvDialect, CsvFacts, CsvLook } from '../plan/csv.js';
import type { FileFacts, SchemaColumn } from '../plan/dataset.js';
import type { EngineName } from '../plan/engine.js';
import type { CsvRecord, InputLedger, PartRecord } from '../plan/ledger.js';
import type { PartitionValue } from '../plan/partition.js';
import type { PublishingConfig, ScoringConfig } from '../plan/plan.js';
import type { ModelFacts } from '../plan/signature.js';
import type { Checked } from '../stats/checked.js';
import type { FlipColumn, Flips } from '../stats/flips.js';
import type { Tolerance } from '../stats/tolerance.js';

/** What a worker is told once, when it starts. */
export interface WorkerSetup {
  readonly memoryLimitBytes: number;
  /** A folder of the worker's own, for what it spills. */
  readonly temporaryFolder: string;
  /** The only folders that its DuckDB may touch. */
  readonly allowedFolders: readonly string[];
}

/** A model to load: `shownAs` names it in messages. */
export interface ModelRef {
  readonly path: string;
  readonly shownAs: string;
  readonly device: string;
}

/** A model to score with: its files must still be what they were when they were hashed. */
export interface HashedModel extends ModelRef {
  readonly files: ModelFacts['files'];
}

/** A file to describe. */
export interface FileRef {
  readonly path: string;
  readonly absolute: string;
}

/** Parquet files to describe: whether to hash them, and to check their pages meanwhile. */
export interface DescribeFiles {
  readonly files: readonly FileRef[];
  readonly hash: boolean;
  readonly checksums: boolean;
}

/** What a worker found in a file, or why it could not. */
export type FileAnswer =
  | { readonly path: string; readonly facts: FileFacts; readonly stamp: FileStamp }
  | { readonly path: string; readonly error: WireError };

/** A range of rows to read: with it the file's schema, and its stamp when it was planned. */
export interface OrderFile {
  readonly path: string;
  readonly absolute: string;
  /** Whether it is in the store: the rows of a CSV file. */
  readonly stored?: true;
  readonly stamp: FileStamp;
  readonly schema: readonly SchemaColumn[];
  /** All rows of the file. */
  readonly fileRows: number;
  readonly rowStart: number;
  readonly rowEnd: number;
}

/** One task as a worker gets it. */
export interface TaskOrder {
  readonly name: string;
  readonly files: readonly OrderFile[];
  readonly rows: number;
  readonly partition: readonly PartitionValue[];
  readonly model: HashedModel;
  readonly scoring: ScoringConfig;
  /** What runs the model: the same for all tasks of a run. */
  readonly engine: EngineName;
  readonly publishing: PublishingConfig;
  /** The kept columns that the published files leave to the names of their folders. */
  readonly inFolders: readonly string[];
  readonly scoreKey: string;
  readonly partKey: string;
  /** Where the scores and the part are to be; and whether the scores are there already. */
  readonly scoreFolder: string;
  readonly partFolder: string;
  readonly haveScores: boolean;
  /** A folder of this attempt's own, on the file system of the store. */
  readonly temporaryFolder: string;
  /** How many rows may be set aside in the whole run: no more than that are looked for where the model fails. */
  readonly badRowsAllowed: number;
  /** Rows that end or stop the process that runs the model: set aside without asking it. */
  readonly lethal: readonly LethalRow[];
  /** The sample of its rows that is kept; undefined for none. */
  readonly sample?: SampleConfig | undefined;
  /** Whether to find out if rows depend on their neighbours in the batch: once a run. */
  readonly probeBatch: boolean;
}

/** Which rows a sample has: so many, those of the least hashes of their keys, or without a key of their places. */
export interface SampleConfig {
  readonly rows: number;
  readonly key: string | undefined;
}

/** A row on which the model ends its process, or does not come to an end; `row` counts in the task, from 0. */
export interface LethalRow {
  readonly row: number;
  readonly reason: 'model_crashed' | 'model_hung';
}

/** The batch that a worker gives the model: its first row in the task, and how many rows it has. */
export interface BatchPlace {
  readonly rowStart: number;
  readonly rows: number;
}

/** A part of a task's batch to give the model by itself: the rows `from` to `to` of the batch that begins at task row `rowStart`. */
export interface ProbeOrder extends TaskOrder {
  readonly probe: { readonly rowStart: number; readonly from: number; readonly to: number };
}

/** Where the first row of a probe stands: its place in the task, and the same for a person. */
export interface ProbeAnswer {
  readonly row: number;
  readonly place: string;
}

/** What came of scoring rows with both engines: how many, and the first difference, in words; undefined when all bits are equal. */
export interface TreesCheck {
  readonly rows: number;
  readonly difference: string | undefined;
  /** Where parts of the model run in ONNX Runtime, and the whole there takes no longer: what the rows of the run took, in ms. */
  readonly slower?: { readonly runtime: number; readonly trees: number };
}

/** Where the time of a task went, in ms. */
export interface StageTimes {
  readonly read: number;
  readonly prepare: number;
  readonly infer: number;
  readonly write: number;
}

/** What a worker says of a finished task. */
export interface TaskResult {
  readonly part: PartRecord;
  readonly inputs: readonly InputLedger[];
  readonly lossyCasts: readonly { readonly column: string; readonly values: number }[];
  readonly times: StageTimes;
  readonly batchDependent: boolean | undefined;
  /** The first rows set aside, to show: at most three. */
  readonly quarantined: readonly string[];
  /** How many rows were set aside, by reason. */
  readonly reasons: ReadonlyMap<string, number>;
}

/** What the parent asks of a worker, by kind, and what it gets. */
export interface Requests {
  'describe-model': { readonly ask: DescribeModel; readonly answer: ModelFacts };
  'describe-files': { readonly ask: DescribeFiles; readonly answer: readonly FileAnswer[] };
  'describe-csv': { readonly ask: DescribeCsv; readonly answer: FileAnswer };
  'convert-csv': { readonly ask: ConvertCsv; readonly answer: CsvRecord };
  'check-expression': { readonly ask: CheckExpression; readonly answer: null };
  'check-key': { readonly ask: CheckKey; readonly answer: null };
  score: { readonly ask: TaskOrder; readonly answer: TaskResult };
  probe: { readonly ask: ProbeOrder; readonly answer: ProbeAnswer };
  flips: { readonly ask: FlipsOrder; readonly answer: Flips };
  explain: { readonly ask: ExplainOrder; readonly answer: ExplainAnswer };
  'compare-parts': { readonly ask: CompareParts; readonly answer: PartsAnswer };
  'check-rows': { readonly ask: CheckOrder; readonly answer: Checked };
  'record-rows': { readonly ask: RecordOrder; readonly answer: null };
  disturb: { readonly ask: DisturbOrder; readonly answer: null };
  'check-trees': { readonly ask: TaskOrder; readonly answer: TreesCheck };
  inspect: { readonly ask: { readonly path: string }; readonly answer: Inspection };
  environment: { readonly ask: null; readonly answer: Environment };
}

/** The kinds of request. */
export type RequestKind = keyof Requests;

/** What native code a worker runs, and on which devices. */
export interface Environment {
  readonly versions: Readonly<Record<string, string>>;
  readonly devices: readonly { readonly name: string; readonly unusable?: string }[];
}

/** A model to describe. `columns` counts the listed features, for a model that leaves its width open. */
export interface DescribeModel {
  readonly path: string;
  readonly shownAs: string;
  /** A device, or `auto` for the best that works. */
  readonly device: string;
  readonly columns: number | undefined;
}

/** A CSV file to scan: what `describe-files` is for Parquet. */
export interface DescribeCsv {
  readonly file: FileRef;
  readonly dialect: CsvDialect;
}

/** A CSV file whose good records are to be in the store as Parquet, and its bad ones beside them. */
export interface ConvertCsv {
  readonly file: FileRef & { readonly stamp: FileStamp };
  readonly dialect: CsvDialect;
  readonly key: string;
  /** The names of its columns, its good records and what else the scan found. */
  readonly columns: readonly string[];
  readonly rows: number;
  readonly facts: CsvFacts;
  /** Where the rows are to be, and a folder of this attempt's own. */
  readonly folder: string;
  readonly temporaryFolder: string;
  /** How many cores it may use. */
  readonly threads: number;
  /** How much memory it may use where the file is so wide that DuckDB needs more than what workers have. */
  readonly memoryBytes: number;
}

/** An expression to check against the columns that it may use; it must give a truth value. */
export interface CheckExpression {
  readonly expression: string;
  readonly where: string;
  readonly columns: readonly SchemaColumn[];
}

/** A unit whose key is to be unique and never null. */
export interface CheckKey {
  readonly unit: string;
  readonly key: string;
  readonly files: readonly OrderFile[];
  readonly partition: readonly PartitionValue[];
  readonly scoring: Pick<ScoringConfig, 'where' | 'types' | 'csv'>;
}

/** The published files of a partition, before and now, to compare by key. */
export interface FlipsOrder {
  readonly key: string;
  readonly columns: readonly FlipColumn[];
  /** Absolute paths. */
  readonly before: readonly string[];
  readonly now: readonly string[];
  /** Whether the files are CSV; else they are Parquet. */
  readonly csv: boolean;
}

/** Samples and models to explain a change with. */
export interface ExplainOrder {
  readonly before: ExplainOrderSide;
  readonly now: ExplainOrderSide;
  readonly targets: readonly Target[];
  /** The most rows of each side that are looked at. */
  readonly sampleRows: number;
  readonly budgetMs: number;
}

/** One side: the samples of its tasks, beside their scores and parts, and the model. Paths are absolute. */
export interface ExplainOrderSide {
  /** The samples beside scores and part of each task. */
  readonly tasks: readonly { readonly scored: SampleRef; readonly published: SampleRef }[];
  readonly model: { readonly key: string; readonly path: string; readonly shownAs: string };
}

/** A file with a sample, and the digest that its record keeps; undefined in records of earlier versions. */
export interface SampleRef {
  readonly path: string;
  readonly sha256: string | undefined;
}

/** What was found, or why nothing could be; `notes` say what to keep in mind. */
export type ExplainAnswer =
  | { readonly explained: Explained; readonly notes: readonly string[] }
  | { readonly reason: string };

/** Rows to compare by key: a file of them, or what is published of partitions (absolute paths). */
export type CheckSide =
  | { readonly file: string; readonly shownAs: string }
  | {
      readonly key: string;
      readonly units: readonly {
        readonly unit: string;
        readonly data: readonly string[];
        readonly setAside: readonly string[];
      }[];
    };

/** What is expected, and what the job gives. */
export interface CheckOrder {
  readonly expected: CheckSide;
  readonly scored: CheckSide;
  readonly key: string;
  /** The columns to compare; undefined for all that are expected. */
  readonly columns: readonly string[] | undefined;
  readonly tolerances: readonly { readonly column: string; readonly tolerance: Tolerance }[];
  /** One row of so many was touched on purpose: those are left out. */
  readonly except: number | undefined;
  /** Features of which a cast to the model's type changed values: published beside the predictions. */
  readonly lossy: readonly { readonly column: string; readonly element: 'float32' | 'float64' }[];
}

/** Rows to write down as what is to be expected. */
export interface RecordOrder {
  readonly side: CheckSide;
  readonly path: string;
}

/** A copy of an input file to make, with its rows in another order or without some of their values. */
export interface DisturbOrder {
  /** Absolute; Parquet in any case. */
  readonly from: string;
  /** Parquet, or CSV as RFC 4180 says where its name says so. */
  readonly to: string;
  readonly csv: boolean;
  readonly shownAs: string;
  readonly key: string;
  /** The type that a key which is stored as text is given. */
  readonly keyType: string | undefined;
  /** Columns that lose values: one in each touched row. None: the rows change places. */
  readonly nulls: readonly string[];
  /** One row of so many is touched. */
  readonly oneOf: number;
}

/** Two files of published rows to compare: one as it is published, one made again. */
export interface CompareParts {
  readonly published: string;
  readonly again: string;
  readonly shownAs: string;
}

/** A value that differs; rows count from 0. Values are text, or null. */
export interface ValueDifference {
  readonly row: number;
  readonly column: string;
  readonly published: string | null;
  readonly again: string | null;
}

/** How many values differ, and the first of each column; or why the files cannot be compared value by value. */
export type PartsAnswer =
  | {
      readonly rows: number;
      readonly different: number;
      readonly differences: readonly ValueDifference[];
    }
  | { readonly problem: string };

/** A file or model for a person to look at: lines of text, the same for machines, and what a job file is drafted from. */
export type Inspection = { readonly lines: readonly string[]; readonly json: unknown } & (
  | { readonly kind: 'parquet' }
  | ({ readonly kind: 'csv' } & CsvLook)
  | {
      readonly kind: 'model';
      readonly facts: ModelFacts;
      readonly metadata: Readonly<Record<string, string>>;
    }
);

/** A message to a worker. */
export type ToWorker =
  | { readonly scoreline: 'setup'; readonly setup: WorkerSetup }
  | {
      readonly scoreline: 'request';
      readonly id: number;
      readonly kind: RequestKind;
      readonly ask: unknown;
    };

/**
 * A message from a worker. `progress` also shows that it is alive, and with `batch`, that the model gets that one next, or
 * (null) that it has ended; `trial` that the model runs next, as in a batch.
 */
export type FromWorker =
  | { readonly scoreline: 'ready' }
  | {
      readonly scoreline: 'progress';
      readonly rows: number;
      readonly batch?: BatchPlace | null;
    }
  | { readonly scoreline: 'trial' }
  | {
      readonly scoreline: 'answer';
      readonly id: number;
      readonly answer: unknown;
      readonly peakBytes: number;
    }
  | {
      readonly scoreline: 'failure';
      readonly id: number;
      readonly error: WireError;
      readonly fatal: boolean;
    };

/** An error in a form that crosses between processes. */
export interface WireError {
  readonly code: ErrorCode;
  readonly message: string;
  readonly stack: string | undefined;
  readonly cause: WireError | undefined;
}

/** An error as a message; what is not a `ScorelineError` is a bug. */
export function toWire(thrown: unknown, depth = 0): WireError {
  const error = depth === 0 ? settledError(thrown) : thrown;
  const cause =
    error instanceof Error && error.cause !== undefined && depth < 5 ? error.cause : undefined;
  return {
    code: error instanceof ScorelineError ? error.code : 'bug',
    message: messageOf(error),
    stack: error instanceof Error ? error.stack : undefined,
    cause: cause === undefined ? undefined : toWire(cause, depth + 1),
  };
}

/** The error that a message carries, with its causes. */
export function fromWire(wire: WireError): Error {
  const options = wire.cause === undefined ? {} : { cause: fromWire(wire.cause) };
  const error =
    wire.code === 'bug'
      ? new Error(wire.message, options)
      : new ScorelineError(wire.code, wire.message, options);
  if (wire.stack !== undefined) error.stack = wire.stack;
  return error;
}

/** Whether a value is a message of scoreline's: others on the channel are ignored. */
export function isMessage(value: unknown): value is { scoreline: string } {
  return (
    typeof value === 'object' &&
    value !== null &&
    'scoreline' in value &&
    typeof value.scoreline === 'string'
  );
}
