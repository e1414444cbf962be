/**
 * The chain of records in `runs/chain/`: numbered, only ever added to, and each holds the SHA-256 of the one before. It has
 * no lock: a record takes the next free number in one step, and whoever finds it taken follows the one that has it.
 */
import { lstat, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import {
  createFile,
  createSubfolder,
  linkFile,
  listFolder,
  makeSubfolder,
  putFolderIfAbsent,
  removeTree,
  writeFileWhole,
} from '../base/files.js';
import { sealed, sha256 } from '../base/hash.js';
import type { Output } from './store.js';

/** How many records a folder of the chain holds: to find the last one, two folders are listed. */
const FOLDER_RECORDS = 1000;

/** More than can ever be: it was not scoreline that made such a folder. */
const MAX_NUMBER = 999_999_999;

/** The folder of a record of the chain. */
export function chainFolder(output: Output, number: number): string {
  const thousand = String(Math.floor(number / FOLDER_RECORDS)).padStart(3, '0');
  return output.path('runs', 'chain', thousand, String(number).padStart(6, '0'));
}

/** The file of a record of the chain. */
export function chainFile(output: Output, number: number): string {
  return join(chainFolder(output, number), 'record.json');
}

/** The numbers that the chain has, the lowest first; with `last`, only the highest. */
export async function chainNumbers(output: Output, last = false): Promise<number[]> {
  const root = output.path('runs', 'chain');
  const thousands = numeric(await listFolder(root));
  const numbers: number[] = [];
  for (const thousand of last ? thousands.reverse() : thousands) {
    const found = numeric(await listFolder(join(root, String(thousand).padStart(3, '0'))));
    // A process that ended at the wrong moment may leave the folder of the next thousand empty.
    if (last && found.length > 0) return found.slice(-1);
    numbers.push(...found);
  }
  return numbers;
}

function numeric(names: readonly string[]): number[] {
  return names
    .filter((name) => /^\d{3,12}$/.test(name))
    .map(Number)
    .sort((a, b) => a - b);
}

const recordSchema = z.looseObject({
  runId: z.string(),
  digest: z.string(),
  chain: z.looseObject({ number: z.int(), previous: z.string().nullable() }),
});

/** What every record of the chain says, besides what was done. */
export type ChainRecord = z.infer<typeof recordSchema>;

/** Reads a record of the chain; undefined when it is none. */
export function parseChainRecord(text: string): ChainRecord | undefined {
  try {
    return recordSchema.safeParse(JSON.parse(text)).data;
  } catch {
    return undefined;
  }
}

/**
 * Adds a record to the chain, and gives it its place in the folder of its run too; nothing where the chain has one of that run. A
 * crash before the one step that adds it leaves the chain as it was; one after it leaves a whole chain, and the next record
 * gives this one its other place: so all but the last are in their places whenever a number is taken.
 */
export async function appendRecord(output: Output, runId: string, report: object): Promise<void> {
  await makeSubfolder(output.path('runs', 'chain'));
  // What JSON leaves out is no part of the digest.
  const content = JSON.parse(JSON.stringify(report)) as object;
  await output.withTemporary(async (temporary) => {
    const building = join(temporary, 'record');
    for (;;) {
      const head = (await chainNumbers(output, true))[0];
      const before = head === undefined ? undefined : await readIfThere(chainFile(output, head));
      if (head !== undefined && before !== undefined) await placeRecord(output, head, before);
      // Where a run seemed to be gone, another may have added its record.
      if (await isThere(output.path('runs', runId, 'run.json'))) return;
      const number = (head ?? 0) + 1;
      if (number > MAX_NUMBER)
        throw new ScorelineError(
          'environment',
          `${shown(output.path('runs', 'chain'))}: has a number that nobody gave it; remove that folder`,
        );
      const chain = { number, previous: before === undefined ? null : sha256(before) };
      await createSubfolder(building);
      const text = `${JSON.stringify(sealed({ ...content, chain }), undefined, 2)}\n`;
      await createFile(join(building, 'record.json'), text);
      if (await putFolderIfAbsent(building, chainFolder(output, number))) {
        await place(output, number, runId);
        return;
      }
      await removeTree(building);
    }
  });
}

/** Whether the chain has the record of a run; it is looked for behind the number `after`. */
export async function isRecorded(output: Output, runId: string, after: number): Promise<boolean> {
  if (await isThere(output.path('runs', runId, 'run.json'))) return true;
  // The newest has its other place a moment later, and one that was removed there is in the chain all the same.
  for (const number of await chainNumbers(output)) {
    if (number <= after) continue;
    const text = await readIfThere(chainFile(output, number));
    if (text !== undefined && parseChainRecord(text)?.runId === runId) return true;
  }
  return false;
}

/** Gives the record of a run that ended at the wrong moment its place in the folder of the run. */
async function placeRecord(output: Output, number: number, text: string): Promise<void> {
  const runId = parseChainRecord(text)?.runId;
  if (runId !== undefined && isPlainName(runId)) await place(output, number, runId);
}

/** Whether a text may be the name of a run's folder: what a damaged record says may lead elsewhere. */
export function isPlainName(runId: string): boolean {
  return /^[A-Za-z0-9][A-Za-z0-9.-]*$/.test(runId);
}

/** Puts a record of the chain into the folder of its run, unless one is there. */
export async function place(output: Output, number: number, runId: string): Promise<void> {
  const target = output.path('runs', runId, 'run.json');
  if (await isThere(target)) return;
  await makeSubfolder(output.path('runs', runId));
  try {
    await linkFile(chainFile(output, number), target);
  } catch (error) {
    // Another run may have placed it meanwhile.
    if (!(error instanceof ScorelineError && errnoOf(error.cause) === 'EEXIST')) throw error;
  }
}

async function isThere(path: string): Promise<boolean> {
  try {
    await lstat(path);
    return true;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw systemError(error, `cannot look at ${shown(path)}`);
  }
}

/** The text of a file; undefined when it is not there. */
export async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw systemError(error, `cannot read ${shown(path)}`);
  }
}

/** Keeps a text under its digest, once; tells the digest. */
export async function keepJob(output: Output, text: string): Promise<string> {
  const digest = sha256(text);
  const path = jobFile(output, digest);
  if (!(await isThere(path))) {
    await makeSubfolder(output.path('runs', 'jobs'));
    await writeFileWhole(path, text);
  }
  return digest;
}

/** Where a job is kept. */
export function jobFile(output: Output, digest: string): string {
  return output.path('runs', 'jobs', `${digest}.json`);
}
