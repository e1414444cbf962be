/** What differs between two sets of statistics, for a person and for a machine. Pure. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import type { Statistics } from '../stats/column.js';
import { SURE } from '../stats/gate-settings.js';
import { explanationLines } from './explanation.js';
import type { Explanation } from './explanation-schema.js';
import { columnReports } from './quality.js';
import { chanceOf, type QualityReport } from './quality-schema.js';
import { plural } from './report.js';

/** One side of a comparison. */
interface SideReport {
  readonly label: string;
  readonly rows: number;
  readonly partitions: number;
}

/** A comparison as JSON. */
export interface ComparisonReport {
  readonly format: 1;
  readonly baseline: SideReport;
  readonly current: SideReport;
  /** Those that moved most first; those that differ by their nature last. */
  readonly columns: QualityReport['columns'];
  /** Columns that only one side has. */
  readonly onlyBaseline: readonly string[];
  readonly onlyCurrent: readonly string[];
  /** Why scores differ; null where that was not asked for. */
  readonly explanation: Explanation | null;
}

/** Statistics, what they are of, and the names of the partitions where they have any. */
interface ComparedSide {
  readonly label: string;
  readonly statistics: Statistics;
  readonly partitions: number;
  readonly names: readonly string[];
}

/** Compares two sides. Columns that name partitions differ by their nature. */
export function comparisonReport(
  baseline: ComparedSide,
  current: ComparedSide,
  explanation: Explanation | null,
): ComparisonReport {
  const folders = [...baseline.names, ...current.names].flatMap((unit) => unit.split('/'));
  const ignored = new Set(
    folders.flatMap((folder) =>
      folder.includes('=') ? [folder.slice(0, folder.indexOf('='))] : [],
    ),
  );
  const [before, now] = [columnNames(baseline), columnNames(current)];
  const both = now.filter((name) => before.includes(name));
  const columns = columnReports(current.statistics, baseline.statistics, [...ignored]);
  return {
    format: 1,
    baseline: sideReport(baseline),
    current: sideReport(current),
    columns: columns
      .filter(({ name }) => both.includes(name))
      .toSorted((a, b) => Number(a.ignored) - Number(b.ignored) || distance(b) - distance(a)),
    onlyBaseline: before.filter((name) => !both.includes(name)),
    onlyCurrent: now.filter((name) => !both.includes(name)),
    explanation,
  };
}

function columnNames({ statistics }: ComparedSide): string[] {
  return [...new Set(statistics.columns.map(({ name }) => name))];
}

function sideReport({ label, statistics, partitions }: ComparedSide): SideReport {
  return { label, rows: statistics.rows, partitions };
}

type ColumnReport = QualityReport['columns'][number];

/** How far a column is from its baseline; one of another kind of value is farthest. */
function distance({ change }: ColumnReport): number {
  if (change === null) return Number.POSITIVE_INFINITY;
  return Number(change.psi ?? 0) + Math.abs(change.missing?.increase ?? 0);
}

/** How many columns a terminal shows. */
const COLUMNS_SHOWN = 25;

/** The cells of a table: its head, and a row for each of the columns that moved most. */
export function comparisonCells({ columns }: ComparisonReport): string[][] {
  const head = ['column', 'as', 'psi', 'ks or l-inf', 'mean', 'missing', 'categories', ''];
  return [head, ...columns.slice(0, COLUMNS_SHOWN).map(cellsOf)];
}

function cellsOf({ name, role, current, baseline, change, ignored }: ColumnReport): string[] {
  const about = [shown(name, 40), role];
  if (change === null || baseline === null) return [...about, '', '', '', '', '', 'another kind'];
  const far = change.ks?.distance ?? change.greatestChange;
  const means =
    current.kind === 'numeric' && baseline.kind === 'numeric'
      ? arrow(short(baseline.mean), short(current.mean))
      : '';
  const missing = arrow(
    percent(baseline.missing, baseline.rows),
    percent(current.missing, current.rows),
  );
  return [
    ...about,
    short(change.psi),
    short(far),
    means,
    missing === '0 %' ? '' : missing,
    current.kind === 'category' ? lone(change.added, 'new', change.vanished, 'gone') : '',
    ignored ? 'names partitions' : isSure(change) || change.psi === 0 ? '' : 'could be chance',
  ];
}

function isSure(change: NonNullable<ColumnReport['change']>): boolean {
  return chanceOf(change) < SURE || (change.missing?.p ?? 1) < SURE;
}

type Lone = NonNullable<ColumnReport['change']>['added'];

function lone(added: Lone, isNew: string, vanished: Lone, isGone: string): string {
  const say = ({ count }: Lone, word: string): string[] => (count > 0 ? [`${count} ${word}`] : []);
  return [...say(added, isNew), ...say(vanished, isGone)].join(', ');
}

function arrow(before: string, now: string): string {
  return before === now ? now : `${before} → ${now}`;
}

function percent(part: number, whole: number): string {
  return whole === 0 ? '' : `${Number(((100 * part) / whole).toPrecision(3))} %`;
}

function short(value: number | string | null): string {
  return value === null ? '' : String(Number(Number(value).toPrecision(4)));
}

/** What stands above the table, and below it. */
export function comparisonLines(report: ComparisonReport): {
  readonly above: readonly string[];
  readonly below: readonly string[];
} {
  const { baseline, current, columns, onlyBaseline, onlyCurrent } = report;
  const side = ({ label, rows, partitions }: SideReport): string =>
    `${shown(label)}: ${grouped(rows)} ${rows === 1 ? 'row' : 'rows'} in ${plural(partitions, 'partition')}`;
  const only = (names: readonly string[], what: string): string[] =>
    names.length === 0 ? [] : [`${what}  ${names.map((name) => shown(name, 40)).join(', ')}`];
  const more = columns.length - COLUMNS_SHOWN;
  return {
    above: [
      `baseline   ${side(baseline)}`,
      `current    ${side(current)}`,
      summaryOf(report),
      ...whyOf(report),
    ],
    below: [
      ...(more > 0 ? [`… and ${plural(more, 'column')} that moved less; --json has all`] : []),
      ...only(onlyBaseline, 'only in the baseline'),
      ...only(onlyCurrent, 'only now'),
    ],
  };
}

function whyOf({ explanation }: ComparisonReport): string[] {
  return explanation === null ? [] : explanationLines(explanation);
}

/** A column whose values moved by more than this is worth a word: below it nobody acts. */
const LEAST_PSI = 0.02;

function summaryOf({ columns }: ComparisonReport): string {
  const moved = columns.filter(
    (column) =>
      !column.ignored &&
      (column.change === null ||
        (isSure(column.change) &&
          (Number(column.change.psi ?? 0) >= LEAST_PSI ||
            Math.abs(column.change.missing?.increase ?? 0) >= LEAST_PSI))),
  );
  if (moved.length === 0) return 'moved      nothing, by a population stability index of 0.02';
  return `moved      ${moved.length} of ${plural(columns.filter(({ ignored }) => !ignored).length, 'column')}`;
}
