/** Scores the rows of a fixture into a folder that goes away, and compares rows by key. */
import { join } from 'node:path';
import { compareText } from '../base/hash.js';
import type { Job } from '../plan/job.js';
import { publishedFiles } from '../plan/manifest.js';
import type { RunReport } from '../report/report.js';
import type { Checked } from '../stats/checked.js';
import type { CheckOrder, CheckSide } from '../worker/protocol.js';
import { type FoundFixture, selectionOfFixture, tolerancesOf } from './fixture-file.js';
import { askPatiently, type Pool } from './pool.js';
import { RunFailed, type RunOptions, runJob } from './run.js';
import { latestSnapshot, type Snapshot } from './snapshot.js';
import { Output } from './store.js';

/** What a check needs from outside. */
export type CheckTools = Pick<RunOptions, 'now' | 'onEvent' | 'signal'>;

/** A job with a fixture, scored into a folder that goes away. */
export interface CheckScope {
  readonly job: Job;
  readonly key: string;
  readonly found: FoundFixture;
  /** The folder that goes away. */
  readonly folder: string;
  readonly pool: Pool;
  readonly tools: CheckTools;
}

/** What a job gives. */
export interface ScoredFixture {
  readonly report: RunReport;
  readonly snapshot: Snapshot;
  readonly output: Output;
  readonly side: CheckSide;
}

/** Scores a job into a folder of its own, and says where its rows are. */
export async function scoreFixture(
  { found, folder, key, tools }: CheckScope,
  job: Job,
  name: string,
): Promise<ScoredFixture> {
  const path = join(folder, name);
  const selection = selectionOfFixture(found.fixture);
  const report = await runJob(
    { ...job, output: { ...job.output, path } },
    { ...tools, selection, adopt: true },
  ).catch((error: unknown) => {
    throw error instanceof RunFailed ? error.cause : error;
  });
  const output = await Output.open(path);
  const snapshot = await latestSnapshot(output);
  if (snapshot === undefined) throw new Error('a check published nothing');
  return { report, snapshot, output, side: sideOf(snapshot, key) };
}

function sideOf({ folder, manifest }: Snapshot, key: string): CheckSide {
  const files = publishedFiles(manifest);
  const units = Object.keys(manifest.units).sort(compareText);
  const of = (unit: string, name: string): string[] =>
    files
      .filter((file) => file.unit === unit && file.kind === 'parts' && file.name === name)
      .map((file) => join(folder, file.path));
  return {
    key,
    units: units.map((unit) => ({
      unit,
      data: of(unit, 'data.parquet'),
      setAside: of(unit, 'quarantine.parquet'),
    })),
  };
}

/** Compares two sides by the fixture's key, with its tolerances. */
export async function compareRows(
  { found, key, pool }: CheckScope,
  expected: CheckSide,
  scored: CheckSide,
  more: Partial<Pick<CheckOrder, 'columns' | 'except' | 'lossy'>> = {},
): Promise<Checked> {
  return askPatiently(pool, 'check-rows', {
    ...{ expected, scored, key, except: undefined, lossy: [] },
    columns: found.fixture.columns,
    tolerances: tolerancesOf(found),
    ...more,
  });
}
