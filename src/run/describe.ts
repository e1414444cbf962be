/** What is known of the model and the files: from the cache where that can be trusted, else by asking workers. */
import { ScorelineError, shown } from '../base/errors.js';
import { stampText } from '../base/hash.js';
import type { DataFile, FileFacts } from '../plan/dataset.js';
import type { ModelFacts } from '../plan/signature.js';
import {
  type DescribeCsv,
  type FileAnswer,
  type FileRef,
  fromWire,
  toWire,
} from '../worker/protocol.js';
import type { DescriptionCache, WantedFacts } from './description-cache.js';
import { askPatiently, type Pool } from './pool.js';
import { deathAsError, lackedMemory, WorkerDied, wasKilled } from './worker-died.js';

/** What the workers of a run are asked through, started when the first question comes. */
export type OpenPool = () => Pool;

/** Describes the model of a job, unless `cached` does; a worker is asked before this function first waits. Throws `model`. */
export async function describeModel(options: {
  readonly path: string;
  readonly shownAs: string;
  readonly device: string;
  readonly columns: number | undefined;
  readonly sha256: string | undefined;
  readonly cached: ModelFacts | undefined;
  readonly cache: DescriptionCache;
  readonly pool: OpenPool;
  readonly nowNs: bigint;
}): Promise<ModelFacts> {
  const { path, shownAs, device, columns, cache } = options;
  let facts = options.cached;
  if (facts === undefined) {
    try {
      facts = await askPatiently(options.pool(), 'describe-model', {
        path,
        shownAs,
        device,
        columns,
      });
    } catch (error) {
      if (!(error instanceof WorkerDied) || error.how === 'closed') throw error;
      throw describingEnded(error, shownAs);
    }
    cache.keepModel({ path, device, columns }, facts, options.nowNs);
  }
  if (options.sha256 !== undefined && facts.sha256[0] !== options.sha256) {
    throw new ScorelineError(
      'model',
      `model ${shownAs}: its sha256 is ${facts.sha256[0]}, but model.sha256 pins ${options.sha256}`,
    );
  }
  return facts;
}

/** The error for a model over which workers die: its own fault, unless they were killed from outside or did not start. */
function describingEnded(died: WorkerDied, shownAs: string): ScorelineError {
  const subject = `model ${shownAs}`;
  if (wasKilled(died)) {
    const remedy = 'as happens when memory runs out: free memory, or set run.workers to fewer';
    return deathAsError(died, `${subject}: cannot be loaded, ${remedy}`);
  }
  if (!died.ready) return deathAsError(died, `${subject}: cannot be loaded`);
  const doing = died.inModel ? 'its trial run on two rows' : 'loading it';
  const problem =
    died.how === 'hung'
      ? `${doing} does not end: ${died.message}; mend the model${died.inModel ? ', or raise run.batch_timeout' : ''}`
      : died.how === 'memory'
        ? `${doing} takes too much memory: ${died.message}; use a smaller model, or raise run.memory`
        : `${doing} ends the process: ${died.message}`;
  return new ScorelineError('model', `${subject}: ${problem}`, { cause: died });
}

/** The facts of every file that could be described, and why the others could not. */
export interface Descriptions {
  readonly facts: ReadonlyMap<string, FileFacts>;
  readonly failures: ReadonlyMap<string, Error>;
  /** How many files had to be looked at. */
  readonly looked: number;
}

/** Describes files. Throws what is the machine's fault. */
export async function describeFiles(
  options: WantedFacts & {
    readonly files: readonly DataFile[];
    readonly cache: DescriptionCache;
    readonly pool: OpenPool;
    readonly nowNs: () => bigint;
  },
): Promise<Descriptions> {
  const { files, csv, cache } = options;
  const facts = new Map<string, FileFacts>();
  const failures = new Map<string, Error>();
  const unknown: DataFile[] = [];
  for (const file of files) {
    const known = cache.file(file, options);
    if (known === undefined) unknown.push(file);
    else facts.set(file.path, known);
  }
  if (unknown.length > 0) {
    const pool = options.pool();
    const byPath = new Map(unknown.map((file) => [file.path, file]));
    await Promise.all(
      shares(unknown, csv === undefined ? pool.size : undefined).map(async (share) => {
        for (const answer of await askAbout(pool, share, options)) {
          if ('error' in answer) {
            failures.set(answer.path, failureOf(answer));
          } else if (stampText(answer.stamp) !== stampText(byPath.get(answer.path)!.stamp)) {
            failures.set(answer.path, changed(answer.path));
          } else {
            facts.set(answer.path, answer.facts);
            cache.keepFile(byPath.get(answer.path)!, options, answer, options.nowNs());
          }
        }
      }),
    );
  }
  return { facts, failures, looked: unknown.length };
}

function changed(path: string): ScorelineError {
  return new ScorelineError('changed', `${shown(path)}: changed while it was read; run again`);
}

function failureOf(answer: Extract<FileAnswer, { error: unknown }>): Error {
  const error = fromWire(answer.error);
  if (error instanceof ScorelineError && error.code !== 'environment') return error;
  throw error;
}

/** Files in shares: a few for each worker, so that large ones do not gather in one; or one by one. */
function shares(files: readonly DataFile[], workers: number | undefined): FileRef[][] {
  const size =
    workers === undefined ? 1 : Math.min(64, Math.max(1, Math.ceil(files.length / (workers * 4))));
  const result: FileRef[][] = [];
  for (let start = 0; start < files.length; start += size) {
    result.push(files.slice(start, start + size).map(({ path, absolute }) => ({ path, absolute })));
  }
  return result;
}

/** Asks about some files; where that ends the worker, about each by itself, so that the one to blame is found. */
async function askAbout(
  pool: Pool,
  files: readonly FileRef[],
  wanted: WantedFacts,
): Promise<readonly FileAnswer[]> {
  const { csv, hash, checksums } = wanted;
  const ask = { files, hash, checksums };
  try {
    if (csv !== undefined) {
      const [file] = files;
      return file === undefined ? [] : [await askForCsv(pool, { file, dialect: csv })];
    }
    return files.length === 1
      ? await askPatiently(pool, 'describe-files', ask)
      : await pool.ask('describe-files', ask);
  } catch (error) {
    if (!(error instanceof WorkerDied) || error.how === 'closed') throw error;
    const [only] = files;
    // The system killed it, or it did not start: no file is to blame.
    if (files.length === 1 && only !== undefined && (lackedMemory(error) || !error.ready))
      throw deathAsError(error, `reading ${shown(only.path)}`);
    if (files.length === 1 && only !== undefined) {
      const wire = {
        code: 'input' as const,
        message: `${shown(only.path)}: reading it ends the process: ${error.message}`,
        stack: undefined,
        cause: undefined,
      };
      return [{ path: only.path, error: wire }];
    }
  }
  const answers: FileAnswer[] = [];
  for (const file of files) answers.push(...(await askAbout(pool, [file], wanted)));
  return answers;
}

async function askForCsv(pool: Pool, ask: DescribeCsv): Promise<FileAnswer> {
  try {
    return await askPatiently(pool, 'describe-csv', ask);
  } catch (error) {
    if (error instanceof WorkerDied) throw error;
    return { path: ask.file.path, error: toWire(error) };
  }
}
