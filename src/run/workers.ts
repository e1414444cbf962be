/** As many workers as a job wants and the machine holds. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { usableCores, usableMemoryBytes } from '../base/machine.js';
import type { Job } from '../plan/job.js';
import { Pool } from './pool.js';

/** What a worker needs besides its copy of the model. */
const WORKER_BYTES = 320 * 2 ** 20;
/** What a model takes in memory, in sizes of its file. */
const MODEL_COPIES = 3;
const DUCKDB_BYTES = 512 * 2 ** 20;

/** How many workers a job wants. */
export function wantedWorkers({ run }: Job): number {
  return run.workers === 'auto' ? usableCores() : run.workers;
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
  const memory = usableMemoryBytes();
  const modelBytes = statSync(job.model.path, { throwIfNoEntry: false })?.size ?? 0;
  const fit = Math.max(1, Math.floor((0.8 * memory) / (WORKER_BYTES + MODEL_COPIES * modelBytes)));
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
    setupFor: (worker) => ({
      memoryLimitBytes: Math.min(DUCKDB_BYTES, (0.5 * memory) / size),
      temporaryFolder: join(temporary, `spill-${worker}`),
      allowedFolders,
    }),
    onProgress: (_worker, rows) => options.onProgress(rows),
    onFewer: (workers) =>
      options.onFewer(
        workers,
        `a worker was killed, as happens when memory runs out: went on with ${workers}`,
        true,
      ),
  });
}
