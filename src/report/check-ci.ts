/** What a check says to a CI pipeline: JUnit XML, and annotations of GitHub Actions. Pure. */
import { shown } from '../base/errors.js';
import { toleranceText } from '../stats/tolerance.js';
import {
  type CheckReport,
  checkSentence,
  ledgerProblem,
  ROW_KINDS,
  rowName,
  valueText,
  variantSentence,
} from './check.js';
import { plural } from './report.js';

/** One thing that was checked: `problem` where it did not hold, with details. */
interface CheckCase {
  readonly name: string;
  readonly problem: string | undefined;
  readonly details: readonly string[];
}

/**
 * A report as JUnit XML (the form that Jenkins, GitLab and GitHub's test reporters read): a test case for the rows, for each
 * column and for each variant. The time is in seconds.
 */
export function junitText(report: CheckReport, seconds: number): string {
  const cases = casesOf(report);
  const failures = cases.filter(({ problem }) => problem !== undefined).length;
  const suite = `scoreline check ${shown(report.job, 100)}`;
  const counts = `tests="${cases.length}" failures="${failures}" errors="0" time="${seconds.toFixed(3)}"`;
  const body = cases.map(({ name, problem, details }) => {
    const of = `classname="${xml(suite)}" name="${xml(name)}"`;
    if (problem === undefined) return `    <testcase ${of}/>`;
    return [
      `    <testcase ${of}>`,
      `      <failure message="${xml(problem)}">${xml(details.join('\n'))}</failure>`,
      '    </testcase>',
    ].join('\n');
  });
  return [
    '<?xml version="1.0" encoding="UTF-8"?>',
    `<testsuites ${counts}>`,
    `  <testsuite name="${xml(suite)}" ${counts}>`,
    ...body,
    '  </testsuite>',
    '</testsuites>',
    '',
  ].join('\n');
}

/** A report as commands that GitHub Actions shows beside the job file; one for each thing that does not hold. */
export function githubLines(report: CheckReport, jobFile: string): string[] {
  const title = `scoreline check ${shown(report.job, 100)}`;
  const failed = casesOf(report).filter(({ problem }) => problem !== undefined);
  const place = `file=${property(jobFile)},title=${property(title)}`;
  if (failed.length === 0) return [`::notice ${place}::${message(checkSentence(report))}`];
  return failed.map(({ name, problem, details }) => {
    const text = [`${name}: ${problem ?? ''}`, ...details].join('\n');
    return `::error ${place}::${message(text)}`;
  });
}

function casesOf(report: CheckReport): CheckCase[] {
  const { checked, variants } = report;
  const kinds = ROW_KINDS.filter(([kind]) => checked[kind].rows > 0);
  const uneven = ledgerProblem(report.ledger);
  const rows = [
    ...kinds.map(([kind, words]) => `${plural(checked[kind].rows, 'row')} ${words}`),
    ...(uneven === undefined ? [] : [uneven]),
  ];
  const rowDetails = kinds.flatMap(([kind, words]) =>
    checked[kind].first.map((row) => {
      const why = row.scored ?? row.expected;
      return `${words}: ${rowName(row)}${why === null ? '' : ` (${shown(why, 100)})`}`;
    }),
  );
  return [
    { name: 'rows', problem: rows.length === 0 ? undefined : rows.join('; '), details: rowDetails },
    ...checked.lacking.map((name) => ({
      name: `column ${shown(name, 100)}`,
      problem: 'expected and not published',
      details: [],
    })),
    ...checked.columns.map(({ name, beyond, tolerance, worst }) => ({
      name: `column ${shown(name, 100)}`,
      problem:
        beyond === 0
          ? undefined
          : `${plural(beyond, 'row')} of ${checked.rows.compared} beyond ${toleranceText(tolerance)}`,
      details: worst.map(
        (row) =>
          `${rowName(row)}: ${valueText(row.expected)} expected, ${valueText(row.scored)} given`,
      ),
    })),
    ...variants.map((variant) => ({
      name: `variant ${variant.name}`,
      problem: variant.verdict === 'equal' ? undefined : variantSentence(variant),
      details: variant.note === null ? [] : [variant.note],
    })),
  ];
}

function xml(text: string): string {
  // What XML has no place for is escaped by `shown`, but line ends.
  return text
    .split('\n')
    .map((line) => shown(line, 2000))
    .join('\n')
    .replace(/[\uFFFE\uFFFF]/g, '?')
    .replace(/&/g, '&amp;')
    .replace(/</g, '&lt;')
    .replace(/>/g, '&gt;')
    .replace(/"/g, '&quot;')
    .replace(/\n/g, '&#10;');
}

/** Text of a workflow command: a line end would end it. */
function message(text: string): string {
  return text.replace(/%/g, '%25').replace(/\r/g, '%0D').replace(/\n/g, '%0A');
}

function property(text: string): string {
  return message(text).replace(/:/g, '%3A').replace(/,/g, '%2C');
}
