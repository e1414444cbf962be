/** Whether the chain of records is what was written, and the records that people look at are those of the chain. */
import { lstat, readFile } from 'node:fs/promises';
import { relative } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.js';
import { listFolder, removeTree } from '../base/files.js';
import { sha256 } from '../base/hash.js';
import {
  type ChainRecord,
  chainFile,
  chainNumbers,
  isPlainName,
  isUnedited,
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
}

/** A file that is not what it was; `mend` puts it right where the chain itself is whole. */
export interface ChainDamage {
  /** Relative to the output. */
  readonly path: string;
  readonly problem: string;
  readonly mend?: () => Promise<string>;
}

/**
 * Looks at every record. An edit, a record that is gone in the middle, and one that was put in between show; that records are
 * gone at the end does not, unless somebody knows the newest. Records from before there was a chain are in none.
 */
export async function chainDamage(output: Output): Promise<ChainVerdict> {
  const numbers = await chainNumbers(output);
  const damage: ChainDamage[] = [];
  const found = (path: string, problem: string, mend?: ChainDamage['mend']): void => {
    const at = relative(output.root, path);
    damage.push(mend === undefined ? { path: at, problem } : { path: at, problem, mend });
  };
  const runs = new Map<string, number>();
  const jobs = new Set<string>();
  let before: Link | undefined;
  for (const number of numbers) {
    for (let gone = (before?.number ?? 0) + 1; gone < number; gone++)
      found(chainFile(output, gone), 'is missing');
    const link = await readLink(output, number);
    const problem = problemOf(link, before);
    if (problem !== undefined) found(chainFile(output, problem.number), problem.problem);
    if (link.record !== undefined) {
      runs.set(link.record.runId, number);
      const job = jobOf(link.record);
      if (job !== undefined) jobs.add(job);
    }
    before = link;
  }
  for (const [runId, number] of runs) {
    // That of the newest comes just after it: the next record sees to it where a process ended between.
    if (number !== before?.number || (await hasRecord(output, runId)))
      await checkPlace(output, runId, number, found);
  }
  for (const runId of await strangers(output, runs, before?.number ?? 0))
    found(output.path('runs', runId, 'run.json'), 'is not in the chain of records');
  for (const digest of jobs) {
    const problem = await jobProblem(output, digest);
    if (problem !== undefined) found(jobFile(output, digest), problem);
  }
  return { records: numbers.length, newest: before?.digest ?? null, damage };
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
  number: number,
  found: (path: string, problem: string, mend?: ChainDamage['mend']) => void,
): Promise<void> {
  if (!isPlainName(runId)) return;
  const path = output.path('runs', runId, 'run.json');
  const mend = async (): Promise<string> => {
    await removeTree(path);
    await place(output, number, runId);
    return 'taken from the chain';
  };
  try {
    const [own, chained] = [await lstat(path), await lstat(chainFile(output, number))];
    if (own.ino === chained.ino && own.dev === chained.dev) return;
    const same =
      own.isFile() &&
      (await readFile(path, 'utf8')) === (await readFile(chainFile(output, number), 'utf8'));
    if (!same) found(path, 'is not the record of the chain', mend);
  } catch (error) {
    const gone = errnoOf(error) === 'ENOENT';
    found(path, gone ? 'is missing' : messageOf(error), gone ? mend : undefined);
  }
}

async function hasRecord(output: Output, runId: string): Promise<boolean> {
  return (await listFolder(output.path('runs', runId))).includes('run.json');
}

/** Runs with a record that is in no chain, though there was one. */
async function strangers(
  output: Output,
  runs: ReadonlyMap<string, number>,
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

async function jobProblem(output: Output, digest: string): Promise<string | undefined> {
  const text = await readIfThere(jobFile(output, digest));
  if (text === undefined) return 'is missing';
  return sha256(text) === digest ? undefined : 'its content has changed';
}
