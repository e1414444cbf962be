/** One run of a job: plan, score what is missing, audit, publish. */
import { appendFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { messageOf, ScorelineError, shown } from '../base/errors.js';
import { makeSubfolder, removeLeftover } from '../base/files.js';
import { canonicalJson, sha256 } from '../base/hash.js';
import { usableCores, usableMemoryBytes } from '../base/machine.js';
import type { Dataset } from '../plan/dataset.js';
import type { Job } from '../plan/job.js';
import { dataExtension, type Ledger, sumLedgers } from '../plan/ledger.js';
import { manifestText, type UnitRecord, unitOf } from '../plan/manifest.js';
import { EVERYTHING, type Selection } from '../plan/selection.js';
import type { RunOutcome, RunReport, RunTimes } from '../report/report.js';
import { tooManyBadRows, unitRecord } from './audit.js';
import { gc } from './gc.js';
import { record, runIdOf } from './history.js';
import { Pool, WorkerDied } from './pool.js';
import { listInput, type Prepared, prepare } from './prepare.js';
import { keyOf, type Scored, type ScoreEvent, type Shard, scoreMissing } from './score.js';
import {
  latestSnapshot,
  PartMissing,
  type Publication,
  publish,
  type Snapshot,
} from './snapshot.js';
import { stage } from './staged.js';
import { Output } from './store.js';

/** What a run takes from outside. */
export interface RunOptions {
  /** What of the input is meant; without it, all. */
  readonly selection?: Selection | undefined;
  /** The share of the tasks to score, of how many: nothing is published then. */
  readonly shard?: Shard | undefined;
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

/** What is known of a run so far: its report can be made of it at any moment. */
interface Progress {
  readonly runId: string;
  readonly startedMs: number;
  readonly because: string | undefined;
  readonly notes: string[];
  workers: number;
  pool: Pool | undefined;
  prepared: Prepared | undefined;
  scored: Scored | undefined;
  ledger: Ledger | undefined;
  describedMs: number;
  publishMs: number;
}

/**
 * Runs a job: scores every task whose part is not in the store, and publishes all units or none. Resolves with the
 * report when something was published or nothing was to do; throws `RunFailed` when the run began and failed.
 */
export async function runJob(job: Job, options: RunOptions): Promise<RunReport> {
  // Where there is no output yet, none is made for a job that would publish into its own input.
  const selection = options.selection ?? EVERYTHING;
  if ((await Output.find(job.output.path)) === undefined) await listInput(job, selection);
  const output = await Output.open(job.output.path);
  const temporary = await output.makeTemporary();
  const runId = runIdOf(options.now());
  const logged = await openLog(output, runId, options);
  const progress: Progress = {
    runId,
    startedMs: performance.now(),
    because: options.because,
    notes: [],
    workers: job.run.workers === 'auto' ? usableCores() : job.run.workers,
    pool: undefined,
    prepared: undefined,
    scored: undefined,
    ledger: undefined,
    describedMs: 0,
    publishMs: 0,
  };
  const stop = (): void => progress.pool?.drain(job.run.graceMs);
  options.signal?.addEventListener('abort', stop);
  try {
    const { outcome, snapshot } = await execute({
      job,
      output,
      temporary,
      options: logged,
      progress,
    });
    if (outcome === 'published') await collect(output, job, progress, options.now);
    const report = reportOf(job, progress, {
      outcome,
      snapshot,
      path: snapshot?.folder,
      error: null,
    });
    await record(output, report);
    return report;
  } catch (error) {
    const failure =
      error instanceof Staged
        ? { outcome: 'staged' as const, path: error.folder, cause: error.cause }
        : { outcome: 'failed' as const, path: undefined, cause: error };
    const snapshot = await latestSnapshot(output).catch(() => undefined);
    const report = reportOf(job, progress, {
      ...failure,
      snapshot,
      error: messageOf(failure.cause),
    });
    // The failure itself is what the user has to hear of, even where its record cannot be written.
    await record(output, report).catch(() => undefined);
    throw new RunFailed(report, failure.cause);
  } finally {
    options.signal?.removeEventListener('abort', stop);
    await progress.pool?.close();
    await removeLeftover(temporary);
  }
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

/** A run that ended in the staging area: `cause` is the gate's error. */
class Staged extends Error {
  readonly folder: string;

  constructor(folder: string, cause: ScorelineError) {
    super(cause.message, { cause });
    this.folder = folder;
  }
}

interface RunScope {
  readonly job: Job;
  readonly output: Output;
  readonly temporary: string;
  readonly options: RunOptions;
  readonly progress: Progress;
}

async function execute(
  scope: RunScope,
): Promise<{ outcome: RunOutcome; snapshot: Snapshot | undefined }> {
  const { job, output, options, progress } = scope;
  const base = await latestSnapshot(output);
  const dataset = await listInput(job, options.selection ?? EVERYTHING);
  const pool = (): Pool => {
    throwIfInterrupted(options);
    progress.pool ??= openPool(scope, dataset);
    return progress.pool;
  };
  const nowNs = (): bigint => BigInt(options.now().getTime()) * 1_000_000n;
  const prepared = await prepare(job, dataset, { output, pool, nowNs, hash: true });
  progress.prepared = prepared;
  progress.notes.push(...datasetNotes(prepared));
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
): Promise<{ outcome: RunOutcome; snapshot: Snapshot | undefined }> {
  const { shard, onEvent } = options;
  const tools = { output, temporary, pool, shard, onEvent };
  const scored = await scoreMissing(prepared, base?.manifest, tools);
  progress.scored = scored;
  if (scored.tally.batchDependent) {
    progress.notes.push(
      'rows of this model depend on their neighbours in the batch: scores hold for this batch size alone',
    );
  }
  const publishing = performance.now();
  refuseFailures([...prepared.badUnits.values(), ...scored.failures.values()]);
  if (shard !== undefined) {
    progress.ledger = scored.tally.ledger;
    return { outcome: 'scored', snapshot: base };
  }
  const publication = {
    ...audit(prepared, scored),
    anew: scored.remade,
    evenReverted: options.because !== undefined,
  };
  const all = ledgerOf([...publication.units.values()]);
  progress.ledger = all;
  const tooMany = (ledger: Ledger): string | undefined =>
    tooManyBadRows(ledger, job.quarantine.max, all.rows, scored.tally.examples);
  // Bad rows that are published already were looked at: a person may have published them.
  const verdict = tooMany(all) === undefined ? undefined : tooMany(newsOf(publication, base));
  if (verdict !== undefined) {
    const how = { runId: progress.runId, reason: verdict, temporary };
    const folder = await stage(output, publication, base, how);
    throw new Staged(folder, new ScorelineError('gate', `${verdict}; staged in ${shown(folder)}`));
  }
  // Whoever stopped a run does not want it published, even where its last tasks ended in time.
  throwIfInterrupted(options);
  const published = await publish(output, publication, base, temporary);
  progress.publishMs = performance.now() - publishing;
  if (published !== undefined) return { outcome: 'published', snapshot: published };
  return { outcome: 'unchanged', snapshot: await latestSnapshot(output) };
}

function audit(prepared: Prepared, { parts, converted }: Scored): Publication {
  const units = new Map<string, UnitRecord>();
  for (const unit of prepared.units) {
    const unitParts = unit.tasks.map((task) => parts.get(keyOf(task))!);
    units.set(unit.unit, unitRecord(unit, unitParts, prepared, converted));
  }
  return { name: prepared.job.name, extension: dataExtension(prepared.job.output), units };
}

/** The ledger of the units that are not published just so already. */
function newsOf({ units }: Publication, base: Snapshot | undefined): Ledger {
  const text = (unit: UnitRecord | undefined): string => canonicalJson(unit ?? null);
  const news = [...units].filter(
    ([name, unit]) => text(unitOf(base?.manifest, name)) !== text(unit),
  );
  return ledgerOf(news.map(([, unit]) => unit));
}

function ledgerOf(units: readonly UnitRecord[]): Ledger {
  return sumLedgers(units.flatMap(({ inputs }) => inputs.map(({ ledger }) => ledger)));
}

/** Every file that could not be scored, in one error. */
function refuseFailures(units: readonly (readonly Error[])[]): void {
  const isChange = (error: Error): boolean =>
    error instanceof ScorelineError && error.code === 'changed';
  // A file that was rewritten meanwhile is the cause of whatever else went wrong in its unit.
  const errors = units.flatMap((unit) => (unit.some(isChange) ? unit.filter(isChange) : unit));
  if (errors.length === 0) return;
  const changed = errors.every(isChange);
  const lines = errors.slice(0, 20).map(messageOf);
  if (errors.length > 20) lines.push(`… and ${errors.length - 20} more`);
  throw new ScorelineError(changed ? 'changed' : 'input', lines.join('\n'), { cause: errors[0] });
}

function datasetNotes({ job, dataset, model, units }: Prepared): string[] {
  const notes: string[] = [];
  if (dataset.notReady.length > 0) {
    const names = dataset.notReady.slice(0, 5).map((unit) => shown(unit === '' ? '.' : unit));
    const more = dataset.notReady.length > 5 ? ', …' : '';
    notes.push(
      `not ready, for want of ${shown(job.input.ready ?? '')}: ${names.join(', ')}${more}`,
    );
  }
  if (dataset.missing.length > 0) notes.push(`dates without input: ${dataset.missing.join(', ')}`);
  if (dataset.ignored > 0) notes.push(`files that are no data, passed over: ${dataset.ignored}`);
  if (model.deviceNote !== undefined) notes.push(model.deviceNote);
  const empty = units.filter(({ tasks }) => tasks.length === 0).length;
  if (empty > 0) notes.push(`partitions without rows: ${empty}`);
  return notes;
}

/** What a worker needs besides its copy of the model. */
const WORKER_BYTES = 320 * 2 ** 20;
/** What a model takes in memory, in sizes of its file. */
const MODEL_COPIES = 3;
const DUCKDB_BYTES = 512 * 2 ** 20;

/** The pool of a run: as many workers as cores and memory hold. */
function openPool(
  { job, output, temporary, options, progress }: RunScope,
  { root }: Dataset,
): Pool {
  const memory = usableMemoryBytes();
  const modelBytes = statSync(job.model.path, { throwIfNoEntry: false })?.size ?? 0;
  const fit = Math.max(1, Math.floor((0.8 * memory) / (WORKER_BYTES + MODEL_COPIES * modelBytes)));
  if (fit < progress.workers) {
    progress.notes.push(
      `memory holds ${fit} copies of the model: that many workers, not ${progress.workers}`,
    );
    progress.workers = fit;
  }
  return new Pool({
    size: progress.workers,
    timeoutMs: job.run.batchTimeoutMs,
    setupFor: (worker) => ({
      memoryLimitBytes: Math.min(DUCKDB_BYTES, (0.5 * memory) / progress.workers),
      temporaryFolder: join(temporary, `spill-${worker}`),
      allowedFolders: [root, output.root],
    }),
    onProgress: (_worker, rows) => options.onEvent({ type: 'progress', rows }),
    onFewer: (workers) => {
      progress.workers = workers;
      options.onEvent({ type: 'fewer-workers', workers });
      progress.notes.push(
        `a worker was killed, as happens when memory runs out: went on with ${workers}`,
      );
    },
  });
}

function reportOf(
  job: Job,
  progress: Progress,
  end: {
    outcome: RunOutcome;
    snapshot: Snapshot | undefined;
    path: string | undefined;
    error: string | null;
  },
): RunReport {
  const { prepared, scored } = progress;
  const tally = scored?.tally;
  const times: RunTimes = {
    wall: performance.now() - progress.startedMs,
    describe: progress.describedMs,
    ...(tally?.times ?? { read: 0, prepare: 0, infer: 0, write: 0 }),
    publish: progress.publishMs,
  };
  return {
    format: 1,
    runId: progress.runId,
    job: job.name,
    outcome: end.outcome,
    snapshot: end.snapshot?.number ?? null,
    path: end.path ?? null,
    manifest:
      end.outcome === 'published' && end.snapshot !== undefined
        ? sha256(manifestText(end.snapshot.manifest))
        : null,
    because: progress.because ?? null,
    units: {
      planned: prepared?.units.length ?? 0,
      bad: (prepared?.badUnits.size ?? 0) + (scored?.failures.size ?? 0),
      notReady: prepared?.dataset.notReady ?? [],
    },
    tasks: { scored: tally?.scoredTasks ?? 0, reused: tally?.reusedTasks ?? 0 },
    ledger: progress.ledger ?? { rows: 0, scored: 0, quarantined: 0, filtered: 0 },
    rowsThisRun: tally?.ledger.rows ?? 0,
    lossyCasts: [...(tally?.lossyCasts ?? [])]
      .map(([column, values]) => ({ column, values }))
      .sort((a, b) => (a.column < b.column ? -1 : 1)),
    notes: progress.notes,
    workers: progress.workers,
    device: prepared?.scoring.device ?? 'cpu',
    times,
    peakBytes: process.resourceUsage().maxRSS * 1024 + (progress.pool?.peakBytes ?? 0),
    error: end.error,
  };
}

/** Writes what a run tells, but for its progress, to the log in its folder as it happens. */
async function openLog(output: Output, runId: string, options: RunOptions): Promise<RunOptions> {
  const folder = output.path('runs', runId);
  await makeSubfolder(folder);
  const path = join(folder, 'log.jsonl');
  return {
    ...options,
    onEvent: (event) => {
      options.onEvent(event);
      if (event.type === 'progress') return;
      const line = `${JSON.stringify({ time: options.now().toISOString(), ...event })}\n`;
      try {
        appendFileSync(path, line);
      } catch {
        // A run can do without its log. Where there is no room for it, there is none for what the run cannot do without.
      }
    },
  };
}
