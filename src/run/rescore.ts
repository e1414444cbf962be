/** Scores some of what is published again, and compares: does the model still say what was published? */
import { join } from 'node:path';
import { errnoOf, messageOf, ScorelineError, shown } from '../base/errors.js';
import { compareText, stampOf } from '../base/hash.js';
import type { DataFile, Dataset } from '../plan/dataset.js';
import type { Job } from '../plan/job.js';
import type { PartRecord, StoredFile } from '../plan/ledger.js';
import { type PublishedFile, publishedFiles, unitOf } from '../plan/manifest.js';
import { type PartitionValue, partitionValues } from '../plan/partition.js';
import type { UnitPlan } from '../plan/plan.js';
import type { ValueDifference } from '../worker/protocol.js';
import { jobOfKept, type KeptJob, keptJobs } from './kept-jobs.js';
import { askPatiently, type Pool } from './pool.js';
import { type Prepared, prepare, whyToDo } from './prepare.js';
import { keyOf, scoreMissing } from './score.js';
import { latestSnapshot, type Snapshot } from './snapshot.js';
import { Output } from './store.js';
import { openWorkers } from './workers.js';

/** What to score again, and what it needs from outside. */
export interface RescoreOptions {
  /** The share of the published tasks, above 0 and at most 1; at least one task. */
  readonly share: number;
  readonly now: () => Date;
  /** Told how many rows there are to score, and then of each that is. */
  readonly onRows?: (rows: number, done: boolean) => void;
}

/** What came of it. */
export interface Rescored {
  readonly snapshot: number;
  /** All tasks that are published, those that were to be scored again, and those of which every value is as published. */
  readonly tasks: number;
  readonly sampled: number;
  readonly verified: number;
  /** The rows of those that were compared. */
  readonly rows: number;
  readonly different: readonly DifferentFile[];
  /** The partitions of which tasks could not be scored again, and why. */
  readonly unverified: readonly {
    readonly unit: string;
    readonly tasks: number;
    readonly why: string;
  }[];
}

/** A published file that is not what the model gives now. */
export interface DifferentFile {
  /** Relative to the output. */
  readonly path: string;
  readonly problem: string;
  /** The first values that differ: rows count from 0 in the file. */
  readonly values: readonly ValueDifference[];
}

/**
 * Scores a sample of what is published again, in a temporary folder, from the same input with the same model and job: those
 * that the records of the output name. The sample follows from the keys of the parts alone. What has another input, model or
 * job by now is not scored, and said to be so. Throws `input` when nothing is published or no record names a job.
 */
export async function rescore(output: Output, options: RescoreOptions): Promise<Rescored> {
  const snapshot = await latestSnapshot(output);
  if (snapshot === undefined)
    throw new ScorelineError('input', `${shown(output.root)}: nothing is published yet`);
  const all = tasksOf(snapshot);
  const sample = all.slice(0, Math.ceil(all.length * options.share));
  const wanted = new Map<string, Set<string>>();
  for (const { unit, key } of sample) {
    const keys = wanted.get(unit) ?? new Set();
    wanted.set(unit, keys.add(key));
  }
  const sums = { verified: 0, rows: 0, different: [] as DifferentFile[] };
  const reasons = new Map<string, string>();
  let jobs = 0;
  for await (const kept of keptJobs(output)) {
    if (wanted.size === 0 || ++jobs > MAX_JOBS) break;
    await output.withTemporary(async (temporary) => {
      const scope = { output, snapshot, temporary, options };
      const outcome = await rescoreWith(kept, wanted, scope);
      for (const [unit, why] of outcome.reasons) if (!reasons.has(unit)) reasons.set(unit, why);
      for (const unit of outcome.done) wanted.delete(unit);
      sums.verified += outcome.verified;
      sums.rows += outcome.rows;
      sums.different.push(...outcome.different);
    });
  }
  if (jobs === 0 && sample.length > 0) throw noJob(output);
  return {
    snapshot: snapshot.number,
    tasks: all.length,
    sampled: sample.length,
    ...sums,
    unverified: [...wanted]
      .sort(([a], [b]) => compareText(a, b))
      .map(([unit, keys]) => ({
        unit,
        tasks: keys.size,
        why: reasons.get(unit) ?? 'no job of the records is its own',
      })),
  };
}

/** How many different jobs are tried: an output has one, but for what it was scored with before. */
const MAX_JOBS = 8;

function noJob(output: Output): ScorelineError {
  return new ScorelineError(
    'input',
    `${shown(output.root)}: no record of it says with which job it was scored; run the job once, then verify again`,
  );
}

/** The published tasks in the order of their keys: the first of them are a sample, always the same. */
function tasksOf({ manifest }: Snapshot): { unit: string; key: string }[] {
  return Object.entries(manifest.units)
    .flatMap(([unit, { parts }]) => parts.map(({ key }) => ({ unit, key })))
    .sort((a, b) => compareText(a.key, b.key));
}

interface Scope {
  readonly output: Output;
  readonly snapshot: Snapshot;
  readonly temporary: string;
  readonly options: RescoreOptions;
}

interface Outcome {
  /** The units of which every wanted task was compared. */
  readonly done: string[];
  readonly reasons: Map<string, string>;
  verified: number;
  rows: number;
  readonly different: DifferentFile[];
}

/** Why nothing is scored again. */
const DRAWN = 'model.allow_random: its scores are those of one draw, and cannot be made again';

/** Scores the wanted tasks of the units that a job, as it was kept, would publish just as they are. */
async function rescoreWith(
  { text, root }: KeptJob,
  wanted: ReadonlyMap<string, ReadonlySet<string>>,
  scope: Scope,
): Promise<Outcome> {
  const outcome: Outcome = {
    done: [],
    reasons: new Map(),
    verified: 0,
    rows: 0,
    different: [],
  };
  let pool: Pool | undefined;
  try {
    const job = jobOfKept(text);
    if (job.model.allowRandom) {
      for (const unit of wanted.keys()) outcome.reasons.set(unit, DRAWN);
      return outcome;
    }
    const openPool = (): Pool => {
      pool ??= openWorkers({
        job,
        allowedFolders: [root, scope.output.root],
        temporary: scope.temporary,
        onProgress: (rows) => scope.options.onRows?.(rows, true),
        onFewer: () => undefined,
      });
      return pool;
    };
    const dataset = await publishedInput(scope.snapshot, root, [...wanted.keys()], outcome.reasons);
    const prepared = await prepareAgain(job, dataset, scope, openPool, outcome.reasons);
    if (prepared === undefined) return outcome;
    for (const [unit, errors] of prepared.badUnits)
      outcome.reasons.set(unit, errors.map(messageOf).join('; '));
    const units = prepared.units.flatMap((unit) =>
      sameUnit(unit, prepared, wanted, scope, outcome),
    );
    if (units.length > 0) await scoreAndCompare({ ...prepared, units }, scope, openPool, outcome);
    return outcome;
  } finally {
    await pool?.close();
  }
}

/** The input of some published units, as far as all of their files are there. */
async function publishedInput(
  { manifest }: Snapshot,
  root: string,
  units: readonly string[],
  reasons: Map<string, string>,
): Promise<Dataset> {
  const files: DataFile[] = [];
  const partitions = new Map<string, readonly PartitionValue[]>();
  for (const unit of units) {
    const own: DataFile[] = [];
    try {
      for (const { path } of unitOf(manifest, unit)?.inputs ?? []) {
        const absolute = join(root, path);
        own.push({ path, absolute, unit, stamp: await stampOf(absolute) });
      }
    } catch (error) {
      const gone = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR';
      reasons.set(unit, gone ? 'input gone' : messageOf(error));
      continue;
    }
    files.push(...own);
    partitions.set(unit, partitionValues(unit));
  }
  return {
    root,
    format: 'parquet',
    files,
    partitions,
    notReady: [],
    missing: [],
    passedOver: [],
    twins: [],
  };
}

/** The plan for those files; undefined, with the reason, when the model or the job is of no use any more. */
async function prepareAgain(
  job: Job,
  dataset: Dataset,
  { output, snapshot, options }: Scope,
  pool: () => Pool,
  reasons: Map<string, string>,
): Promise<Prepared | undefined> {
  if (dataset.files.length === 0) return undefined;
  // What each unit records of CSV tells how its files were read.
  const [first] = dataset.partitions.keys();
  const csv = unitOf(snapshot.manifest, first ?? '')?.job['input.csv'];
  const format = csv === '' || csv === undefined ? 'parquet' : 'csv';
  const nowNs = (): bigint => BigInt(options.now().getTime()) * 1_000_000n;
  try {
    const published = snapshot.manifest;
    const tools = { output, pool, nowNs, hash: true, published };
    return await prepare(job, { ...dataset, format }, tools);
  } catch (error) {
    if (!(error instanceof ScorelineError) || error.code === 'environment') throw error;
    for (const unit of dataset.partitions.keys()) reasons.set(unit, messageOf(error));
    return undefined;
  }
}

/** A unit with its wanted tasks alone, if it would be published just as it is; else the reason is kept. */
function sameUnit(
  unit: UnitPlan,
  prepared: Prepared,
  wanted: ReadonlyMap<string, ReadonlySet<string>>,
  { snapshot }: Scope,
  { reasons }: Outcome,
): UnitPlan[] {
  const why = whyToDo(unit, prepared, snapshot.manifest);
  if (why !== undefined) {
    reasons.set(unit.unit, why);
    return [];
  }
  const keys = wanted.get(unit.unit);
  return [{ ...unit, tasks: unit.tasks.filter((task) => keys?.has(keyOf(task)) === true) }];
}

async function scoreAndCompare(
  prepared: Prepared,
  scope: Scope,
  pool: () => Pool,
  outcome: Outcome,
): Promise<void> {
  const { temporary, snapshot, output, options } = scope;
  const scratch = await Output.open(join(temporary, 'scratch'));
  const { parts, failures } = await scoreMissing(unchecked(prepared), undefined, {
    output: scratch,
    temporary,
    pool,
    // A share publishes nothing: what no task has seen is left alone.
    shard: { index: 0, count: 1 },
    onEvent: (event) => {
      if (event.type === 'planned') options.onRows?.(event.rows, false);
    },
  });
  const files = publishedFiles(snapshot.manifest);
  for (const { unit, tasks } of prepared.units) {
    const failed = failures.get(unit);
    if (failed !== undefined) {
      outcome.reasons.set(unit, failed.map(messageOf).join('; '));
      continue;
    }
    outcome.done.push(unit);
    for (const task of tasks) {
      const key = keyOf(task);
      const again = parts.get(key)?.part;
      const published = unitOf(snapshot.manifest, unit)?.parts.find((part) => part.key === key);
      if (again === undefined || published === undefined) throw new Error(`no part ${key}`);
      const own = files.filter((file) => file.key === key && file.unit === unit);
      const different = await compare({ own, again, published, scratch, output, snapshot, pool });
      outcome.rows += published.ledger.rows;
      outcome.different.push(...different);
      if (different.length === 0) outcome.verified++;
    }
  }
}

/** A plan whose checks are those of publication no more: what is published has passed them, or a person said so. */
function unchecked(prepared: Prepared): Prepared {
  const { job } = prepared;
  return {
    ...prepared,
    job: {
      ...job,
      sampleRows: 0,
      input: { ...job.input, key: undefined },
      quarantine: { ...job.quarantine, max: { unit: 'rows', rows: Number.MAX_SAFE_INTEGER } },
    },
  };
}

/** The files of a part that hold other values now: compared by their bytes, and value by value where these differ. */
async function compare(options: {
  readonly own: readonly PublishedFile[];
  readonly again: PartRecord;
  readonly published: PartRecord;
  readonly scratch: Output;
  readonly output: Output;
  readonly snapshot: Snapshot;
  readonly pool: () => Pool;
}): Promise<DifferentFile[]> {
  const { own, again, scratch, snapshot, pool } = options;
  const different: DifferentFile[] = [];
  const path = (file: PublishedFile): string =>
    join('snapshots', snapshot.folder.split('/').at(-1) ?? '', file.path);
  for (const file of own) {
    const isData = file.name !== 'quarantine.parquet';
    const ours: StoredFile | null = isData ? again.data : again.quarantine;
    if (ours?.sha256 === file.file.sha256) continue;
    if (ours === null) {
      const problem = `has ${file.file.rows} rows that are not set aside now`;
      different.push({ path: path(file), problem, values: [] });
      continue;
    }
    const answer = await askPatiently(pool(), 'compare-parts', {
      published: join(snapshot.folder, file.path),
      again: join(scratch.partFolder(again.key), file.name),
      shownAs: file.path,
    });
    if ('problem' in answer)
      different.push({ path: path(file), problem: answer.problem, values: [] });
    else if (answer.different > 0) {
      const problem = `${answer.different} values are others now`;
      different.push({ path: path(file), problem, values: answer.differences });
    }
  }
  return different;
}
