/** The gates before publication: judges what a run would publish anew, and makes the report on it. */
import { ScorelineError, shown } from '../base/errors.js';
import { canonicalJson } from '../base/hash.js';
import type { JobGates } from '../plan/gate-schema.js';
import type { Ledger } from '../plan/ledger.js';
import { type UnitRecord, unitOf } from '../plan/manifest.js';
import { notExplained } from '../report/explanation.js';
import type { Explanation } from '../report/explanation-schema.js';
import { columnReports, gateReport, lineOfGate } from '../report/quality.js';
import { type QualityReport, REPORT_FORMAT } from '../report/quality-schema.js';
import type { Flips } from '../stats/flips.js';
import {
  DEFAULT_GATES,
  DRIFT_MEASURES,
  FLIPS_GATE,
  type GateResult,
  type GateSettings,
} from '../stats/gate-settings.js';
import { judgeGates, verdictOf } from '../stats/gates.js';
import { type Comparison, comparisonsOf } from './baseline.js';
import { type Baseline, readBaseline } from './baseline-file.js';
import { explain, explainBudgetMs } from './explain.js';
import { flipsOf, labelFlips } from './flips.js';
import { type EarlierValues, earlierValues } from './history-values.js';
import type { Pool } from './pool.js';
import type { Prepared } from './prepare.js';
import { type Base, PartMissing, type Publication, type Snapshot } from './snapshot.js';
import { StatisticsReader, type UnitParts, type UnitsStatistics } from './statistics.js';
import type { Output } from './store.js';

/** What a review needs. */
export interface ReviewScope {
  readonly output: Output;
  readonly prepared: Prepared;
  readonly pool: () => Pool;
  readonly runId: string;
  readonly ledger: Ledger;
  /** How long the run has taken so far: an explanation may take a share of it. */
  readonly elapsedMs: () => number;
}

/** What the gates say of a publication: the report, and a line for each gate that stands against it. */
export interface Review {
  readonly report: QualityReport;
  readonly against: readonly string[];
}

/** The gates of a job do not let it publish. */
export class GatesFailed extends ScorelineError {
  readonly review: Review;

  constructor(review: Review) {
    super('gate', review.against.join('\n'));
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

/** The units of a publication that are not published just so already. */
export function newsOf(
  { units }: Pick<Publication, 'units'>,
  base: Base | undefined,
): Map<string, UnitRecord> {
  const text = (unit: UnitRecord | undefined): string => canonicalJson(unit ?? null);
  return new Map(
    [...units].filter(([name, unit]) => text(unitOf(base?.manifest, name)) !== text(unit)),
  );
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
  if (news.size === 0) return { report: empty, against: [] };
  const flips = await flipsOf(news, latest, scope);
  const reader = new StatisticsReader(scope.output);
  const judged = await judgeAll(scope, { news, latest, flips, part: false, reader });
  const {
    shown: worst,
    report,
    against,
  } = reportOf(empty, judged, {
    partitions: news.size,
    flips,
  });
  const explanation = await explanationFor(worst, scope, reader);
  return { report: { ...report, explanation }, against };
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
  const of = { news: parts, latest, flips: undefined, part: true, reader };
  const judged = await judgeAll(scope, of);
  const found = reportOf(empty, judged, { partitions: parts.size, flips: undefined });
  if (found.against.length > 0) throw new GatesFailed(found);
}

/** Judges units, or parts of them, against their baselines. */
async function judgeAll(
  { output, prepared }: Pick<ReviewScope, 'output' | 'prepared'>,
  of: {
    readonly news: ReadonlyMap<string, UnitParts>;
    readonly latest: Snapshot | undefined;
    readonly flips: Flips | undefined;
    readonly part: boolean;
    readonly reader: StatisticsReader;
  },
): Promise<Judged[]> {
  const { job } = prepared;
  const { news, latest, flips, part, reader } = of;
  const settings = settingsOf(job.gates);
  const history = await historyFor(settings, output);
  const file =
    typeof job.baseline === 'object' && 'file' in job.baseline
      ? await readBaseline(job.baseline.file, `baseline.file ${shown(job.baseline.file)}`)
      : undefined;
  const judged: Judged[] = [];
  for (const comparison of await comparisonsOf({ output, job, news, latest })) {
    const how = { reader, file, settings, flips, history, prepared, part };
    judged.push(await judge({ comparison, ...how }));
  }
  return judged;
}

/** A comparison, and what the gates say of it. */
interface Judged {
  readonly comparison: Comparison;
  readonly current: UnitsStatistics;
  readonly baseline: Baseline | undefined;
  readonly reason: string | null;
  readonly results: readonly GateResult[];
  readonly ignored: readonly string[];
}

async function judge(of: {
  readonly comparison: Comparison;
  readonly reader: StatisticsReader;
  readonly file: Baseline | undefined;
  readonly settings: GateSettings;
  readonly flips: Flips | undefined;
  readonly history: EarlierValues;
  readonly prepared: Prepared;
  readonly part: boolean;
}): Promise<Judged> {
  const { comparison, reader, file, settings, flips, history, prepared, part } = of;
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
    part,
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

const ORDER = ['fail', 'warn', 'pass', 'skipped'] as const;

/** Puts what was found day by day into one report: of each gate the worst day, and the columns of the worst of all. */
function reportOf(
  empty: QualityReport,
  judged: readonly Judged[],
  { partitions, flips }: { readonly partitions: number; readonly flips: Flips | undefined },
): Review & { readonly shown: Judged } {
  const rank = ({ status }: GateResult): number => ORDER.indexOf(status);
  const names = [...new Set(judged.flatMap(({ results }) => results.map(({ gate }) => gate)))];
  const gates = names.map((name) => {
    const all = judged.flatMap((each) => {
      const result = each.results.find(({ gate }) => gate === name);
      return result === undefined ? [] : [{ each, result }];
    });
    return all.reduce((worst, one) => (isWorse(one.result, worst.result) ? one : worst));
  });
  const reports = gates.map(({ each, result }) => ({
    each,
    gate: gateReport(result, result.gate === FLIPS_GATE ? undefined : each.comparison.day),
  }));
  const [worst] = gates.toSorted((a, b) => rank(a.result) - rank(b.result));
  const isAlarm = worst !== undefined && rank(worst.result) < ORDER.indexOf('pass');
  const shownOf = isAlarm ? worst.each : judged.at(-1)!;
  const { baseline, current, comparison, reason, ignored } = shownOf;
  const compared = 'names' in comparison.baseline ? comparison.baseline.names : [];
  const report: QualityReport = {
    ...empty,
    verdict: verdictOf(gates.map(({ result }) => result)),
    judged: {
      rows: judged.reduce((sum, each) => sum + each.current.statistics.rows, 0),
      partitions,
      day: comparison.day ?? null,
    },
    baseline:
      baseline === undefined
        ? null
        : { label: baseline.label, rows: baseline.statistics.rows, partitions: [...compared] },
    reason: baseline === undefined ? reason : null,
    gates: reports.map(({ gate }) => gate),
    columns: columnReports(current.statistics, baseline?.statistics, ignored),
    flips: (flips as QualityReport['flips']) ?? null,
  };
  const against = reports
    .filter(({ gate }) => gate.status === 'fail')
    .map(({ each, gate }) => lineOfGate(gate, each.baseline?.label));
  return { report, against, shown: shownOf };
}

function isWorse(a: GateResult, b: GateResult): boolean {
  const apart = ORDER.indexOf(a.status) - ORDER.indexOf(b.status);
  const size = ({ findings: [first] }: GateResult): number =>
    (first?.measured ?? 0) / (first?.limit || 1);
  return apart < 0 || (apart === 0 && size(a) > size(b));
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
