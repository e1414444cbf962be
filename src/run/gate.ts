/** The gates before publication: judges what a run would publish anew, and makes the report on it. */
import { ScorelineError, shown } from '../base/errors.js';
import type { JobGates } from '../plan/gate-schema.js';
import type { Job } from '../plan/job.js';
import type { Ledger } from '../plan/ledger.js';
import type { JudgedUnit } from '../plan/manifest.js';
import { notExplained } from '../report/explanation.js';
import type { Explanation } from '../report/explanation-schema.js';
import { cappedLines } from '../report/quality.js';
import { type QualityReport, REPORT_FORMAT } from '../report/quality-schema.js';
import type { Flips } from '../stats/flips.js';
import {
  DEFAULT_GATES,
  DRIFT_MEASURES,
  type GateResult,
  type GateScope,
  type GateSettings,
} from '../stats/gate-settings.js';
import { judgeGates } from '../stats/gates.js';
import { type Comparison, comparisonsOf, poolsOf, unitDates } from './baseline.js';
import { type Baseline, readBaseline } from './baseline-file.js';
import { explain, explainBudgetMs } from './explain.js';
import { flipsOf, labelFlips } from './flips.js';
import { hasFailed, type Judged, reportOf } from './gate-report.js';
import { type EarlierValues, earlierValues } from './history-values.js';
import type { Pool } from './pool.js';
import type { Prepared } from './prepare.js';
import { refusedLosses } from './row-losses.js';
import { newsOf, PartMissing, type Publication, type Snapshot } from './snapshot.js';
import { StatisticsReader, type UnitParts, type UnitsStatistics } from './statistics.js';
import type { Output } from './store.js';

/** What a review needs. */
export interface ReviewScope {
  readonly output: Output;
  readonly prepared: Prepared;
  readonly pool: () => Pool;
  readonly runId: string;
  readonly ledger: Ledger;
  /** Why the run set too many rows aside; undefined when it did not: then no partition may either. */
  readonly tooMany?: string | undefined;
  /** How long the run has taken so far: an explanation may take a share of it. */
  readonly elapsedMs: () => number;
}

/** What the gates say of a publication: the report, a line for each gate that stands against it, and the units it is about. */
export interface Review {
  readonly report: QualityReport;
  readonly against: readonly string[];
  /** The units that the publication brings anew, and whether a gate of the job fails for their own data. */
  readonly judged: readonly JudgedUnit[];
}

/** The gates of a job do not let it publish. */
export class GatesFailed extends ScorelineError {
  readonly review: Review;

  constructor(review: Review) {
    super('gate', cappedLines(review.against).join('\n'));
    this.review = review;
  }
}

/** The report of a run of which nothing was judged. */
export function emptyReport(about: {
  readonly runId: string;
  readonly job: string;
  readonly ledger: Ledger;
  readonly enforced: boolean;
}): QualityReport {
  return {
    format: REPORT_FORMAT,
    run: about.runId,
    job: about.job,
    outcome: 'published',
    verdict: 'none',
    enforced: about.enforced,
    because: null,
    error: null,
    ledger: about.ledger,
    judged: null,
    baseline: null,
    reason: null,
    gates: [],
    columns: [],
    flips: null,
    explanation: null,
  };
}

/**
 * Judges what a publication brings on top of what is published. Throws what reading throws, `usage` when the file of the baseline is
 * none.
 */
export async function review(
  scope: ReviewScope,
  publication: Publication,
  latest: Snapshot | undefined,
): Promise<Review> {
  const { job } = scope.prepared;
  const empty = emptyReport({ ...scope, job: job.name, enforced: job.gates !== undefined });
  const news = newsOf(publication, latest);
  if (news.size === 0) return { report: empty, against: [], judged: [] };
  const flips = await flipsOf(news, latest, scope);
  const reader = new StatisticsReader(scope.output);
  const judged = await judgeAll(scope, { news, latest, flips, scope: 'all' as const, reader });
  const found = reportOf(empty, judged, { partitions: news.size, flips });
  const explanation = await explanationFor(found.shown, scope, reader);
  const losses = refusedLosses({ news, published: latest?.manifest }, job, scope.tooMany);
  const lost = new Set(losses.map(({ unit }) => unit));
  return {
    report: { ...found.report, explanation },
    against: [...losses.map(({ line }) => line), ...found.against],
    judged: judgedUnits(judged, job).map((each) =>
      lost.has(each.unit) ? { ...each, failed: true } : each,
    ),
  };
}

/** Why what is shown differs from its baseline; null where there is none, or the job keeps no sample. */
async function explanationFor(
  { comparison, baseline }: Judged,
  { prepared, output, pool, elapsedMs }: ReviewScope,
  reader: StatisticsReader,
): Promise<Explanation | null> {
  if (baseline === undefined || prepared.job.sampleRows === 0) return null;
  if (!('units' in comparison.baseline)) return notExplained('a saved baseline holds no rows');
  return explain({
    output,
    baseline: comparison.baseline.units,
    current: [...comparison.current.values()],
    reader,
    pool,
    budgetMs: explainBudgetMs(elapsedMs()),
    sampleRows: prepared.job.sampleRows,
  });
}

/**
 * Judges a part of each unit before the rest of it is scored, by the gates that say something of a part. Throws `gate` when one
 * stands against it, and what `review` throws.
 */
export async function reviewPart(
  scope: Omit<ReviewScope, 'pool' | 'elapsedMs'>,
  parts: ReadonlyMap<string, UnitParts>,
  latest: Snapshot | undefined,
): Promise<void> {
  if (parts.size === 0) return;
  const { job } = scope.prepared;
  const empty = emptyReport({ ...scope, job: job.name, enforced: job.gates !== undefined });
  const reader = new StatisticsReader(scope.output);
  const of = { news: parts, latest, flips: undefined, scope: 'part' as const, reader };
  const judged = await judgeAll(scope, of);
  const found = reportOf(empty, judged, { partitions: parts.size, flips: undefined });
  if (found.against.length > 0)
    throw new GatesFailed({ ...found, judged: judgedUnits(judged, job) });
}

/** The units that were judged, with their dates, and whether they failed. */
function judgedUnits(judged: readonly Judged[], job: Job): JudgedUnit[] {
  const dateOf = unitDates(job);
  const failed = new Set(
    judged.filter(hasFailed).flatMap(({ comparison }) => [...comparison.current.keys()]),
  );
  const units = new Set(judged.flatMap(({ comparison }) => [...comparison.current.keys()]));
  return [...units].map((unit) => ({
    unit,
    date: dateOf(unit) ?? null,
    failed: failed.has(unit),
  }));
}

/** Judges units, or parts of them, against their baselines. */
async function judgeAll(
  { output, prepared }: Pick<ReviewScope, 'output' | 'prepared'>,
  of: {
    readonly news: ReadonlyMap<string, UnitParts>;
    readonly latest: Snapshot | undefined;
    readonly flips: Flips | undefined;
    readonly scope: 'all' | 'part';
    readonly reader: StatisticsReader;
  },
): Promise<Judged[]> {
  const { job } = prepared;
  const { news, latest, flips, scope, reader } = of;
  const settings = settingsOf(job.gates);
  const history = await historyFor(settings, output);
  const file =
    typeof job.baseline === 'object' && 'file' in job.baseline
      ? await readBaseline(job.baseline.file, `baseline.file ${shown(job.baseline.file)}`)
      : undefined;
  const judged: Judged[] = [];
  // A day that fails is not to be published, so it is no baseline of the days after it.
  const failedDays = new Set<string>();
  const how = { reader, file, settings, flips, history, prepared };
  const planned = await comparisonsOf({ output, job, news, latest });
  const pools = scope === 'part' ? [] : poolsOf(planned.map((plan) => plan(new Set())));
  for (const [index, plan] of planned.entries()) {
    const comparison = plan(failedDays);
    const pool = pools.find(({ places }) => places.includes(index));
    const found = [await judge({ comparison, ...how, scope: pool === undefined ? scope : 'few' })];
    if (pool?.places.at(-1) === index) {
      const pooled = {
        ...pool.comparison,
        baseline: planned[pool.places[0]!]!(failedDays).baseline,
      };
      found.push(await judge({ comparison: pooled, ...how, scope: 'pool' }));
    }
    judged.push(...found);
    for (const each of found.filter(hasFailed))
      for (const day of each.comparison.days ?? []) failedDays.add(day);
  }
  return judged;
}

async function judge(of: {
  readonly comparison: Comparison;
  readonly reader: StatisticsReader;
  readonly file: Baseline | undefined;
  readonly settings: GateSettings;
  readonly flips: Flips | undefined;
  readonly history: EarlierValues;
  readonly prepared: Prepared;
  readonly scope: GateScope;
}): Promise<Judged> {
  const { comparison, reader, file, settings, flips, history, prepared, scope } = of;
  const current = await statisticsOfAll(comparison.current, reader);
  const { baseline, reason } = await baselineOf(comparison, reader, file);
  const ignored = ignoredColumns(prepared);
  const results = judgeGates({
    settings,
    current: current.statistics,
    units: current.units,
    baseline,
    flips: labelFlips(flips),
    history,
    ignored,
    scope,
  });
  const enforced = prepared.job.gates !== undefined;
  return {
    comparison,
    current,
    baseline,
    reason,
    ignored,
    results: enforced ? results : results.map(softened),
  };
}

/** The statistics of what is to be published. Throws `PartMissing` where the store has lost some. */
async function statisticsOfAll(
  units: ReadonlyMap<string, UnitParts>,
  reader: StatisticsReader,
): Promise<UnitsStatistics> {
  const found = await reader.ofUnits([...units.values()]);
  if (found?.units === units.size) return found;
  for (const [unit, record] of units) {
    if ((await reader.ofUnit(record)) === undefined)
      throw new PartMissing({ unit, path: `statistics of ${unit === '' ? '.' : unit}` });
  }
  throw new Error('statistics came back');
}

async function baselineOf(
  { baseline }: Comparison,
  reader: StatisticsReader,
  file: Baseline | undefined,
): Promise<{ baseline: Baseline | undefined; reason: string | null }> {
  if (file !== undefined) return { baseline: file, reason: null };
  if ('reason' in baseline) return { baseline: undefined, reason: baseline.reason };
  const found = await reader.ofUnits(baseline.units);
  return found === undefined
    ? { baseline: undefined, reason: 'no statistics of what was published are kept' }
    : { baseline: { ...found, label: baseline.label }, reason: null };
}

/** A gate of a job that sets none: it only warns. */
function softened(result: GateResult): GateResult {
  const soften = <Of extends { readonly status: GateResult['status'] }>(of: Of): Of =>
    of.status === 'fail' ? { ...of, status: 'warn' } : of;
  return { ...soften(result), findings: result.findings.map(soften) };
}

/** Columns that differ between units by their nature, and lists, whose elements are no rows. */
function ignoredColumns({ dataset, scoring, publishing }: Prepared): string[] {
  const partition = [...dataset.partitions.values()].flatMap((values) =>
    values.map(({ name }) => name),
  );
  const lists = scoring.inputs
    .filter(({ list }) => list !== undefined)
    .flatMap(({ columns }) => columns);
  const arrays = publishing.columns
    .filter(({ width, index }) => width > 1 && index === undefined)
    .map(({ column }) => column);
  return [...new Set([...partition, ...lists, ...arrays])];
}

/** Only limits that are learnt need the past. */
async function historyFor(settings: GateSettings, output: Output): Promise<EarlierValues> {
  return JSON.stringify(settings).includes('"history"') ? earlierValues(output) : () => [];
}

/** The gates of a job, or those that are judged without any. */
function settingsOf(gates: JobGates | undefined): GateSettings {
  if (gates === undefined) return DEFAULT_GATES;
  const { rows, nulls, drift, scores, flips, new_categories: added } = gates;
  const measures = DRIFT_MEASURES.flatMap((name) => {
    const limits = drift?.[name];
    return limits === undefined ? [] : [[name, limits] as const];
  });
  return {
    ...(rows && { rows }),
    ...(nulls && { nulls: { maxIncrease: nulls.max_increase, columns: nulls.columns } }),
    ...(drift && {
      drift: {
        // Who names only columns wants them looked at.
        measures:
          measures.length > 0 ? Object.fromEntries(measures) : DEFAULT_GATES.drift!.measures,
        columns: drift.columns,
      },
    }),
    ...(scores && { scores: { meanChange: scores.mean_change, range: scores.range } }),
    ...(flips && { flips }),
    ...(added && { newCategories: added }),
  };
}
