/** Whether the chain of records is what was written, and the records that people look at are those of the chain. */
import { lstat, readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { z } from 'zod';
import { errnoOf, messageOf } from '../base/errors.js';
import { listFolder, removeTree } from '../base/files.js';
import { isUnedited, sha256 } from '../base/hash.js';
import type { FileDigests } from '../report/report.js';
import {
  type ChainRecord,
  chainFile,
  chainNumbers,
  isPlainName,
  jobFile,
  parseChainRecord,
  place,
  readIfThere,
} from './chain.js';
import { isRunId } from './history.js';
import type { Output } from './store.js';

/** What is wrong with the records of an output. */
export interface ChainVerdict {
  readonly records: number;
  /** The SHA-256 of the newest: kept elsewhere, it shows whether records are missing at the end. */
  readonly newest: string | null;
  readonly damage: readonly ChainDamage[];
  /** How much more damage there is that a person accepted. */
  readonly accepted: number;
  /** By number of a snapshot: the digests of the files beside its manifest, as whole records say. */
  readonly snapshotFiles: ReadonlyMap<number, FileDigests>;
}

/** A file that is not what it was; `mend` puts it right where the chain itself is whole. */
export interface ChainDamage {
  /** Relative to the output. */
  readonly path: string;
  readonly problem: string;
  readonly mend?: () => Promise<string>;
  /** The damage as a text that names it alone, and what is there now: so it is accepted. */
  readonly id: string;
}

/** What is found before it is known what of it was accepted. */
type Find = (path: string, problem: string, mend?: ChainDamage['mend']) => Promise<void>;

/**
 * Looks at every record. An edit, a record that is gone in the middle, and one that was put in between show; that records are
 * gone at the end does not, unless somebody knows the newest. Records from before there was a chain are in none. With `all`, the
 * reports and pages of all runs are compared with their records; else those of the newest run.
 */
export async function chainDamage(
  output: Output,
  { all }: { readonly all: boolean },
): Promise<ChainVerdict> {
  const numbers = await chainNumbers(output);
  const damage: ChainDamage[] = [];
  const accepted = new Set<string>();
  const found: Find = async (path, problem, mend) => {
    const at = relative(output.root, path);
    const text = await readIfThere(path).catch(() => undefined);
    const id = `${at}: ${problem}${text === undefined ? '' : ` (${sha256(text)})`}`;
    damage.push({ path: at, problem, id, ...(mend === undefined ? {} : { mend }) });
  };
  const runs = new Map<string, Chained>();
  const jobs = new Set<string>();
  const runFiles = new Map<string, FileDigests>();
  const snapshotFiles = new Map<number, FileDigests>();
  let before: Link | undefined;
  for (const number of numbers) {
    const next = (before?.number ?? 0) + 1;
    const more = number - next > 1 ? `, and all up to ${number - 1}` : '';
    if (next < number) await found(chainFile(output, next), `is missing${more}`);
    const link = await readLink(output, number);
    const problem = problemOf(link, before);
    if (problem !== undefined) await found(chainFile(output, problem.number), problem.problem);
    if (link.record !== undefined) {
      runs.set(link.record.runId, { number, whole: isUnedited(link.record) });
      const job = jobOf(link.record);
      if (job !== undefined) jobs.add(job);
      for (const id of acceptedBy(link.record)) accepted.add(id);
      const { data: files } = filesSchema.safeParse(isUnedited(link.record) ? link.record : {});
      if (files?.snapshot && files.snapshotFiles)
        snapshotFiles.set(files.snapshot, files.snapshotFiles);
      if (files?.runFiles && isPlainName(link.record.runId))
        runFiles.set(link.record.runId, files.runFiles);
    }
    before = link;
  }
  for (const [runId, chained] of runs) {
    // That of the newest comes just after it: the next record sees to it where a process ended between.
    if (chained.number !== before?.number || (await hasRecord(output, runId)))
      await checkPlace(output, runId, chained, found);
  }
  for (const runId of await strangers(output, runs, before?.number ?? 0))
    await found(output.path('runs', runId, 'run.json'), 'is not in the chain of records');
  for (const digest of jobs) {
    const problem = await textProblem(jobFile(output, digest), digest);
    if (problem !== undefined) await found(jobFile(output, digest), problem);
  }
  for (const [runId, files] of all ? runFiles : [...runFiles].slice(-1))
    for (const [name, digest] of Object.entries(files)) {
      const problem = await textProblem(output.path('runs', runId, name), digest);
      if (problem !== undefined) await found(output.path('runs', runId, name), problem);
    }
  const open = damage.filter(({ id }) => !accepted.has(id));
  return {
    records: numbers.length,
    newest: before?.digest ?? null,
    damage: open,
    accepted: damage.length - open.length,
    snapshotFiles,
  };
}

/** The digests that a record keeps. A name that leads out of the folder is none of scoreline's. */
const digestsSchema = z.record(z.string().regex(/^[a-z]+\.[a-z]+$/), z.string());
const filesSchema = z.looseObject({
  snapshot: z.int().nullable().optional(),
  snapshotFiles: digestsSchema.optional(),
  runFiles: digestsSchema.optional(),
});

const acceptanceSchema = z.looseObject({
  command: z.literal('verify'),
  outcome: z.literal('accepted'),
  overrides: z.array(z.string()),
});

/** The damage that a record says was accepted, if it is itself as it was written. */
function acceptedBy(record: ChainRecord): readonly string[] {
  const acceptance = acceptanceSchema.safeParse(record);
  return acceptance.success && isUnedited(record) ? acceptance.data.overrides : [];
}

/** Where the chain has the record of a run, and whether it is as it was written. */
interface Chained {
  readonly number: number;
  readonly whole: boolean;
}

interface Link {
  readonly number: number;
  /** The SHA-256 of its text; null when it is not there. */
  readonly digest: string | null;
  readonly record: ChainRecord | undefined;
}

async function readLink(output: Output, number: number): Promise<Link> {
  const text = await readIfThere(chainFile(output, number));
  if (text === undefined) return { number, digest: null, record: undefined };
  return { number, digest: sha256(text), record: parseChainRecord(text) };
}

/** What is wrong with a record, or, as it tells, with the one before it. */
function problemOf(
  { number, digest, record }: Link,
  before: Link | undefined,
): { number: number; problem: string } | undefined {
  if (digest === null) return { number, problem: 'is missing' };
  if (record === undefined) return { number, problem: 'is damaged' };
  if (!isUnedited(record)) return { number, problem: 'its content has changed' };
  if (record.chain.number !== number)
    return { number, problem: `is record ${record.chain.number}, in the place of ${number}` };
  const previous = before?.number === number - 1 ? before.digest : undefined;
  // What is gone before it is named already, and so is what was edited.
  if (previous === undefined && number > 1) return undefined;
  if (record.chain.previous === (previous ?? null)) return undefined;
  if (before === undefined) return { number, problem: 'follows a record, but is the first' };
  if (before.record === undefined || !isUnedited(before.record)) return undefined;
  return {
    number: before.number,
    problem: `is not the record that ${number} was written after`,
  };
}

/** The digest of the job that a record names. */
export function jobOf({ receipt }: ChainRecord): string | undefined {
  if (typeof receipt !== 'object' || receipt === null || !('job' in receipt)) return undefined;
  const { job } = receipt;
  return typeof job === 'string' && /^[0-9a-f]{64}$/.test(job) ? job : undefined;
}

/** Whether the record in the folder of a run is that of the chain. */
async function checkPlace(
  output: Output,
  runId: string,
  { number, whole }: Chained,
  found: Find,
): Promise<void> {
  if (!isPlainName(runId)) return;
  const path = output.path('runs', runId, 'run.json');
  const takeFromChain = async (): Promise<string> => {
    await removeTree(path);
    await place(output, number, runId);
    return 'taken from the chain';
  };
  // Where the chain was edited, the record that is here may be all that is left of it.
  const mend = whole ? takeFromChain : undefined;
  try {
    const [own, chained] = [await lstat(path), await lstat(chainFile(output, number))];
    if (own.ino === chained.ino && own.dev === chained.dev) return;
    const same =
      own.isFile() &&
      (await readFile(path, 'utf8')) === (await readFile(chainFile(output, number), 'utf8'));
    if (!same) await found(path, 'is not the record of the chain', mend);
  } catch (error) {
    const gone = errnoOf(error) === 'ENOENT';
    await found(path, gone ? 'is missing' : messageOf(error), gone ? mend : undefined);
  }
}

async function hasRecord(output: Output, runId: string): Promise<boolean> {
  return (await listFolder(output.path('runs', runId))).includes('run.json');
}

/** Runs with a record that is in no chain, though there was one. */
async function strangers(
  output: Output,
  runs: ReadonlyMap<string, Chained>,
  last: number,
): Promise<string[]> {
  const first = [...runs.keys()].sort()[0];
  const names = await listFolder(output.path('runs'));
  const strange: string[] = [];
  for (const runId of names) {
    if (!isRunId(runId) || runs.has(runId)) continue;
    const text = await readIfThere(output.path('runs', runId, 'run.json')).catch(() => '');
    if (text === undefined) continue;
    // One from before the chain has no place in it.
    const isOld = first === undefined || runId < first;
    const own = parseChainRecord(text);
    if (own === undefined ? isOld : await isNewer(output, own, last)) continue;
    strange.push(runId);
  }
  return strange;
}

/** Whether a record was added to the chain since that was looked at. */
async function isNewer(output: Output, own: ChainRecord, last: number): Promise<boolean> {
  const { number } = own.chain;
  if (number <= last) return false;
  const text = await readIfThere(chainFile(output, number));
  return text !== undefined && parseChainRecord(text)?.runId === own.runId;
}

/** What is wrong with a file of a digest; undefined when nothing is. */
async function textProblem(path: string, digest: string): Promise<string | undefined> {
  const text = await readIfThere(path);
  if (text === undefined) return 'is missing';
  return sha256(text) === digest ? undefined : 'its content has changed';
}
