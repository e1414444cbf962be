/** Hands the tasks that are to do to the workers, and gathers what they find. */
import { join } from 'node:path';
import { ScorelineError, shown } from '../base/errors.js';
import { stampOf, stampText } from '../base/hash.js';
import { type Ledger, sumLedgers } from '../plan/ledger.js';
import type { Manifest, StoredPart } from '../plan/manifest.js';
import { type Task, taskName, type UnitPlan } from '../plan/plan.js';
import type { ModelFacts } from '../plan/signature.js';
import type { OrderFile, StageTimes, TaskOrder, TaskResult } from '../worker/protocol.js';
import { tooManyBadRows } from './audit.js';
import { askPatiently, deathAsError, type Pool, WorkerDied } from './pool.js';
import { checkWhere, type Prepared, whyToDo } from './prepare.js';
import type { Output } from './store.js';

/** What scoring tells while it goes on. */
export type ScoreEvent =
  | {
      readonly type: 'planned';
      readonly rows: number;
      readonly tasks: number;
      readonly reused: number;
    }
  | { readonly type: 'progress'; readonly rows: number }
  | { readonly type: 'task'; readonly task: string; readonly rows: number; readonly ms: number }
  | { readonly type: 'retry'; readonly task: string; readonly reason: string };

/** What scoring needs. */
export interface ScoreTools {
  readonly output: Output;
  /** A folder of this run's own, on the file system of the output. */
  readonly temporary: string;
  readonly pool: () => Pool;
  readonly onEvent: (event: ScoreEvent) => void;
}

/** What came of the tasks of a plan. */
export interface Scored {
  /** By part key: of every task of a unit that has no failure. */
  readonly parts: ReadonlyMap<string, StoredPart>;
  /** Units that could not be scored after all, and why. */
  readonly failures: ReadonlyMap<string, readonly Error[]>;
  readonly tally: Tally;
}

/** How often a task is tried before its failure is taken for the machine's. */
const ATTEMPTS = 3;

/** The sums over the tasks of a run. */
export class Tally {
  readonly times: Record<keyof StageTimes, number> = { read: 0, prepare: 0, infer: 0, write: 0 };
  readonly lossyCasts = new Map<string, number>();
  readonly examples: string[] = [];
  ledger: Ledger = { rows: 0, scored: 0, quarantined: 0, filtered: 0 };
  scoredTasks = 0;
  reusedTasks = 0;
  batchDependent = false;

  /** Adds what a task found. */
  add(result: TaskResult): void {
    this.scoredTasks++;
    this.ledger = sumLedgers([this.ledger, result.part.ledger]);
    for (const stage of ['read', 'prepare', 'infer', 'write'] as const) {
      this.times[stage] += result.times[stage];
    }
    for (const { column, values } of result.lossyCasts) {
      this.lossyCasts.set(column, (this.lossyCasts.get(column) ?? 0) + values);
    }
    this.examples.push(...result.quarantined.slice(0, 3 - this.examples.length));
    this.batchDependent ||= result.batchDependent === true;
  }
}

/**
 * Scores the tasks whose parts are not in the store, and checks the key of every unit that is not published just so
 * already: that its parts are there does not say that its key held. A unit whose input is refused does not stop the others; what is
 * the model's, the machine's or scoreline's fault does, and so do too many bad rows.
 */
export async function scoreMissing(
  prepared: Prepared,
  published: Manifest | undefined,
  tools: ScoreTools,
): Promise<Scored> {
  const tally = new Tally();
  const parts = new Map<string, StoredPart>();
  const failures = new Map<string, Error[]>();
  const tasks = prepared.units.flatMap((unit) => unit.tasks);
  const missing = await missingTasks(tasks, tools.output, parts);
  tally.reusedTasks = parts.size;
  const toCheck =
    prepared.job.input.key === undefined
      ? []
      : prepared.units.filter((unit) => whyToDo(unit, prepared, published) !== undefined);
  if (missing.length === 0 && toCheck.length === 0) return { parts, failures, tally };

  const pool = tools.pool();
  pool.warm(missing.length + toCheck.length);
  await checkWhere(prepared, tools.pool);
  const rows = sumRows(missing);
  tools.onEvent({ type: 'planned', rows, tasks: missing.length, reused: parts.size });
  const plannedRows = sumRows(tasks);
  const blame = (unit: string) => async (error: unknown) => {
    if (!isInputsFault(error) || (await hasChanged(prepared.model))) throw error;
    failures.set(unit, [...(failures.get(unit) ?? []), error]);
  };
  const keyChecks = toCheck.map((unit) => checkKey(unit, prepared, pool).catch(blame(unit.unit)));
  // Long tasks first, so that workers end together. The order of completion changes nothing.
  const scoring = [...missing]
    .sort((a, b) => b.rows - a.rows)
    .map((task, index) =>
      scoreTask(task, prepared, tools, index === 0)
        .then((result) => {
          parts.set(keyOf(task), { part: result.part, inputs: [...result.inputs] });
          tally.add(result);
          refuseTooMany(prepared, tally, plannedRows);
        })
        .catch(blame(task.unit)),
    );
  await Promise.all([...keyChecks, ...scoring]);
  return { parts, failures, tally };
}

async function missingTasks(
  tasks: readonly Task[],
  output: Output,
  parts: Map<string, StoredPart>,
): Promise<Task[]> {
  const missing: Task[] = [];
  for (const task of tasks) {
    const part = await output.readPart(keyOf(task));
    if (part === undefined) missing.push(task);
    else parts.set(keyOf(task), part);
  }
  return missing;
}

/** The key of a task's part: known, because a run hashes what it scores. */
export function keyOf(task: Task): string {
  if (task.partKey === undefined) throw new Error(`task ${taskName(task)} has no key`);
  return task.partKey;
}

function sumRows(tasks: readonly Task[]): number {
  return tasks.reduce((sum, task) => sum + task.rows, 0);
}

/** Whether the model is no longer the one that was hashed: then no task can be scored. */
async function hasChanged({ files }: ModelFacts): Promise<boolean> {
  for (const { path, stamp } of files) {
    const now = await stampOf(path).catch(() => undefined);
    if (now === undefined || stampText(now) !== stampText(stamp)) return true;
  }
  return false;
}

function isInputsFault(error: unknown): error is ScorelineError {
  return error instanceof ScorelineError && (error.code === 'input' || error.code === 'changed');
}

/** Stops a run early: nobody wants to wait for hours to hear that a file is broken. */
function refuseTooMany({ job }: Prepared, tally: Tally, plannedRows: number): void {
  const verdict = tooManyBadRows(tally.ledger, job.quarantine.max, plannedRows, tally.examples);
  if (verdict !== undefined)
    throw new ScorelineError('gate', `${verdict}; stopped early, nothing published`);
}

async function checkKey(
  unit: UnitPlan,
  { job, dataset, scoring }: Prepared,
  pool: Pool,
): Promise<void> {
  const { key } = job.input;
  if (key === undefined || unit.tasks.length === 0) return;
  const files = unit.files.map(({ file, facts }) =>
    orderFile({ file, facts, rowStart: 0, rowEnd: facts.rows }),
  );
  const ask = {
    unit: unit.unit,
    key,
    files: files.filter(({ fileRows }) => fileRows > 0),
    partition: dataset.partitions.get(unit.unit) ?? [],
    scoring: { where: scoring.where, types: scoring.types },
  };
  await askPatiently(pool, 'check-key', ask).catch((error: unknown) => {
    if (!(error instanceof WorkerDied) || error.how === 'closed') throw error;
    throw deathAsError(
      error,
      `input.key of partition ${shown(unit.unit === '' ? '.' : unit.unit)}`,
    );
  });
}

async function scoreTask(
  task: Task,
  prepared: Prepared,
  { output, temporary, pool, onEvent }: ScoreTools,
  probeBatch: boolean,
): Promise<TaskResult> {
  const { job, dataset, model, scoring, publishing, shownModel } = prepared;
  const name = taskName(task);
  const partKey = keyOf(task);
  const scoreKey = task.scoreKey!;
  const order: Omit<TaskOrder, 'temporaryFolder'> = {
    name,
    files: task.files.map(orderFile),
    rows: task.rows,
    partition: dataset.partitions.get(task.unit) ?? [],
    model: {
      path: job.model.path,
      shownAs: shownModel,
      device: scoring.device,
      files: model.files,
    },
    scoring,
    publishing,
    scoreKey,
    partKey,
    scoreFolder: output.scoreFolder(scoreKey),
    partFolder: output.partFolder(partKey),
    haveScores: await output.hasScores(scoreKey),
    probeBatch,
  };
  for (let attempt = 1; ; attempt++) {
    const started = performance.now();
    try {
      const temporaryFolder = join(temporary, `${partKey}-${attempt}`);
      const result = await pool().ask('score', { ...order, temporaryFolder });
      onEvent({ type: 'task', task: name, rows: task.rows, ms: performance.now() - started });
      return result;
    } catch (error) {
      if (!(error instanceof WorkerDied) || error.how === 'closed') throw error;
      if (attempt === ATTEMPTS)
        throw deathAsError(error, `task ${shown(name)}, tried ${ATTEMPTS} times`);
      onEvent({ type: 'retry', task: name, reason: error.message });
    }
  }
}

function orderFile({ file, facts, rowStart, rowEnd }: Task['files'][number]): OrderFile {
  const { path, absolute, stamp } = file;
  return { path, absolute, stamp, schema: facts.schema, fileRows: facts.rows, rowStart, rowEnd };
}
