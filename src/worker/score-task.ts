/** One attempt at one task, from its rows to its part. */
import { mkdir } from 'node:fs/promises';
import { Arena } from '../base/columns.js';
import { type Database, duckdbError } from '../base/duckdb.js';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { removeTree } from '../base/files.js';
import type { Session } from '../base/onnx.js';
import type { ScoresRecord } from '../plan/ledger.js';
import { planFeatures, toFeatures } from './features.js';
import { dependsOnBatch, inferBatch } from './infer.js';
import type { InferenceOptions } from './model-run.js';
import { withKnownSizes } from './open-sizes.js';
import { ledgersOf, putInStore, ScoreTable, writePart } from './part.js';
import type { OrderFile, TaskOrder, TaskResult } from './protocol.js';
import { messageOfRow } from './quarantine.js';
import { checkUnchanged, readBatches, type Segment, segmentsOf } from './read.js';

/** What a worker lends to an attempt. */
export interface TaskTools {
  readonly database: Database;
  /** Loads the model, once a worker. */
  readonly session: () => Promise<Session>;
  /** Told before each batch: the rows scored since the last call. */
  readonly onProgress: (rows: number) => void;
}

/** Scores the rows of a task, unless its scores are there already, and writes its part. */
export async function scoreTask(order: TaskOrder, tools: TaskTools): Promise<TaskResult> {
  try {
    await mkdir(order.temporaryFolder, { recursive: true });
    await checkUnchanged(order.files);
    const segments = segmentsOf({
      files: order.files,
      partition: order.partition,
      types: order.scoring.types,
      csv: order.scoring.csv !== undefined,
    });
    const scored = order.haveScores
      ? { ...NOTHING_SCORED, record: await ScoreTable.load(tools.database, order) }
      : await score(order, segments, tools);
    const started = performance.now();
    const part = await writePart(tools.database, order, segments, scored.record.inputs);
    // Before anything is visible: what is in the store under a key must come from the content that the key names.
    await checkUnchanged(order.files);
    await putInStore(order);
    const { record, times, batchDependent, quarantined } = scored;
    return {
      part,
      inputs: record.inputs,
      lossyCasts: record.lossyCasts,
      times: { ...times, write: times.write + performance.now() - started },
      batchDependent,
      quarantined,
    };
  } catch (error) {
    throw await explain(error, order);
  } finally {
    await removeTree(order.temporaryFolder).catch(() => {
      // Swept by a later run: nothing reads it.
    });
  }
}

const NOTHING_SCORED = {
  times: { read: 0, prepare: 0, infer: 0, write: 0 },
  batchDependent: undefined,
  quarantined: [],
};

async function score(order: TaskOrder, segments: readonly Segment[], tools: TaskTools) {
  const { scoring } = order;
  const table = await ScoreTable.create(tools.database, order);
  const lossyCasts = new Map<string, number>();
  const clock = new StageClock();
  const arena = new Arena();
  let batchDependent: boolean | undefined;
  let anyScored = false;
  let done = 0;
  const inputs = await withKnownSizes(tools.database, segments, scoring.inputs, scoring.where);
  const inference: InferenceOptions = {
    session: await tools.session(),
    shownAs: order.model.shownAs,
    inputs,
    outputs: order.publishing.columns,
    fixedBatch: scoring.fixedBatch,
    nonFinite: scoring.nonFinite,
    arena,
    onAlive: () => {
      tools.onProgress(done);
      done = 0;
    },
  };
  const batches = readBatches(tools.database, segments, {
    where: scoring.where,
    batchRows: scoring.batchRows,
    planFor: (segment) => planFeatures(segment, inputs),
  });
  for await (const batch of batches) {
    clock.lap('read');
    arena.reset();
    const features = toFeatures(batch.batch, batch.plan, batch.rows, lossyCasts, arena);
    clock.lap('prepare');
    const scored = await inferBatch(inference, features, batch.rows, {
      allowed: order.badRowsAllowed - table.bad.length,
      anyScored,
      place: (row) => placeText(order, batch.positions?.[row] ?? batch.rowStart + row),
    });
    if (order.probeBatch && batch.rowStart === 0) {
      batchDependent = await dependsOnBatch(inference, features, batch.rows, scored);
    }
    anyScored ||= scored.bad.length < batch.rows;
    clock.lap('infer');
    await table.append(batch, scored.outputs, scored.bad);
    done += batch.rowEnd - batch.rowStart;
    clock.lap('write');
  }
  clock.lap('read');
  tools.onProgress(done);
  await table.finish();
  const record: ScoresRecord = {
    format: 1,
    inputs: ledgersOf(order, table.status),
    lossyCasts: [...lossyCasts].map(([column, values]) => ({ column, values })),
  };
  await table.write(order, record);
  clock.lap('write');
  return { record, times: clock.times, batchDependent, quarantined: firstBadRows(order, table) };
}

function firstBadRows(order: TaskOrder, table: ScoreTable): string[] {
  return table.bad.slice(0, 3).map((bad) => {
    const column = bad.column === '' ? '' : `column "${shown(bad.column)}": `;
    return `${placeText(order, bad.row)}: ${column}${bad.reason}: ${messageOfRow(bad)}`;
  });
}

function placeText(order: TaskOrder, row: number): string {
  const { path, fileRow } = placeOf(order.files, row);
  return `${shown(path)} row ${fileRow}`;
}

/** The file and the row in it (from 0) of a row of a task. */
export function placeOf(
  files: readonly OrderFile[],
  row: number,
): { path: string; fileRow: number } {
  let first = 0;
  for (const { path, rowStart, rowEnd } of files) {
    if (row < first + rowEnd - rowStart) return { path, fileRow: rowStart + row - first };
    first += rowEnd - rowStart;
  }
  throw new RangeError(`the task has no row ${row}`);
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
