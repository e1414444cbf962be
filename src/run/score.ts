/** Hands the tasks that are to do to the workers, and gathers what they find. */
import { join } from 'node:path';
import pLimit from 'p-limit';
import { ScorelineError, shown } from '../base/errors.js';
import { stampOf, stampText } from '../base/hash.js';
import type { FileFacts } from '../plan/dataset.js';
import type { EngineChoice } from '../plan/engine.js';
import { type Ledger, sumLedgers } from '../plan/ledger.js';
import type { Manifest, StoredPart } from '../plan/manifest.js';
import { columnsInFolders, type Task, taskName, type UnitPlan } from '../plan/plan.js';
import type { ModelFacts } from '../plan/signature.js';
import type { StageTimes, TaskOrder, TaskResult } from '../worker/protocol.js';
import { type AttemptEvent, type AttemptOrder, attemptTask } from './attempt.js';
import type { Converted } from './audit.js';
import { Converter, type ConvertTools } from './converter.js';
import { settleEngine } from './engine.js';
import { askPatiently, type Pool } from './pool.js';
import { checkWhere, type Prepared, whyToDo } from './prepare.js';
import { quarantineLimit, StoppedEarly, tooManyBadRows } from './row-losses.js';
import { deathAsError, WorkerDied } from './worker-died.js';

/** What scoring tells while it goes on. */
export type ScoreEvent =
  | {
      readonly type: 'planned';
      readonly rows: number;
      readonly tasks: number;
      readonly reused: number;
    }
  | { readonly type: 'progress'; readonly rows: number }
  | {
      readonly type: 'task';
      readonly task: string;
      readonly rows: number;
      /** Since it was handed to the pool, and how long a worker worked on it. */
      readonly ms: number;
      readonly workedMs: number;
    }
  | { readonly type: 'fewer-workers'; readonly workers: number }
  | { readonly type: 'warning'; readonly message: string }
  | AttemptEvent;

/** What scoring needs. */
export interface ScoreTools extends ConvertTools {
  readonly shard: Shard | undefined;
  readonly onEvent: (event: ScoreEvent) => void;
  /** Given at the start what goes on to fill: all that is known where scoring fails. */
  readonly onBegun?: (scored: Scored) => void;
  /** Judges the first task of each unit, where the job wants that: throws when the others are not to be scored. */
  readonly judgeFirst?: (first: ReadonlyMap<string, StoredPart>) => Promise<void>;
}

/** A share of a plan's tasks: number `index` of `count`, from 0. */
export interface Shard {
  readonly index: number;
  readonly count: number;
}

/**
 * The tasks of a shard, in order. They follow from the whole plan, whatever is done already: the longest task first, each
 * goes to the shard that has the fewest rows so far.
 */
export function tasksOfShard(tasks: readonly Task[], { index, count }: Shard): Task[] {
  const rows = new Array<number>(count).fill(0);
  const mine = new Set<Task>();
  // Sorting is stable: tasks of the same length stay in the order of the plan.
  for (const task of [...tasks].sort((a, b) => b.rows - a.rows)) {
    const least = rows.indexOf(Math.min(...rows));
    rows[least]! += task.rows;
    if (least === index) mine.add(task);
  }
  return tasks.filter((task) => mine.has(task));
}

/** What came of the tasks of a plan. */
export interface Scored {
  /** By part key: of every task of a unit that has no failure. */
  readonly parts: ReadonlyMap<string, StoredPart>;
  /** Units that could not be scored after all, and why. */
  readonly failures: ReadonlyMap<string, readonly Error[]>;
  readonly converted: Converted;
  /** Whether something had to be made again that is published already, because the store had lost it. */
  readonly remade: boolean;
  readonly tally: Tally;
  /** What ran the model; undefined when no task was to do. */
  engine: EngineChoice | undefined;
}

/** The sums over the tasks of a run. */
export class Tally {
  readonly times: Record<keyof StageTimes, number> = { read: 0, prepare: 0, infer: 0, write: 0 };
  readonly lossyCasts = new Map<string, number>();
  readonly examples: string[] = [];
  /** Rows set aside, by reason. */
  readonly reasons = new Map<string, number>();
  ledger: Ledger = { rows: 0, scored: 0, quarantined: 0, filtered: 0 };
  scoredTasks = 0;
  reusedTasks = 0;
  batchDependent = false;

  /** Adds the records of CSV files that are none. */
  reject(files: readonly { readonly facts: FileFacts }[]): void {
    const bad = sumRejected(files);
    this.ledger = sumLedgers([
      this.ledger,
      { rows: bad, scored: 0, quarantined: bad, filtered: 0 },
    ]);
    if (bad > 0) this.reasons.set('no_record', bad);
    for (const { facts } of files) {
      this.examples.push(...(facts.csv?.examples ?? []).slice(0, 3 - this.examples.length));
    }
  }

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
    for (const [reason, rows] of result.reasons)
      this.reasons.set(reason, (this.reasons.get(reason) ?? 0) + rows);
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
  const blame = (unit: string) => async (error: unknown) => {
    if (!isInputsFault(error) || (await hasChanged(prepared.model))) throw error;
    const known = failures.get(unit) ?? [];
    // A file that cannot be converted fails whoever waits for its rows.
    if (!known.includes(error)) failures.set(unit, [...known, error]);
  };
  const { shard } = tools;
  const all = prepared.units.flatMap((unit) => unit.tasks);
  const tasks = shard === undefined ? all : tasksOfShard(all, shard);
  const toDo = prepared.units.filter((unit) => whyToDo(unit, prepared, published) !== undefined);
  const known = {
    published: publishedKeys(published),
    // What is published anew is judged anew, by statistics that are beside its scores.
    judged: new Set(toDo.map(({ unit }) => unit)),
  };
  const { missing, remade } = await missingTasks(tasks, known, tools, parts);
  tally.reusedTasks = parts.size;
  // Who publishes checks the keys: a shard would look at units that are not its own.
  const toCheck = prepared.job.input.key === undefined || shard !== undefined ? [] : toDo;

  const converter = new Converter(prepared, published, tools);
  const { converted } = converter;
  const scored: Scored = { parts, failures, converted, remade, tally, engine: undefined };
  tools.onBegun?.(scored);
  // A shard leaves the records that no task has seen to who publishes.
  const rejecting = shard === undefined ? prepared.units.flatMap(withBadRecords) : [];
  const plannedRows = sumRows(all) + sumRejected(rejecting);
  const unseen = shard === undefined ? toDo.flatMap(withBadRecords) : [];
  tally.reject(unseen);
  const badRowsAllowed = quarantineLimit(prepared.job.quarantine.max, plannedRows);
  if (tally.ledger.quarantined > badRowsAllowed)
    await recordTooMany(unseen, converter, badRowsAllowed);
  refuseTooMany(prepared, tally, plannedRows);
  for (const { file, facts } of rejecting) {
    await converter.record(file, facts).catch((error: unknown) => blame(file.unit)(error));
  }
  if (missing.length === 0 && toCheck.length === 0) return scored;

  const pool = tools.pool();
  pool.warm(missing.length + toCheck.length);
  await checkWhere(prepared, tools.pool);
  const rows = sumRows(missing);
  tools.onEvent({ type: 'planned', rows, tasks: missing.length, reused: parts.size });
  // Before any task is handed out: all are scored by the same engine, whose every bit was found right.
  const longest = [...missing].sort((a, b) => b.rows - a.rows);
  const once = { converter, badRowsAllowed };
  const [sample] = longest;
  const settling =
    sample &&
    settleEngine(prepared, rows, async () => {
      const order = await orderOf(sample, prepared, tools, {
        ...once,
        engine: 'trees',
        probeBatch: false,
      });
      const temporaryFolder = join(tools.temporary, 'check-trees');
      return pool.ask('check-trees', { ...order, haveScores: false, lethal: [], temporaryFolder });
    });
  // One worker is enough for the engine: the others look at keys meanwhile.
  const keyChecks = Promise.all(
    toCheck.map((unit) => checkKey(unit, prepared, converter, pool).catch(blame(unit.unit))),
  );
  // Thrown where it is waited for; until then it is no rejection that nobody looks at.
  keyChecks.catch(() => undefined);
  scored.engine = await settling;
  const engine = scored.engine?.engine ?? 'onnxruntime';
  // No more at once than keep the workers busy, or what comes first into their queue would be chance.
  const inTurn = pLimit(pool.size + 1);
  const scoreAll = (tasks: readonly Task[], probe: Task | undefined): Promise<void>[] =>
    tasks.map((task) =>
      inTurn(() =>
        scoreTask(task, prepared, tools, {
          ...once,
          engine,
          probeBatch: task === probe && !prepared.job.model.allowRandom,
        }),
      )
        .then((result) => {
          parts.set(keyOf(task), { part: result.part, inputs: [...result.inputs] });
          tally.add(result);
          refuseTooMany(prepared, tally, plannedRows);
        })
        .catch(blame(task.unit)),
    );
  const isNew = (task: Task): boolean => !known.published.has(keyOf(task));
  const first = prepared.job.canary
    ? firstTasks(missing, tasks.filter(isNew))
    : new Map<string, Task>();
  const chosen = new Set(first.values());
  // Long tasks first, so that workers end together. The order of completion changes nothing.
  const early = longest.filter((task) => chosen.has(task));
  const late = longest.filter((task) => !chosen.has(task));
  try {
    await Promise.all(scoreAll(early, early[0]));
    // Where nothing is left to score, all that there is is judged before it is published.
    if (late.length > 0) await tools.judgeFirst?.(partsOf(first, parts));
    await Promise.all([keyChecks, ...scoreAll(late, early.length > 0 ? undefined : late[0])]);
  } finally {
    // What has not begun does not begin any more.
    inTurn.clearQueue();
  }
  return scored;
}

/**
 * Of each unit that has missing tasks the first that is new: what is there already, but was never published, is judged again, so
 * that what stopped a run stops the same run again.
 */
function firstTasks(missing: readonly Task[], fresh: readonly Task[]): Map<string, Task> {
  const units = new Set(missing.map(({ unit }) => unit));
  const first = new Map<string, Task>();
  // Where all that is missing was published once, it is the first of that.
  for (const task of [...fresh, ...missing])
    if (units.has(task.unit) && !first.has(task.unit)) first.set(task.unit, task);
  return first;
}

/** The parts of some tasks, by unit; those that could not be scored have none. */
function partsOf(
  tasks: ReadonlyMap<string, Task>,
  parts: ReadonlyMap<string, StoredPart>,
): Map<string, StoredPart> {
  const found = new Map<string, StoredPart>();
  for (const [unit, task] of tasks) {
    const part = parts.get(keyOf(task));
    if (part !== undefined) found.set(unit, part);
  }
  return found;
}

/** The keys of the parts that are published. */
function publishedKeys(published: Manifest | undefined): ReadonlySet<string> {
  const units = Object.values(published?.units ?? {});
  return new Set(units.flatMap(({ parts }) => parts.map(({ key }) => key)));
}

/** The tasks whose parts have to be made, and whether one that is published is among those that are gone. */
async function missingTasks(
  tasks: readonly Task[],
  {
    published,
    judged,
  }: { readonly published: ReadonlySet<string>; readonly judged: ReadonlySet<string> },
  { output, temporary }: Pick<ScoreTools, 'output' | 'temporary'>,
  parts: Map<string, StoredPart>,
): Promise<{ missing: Task[]; remade: boolean }> {
  const missing: Task[] = [];
  let remade = false;
  for (const task of tasks) {
    const key = keyOf(task);
    // What is published is kept by gc as it is; anything else only while it is fresh.
    if (!published.has(key)) {
      await output.touch('parts', key);
      await output.touch('scores', task.scoreKey!);
    }
    const part = await output.readPart(key);
    // The statistics of features are beside the scores.
    const isWhole =
      part?.statistics !== undefined &&
      ((published.has(key) && !judged.has(task.unit)) || (await output.hasScores(task.scoreKey!)));
    if (part !== undefined && isWhole) {
      parts.set(key, part);
      continue;
    }
    missing.push(task);
    // One of before there were statistics is made again, to the same bytes.
    if (part?.statistics === undefined && part !== undefined)
      await output.takeAway('parts', key, temporary);
    remade ||= part === undefined && published.has(key);
  }
  return { missing, remade };
}

/** The key of a task's part: known, because a run hashes what it scores. */
export function keyOf(task: Task): string {
  if (task.partKey === undefined) throw new Error(`task ${taskName(task)} has no key`);
  return task.partKey;
}

/** The CSV files of a unit that hold records that are none. */
function withBadRecords({ files }: UnitPlan): readonly UnitPlan['files'][number][] {
  return files.filter(({ facts }) => (facts.csv?.rejected ?? 0) > 0);
}

function sumRejected(files: readonly { readonly facts: FileFacts }[]): number {
  return files.reduce((sum, { facts }) => sum + (facts.csv?.rejected ?? 0), 0);
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
  if (verdict !== undefined) throw new StoppedEarly(verdict);
}

/** Converts files whose records stop the run, so that a person can look at them: as many as hold more than may be set aside. */
async function recordTooMany(
  files: readonly UnitPlan['files'][number][],
  converter: Converter,
  allowed: number,
): Promise<void> {
  let rejected = 0;
  for (const { file, facts } of files) {
    if (rejected > allowed) return;
    rejected += facts.csv?.rejected ?? 0;
    // That there are too many bad records is what the user has to hear.
    await converter.record(file, facts).catch(() => undefined);
  }
}

async function checkKey(
  unit: UnitPlan,
  { job, dataset, scoring }: Prepared,
  converter: Converter,
  pool: Pool,
): Promise<void> {
  const { key } = job.input;
  if (key === undefined || unit.tasks.every(({ rows }) => rows === 0)) return;
  const files = await Promise.all(
    unit.files
      .filter(({ facts }) => facts.rows > 0)
      .map(({ file, facts }) =>
        converter.orderFile({ file, facts, rowStart: 0, rowEnd: facts.rows }),
      ),
  );
  const ask = {
    unit: unit.unit,
    key,
    files,
    partition: dataset.partitions.get(unit.unit) ?? [],
    scoring: { where: scoring.where, types: scoring.types, csv: scoring.csv },
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
  tools: ScoreTools,
  once: OrderOptions,
): Promise<TaskResult> {
  const { output, temporary, pool, onEvent } = tools;
  const order = await orderOf(task, prepared, tools, once);
  const started = performance.now();
  const timeoutMs = prepared.job.run.batchTimeoutMs;
  const result = await attemptTask(order, { output, temporary, pool, timeoutMs, onEvent });
  const { read, prepare, infer, write } = result.times;
  onEvent({
    type: 'task',
    task: order.name,
    rows: task.rows,
    ms: performance.now() - started,
    workedMs: read + prepare + infer + write,
  });
  return result;
}

/** What an order says besides its task. */
type OrderOptions = Pick<TaskOrder, 'probeBatch' | 'badRowsAllowed' | 'engine'> & {
  readonly converter: Converter;
};

async function orderOf(
  task: Task,
  prepared: Prepared,
  { output }: ScoreTools,
  { converter, probeBatch, badRowsAllowed, engine }: OrderOptions,
): Promise<AttemptOrder> {
  const { job, dataset, model, scoring, publishing, shownModel } = prepared;
  const partKey = keyOf(task);
  const scoreKey = task.scoreKey!;
  return {
    name: taskName(task),
    files: await Promise.all(task.files.map((file) => converter.orderFile(file))),
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
    inFolders: columnsInFolders(publishing, task.unit),
    scoreKey,
    partKey,
    scoreFolder: output.scoreFolder(scoreKey),
    partFolder: output.partFolder(partKey),
    probeBatch,
    badRowsAllowed,
    engine,
    sample: job.sampleRows === 0 ? undefined : { rows: job.sampleRows, key: job.input.key },
  };
}
