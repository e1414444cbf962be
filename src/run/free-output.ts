/** Where a new job may publish: in a folder of its own. */
import { stat } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { ScorelineError } from '../base/errors.js';
import { listFolder } from '../base/files.js';
import { loadJob } from '../plan/job.js';
import { type Claimant, checkOwner } from './owner.js';
import { Output } from './store.js';

/** More names than anybody has jobs of one model; more job files than lie in one folder. */
const MAX_NAMES = 1000;
const MAX_FILES = 200;

/** A name for a job, and the folder that is its own. */
export interface FreeOutput {
  readonly name: string;
  /** Relative to `cwd`. */
  readonly output: string;
}

/**
 * The first name of `name`, `name-2`, `name-3` … whose folder is free: no job file beside the new one or in `cwd` names it, nothing else lies
 * there, and no other job has published there. Throws `environment`.
 */
export async function freeOutput(
  claimant: Omit<Claimant, 'file'> & { readonly file: string },
  folderOf: (name: string) => string,
  cwd: string,
): Promise<FreeOutput> {
  const taken = new Set<string>();
  for (const folder of new Set([dirname(claimant.file), cwd]))
    for (const output of await outputsNamedIn(folder, claimant.file)) taken.add(output);
  for (let number = 1; ; number++) {
    const end = number === 1 ? '' : `-${number}`;
    const name = `${claimant.name.slice(0, 64 - end.length)}${end}`;
    const output = folderOf(name);
    const path = resolve(cwd, output);
    const free = !taken.has(path) && (await isFree(path, { ...claimant, name }));
    if (free || number === MAX_NAMES) return { name, output };
  }
}

async function isFree(path: string, claimant: Claimant): Promise<boolean> {
  try {
    const output = await Output.find(path);
    if (output !== undefined) await checkOwner(output, claimant);
    return true;
  } catch (error) {
    if (error instanceof ScorelineError && error.code === 'usage') return false;
    throw error;
  }
}

/** The folders that the job files of a folder publish in, but for one file: that is replaced. */
async function outputsNamedIn(folder: string, but: string): Promise<string[]> {
  const names = (await listFolder(folder).catch(() => [])).filter((name) => /\.ya?ml$/i.test(name));
  const outputs: string[] = [];
  for (const name of names.slice(0, MAX_FILES)) {
    const path = join(folder, name);
    // Many are no job files.
    if (path === but || !(await isFile(path))) continue;
    const job = await loadJob(path, []).catch(() => undefined);
    if (job !== undefined) outputs.push(job.output.path);
  }
  return outputs;
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
}
