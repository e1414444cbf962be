/** Whether the engine for tree ensembles gives the bits of ONNX Runtime: asked once a run, before any task is handed out. */
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { shown } from '../base/errors.js';
import { removeTree } from '../base/files.js';
import { runtimeMessage, Session, type TensorValues } from '../base/onnx.js';
import { aloneModel, compileTrees, startUnit, type UnitScorer } from '../trees/engine.js';
import { probeInput, probeModel } from '../trees/exp-probe.js';
import { zeros } from '../trees/floats.js';
import { madeUpColumns, madeUpMatrix } from '../trees/made-up.js';
import { type FeatureElement, type FeaturePlace, placeOf } from '../trees/views.js';
import { feedsOf } from './infer.js';
import { ModelFailed, type OutputColumn, runModel, TreesFailed } from './model-run.js';
import type { TaskOrder, TreesCheck } from './protocol.js';
import { openTask, segmentsOfTask, type TaskTools } from './scoring.js';
import { areTreesAlone, scoreColumns, treesAsSession } from './trees.js';
import type { LoadedTrees } from './trees-load.js';

/** Rows of the run that are scored by both. */
const OWN_ROWS = 4096;
/** Made-up rows that ONNX Runtime gets at a time: between two calls the worker shows that it is alive. */
const BATCH_ROWS = 1024;
/** Beside a call that takes longer, what only the first call needs is little. */
const LONG_MS = 250;

/**
 * Scores the first rows of a task, rows made up of all thresholds, and where the ensemble needs it the arguments of a
 * power of e, with both engines, and compares the bits of every output that the job publishes. Throws as scoring does.
 */
export async function checkTrees(order: TaskOrder, tools: TaskTools): Promise<TreesCheck> {
  try {
    return await compareEngines(order, tools);
  } catch (error) {
    if (!isTrap(error) && !(error instanceof TreesFailed)) throw error;
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
  const own = await checkOwnRows(order, tools, trees);
  if (own.difference !== undefined) return own;
  let { rows } = own;
  for (const scorer of trees.units) {
    const madeUp = await checkMadeUp(order, { session, trees, scorer });
    rows += madeUp.rows;
    if (madeUp.difference !== undefined) return { rows, difference: madeUp.difference };
  }
  const needsExp = trees.units.some(({ unit }) => unit.program.finish.needsExp);
  const difference = needsExp ? await checkExp(order.temporaryFolder) : undefined;
  return { ...own, rows, difference };
}

async function checkOwnRows(
  order: TaskOrder,
  tools: TaskTools,
  trees: LoadedTrees,
): Promise<TreesCheck> {
  const { scoring } = order;
  const batchRows = scoring.fixedBatch ?? Math.min(scoring.batchRows, OWN_ROWS);
  const task = await openTask(
    { ...order, engine: 'onnxruntime', scoring: { ...scoring, batchRows } },
    segmentsOfTask(order),
    tools,
  );
  const inference = { ...task.inference, onAlive: () => undefined };
  const wanted = inference.outputs.map(({ output }) => output);
  const isAlone = areTreesAlone(trees, wanted);
  const inParts = { ...inference, session: treesAsSession(trees) };
  const clocks = { runtime: 0, trees: 0 };
  let rows = 0;
  for await (const batch of task.batches) {
    const features = task.features(batch);
    const bad = new Set(features.bad.map(({ row }) => row));
    if (bad.size === batch.rows) continue;
    // This also fills the bad rows, for both.
    const feeds = feedsOf(inference, features, batch.rows, bad);
    const sent = inference.fixedBatch ?? batch.rows;
    const expect = (): Promise<Outputs> => runModel(inference, feeds, sent, batch.rows);
    const score = async (): Promise<Outputs> =>
      isAlone
        ? scoreColumns(inference, trees, features, batch.rows)
        : runModel(inParts, feeds, sent, batch.rows);
    const [expected, runtimeMs] = await timed(expect);
    if (typeof expected === 'string')
      return { rows, difference: `ONNX Runtime refuses rows: ${expected}` };
    const [got, treesMs] = await timed(score);
    if (typeof got === 'string') return { rows, difference: `the trees refuse rows: ${got}` };
    const difference = differenceOf(expected, got, { rows: batch.rows, what: 'row' });
    if (difference !== undefined) return { rows, difference };
    // The first call is also that of compiling and of taking memory; where that decides nothing, or is little of it, it is the only one.
    const isClear = isAlone || 2 * treesMs < runtimeMs || runtimeMs > LONG_MS;
    clocks.runtime += isClear ? runtimeMs : await leastTime(expect);
    clocks.trees += isClear ? treesMs : await leastTime(score);
    rows += batch.rows;
    if (rows >= OWN_ROWS) break;
  }
  const isSlower = !isAlone && rows > 0 && clocks.trees >= clocks.runtime;
  return { rows, difference: undefined, ...(isSlower ? { slower: clocks } : {}) };
}

type Outputs = Map<string, OutputColumn>;

/** What a call gives, or what the model said instead, and how long it took in ms. */
async function timed(run: () => Promise<Outputs>): Promise<[Outputs | string, number]> {
  const started = performance.now();
  try {
    return [await run(), performance.now() - started];
  } catch (error) {
    if (!(error instanceof ModelFailed)) throw error;
    return [error.said, 0];
  }
}

/** The shortest of some calls, because whatever else runs only adds to them. */
async function leastTime(run: () => Promise<Outputs>): Promise<number> {
  let least = Infinity;
  for (let i = 0; i < 3; i++) least = Math.min(least, (await timed(run))[1]);
  return least;
}

interface Engines {
  /** The whole model in ONNX Runtime. */
  readonly session: Session;
  readonly trees: LoadedTrees;
  readonly scorer: UnitScorer;
}

/** Scores made-up rows with a unit and with its nodes in ONNX Runtime: with the whole model, where that is no more than these. */
async function checkMadeUp(order: TaskOrder, engines: Engines): Promise<TreesCheck> {
  const { session, trees, scorer } = engines;
  const { unit } = scorer;
  const whole = wholeInput(order, trees);
  if (whole !== undefined) {
    const declared = session.inputs.find(({ name }) => name === whole)?.shape[1];
    const names = new Map(trees.model.outputs);
    return compareMadeUp(scorer, { session, inputs: [whole], width: declared, names, order });
  }
  const width = 'open' in unit.features ? undefined : unit.features.columns.length;
  const needed = width ?? (unit.program.features.at(-1) ?? 0) + 1;
  let alone: Session | undefined;
  try {
    const { bytes, inputs } = aloneModel(order.model.path, unit, needed);
    alone = await Session.openPart(bytes, order.model.path);
    const names = new Map([...unit.outputs.keys()].map((value) => [value, value]));
    return await compareMadeUp(scorer, { session: alone, inputs, width: needed, names, order });
  } catch (error) {
    if (isTrap(error)) throw error;
    return { rows: 0, difference: `ONNX Runtime refuses made-up rows: ${runtimeMessage(error)}` };
  } finally {
    await alone?.close();
  }
}

/** The one input of a model whose columns are the features of its one ensemble. */
function wholeInput({ publishing }: TaskOrder, trees: LoadedTrees): string | undefined {
  const { model, units, before, behind } = trees;
  const [first] = units;
  if (first === undefined || units.length > 1 || before !== undefined || behind !== undefined)
    return undefined;
  if (publishing.columns.some(({ output }) => !model.outputs.has(output))) return undefined;
  const { program, features } = first.unit;
  const places = [0, ...program.features].map((feature) => placeOf(features, feature));
  const [{ value }] = places as [FeaturePlace];
  const isSame = places.every(
    ({ value: other, column, element }, i) =>
      other === value && column === [0, ...program.features][i] && element.startsWith('float'),
  );
  return isSame ? value : undefined;
}

interface Peer {
  readonly session: Session;
  /** The inputs that all take the same rows; how many columns they want, where that is known. */
  readonly inputs: readonly string[];
  readonly width: number | string | undefined;
  /** The values of the unit by the names of the session's outputs. */
  readonly names: ReadonlyMap<string, string>;
  readonly order: TaskOrder;
}

async function compareMadeUp({ unit, score }: UnitScorer, peer: Peer): Promise<TreesCheck> {
  const { session, inputs, width: declared, names, order } = peer;
  const { program } = unit;
  const columns = madeUpColumns(program);
  const total = columns[0]?.length ?? 0;
  const used = (program.features.at(-1) ?? -1) + 1;
  const binding = order.scoring.inputs.find(({ name }) => name === inputs[0]);
  const width =
    typeof declared === 'number' ? declared : Math.max(used, binding?.columns.length ?? 1);
  const [first] = inputs.map((name) => session.inputs.find((input) => input.name === name));
  const fixed = first?.shape[0];
  const step = typeof fixed === 'number' ? fixed : BATCH_ROWS;
  const element = first?.element as FeatureElement;
  for (let start = 0; start < total; start += step) {
    const matrix = madeUpMatrix(program, columns, { element, start, rows: step, width });
    const feed: TensorValues = { element, shape: [step, width], values: matrix };
    const expected = await session.run(new Map(inputs.map((name) => [name, feed])), [
      ...names.keys(),
    ]);
    const got = score((offset) => ({ values: matrix, stride: width, offset }), {
      rows: step,
      wanted: [...new Set(names.values())],
      allocate: zeros,
    });
    const mine = new Map([...names].map(([name, value]) => [name, got.get(value)!]));
    const difference = differenceOf(expected, mine, { rows: step, what: 'made-up row' });
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
    const got = startUnit(model.units[0]!).score(() => ({ values, stride: 1, offset: 0 }), {
      rows: values.length,
      wanted: ['y'],
      allocate: zeros,
    });
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
