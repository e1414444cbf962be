/** What a run did, as data and as text. Pure. */
import { type ErrorCode, shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import type { EngineChoice } from '../plan/engine.js';
import type { Ledger } from '../plan/ledger.js';

/** Where the time of a run went, in ms: summed over workers, but for the wall. */
export interface RunTimes {
  readonly wall: number;
  /** Listing, describing and planning, in the parent. */
  readonly describe: number;
  readonly read: number;
  readonly prepare: number;
  readonly infer: number;
  readonly write: number;
  /** Comparing with the baseline and judging by the gates, in the parent. */
  readonly judge: number;
  /** Auditing and publishing, in the parent. */
  readonly publish: number;
}

/** How a run ended; `partial`: some units are published, others could not be scored or failed a gate. */
export type RunOutcome = 'published' | 'partial' | 'unchanged' | 'scored' | 'staged' | 'failed';

/** Something for which a unit could not be scored. */
export interface UnitFailure {
  readonly unit: string;
  readonly code: ErrorCode;
  readonly message: string;
}

/** Who did something with an output, when, where, and with which versions; those that it did not need are null. */
export interface Receipt {
  readonly user: string | null;
  readonly uid: number | null;
  readonly host: string;
  /** ISO 8601, UTC. */
  readonly started: string;
  readonly ended: string;
  readonly versions: {
    readonly scoreline: string;
    readonly node: string;
    readonly duckdb: string | null;
    readonly onnxruntime: string | null;
  };
}

/** With what a run did it; null where it failed before that was known. */
export interface RunReceipt extends Receipt {
  /** The SHA-256 under which `runs/jobs/` keeps the job, with all that the command line set. */
  readonly job: string;
  readonly inputs: InputsReceipt | null;
  /** The SHA-256 of the model file, then those of its external data. */
  readonly model: readonly string[] | null;
}

/** What a run read: all files of the units that it covers. */
export interface InputsReceipt {
  /** The folder that paths are relative to. */
  readonly root: string;
  readonly files: number;
  /** The SHA-256 of lines as sha256sum prints them for the files, in the order of their paths. */
  readonly sha256: string;
}

/** SHA-256 digests of files, by name. */
export type FileDigests = Readonly<Record<string, string>>;

/** The report of a run. */
export interface RunReport {
  readonly format: 1;
  readonly runId: string;
  readonly job: string;
  readonly outcome: RunOutcome;
  /** The number and path of the snapshot that is published after the run; null before the first. */
  readonly snapshot: number | null;
  readonly path: string | null;
  /** The folder of what the run staged; null when it staged nothing. */
  readonly staged: string | null;
  /** The digest of the manifest that the run published; null when it published none. */
  readonly manifest: string | null;
  /** By name: the digests of the files beside that manifest. Records of earlier versions lack them. */
  readonly snapshotFiles?: FileDigests | undefined;
  /** By name: the digests of the files beside the run's record. */
  readonly runFiles?: FileDigests | undefined;
  /** Why what was reverted is published again, in the words of whoever said so; and what was overridden with that. */
  readonly because: string | null;
  readonly overrides: readonly string[];
  readonly receipt: RunReceipt;
  readonly units: {
    readonly planned: number;
    readonly bad: number;
    readonly notReady: readonly string[];
    /** Published units whose input is there no longer: those that stay, and those that the run dropped. */
    readonly vanished: readonly string[];
    readonly pruned: readonly string[];
  };
  /** Of every unit that could not be scored: why. A unit has a failure for each of its files that is to blame. */
  readonly failures: readonly UnitFailure[];
  readonly tasks: { readonly scored: number; readonly reused: number };
  /** All rows of the units that the run covers, scored now or before. */
  readonly ledger: Ledger;
  /** Rows that this run itself sent to the model, filtered ones included. */
  readonly rowsThisRun: number;
  readonly lossyCasts: readonly { readonly column: string; readonly values: number }[];
  /** Of the rows that this run set aside: how many for which reason, and the first of them. `no_record`: CSV records that are none. */
  readonly setAside: {
    readonly reasons: readonly { readonly reason: string; readonly rows: number }[];
    readonly examples: readonly string[];
  };
  /** The worst of the gates (none: nothing was judged), and the short of the report on what was scored, in lines. */
  readonly verdict: 'pass' | 'warn' | 'fail' | 'none';
  readonly gates: readonly string[];
  readonly notes: readonly string[];
  readonly workers: number;
  readonly device: string;
  /** What ran the model, and why; null when no task was to do. */
  readonly engine: EngineChoice | null;
  readonly times: RunTimes;
  /** The sum of every process's own peak. */
  readonly peakBytes: number;
  /** What the process ends with because of this run. */
  readonly exit: number;
  readonly error: string | null;
}

/** The report of what a person did with an output: kept with those of its runs. */
export interface ActReport {
  readonly format: 1;
  readonly runId: string;
  readonly command: 'publish' | 'discard' | 'revert' | 'verify';
  readonly outcome:
    | 'published'
    | 'unchanged'
    | 'discarded'
    | 'reverted'
    | 'repaired'
    | 'accepted'
    | 'failed';
  /** What it was about: a run that had been staged, or a snapshot. */
  readonly subject: string;
  /** The number and path of the snapshot that it made, and the digest of its manifest; null when it made none. */
  readonly snapshot: number | null;
  readonly path: string | null;
  readonly manifest: string | null;
  /** By name: the digests of the files beside that manifest. Records of earlier versions lack them. */
  readonly snapshotFiles?: FileDigests | undefined;
  readonly because: string | null;
  /** What it overrode: the gate that had failed, a revert. */
  readonly overrides: readonly string[];
  /** What the partitions whose gates had failed are to later runs; null where none was overridden. */
  readonly override: {
    readonly as: 'exception' | 'new-normal';
    readonly partitions: readonly string[];
  } | null;
  readonly receipt: Receipt;
  readonly times: { readonly wall: number };
  readonly error: string | null;
}

/** The line that ends an act on a terminal. */
export function actLines({ outcome, subject, path, snapshot, override }: ActReport): string[] {
  const where = path === null ? '' : `: ${path} (snapshot ${snapshot})`;
  const line = `${outcome === 'unchanged' ? 'published already' : outcome} ${shown(subject)}${where}`;
  return override === null ? [line] : [line, overrideLine(override)];
}

function overrideLine({ as, partitions }: NonNullable<ActReport['override']>): string {
  const names = namesOf(partitions);
  return as === 'exception'
    ? `exception: ${names} will never be a baseline (--new-normal makes it one)`
    : `new normal: only ${names} and later data will be a baseline`;
}

/** The first names of some partitions, and how many there are. */
export function namesOf(units: readonly string[], most = 5): string {
  const names = units.slice(0, most).map((unit) => shown(unit === '' ? '.' : unit));
  return `${names.join(', ')}${units.length > most ? `, … (${units.length})` : ''}`;
}

/** A report as the lines that end a run on a terminal. */
export function reportLines(report: RunReport): string[] {
  const { ledger, times, tasks, units } = report;
  if (report.outcome === 'unchanged') {
    return [
      `nothing to do: ${plural(units.planned, 'partition')} up to date, ${grouped(ledger.rows)} rows`,
      ...noteLines(report),
      ...publishedLine(report),
    ];
  }
  const seconds = times.wall / 1000;
  const rate =
    report.rowsThisRun === 0 ? '' : `, ${grouped(Math.round(report.rowsThisRun / seconds))} rows/s`;
  const work = times.read + times.prepare + times.infer + times.write;
  const share = (ms: number): string => `${work === 0 ? 0 : Math.round((100 * ms) / work)} %`;
  return [
    `rows       ${grouped(ledger.rows)} = ${grouped(ledger.scored)} scored + ${grouped(ledger.quarantined)} quarantined + ${grouped(ledger.filtered)} filtered`,
    `tasks      ${grouped(tasks.scored)} scored, ${grouped(tasks.reused)} already there, in ${plural(units.planned, 'partition')}`,
    `time       ${seconds.toFixed(2)} s${rate}, ${plural(report.workers, 'worker')} on ${report.device}`,
    `where      read ${share(times.read)}, prepare ${share(times.prepare)}, infer ${share(times.infer)}, write ${share(times.write)}` +
      `; before: describe ${Math.round(times.describe)} ms, after: judge ${Math.round(times.judge)} ms, publish ${Math.round(times.publish)} ms`,
    ...engineLines(report),
    `memory     ${grouped(Math.round(report.peakBytes / 2 ** 20))} MiB at most, all processes`,
    ...report.gates,
    ...noteLines(report),
    ...failedLine(report),
    ...publishedLine(report),
  ];
}

function failedLine({ outcome, units }: RunReport): string[] {
  if (outcome !== 'partial' || units.bad === 0) return [];
  return [
    `failed     ${plural(units.bad, 'partition')}, as the errors say; the others are published`,
  ];
}

function engineLines({ engine }: RunReport): string[] {
  return engine === null ? [] : [`engine     ${engine.engine} (${engine.why})`];
}

function noteLines(report: RunReport): string[] {
  const casts = report.lossyCasts.map(
    ({ column, values }) => `column "${shown(column)}": a cast changed ${grouped(values)} values`,
  );
  return [...casts, ...report.notes].map((note) => `note       ${note}`);
}

function publishedLine({ path, snapshot, outcome, staged }: RunReport): string[] {
  if (outcome === 'scored')
    return ['scored     a share of the tasks; a run without --shard publishes them'];
  if (path === null) return [];
  if (outcome === 'staged') return [`staged     ${path}`];
  const published = `published  ${path} (snapshot ${snapshot})`;
  return staged === null ? [published] : [published, `staged     ${staged}`];
}

/** A count and its noun. */
export function plural(count: number, noun: string): string {
  return `${grouped(count)} ${noun}${count === 1 ? '' : 's'}`;
}
