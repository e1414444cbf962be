/** Makes `report.json` of statistics, and says the short of it. Pure. */
import { shown } from '../base/errors.js';
import { compareText } from '../base/hash.js';
import { distinctTexts, topTexts } from '../stats/category.js';
import {
  type ColumnStatistics,
  distinctValues,
  missingRows,
  type Sketch,
  type Statistics,
  sketchRows,
} from '../stats/column.js';
import { type ColumnComparison, compareColumn, QUANTILES } from '../stats/drift.js';
import { gateLine } from '../stats/gate-line.js';
import { type GateResult, SURE } from '../stats/gate-settings.js';
import { histogramOf } from '../stats/histogram.js';
import { NO_BASELINE } from '../stats/judge.js';
import { varianceOf } from '../stats/moments.js';
import { quantilesOf, topNumbers } from '../stats/numeric.js';
import { explanationLines } from './explanation.js';
import { chanceOf, dayWords, type QualityReport } from './quality-schema.js';
import { plural } from './report.js';

type ColumnReport = QualityReport['columns'][number];
type Summary = ColumnReport['current'];
type Change = NonNullable<ColumnReport['change']>;
type AnyNumber = number | 'Infinity' | '-Infinity' | 'NaN';

/** How many categories a report names, or frequent numbers. */
const CATEGORIES_NAMED = 10;
/** How many columns a terminal names, and how far one must have moved to be among them, other than by chance. */
const CHANGES_SHOWN = 3;
const LEAST_PSI = 0.02;

/** A number as JSON can have it. */
export function saved(value: number): AnyNumber {
  return Number.isFinite(value) ? value : (String(value) as AnyNumber);
}

/** A gate as the report has it. */
export function gateReport(
  { findings, ...gate }: GateResult,
  day: string | undefined,
): QualityReport['gates'][number] {
  const orNull = (value: number | null): AnyNumber | null => (value === null ? null : saved(value));
  return {
    ...gate,
    day: day ?? null,
    findings: findings.map((finding) => ({
      ...finding,
      measured: orNull(finding.measured),
      limit: orNull(finding.limit),
      baseline: orNull(finding.baseline),
    })),
  };
}

/** Every column beside that of the baseline; those that differ by their nature are marked. */
export function columnReports(
  current: Statistics,
  baseline: Statistics | undefined,
  ignored: readonly string[],
): ColumnReport[] {
  return current.columns.map((column) => ({
    ...columnReport(column, baseline),
    ignored: ignored.includes(column.name),
  }));
}

function columnReport(
  { name, role, sketch }: ColumnStatistics,
  baseline: Statistics | undefined,
): Omit<ColumnReport, 'ignored'> {
  const before = baseline?.columns.find((other) => other.name === name && other.role === role);
  const comparison = before && compareColumn(before.sketch, sketch);
  return {
    name,
    role,
    current: summaryOf(sketch),
    baseline: before === undefined ? null : summaryOf(before.sketch),
    change: comparison === undefined ? null : changeOf(comparison),
    histogram: columnHistogram(sketch, before?.sketch),
  };
}

function columnHistogram(current: Sketch, baseline: Sketch | undefined): ColumnReport['histogram'] {
  if (current.kind !== 'numeric') return null;
  const found = histogramOf(current, baseline?.kind === 'numeric' ? baseline : undefined);
  return found as ColumnReport['histogram'];
}

function summaryOf(sketch: Sketch): Summary {
  const about = { rows: sketchRows(sketch), missing: missingRows(sketch) };
  if (sketch.kind === 'category') {
    const { empty, shortest, longest, length, rows } = sketch;
    return {
      kind: 'category',
      ...about,
      empty,
      distinct: distinctTexts(sketch),
      shortest: shortest ?? null,
      longest: longest ?? null,
      meanLength: rows === 0 ? null : length / rows,
      top: topTexts(sketch, CATEGORIES_NAMED),
    };
  }
  const { nulls, nan, positiveInfinite, negativeInfinite, zeros, min, max, moments } = sketch;
  const top = topNumbers(sketch, CATEGORIES_NAMED);
  const values = quantilesOf(sketch, QUANTILES);
  const variance = varianceOf(moments);
  return {
    kind: 'numeric',
    ...about,
    nulls,
    nan,
    infinite: positiveInfinite + negativeInfinite,
    positiveInfinite,
    negativeInfinite,
    zeros,
    distinct: distinctValues(sketch),
    min: min ?? null,
    max: max ?? null,
    mean: moments.count === 0 ? null : moments.mean,
    variance: variance === undefined ? null : saved(variance),
    quantiles: values.map((value, i) => ({ share: QUANTILES[i]!, value })),
    ...(top !== undefined && { top }),
  };
}

function changeOf({ numeric, category, mean, missing, added, vanished }: ColumnComparison): Change {
  const both = numeric ?? category;
  const finite = (edge: number | undefined): number | null =>
    edge !== undefined && Number.isFinite(edge) ? edge : null;
  const named = (lone: ColumnComparison['added']): Change['added'] => ({
    count: lone.length,
    first: lone.slice(0, CATEGORIES_NAMED),
  });
  return {
    psi: both === undefined ? null : saved(both.psi),
    js: both?.jensenShannon ?? null,
    hellinger: both?.hellinger ?? null,
    chiSquared:
      both === undefined
        ? null
        : { ...both.chiSquared, statistic: saved(both.chiSquared.statistic) },
    p: both?.p ?? null,
    ks: numeric?.ks ?? null,
    wasserstein: numeric?.wassersteinNormed === undefined ? null : saved(numeric.wassersteinNormed),
    wassersteinPlain: numeric === undefined ? null : saved(numeric.wasserstein),
    greatestChange: category?.greatestChange ?? null,
    mean:
      mean === undefined
        ? null
        : {
            change: saved(mean.change),
            relative: mean.relative === undefined ? null : saved(mean.relative),
            p: mean.p,
          },
    missing: missing === undefined ? null : { increase: missing.increase, p: missing.p },
    bins: (both?.bins ?? []).map(({ from, to, text, baseline, current }) => ({
      from: finite(from),
      to: finite(to),
      text: text ?? null,
      baseline,
      current,
    })),
    added: named(added),
    vanished: named(vanished),
  };
}

/** A gate in one line. */
export function lineOfGate(
  gate: QualityReport['gates'][number],
  label: string | undefined,
): string {
  const { day, ...result } = gate;
  const orNull = (value: AnyNumber | null): number | null =>
    value === null ? null : Number(value);
  const findings = result.findings.map((finding) => ({
    ...finding,
    measured: orNull(finding.measured),
    limit: orNull(finding.limit),
    baseline: orNull(finding.baseline),
  }));
  const line = gateLine({ ...result, findings }, label);
  return day === null ? line : `${line}, on ${day}`;
}

/** The gates that warn or fail, each with the findings that do. */
export function alarmGates(gates: QualityReport['gates']): QualityReport['gates'] {
  return gates
    .filter(isAlarm)
    .map((gate) => ({ ...gate, findings: gate.findings.filter(isAlarm) }));
}

function isAlarm({ status }: Pick<QualityReport['gates'][number], 'status'>): boolean {
  return status === 'fail' || status === 'warn';
}

/** A line for each gate and day that fails. */
export function failingLines(report: QualityReport): string[] {
  return alarmsOf(report)
    .filter(({ status }) => status === 'fail')
    .map(({ line }) => line);
}

/** Every gate that warns or fails, day by day, in a line. */
function alarmsOf({ gates, days, baseline }: QualityReport): { status: string; line: string }[] {
  const lined = (
    all: QualityReport['gates'],
    label: string | undefined,
  ): { status: string; line: string }[] =>
    all.map((gate) => ({ status: gate.status, line: lineOfGate(gate, label) }));
  if (days === undefined) return lined(gates.filter(isAlarm), baseline?.label);
  // A gate without a day is of all that was judged.
  const ofAll = gates.filter((gate) => isAlarm(gate) && gate.day === null);
  return [
    ...days.flatMap((day) => lined(day.gates, day.baseline?.label)),
    ...lined(ofAll, undefined),
  ];
}

/** How many lines about gates a person reads; a report has them all. */
const LINES_SHOWN = 20;

/** The first lines, and how many more there are. */
export function cappedLines(lines: readonly string[]): string[] {
  if (lines.length <= LINES_SHOWN) return [...lines];
  const more = lines.length - LINES_SHOWN + 1;
  return [...lines.slice(0, LINES_SHOWN - 1), `… and ${more} more; report.json has them all`];
}

/** What a terminal says of a report: the verdict, each gate that did not pass or could not be judged, the columns that moved most. */
export function qualityLines(report: QualityReport): string[] {
  const { verdict, gates, baseline, reason, judged, enforced } = report;
  if (judged === null) return [];
  const against =
    baseline === null
      ? `no baseline (${reason ?? ''})`
      : `against ${shown(baseline.label)}, ${plural(baseline.rows, 'row')}`;
  const alarms = alarmsOf(report);
  const worstFirst = [...alarms].sort((a, b) => compareText(a.status, b.status));
  const checked = gates.filter(({ status }) => status !== 'skipped').length;
  const mode = enforced || baseline === null ? '' : '; the job sets no gates: these only warn';
  const moved = changesOf(report);
  const day = dayWords(report);
  return [
    `gates      ${verdict}: ${plural(checked, 'gate')} judged, ${against}${day === undefined ? '' : `; ${day}`}${mode}`,
    ...cappedLines(worstFirst.map(({ line }) => line)).map((line) => `gate       ${line}`),
    ...(enforced ? skippedLines(gates) : []),
    ...(report.explanation === null ? [] : explanationLines(report.explanation)),
    ...(moved === '' ? [] : [`changes    ${moved}`]),
  ];
}

/**
 * Gates of the job that could not be judged, in a line for each reason. That a first run has no baseline goes without saying:
 * `hasPublished` says whether it is not the first.
 */
export function notJudgedLines(report: QualityReport, hasPublished: boolean): string[] {
  const { gates, enforced, baseline, reason, judged } = report;
  if (!enforced || judged === null || judged.rows === 0) return [];
  const lines = Array.from(
    skippedGates(gates),
    ([why, names]) => `not judged: ${names.join(', ')}: ${shown(why)}`,
  );
  const compared = gates.filter((gate) => gate.status === 'skipped' && gate.compared);
  if (baseline !== null || !hasPublished || compared.length === 0) return lines;
  const names = compared.map(({ gate }) => gate).join(', ');
  return [...lines, `not judged: ${names}: no baseline (${shown(reason ?? '')})`];
}

/** Why gates of the job could not be judged: a line for each reason, but for the baseline that is not there. */
function skippedLines(gates: QualityReport['gates']): string[] {
  return Array.from(
    skippedGates(gates),
    ([reason, names]) => `gate       skipped ${names.join(', ')}: ${shown(reason)}`,
  );
}

/** The gates that were skipped, by the reason, but for the baseline that is not there. */
function skippedGates(gates: QualityReport['gates']): ReadonlyMap<string, readonly string[]> {
  const names = new Map<string, string[]>();
  for (const { gate, status, findings } of gates) {
    const reason = findings[0]?.reason ?? NO_BASELINE;
    if (status !== 'skipped' || reason === NO_BASELINE) continue;
    names.set(reason, [...(names.get(reason) ?? []), gate]);
  }
  return names;
}

function changesOf({ columns }: QualityReport): string {
  return columns
    .flatMap((column) => {
      const psi = Number(column.change?.psi ?? 0);
      const isSure = column.change !== null && chanceOf(column.change) < SURE;
      return psi >= LEAST_PSI && isSure && !column.ignored ? [{ column, psi }] : [];
    })
    .sort((a, b) => b.psi - a.psi)
    .slice(0, CHANGES_SHOWN)
    .map(({ column, psi }) => `${shown(column.name, 60)}: psi ${short(psi)}${sayMeans(column)}`)
    .join('; ');
}

function sayMeans({ current, baseline }: ColumnReport): string {
  if (current.kind !== 'numeric' || baseline?.kind !== 'numeric') return '';
  if (current.mean === null || baseline.mean === null) return '';
  return `, mean ${short(baseline.mean)} → ${short(current.mean)}`;
}

function short(value: number): string {
  return String(Number(value.toPrecision(3)));
}
