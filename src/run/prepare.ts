/** From a job to a plan: lists, describes, binds and cuts into tasks. Shared by `plan` and `run`. */
import { basename, relative } from 'node:path';
import { bytesOfElement } from '../base/elements.js';
import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import { resolved } from '../base/files.js';
import { canonicalJson } from '../base/hash.js';
import { dialectJson, RFC_4180 } from '../plan/csv.js';
import {
  type Dataset,
  type FileFacts,
  listDataset,
  listDates,
  selectUnits,
} from '../plan/dataset.js';
import { chooseEngine } from '../plan/engine.js';
import { reachesInto } from '../plan/find.js';
import type { Job } from '../plan/job.js';
import { type Manifest, unitOf } from '../plan/manifest.js';
import { settleNullColumns } from '../plan/null-columns.js';
import {
  batchRowsFor,
  columnsInFolders,
  makePlan,
  type PublishingConfig,
  type ScoringConfig,
  type UnitPlan,
} from '../plan/plan.js';
import { keptElement } from '../plan/predictions.js';
import { hasDate, type Selection } from '../plan/selection.js';
import {
  bindModel,
  type ColumnSource,
  columnProblems,
  columnsOfFile,
  listTypeOf,
  type ModelFacts,
  UNREADABLE_DECIMAL,
} from '../plan/signature.js';
import { describeFiles, describeModel, type OpenPool } from './describe.js';
import { DescriptionCache } from './description-cache.js';
import { checkExpressionIn } from './expression.js';
import { countedColumns } from './gate-columns.js';
import { keptColumns, nullColumns, type RowColumns } from './kept-columns.js';
import type { Output } from './store.js';

/** All that is settled before the first row is scored. */
export interface Prepared {
  readonly job: Job;
  readonly dataset: Dataset;
  readonly model: ModelFacts;
  readonly shownModel: string;
  readonly scoring: ScoringConfig;
  readonly publishing: PublishingConfig;
  readonly units: readonly UnitPlan[];
  /** Units that cannot be scored, and why: one error for each bad file. */
  readonly badUnits: ReadonlyMap<string, readonly Error[]>;
  /** The columns that rows have: once for each way in which files and folders give them. */
  readonly rowColumns: readonly (readonly ColumnSource[])[];
  /** By unit: the kept columns of Parquet's null type. */
  readonly nullColumns: ReadonlyMap<string, readonly string[]>;
}

/** What preparing needs besides the job. */
export interface PrepareTools {
  readonly output: Output | undefined;
  readonly pool: OpenPool;
  readonly nowNs: () => bigint;
  /** Whether to hash files whose content is not known: without it their tasks have no keys. */
  readonly hash: boolean;
  /** What is published: kept columns of which the input has no values are published with the types there. */
  readonly published: Manifest | undefined;
}

/** Lists what a command means of a job's input. Throws `input` when nothing is there, `usage` when the output lies in it. */
export async function listInput(job: Job, selection: Selection): Promise<Dataset> {
  const { path, pathText, files, ready } = job.input;
  const { dates, allowMissing } = selection;
  const csv = job.input.csv !== undefined;
  const options = { pathText, files, ready, baseDir: job.baseDir, csv };
  if (hasDate(pathText) !== (dates !== undefined)) {
    const problem =
      dates === undefined
        ? `input.path ${shown(pathText)}: is filled with dates; say --date, or --from and --to`
        : `input.path ${shown(pathText)}: has no {date:…} that a date could fill`;
    throw new ScorelineError('usage', problem);
  }
  const dataset =
    dates === undefined
      ? await listDataset({ ...options, path })
      : await listDates({ ...options, dates, allowMissing });
  refuseOverlap(job, dataset.root);
  return selectUnits(dataset, selection);
}

/** Makes the plan of a job. Throws `model` when the model does not fit, `input`, `usage`. */
export async function prepare(job: Job, dataset: Dataset, tools: PrepareTools): Promise<Prepared> {
  const cache = await DescriptionCache.load(tools.output);
  const shownModel = shown(basename(job.model.path));
  const { path, sha256 } = job.model;
  const { device } = job.run;
  const columns = job.features.by === 'list' ? job.features.columns.length : undefined;
  const cached = await cache.model(path, device, columns);
  const csv = dataset.format === 'csv' ? (job.input.csv ?? RFC_4180) : undefined;
  const [model, descriptions] = await Promise.all([
    // First, because it takes longest.
    describeModel({
      path,
      shownAs: shownModel,
      device,
      columns,
      sha256,
      cached,
      cache,
      pool: tools.pool,
      nowNs: tools.nowNs(),
    }),
    describeFiles({
      files: dataset.files,
      csv,
      hash: tools.hash,
      checksums: job.input.checksums,
      cache,
      pool: tools.pool,
      nowNs: tools.nowNs,
    }),
  ]);
  await cache.save();
  const facts = settleNullColumns(descriptions.facts);
  const binding = bindModel(model, {
    features: job.features,
    columns: job.output.columns,
    shownAs: shownModel,
    allowRandom: job.model.allowRandom,
    listColumns: listColumns(facts),
  });
  refuseTwins(
    binding.outputs.map(({ column }) => column),
    job.output.keep,
  );
  refuseFolderNames(
    binding.outputs.map(({ column }) => column),
    dataset,
  );
  const badUnits = new Map<string, Error[]>();
  const blame = (unit: string, error: Error): void => {
    const errors = badUnits.get(unit);
    if (errors === undefined) badUnits.set(unit, [error]);
    else errors.push(error);
  };
  const checked = checkSchemas(job, dataset, facts, (columns) =>
    columnProblems(columns, binding, [
      ...job.output.keep,
      ...(job.input.key === undefined ? [] : [job.input.key]),
    ]),
  );
  for (const { path, unit } of dataset.files) {
    const failure = descriptions.failures.get(path) ?? checked.failures.get(path);
    if (failure !== undefined) blame(unit, failure);
  }
  const rowColumns = checked.rows.map(({ columns }) => columns);
  refuseIdleTypes(job, rowColumns);
  const scoring: ScoringConfig = {
    model: model.sha256,
    device: model.device,
    batchRows: batchRowsFor({
      wanted: job.run.batchRows,
      fixed: binding.fixedBatch,
      rowwise: model.rowwise,
      bytesPerRow: Math.max(bytesPerRow(binding.inputs), outputBytesPerRow(binding.outputs)),
    }),
    fixedBatch: binding.fixedBatch,
    where: job.input.where,
    csv,
    types: job.input.types,
    inputs: binding.inputs,
    outputs: [...new Set(binding.outputs.map(({ output }) => output))],
    nonFinite: job.quarantine.nonFinite,
  };
  const publishing: PublishingConfig = {
    keep: keptColumns(job.output.keep, checked.rows, tools.published),
    columns: binding.outputs,
    format: job.output.format,
    compression: job.output.compression,
    partitionColumns: job.output.partitionColumns,
    statistics: countedColumns(job, binding),
  };
  // A job that insists on what cannot be is refused, even when nothing is to do.
  if (job.run.engine === 'trees')
    chooseEngine('trees', 0, { model, shownModel, scoring, publishing });
  const good = dataset.files.filter(({ unit }) => !badUnits.has(unit));
  const units = makePlan(good, facts, scoring, publishing);
  return {
    job,
    dataset,
    model,
    shownModel,
    scoring,
    publishing,
    units,
    badUnits,
    rowColumns,
    nullColumns: new Map(units.map((unit) => [unit.unit, nullColumns(unit, publishing.keep)])),
  };
}

/** The names of columns that hold lists, in any file. */
function listColumns(facts: ReadonlyMap<string, FileFacts>): Set<string> {
  const schemas = new Set([...facts.values()].map(({ schema }) => schema));
  return new Set(
    [...schemas]
      .flat()
      .filter(({ type }) => listTypeOf(type) !== undefined)
      .map(({ name }) => name),
  );
}

/** What a row takes where the model leaves the length of its list open. */
const OPEN_ELEMENTS = 1024;

function bytesPerRow(inputs: ScoringConfig['inputs']): number {
  return inputs.reduce((sum, { element, columns, list }) => {
    const elements =
      list?.reduce<number>((product, size) => product * (size ?? OPEN_ELEMENTS), 1) ??
      columns.length;
    return sum + elements * (element === 'float16' ? 2 : Math.max(bytesOfElement(element), 1));
  }, 0);
}

function outputBytesPerRow(outputs: PublishingConfig['columns']): number {
  const sizes = outputs.map(({ output, element, width }) => {
    return [
      output,
      width * (element === 'utf8' ? 1 : bytesOfElement(keptElement(element))),
    ] as const;
  });
  return [...new Map(sizes).values()].reduce((sum, bytes) => sum + bytes, 0);
}

/** An output among the input would be scored as input the next time. */
function refuseOverlap(job: Job, root: string): void {
  const output = resolved(job.output.path);
  const between = relative(root, output);
  // Names that start with `_` or `.` are passed over below the root, and `..` leads out of it.
  const passedOver = between
    .split('/')
    .some((name) => name.startsWith('_') || name.startsWith('.'));
  if (!passedOver && (hasDate(job.input.pathText) || reachesInto(job.input, between))) {
    throw new ScorelineError(
      'usage',
      `output.path ${shown(job.output.path)}: lies inside the input ${shown(root)}; publish to a folder outside it`,
    );
  }
}

function refuseTwins(predictions: readonly string[], keep: readonly string[]): void {
  const seen = new Set<string>();
  for (const name of [...keep, ...predictions]) {
    const lower = name.toLowerCase();
    if (seen.has(lower)) {
      throw new ScorelineError(
        'usage',
        `output: two columns would be named "${shown(name)}"; give the prediction another name under output.columns`,
      );
    }
    seen.add(lower);
  }
}

/** A prediction beside a folder column of its name would be read with the folder's value, or not at all. */
function refuseFolderNames(predictions: readonly string[], { partitions }: Dataset): void {
  const folders = new Map(
    [...partitions.values()].flat().map(({ name }) => [name.toLowerCase(), name]),
  );
  for (const name of predictions) {
    const folder = folders.get(name.toLowerCase());
    if (folder === undefined) continue;
    throw new ScorelineError(
      'usage',
      `output.columns: prediction "${shown(name)}" has the name of a column that folders give (${shown(folder)}=…), which readers take instead; give the prediction another name under output.columns`,
    );
  }
}

interface CheckedSchemas {
  readonly failures: ReadonlyMap<string, Error>;
  /** The columns that rows have, by schema and partition columns: once each. */
  readonly rows: readonly RowColumns[];
}

/** Checks each file's own schema, once for all files that share it. */
function checkSchemas(
  job: Job,
  dataset: Dataset,
  facts: ReadonlyMap<string, FileFacts>,
  problemsOf: (columns: ReturnType<typeof columnsOfFile>) => string[],
): CheckedSchemas {
  const failures = new Map<string, Error>();
  const known = new Map<
    string,
    { columns: ColumnSource[]; problems: readonly string[]; filled: boolean }
  >();
  for (const { path, unit } of dataset.files) {
    const fact = facts.get(path);
    if (fact === undefined) continue;
    const partition = dataset.partitions.get(unit) ?? [];
    const key = JSON.stringify([fact.schema, partition.map(({ name }) => name)]);
    let verdict = known.get(key);
    if (verdict === undefined) {
      try {
        const columns = columnsOfFile(
          path,
          fact.schema,
          partition,
          job.input.types,
          dataset.format === 'csv',
        );
        verdict = { columns, problems: problemsOf(columns), filled: false };
      } catch (error) {
        if (!(error instanceof ScorelineError)) throw error;
        failures.set(path, error);
        continue;
      }
      known.set(key, verdict);
    }
    if (fact.rows > 0) verdict.filled = true;
    if (verdict.problems.length > 0) {
      const text = verdict.problems.map((problem) => `${shown(path)}: ${problem}`).join('\n');
      failures.set(path, new ScorelineError('input', text));
    }
  }
  const rows = [...known.values()].filter(({ problems }) => problems.length === 0);
  return { failures, rows };
}

/** Has the filter of a job checked against the columns that its rows have. Throws `usage`. */
export async function checkWhere({ job, rowColumns }: Prepared, pool: OpenPool): Promise<void> {
  const expression = job.input.where;
  if (expression === undefined) return;
  for (const row of rowColumns) {
    const columns = row.filter(({ type }) => type !== UNREADABLE_DECIMAL);
    await checkExpressionIn(pool(), { expression, where: 'input.where', columns });
  }
}

/** Refuses a type for a column that is not written as text: Parquet files say their own types. */
function refuseIdleTypes({ input }: Job, rows: Prepared['rowColumns']): void {
  const columns = rows.flat();
  for (const { column } of columns.length === 0 ? [] : input.types) {
    const known = columns.filter(({ name }) => name === column);
    if (known.some(({ written }) => written)) continue;
    const why =
      known.length > 0
        ? 'is stored in the files with a type of its own; only columns of CSV files and those that folders give take one'
        : `is no column of the input${didYouMean(column, [...new Set(columns.map(({ name }) => name))])}`;
    throw new ScorelineError('usage', `input.types "${shown(column)}": ${why}`);
  }
}

/** Why a unit is to be scored or published anew, against what is published; undefined when it is not. */
export function whyToDo(
  unit: UnitPlan,
  prepared: Prepared,
  published: Manifest | undefined,
): string | undefined {
  const before = unitOf(published, unit.unit);
  if (before === undefined) return 'new';
  if (unit.tasks.some(({ partKey }) => partKey === undefined)) return 'not hashed yet';
  const reasons: string[] = [];
  const now = unit.files.map(({ file, facts }) => `${file.path}\0${facts.sha256}`);
  const then = before.inputs.map(({ path, sha256 }) => `${path}\0${sha256}`);
  if (now.join('\n') !== then.join('\n')) reasons.push('input changed');
  if (before.model.join() !== prepared.model.sha256.join()) reasons.push('model changed');
  const job = jobRecord(prepared, unit.unit);
  const changed = [...new Set([...Object.keys(job), ...Object.keys(before.job)])].filter(
    (key) => JSON.stringify(job[key]) !== JSON.stringify(before.job[key]),
  );
  if (changed.length > 0) reasons.push(`job changed (${changed.join(', ')})`);
  if (reasons.length > 0) return reasons.join(', ');
  const keys = unit.tasks.map(({ partKey }) => partKey).join();
  return keys === before.parts.map(({ key }) => key).join() ? undefined : 'scoreline changed';
}

/** What of a job settled scores and publication of a unit, by the keys of the job file: recorded with each. */
export function jobRecord(
  { job, scoring, publishing, nullColumns: ofNulls }: Prepared,
  unit: string,
): Record<string, string> {
  const inFolders = columnsInFolders(publishing, unit);
  const nulls = ofNulls.get(unit) ?? [];
  return {
    'input.key': job.input.key ?? '',
    'input.where': scoring.where ?? '',
    'input.types': JSON.stringify(scoring.types),
    'input.csv': scoring.csv === undefined ? '' : canonicalJson(dialectJson(scoring.csv)),
    features: JSON.stringify(scoring.inputs.map(({ name, columns }) => [name, columns])),
    'output.keep': JSON.stringify(publishing.keep.map(({ name, type }) => [name, type])),
    ...(inFolders.length > 0 ? { 'output.partition_columns': JSON.stringify(inFolders) } : {}),
    ...(nulls.length > 0 ? { 'null columns': JSON.stringify(nulls) } : {}),
    'output.columns': JSON.stringify(
      publishing.columns.map(({ column, output, index }) => [column, output, index ?? null]),
    ),
    'output.format': publishing.format,
    'output.compression': publishing.compression,
    'quarantine.non_finite': scoring.nonFinite,
    ...(publishing.statistics?.length ? { statistics: publishing.statistics.join(', ') } : {}),
    'run.batch_rows': String(job.run.batchRows),
    'run.device': scoring.device,
  };
}
