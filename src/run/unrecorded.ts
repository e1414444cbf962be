/**
 * Snapshots that no record names, because their run or act ended between publishing and recording. What the record is to say is
 * kept with the snapshot, in `publisher.json`; whoever comes next adds it to the chain, once, and only when the other is gone.
 */
import { readFile } from 'node:fs/promises';
import { basename } from 'node:path';
import { z } from 'zod';
import { listFolder, removeLeftover } from '../base/files.js';
import { isUnedited, sealed } from '../base/hash.js';
import { parseQuality } from '../report/quality-schema.js';
import type { ActReport, RunReport } from '../report/report.js';
import { appendRecord, chainNumbers, isPlainName, isRecorded, readIfThere } from './chain.js';
import { keepPage, PAGE_FILE } from './run-page.js';
import {
  PUBLISHER_FILE,
  REPORT_FILE,
  readSnapshot,
  type Snapshot,
  snapshotName,
  snapshotNumbers,
} from './snapshot.js';
import { type Output, ownerOf } from './store.js';

/** What is said of a run or an act whose record another one added. */
const ADDED_LATER = 'ended before it could record this; the record was added afterwards';

const draftSchema = z.looseObject({
  format: z.literal(1),
  /** The number of the newest record of the chain when it was written: its own comes after that. */
  after: z.int().nonnegative(),
  /** The name of the temporary folder of whoever published. */
  temporary: z.string(),
  record: z.looseObject({
    runId: z.string().refine(isPlainName),
    error: z.string().nullable(),
    snapshot: z.int().nullable().optional(),
    snapshotFiles: z.record(z.string(), z.string()).optional(),
    receipt: z.looseObject({ ended: z.string() }),
  }),
  digest: z.string(),
});

/** What is kept with a snapshot of the run or act that published it. */
type Draft = z.infer<typeof draftSchema>;

/** The text to keep with a snapshot: what the record of whoever publishes it would be if it ended now. */
export async function draftText(
  output: Output,
  temporary: string,
  report: RunReport | ActReport,
): Promise<string> {
  const after = (await chainNumbers(output, true))[0] ?? 0;
  const draft = { format: 1, after, temporary: basename(temporary), record: report };
  // What JSON leaves out is no part of the digest.
  return `${JSON.stringify(sealed(JSON.parse(JSON.stringify(draft))))}\n`;
}

/** What is kept with a snapshot; null when it is damaged or another snapshot's, undefined in one of before this was kept. */
export async function readDraft(output: Output, number: number): Promise<Draft | null | undefined> {
  const text = await readIfThere(output.path('snapshots', snapshotName(number), PUBLISHER_FILE));
  if (text === undefined) return undefined;
  try {
    const draft = draftSchema.safeParse(JSON.parse(text)).data;
    const isOwn = (draft?.record.snapshot ?? number) === number;
    return draft !== undefined && isUnedited(draft) && isOwn ? draft : null;
  } catch {
    return null;
  }
}

/** By the id of the run or act: the snapshot that it published, and what its record would be. Damaged ones are left out. */
export async function draftsOf(
  output: Output,
): Promise<ReadonlyMap<string, { readonly number: number; readonly record: Draft['record'] }>> {
  const drafts = new Map<string, { number: number; record: Draft['record'] }>();
  for (const number of await snapshotNumbers(output)) {
    const draft = await readDraft(output, number);
    if (draft) drafts.set(draft.record.runId, { number, record: draft.record });
  }
  return drafts;
}

/** The snapshot that a run or act published, however it went on; undefined when it published none. */
export async function publishedBy(output: Output, runId: string): Promise<Snapshot | undefined> {
  const published = (await draftsOf(output)).get(runId);
  if (published === undefined) return undefined;
  const snapshot = await readSnapshot(output, published.number);
  return { ...snapshot, files: published.record.snapshotFiles };
}

/** Whether a snapshot's record is still to come, or to be added by somebody else. */
export async function isOwed(output: Output, number: number): Promise<boolean> {
  const draft = await readDraft(output, number);
  return draft ? !(await isRecorded(output, draft.record.runId, draft.after)) : false;
}

/** A snapshot that no record names. */
interface Unrecorded {
  readonly number: number;
  /** What is kept with it; null when that is damaged. */
  readonly draft: Draft | null;
}

/** Nobody needs so long from publishing to recording: for processes of which nothing else is known. */
const PATIENCE_MS = 60 * 60 * 1000;

/** The snapshots that no record names and whose publishers are gone, the newest first. */
export async function unrecorded(output: Output, now: Date): Promise<Unrecorded[]> {
  const found: Unrecorded[] = [];
  for (const number of (await snapshotNumbers(output)).reverse()) {
    const draft = await readDraft(output, number);
    if (draft === undefined) continue;
    // Whoever is gone records nothing more: so this look comes before the one for its record.
    if (draft !== null && !isGone(draft, now)) continue;
    if (draft !== null && (await isRecorded(output, draft.record.runId, draft.after))) continue;
    found.push({ number, draft });
  }
  return found;
}

function isGone({ temporary, record }: Draft, now: Date): boolean {
  const owner = ownerOf(temporary);
  if (owner !== 'elsewhere') return owner !== 'alive';
  return now.getTime() - Date.parse(record.receipt.ended) > PATIENCE_MS;
}

/**
 * Adds the records of runs and acts that ended before they could do it themselves. Many may do so at once, also beside one that was
 * not gone after all: the chain takes one record of each. Throws `environment`.
 */
export async function addMissing(output: Output, now: Date): Promise<void> {
  for (const { number, draft } of await unrecorded(output, now))
    if (draft !== null) await addRecord(output, number, draft);
}

async function addRecord(output: Output, number: number, { record }: Draft): Promise<void> {
  const error = record.error === null ? ADDED_LATER : `${ADDED_LATER}\n${record.error}`;
  const late = { ...record, error };
  await appendRecord(output, record.runId, late);
  if ('command' in record) return;
  // A run can do without its page; and another version's record may lack what this one shows.
  await keepLatePage(output, number, late as unknown as RunReport).catch(() => undefined);
}

async function keepLatePage(output: Output, number: number, run: RunReport): Promise<void> {
  if ((await listFolder(output.path('runs', run.runId))).includes(PAGE_FILE)) return;
  const path = output.path('snapshots', snapshotName(number), REPORT_FILE);
  const quality = parseQuality(await readFile(path, 'utf8'));
  if (quality !== undefined) await keepPage(output, run, quality, []);
}

/**
 * Clears up after processes that are gone: adds the records that they owe, then removes their temporary folders, by which others
 * see that there may be something to do. Throws `environment`.
 */
export async function sweep(output: Output, now: Date): Promise<void> {
  const { dead, strangers } = await output.leftovers(now);
  if (dead.length > 0 || strangers) await addMissing(output, now);
  for (const folder of dead) await removeLeftover(folder);
}
