/** Scores a fixture as a job says and compares with what is expected of it; or records that. Nothing of the job is published. */
import { readFile, stat } from 'node:fs/promises';
import { basename, dirname, join, relative, resolve } from 'node:path';
import { ScorelineError, shown } from '../base/errors.js';
import { createFolder, writeFileWhole } from '../base/files.js';
import { hashFile } from '../base/hash.js';
import type { Fixture, Recorded } from '../plan/fixture.js';
import type { Job } from '../plan/job.js';
import type { SelectionOptions } from '../plan/selection.js';
import type { CheckReport, RecordReport } from '../report/check.js';
import { type Checked, isEqual } from '../stats/checked.js';
import {
  type CheckScope,
  type CheckTools,
  compareRows,
  type ScoredFixture,
  scoreFixture,
} from './check-score.js';
import { checkVariants } from './check-variants.js';
import {
  type FoundFixture,
  fixtureFolder,
  readFixture,
  tolerancesOfOptions,
  writeFixture,
} from './fixture-file.js';
import { askPatiently, type Pool } from './pool.js';
import { withScratch } from './scratch.js';
import { openWorkers } from './workers.js';

/** How a fixture is checked. */
export interface CheckOptions {
  /** The folder of the fixture; else `fixtures/NAME` beside the job file. */
  readonly fixture?: string | undefined;
  /** Whether to look also for what scores must not depend on. */
  readonly variants: boolean;
  /** Told of each variant before it is scored. */
  readonly onVariant: (name: string) => void;
}

/** What is recorded. */
export interface RecordOptions {
  readonly fixture?: string | undefined;
  /** Read instead of input.path. */
  readonly input?: string | undefined;
  readonly selection: SelectionOptions;
  /** As options have them: `COLUMN=TOLERANCE`. Those that the fixture has stay, unless they are named. */
  readonly tolerances: readonly string[];
}

/**
 * Scores the rows of a fixture as the job stands, and compares with those that are expected. Throws `usage` when there is
 * nothing to compare with, `input` when it cannot be read, and what scoring throws.
 */
export async function check(
  job: Job,
  options: CheckOptions,
  tools: CheckTools,
): Promise<CheckReport> {
  keyOf(job);
  const found = await readFixture(fixtureFolder(job, options.fixture));
  const expected = resolve(found.folder, found.fixture.expected);
  if (!(await isFile(expected)))
    throw new ScorelineError(
      'usage',
      `${shown(expected)}: there is nothing to compare with; record it: scoreline check JOB --record`,
    );
  return withScope(job, { found, expected, tools }, async (scope) => {
    const scored = await scoreFixture(scope, scope.job, 'out');
    const side = { file: expected, shownAs: expected };
    const checked = await explainCasts(scope, scored, await compareRows(scope, side, scored.side));
    const variants = options.variants ? await checkVariants(scope, scored, options.onVariant) : [];
    const { recorded } = found.fixture;
    const ledger = { expected: recorded?.rows ?? null, scored: scored.report.ledger };
    const same =
      isEqual(checked) &&
      (ledger.expected === null || sameLedger(ledger.expected, ledger.scored)) &&
      variants.every(({ verdict }) => verdict === 'equal');
    return {
      format: 1,
      job: job.name,
      verdict: same ? 'equal' : 'different',
      expected,
      since: recorded === undefined ? null : await changesSince(recorded, scored, expected),
      ledger,
      checked,
      variants,
    };
  });
}

/** Scores the rows of a fixture and writes down what came of it. Throws what scoring and writing throw. */
export async function recordFixture(
  job: Job,
  options: RecordOptions,
  tools: CheckTools,
): Promise<RecordReport> {
  const before = await readFixture(fixtureFolder(job, options.fixture));
  const { folder, file } = before;
  const expected = resolve(folder, before.fixture.expected);
  if (before.fixture.recorded === undefined && (await isFile(expected)))
    throw new ScorelineError(
      'usage',
      `${shown(expected)}: was not recorded by scoreline; move it away to record another`,
    );
  const { date, from, to, partition, allowMissing } = options.selection;
  const selection = {
    ...{ date, from, to },
    ...(partition?.length && { partition: [...partition] }),
    ...(allowMissing && { allow_missing: true as const }),
  };
  const fixture: Fixture = {
    ...before.fixture,
    ...(options.input === undefined ? {} : { input: relative(folder, resolve(options.input)) }),
    ...(Object.values(selection).some((value) => value !== undefined) ? { selection } : {}),
    tolerances: { ...before.fixture.tolerances, ...tolerancesOfOptions(options.tolerances) },
  };
  await createFolder(folder);
  const found = { ...before, fixture };
  return withScope(job, { found, expected, tools }, async (scope) => {
    const scored = await scoreFixture(scope, scope.job, 'out');
    const rows = join(scope.folder, 'expected.parquet');
    await askPatiently(scope.pool, 'record-rows', { side: scored.side, path: rows });
    const recorded = { ...recordOf(scored), expected: (await hashFile(rows)).sha256 };
    // A crash before the second step leaves a fixture that can be recorded again: rows alone would count as somebody else's.
    await writeFixture(file, { ...fixture, recorded });
    await writeFileWhole(expected, await readFile(rows));
    return { format: 1, job: job.name, fixture: file, expected, ledger: scored.report.ledger };
  });
}

function keyOf({ input, file, name }: Job): string {
  if (input.key !== undefined) return input.key;
  throw new ScorelineError(
    'usage',
    `${shown(file ?? name)}: a check compares rows by their key: name the column in input.key`,
  );
}

async function isFile(path: string): Promise<boolean> {
  return stat(path).then(
    (facts) => facts.isFile(),
    () => false,
  );
}

async function withScope<Result>(
  job: Job,
  {
    found,
    expected,
    tools,
  }: {
    readonly found: FoundFixture;
    readonly expected: string;
    readonly tools: CheckTools;
  },
  use: (scope: CheckScope) => Promise<Result>,
): Promise<Result> {
  const key = keyOf(job);
  return withScratch('check', tools.now(), async (folder) => {
    let pool: Pool | undefined;
    try {
      const checked = jobFor(job, key, { found, folder });
      pool = openWorkers({
        job: { ...checked, run: { ...checked.run, workers: 1 } },
        allowedFolders: [folder, dirname(expected)],
        temporary: folder,
        onProgress: () => undefined,
        onFewer: () => undefined,
      });
      return await use({ job: checked, key, found, folder, pool, tools });
    } finally {
      await pool?.close();
    }
  });
}

/** The job as it stands, but that it judges nothing, sets bad rows aside without a limit and publishes the key. */
function jobFor(
  job: Job,
  key: string,
  { found, folder }: { readonly found: FoundFixture; readonly folder: string },
): Job {
  const { input } = found.fixture;
  const own = new Set(job.output.keep.map((name) => name.toLowerCase()));
  return {
    ...job,
    ...(input === undefined
      ? {}
      : {
          baseDir: found.folder,
          input: { ...job.input, path: resolve(found.folder, input), pathText: input },
        }),
    output: {
      ...job.output,
      path: join(folder, 'out'),
      format: 'parquet',
      compression: 'zstd',
      // Rows are compared with all their columns, wherever these stand.
      partitionColumns: 'files',
      keep: own.has(key.toLowerCase()) ? job.output.keep : [key, ...job.output.keep],
      emptyPartitions: 'publish',
      keepSnapshots: Number.POSITIVE_INFINITY,
    },
    quarantine: {
      ...job.quarantine,
      max: { unit: 'rows', rows: Number.MAX_SAFE_INTEGER },
    },
    statistics: [],
    sampleRows: 0,
    baseline: 'auto',
    gates: {},
    canary: false,
  };
}

/** Where predictions differ and casts have changed features: whether the one may come from the other. */
async function explainCasts(
  scope: CheckScope,
  { report }: ScoredFixture,
  checked: Checked,
): Promise<Checked> {
  if (report.lossyCasts.length === 0 || checked.columns.every(({ beyond }) => beyond === 0))
    return checked;
  const { job, pool, found } = scope;
  const { inputs } = await askPatiently(pool, 'describe-model', {
    path: job.model.path,
    shownAs: shown(basename(job.model.path)),
    device: job.run.device,
    columns: job.features.by === 'list' ? job.features.columns.length : undefined,
  });
  const lossy = report.lossyCasts.flatMap(({ column }) => {
    const input = inputs.find(({ name }) =>
      job.features.by === 'list'
        ? true
        : job.features.by === 'map'
          ? job.features.inputs.some((one) => one.input === name && one.column === column)
          : name === column,
    );
    const element = input?.element;
    return element === 'float32' || element === 'float64' ? [{ column, element } as const] : [];
  });
  const named = new Set([...job.output.keep, ...job.output.columns.map(({ name }) => name)]);
  const added = lossy.map(({ column }) => column).filter((column) => !named.has(column));
  try {
    // The scores are there: rows are only published again, with the features beside them.
    const keep = [...job.output.keep, ...added];
    const again = await scoreFixture(scope, { ...job, output: { ...job.output, keep } }, 'out');
    const side = { file: expectedOf(found), shownAs: expectedOf(found) };
    const blamed = await compareRows(scope, side, again.side, { lossy });
    return { ...checked, casts: blamed.casts };
  } catch (error) {
    // A feature of the name of a prediction cannot stand beside it: then nothing is said of casts.
    if (error instanceof ScorelineError && error.code === 'usage') return checked;
    throw error;
  }
}

function expectedOf({ folder, fixture }: FoundFixture): string {
  return resolve(folder, fixture.expected);
}

function recordOf({ report, snapshot }: ScoredFixture): Omit<Recorded, 'expected'> {
  const { receipt, ledger } = report;
  const [first] = Object.values(snapshot.manifest.units);
  const job = Object.entries(first?.job ?? {}).map(([key, value]) => [key, String(value)]);
  const { scoreline, duckdb, onnxruntime } = receipt.versions;
  const versions = {
    ...{ scoreline, cpu: process.arch },
    ...(duckdb === null ? {} : { duckdb }),
    ...(onnxruntime === null ? {} : { onnxruntime }),
  };
  return {
    rows: ledger,
    model: [...(receipt.model ?? [])],
    input: receipt.inputs?.sha256 ?? '',
    job: Object.fromEntries(job),
    versions,
  };
}

/** What is another one than when the rows were recorded, in words. */
async function changesSince(
  recorded: Recorded,
  scored: ScoredFixture,
  expected: string,
): Promise<string[]> {
  const now = recordOf(scored);
  const changes: string[] = [];
  const [before, after] = [recorded.model[0] ?? '', now.model[0] ?? ''];
  if (recorded.model.join() !== now.model.join())
    changes.push(`model changed (${before.slice(0, 8)} → ${after.slice(0, 8)})`);
  if (recorded.input !== now.input) changes.push('input changed');
  const keys = [...new Set([...Object.keys(recorded.job), ...Object.keys(now.job)])].filter(
    (key) => recorded.job[key] !== now.job[key],
  );
  if (keys.length > 0) changes.push(`job changed (${keys.map((key) => shown(key)).join(', ')})`);
  for (const name of Object.keys(now.versions)) {
    const [old, current] = [recorded.versions[name], now.versions[name]];
    if (old !== current) changes.push(`${name} ${shown(old ?? 'unknown', 40)} → ${current}`);
  }
  if ((await hashFile(expected)).sha256 !== recorded.expected)
    changes.push(`${shown(basename(expected))} was changed by hand`);
  return changes;
}

function sameLedger(a: Recorded['rows'], b: Recorded['rows']): boolean {
  return (
    a.rows === b.rows &&
    a.scored === b.scored &&
    a.quarantined === b.quarantined &&
    a.filtered === b.filtered
  );
}
