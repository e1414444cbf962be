/** What a run would have published whose gates failed: kept aside, then published or discarded by a person. */
import { readFile, rename } from 'node:fs/promises';
import { join } from 'node:path';
import { didYouMean, errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { listFolder, putFolderIfAbsent, removeTree, writeFileWhole } from '../base/files.js';
import { canonicalJson, sealed, sha256 } from '../base/hash.js';
import {
  type JudgedUnit,
  type Manifest,
  manifestText,
  parseManifest,
  parseStaged,
  type StagedRecord,
  type UnitRecord,
  unitOf,
} from '../plan/manifest.js';
import { cappedLines } from '../report/quality.js';
import { parseQuality, type QualityReport, reportText } from '../report/quality-schema.js';
import type { ActReport } from '../report/report.js';
import { heldOf, overriddenReverts } from './held.js';
import { type ActOptions, act, readHistory, type StagedState } from './history.js';
import type { Override, OverrideKind } from './overridden.js';
import {
  type Base,
  buildSnapshot,
  latestSnapshot,
  merge,
  newsOf,
  type Publication,
  publish,
  REPORT_FILE,
} from './snapshot.js';
import type { Output } from './store.js';

/** What a run stages, and why. */
export interface StageOptions {
  readonly runId: string;
  readonly reason: string;
  /** The lines of the gates that failed. */
  readonly gates?: readonly string[];
  /** The units that it brings anew, and which of them failed. */
  readonly judged?: readonly JudgedUnit[];
  readonly report?: QualityReport;
  readonly temporary: string;
}

/**
 * Builds what would have been published, to look at and to publish later; the folder appears whole. Where an earlier run has staged
 * the same for the same reason, and that still waits, its folder is the answer.
 */
export async function stage(
  output: Output,
  publication: Publication,
  base: Base | undefined,
  options: StageOptions,
): Promise<string> {
  const latest = await latestSnapshot(output);
  const manifest = merge(publication, latest);
  const record = stagedRecord(publication, base, options);
  const decided = decisionText(manifest, record);
  for (const entry of await stagedEntries(output))
    if (decisionText(entry.manifest, entry.record) === decided) return entry.folder;
  const building = join(options.temporary, 'staged');
  const holders = latest === undefined ? [] : [latest];
  await buildSnapshot(output, manifest, building, holders);
  const report =
    options.report &&
    reportText({ ...options.report, outcome: 'staged' as const, error: options.reason });
  if (report !== undefined) await writeFileWhole(join(building, REPORT_FILE), report);
  const bound: StagedRecord = {
    ...record,
    manifest: sha256(manifestText(manifest)),
    ...(report === undefined ? {} : { report: sha256(report) }),
  };
  await writeFileWhole(join(building, 'staged.json'), `${canonicalJson(sealed(bound))}\n`);
  const folder = output.path('staged', options.runId);
  await putFolderIfAbsent(building, folder);
  return folder;
}

function stagedRecord(
  { units, removals = [] }: Publication,
  base: Base | undefined,
  { gates, judged, reason }: StageOptions,
): StagedRecord {
  const names = [...units.keys()];
  const planned = [...names, ...removals];
  return {
    format: 1,
    units: names,
    ...(removals.length === 0 ? {} : { removals: [...removals] }),
    base:
      base === undefined ? null : { number: base.number, manifest: only(base.manifest, planned) },
    ...(gates?.length ? { gates: [...gates] } : {}),
    ...(judged?.length ? { judged: [...judged] } : {}),
    reason,
  };
}

/** All that a decision about staged units rests on: their content, what it takes the place of, and what failed. */
function decisionText(manifest: Manifest, record: StagedRecord): string {
  const { units, removals = [], base, gates = [], judged = [] } = record;
  const contents = (of: Manifest | undefined): unknown =>
    of === undefined ? {} : Object.fromEntries(recordsOf(of, [...units, ...removals].sort()));
  const before = contents(base?.manifest);
  return canonicalJson({ now: contents(only(manifest, units)), before, removals, gates, judged });
}

/** Something that is staged and waits for a person. */
export interface StagedEntry {
  readonly runId: string;
  readonly folder: string;
  readonly manifest: Manifest;
  readonly record: StagedRecord;
}

/** What is staged, the oldest first. What cannot be read is told to `onDamage`. */
export async function stagedEntries(
  output: Output,
  onDamage: (runId: string, error: unknown) => void = () => undefined,
): Promise<StagedEntry[]> {
  const entries: StagedEntry[] = [];
  for (const runId of await listFolder(output.path('staged'))) {
    const folder = output.path('staged', runId);
    try {
      entries.push({ runId, folder, ...(await readStaged(folder)) });
    } catch (error) {
      // Published, discarded or replaced meanwhile: then it waits no longer.
      if ((await listFolder(output.path('staged'))).includes(runId)) onDamage(runId, error);
    }
  }
  return entries;
}

/**
 * Removes what earlier runs staged of partitions that a later run covers: that run has published them, or staged them anew in the
 * folder `kept`. Returns the runs whose work is gone. A crash between two of them leaves the rest to the next run.
 */
export async function removeReplaced(
  output: Output,
  {
    runId,
    covers,
    kept,
    temporary,
  }: {
    readonly runId: string;
    readonly covers: ReadonlySet<string>;
    readonly kept?: string | undefined;
    readonly temporary: string;
  },
): Promise<string[]> {
  const replaced = (await stagedEntries(output)).filter(
    ({ runId: earlier, folder, record: { units, removals = [] } }) =>
      earlier < runId &&
      folder !== kept &&
      [...units, ...removals].every((unit) => covers.has(unit)),
  );
  for (const { folder } of replaced) await remove(folder, temporary);
  return replaced.map((entry) => entry.runId);
}

/** A manifest without the units that are not named. */
function only(manifest: Manifest, names: readonly string[]): Manifest {
  return { ...manifest, units: Object.fromEntries(recordsOf(manifest, names)) };
}

function recordsOf(manifest: Manifest, names: readonly string[]): Map<string, UnitRecord> {
  const records = new Map<string, UnitRecord>();
  for (const name of names) {
    const unit = unitOf(manifest, name);
    if (unit !== undefined) records.set(name, unit);
  }
  return records;
}

/**
 * Publishes what a run staged, as if the run did it now: on top of the highest snapshot, in conflict with a unit that another
 * run has published since with other content. What was reverted is published only with a reason. Throws as `publish` does,
 * and `usage` when the run staged nothing.
 */
export async function publishStaged(
  output: Output,
  runId: string,
  options: ActOptions & { readonly as?: OverrideKind | undefined },
): Promise<ActReport> {
  const { because, as } = options;
  if (because === undefined && as !== undefined)
    throw new ScorelineError('usage', `--${as}: needs --because "…", which says why`);
  const folder = await stagedFolder(output, runId);
  return act(
    output,
    { command: 'publish', subject: runId, ...options },
    async ({ temporary, draft }) => {
      const { manifest, record } = await readStaged(folder);
      if (record.gates !== undefined && because === undefined)
        throw new ScorelineError('gate', refusalOf(runId, record));
      const override = because === undefined ? undefined : overrideOf(manifest, record, as);
      const report = await stagedReport(folder, record, because);
      const units: Publication = {
        name: manifest.name,
        extension: manifest.extension,
        units: recordsOf(manifest, record.units),
        removals: record.removals ?? [],
        evenReverted: because !== undefined,
        override,
        ...(report !== undefined && { review: async () => report }),
      };
      const holders = [{ folder, manifest }];
      const latest = await latestSnapshot(output);
      const reverts = because === undefined ? [] : heldOf(units, latest);
      const overrides = [record.reason, ...overriddenReverts(reverts)];
      const result = { outcome: 'published' as const, overrides, override };
      const publication = { ...units, draft: draft(result) };
      const snapshot = await publish(
        output,
        publication,
        record.base ?? undefined,
        temporary,
        holders,
      );
      // A crash before this leaves it staged: to publish it again changes nothing.
      await remove(folder, temporary);
      return { ...result, outcome: snapshot === undefined ? 'unchanged' : 'published', snapshot };
    },
  );
}

/** Why something is not published without a reason, and what to type. */
function refusalOf(runId: string, { gates = [], judged = [] }: StagedRecord): string {
  const failed = judged.some((unit) => unit.failed);
  const kinds = failed
    ? ' and --exception (never a baseline) or --new-normal (a baseline from then on)'
    : '';
  return `${shown(runId)}: ${cappedLines(gates).join('; ')}; look at it, then publish it with --because "…"${kinds}, or discard it`;
}

/**
 * What a person decided about the units whose gates failed: by itself they are an exception. Where none failed, only what was said
 * counts, and it is about all that is brought.
 */
function overrideOf(
  manifest: Manifest,
  { units, base, judged, gates = [] }: StagedRecord,
  as: OverrideKind | undefined,
): Override | undefined {
  // Records of earlier versions do not say which units failed.
  const brought =
    judged ??
    [...newsOf({ units: recordsOf(manifest, units) }, base ?? undefined).keys()].map((unit) => ({
      unit,
      date: null,
      failed: gates.some((line) => line.startsWith('fail')),
    }));
  const failed = brought.filter((unit) => unit.failed);
  if (failed.length > 0) return { as: as ?? 'exception', failed };
  return as === undefined ? undefined : { as, failed: brought };
}

/** The report of what is staged, as that of what a person publishes; undefined where it cannot be read. */
async function stagedReport(
  folder: string,
  { report: digest }: StagedRecord,
  because: string | undefined,
): Promise<string | undefined> {
  const text = await readFile(join(folder, REPORT_FILE), 'utf8').catch(() => '');
  const report = digest === undefined || digest === sha256(text) ? parseQuality(text) : undefined;
  if (report === undefined) return undefined;
  return reportText({ ...report, outcome: 'published', because: because ?? null });
}

/** Removes what a run staged. Throws `usage` when it staged nothing. */
export async function discardStaged(
  output: Output,
  runId: string,
  options: ActOptions,
): Promise<ActReport> {
  const folder = await stagedFolder(output, runId);
  return act(output, { command: 'discard', subject: runId, ...options }, async ({ temporary }) => {
    await remove(folder, temporary);
    return { outcome: 'discarded', snapshot: undefined };
  });
}

/** What became of something staged that is there no longer. */
const BECAME: Readonly<Record<StagedState, string>> = {
  waits: 'is being published or discarded',
  published: 'has been published',
  discarded: 'has been discarded',
  replaced: 'a later run has replaced what it staged',
};

async function stagedFolder(output: Output, runId: string): Promise<string> {
  const staged = await listFolder(output.path('staged'));
  // Only a name that is listed is looked at: a path that leads elsewhere is none.
  if (staged.includes(runId)) return output.path('staged', runId);
  const list = staged.slice(-5).map((name) => shown(name, 40));
  const before = (await readHistory(output)).find((entry) => entry.staged?.run === runId)?.staged;
  if (before != null)
    throw new ScorelineError(
      'usage',
      `${shown(runId)}: ${BECAME[before.state]}; "scoreline status" shows what waits`,
    );
  throw new ScorelineError(
    'usage',
    `${shown(runId)}: no run of this name has anything staged${didYouMean(runId, staged)}; ` +
      (list.length === 0 ? 'nothing is staged' : `staged: ${list.join(', ')}`),
  );
}

/** What is staged in a folder. Throws `environment` when it is damaged. */
export async function readStaged(
  folder: string,
): Promise<{ readonly manifest: Manifest; readonly record: StagedRecord }> {
  const manifestPath = join(folder, 'manifest.json');
  const path = join(folder, 'staged.json');
  let damaged = manifestPath;
  try {
    const manifest = parseManifest(await readFile(manifestPath, 'utf8'), manifestPath);
    const record = parseStaged(await readFile(path, 'utf8'));
    if (record === undefined) damaged = path;
    else if ([undefined, sha256(manifestText(manifest))].includes(record.manifest))
      return { manifest, record };
  } catch (error) {
    throw systemError(error, `cannot read what is staged in ${shown(folder)}`);
  }
  throw new ScorelineError('environment', `${shown(damaged)}: damaged; discard it and run again`);
}

/** Takes a folder away in one step, then removes it. */
async function remove(folder: string, temporary: string): Promise<void> {
  const away = join(temporary, 'removed');
  try {
    await rename(folder, away);
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return;
    throw systemError(error, `cannot remove ${shown(folder)}`);
  }
  await removeTree(away);
}
