/** What is known of a run while it goes on, and the report that is made of it. */
import { setTimeout } from 'node:timers/promises';
import { exitCodeOf, messageOf, ScorelineError } from '../base/errors.js';
import { compareText, sha256 } from '../base/hash.js';
import type { Job } from '../plan/job.js';
import { type Ledger, sumLedgers } from '../plan/ledger.js';
import { manifestText } from '../plan/manifest.js';
import type { TaskEvent } from '../report/page-run.js';
import { qualityLines } from '../report/quality.js';
import type { QualityReport } from '../report/quality-schema.js';
import type {
  FileDigests,
  InputsReceipt,
  RunOutcome,
  RunReport,
  RunTimes,
  UnitFailure,
} from '../report/report.js';
import { emptyReport } from './gate.js';
import { receiptOf } from './history.js';
import type { Pool } from './pool.js';
import type { Prepared } from './prepare.js';
import { keepPage } from './run-page.js';
import type { Scored, ScoreEvent } from './score.js';
import type { Snapshot } from './snapshot.js';
import type { Output } from './store.js';

/** What is known of a run so far: its report can be made of it at any moment. */
export interface Progress {
  readonly runId: string;
  readonly startedMs: number;
  readonly started: Date;
  /** The digest under which the job is kept. */
  readonly job: string;
  readonly because: string | undefined;
  readonly notes: string[];
  /** Published units whose input is there no longer. */
  vanished: readonly string[];
  /** What `because` was needed for. */
  overrides: readonly string[];
  workers: number;
  pool: Pool | undefined;
  prepared: Prepared | undefined;
  scored: Scored | undefined;
  ledger: Ledger | undefined;
  /** What was judged last. */
  quality: QualityReport | undefined;
  describedMs: number;
  /** The tasks that were scored, in the order of their ends. */
  readonly tasks: TaskEvent[];
  judgeMs: number;
  publishMs: number;
  /** The versions of the libraries that workers run, once they were asked. */
  libraries: Readonly<Record<string, string>> | undefined;
  /** Whether something may be published that is not recorded yet. */
  owed: boolean;
}

/** Takes down what a page tells of a run, and hands it on. */
export function noted(
  onEvent: (event: ScoreEvent) => void,
  { tasks, startedMs }: Pick<Progress, 'tasks' | 'startedMs'>,
): (event: ScoreEvent) => void {
  return (event) => {
    if (event.type === 'task') {
      const { task, rows, workedMs } = event;
      tasks.push({ task, rows, workedMs, endedMs: performance.now() - startedMs });
    }
    onEvent(event);
  };
}

/** How a run ended. */
export interface RunEnd {
  readonly outcome: RunOutcome;
  /** What is published after the run, and whether it was this run that published it. */
  readonly snapshot: Snapshot | undefined;
  readonly published: boolean;
  /** The units that it dropped. */
  readonly pruned: readonly string[];
  readonly path: string | undefined;
  /** Where what it did not publish is staged. */
  readonly staged?: string | undefined;
  /** Why it failed; undefined where it did not. */
  readonly failure: unknown;
  readonly ended: Date;
  /** The versions of the libraries that workers run; empty when none was needed. */
  readonly libraries: Readonly<Record<string, string>>;
}

/** The report of a run. */
export function reportOf(job: Job, progress: Progress, end: RunEnd): RunReport {
  const { prepared, scored } = progress;
  const tally = scored?.tally;
  const times: RunTimes = {
    wall: performance.now() - progress.startedMs,
    describe: progress.describedMs,
    ...(tally?.times ?? { read: 0, prepare: 0, infer: 0, write: 0 }),
    judge: progress.judgeMs,
    publish: progress.publishMs,
  };
  const failures = failuresOf(prepared, scored);
  return {
    format: 1,
    runId: progress.runId,
    job: job.name,
    outcome: end.outcome,
    snapshot: end.snapshot?.number ?? null,
    path: end.path ?? null,
    staged: end.staged ?? null,
    manifest:
      end.published && end.snapshot !== undefined
        ? sha256(manifestText(end.snapshot.manifest))
        : null,
    ...(end.published && end.snapshot?.files !== undefined
      ? { snapshotFiles: end.snapshot.files }
      : {}),
    because: progress.because ?? null,
    overrides: progress.overrides,
    receipt: {
      ...receiptOf(progress.started, end.ended, end.libraries),
      job: progress.job,
      inputs: prepared === undefined ? null : inputsReceipt(prepared),
      model: prepared?.model.sha256 ?? null,
    },
    units: {
      planned: prepared?.units.length ?? 0,
      bad: new Set(failures.map(({ unit }) => unit)).size,
      notReady: prepared?.dataset.notReady ?? [],
      vanished: progress.vanished.filter((unit) => !end.pruned.includes(unit)),
      pruned: end.pruned,
    },
    failures,
    tasks: { scored: tally?.scoredTasks ?? 0, reused: tally?.reusedTasks ?? 0 },
    ledger: progress.ledger ?? tally?.ledger ?? sumLedgers([]),
    rowsThisRun: tally?.ledger.rows ?? 0,
    lossyCasts: [...(tally?.lossyCasts ?? [])]
      .map(([column, values]) => ({ column, values }))
      .sort((a, b) => (a.column < b.column ? -1 : 1)),
    setAside: {
      reasons: [...(tally?.reasons ?? [])]
        .map(([reason, rows]) => ({ reason, rows }))
        .sort((a, b) => b.rows - a.rows || compareText(a.reason, b.reason)),
      examples: tally?.examples ?? [],
    },
    verdict: progress.quality?.verdict ?? 'none',
    gates: progress.quality === undefined ? [] : qualityLines(progress.quality),
    notes: progress.notes,
    workers: progress.workers,
    device: prepared?.scoring.device ?? 'cpu',
    engine: scored?.engine ?? null,
    times,
    peakBytes: process.resourceUsage().maxRSS * 1024 + (progress.pool?.peakBytes ?? 0),
    exit: end.failure === undefined ? 0 : exitCodeOf(end.failure),
    error: end.failure === undefined ? null : messageOf(end.failure),
  };
}

/**
 * Keeps the report on what a run scored beside its record, and the page on it where there was something to do; one that failed before
 * anything was judged says so little. Returns the digests of both.
 */
export async function keepReport(
  output: Output,
  run: RunReport,
  { quality, prepared, tasks }: Progress,
): Promise<FileDigests> {
  const { runId, job, ledger } = run;
  const enforced = prepared?.job.gates !== undefined;
  return keepPage(output, run, quality ?? emptyReport({ runId, job, ledger, enforced }), tasks);
}

/** What a run read, in a form that sha256sum can be asked about, too. */
function inputsReceipt({ units, dataset }: Prepared): InputsReceipt {
  const files = units
    .flatMap((unit) => unit.files)
    .map(({ file, facts }) => ({ path: file.path, sha256: facts.sha256 }))
    .sort((a, b) => compareText(a.path, b.path));
  const lines = files.map(({ path, sha256: digest }) => `${digest}  ${path}\n`);
  return { root: dataset.root, files: files.length, sha256: sha256(lines.join('')) };
}

/** How long a run waits at its end to hear which libraries its workers run. */
const LIBRARIES_MS = 500;

/** The versions of the libraries of a run's workers; nothing when there are none, or they do not say. They are asked once. */
export async function librariesOf(progress: Progress): Promise<Readonly<Record<string, string>>> {
  if (progress.pool === undefined) return {};
  progress.libraries ??= await askLibraries(progress.pool);
  return progress.libraries;
}

async function askLibraries(pool: Pool): Promise<Readonly<Record<string, string>>> {
  const asked = pool.ask('environment', null).then(
    ({ versions }) => versions,
    () => ({}),
  );
  const timeout = new AbortController();
  const late = setTimeout(LIBRARIES_MS, {}, { signal: timeout.signal, ref: false });
  // An aborted wait rejects: nobody waits for it any more.
  late.catch(() => undefined);
  const libraries = await Promise.race([asked, late]);
  timeout.abort();
  return libraries;
}

/** Why units could not be scored: each file that is refused, and what tasks and keys met. */
export function allFailures(
  prepared: Prepared | undefined,
  scored: Scored | undefined,
): ReadonlyMap<string, readonly Error[]> {
  return new Map([...(prepared?.badUnits ?? []), ...(scored?.failures ?? [])]);
}

function failuresOf(prepared: Prepared | undefined, scored: Scored | undefined): UnitFailure[] {
  return [...allFailures(prepared, scored)].flatMap(([unit, errors]) =>
    errors.map((error) => ({
      unit,
      code: error instanceof ScorelineError ? error.code : ('bug' as const),
      message: messageOf(error),
    })),
  );
}
