/** One attempt at one task, from its rows to its part. */
import { duckdbError } from '../base/duckdb.js';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { createSubfolder, removeLeftover } from '../base/files.js';
import { encodeScored } from '../explain/sample-file.js';
import type { ScoresRecord } from '../plan/ledger.js';
import { dependsOnBatch, differsAgain, inferBatch } from './infer.js';
import type { InferenceOptions } from './model-run.js';
import { ledgersOf, putInStore, writePart } from './part.js';
import type { TaskOrder, TaskResult } from './protocol.js';
import { type BadRow, messageOfRow } from './quarantine.js';
import { checkUnchanged, type Segment } from './read.js';
import { publishedSample, sampledPlaces, TaskSample } from './sample.js';
import { ScoreTable } from './score-table.js';
import { openTask, placeText, segmentsOfTask, type TaskTools, taskRow } from './scoring.js';
import { statisticsOfPart, TaskStatistics } from './statistics.js';

/** Scores the rows of a task, unless its scores are there already, and writes its part. */
export async function scoreTask(order: TaskOrder, tools: TaskTools): Promise<TaskResult> {
  try {
    await createSubfolder(order.temporaryFolder);
    await checkUnchanged(order.files);
    const segments = segmentsOfTask(order);
    const scored = order.haveScores
      ? await load(order, tools)
      : await score(order, segments, tools);
    const started = performance.now();
    const places = scored.sampled;
    const part = await writePart(tools.database, order, segments, {
      inputs: scored.record.inputs,
      statistics: await statisticsOfPart(tools.database, order, segments, scored.statistics),
      sample: places && (await publishedSample(tools.database, order, segments, places)),
    });
    // Before anything is visible: what is in the store under a key must come from the content that the key names.
    await checkUnchanged(order.files);
    await putInStore(order);
    const { record, times, batchDependent, quarantined, reasons } = scored;
    return {
      part,
      inputs: record.inputs,
      lossyCasts: record.lossyCasts,
      times: { ...times, write: times.write + performance.now() - started },
      batchDependent,
      quarantined,
      reasons,
    };
  } catch (error) {
    throw await explain(error, order);
  } finally {
    await removeLeftover(order.temporaryFolder);
  }
}

/** Takes the scores of a task from the store. */
async function load(order: TaskOrder, { database }: TaskTools) {
  const sampled = await sampledPlaces(order);
  return {
    record: await ScoreTable.load(database, order, sampled),
    times: { read: 0, prepare: 0, infer: 0, write: 0 },
    batchDependent: undefined,
    quarantined: [],
    reasons: new Map<string, number>(),
    statistics: undefined,
    sampled,
  };
}

async function score(order: TaskOrder, segments: readonly Segment[], tools: TaskTools) {
  const table = await ScoreTable.create(tools.database, order);
  const clock = new StageClock();
  let batchDependent: boolean | undefined;
  let anyScored = false;
  const task = await openTask(order, segments, tools);
  const statistics = new TaskStatistics(order.scoring.inputs, order.publishing.columns);
  const sample =
    order.sample === undefined
      ? undefined
      : new TaskSample(order, order.sample, {
          inputs: task.inference.inputs,
          outputs: order.publishing.columns,
          filtered: order.scoring.where !== undefined,
        });
  for await (const batch of task.batches) {
    clock.lap('read');
    const features = task.features(batch);
    clock.lap('prepare');
    const inference: InferenceOptions = {
      ...task.inference,
      onAlive: () => tools.onProgress(0, { rowStart: batch.rowStart, rows: batch.rows }),
    };
    const scored = await inferBatch(inference, features, batch.rows, {
      allowed: order.badRowsAllowed - table.bad.length,
      anyScored,
      place: (row) => placeText(order, taskRow(batch, row)),
    });
    if (order.probeBatch && batch.rowStart === 0) {
      // Another device may add up in another order each time, which changes last bits.
      const { device, shownAs } = order.model;
      if (device === 'cpu' && (await differsAgain(inference, features, batch.rows, scored)))
        throw new ScorelineError('model', `model ${shownAs}: ${DIFFERS_AGAIN}`);
      batchDependent = await dependsOnBatch(inference, features, batch.rows, scored);
    }
    anyScored ||= scored.bad.length < batch.rows;
    clock.lap('infer');
    statistics.add(features, scored, batch.rows);
    const sampled = sample?.add({ source: batch, features, scored });
    // What is counted was prepared.
    clock.lap('prepare');
    await table.append(batch, { ...scored, sampled });
    tools.onProgress(batch.rowEnd - batch.rowStart, null);
    clock.lap('write');
  }
  clock.lap('read');
  await table.finish();
  const record: ScoresRecord = {
    format: 2,
    key: order.scoreKey,
    inputs: ledgersOf(order, table.status),
    lossyCasts: [...task.lossyCasts].map(([column, values]) => ({ column, values })),
  };
  const { inputs } = task.inference;
  const sampled = sample?.finish(segments, {
    inputs,
    fixedBatch: order.scoring.fixedBatch ?? null,
  });
  await table.write(order, record, {
    statistics: statistics.ofFeatures(),
    sample: sampled && encodeScored(sampled),
  });
  clock.lap('write');
  return {
    record,
    times: clock.times,
    batchDependent,
    quarantined: firstBadRows(order, table),
    reasons: countReasons(table.bad),
    statistics: statistics.ofOutputs(),
    sampled: sampled?.places,
  };
}

const DIFFERS_AGAIN =
  'gives other scores for the same rows a second time: it draws random numbers; export it for inference, or set model.allow_random: true';

function countReasons(bad: readonly BadRow[]): Map<string, number> {
  const reasons = new Map<string, number>();
  for (const { reason } of bad) reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  return reasons;
}

function firstBadRows(order: TaskOrder, table: ScoreTable): string[] {
  return table.bad.slice(0, 3).map((bad) => {
    const column = bad.column === '' ? '' : `column "${shown(bad.column)}": `;
    return `${placeText(order, bad.row)}: ${column}${bad.reason}: ${messageOfRow(bad)}`;
  });
}

/** An error of a library as one of ours; a file that was rewritten meanwhile is the cause of whatever it led to. */
async function explain(error: unknown, order: TaskOrder): Promise<unknown> {
  try {
    await checkUnchanged(order.files);
  } catch (changed) {
    return changed;
  }
  if (error instanceof ScorelineError) return error;
  if (errnoOf(error) !== undefined) return systemError(error, `task ${shown(order.name)}`);
  // SQL that DuckDB does not understand is ours: columns and expressions were checked before.
  if (!isDuckdbError(error) || /^(?:Binder|Parser|Catalog) Error/.test(error.message)) return error;
  const paths = [...new Set(order.files.map(({ path }) => shown(path)))];
  const what = paths.length === 1 ? paths[0]! : `${paths[0]} … ${paths.at(-1)}`;
  return duckdbError(error, what, 'input');
}

function isDuckdbError(error: unknown): error is Error {
  return error instanceof Error && /^[A-Z][\w ]* Error: /.test(error.message);
}

/** Time spent by stage, in ms. */
class StageClock {
  readonly times = { read: 0, prepare: 0, infer: 0, write: 0 };
  private last = performance.now();

  /** Books the time since the last lap on a stage. */
  lap(stage: keyof StageClock['times']): void {
    const now = performance.now();
    this.times[stage] += now - this.last;
    this.last = now;
  }
}
