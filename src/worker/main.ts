/** A worker: answers the parent's requests, one at a time, until the channel closes. */
import { Worker } from 'node:worker_threads';
import { Database, duckdbVersion, isFatal } from '../base/duckdb.js';
import { ScorelineError } from '../base/errors.js';
import { stampOf, stampText } from '../base/hash.js';
import { devices, runtimeVersion, Session } from '../base/onnx.js';
import type { WorkLimit } from '../base/watch-report.js';
import { checkKeyUnique, describeFiles, describeModel } from './describe.js';
import { inspectPath } from './inspect.js';
import {
  type BatchPlace,
  type FromWorker,
  type HashedModel,
  isMessage,
  type RequestKind,
  type Requests,
  type TaskOrder,
  type ToWorker,
  toWire,
  type WorkerSetup,
} from './protocol.js';
import { scoreTask } from './score-task.js';
import type { TaskTools } from './scoring.js';
import { type LoadedTrees, loadTrees } from './trees-load.js';

// The parent says its own number: it may be gone before this process could ask the system for it.
const watchdog = new Worker(new URL('./watchdog.js', import.meta.url), {
  workerData: Number(process.argv[2]),
});
watchdog.unref();
// The parent decides when a worker ends; a signal to the whole group (Ctrl-C) reaches workers too.
process.on('SIGINT', () => undefined);
process.on('SIGTERM', () => undefined);
process.on('disconnect', () => process.exit(0));

let setup: WorkerSetup | undefined;
let database: Promise<Database> | undefined;
let session: { readonly key: string; readonly opened: Promise<Session> } | undefined;

function send(message: FromWorker): void {
  process.send?.(message);
}

function tellProgress(rows: number, batch: BatchPlace | null): void {
  send({ scoreline: 'progress', rows, batch });
}

/** The worker's DuckDB, opened when it is first needed. */
function openDatabase(): Promise<Database> {
  if (setup === undefined) throw new Error('a request came before the setup');
  database ??= Database.open(setup);
  return database;
}

/** Closes a DuckDB instance that is beyond use; the next request opens another. */
async function reopenDatabase(): Promise<void> {
  const broken = await database;
  database = undefined;
  broken?.close();
}

/** Does some work of native code within a limit: past it, the watchdog ends this process. */
async function limited<Result>(limit: WorkLimit, work: () => Promise<Result>): Promise<Result> {
  watchdog.postMessage(limit);
  try {
    return await work();
  } finally {
    watchdog.postMessage(null);
  }
}

function openSession(model: { path: string; shownAs: string; device: string }): Promise<Session> {
  const key = JSON.stringify(model);
  if (session?.key !== key) {
    session = { key, opened: Session.open(model.path, model.shownAs, model.device) };
  }
  return session.opened;
}

/** By path: that of the run, and where a change is explained that of the run before. */
const trees = new Map<string, Promise<LoadedTrees | string>>();

/** The model in the engine for tree ensembles, or why that cannot run it. */
function openTrees(path: string): Promise<LoadedTrees | string> {
  const opened = trees.get(path) ?? loadTrees(path);
  trees.set(path, opened);
  return opened;
}

/** A session of the very model that was hashed: one that was replaced since would be stored under a wrong key. */
async function openHashed({ files, ...model }: HashedModel): Promise<Session> {
  const opened = await openSession(model);
  await checkModel(model.shownAs, files);
  return opened;
}

/** The same of the engine for tree ensembles: the parent asks for it only where it can run the model. */
async function treesOfHashed({ files, path, shownAs }: HashedModel): Promise<LoadedTrees> {
  const opened = await openTrees(path);
  await checkModel(shownAs, files);
  if (typeof opened === 'string') throw new Error(`the trees of ${shownAs} do not load: ${opened}`);
  return opened;
}

async function checkModel(shownAs: string, files: HashedModel['files']): Promise<void> {
  for (const { path, stamp } of files) {
    const now = await stampOf(path).catch(() => undefined);
    if (now === undefined || stampText(now) !== stampText(stamp)) {
      const what = now === undefined ? 'removed' : 'changed';
      throw new ScorelineError('changed', `model ${shownAs}: ${what} during the run; run again`);
    }
  }
}

/** How often a worker shows that it is alive: while the model runs it cannot, which is what the deadline is for. */
const HEARTBEAT_MS = 250;
setInterval(() => send({ scoreline: 'progress', rows: 0 }), HEARTBEAT_MS).unref();

async function toolsFor({ model }: TaskOrder): Promise<TaskTools> {
  return {
    database: await openDatabase(),
    session: () => openHashed(model),
    trees: () => treesOfHashed(model),
    onProgress: tellProgress,
  };
}

type Handlers = {
  [Kind in RequestKind]: (ask: Requests[Kind]['ask']) => Promise<Requests[Kind]['answer']>;
};

const handlers: Handlers = {
  'describe-model': (ask) =>
    describeModel(ask, { openSession, openTrees }, () => send({ scoreline: 'trial' })),
  'describe-files': (ask) => describeFiles(openDatabase, reopenDatabase, ask),
  'describe-csv': async (ask) => {
    const { describeCsv } = await import('./csv.js');
    return describeCsv(ask);
  },
  'convert-csv': async (ask) => {
    if (setup === undefined) throw new Error('a request came before the setup');
    const { convertCsv } = await import('./csv.js');
    return convertCsv(ask, setup, openDatabase);
  },
  'check-expression': async (ask) => {
    // Loaded when it is needed: few jobs have a filter, and every worker would wait for it.
    const { checkExpressionText } = await import('./expression.js');
    await checkExpressionText(await openDatabase(), ask, limited);
    return null;
  },
  'check-key': async (ask) => {
    await checkKeyUnique(await openDatabase(), ask);
    return null;
  },
  score: async (order) => {
    const result = await scoreTask(order, await toolsFor(order));
    // The young generation holds the handles of a task's chunks: see `WORKER_FLAGS` of the pool.
    globalThis.gc?.({ type: 'minor', execution: 'sync' });
    return result;
  },
  probe: async (order) => {
    const { probeRows } = await import('./probe.js');
    return probeRows(order, await toolsFor(order));
  },
  flips: async (order) => {
    const { compareByKey } = await import('./flips.js');
    return compareByKey(await openDatabase(), order);
  },
  explain: async (order) => {
    const { explainSamples } = await import('./explain.js');
    return explainSamples(order, {
      openTrees,
      onAlive: () => send({ scoreline: 'progress', rows: 0 }),
    });
  },
  'compare-parts': async (ask) => {
    const { compareParts } = await import('./compare.js');
    return compareParts(await openDatabase(), ask);
  },
  'check-rows': async (ask) => {
    const { checkRows } = await import('./check.js');
    return checkRows(await openDatabase(), ask);
  },
  'record-rows': async (ask) => {
    const { recordRows } = await import('./check.js');
    return recordRows(await openDatabase(), ask);
  },
  disturb: async (ask) => {
    const { disturb } = await import('./disturb.js');
    return disturb(await openDatabase(), ask);
  },
  'check-trees': async (order) => {
    const { checkTrees } = await import('./trees-check.js');
    return checkTrees(order, await toolsFor(order));
  },
  inspect: ({ path }) => inspectPath(openDatabase, { openSession, openTrees }, path),
  environment: async () => ({
    versions: { duckdb: duckdbVersion(), onnxruntime: runtimeVersion() },
    devices: devices(),
  }),
};

async function answer(request: Extract<ToWorker, { scoreline: 'request' }>): Promise<void> {
  const { id, kind, ask } = request;
  try {
    // The parent is this same program: its messages have the types of `Requests`.
    const result = await handlers[kind](ask as never);
    send({
      scoreline: 'answer',
      id,
      answer: result,
      peakBytes: process.resourceUsage().maxRSS * 1024,
    });
  } catch (error) {
    send({
      scoreline: 'failure',
      id,
      error: toWire(error),
      fatal: isFatal(error) || isFatal(causeOf(error)),
    });
  }
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

let queue: Promise<void> = Promise.resolve();
process.on('message', (message: unknown) => {
  if (!isMessage(message)) return;
  const received = message as ToWorker;
  if (received.scoreline === 'setup') setup = received.setup;
  else queue = queue.then(() => answer(received));
});
send({ scoreline: 'ready' });
