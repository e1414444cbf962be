/** Puts what the gates found, day by day, into one report. Pure. */
import { alarmGates, columnReports, failingLines, gateReport } from '../report/quality.js';
import type { QualityReport } from '../report/quality-schema.js';
import type { Flips } from '../stats/flips.js';
import { FLIPS_GATE, type GateResult } from '../stats/gate-settings.js';
import { verdictOf } from '../stats/gates.js';
import type { Comparison } from './baseline.js';
import type { Baseline } from './baseline-file.js';
import type { UnitsStatistics } from './statistics.js';

/** A comparison, and what the gates say of it. */
export interface Judged {
  readonly comparison: Comparison;
  readonly current: UnitsStatistics;
  readonly baseline: Baseline | undefined;
  readonly reason: string | null;
  readonly results: readonly GateResult[];
  readonly ignored: readonly string[];
}

/** Whether a gate fails for the data of a comparison: flips are of all that a run brings. */
export function hasFailed({ results }: Judged): boolean {
  return results.some(({ gate, status }) => status === 'fail' && gate !== FLIPS_GATE);
}

const ORDER = ['fail', 'warn', 'pass', 'skipped'] as const;

/**
 * Makes the report of all that was judged: of each gate the worst day, every day by itself, and the columns of the worst day, which
 * is `shown`. `against` has a line for each gate and day that fails.
 */
export function reportOf(
  empty: QualityReport,
  judged: readonly Judged[],
  { partitions, flips }: { readonly partitions: number; readonly flips: Flips | undefined },
): {
  readonly report: QualityReport;
  readonly against: readonly string[];
  readonly shown: Judged;
} {
  const gates = worstOfEach(judged);
  const [worst] = gates.toSorted((a, b) => rankOf(a.result) - rankOf(b.result));
  const isAlarm = worst !== undefined && rankOf(worst.result) < ORDER.indexOf('pass');
  const shownOf = isAlarm ? worst.each : judged.at(-1)!;
  const { baseline, current, comparison, reason, ignored } = shownOf;
  const compared = 'names' in comparison.baseline ? comparison.baseline.names : [];
  const days = judged.length > 1 ? judged.map(dayReport) : undefined;
  const report: QualityReport = {
    ...empty,
    verdict: verdictOf(gates.map(({ result }) => result)),
    judged: {
      rows: judged
        .filter((each) => !isPool(each))
        .reduce((sum, each) => sum + each.current.statistics.rows, 0),
      partitions,
      day: comparison.day ?? null,
    },
    baseline:
      baseline === undefined
        ? null
        : { label: baseline.label, rows: baseline.statistics.rows, partitions: [...compared] },
    reason: baseline === undefined ? reason : null,
    gates: gates.map(({ each, result }) => gateReport(result, dayOf(result, each))),
    ...(days !== undefined && { days }),
    columns: columnReports(current.statistics, baseline?.statistics, ignored),
    flips: (flips as QualityReport['flips']) ?? null,
  };
  return { report, against: failingLines(report), shown: shownOf };
}

/** Whether it is of days that are judged by themselves, too. */
function isPool({ comparison }: Judged): boolean {
  return (comparison.days?.length ?? 0) > 1;
}

/** Of each gate the day that is worst. */
function worstOfEach(
  judged: readonly Judged[],
): { readonly each: Judged; readonly result: GateResult }[] {
  const names = [...new Set(judged.flatMap(({ results }) => results.map(({ gate }) => gate)))];
  return names.map((name) => {
    const all = judged.flatMap((each) => {
      const result = each.results.find(({ gate }) => gate === name);
      return result === undefined ? [] : [{ each, result }];
    });
    return all.reduce((worst, one) => (isWorse(one.result, worst.result) ? one : worst));
  });
}

function dayOf({ gate }: GateResult, { comparison }: Judged): string | undefined {
  return gate === FLIPS_GATE ? undefined : comparison.day;
}

/** A day by itself: what of its gates did not pass. */
function dayReport(each: Judged): NonNullable<QualityReport['days']>[number] {
  const { comparison, current, baseline, reason } = each;
  const results = each.results.filter(({ gate }) => gate !== FLIPS_GATE);
  return {
    day: comparison.day ?? '',
    verdict: verdictOf(results),
    rows: current.statistics.rows,
    partitions: current.units,
    baseline:
      baseline === undefined ? null : { label: baseline.label, rows: baseline.statistics.rows },
    reason: baseline === undefined ? reason : null,
    gates: alarmGates(results.map((result) => gateReport(result, comparison.day))),
  };
}

function rankOf({ status }: GateResult): number {
  return ORDER.indexOf(status);
}

function isWorse(a: GateResult, b: GateResult): boolean {
  const apart = rankOf(a) - rankOf(b);
  const size = ({ findings: [first] }: GateResult): number =>
    (first?.measured ?? 0) / (first?.limit || 1);
  return apart < 0 || (apart === 0 && size(a) > size(b));
}
