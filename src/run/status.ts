/** Finds what an output holds, what waits for a person, and how its last run ended. */
import { readFile } from 'node:fs/promises';
import { z } from 'zod';
import { messageOf } from '../base/errors.js';
import { canonicalJson } from '../base/hash.js';
import { sumLedgers } from '../plan/ledger.js';
import { type Manifest, unitOf } from '../plan/manifest.js';
import { type LastRun, nextSteps, type StatusReport, type Waiting } from '../report/status.js';
import { jobFile, readIfThere } from './chain.js';
import { type HistoryEntry, readHistory } from './history.js';
import { exceptionsOf, newNormalUnits } from './overridden.js';
import { pagePath } from './page.js';
import { latestSnapshot, newsOf, type Snapshot } from './snapshot.js';
import { type StagedEntry, stagedEntries } from './staged.js';
import type { Output } from './store.js';

/** Returns the state of an output; `folder` is how the user names it. Throws `environment` when its newest snapshot is damaged. */
export async function statusOf(output: Output, folder: string): Promise<StatusReport> {
  const latest = await latestSnapshot(output);
  const history = await readHistory(output);
  const runs = history.filter(({ command }) => command === 'run');
  const last = runs.at(-1);
  const { job, file } = await lastJob(output, runs);
  const known = {
    format: 1 as const,
    output: folder,
    job: latest?.manifest.name ?? job,
    jobFile: file,
    published: latest === undefined ? null : published(latest, history),
    staged: await waiting(output, latest),
    lastRun: last === undefined ? null : await lastRun(output, last),
    lastSuccess: runs.findLast(isSuccess)?.ended ?? null,
    overridden: [
      ...exceptionsOf(latest).map(({ unit }) => ({ partition: unit, as: 'exception' })),
      ...[...newNormalUnits(latest)].map((unit) => ({ partition: unit, as: 'new-normal' })),
    ],
    held: [...new Set((latest?.held ?? []).map(({ unit }) => unit))],
  };
  return { ...known, next: nextSteps(known) };
}

function isSuccess({ verdict }: HistoryEntry): boolean {
  return verdict === 'published' || verdict === 'unchanged';
}

function published(
  { number, folder, manifest }: Snapshot,
  history: readonly HistoryEntry[],
): StatusReport['published'] {
  const units = Object.values(manifest.units);
  const { scored } = sumLedgers(units.flatMap(({ inputs }) => inputs.map(({ ledger }) => ledger)));
  const by = history.findLast(
    ({ snapshot, manifest: made }) => snapshot === number && made !== null,
  );
  const at = by?.ended ?? null;
  return { snapshot: number, path: folder, partitions: units.length, rows: scored, at };
}

async function waiting(output: Output, latest: Snapshot | undefined): Promise<Waiting[]> {
  const damaged: Waiting[] = [];
  const entries = await stagedEntries(output, (run, error) =>
    damaged.push({
      run,
      state: 'damaged',
      partitions: [],
      gatesFailed: false,
      reasons: [messageOf(error)],
      folder: output.path('staged', run),
      page: null,
    }),
  );
  const found = await Promise.all(
    entries.map(async (entry): Promise<Waiting> => {
      const { runId, folder, record } = entry;
      const page = await pageOf(output, runId);
      const changed = changedUnits(entry);
      const state = stateOf(entry, changed, latest?.manifest);
      const reasons = record.reason.split('\n');
      const gatesFailed = record.judged?.some(({ failed }) => failed) ?? false;
      return { run: runId, state, partitions: changed, gatesFailed, reasons, folder, page };
    }),
  );
  return [...found, ...damaged].sort((a, b) => (a.run < b.run ? -1 : 1));
}

/** The partitions that would change with the publication of something staged. */
function changedUnits({ manifest, record }: StagedEntry): string[] {
  const units = new Map(
    record.units.flatMap((unit) => {
      const own = unitOf(manifest, unit);
      return own === undefined ? [] : [[unit, own] as const];
    }),
  );
  return [...newsOf({ units }, record.base ?? undefined).keys(), ...(record.removals ?? [])];
}

function stateOf(
  { manifest, record }: StagedEntry,
  changed: readonly string[],
  latest: Manifest | undefined,
): Waiting['state'] {
  const textIn = (of: Manifest | undefined, unit: string): string =>
    canonicalJson(unitOf(of, unit) ?? null);
  const isDropped = (unit: string): boolean => !record.units.includes(unit);
  const wanted = (unit: string): string =>
    isDropped(unit) ? textIn(undefined, unit) : textIn(manifest, unit);
  if (changed.every((unit) => textIn(latest, unit) === wanted(unit))) return 'published';
  const isForeign = (unit: string): boolean => {
    const theirs = textIn(latest, unit);
    return theirs !== textIn(record.base?.manifest, unit) && theirs !== wanted(unit);
  };
  return changed.some(isForeign) ? 'outdated' : 'waits';
}

async function pageOf(output: Output, runId: string): Promise<string | null> {
  return pagePath(output, runId).then(
    ({ path }) => path,
    () => null,
  );
}

const endSchema = z.looseObject({
  exit: z.int().nullable().default(null),
  units: z.looseObject({ notReady: z.array(z.string()) }).optional(),
});

async function lastRun(output: Output, entry: HistoryEntry): Promise<LastRun> {
  const { runId: run, at, verdict, error } = entry;
  const record = endSchema.safeParse(await recordOf(output, run)).data;
  return {
    run,
    at,
    verdict,
    exit: record?.exit ?? EXITS_OF_EARLIER[verdict] ?? null,
    error,
    page: await pageOf(output, run),
    notReady: record?.units?.notReady ?? [],
  };
}

/** What runs ended with whose records do not say it, as far as it follows from how they ended. */
const EXITS_OF_EARLIER: Readonly<Record<string, number>> = {
  published: 0,
  unchanged: 0,
  scored: 0,
  staged: 3,
};

const jobSchema = z.looseObject({ job: z.string(), receipt: z.looseObject({ job: z.string() }) });
const keptSchema = z.looseObject({ file: z.string().nullable() });

/** The name and the file of the job of the last run that names one. */
async function lastJob(
  output: Output,
  runs: readonly HistoryEntry[],
): Promise<{ readonly job: string | null; readonly file: string | null }> {
  for (const { runId } of runs.toReversed()) {
    const record = jobSchema.safeParse(await recordOf(output, runId)).data;
    if (record === undefined) continue;
    const kept = jsonOf(await readIfThere(jobFile(output, record.receipt.job)));
    return { job: record.job, file: keptSchema.safeParse(kept).data?.file ?? null };
  }
  return { job: null, file: null };
}

/** The record of a run; undefined where there is none that can be read. */
async function recordOf(output: Output, runId: string): Promise<unknown> {
  const path = output.path('runs', runId, 'run.json');
  return jsonOf(await readFile(path, 'utf8').catch(() => undefined));
}

function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
