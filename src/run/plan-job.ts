/** What a run would do, without doing it. */
import { tmpdir } from 'node:os';
import { listingNotes } from '../plan/dataset.js';
import { chooseEngine, type EngineChoice } from '../plan/engine.js';
import type { Job } from '../plan/job.js';
import { type Manifest, unitOf } from '../plan/manifest.js';
import { EVERYTHING, type Selection } from '../plan/selection.js';
import { contentOf } from './held.js';
import { checkOwner } from './owner.js';
import { Pool } from './pool.js';
import { checkWhere, type Prepared, prepare, whyToDo } from './prepare.js';
import { latestSnapshot, readSnapshot, type Snapshot } from './snapshot.js';
import { Output } from './store.js';
import { listOrVanished, vanishedUnits } from './vanished.js';
import { defaultMemoryBytes, duckdbBytes, memoryBytesOf, wantedWorkers } from './workers.js';

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
  /** Whether that is what was reverted, so that it is only published with a reason. */
  readonly held: boolean;
}

/** A plan as a person or a scheduler reads it. */
export interface PlanReport {
  readonly job: string;
  readonly device: string;
  readonly batchRows: number;
  /** What would run the model, and why; null when nothing is to do. A run checks the trees before it relies on them. */
  readonly engine: EngineChoice | null;
  readonly units: readonly PlannedUnit[];
  /** Tasks whose part is not in the store, of all units; null while a file's content is not known. */
  readonly toDo: number | null;
  readonly notReady: readonly string[];
  /** Published units of the selection whose input is there no longer. */
  readonly vanished: readonly string[];
  /** Those of them that the run would drop, and those that it would only drop with a reason, because that was reverted. */
  readonly dropped: readonly string[];
  readonly notDropped: readonly string[];
  /** Files that cannot be scored, and why. */
  readonly refused: readonly string[];
  /** Files that are not read, and names that are not. */
  readonly notes: readonly string[];
}

/** Plans a job from footers and cached hashes; with `hash`, files that are not hashed yet are. Writes nothing but the cache. */
export async function planJob(
  job: Job,
  options: {
    readonly selection?: Selection | undefined;
    readonly hash: boolean;
    /** Whether the run would drop what has vanished. */
    readonly prune?: boolean | undefined;
    /** Whether the run would take over an output that belongs to another job. */
    readonly adopt?: boolean | undefined;
    readonly now: () => Date;
  },
): Promise<PlanReport> {
  const output = await Output.find(job.output.path);
  const { selection = EVERYTHING, prune = false } = options;
  const latest = output === undefined ? undefined : await latestSnapshot(output);
  const published = latest?.manifest;
  const dataset = await listOrVanished(job, selection, { prune, published });
  if (output !== undefined && options.adopt !== true) await checkOwner(output, job);
  let pool: Pool | undefined;
  const openPool = (): Pool => {
    pool ??= new Pool({
      size: wantedWorkers(job),
      timeoutMs: job.run.batchTimeoutMs,
      memoryBytes: memoryBytesOf(job),
      setupFor: (_worker, workers) => ({
        memoryLimitBytes: duckdbBytes(memoryBytesOf(job), workers),
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
      published,
    });
    const heldBack = output === undefined ? undefined : await heldUnits(output, latest, prepared);
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
        held: heldBack?.has(unit.unit) ?? false,
      });
    }
    if (units.some(({ why }) => why !== null)) await checkWhere(prepared, openPool);
    const vanished = vanishedUnits(published, dataset, job, selection);
    const absent = new Set(
      latest?.held.filter(({ content }) => content === null).map(({ unit }) => unit),
    );
    return {
      job: job.name,
      device: prepared.scoring.device,
      batchRows: prepared.scoring.batchRows,
      engine: rows === 0 ? null : chooseEngine(job.run.engine, rows, prepared),
      units,
      toDo: units.some(({ toDo }) => toDo === null)
        ? null
        : units.reduce((sum, { toDo }) => sum + (toDo ?? 0), 0),
      notReady: dataset.notReady,
      vanished,
      dropped: prune ? vanished.filter((unit) => !absent.has(unit)) : [],
      notDropped: prune ? vanished.filter((unit) => absent.has(unit)) : [],
      refused: [...prepared.badUnits.values()].flat().flatMap(({ message }) => message.split('\n')),
      notes: listingNotes(dataset),
    };
  } finally {
    await pool?.close();
  }
}

/**
 * The units of a plan whose content was published once and reverted: as far as that snapshot is still there to compare with.
 */
async function heldUnits(
  output: Output,
  latest: Snapshot | undefined,
  prepared: Prepared,
): Promise<Set<string>> {
  const held = new Set<string>();
  const snapshots = new Map<number, Manifest | undefined>();
  for (const { unit, content, snapshot } of latest?.held ?? []) {
    const planned = prepared.units.find((one) => one.unit === unit);
    if (planned === undefined || content === null) continue;
    if (!snapshots.has(snapshot)) {
      const read = await readSnapshot(output, snapshot).catch(() => undefined);
      snapshots.set(snapshot, read?.manifest);
    }
    const manifest = snapshots.get(snapshot);
    const record = unitOf(manifest, unit);
    if (record === undefined || contentOf(record) !== content) continue;
    if (whyToDo(planned, prepared, manifest) === undefined) held.add(unit);
  }
  return held;
}

/** Runs `use` with one worker that may read below `folders`. */
export async function withWorker<Result>(
  folders: readonly string[],
  use: (worker: Pool) => Promise<Result>,
): Promise<Result> {
  const pool = new Pool({
    size: 1,
    timeoutMs: 60_000,
    memoryBytes: defaultMemoryBytes(),
    setupFor: () => ({
      memoryLimitBytes: duckdbBytes(defaultMemoryBytes(), 1),
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
