/** How and why a worker process ended while it had a request. */
import { ScorelineError } from '../base/errors.js';
import type { BatchPlace } from '../worker/protocol.js';

/**
 * How a worker ended: it died or was killed from outside; the system refused it memory or descriptors (`starved`); its pool killed it because it gave no sign of life (`hung`) or
 * because the workers took too much memory (`memory`); the request passed its own limit (`limit`); or the pool was closed.
 */
export type WorkerEnd = 'died' | 'starved' | 'hung' | 'memory' | 'limit' | 'closed';

/** The end of a worker that had a request. */
export class WorkerDied extends Error {
  override readonly name = 'WorkerDied';
  readonly how: WorkerEnd;
  /** The signal that ended it, where one did. */
  readonly signal: NodeJS.Signals | null;
  /** The batch that the model had just then; undefined when it had none. */
  readonly batch: BatchPlace | undefined;
  /** Whether the worker had started up. */
  readonly ready: boolean;
  /** Whether the model was running, in a task or on trial. */
  readonly inModel: boolean;

  constructor(
    message: string,
    how: WorkerEnd,
    end: {
      readonly signal?: NodeJS.Signals | null;
      readonly batch?: BatchPlace | undefined;
      readonly ready?: boolean;
      readonly inModel?: boolean;
    } = {},
  ) {
    super(message);
    this.how = how;
    this.signal = end.signal ?? null;
    this.batch = end.batch;
    this.ready = end.ready ?? true;
    this.inModel = end.inModel ?? false;
  }
}

/** Whether the system ended a worker: it refused it memory, or killed it, as it does when memory runs out. */
export function wasKilled({ how, signal }: WorkerDied): boolean {
  return how === 'starved' || (how === 'died' && signal === 'SIGKILL');
}

/** Whether a worker ended for want of memory, which fewer workers may leave it. */
export function lackedMemory(died: WorkerDied): boolean {
  return died.how === 'memory' || wasKilled(died);
}

/** The error for a user when a worker keeps dying at what it does. */
export function deathAsError(died: WorkerDied, what: string): ScorelineError {
  const why = died.how === 'memory' ? died.message : `the worker process died: ${died.message}`;
  return new ScorelineError('environment', `${what}: ${why}`, { cause: died });
}
