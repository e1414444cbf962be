/** What a check says: as data, and as lines for a terminal. Pure. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import type { Ledger } from '../plan/ledger.js';
import type { Checked, CheckedColumn, CheckedRows, RowExample } from '../stats/checked.js';
import { toleranceText } from '../stats/tolerance.js';
import { plural } from './report.js';
import { changeText, percentText, shortNumber } from './words.js';

/** Something that must not change scores, done to the rows of a fixture or to how they are scored. */
export interface CheckedVariant {
  readonly name: string;
  readonly verdict: 'equal' | 'different' | 'failed';
  /** Against what the job gives without it; null where it failed. */
  readonly checked: Checked | null;
  /** What is to be known of it: why it failed, what became of nulls. */
  readonly note: string | null;
}

/** What came of scoring a fixture and comparing. */
export interface CheckReport {
  readonly format: 1;
  readonly job: string;
  readonly verdict: 'equal' | 'different';
  /** The file of the expected rows. */
  readonly expected: string;
  /** What is another one since the rows were recorded, in words; null where that is not known. */
  readonly since: readonly string[] | null;
  readonly ledger: { readonly expected: Ledger | null; readonly scored: Ledger };
  readonly checked: Checked;
  /** Empty where none were asked for. */
  readonly variants: readonly CheckedVariant[];
}

/** What came of recording. */
export interface RecordReport {
  readonly format: 1;
  readonly job: string;
  /** The files that were written. */
  readonly fixture: string;
  readonly expected: string;
  readonly ledger: Ledger;
}

/** A report as text: lines, a table of the columns in between. */
export interface CheckText {
  readonly above: readonly string[];
  readonly cells: readonly (readonly string[])[];
  readonly below: readonly string[];
}

/** The kinds of difference between rows, in words. */
export const ROW_KINDS = [
  ['missing', 'missing'],
  ['added', 'not expected'],
  ['setAside', 'set aside'],
  ['returned', 'scored, not set aside as expected'],
] as const;

/** The one sentence on a check: what differs most. */
export function checkSentence({ job, verdict, checked, ledger, variants }: CheckReport): string {
  const name = shown(job, 60);
  if (verdict === 'equal')
    return `${name}: ${plural(checked.rows.scored, 'row')} as expected${variants.length === 0 ? '' : `, and so in ${plural(variants.length, 'variant')}`}`;
  const rows = ROW_KINDS.filter(([kind]) => checked[kind].rows > 0).map(
    ([kind, words]) => `${plural(checked[kind].rows, 'row')} ${words}`,
  );
  const columns = checked.columns
    .filter(({ beyond }) => beyond > 0)
    .map(
      ({ name: column, beyond }) =>
        `"${shown(column, 60)}" differs in ${grouped(beyond)} of ${plural(checked.rows.compared, 'row')}`,
    );
  const lacking = checked.lacking.map((column) => `"${shown(column, 60)}" is not published`);
  const uneven = ledgerProblem(ledger);
  const bad = variants.filter((variant) => variant.verdict !== 'equal');
  const all = [
    ...rows,
    ...columns,
    ...lacking,
    ...(uneven === undefined ? [] : [uneven]),
    ...(bad.length === 0 ? [] : [`scores depend on ${bad.map((one) => one.name).join(', ')}`]),
  ];
  const shownOnes = all.slice(0, 4).join('; ');
  return `${name}: ${shownOnes}${all.length > 4 ? `; and ${all.length - 4} more` : ''}`;
}

/** How the counts of rows differ from the recorded ones, in words; undefined where they do not. */
export function ledgerProblem({ expected, scored }: CheckReport['ledger']): string | undefined {
  if (expected === null) return undefined;
  const kinds = ['rows', 'scored', 'quarantined', 'filtered'] as const;
  const changed = kinds
    .filter((kind) => expected[kind] !== scored[kind])
    .map((kind) => `${kind} ${grouped(expected[kind])} → ${grouped(scored[kind])}`);
  return changed.length === 0 ? undefined : `the ledger differs (${changed.join(', ')})`;
}

/** A report for a terminal. */
export function checkText(report: CheckReport): CheckText {
  const { checked, since, expected, variants, ledger } = report;
  const { rows } = checked;
  const problem = ledgerProblem(ledger);
  return {
    above: [
      `${report.verdict.padEnd(10)} ${checkSentence(report)}`,
      `expected   ${shown(expected)}`,
      ...(since === null
        ? []
        : [
            `since      ${since.length === 0 ? 'recorded, nothing has changed' : since.join(', ')}`,
          ]),
      `rows       ${grouped(rows.expected)} expected, ${grouped(rows.scored)} given, ${grouped(rows.compared)} compared`,
      ...(problem === undefined ? [] : [`ledger     ${problem}`]),
    ],
    cells:
      checked.columns.length === 0
        ? []
        : [COLUMN_HEAD, ...checked.columns.map((column) => columnCells(column, rows.compared))],
    below: [
      ...ROW_KINDS.flatMap(([kind, words]) => rowLines(words, checked[kind])),
      ...checked.lacking.map(
        (name) => `lacking    "${shown(name, 60)}" is expected and not published`,
      ),
      ...(checked.notExpected.length === 0
        ? []
        : [
            `unchecked  ${checked.notExpected.map((name) => `"${shown(name, 60)}"`).join(', ')}: not among the expected columns`,
          ]),
      ...checked.columns.flatMap(worstLines),
      ...castLines(checked),
      ...variants.flatMap(variantLines),
    ],
  };
}

const COLUMN_HEAD = [
  'column',
  'tolerance',
  'differ',
  'beyond it',
  'share',
  'largest',
  'relative',
  'ulp',
];

/** The cells of a column: how many of its values differ, and how far. */
export function columnCells(column: CheckedColumn, compared: number): string[] {
  const { name, tolerance, differ, beyond, largest } = column;
  const number = (value: number | undefined): string =>
    value === undefined || largest === null ? '–' : shortNumber(value);
  return [
    shown(name, 40),
    toleranceText(tolerance),
    grouped(differ),
    grouped(beyond),
    compared === 0 ? '–' : percentText(beyond / compared),
    number(largest?.absolute),
    number(largest?.relative),
    number(largest?.ulp),
  ];
}

/** How a row is named. */
export function rowName({ key, unit }: Pick<RowExample, 'key' | 'unit'>): string {
  return unit === '' ? shown(key, 60) : `${shown(key, 60)} in ${shown(unit, 60)}`;
}

/** A value as it stands in a row. */
export function valueText(value: string | null): string {
  return value === null ? 'null' : shown(value, 60);
}

function rowLines(words: string, { rows, first }: CheckedRows): string[] {
  if (rows === 0) return [];
  const named = first.slice(0, 3).map((row) => {
    const why = row.scored ?? row.expected;
    return `${rowName(row)}${why === null ? '' : ` (${shown(why, 60)})`}`;
  });
  const more = rows > named.length ? `, … (${grouped(rows)})` : '';
  return [`rows       ${words}: ${named.join(', ')}${more}`];
}

/** Of each column the rows that differ most, and the changes of labels that are most frequent. */
function worstLines({ name, beyond, worst, pairs, kind, meanChange }: CheckedColumn): string[] {
  if (beyond === 0) return [];
  if (kind === 'text')
    return pairs
      .slice(0, 5)
      .map(
        (pair) =>
          `changed    "${shown(name, 40)}" ${changeText(valueText(pair.expected), valueText(pair.scored))}: ${plural(pair.rows, 'row')}`,
      );
  const mean = meanChange === null ? '' : ` (in the mean of all that differ ${signed(meanChange)})`;
  return worst.slice(0, 3).map((row, index) => {
    const text = `${valueText(row.expected)} expected, ${valueText(row.scored)} given`;
    return `differs    "${shown(name, 40)}" of ${rowName(row)}: ${text}${index === 0 ? mean : ''}`;
  });
}

function signed(value: number): string {
  return value > 0 ? `+${shortNumber(value)}` : shortNumber(value);
}

function castLines({ casts }: Checked): string[] {
  return casts.map((cast) => `cast       ${castSentence(cast)}`);
}

/** What a lossy cast has to do with rows that differ, in a sentence. */
export function castSentence({
  column,
  element,
  different,
  same,
}: Checked['casts'][number]): string {
  const share = (of: { readonly rows: number; readonly changed: number }): string =>
    `${grouped(of.changed)} of ${grouped(of.rows)}`;
  return `"${shown(column, 60)}" is not the same as ${element} in ${share(different)} rows that differ, and in ${share(same)} others`;
}

function variantLines(variant: CheckedVariant): string[] {
  const note = variant.note === null ? '' : `; ${variant.note}`;
  return [`variant    ${variant.name}: ${variantSentence(variant)}${note}`];
}

/** What a variant has shown, in words. */
export function variantSentence({ verdict, checked }: CheckedVariant): string {
  if (checked === null || verdict === 'failed') return 'could not be scored';
  const columns = checked.columns.filter(({ differ }) => differ > 0);
  const rows = ROW_KINDS.filter(([kind]) => checked[kind].rows > 0).map(
    ([kind, words]) => `${plural(checked[kind].rows, 'row')} ${words}`,
  );
  if (columns.length === 0 && rows.length === 0) return 'the same';
  const differing = columns.map(({ name, differ, largest }) => {
    const most =
      largest === null
        ? ''
        : `, by up to ${shortNumber(largest.absolute)} (${shortNumber(largest.ulp)} ulp)`;
    return `"${shown(name, 40)}" differs in ${plural(differ, 'row')}${most}`;
  });
  const within = verdict === 'equal' ? ', within the tolerance' : '';
  return [...rows, ...differing].join('; ') + within;
}

/** What was recorded, for a terminal. */
export function recordLines({ job, fixture, expected, ledger }: RecordReport): string[] {
  return [
    `recorded   ${shown(job, 60)}: ${plural(ledger.scored, 'row')} scored, ${grouped(ledger.quarantined)} set aside, ${grouped(ledger.filtered)} filtered`,
    `expected   ${shown(expected)}`,
    `fixture    ${shown(fixture)}`,
  ];
}
