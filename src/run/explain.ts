/** Why scores moved: asks a worker about the samples and models that the store keeps. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, firstLine, messageOf, ScorelineError, shown } from '../base/errors.js';
import { canonicalJson } from '../base/hash.js';
import { decodePublished } from '../explain/sample-file.js';
import { type ExplainedColumn, targetsOf } from '../explain/targets.js';
import { SAMPLE_FILE } from '../plan/ledger.js';
import { explanationOf, notExplained, nothingMoved } from '../report/explanation.js';
import type { Explanation } from '../report/explanation-schema.js';
import type { ExplainOrderSide, SampleRef } from '../worker/protocol.js';
import { isLabel } from './gate-columns.js';
import { modelFile, modelKey, readModelRecord } from './model-store.js';
import { askPatiently, Pool } from './pool.js';
import type { StatisticsReader, UnitParts } from './statistics.js';
import type { Output } from './store.js';
import { WorkerDied } from './worker-died.js';
import { defaultMemoryBytes } from './workers.js';

/** What to explain: units, and those that they are compared with. */
export interface ExplainInput {
  readonly output: Output;
  readonly baseline: readonly UnitParts[];
  readonly current: readonly UnitParts[];
  readonly reader: StatisticsReader;
  readonly pool: () => Pool;
  /** How long it may take, about. */
  readonly budgetMs: number;
  /** The most rows of each side that are looked at. */
  readonly sampleRows?: number;
  /** Quantiles of predictions to explain besides means and shares of labels. */
  readonly quantiles?: readonly number[];
}

/** How many rows of each side are looked at where nothing is said. */
const SAMPLE_ROWS = 4096;
/** The share of a run's time that an explanation may take, the most and the least of it. */
const RUN_SHARE = 0.045;
const MOST_MS = 10_000;
const LEAST_MS = 250;

/** How long the explanation of a run may take that has taken `ms` so far. */
export function explainBudgetMs(ms: number): number {
  return Math.min(MOST_MS, Math.max(LEAST_MS, RUN_SHARE * ms));
}

/**
 * Explains why the predictions of some units differ from those of others. Where it cannot be done, the explanation says why: no
 * sample, no model, models that do not go together. Throws what the death of workers throws when they were stopped.
 */
export async function explain(input: ExplainInput): Promise<Explanation> {
  if (isSame(input.baseline, input.current)) return nothingMoved();
  try {
    return await explainSides(input);
  } catch (error) {
    if (error instanceof WorkerDied && error.how === 'closed') throw error;
    // An explanation is no reason for a run to fail: neither that a model cannot be run any more, nor a fault of its own.
    const what = error instanceof WorkerDied ? 'the worker process died: ' : '';
    return notExplained(`${what}${firstLine(messageOf(error))}`);
  }
}

async function explainSides(input: ExplainInput): Promise<Explanation> {
  const { output, baseline, current, reader, pool, budgetMs } = input;
  const started = performance.now();
  const before = await sideOf(output, baseline);
  if (typeof before === 'string') return notExplained(`${before} of what it is compared with`);
  const now = await sideOf(output, current);
  if (typeof now === 'string') return notExplained(now);
  const statistics = {
    before: (await reader.ofUnits(baseline))?.statistics,
    now: (await reader.ofUnits(current))?.statistics,
  };
  const { before: old, now: fresh } = statistics;
  if (old === undefined || fresh === undefined) return notExplained('no statistics are kept');
  const columns = now.columns.filter(({ name, kind }) =>
    before.columns.some((column) => column.name === name && column.kind === kind),
  );
  const targets = targetsOf(columns, { before: old, now: fresh }, input.quantiles);
  const answer = await askPatiently(pool(), 'explain', {
    before: before.order,
    now: now.order,
    targets,
    sampleRows: input.sampleRows ?? SAMPLE_ROWS,
    budgetMs: budgetMs - (performance.now() - started),
  });
  if ('reason' in answer) return notExplained(answer.reason);
  return explanationOf(answer.explained, {
    notes: answer.notes,
    ms: performance.now() - started,
  });
}

const WORKER_BYTES = 256 * 2 ** 20;
const PATIENCE_MS = 60_000;

/** The same with a worker of its own, which it ends: for who has none. */
export async function explainApart(input: Omit<ExplainInput, 'pool'>): Promise<Explanation> {
  return input.output.withTemporary(async (temporary) => {
    let pool: Pool | undefined;
    try {
      return await explain({
        ...input,
        pool: () => {
          pool ??= new Pool({
            size: 1,
            timeoutMs: PATIENCE_MS,
            memoryBytes: defaultMemoryBytes(),
            setupFor: () => ({
              memoryLimitBytes: WORKER_BYTES,
              temporaryFolder: join(temporary, 'spill'),
              allowedFolders: [],
            }),
            onProgress: () => undefined,
          });
          return pool;
        },
      });
    } finally {
      await pool?.close();
    }
  });
}

function isSame(baseline: readonly UnitParts[], current: readonly UnitParts[]): boolean {
  const keys = (units: readonly UnitParts[]): string =>
    canonicalJson(units.flatMap(({ parts }) => parts.map(({ key }) => key)).sort());
  return keys(baseline) === keys(current);
}

interface Side {
  readonly order: ExplainOrderSide;
  readonly columns: readonly ExplainedColumn[];
}

/** What the store has of some units; a text says what it lacks. */
async function sideOf(output: Output, units: readonly UnitParts[]): Promise<Side | string> {
  const parts = units.flatMap((unit) => unit.parts);
  const models = new Set(
    units.filter(({ parts: own }) => own.length > 0).map(({ model }) => modelKey(model)),
  );
  if (parts.length === 0) return 'there are no rows';
  if (models.size > 1) return `rows are scored by ${models.size} models`;
  const [key] = models;
  const record = await readModelRecord(output, key!);
  if (record === undefined) return `the model is not kept (sample_rows, in the job file, keeps it)`;
  const tasks: ExplainOrderSide['tasks'][number][] = [];
  for (const { key: partKey, scoreKey } of parts) {
    try {
      const scores = await output.readScores(scoreKey);
      const part = await output.readPart(partKey);
      tasks.push({
        scored: sampleIn(output.scoreFolder(scoreKey), scores?.files?.sample),
        published: sampleIn(output.partFolder(partKey), part?.sample),
      });
    } catch (error) {
      // A run can do without its explanation.
      if (error instanceof ScorelineError) return error.message;
      throw error;
    }
  }
  const columns = await columnsOf(tasks[0]!.published.path);
  if (columns === undefined) return 'no sample is kept (sample_rows, in the job file, keeps one)';
  const model = {
    key: key!,
    path: modelFile(output, record),
    shownAs: `${shown(record.files[0]!.path, 60)} (${key!.slice(0, 8)})`,
  };
  return { order: { tasks, model }, columns };
}

function sampleIn(folder: string, digest: string | undefined): SampleRef {
  return { path: join(folder, SAMPLE_FILE), sha256: digest };
}

/** The predictions that a part has, from its sample. */
async function columnsOf(path: string): Promise<ExplainedColumn[] | undefined> {
  try {
    const sample = decodePublished(await readFile(path));
    return sample?.columns
      .filter(({ width, index }) => width === 1 || index !== undefined)
      .map((binding) => ({
        name: binding.column,
        kind: isLabel(binding) ? ('label' as const) : ('number' as const),
      }));
  } catch (error) {
    if (errnoOf(error) !== undefined) return undefined;
    throw error;
  }
}
