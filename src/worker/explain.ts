/** Explains a change from samples in the store, with the models that scored them. */
import { readFile } from 'node:fs/promises';
import { Arena, type Column, recordBatchOf, type TypedArray } from '../base/columns.js';
import { errnoOf, ScorelineError, shown } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import { Session } from '../base/onnx.js';
import { explainChanges } from '../explain/explain.js';
import type { ExplainedModel, ExplainedSide } from '../explain/features.js';
import { mergeSamples, pickRows, type Sample, type SampleColumn } from '../explain/sample.js';
import {
  decodePublished,
  decodeScored,
  type PublishedSample,
  type ScoredSample,
} from '../explain/sample-file.js';
import type { Scores } from '../explain/targets.js';
import type { OutputBinding } from '../plan/predictions.js';
import { inferBatch } from './infer.js';
import type { InferenceOptions, OutputColumn } from './model-run.js';
import type { ExplainAnswer, ExplainOrder, ExplainOrderSide, SampleRef } from './protocol.js';
import { areTreesAlone, treesAsSession } from './trees.js';
import type { LoadedTrees } from './trees-load.js';

/** What a worker lends. */
export interface ExplainTools {
  /** The engine for tree ensembles with a model, or why it cannot run it. */
  readonly openTrees: (path: string) => Promise<LoadedTrees | string>;
  /** Told before each call of a model. */
  readonly onAlive: () => void;
}

/** What of the budget is left at the least when samples and models are there, in ms. */
const LEAST_MS = 200;
/** What of the rest scoring both samples with both models may take. */
const CROSSOVER_SHARE = 0.4;
/** Fewer rows are not worth looking at, however slow a model is. */
const LEAST_ROWS = 256;
/** Rows with which the speed of a model is measured. */
const PROBE_ROWS = 128;
/** In less time a speed cannot be told. */
const PROBE_MS = 5;
/** The most rows that a model gets at a time. */
const BATCH_ROWS = 4096;

/** Explains, or says why it cannot. Throws `model` when a model cannot be loaded, or fails on every row. */
export async function explainSamples(
  order: ExplainOrder,
  tools: ExplainTools,
): Promise<ExplainAnswer> {
  const started = performance.now();
  const before = await loadSide(order.before, order.sampleRows);
  if (typeof before === 'string') return { reason: `${before} of what it is compared with` };
  const now = await loadSide(order.now, order.sampleRows);
  if (typeof now === 'string') return { reason: now };
  const opened: OpenModel[] = [];
  try {
    for (const side of [
      { order: order.before, loaded: before },
      { order: order.now, loaded: now },
    ])
      opened.push(await openModel(side.order, side.loaded, tools));
    const [old, fresh] = opened as [OpenModel, OpenModel];
    const msPerRow = ((await speedOf(old, before)) + (await speedOf(fresh, now))) / 2;
    const loadedMs = performance.now() - started;
    const budgetMs = Math.max(LEAST_MS, order.budgetMs - loadedMs);
    const affordable = Math.floor((CROSSOVER_SHARE * budgetMs) / (4 * msPerRow));
    const rows = Math.min(order.sampleRows, Math.max(LEAST_ROWS, affordable));
    const sides: readonly [ExplainedSide, ExplainedSide] = [
      { sample: mergeSamples([before.sample], rows), model: old.model },
      { sample: mergeSamples([now.sample], rows), model: fresh.model },
    ];
    const explained = await explainChanges(...sides, {
      targets: order.targets,
      budget: (scored, ms) =>
        Math.max(0, budgetMs - ms) / Math.max(msPerRow / 4, ms / Math.max(1, scored)),
      clock: () => performance.now(),
    });
    if (typeof explained === 'string') return { reason: explained };
    const notes = opened.flatMap(({ notes: own }) => own);
    return { explained, notes: [...new Set(notes)] };
  } finally {
    for (const { close } of opened) await close();
  }
}

/** One side's sample, and how its columns are a model's inputs and its outputs predictions. */
interface LoadedSide {
  readonly sample: Sample;
  readonly inputs: ScoredSample['inputs'];
  readonly fixedBatch: number | null;
  readonly columns: readonly OutputBinding[];
  /** The first task's rows and what its run found for them. */
  readonly check: ScoredSample;
}

/** How many samples are put together at a time. */
const TOGETHER = 8;

async function loadSide({ tasks }: ExplainOrderSide, rows: number): Promise<LoadedSide | string> {
  let sum: Sample | undefined;
  let first:
    | { scored: ScoredSample; published: Pick<PublishedSample, 'columns' | 'kept'> }
    | undefined;
  let gathered: Sample[] = [];
  for (const task of tasks) {
    // Rows of greater hashes than those gathered already would be cut again.
    const bound = sum?.bound;
    const scored = await readIfThere(task.scored, (bytes) => decodeScored(bytes, bound));
    const most = scored === DAMAGED ? undefined : scored?.hashes.length;
    const published = await readIfThere(task.published, (bytes) => decodePublished(bytes, most));
    if (scored === DAMAGED || published === DAMAGED)
      return 'a sample is damaged ("scoreline verify" names it)';
    if (scored === undefined || published?.rows !== scored.count) return 'no sample is kept';
    // Of a task of which no row was scored there is nothing to say, not even of its columns.
    if (scored.count === 0) continue;
    first ??= { scored, published };
    const isSame =
      JSON.stringify(first.scored.inputs) === JSON.stringify(scored.inputs) &&
      JSON.stringify(first.published.columns) === JSON.stringify(published.columns);
    if (!isSame) return 'the features or predictions are not the same in all partitions';
    gathered.push({ ...scored, kept: published.kept });
    if (gathered.length < TOGETHER) continue;
    sum = mergeSamples(sum === undefined ? gathered : [sum, ...gathered], rows);
    gathered = [];
  }
  if (first === undefined) return 'no row was scored';
  if (sum === undefined || gathered.length > 0)
    sum = mergeSamples(sum === undefined ? gathered : [sum, ...gathered], rows);
  const { scored, published } = first;
  return {
    sample: sum,
    inputs: scored.inputs,
    fixedBatch: scored.fixedBatch,
    columns: published.columns,
    check: scored,
  };
}

/** Instead of the content of a file that is not what was recorded. */
const DAMAGED = 'damaged';

async function readIfThere<Content>(
  { path, sha256: digest }: SampleRef,
  decode: (bytes: Uint8Array) => Content | undefined,
): Promise<Content | typeof DAMAGED | undefined> {
  try {
    const bytes = await readFile(path);
    return digest !== undefined && sha256(bytes) !== digest ? DAMAGED : decode(bytes);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

/** A model that is ready to explain with. */
interface OpenModel {
  readonly model: ExplainedModel;
  readonly notes: readonly string[];
  readonly close: () => Promise<void>;
}

/** Opens a model in the faster engine that says of its own rows what was said when they were scored. */
async function openModel(
  { model }: ExplainOrderSide,
  loaded: LoadedSide,
  tools: ExplainTools,
): Promise<OpenModel> {
  const trees = await tools.openTrees(model.path);
  const wanted = loaded.columns.map(({ output }) => output);
  if (typeof trees !== 'string' && wanted.every((name) => trees.model.outputs.has(name))) {
    const alone = areTreesAlone(trees, wanted) ? trees : undefined;
    const engine = { trees: alone, session: treesAsSession(trees) };
    const own = modelOf(model.key, loaded, engine, tools);
    if (await saysTheSame(own, loaded))
      return { model: own, notes: [], close: async () => undefined };
  }
  const session = await Session.open(model.path, model.shownAs, 'cpu');
  const own = modelOf(model.key, loaded, { session }, tools);
  try {
    const notes = (await saysTheSame(own, loaded))
      ? []
      : [`${model.shownAs} scores sampled rows otherwise than in its run: parts are approximate`];
    return { model: own, notes, close: () => session.close() };
  } catch (error) {
    await session.close();
    throw error;
  }
}

/** How much scores may differ, as a share of their size: another batch may move the last bits of some models. */
const SAME = 1e-4;

async function saysTheSame(
  model: ExplainedModel,
  { check, columns }: LoadedSide,
): Promise<boolean> {
  const rows = Math.min(PROBE_ROWS, check.hashes.length);
  const places = Int32Array.from({ length: rows }, (_, i) => i);
  const inputs = model.inputs.map((name) =>
    pickRows(check.features.find((column) => column.name === name)!, places),
  );
  const again = await model.score(inputs, rows);
  const outputs = new Map(
    check.outputs.map((column): [string, OutputColumn] => {
      const { width, values } = pickRows(column, places);
      return [column.name, { element: 'float32', width, values: values as TypedArray | string[] }];
    }),
  );
  const before = scoresOf(columns, outputs, rows, new Set());
  return [...before].every(([name, values]) => {
    const found = again.get(name)!;
    return values.every((value: number | string, row: number) => {
      const other = found[row]!;
      if (typeof value === 'string' || typeof other === 'string') return value === other;
      if (!Number.isFinite(value)) return true;
      return Math.abs(value - other) <= SAME * Math.max(1, Math.abs(value));
    });
  });
}

/** How long a model takes for a row, in ms: of more rows where it is fast. */
async function speedOf({ model }: OpenModel, { sample }: LoadedSide): Promise<number> {
  const columns = model.inputs.map((name) => sample.features.find((own) => own.name === name));
  if (sample.hashes.length === 0 || columns.includes(undefined)) return 1;
  for (let wanted = PROBE_ROWS; ; wanted *= 8) {
    const rows = Math.min(wanted, sample.hashes.length);
    const places = Int32Array.from({ length: rows }, (_, i) => i);
    const picked = columns.map((column) => pickRows(column!, places));
    const started = performance.now();
    await model.score(picked, rows);
    const ms = performance.now() - started;
    if (ms >= PROBE_MS || rows < wanted) return ms / rows;
  }
}

/** A model as explaining takes it. */
function modelOf(
  id: string,
  { inputs, fixedBatch, columns }: LoadedSide,
  engine: Pick<InferenceOptions, 'session' | 'trees'>,
  { onAlive }: ExplainTools,
): ExplainedModel {
  const names = inputs.flatMap((input) => input.columns);
  const distinct = [...new Set(names)];
  const options: InferenceOptions = {
    ...engine,
    shownAs: id,
    inputs,
    outputs: columns,
    fixedBatch: fixedBatch ?? undefined,
    nonFinite: 'keep',
    arena: new Arena(),
    onAlive,
  };
  const most = fixedBatch ?? BATCH_ROWS;
  const wanted = columns.filter(({ width, index }) => width === 1 || index !== undefined);
  const score = async (given: readonly SampleColumn[], rows: number): Promise<Scores> => {
    const batches: Scores[] = [];
    for (let start = 0; start < rows; start += most) {
      const own = Int32Array.from({ length: Math.min(most, rows - start) }, (_, i) => start + i);
      const picked = given.map((column) => asColumn(pickRows(column, own)));
      const batch = recordBatchOf(
        names.map((_, i) => `c${i}`),
        names.map((name) => picked[distinct.indexOf(name)]!),
        own.length,
      );
      options.arena.reset();
      const limits = { allowed: own.length, anyScored: true, place: String };
      const { outputs, bad } = await inferBatch(options, { batch, bad: [] }, own.length, limits);
      if (outputs.size === 0)
        throw new ScorelineError('model', `model ${shown(id, 12)}: fails on every sampled row`);
      batches.push(scoresOf(wanted, outputs, own.length, new Set(bad.map(({ row }) => row))));
    }
    return joined(batches);
  };
  return { id, inputs: distinct, score };
}

function asColumn({ element, width, values }: SampleColumn): Column {
  const own = { values: values as Column['values'], validity: undefined };
  const type = element === 'float16' ? ('uint16' as const) : element;
  return width === 1
    ? { element: type, ...own }
    : { element: type, ...own, list: { width, validity: undefined } };
}

/** Predictions by column: numbers, or labels as texts. Rows that the model refuses have none. */
function scoresOf(
  columns: readonly OutputBinding[],
  outputs: ReadonlyMap<string, OutputColumn>,
  rows: number,
  bad: ReadonlySet<number>,
): Map<string, Float64Array | string[]> {
  const scores = new Map<string, Float64Array | string[]>();
  for (const { column, output, element, width, index } of columns) {
    if (width > 1 && index === undefined) continue;
    const { values, width: own } = outputs.get(output)!;
    const at = (row: number): unknown => values[row * own + (index ?? 0)];
    if (element.startsWith('float')) {
      scores.set(
        column,
        Float64Array.from({ length: rows }, (_, row) =>
          bad.has(row) ? Number.NaN : Number(at(row)),
        ),
      );
    } else {
      scores.set(
        column,
        Array.from({ length: rows }, (_, row) => (bad.has(row) ? '' : String(at(row)))),
      );
    }
  }
  return scores;
}

function joined(batches: readonly Scores[]): Scores {
  const [first] = batches;
  if (first === undefined || batches.length === 1) return first ?? new Map();
  return new Map(
    [...first].map(([name, values]): [string, Float64Array | string[]] => {
      if (!(values instanceof Float64Array))
        return [name, batches.flatMap((batch) => batch.get(name) as string[])];
      const all = batches.map((batch) => batch.get(name) as Float64Array);
      const sum = new Float64Array(all.reduce((total, each) => total + each.length, 0));
      let at = 0;
      for (const each of all) {
        sum.set(each, at);
        at += each.length;
      }
      return [name, sum];
    }),
  );
}
