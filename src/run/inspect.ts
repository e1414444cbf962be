/** Looking at one file, and at this machine: the questions that need a worker but no job. */
import { arch, platform, release } from 'node:os';
import { dirname, resolve } from 'node:path';
import { messageOf, ScorelineError, shown } from '../base/errors.js';
import { hasUsualLocale, localeRemedy, USUAL_LOCALE } from '../base/locale.js';
import {
  availableMemoryBytes,
  freeDiskBytes,
  openFilesLimit,
  usableCores,
  usableMemoryBytes,
} from '../base/machine.js';
import type { Inspection } from '../worker/protocol.js';
import { withWorker } from './plan-job.js';
import type { Pool } from './pool.js';
import { deathAsError, lackedMemory, WorkerDied } from './worker-died.js';

/** What a data file or a model holds. Throws `input` or `model`. */
export async function inspectFile(path: string): Promise<Inspection> {
  const absolute = resolve(path);
  return withWorker([dirname(absolute)], (worker) => inspectWith(worker, absolute, path));
}

/** The same, through workers that may read it; `path` names it in messages. */
export async function inspectWith(
  workers: Pool,
  absolute: string,
  path: string,
): Promise<Inspection> {
  try {
    return await workers.ask('inspect', { path: absolute });
  } catch (error) {
    if (!(error instanceof WorkerDied)) throw error;
    if (lackedMemory(error) || !error.ready) throw deathAsError(error, `reading ${shown(path)}`);
    throw new ScorelineError(
      'input',
      `${shown(path)}: reading it ends the process: ${error.message}`,
      { cause: error },
    );
  }
}

/** What this machine lends to a run, and which devices can be used. */
export interface Diagnosis {
  readonly versions: Readonly<Record<string, string>>;
  readonly platform: string;
  readonly cores: number;
  readonly memoryBytes: number;
  readonly availableMemoryBytes: number;
  readonly openFiles: number | null;
  readonly disk: { readonly path: string; readonly freeBytes: number | null };
  readonly devices: readonly { readonly name: string; readonly unusable?: string }[];
  /** The locale that models with texts need; `remedy` where it is absent, `present` null where that is not known. */
  readonly locale: {
    readonly name: string;
    readonly present: boolean | null;
    readonly remedy?: string;
  };
  /** What keeps scoreline from working here at all. */
  readonly problems: readonly string[];
}

/** Looks at the machine; `folder` is where the free disk is measured. */
export async function diagnose(folder: string): Promise<Diagnosis> {
  const problems: string[] = [];
  const answer = await withWorker([], (worker) => worker.ask('environment', null)).catch(
    (error: unknown) => {
      problems.push(`the worker process does not work here: ${messageOf(error)}`);
      return { versions: {}, devices: [] };
    },
  );
  const openFiles = openFilesLimit();
  const present = await hasUsualLocale();
  return {
    versions: { node: process.versions.node, ...answer.versions },
    platform: `${platform()} ${release()} ${arch()}`,
    cores: usableCores(),
    memoryBytes: usableMemoryBytes(),
    availableMemoryBytes: availableMemoryBytes(),
    openFiles: openFiles === undefined || !Number.isFinite(openFiles) ? null : openFiles,
    disk: { path: resolve(folder), freeBytes: (await freeDiskBytes(resolve(folder))) ?? null },
    devices: answer.devices,
    locale: {
      name: USUAL_LOCALE,
      present: present ?? null,
      ...(present === false && { remedy: localeRemedy(USUAL_LOCALE) }),
    },
    problems,
  };
}
