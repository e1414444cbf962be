/** The page on a check: one file that needs no script and no network. Pure. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import type { CheckedColumn, CheckedRows } from '../stats/checked.js';
import { toleranceText } from '../stats/tolerance.js';
import {
  type CheckedVariant,
  type CheckReport,
  castSentence,
  checkSentence,
  ledgerProblem,
  ROW_KINDS,
  rowName,
  valueText,
  variantSentence,
} from './check.js';
import { type Content, type Html, html } from './html.js';
import { pageText } from './page.js';
import { plural } from './report.js';
import { percentText, shortNumber } from './words.js';

/** The page on a check. */
export function checkPage(report: CheckReport): string {
  const { job, verdict, checked, since, expected } = report;
  const equal = verdict === 'equal';
  const changes =
    since !== null &&
    html`<p class="soft">Since it was recorded: ${since.length === 0 ? 'nothing has changed' : since.join(', ')}.</p>`;
  return pageText(`${shown(job, 100)}: check`, [
    html`<header><h1>${shown(job, 100)} · check</h1><p class="lead">${checkSentence(report)}</p><p><span class="badge ${equal ? 'pass' : 'fail'}">${equal ? '✓ as expected' : '✕ different'}</span> <span class="soft">Compared with ${shown(expected)}.</span></p>${changes}</header>`,
    html`<main>${[
      columnsSection(report),
      rowsSection(report),
      ...checked.columns.map(worstSection),
      castsSection(report),
      variantsSection(report.variants),
    ]}</main>`,
    html`<footer>Made by scoreline check. This page holds all that it shows: it loads nothing and runs nothing.</footer>`,
  ]);
}

/** A table that a narrow screen scrolls; columns whose head begins with # hold numbers. */
function tableOf(heads: readonly string[], rows: readonly (readonly Content[])[]): Html {
  const isNumber = heads.map((head) => head.startsWith('#'));
  const head = heads.map(
    (text, i) =>
      html`<th scope="col" class="${isNumber[i] === true ? 'n' : ''}">${text.replace('#', '')}</th>`,
  );
  const body = rows.map(
    (cells) =>
      html`<tr>${cells.map((cell, i) =>
        i === 0
          ? html`<th scope="row">${cell}</th>`
          : html`<td class="${isNumber[i] === true ? 'n' : ''}">${cell}</td>`,
      )}</tr>`,
  );
  return html`<div class="wide" tabindex="0"><table><thead><tr>${head}</tr></thead><tbody>${body}</tbody></table></div>`;
}

function columnsSection({ checked }: CheckReport): Html {
  const { columns, rows, lacking, notExpected } = checked;
  const heads = [
    ...['column', 'result', 'tolerance', '#differ', '#beyond it', '#share of rows'],
    ...['#largest', '#relative', '#ulp', '#mean change'],
  ];
  const cells = columns.map(({ name, tolerance, differ, beyond, largest, meanChange }) => [
    shown(name, 60),
    verdictOf(beyond === 0),
    toleranceText(tolerance),
    grouped(differ),
    grouped(beyond),
    rows.compared === 0 ? '–' : percentText(beyond / rows.compared),
    shortNumber(largest?.absolute),
    shortNumber(largest?.relative),
    shortNumber(largest?.ulp),
    shortNumber(meanChange),
  ]);
  const names = (list: readonly string[]): string => list.map((name) => shown(name, 60)).join(', ');
  return html`<section><h2>Columns</h2><p class="soft">${grouped(rows.compared)} rows are scored on both sides and compared.</p>${tableOf(heads, cells)}${lacking.length > 0 && html`<p class="fail">Expected and not published: ${names(lacking)}.</p>`}${notExpected.length > 0 && html`<p class="soft">Not among the expected columns, so not compared: ${names(notExpected)}.</p>`}</section>`;
}

function verdictOf(good: boolean): Html {
  return good ? html`<span class="pass">✓ equal</span>` : html`<span class="fail">✕ differs</span>`;
}

function rowsSection(report: CheckReport): Html {
  const { checked, ledger } = report;
  const problem = ledgerProblem(ledger);
  const kinds = ROW_KINDS.map(([kind, words]): [string, CheckedRows] => [words, checked[kind]]);
  const cells = [
    ['expected', grouped(checked.rows.expected), ''],
    ['given', grouped(checked.rows.scored), ''],
    ...kinds.map(([words, { rows, first }]) => [
      words,
      grouped(rows),
      first
        .slice(0, 5)
        .map((row) => {
          const why = row.scored ?? row.expected;
          return `${rowName(row)}${why === null ? '' : ` (${shown(why, 60)})`}`;
        })
        .join(', '),
    ]),
  ];
  return html`<section><h2>Rows</h2>${problem !== undefined && html`<p class="fail">${problem}</p>`}${tableOf(['rows', '#number', 'the first of them'], cells)}</section>`;
}

function worstSection({ name, beyond, worst, pairs, kind }: CheckedColumn): Html | undefined {
  if (beyond === 0) return undefined;
  const title = `${shown(name, 60)}: ${kind === 'text' ? 'what changed' : 'the rows that differ most'}`;
  const flips =
    pairs.length > 0 &&
    tableOf(
      ['expected', 'given', '#rows'],
      pairs.map((pair) => [valueText(pair.expected), valueText(pair.scored), grouped(pair.rows)]),
    );
  const isNumber = kind !== 'text';
  const heads = isNumber
    ? ['row', '#expected', '#given', '#difference']
    : ['row', 'expected', 'given'];
  const rows = tableOf(
    heads,
    worst.map((row) => {
      const [expected, scored] = [row.expected, row.scored].map((text) =>
        text === null ? Number.NaN : Number(text),
      );
      const difference = isNumber ? [shortNumber(scored! - expected!)] : [];
      return [rowName(row), valueText(row.expected), valueText(row.scored), ...difference];
    }),
  );
  return html`<section><h2>${title}</h2>${flips}${rows}</section>`;
}

function castsSection({ checked: { casts } }: CheckReport): Html | undefined {
  if (casts.length === 0) return undefined;
  return html`<section><h2>Casts</h2><p>The model takes floats that not every value of these columns fits. Where rows that differ are mostly such rows, training may have seen more digits than the model does.</p><ul class="plain">${casts.map((cast) => html`<li>${castSentence(cast)}</li>`)}</ul></section>`;
}

function variantsSection(variants: readonly CheckedVariant[]): Html | undefined {
  if (variants.length === 0) return undefined;
  const cells = variants.map((variant) => [
    variant.name,
    verdictOf(variant.verdict === 'equal'),
    [variantSentence(variant), ...(variant.note === null ? [] : [`; ${variant.note}`])],
  ]);
  return html`<section><h2>Variants</h2><p>The same rows, scored in ${plural(variants.length, 'way')} that must not change what a row gets.</p>${tableOf(['variant', 'result', 'what differs'], cells)}</section>`;
}
