/** Gives the model some rows of a batch by themselves: the parent looks for those on which the worker does not survive. */
import type { TensorValues } from '../base/onnx.js';
import { failingRows, rowsOf } from './bisect.js';
import { feedsOf } from './infer.js';
import { type InferenceOptions, ModelFailed, runModel } from './model-run.js';
import type { ProbeAnswer, ProbeOrder } from './protocol.js';
import { checkUnchanged } from './read.js';
import { openTask, placeText, segmentsOfTask, type TaskTools, taskRow } from './scoring.js';

/**
 * Runs the model on the rows `from` to `to` of a batch, as it would get them within the batch, and says where the first
 * of them stands; none are run when `from` equals `to`. Rows on which the model fails in the ordinary way do no harm, and
 * are looked for as in scoring: what ends the process may come only then. Throws `changed`.
 */
export async function probeRows(order: ProbeOrder, tools: TaskTools): Promise<ProbeAnswer> {
  const { rowStart, from, to } = order.probe;
  await checkUnchanged(order.files);
  const task = await openTask(order, segmentsOfTask(order), tools);
  for await (const batch of task.batches) {
    if (batch.rowStart !== rowStart) continue;
    const features = task.features(batch);
    const inference = {
      ...task.inference,
      onAlive: () => tools.onProgress(0, { rowStart, rows: batch.rows }),
    };
    if (to > from) {
      const { rows } = batch;
      const sent = inference.fixedBatch ?? to - from;
      const all = feedsOf(inference, features, rows, new Set(features.bad.map(({ row }) => row)));
      await survive(inference, rowsOf(all, from, to, { rows, sent }), to - from);
      tools.onProgress(0, null);
    }
    const row = taskRow(batch, from);
    return { row, place: placeText(order, row) };
  }
  throw new Error(`task ${order.name} has no batch at row ${rowStart}`);
}

async function survive(
  inference: InferenceOptions,
  feeds: ReadonlyMap<string, TensorValues>,
  rows: number,
): Promise<void> {
  try {
    await runModel(inference, feeds, inference.fixedBatch ?? rows, rows);
  } catch (error) {
    if (!(error instanceof ModelFailed)) throw error;
    const limits = { allowed: rows, anyScored: true, place: String, error };
    await failingRows(inference, feeds, rows, limits).catch((failed: unknown) => {
      if (!(failed instanceof ModelFailed)) throw failed;
    });
  }
}
