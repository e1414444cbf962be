/** As many workers as a job wants and the machine holds. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { usableCores, usableMemoryBytes } from '../base/machine.js';
import type { Job } from '../plan/job.js';
import { Pool } from './pool.js';
import type { WorkerEnd } from './worker-died.js';

/** What a worker needs besides its copy of the model. */
const WORKER_BYTES = 320 * 2 ** 20;
/** What a model takes in memory, in sizes of its file. */
const MODEL_COPIES = 3;
/** The share of the machine that a run may take, unless its job says how much. */
const MACHINE_SHARE = 0.8;
/** The share of a worker's memory that DuckDB may take: the rest is for the model and for batches. */
const DUCKDB_SHARE = 0.5;

/** What the worker processes of a command may take together, where no job says how much. */
export function defaultMemoryBytes(): number {
  return Math.floor(MACHINE_SHARE * usableMemoryBytes());
}

/** What the worker processes of a job's run may take together. */
export function memoryBytesOf({ run }: Job): number {
  return run.memoryBytes ?? defaultMemoryBytes();
}

/** What DuckDB may take in each of some workers that share the memory. */
export function duckdbBytes(memoryBytes: number, workers: number): number {
  return Math.floor((DUCKDB_SHARE * memoryBytes) / workers);
}

/** How many workers a job wants. */
export function wantedWorkers({ run }: Job): number {
  return run.workers === 'auto' ? usableCores() : run.workers;
}

/** The size of a file; 0 where there is none that could be looked at: whoever reads it says why. */
function sizeOf(path: string): number {
  try {
    return statSync(path).size;
  } catch {
    return 0;
  }
}

/** The pool of a job: as many workers as it wants and memory holds. The caller closes it. */
export function openWorkers(options: {
  readonly job: Job;
  /** The only folders that their DuckDB may touch. */
  readonly allowedFolders: readonly string[];
  /** Where they may spill. */
  readonly temporary: string;
  readonly onProgress: (rows: number) => void;
  /** Told when there are fewer than the job wants, and why: from the start, or because one was killed. */
  readonly onFewer: (workers: number, why: string, wasKilled: boolean) => void;
}): Pool {
  const { job, temporary, allowedFolders } = options;
  const memoryBytes = memoryBytesOf(job);
  const modelBytes = sizeOf(job.model.path);
  const fit = Math.max(1, Math.floor(memoryBytes / (WORKER_BYTES + MODEL_COPIES * modelBytes)));
  const wanted = wantedWorkers(job);
  const size = Math.min(wanted, fit);
  if (size < wanted) {
    options.onFewer(
      size,
      `memory holds ${fit} copies of the model: that many workers, not ${wanted}`,
      false,
    );
  }
  return new Pool({
    size,
    timeoutMs: job.run.batchTimeoutMs,
    memoryBytes,
    setupFor: (worker, workers) => ({
      memoryLimitBytes: duckdbBytes(memoryBytes, workers),
      temporaryFolder: join(temporary, `spill-${worker}`),
      allowedFolders,
    }),
    onProgress: (_worker, rows) => options.onProgress(rows),
    onFewer: (workers, end) => options.onFewer(workers, fewerText(workers, end), true),
  });
}

function fewerText(workers: number, end: WorkerEnd): string {
  return end === 'memory'
    ? `the workers took more than run.memory: went on with ${workers}`
    : `a worker was killed, as happens when memory runs out: went on with ${workers}`;
}
