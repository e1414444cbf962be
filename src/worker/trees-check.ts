/** Whether the engine for tree ensembles gives the bits of ONNX Runtime: asked once a run, before any task is handed out. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shown } from '../base/errors.js';
import { removeTree } from '../base/files.js';
import { Session, type TensorValues } from '../base/onnx.js';
import { compileTrees, startTrees, type TreeScorer } from '../trees/engine.js';
import { probeInput, probeModel } from '../trees/exp-probe.js';
import { zeros } from '../trees/floats.js';
import { madeUpColumns } from '../trees/made-up.js';
import { feedsOf } from './infer.js';
import { ModelFailed, type OutputColumn, runModel } from './model-run.js';
import type { TaskOrder, TreesCheck } from './protocol.js';
import { openTask, segmentsOfTask, type TaskTools } from './scoring.js';
import { scoreColumns, treesAsSession } from './trees.js';

/** Rows of the run that are scored by both. */
const OWN_ROWS = 4096;
/** Made-up rows that ONNX Runtime gets at a time: between two calls the worker shows that it is alive. */
const BATCH_ROWS = 1024;

/**
 * Scores the first rows of a task, rows made up of all thresholds, and where the ensemble needs it the arguments of a
 * power of e, with both engines, and compares the bits of every output that the job publishes. Throws as scoring does.
 */
export async function checkTrees(order: TaskOrder, tools: TaskTools): Promise<TreesCheck> {
  try {
    return await compareEngines(order, tools);
  } catch (error) {
    if (!isTrap(error)) throw error;
    return { rows: 0, difference: `the engine fails: ${error.message}` };
  }
}

/** Whether WebAssembly ended a call: its class has no name in TypeScript's library for Node. */
function isTrap(error: unknown): error is Error {
  return error instanceof Error && error.name === 'RuntimeError';
}

async function compareEngines(order: TaskOrder, tools: TaskTools): Promise<TreesCheck> {
  const trees = await tools.trees();
  const session = await tools.session();
  const wanted = [...new Set(order.publishing.columns.map(({ output }) => output))];
  const own = await checkOwnRows(order, tools, trees);
  if (own.difference !== undefined) return own;
  const madeUp = await checkMadeUp(order, { session, trees, wanted });
  const rows = own.rows + madeUp.rows;
  if (madeUp.difference !== undefined) return { rows, difference: madeUp.difference };
  const needsExp = trees.model.program.finish.needsExp;
  return { rows, difference: needsExp ? await checkExp(order.temporaryFolder) : undefined };
}

async function checkOwnRows(
  order: TaskOrder,
  tools: TaskTools,
  trees: TreeScorer,
): Promise<TreesCheck> {
  const { scoring } = order;
  const batchRows = scoring.fixedBatch ?? Math.min(scoring.batchRows, OWN_ROWS);
  const task = await openTask(
    { ...order, engine: 'onnxruntime', scoring: { ...scoring, batchRows } },
    segmentsOfTask(order),
    tools,
  );
  const inference = { ...task.inference, onAlive: () => undefined };
  let rows = 0;
  for await (const batch of task.batches) {
    const features = task.features(batch);
    const bad = new Set(features.bad.map(({ row }) => row));
    if (bad.size === batch.rows) continue;
    // This also fills the bad rows, for both.
    const feeds = feedsOf(inference, features, batch.rows, bad);
    try {
      const sent = inference.fixedBatch ?? batch.rows;
      const expected = await runModel(inference, feeds, sent, batch.rows);
      const got = scoreColumns(inference, trees, features, batch.rows);
      const difference = differenceOf(expected, got, { rows: batch.rows, what: 'row' });
      if (difference !== undefined) return { rows, difference };
    } catch (error) {
      if (!(error instanceof ModelFailed)) throw error;
      return { rows, difference: `ONNX Runtime refuses rows: ${error.said}` };
    }
    rows += batch.rows;
    if (rows >= OWN_ROWS) break;
  }
  return { rows, difference: undefined };
}

interface Engines {
  readonly session: Session;
  readonly trees: TreeScorer;
  readonly wanted: readonly string[];
}

async function checkMadeUp({ scoring }: TaskOrder, engines: Engines): Promise<TreesCheck> {
  const { session, trees, wanted } = engines;
  const { program, input, element } = trees.model;
  const columns = madeUpColumns(program);
  const total = columns[0]?.length ?? 0;
  const binding = scoring.inputs.find(({ name }) => name === input);
  const declared = session.inputs.find(({ name }) => name === input)?.shape[1];
  const last = (program.features.at(-1) ?? -1) + 1;
  const width =
    typeof declared === 'number' ? declared : Math.max(last, binding?.columns.length ?? 1);
  const asSession = treesAsSession(trees);
  const step = scoring.fixedBatch ?? BATCH_ROWS;
  for (let start = 0; start < total; start += step) {
    const values = zeros(element, step * width);
    for (const [index, feature] of program.features.entries()) {
      for (let row = 0; row < step; row++) {
        values[row * width + feature] = columns[index]![(start + row) % total]!;
      }
    }
    const feeds = new Map<string, TensorValues>([
      [input, { element, shape: [step, width], values }],
    ]);
    const expected = await session.run(feeds, wanted);
    const got = await asSession.run(feeds, wanted);
    const difference = differenceOf(expected, got, { rows: step, what: 'made-up row' });
    if (difference !== undefined) return { rows: start, difference };
    // Between two calls of the model the worker shows that it is alive.
    await new Promise((resolve) => setImmediate(resolve));
  }
  return { rows: total, difference: undefined };
}

/** Compares the power of e that both compute, on a model that shows it. */
async function checkExp(temporaryFolder: string): Promise<string | undefined> {
  const path = join(temporaryFolder, 'exp.onnx');
  await mkdir(temporaryFolder, { recursive: true });
  let session: Session | undefined;
  try {
    await writeFile(path, probeModel());
    session = await Session.open(path, 'exp.onnx', 'cpu');
    const model = compileTrees(path);
    if (typeof model === 'string') throw new Error(`the probe is no tree ensemble: ${model}`);
    const values = probeInput();
    const feeds = new Map<string, TensorValues>([
      ['x', { element: 'float32', shape: [values.length, 1], values }],
    ]);
    const expected = await session.run(feeds, ['y']);
    const got = await treesAsSession(startTrees(model)).run(feeds, ['y']);
    return differenceOf(expected, got, { rows: values.length, what: 'power of e, row' });
  } finally {
    await session?.close();
    await removeTree(temporaryFolder);
  }
}

type Values = Pick<OutputColumn, 'values'>;

/** The first value whose bits differ, in words. A NaN is a NaN. */
function differenceOf(
  expected: ReadonlyMap<string, Values>,
  got: ReadonlyMap<string, Values>,
  { rows, what }: { readonly rows: number; readonly what: string },
): string | undefined {
  for (const [name, { values }] of expected) {
    const others = got.get(name)?.values ?? [];
    const output = `output "${shown(name)}"`;
    if (values.length !== others.length)
      return `${output} has ${others.length} values, not ${values.length}`;
    for (let i = 0; i < values.length; i++) {
      if (Object.is(values[i], others[i])) continue;
      const row = Math.floor(i / (values.length / rows));
      const [one, other] = [shown(String(others[i])), shown(String(values[i]))];
      return `${output} of ${what} ${row} is ${one}, not ${other}`;
    }
  }
  return undefined;
}
