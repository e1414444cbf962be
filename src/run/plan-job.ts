/** What a run would do, without doing it. */
import { tmpdir } from 'node:os';
import { usableCores } from '../base/machine.js';
import { chooseEngine, type EngineChoice } from '../plan/engine.js';
import type { Job } from '../plan/job.js';
import { EVERYTHING, type Selection } from '../plan/selection.js';
import { Pool } from './pool.js';
import { checkWhere, listInput, prepare, whyToDo } from './prepare.js';
import { latestSnapshot } from './snapshot.js';
import { Output } from './store.js';

/** A unit as a plan shows it. */
export interface PlannedUnit {
  readonly unit: string;
  readonly files: number;
  readonly rows: number;
  readonly tasks: number;
  /** Tasks whose part is not in the store; null while a file's content is not known. */
  readonly toDo: number | null;
  /** Why it is to do; null when what is published is up to date. */
  readonly why: string | null;
}

/** A plan as a person or a scheduler reads it. */
export interface PlanReport {
  readonly job: string;
  readonly device: string;
  readonly batchRows: number;
  /** What would run the model, and why; null when nothing is to do. A run checks the trees before it relies on them. */
  readonly engine: EngineChoice | null;
  readonly units: readonly PlannedUnit[];
  readonly notReady: readonly string[];
  /** Published units whose input is there no longer. */
  readonly vanished: readonly string[];
  /** Files that cannot be scored, and why. */
  readonly refused: readonly string[];
}

/** Plans a job from footers and cached hashes; with `hash`, files that are not hashed yet are. Writes nothing but the cache. */
export async function planJob(
  job: Job,
  options: {
    readonly selection?: Selection | undefined;
    readonly hash: boolean;
    readonly now: () => Date;
  },
): Promise<PlanReport> {
  const output = await Output.find(job.output.path);
  const dataset = await listInput(job, options.selection ?? EVERYTHING);
  let pool: Pool | undefined;
  const openPool = (): Pool => {
    pool ??= new Pool({
      size: job.run.workers === 'auto' ? usableCores() : job.run.workers,
      timeoutMs: job.run.batchTimeoutMs,
      setupFor: () => ({
        memoryLimitBytes: 2 ** 29,
        temporaryFolder: tmpdir(),
        allowedFolders: [dataset.root],
      }),
      onProgress: () => undefined,
    });
    return pool;
  };
  try {
    const nowNs = (): bigint => BigInt(options.now().getTime()) * 1_000_000n;
    const prepared = await prepare(job, dataset, {
      output,
      pool: openPool,
      nowNs,
      hash: options.hash,
    });
    const published = output === undefined ? undefined : (await latestSnapshot(output))?.manifest;
    const units: PlannedUnit[] = [];
    let rows = 0;
    for (const unit of prepared.units) {
      let toDo: number | null = 0;
      for (const task of unit.tasks) {
        const key = task.partKey;
        if (key !== undefined && (await output?.readPart(key)) !== undefined) continue;
        rows += task.rows;
        if (key === undefined) toDo = null;
        else if (toDo !== null) toDo++;
      }
      units.push({
        unit: unit.unit,
        files: unit.files.length,
        rows: unit.tasks.reduce((sum, { rows }) => sum + rows, 0),
        tasks: unit.tasks.length,
        toDo,
        why: whyToDo(unit, prepared, published) ?? null,
      });
    }
    if (units.some(({ why }) => why !== null)) await checkWhere(prepared, openPool);
    const here = new Set([...units.map(({ unit }) => unit), ...prepared.badUnits.keys()]);
    return {
      job: job.name,
      device: prepared.scoring.device,
      batchRows: prepared.scoring.batchRows,
      engine: rows === 0 ? null : chooseEngine(job.run.engine, rows, prepared),
      units,
      notReady: dataset.notReady,
      vanished: Object.keys(published?.units ?? {}).filter((unit) => !here.has(unit)),
      refused: [...prepared.badUnits.values()].flat().flatMap(({ message }) => message.split('\n')),
    };
  } finally {
    await pool?.close();
  }
}

/** Runs `use` with one worker that may read below `folders`. */
export async function withWorker<Result>(
  folders: readonly string[],
  use: (worker: Pool) => Promise<Result>,
): Promise<Result> {
  const pool = new Pool({
    size: 1,
    timeoutMs: 60_000,
    setupFor: () => ({
      memoryLimitBytes: 2 ** 29,
      temporaryFolder: tmpdir(),
      allowedFolders: folders,
    }),
    onProgress: () => undefined,
  });
  try {
    return await use(pool);
  } finally {
    await pool.close();
  }
}
