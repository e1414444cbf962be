/** Attempts at one task: again where a worker dies over it, then alone, then without the rows that end a worker. */
import { join } from 'node:path';
import { isOutOfMemory, ScorelineError, shown } from '../base/errors.js';
import type {
  BatchPlace,
  LethalRow,
  ProbeAnswer,
  TaskOrder,
  TaskResult,
} from '../worker/protocol.js';
import type { AloneOptions, AskAlone, Pool } from './pool.js';
import type { Output } from './store.js';
import { deathAsError, lackedMemory, WorkerDied, wasKilled } from './worker-died.js';

/** A task to attempt: what its worker gets, but for what changes from one attempt to the next. */
export type AttemptOrder = Omit<TaskOrder, 'temporaryFolder' | 'haveScores' | 'lethal'>;

/** What is told of attempts that fail. */
export type AttemptEvent =
  | { readonly type: 'retry'; readonly task: string; readonly reason: string }
  | {
      readonly type: 'search';
      readonly task: string;
      readonly rows: number;
      readonly reason: string;
    }
  | {
      readonly type: 'lethal';
      readonly task: string;
      readonly place: string;
      readonly reason: string;
    };

/** What attempts need. */
export interface AttemptTools {
  readonly output: Output;
  /** A folder of this run's own, on the file system of the output. */
  readonly temporary: string;
  readonly pool: () => Pool;
  /** The deadline of a batch. */
  readonly timeoutMs: number;
  readonly onEvent: (event: AttemptEvent) => void;
}

/** How often a task is tried beside others before it gets the machine for itself. */
const ATTEMPTS = 2;

/** The rows of one task that may end a worker: a model that does so more often is not fit to be left alone. */
const MAX_LETHAL_ROWS = 32;

/**
 * Scores a task. A worker that dies may have been killed, so the task is tried again; one that dies alone too, while the model
 * has a batch, was ended by a row: it is found by halving, and blamed when a worker that gets nothing else dies on it twice.
 * Throws what the worker threw; `environment` when workers die for another reason, `gate` or `model` when on too many rows.
 */
export async function attemptTask(order: AttemptOrder, tools: AttemptTools): Promise<TaskResult> {
  let made = 0;
  const folder = (): string => join(tools.temporary, `${order.partKey}-${++made}`);
  const scope = { order, tools, folder };
  for (let attempt = 1; attempt <= ATTEMPTS; attempt++) {
    const died = await attemptOnce(scope, [], (each) => tools.pool().ask('score', each));
    if (!(died instanceof WorkerDied)) return died;
    tools.onEvent({ type: 'retry', task: order.name, reason: died.message });
    // A model that hangs, or breaks its process, is likely to do so again.
    if (died.batch !== undefined && !lackedMemory(died)) break;
  }
  return tools.pool().alone((ask) => attemptAlone(scope, ask));
}

interface Scope {
  readonly order: AttemptOrder;
  readonly tools: AttemptTools;
  /** A new folder for an attempt. */
  readonly folder: () => string;
}

/** One attempt: what came of it, or how the worker died. Throws what the worker threw. */
async function attemptOnce(
  { order, tools: { output, temporary }, folder }: Scope,
  lethal: readonly LethalRow[],
  ask: (order: TaskOrder) => Promise<TaskResult>,
): Promise<TaskResult | WorkerDied> {
  const { scoreKey } = order;
  for (;;) {
    const isThere = await output.touch('scores', scoreKey);
    const haveScores = isThere && (await output.hasScores(scoreKey));
    // Scores of before there were statistics are made again.
    if (isThere && !haveScores) await output.takeAway('scores', scoreKey, temporary);
    try {
      return await ask({ ...order, haveScores, lethal, temporaryFolder: folder() });
    } catch (error) {
      // gc may have taken the scores while they were read.
      if (haveScores && !(await output.hasScores(scoreKey))) continue;
      return asDeath(error);
    }
  }
}

/** Attempts with no other worker beside: each time without one more row that ends it. */
async function attemptAlone(scope: Scope, ask: AskAlone): Promise<TaskResult> {
  const { order, tools } = scope;
  const lethal: LethalRow[] = [];
  const places: string[] = [];
  for (;;) {
    const died = await attemptOnce(scope, lethal, (each) => ask('score', each, { fresh: true }));
    if (!(died instanceof WorkerDied)) return died;
    if (died.batch === undefined)
      throw deathAsError(died, `task ${shown(order.name)}, tried alone at last`);
    const { rows } = died.batch;
    tools.onEvent({ type: 'search', task: order.name, rows, reason: died.message });
    const found = await lethalRow(scope, ask, { died, batch: died.batch, lethal });
    tools.onEvent({
      type: 'lethal',
      task: order.name,
      place: found.place,
      reason: found.lethal.reason,
    });
    lethal.push(found.lethal);
    places.push(found.place);
    if (lethal.length > Math.min(order.badRowsAllowed, MAX_LETHAL_ROWS)) {
      throw new ScorelineError(
        'gate',
        `quarantine.max: the model ends its process on more rows than may be set aside (${lethal.length - 1}); the first: ${places[0]}: ${lethal[0]!.reason}`,
      );
    }
  }
}

/** The first row of a batch on which a worker dies. Throws `environment` when there is none that it dies on by itself. */
async function lethalRow(
  { order, tools, folder }: Scope,
  ask: AskAlone,
  {
    died,
    batch,
    lethal,
  }: {
    readonly died: WorkerDied;
    readonly batch: BatchPlace;
    readonly lethal: readonly LethalRow[];
  },
): Promise<{ readonly lethal: LethalRow; readonly place: string }> {
  const { rowStart, rows } = batch;
  const probe: Probe = async (from, to, options) => {
    const part = { rowStart, from, to };
    const whole = { ...order, haveScores: false, lethal, temporaryFolder: folder(), probe: part };
    return ask('probe', whole, options).catch(asDeath);
  };
  const hasty = { timeoutMs: hastyMs(tools.timeoutMs) };
  let from = 0;
  let to = rows;
  let anyPassed = rowStart > 0;
  while (to - from > 1) {
    const middle = (from + to) >> 1;
    if ((await probe(from, middle, hasty)) instanceof WorkerDied) to = middle;
    else {
      from = middle;
      anyPassed = true;
    }
  }
  const where = await probe(from, from, { fresh: true });
  if (where instanceof WorkerDied) throw deathAsError(where, `task ${shown(order.name)}`);
  const deaths = [await probe(from, to, { fresh: true }), await probe(from, to, { fresh: true })];
  for (const death of deaths) {
    // Where the model has nothing just then, it is not the row's fault.
    if (death instanceof WorkerDied && death.batch !== undefined) continue;
    throw noRowToBlame(order, died, rows);
  }
  if (!anyPassed && rows > 1) await needsOneThatPasses(order, rows, probe);
  const hung = deaths.every((death) => death instanceof WorkerDied && death.how === 'hung');
  const reason = hung ? 'model_hung' : 'model_crashed';
  return { lethal: { row: where.row, reason }, place: where.place };
}

/** The error for a batch on which workers die, where they die on none of its rows alone. */
function noRowToBlame({ name, model }: AttemptOrder, died: WorkerDied, rows: number): Error {
  if (died.how === 'memory') {
    return new ScorelineError(
      'model',
      `model ${model.shownAs}: a batch of ${rows} rows takes too much memory: ${died.message}; set run.batch_rows to fewer rows, or raise run.memory`,
      { cause: died },
    );
  }
  return deathAsError(
    died,
    `task ${shown(name)}: in a batch of ${rows} rows, but on no row by itself (fewer workers, a longer run.batch_timeout or fewer run.batch_rows may help)`,
  );
}

/** Gives the model the rows `from` to `to` of a batch: how the worker died over them, if it did. */
type Probe = (from: number, to: number, options: AloneOptions) => Promise<ProbeAnswer | WorkerDied>;

/** Where no row of a batch is known to pass, its last one has to: else it is not for single rows that workers die. */
async function needsOneThatPasses(
  { model, name }: AttemptOrder,
  rows: number,
  probe: Probe,
): Promise<void> {
  const died = await probe(rows - 1, rows, { fresh: true });
  if (!(died instanceof WorkerDied)) return;
  throw new ScorelineError(
    wasKilled(died) ? 'environment' : 'model',
    `model ${model.shownAs}: ends its process on every row tried of task ${shown(name)}: ${died.message}`,
    { cause: died },
  );
}

/** How long a part of a batch may take in the search: what the blame rests on has all the time of a batch. */
function hastyMs(timeoutMs: number): number {
  return Math.min(timeoutMs, Math.max(10_000, timeoutMs / 10));
}

/** The death of a worker, or its want of memory, as a value; anything else is thrown on. */
function asDeath(error: unknown): WorkerDied {
  if (error instanceof WorkerDied && error.how !== 'closed') return error;
  // DuckDB keeps to its share of the memory, and has a larger one where fewer workers run.
  if (error instanceof ScorelineError && error.code === 'environment' && isOutOfMemory(error))
    return new WorkerDied(error.message, 'memory');
  throw error;
}
