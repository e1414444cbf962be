/** What a page says of the rows of a run: gates, the ledger, what was set aside. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { type Content, type Html, html } from './html.js';
import type { QualityReport } from './quality-schema.js';
import type { RunReport } from './report.js';
import { percentText, shortNumber } from './words.js';

type Gate = QualityReport['gates'][number];
type Finding = Gate['findings'][number];

const STATUS = {
  pass: '✓ pass',
  warn: '▲ warns',
  fail: '✕ fails',
  skipped: '– skipped',
} as const;

/** Each gate, with what it found worst; all that did not pass below. */
export function gatesSection({ gates, enforced, verdict }: QualityReport): Html {
  if (verdict === 'none' || gates.length === 0)
    return html`<section><h2>Gates</h2><p>${gates.length === 0 ? 'The job sets no gates.' : 'Nothing new was judged.'}</p></section>`;
  const note = enforced
    ? undefined
    : html`<p class="soft">The job sets no gates: these are judged with their defaults, and only warn.</p>`;
  return html`<section><h2>Gates</h2>${note}<div class="wide" tabindex="0"><table><thead><tr><th scope="col">result</th><th scope="col">gate</th><th scope="col">worst column</th><th scope="col" class="n">measured</th><th scope="col" class="n">limit</th><th scope="col">note</th></tr></thead><tbody>${gates.map((gate) => gateRow(gate))}</tbody></table></div>${gates.map(furtherFindings)}</section>`;
}

function gateRow(gate: Gate): Html {
  const { findings, day } = gate;
  const [first] = findings;
  const alarms = alarmsOf(gate).length;
  const notes = [
    first?.reason ?? '',
    day === null ? '' : `on ${day}`,
    alarms > 1 ? `and ${alarms - 1} more` : '',
  ].filter((note) => note !== '');
  return html`<tr><td class="${gate.status}">${STATUS[gate.status]}</td><th scope="row">${gate.gate}</th>${findingCells(gate, first)}<td>${notes.join(', ')}</td></tr>`;
}

function alarmsOf({ findings }: Gate): Finding[] {
  return findings.filter(({ status }) => status === 'fail' || status === 'warn');
}

function findingCells(gate: Gate, finding: Finding | undefined): Content {
  return html`<td>${finding?.column == null ? 'all rows' : shown(finding.column, 60)}</td><td class="n">${valueText(gate, finding?.measured)}</td><td class="n">${valueText(gate, finding?.limit)}</td>`;
}

function valueText({ unit }: Gate, number: Finding['measured'] | undefined): string {
  if (number === null || number === undefined) return '–';
  if (!Number.isFinite(Number(number))) return shortNumber(number);
  if (unit === 'share') return percentText(Number(number));
  return unit === 'rows' ? grouped(Math.round(Number(number))) : shortNumber(number);
}

function furtherFindings(gate: Gate): Content {
  const alarms = alarmsOf(gate);
  if (alarms.length < 2) return undefined;
  return html`<details><summary>${gate.gate}: all ${alarms.length} columns</summary><div class="wide" tabindex="0"><table><thead><tr><th scope="col">result</th><th scope="col">column</th><th scope="col" class="n">measured</th><th scope="col" class="n">limit</th></tr></thead><tbody>${alarms.map((finding) => html`<tr><td class="${finding.status}">${STATUS[finding.status]}</td>${findingCells(gate, finding)}</tr>`)}</tbody></table></div></details>`;
}

/** How many days a page lists. */
const DAYS_SHOWN = 100;

/** Every day that warns or fails, with all of its columns that do; nothing where only one day was judged. */
export function daysSection({ days }: QualityReport): Html | undefined {
  if (days === undefined) return undefined;
  const alarms = days.filter(({ verdict }) => verdict !== 'pass');
  const passed = html`<p>${grouped(days.length - alarms.length)} of ${grouped(days.length)} days pass.</p>`;
  if (alarms.length === 0) return html`<section><h2>Days</h2>${passed}</section>`;
  const more = alarms.length - DAYS_SHOWN;
  const rows = alarms.slice(0, DAYS_SHOWN).map(({ day, verdict, baseline, gates }) => {
    const columns = gates.map((gate) => html`<div>${gate.gate}: ${columnsText(gate)}</div>`);
    return html`<tr><td class="${verdict}">${STATUS[verdict]}</td><th scope="row">${day}</th><td>${columns}</td><td>${baseline === null ? '–' : shown(baseline.label, 120)}</td></tr>`;
  });
  return html`<section><h2>Days</h2>${passed}<div class="wide" tabindex="0"><table><thead><tr><th scope="col">result</th><th scope="col">day</th><th scope="col">gates and columns</th><th scope="col">compared with</th></tr></thead><tbody>${rows}</tbody></table></div>${more > 0 && html`<p class="soft">And ${grouped(more)} more, in report.json.</p>`}</section>`;
}

/** The columns that a gate warns of or fails for, with what it measured. */
function columnsText(gate: Gate): string {
  return gate.findings
    .map(({ column, measured, reason }) => {
      const value = measured === null ? (reason ?? '') : valueText(gate, measured);
      return `${column === null ? 'all rows' : shown(column, 60)} ${value}`;
    })
    .join(', ');
}

/** Where every row went. */
export function ledgerSection({ ledger, units, tasks, failures }: RunReport): Html {
  const { rows, scored, quarantined, filtered } = ledger;
  const cell = (count: number): Html =>
    html`<td class="n">${grouped(count)}</td><td class="n soft">${rows === 0 ? '–' : percentText(count / rows)}</td>`;
  const names = (list: readonly string[]): string =>
    list
      .slice(0, 20)
      .map((unit) => shown(unit === '' ? '.' : unit, 60))
      .join(', ') + (list.length > 20 ? `, … (${list.length})` : '');
  const lines: readonly (readonly [string, readonly string[]])[] = [
    ['Not ready', units.notReady],
    ['No longer in the input, still published', units.vanished],
    ['No longer in the input, dropped', units.pruned],
  ];
  return html`<section><h2>Ledger</h2><div class="wide" tabindex="0"><table class="compact"><thead><tr><th scope="col">rows</th><th scope="col" class="n">number</th><th scope="col" class="n">share</th></tr></thead><tbody><tr><th scope="row">scored</th>${cell(scored)}</tr><tr><th scope="row">set aside</th>${cell(quarantined)}</tr><tr><th scope="row">filtered</th>${cell(filtered)}</tr><tr><th scope="row">all</th>${cell(rows)}</tr></tbody></table></div><p class="soft">Of the tasks, ${grouped(tasks.scored)} scored by this run, ${grouped(tasks.reused)} there already.</p>${lines.map(([what, list]) => list.length > 0 && html`<p>${what}: ${names(list)}</p>`)}${failures.length > 0 && html`<h3 class="fail">Partitions that could not be scored</h3><ul class="plain">${failures.slice(0, 50).map(({ message }) => html`<li>${message}</li>`)}</ul>`}</section>`;
}

/** Rows set aside: how many for which reason, and the first of them. */
export function setAsideSection({ setAside, ledger, lossyCasts }: RunReport): Html | undefined {
  if (ledger.quarantined === 0 && lossyCasts.length === 0) return undefined;
  const { reasons, examples } = setAside;
  const known = reasons.reduce((sum, { rows }) => sum + rows, 0);
  const earlier = ledger.quarantined - known;
  const table =
    reasons.length > 0 &&
    html`<div class="wide" tabindex="0"><table class="compact"><thead><tr><th scope="col">reason</th><th scope="col" class="n">rows</th></tr></thead><tbody>${reasons.map(({ reason, rows }) => html`<tr><th scope="row"><code>${shown(reason, 60)}</code></th><td class="n">${grouped(rows)}</td></tr>`)}</tbody></table></div>`;
  const casts =
    lossyCasts.length > 0 &&
    html`<h3>Values that a cast changed</h3><ul class="plain">${lossyCasts.map(({ column, values }) => html`<li>${shown(column, 60)}: ${grouped(values)}</li>`)}</ul>`;
  return html`<section><h2>Rows set aside</h2>${ledger.quarantined > 0 && html`<p>${grouped(ledger.quarantined)} rows stand in <code>quarantine/</code>, each with its place and reason.${earlier > 0 && html` ${grouped(earlier)} of them were set aside by earlier runs.`}</p>`}${table}${examples.length > 0 && html`<h3>The first of them</h3><ul class="plain">${examples.map((example) => html`<li>${shown(example, 300)}</li>`)}</ul>`}${casts}</section>`;
}
