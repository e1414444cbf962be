/** A task's rows as the model takes them: what scoring it and looking for the rows that end a worker have in common. */
import { Arena } from '../base/columns.js';
import type { Database } from '../base/duckdb.js';
import { shown } from '../base/errors.js';
import type { Session } from '../base/onnx.js';
import { type FeatureBatch, type FeaturesPlan, planFeatures, toFeatures } from './features.js';
import type { InferenceOptions } from './model-run.js';
import { withKnownSizes } from './open-sizes.js';
import type { BatchPlace, OrderFile, TaskOrder } from './protocol.js';
import { readBatches, type Segment, type SourceBatch, segmentsOf } from './read.js';
import { withRowKey } from './sample.js';
import { areTreesAlone, treesAsSession } from './trees.js';
import type { LoadedTrees } from './trees-load.js';

/** What a worker lends to an attempt. */
export interface TaskTools {
  readonly database: Database;
  /** Loads the model, once a worker. */
  readonly session: () => Promise<Session>;
  /** The model in the engine for tree ensembles, once a worker. */
  readonly trees: () => Promise<LoadedTrees>;
  /** Told which batch the model gets before each call of it, and after each batch (null) how many rows are done with it. */
  readonly onProgress: (rows: number, batch: BatchPlace | null) => void;
}

/** A batch of a task as it was read. */
export type TaskBatch = SourceBatch<FeaturesPlan>;

/** A task, opened: its batches in order, and what turns one into the model's inputs. */
export interface OpenTask {
  readonly inference: Omit<InferenceOptions, 'onAlive'>;
  readonly batches: AsyncGenerator<TaskBatch, void, undefined>;
  /** The model's inputs of a batch, until the next one; the rows known to be lethal are among the bad ones. */
  readonly features: (batch: TaskBatch) => FeatureBatch;
  /** By column: how many values a cast has changed so far. */
  readonly lossyCasts: ReadonlyMap<string, number>;
}

/** The segments of a task's files. */
export function segmentsOfTask({ files, partition, scoring }: TaskOrder): Segment[] {
  return segmentsOf({
    files,
    partition,
    types: scoring.types,
    csv: scoring.csv !== undefined,
  });
}

/** Opens a task. Throws `input` when its columns do not fit, `model` when the model cannot be loaded. */
export async function openTask(
  order: TaskOrder,
  segments: readonly Segment[],
  tools: TaskTools,
): Promise<OpenTask> {
  const { scoring } = order;
  const arena = new Arena();
  const lossyCasts = new Map<string, number>();
  const inputs = await withKnownSizes(tools.database, segments, scoring.inputs, scoring.where);
  return {
    inference: {
      ...(await modelFor(order, tools)),
      shownAs: order.model.shownAs,
      inputs,
      outputs: order.publishing.columns,
      fixedBatch: scoring.fixedBatch,
      nonFinite: scoring.nonFinite,
      arena,
    },
    batches: readBatches(tools.database, segments, {
      where: scoring.where,
      batchRows: scoring.batchRows,
      planFor: (segment) =>
        withRowKey(planFeatures(segment, inputs), segment, segments, order.sample?.key),
    }),
    features: (batch) => {
      arena.reset();
      const features = toFeatures(batch.batch, batch.plan, batch.rows, lossyCasts, arena);
      return withLethal(order, batch, features);
    },
    lossyCasts,
  };
}

async function modelFor(
  { engine, publishing }: TaskOrder,
  tools: TaskTools,
): Promise<Pick<InferenceOptions, 'session' | 'trees'>> {
  if (engine === 'onnxruntime') return { session: await tools.session() };
  const trees = await tools.trees();
  const wanted = publishing.columns.map(({ output }) => output);
  return {
    session: treesAsSession(trees),
    trees: areTreesAlone(trees, wanted) ? trees : undefined,
  };
}

function withLethal(order: TaskOrder, batch: TaskBatch, features: FeatureBatch): FeatureBatch {
  const lethal = order.lethal.flatMap(({ row, reason }) => {
    if (row < batch.rowStart || row >= batch.rowEnd) return [];
    const index = batch.positions?.indexOf(row) ?? row - batch.rowStart;
    return [{ row: index, reason, column: '' }];
  });
  if (lethal.length === 0) return features;
  const bad = [...features.bad, ...lethal].sort((a, b) => a.row - b.row);
  return { batch: features.batch, bad };
}

/** The place in the task of a row of a batch. */
export function taskRow({ rowStart, positions }: TaskBatch, row: number): number {
  return positions?.[row] ?? rowStart + row;
}

/** Where a row of a task stands, for a person. */
export function placeText({ files }: TaskOrder, row: number): string {
  const { path, fileRow } = placeOf(files, row);
  return `${shown(path)} row ${fileRow}`;
}

/** The file and the row in it (from 0) of a row of a task. */
function placeOf(files: readonly OrderFile[], row: number): { path: string; fileRow: number } {
  let first = 0;
  for (const { path, rowStart, rowEnd } of files) {
    if (row < first + rowEnd - rowStart) return { path, fileRow: rowStart + row - first };
    first += rowEnd - rowStart;
  }
  throw new RangeError(`the task has no row ${row}`);
}
