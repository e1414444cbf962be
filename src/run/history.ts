/** What became of an output: a record of each run and of each act of a person, in `runs/`. Records are only ever added, and chained. */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { errnoOf, messageOf } from '../base/errors.js';
import { listFolder, removeLeftover } from '../base/files.js';
import { sha256 } from '../base/hash.js';
import { identity, scorelineVersion } from '../base/identity.js';
import { manifestText } from '../plan/manifest.js';
import type { ActReport, Receipt, RunReport } from '../report/report.js';
import { appendRecord } from './chain.js';
import type { Override } from './overridden.js';
import type { Draft, Snapshot } from './snapshot.js';
import type { Output } from './store.js';
import { draftsOf, draftText, publishedBy, sweep } from './unrecorded.js';

/** A name for a run that sorts by time: `20130601T020000.123Z-k3f9`. */
export function runIdOf(now: Date): string {
  const time = now.toISOString().replace(/[-:]/g, '');
  return `${time}-${Math.random().toString(36).slice(2, 6).padEnd(4, '0')}`;
}

const RUN_ID = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d(?:\.\d{3})?)Z-[a-z0-9]{4}$/;

/** Whether a name in `runs/` is that of a run or of an act. */
export function isRunId(name: string): boolean {
  return RUN_ID.test(name);
}

/** Keeps the record of a run or of an act: in the chain, and in a folder of its name. */
export async function record(output: Output, report: RunReport | ActReport): Promise<void> {
  await appendRecord(output, report.runId, report);
}

/** Who did something from `started` until now, and with what: the versions of the libraries are those that workers said. */
export function receiptOf(
  started: Date,
  now: Date,
  libraries: Readonly<Record<string, string>> = {},
): Receipt {
  const { duckdb = null, onnxruntime = null } = libraries;
  return {
    ...identity(),
    started: started.toISOString(),
    ended: now.toISOString(),
    versions: {
      scoreline: scorelineVersion(),
      node: process.versions.node,
      duckdb,
      onnxruntime,
    },
  };
}

/** What became of something staged: `waits` for a person, or a later run `replaced` it. */
export type StagedState = 'waits' | 'published' | 'discarded' | 'replaced';

/** One line of the history of an output. */
export interface HistoryEntry {
  readonly runId: string;
  /** When it began: ISO 8601, UTC. */
  readonly at: string;
  readonly command: string;
  /** How it ended; `unfinished` when it goes on or was killed, `damaged` when its record cannot be read. */
  readonly verdict: string;
  readonly rows: number | null;
  readonly scored: number | null;
  readonly quarantined: number | null;
  readonly wallMs: number | null;
  /** When it ended: ISO 8601, UTC; null where that is not recorded. */
  readonly ended: string | null;
  /** The snapshot that was published after it. */
  readonly snapshot: number | null;
  /** The digest of that snapshot's manifest, where this run or act made it. */
  readonly manifest: string | null;
  /** What an act was about: a run that had been staged, or a snapshot. */
  readonly subject: string | null;
  readonly because: string | null;
  /** What the data that an act published are to later runs: `exception` or `new-normal`. */
  readonly override: string | null;
  /** The run under whose name it staged something, and what became of that; null where it staged nothing. */
  readonly staged: { readonly run: string; readonly state: StagedState } | null;
  /** Who, and on which machine; null in records of before that was kept. */
  readonly user: string | null;
  readonly host: string | null;
  readonly error: string | null;
}

const text = z.string().nullable().default(null);
const recordSchema = z.looseObject({
  format: z.literal(1),
  runId: z.string(),
  command: z.string().default('run'),
  outcome: z.string(),
  snapshot: z.int().nullable().default(null),
  manifest: text,
  path: text,
  staged: text,
  ledger: z
    .looseObject({ rows: z.int(), scored: z.int().optional(), quarantined: z.int().optional() })
    .optional(),
  times: z.looseObject({ wall: z.number() }),
  subject: text,
  because: text,
  override: z.looseObject({ as: z.string() }).nullable().default(null),
  receipt: z.looseObject({ user: text, host: text, ended: text }).optional(),
  error: text,
});

/** The history of an output, oldest first. A record that is damaged or not there is said to be so. */
export async function readHistory(output: Output): Promise<HistoryEntry[]> {
  const entries: HistoryEntry[] = [];
  for (const runId of await listFolder(output.path('runs'))) {
    const [, year, month, day, hour, minute, second] = RUN_ID.exec(runId) ?? [];
    // Whatever else lies there is no run.
    if (year === undefined) continue;
    const at = `${year}-${month}-${day}T${hour}:${minute}:${second}Z`;
    entries.push({ runId, at, ...(await readRecord(output, runId)) });
  }
  return withStates(await withDrafts(entries, output), await listFolder(output.path('staged')));
}

/** Says of runs that have not ended, or were killed, what they are known to have published. */
async function withDrafts(
  entries: readonly HistoryEntry[],
  output: Output,
): Promise<readonly HistoryEntry[]> {
  if (!entries.some(isUnfinished)) return entries;
  const drafts = await draftsOf(output);
  return entries.map((entry) => {
    const draft = isUnfinished(entry) ? drafts.get(entry.runId)?.record : undefined;
    const found = draft && recordSchema.safeParse(draft).data;
    // What it published is known before it has ended.
    return found
      ? { ...entry, ...said(found), wallMs: null, error: null, verdict: entry.verdict }
      : entry;
  });
}

/** Says of runs that staged something whether it still waits, and what became of it where it does not. */
function withStates(entries: readonly HistoryEntry[], waiting: readonly string[]): HistoryEntry[] {
  const decided = new Map<string | null, StagedState>();
  for (const { command, verdict, subject } of entries) {
    if (command === 'discard' && verdict === 'discarded') decided.set(subject, 'discarded');
    const isPublished = verdict === 'published' || verdict === 'unchanged';
    if (command === 'publish' && isPublished) decided.set(subject, 'published');
  }
  return entries.map((entry) => {
    if (entry.staged === null) return entry;
    const { run } = entry.staged;
    const state = waiting.includes(run) ? 'waits' : (decided.get(run) ?? 'replaced');
    return { ...entry, staged: { run, state } };
  });
}

function isUnfinished({ verdict }: HistoryEntry): boolean {
  return verdict === 'unfinished';
}

/** What a record says, as a line of the history. */
function said(found: z.infer<typeof recordSchema>): Omit<HistoryEntry, 'runId' | 'at'> {
  const { outcome, command, snapshot, manifest, subject, because, error } = found;
  const { ledger, times, receipt, override } = found;
  // Records of earlier versions have the folder only as the path of a run that is staged.
  const staged = found.staged ?? (outcome === 'staged' ? found.path : null);
  return {
    command,
    verdict: outcome,
    rows: ledger?.rows ?? null,
    scored: ledger?.scored ?? null,
    quarantined: ledger?.quarantined ?? null,
    wallMs: times.wall,
    ended: receipt?.ended ?? null,
    override: override?.as ?? null,
    staged: staged === null ? null : { run: basename(staged), state: 'waits' },
    snapshot,
    manifest,
    subject,
    because,
    user: receipt?.user ?? null,
    host: receipt?.host ?? null,
    error,
  };
}

async function readRecord(
  output: Output,
  runId: string,
): Promise<Omit<HistoryEntry, 'runId' | 'at'>> {
  const nothing = {
    command: 'run',
    rows: null,
    scored: null,
    quarantined: null,
    wallMs: null,
    ended: null,
    snapshot: null,
    manifest: null,
    subject: null,
    because: null,
    override: null,
    staged: null,
    user: null,
    host: null,
  };
  try {
    const json: unknown = JSON.parse(
      await readFile(output.path('runs', runId, 'run.json'), 'utf8'),
    );
    const found = recordSchema.parse(json);
    if (found.runId !== runId) throw new Error('names another run');
    return said(found);
  } catch (error) {
    // A run writes its record last: one without it goes on, or was killed.
    if (errnoOf(error) === 'ENOENT') return { ...nothing, verdict: 'unfinished', error: null };
    const why = error instanceof z.ZodError ? 'is no record of a run' : messageOf(error);
    return { ...nothing, verdict: 'damaged', error: `run.json: ${why}` };
  }
}

/** What an act takes from outside. */
export interface ActOptions {
  readonly now: () => Date;
  readonly because: string | undefined;
}

/** What an act came to; `snapshot` is the one that it made. */
export interface ActResult {
  readonly outcome: ActReport['outcome'];
  readonly snapshot: Snapshot | undefined;
  /** What it overrode. */
  readonly overrides?: readonly string[];
  readonly override?: Override | undefined;
}

/** What the doing of an act is given: a temporary folder, and what to keep with a snapshot that it publishes. */
export interface ActScope {
  readonly temporary: string;
  readonly draft: (result: Omit<ActResult, 'snapshot'>) => Draft;
}

function overrideIn(override: Override | undefined): ActReport['override'] {
  return override === undefined
    ? null
    : { as: override.as, partitions: override.failed.map(({ unit }) => unit) };
}

/** Does what a person asked for, with a temporary folder, and records it, also when it fails. */
export async function act(
  output: Output,
  options: ActOptions & Pick<ActReport, 'command' | 'subject'>,
  perform: (scope: ActScope) => Promise<ActResult>,
): Promise<ActReport> {
  const { now, because, command, subject } = options;
  const started = performance.now();
  const began = now();
  const about = { format: 1 as const, runId: runIdOf(began), command, subject };
  const end = (result: ActResult, error: string | null): ActReport => ({
    ...about,
    outcome: result.outcome,
    snapshot: result.snapshot?.number ?? null,
    path: result.snapshot?.folder ?? null,
    manifest: result.snapshot === undefined ? null : sha256(manifestText(result.snapshot.manifest)),
    ...(result.snapshot?.files === undefined ? {} : { snapshotFiles: result.snapshot.files }),
    because: because ?? null,
    overrides: result.overrides ?? [],
    override: overrideIn(result.override),
    receipt: receiptOf(began, now()),
    times: { wall: performance.now() - started },
    error,
  });
  let owed = false;
  let temporary: string | undefined;
  const performed = async (): Promise<ActReport> => {
    try {
      await sweep(output, began);
      const own = await output.makeTemporary();
      temporary = own;
      const draft: ActScope['draft'] = (result) => (snapshot) => {
        owed = true;
        return draftText(output, own, end({ ...result, snapshot }, null));
      };
      return end(await perform({ temporary: own, draft }), null);
    } catch (error) {
      // What fails after the step that publishes takes nothing back.
      const { runId } = about;
      const snapshot = owed ? await publishedBy(output, runId).catch(() => undefined) : undefined;
      const report = end({ outcome: 'failed', snapshot }, messageOf(error));
      // The failure itself is what the user has to hear of, even where its record cannot be written.
      await record(output, report).then(
        () => {
          owed = false;
        },
        () => undefined,
      );
      throw error;
    }
  };
  try {
    const report = await performed();
    await record(output, report);
    owed = false;
    return report;
  } finally {
    // By it the next run or act sees that a record may be missing.
    if (temporary !== undefined && !owed) await removeLeftover(temporary);
  }
}
