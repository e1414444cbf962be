/** One run of a job: plan, score what is missing, audit, publish. */
import { messageOf, ScorelineError, settledError, shown } from '../base/errors.js';
import { removeLeftover } from '../base/files.js';
import { listingNotes } from '../plan/dataset.js';
import type { Job } from '../plan/job.js';
import { dataExtension, type Ledger, sumLedgers } from '../plan/ledger.js';
import type { StoredPart, UnitRecord } from '../plan/manifest.js';
import type { UnitPlan } from '../plan/plan.js';
import { EVERYTHING, type Selection } from '../plan/selection.js';
import { notJudgedLines } from '../report/quality.js';
import type { QualityReport } from '../report/quality-schema.js';
import { namesOf, type RunReport } from '../report/report.js';
import { failureOf, unitRecord } from './audit.js';
import { keepJob } from './chain.js';
import { GatesFailed, type ReviewScope, reviewPart } from './gate.js';
import { gc } from './gc.js';
import { heldOf, overriddenReverts } from './held.js';
import { record, runIdOf } from './history.js';
import { keepQuarantine } from './kept-quarantine.js';
import { findDamaged, takeUnusable } from './mend.js';
import { keepModel } from './model-store.js';
import { checkOwner, claimOutput } from './owner.js';
import type { Pool } from './pool.js';
import { listInput, type Prepared, prepare } from './prepare.js';
import { publishOrStage, Staged } from './publish-run.js';
import { columnNotes } from './published-columns.js';
import { lossWarnings, StoppedEarly, tooManyBadRows, unitLedger } from './row-losses.js';
import { logged } from './run-log.js';
import {
  allFailures,
  keepReport,
  librariesOf,
  noted,
  type Progress,
  reportOf,
} from './run-report.js';
import { keyOf, type Scored, type ScoreEvent, type Shard, scoreMissing } from './score.js';
import {
  latestSnapshot,
  newsOf,
  PartMissing,
  type Publication,
  repairCurrent,
  type Snapshot,
} from './snapshot.js';
import { Output } from './store.js';
import { draftText, publishedBy, sweep } from './unrecorded.js';
import { listOrVanished, vanishedUnits } from './vanished.js';
import { WorkerDied } from './worker-died.js';
import { openWorkers, wantedWorkers } from './workers.js';

/** What a run takes from outside. */
export interface RunOptions {
  /** What of the input is meant; without it, all. */
  readonly selection?: Selection | undefined;
  /** The share of the tasks to score, of how many: nothing is published then. */
  readonly shard?: Shard | undefined;
  /** Whether units that cannot be scored leave the others to be published; the run fails all the same. */
  readonly keepGoing?: boolean | undefined;
  /** Whether partitions that pass the gates are published when others do not; the run fails all the same. */
  readonly publishPassing?: boolean | undefined;
  /** Whether to drop what is published of the selection and is in the input no longer. */
  readonly prune?: boolean | undefined;
  /** Whether to take over an output that belongs to another job. */
  readonly adopt?: boolean | undefined;
  readonly now: () => Date;
  readonly onEvent: (event: ScoreEvent) => void;
  /** Publishes also what was reverted, and says why: it is kept in the report. */
  readonly because?: string | undefined;
  /** Ends the run early: no task is begun, those that run have the job's grace period; what is done stays done. */
  readonly signal?: AbortSignal | undefined;
}

/** A run that failed: its report, and as `cause` the error that the exit code follows from. */
export class RunFailed extends Error {
  override readonly name = 'RunFailed';
  readonly report: RunReport;

  constructor(report: RunReport, cause: unknown) {
    super(messageOf(cause), { cause });
    this.report = report;
  }
}

/**
 * Runs a job: scores every task whose part is not in the store, and publishes all units or none; with `keepGoing`, all
 * that are whole. Resolves with the report when something was published or nothing was to do; throws `RunFailed` when the
 * run began and failed, and when it published some units and others could not be scored. Throws `usage`.
 */
export async function runJob(job: Job, options: RunOptions): Promise<RunReport> {
  refuseIdleOptions(options);
  // Where there is no output yet, none is made for a job that would publish into its own input.
  const selection = options.selection ?? EVERYTHING;
  if ((await Output.find(job.output.path)) === undefined) await listInput(job, selection);
  const output = await Output.open(job.output.path);
  await sweep(output, options.now());
  const temporary = await output.makeTemporary();
  const progress = newProgress(job, await keepJob(output, jobText(job)), options);
  const onEvent = await logged(
    noted(options.onEvent, progress),
    output.path('runs', progress.runId),
    options.now,
  );
  const stop = (): void => progress.pool?.drain(job.run.graceMs);
  options.signal?.addEventListener('abort', stop);
  try {
    const scope = { job, output, temporary, options: { ...options, onEvent }, progress };
    const { outcome, snapshot, failure } = await execute(scope);
    if (outcome === 'published') await collect(output, job, progress, options.now);
    const report = reportOf(job, progress, {
      outcome: failure === undefined ? outcome : 'partial',
      published: outcome === 'published',
      pruned: options.prune === true ? progress.vanished : [],
      snapshot,
      path: snapshot?.folder,
      failure,
      libraries: await librariesOf(progress),
      ended: options.now(),
    });
    const runFiles = await keepReport(output, report, progress).catch((error: unknown) => {
      // What is published stays so: the record tells of it.
      progress.notes.push(`its report could not be kept: ${messageOf(error)}`);
      return undefined;
    });
    await record(output, { ...report, runFiles }).catch((error: unknown) => {
      // The chain may have the record all the same: a second one would say of this run that it failed.
      throw new RunFailed(report, error);
    });
    progress.owed = false;
    if (failure !== undefined) throw new RunFailed(report, failure);
    return report;
  } catch (error) {
    if (error instanceof RunFailed) throw error;
    throw await failed(error, { job, output, progress, options });
  } finally {
    options.signal?.removeEventListener('abort', stop);
    await progress.pool?.close();
    // By it the next run sees that a record may be missing.
    if (!progress.owed) await removeLeftover(temporary);
  }
}

function newProgress(job: Job, digest: string, { now, because }: RunOptions): Progress {
  const started = now();
  return {
    runId: runIdOf(started),
    startedMs: performance.now(),
    started,
    job: digest,
    because,
    notes: [],
    vanished: [],
    overrides: [],
    workers: wantedWorkers(job),
    pool: undefined,
    prepared: undefined,
    scored: undefined,
    ledger: undefined,
    quality: undefined,
    describedMs: 0,
    tasks: [],
    judgeMs: 0,
    publishMs: 0,
    libraries: undefined,
    owed: false,
  };
}

function refuseIdleOptions({ shard, keepGoing, publishPassing, prune }: RunOptions): void {
  const given = [
    keepGoing === true && '--keep-going',
    publishPassing === true && '--publish-passing',
    prune === true && '--prune',
  ];
  const idle = given.find((option) => typeof option === 'string');
  if (shard === undefined || idle === undefined) return;
  throw new ScorelineError(
    'usage',
    `${idle}: does not go with --shard, which publishes nothing; give it to the run that publishes`,
  );
}

/** A job as it is kept: what it says, and the folder that its paths start from. */
function jobText({ file, baseDir, source }: Job): string {
  return `${JSON.stringify({ file: file ?? null, baseDir, job: source }, undefined, 2)}\n`;
}

/** Records a run that failed; its error is the answer. */
async function failed(
  error: unknown,
  { job, output, progress, options }: Omit<RunScope, 'temporary'>,
): Promise<RunFailed> {
  const staged = error instanceof Staged;
  const stopped =
    error instanceof StoppedEarly ? await withQuarantine(error, output, progress) : error;
  const cause = withFailures(settledError(staged ? error.cause : stopped), progress, options);
  // What fails after the step that publishes takes nothing back.
  const published = progress.owed
    ? await publishedBy(output, progress.runId).catch(() => undefined)
    : undefined;
  const isPartial = staged && error.published !== undefined;
  if (isPartial) await collect(output, job, progress, options.now);
  const report = reportOf(job, progress, {
    outcome: isPartial ? 'partial' : staged ? 'staged' : 'failed',
    published: published !== undefined,
    pruned: published !== undefined && options.prune === true ? progress.vanished : [],
    snapshot: published ?? (await latestSnapshot(output).catch(() => undefined)),
    path: isPartial ? error.published.folder : staged ? error.folder : undefined,
    staged: staged ? error.folder : undefined,
    failure: cause,
    libraries: await librariesOf(progress),
    ended: options.now(),
  });
  // The failure itself is what the user has to hear of, even where its record cannot be written.
  const runFiles = await keepReport(output, report, progress).catch(() => undefined);
  await record(output, { ...report, runFiles }).then(
    () => {
      progress.owed = false;
    },
    () => undefined,
  );
  return new RunFailed(report, cause);
}

/** The error of a run that bad rows stopped, with the folder that holds them. */
async function withQuarantine(
  error: StoppedEarly,
  output: Output,
  { runId, prepared, scored }: Progress,
): Promise<ScorelineError> {
  if (prepared === undefined || scored === undefined) return error;
  // Without the files the message says as much as there is to say.
  const folder = await keepQuarantine(output, runId, prepared, scored).catch(() => undefined);
  if (folder === undefined) return error;
  const message = `${error.message}; look at the rows in ${shown(folder)}`;
  return new ScorelineError(error.code, message, { cause: error });
}

/** An error with the units that a run which keeps going had passed over before it. */
function withFailures(
  cause: unknown,
  { prepared, scored }: Progress,
  { keepGoing }: RunOptions,
): unknown {
  if (keepGoing !== true || !(cause instanceof ScorelineError)) return cause;
  const passedOver = failureOf(allFailures(prepared, scored));
  if (passedOver === undefined || passedOver.message === cause.message) return cause;
  return new ScorelineError(cause.code, `${cause.message}\n${passedOver.message}`, { cause });
}

/** Removes what publishing has made old. That it cannot be done takes nothing from what is published. */
async function collect(
  output: Output,
  job: Job,
  progress: Progress,
  now: () => Date,
): Promise<void> {
  try {
    await gc(output, { keep: job.output.keepSnapshots, dryRun: false, now });
  } catch (error) {
    progress.notes.push(`old snapshots stay: ${messageOf(error)}`);
  }
}

interface RunScope {
  readonly job: Job;
  readonly output: Output;
  readonly temporary: string;
  readonly options: RunOptions;
  readonly progress: Progress;
}

/** What a run came to; `failure` is that of the units that it passed over. */
interface Ended {
  readonly outcome: 'published' | 'unchanged' | 'scored';
  readonly snapshot: Snapshot | undefined;
  readonly failure?: ScorelineError | undefined;
}

async function execute(scope: RunScope): Promise<Ended> {
  const { job, output, options, progress } = scope;
  const base = await latestSnapshot(output);
  // A run that was killed while it published may have left `current` behind, and this one may publish nothing.
  await repairCurrent(output);
  const { selection = EVERYTHING, prune = false } = options;
  const published = base?.manifest;
  const dataset = await listOrVanished(job, selection, { prune, published });
  if (options.adopt !== true) await checkOwner(output, job);
  progress.vanished = vanishedUnits(published, dataset, job, selection);
  const pool = (): Pool => {
    throwIfInterrupted(options);
    progress.pool ??= openWorkers({
      job,
      allowedFolders: [dataset.root, output.root],
      temporary: scope.temporary,
      onProgress: (rows) => options.onEvent({ type: 'progress', rows }),
      onFewer: (workers, why, wasKilled) => {
        progress.workers = workers;
        progress.notes.push(why);
        if (wasKilled) options.onEvent({ type: 'fewer-workers', workers });
      },
    });
    return progress.pool;
  };
  const nowNs = (): bigint => BigInt(options.now().getTime()) * 1_000_000n;
  const prepared = await prepare(job, dataset, { output, pool, nowNs, hash: true, published });
  progress.prepared = prepared;
  progress.notes.push(...datasetNotes(prepared), ...vanishedNotes(progress.vanished, prune));
  progress.describedMs = performance.now() - progress.startedMs;

  for (let attempt = 1; ; attempt++) {
    try {
      return await scoreAndPublish(scope, prepared, base, pool);
    } catch (error) {
      // A part that gc or a person took from the store after it was found there is made again.
      const covered = prepared.units.some(
        ({ unit }) => error instanceof PartMissing && error.unit === unit,
      );
      if (!covered || attempt === PUBLISH_ATTEMPTS) throw error;
      progress.notes.push(`made again: ${messageOf(error)}`);
    }
  }
}

function throwIfInterrupted({ signal }: RunOptions): void {
  if (signal?.aborted === true) throw new WorkerDied('the run was interrupted', 'closed');
}

/** How often parts that vanish before they are published are made again. */
const PUBLISH_ATTEMPTS = 3;

async function scoreAndPublish(
  { job, output, temporary, options, progress }: RunScope,
  prepared: Prepared,
  base: Snapshot | undefined,
  pool: () => Pool,
): Promise<Ended> {
  const { shard, onEvent } = options;
  const { runId } = progress;
  const judgeFirst = (parts: ReadonlyMap<string, StoredPart>): Promise<void> =>
    judgePart({ output, prepared, runId }, parts, { base, progress });
  const onBegun = (begun: Scored): void => {
    progress.scored = begun;
  };
  const tools = { output, temporary, pool, shard, onEvent, onBegun, judgeFirst };
  const isDamaged = shard === undefined && (await takeDamaged(output, prepared, base, temporary));
  const scored = await scoreMissing(prepared, base?.manifest, tools);
  if (scored.tally.batchDependent) {
    progress.notes.push(
      'rows of this model depend on their neighbours in the batch: scores hold for this batch size alone',
    );
  }
  if (job.model.allowRandom) {
    progress.notes.push(
      'model.allow_random: the scores are those of one draw, and cannot be made again',
    );
  }
  // Also where all was scored before: whoever did that may not have come so far.
  if (job.sampleRows > 0 && scored.parts.size > 0) {
    const { model, shownModel } = prepared;
    await keepModel(output, { ...model, path: job.model.path, shownAs: shownModel }, temporary);
  }
  const publishing = performance.now();
  const failure = failureOf(allFailures(prepared, scored));
  const whole = prepared.units.filter(({ unit }) => !scored.failures.has(unit));
  if (failure !== undefined && (options.keepGoing !== true || whole.length === 0)) throw failure;
  if (shard !== undefined) {
    progress.ledger = scored.tally.ledger;
    return { outcome: 'scored', snapshot: base };
  }
  const publication = {
    ...audit(whole, prepared, scored),
    removals: options.prune === true ? progress.vanished : [],
    anew: scored.remade || isDamaged,
    evenReverted: options.because !== undefined,
    draft: async (next: Snapshot): Promise<string> => {
      progress.owed = true;
      const report = reportOf(job, progress, {
        outcome: failure === undefined ? 'published' : 'partial',
        published: true,
        pruned: options.prune === true ? progress.vanished : [],
        snapshot: next,
        path: next.folder,
        failure,
        libraries: await librariesOf(progress),
        ended: options.now(),
      });
      return draftText(output, temporary, report);
    },
  };
  const all = ledgerOf([...publication.units.values()]);
  progress.ledger = all;
  const tooMany = (ledger: Ledger): string | undefined =>
    tooManyBadRows(ledger, job.quarantine.max, all.rows, scored.tally.examples);
  if (options.because !== undefined)
    progress.overrides = overriddenReverts(heldOf(publication, base));
  progress.notes.push(...columnNotes(publication, base));
  // Whoever stopped a run does not want it published, even where its last tasks ended in time.
  throwIfInterrupted(options);
  const scope = {
    ...{ output, temporary, prepared, pool, base, ledger: all, runId: progress.runId },
    elapsedMs: () => performance.now() - progress.startedMs,
    publishPassing: options.publishPassing === true,
    onReplaced: (runIds: readonly string[]): void => {
      if (runIds.length > 0)
        progress.notes.push(`replaces what was staged by ${runIds.join(', ')}`);
    },
    // Bad rows that are published already were looked at: a person may have published them.
    tooMany:
      tooMany(all) === undefined
        ? undefined
        : tooMany(ledgerOf([...newsOf(publication, base).values()])),
    onReport: (report: QualityReport, ms: number): void => {
      progress.quality = report;
      progress.judgeMs += ms;
    },
  };
  // Another job may have published here first, where nothing was when this run began.
  await claimOutput(output, job, options.adopt);
  const published = await publishOrStage(scope, publication);
  for (const message of warnings(publication, base, progress.quality)) {
    progress.notes.push(message);
    onEvent({ type: 'warning', message });
  }
  progress.publishMs = performance.now() - publishing - progress.judgeMs;
  if (published !== undefined) return { outcome: 'published', snapshot: published, failure };
  return { outcome: 'unchanged', snapshot: await latestSnapshot(output), failure };
}

/** Takes out of the store what cannot replace damaged published files; tells whether there are any to replace. */
async function takeDamaged(
  output: Output,
  { units }: Prepared,
  base: Snapshot | undefined,
  temporary: string,
): Promise<boolean> {
  if (base === undefined) return false;
  const covered = new Set(units.map(({ unit }) => unit));
  const { files, isMarked } = await findDamaged(output, base, covered);
  await takeUnusable(output, base, files, temporary);
  return isMarked || files.length > 0;
}

/** Has the first tasks of the units judged. Throws `gate` when the others are not to be scored. */
async function judgePart(
  scope: Pick<ReviewScope, 'output' | 'prepared' | 'runId'>,
  parts: ReadonlyMap<string, StoredPart>,
  { base, progress }: { readonly base: Snapshot | undefined; readonly progress: Progress },
): Promise<void> {
  const units = new Map(
    [...parts].map(([unit, { part }]) => [
      unit,
      { parts: [part], model: [...scope.prepared.model.sha256] },
    ]),
  );
  const ledger = sumLedgers([...parts.values()].map(({ part }) => part.ledger));
  try {
    await reviewPart({ ...scope, ledger }, units, base);
  } catch (error) {
    if (!(error instanceof GatesFailed)) throw error;
    progress.quality = error.review.report;
    throw new ScorelineError(
      'gate',
      `${error.message}; stopped after the first task of each partition, nothing published: look at the input, or score it all with --set canary=false`,
    );
  }
}

function audit(
  whole: readonly UnitPlan[],
  prepared: Prepared,
  { parts, converted }: Scored,
): Publication {
  const units = new Map<string, UnitRecord>();
  for (const unit of whole) {
    const unitParts = unit.tasks.map((task) => parts.get(keyOf(task))!);
    units.set(unit.unit, unitRecord(unit, unitParts, prepared, converted));
  }
  return { name: prepared.job.name, extension: dataExtension(prepared.job.output), units };
}

function ledgerOf(units: readonly UnitRecord[]): Ledger {
  return sumLedgers(units.map(unitLedger));
}

/** What a person should hear of a run that succeeds, also where only errors are said. */
function warnings(
  publication: Publication,
  base: Snapshot | undefined,
  quality: QualityReport | undefined,
): string[] {
  const news = newsOf(publication, base);
  const lines = lossWarnings({ news, published: base?.manifest });
  return quality === undefined ? lines : [...lines, ...notJudgedLines(quality, base !== undefined)];
}

function vanishedNotes(vanished: readonly string[], prune: boolean): string[] {
  if (vanished.length === 0) return [];
  const what = prune
    ? 'no longer in the input, goes with this publication'
    : 'published, but no longer in the input (--prune drops it)';
  return [`${what}: ${namesOf(vanished)}`];
}

function datasetNotes({ job, dataset, model, units }: Prepared): string[] {
  const notes: string[] = [];
  if (dataset.notReady.length > 0) {
    const { notReady } = dataset;
    notes.push(`not ready, for want of ${shown(job.input.ready ?? '')}: ${namesOf(notReady)}`);
  }
  if (dataset.missing.length > 0) notes.push(`dates without input: ${dataset.missing.join(', ')}`);
  notes.push(...listingNotes(dataset));
  if (model.deviceNote !== undefined) notes.push(model.deviceNote);
  const empty = units.filter(({ tasks }) => tasks.every(({ rows }) => rows === 0)).length;
  if (empty > 0) notes.push(`partitions without rows: ${empty}`);
  return notes;
}
