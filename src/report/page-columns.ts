/** The columns of a page: how predictions and features are spread, now and in the baseline. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { SURE } from '../stats/gate-settings.js';
import { cumulativeChart, histogramChart, smallBars, smallHistogram } from './charts.js';
import { type Content, type Html, html } from './html.js';
import { chanceOf, type QualityReport } from './quality-schema.js';
import { changeText, dayTitle, percentText, shortNumber } from './words.js';

type Column = QualityReport['columns'][number];

const KEY = html`<span class="key b"></span>now`;
const KEYS = html`<span class="key a"></span>baseline${KEY}`;

/** Predictions: histograms with axes, quantiles, and the most frequent labels. */
export function distributionsSection(quality: QualityReport): Html | undefined {
  const { columns, baseline } = quality;
  const outputs = columns.filter(({ role }) => role === 'output');
  if (outputs.length === 0) return undefined;
  return html`<section><h2>${dayTitle('Predictions', quality)}</h2><p class="soft">Shares of rows:${baseline === null ? KEY : KEYS}</p>${outputs.map(distribution)}</section>`;
}

function distribution(column: Column): Html {
  const name = shown(column.name, 60);
  const { histogram } = column;
  const charts =
    histogram === null
      ? undefined
      : html`<div class="charts"><figure><figcaption>Histogram${outsideText(histogram)}</figcaption>${histogramChart(histogram, name)}</figure><figure><figcaption>Share of rows below each value</figcaption>${cumulativeChart(histogram, name)}</figure></div>`;
  return html`<h3>${name}</h3>${charts}${quantilesTable(column)}${categoriesTable(column)}`;
}

function outsideText({ current }: NonNullable<Column['histogram']>): string {
  const outside = current.below + current.above;
  if (outside === 0) return '';
  const rows = current.counts.reduce((sum, count) => sum + count, outside);
  return `; ${percentText(outside / rows)} of the rows lie outside`;
}

function quantilesTable({ current, baseline, name }: Column): Html | undefined {
  if (current.kind !== 'numeric' || current.mean === null) return undefined;
  const before = baseline?.kind === 'numeric' ? baseline : undefined;
  const heads = [
    'rows',
    'missing',
    'min',
    ...current.quantiles.map(({ share }) => percentText(share)),
    'max',
    'mean',
  ];
  const cells = (of: typeof current): string[] => [
    grouped(of.rows),
    grouped(of.missing),
    ...[of.min, ...of.quantiles.map(({ value }) => value), of.max, of.mean].map(shortNumber),
  ];
  const row = (side: string, of: typeof current): Html =>
    html`<tr><th scope="row">${side}</th>${cells(of).map((cell) => html`<td class="n">${cell}</td>`)}</tr>`;
  return html`<div class="wide" tabindex="0"><table class="many"><caption>Quantiles of ${shown(name, 60)}</caption><thead><tr><th scope="col">side</th>${heads.map((head) => html`<th scope="col" class="n">${head}</th>`)}</tr></thead><tbody>${before && row('baseline', before)}${row('now', current)}</tbody></table></div>`;
}

function categoriesTable({ current, change, name }: Column): Html | undefined {
  if (current.kind !== 'category') return undefined;
  const bins = change?.bins ?? [];
  if (bins.length === 0) {
    return html`<div class="wide" tabindex="0"><table class="compact"><caption>The most frequent values of ${shown(name, 60)}</caption><thead><tr><th scope="col">value</th><th scope="col" class="n">rows</th></tr></thead><tbody>${current.top.map(({ text, count }) => html`<tr><td>${shown(text, 60)}</td><td class="n">${grouped(count)}</td></tr>`)}</tbody></table></div>`;
  }
  const total = (of: (bin: (typeof bins)[number]) => number): number =>
    bins.reduce((sum, bin) => sum + of(bin), 0) || 1;
  const [before, now] = [total((bin) => bin.baseline), total((bin) => bin.current)];
  return html`<div class="wide" tabindex="0"><table class="compact"><caption>Shares of ${shown(name, 60)}</caption><thead><tr><th scope="col">value</th><th scope="col" class="n">baseline</th><th scope="col" class="n">now</th></tr></thead><tbody>${bins
    .toSorted((a, b) => b.current - a.current)
    .slice(0, 30)
    .map(
      (bin) =>
        html`<tr><td>${bin.text === null ? html`<span class="soft">all others</span>` : shown(bin.text, 60)}</td><td class="n">${percentText(bin.baseline / before)}</td><td class="n">${percentText(bin.current / now)}</td></tr>`,
    )}</tbody></table></div>`;
}

/** Features and kept columns: those that moved most first, each in one row. */
export function featuresSection(quality: QualityReport): Html | undefined {
  const { columns, baseline } = quality;
  const others = columns.filter(({ role }) => role !== 'output');
  if (others.length === 0) return undefined;
  const sorted = others.toSorted(
    (a, b) => Number(a.ignored) - Number(b.ignored) || psiOf(b) - psiOf(a),
  );
  const note =
    baseline === null
      ? html`<p class="soft">Shares of rows:${KEY}</p>`
      : html`<p class="soft">Those that moved most first; shares of rows:${KEYS}</p>`;
  return html`<section><h2>${dayTitle('Features', quality)}</h2>${note}<div class="wide" tabindex="0"><table class="many"><thead><tr><th scope="col">column</th><th scope="col">distribution</th><th scope="col" class="n">PSI</th><th scope="col" class="n">mean</th><th scope="col" class="n">missing</th><th scope="col">note</th></tr></thead><tbody>${sorted.map(featureRow)}</tbody></table></div></section>`;
}

function psiOf({ change }: Column): number {
  return change === null ? -1 : Number(change.psi ?? 0);
}

function featureRow(column: Column): Html {
  const { name, role, current, baseline, change } = column;
  const before = baseline?.kind === 'numeric' ? shortNumber(baseline.mean) : undefined;
  const mean = current.kind === 'numeric' ? changeText(before, shortNumber(current.mean)) : '–';
  const missing = changeText(baseline === null ? undefined : shareOf(baseline), shareOf(current));
  return html`<tr><th scope="row">${shown(name, 60)}${role === 'kept' && html` <span class="soft">kept</span>`}</th><td>${chartOf(column)}</td><td class="n">${change === null ? '–' : shortNumber(change.psi)}</td><td class="n">${mean}</td><td class="n">${missing}</td><td>${noteOf(column)}</td></tr>`;
}

function shareOf({ missing, rows }: Column['current']): string {
  return rows === 0 ? '–' : percentText(missing / rows);
}

function chartOf({ histogram, change, current }: Column): Content {
  if (histogram !== null) return smallHistogram(histogram);
  if (change !== null && change.bins.length > 0) return smallBars(change.bins.slice(0, 24));
  return current.kind === 'category'
    ? smallBars(current.top.map(({ count }) => ({ baseline: 0, current: count })))
    : undefined;
}

function noteOf({ ignored, change }: Column): string {
  if (ignored) return 'names partitions, or holds lists: not judged';
  if (change === null) return '';
  const notes: string[] = [];
  const isSure = chanceOf(change) < SURE || (change.missing?.p ?? 1) < SURE;
  if (!isSure && Number(change.psi ?? 0) > 0) notes.push('could be chance');
  const say = ({ count, first }: typeof change.added, what: string): void => {
    if (count === 0) return;
    const names = first.slice(0, 3).map(({ text }) => shown(text, 30));
    notes.push(`${grouped(count)} ${what}: ${names.join(', ')}${count > 3 ? ', …' : ''}`);
  };
  say(change.added, 'new');
  say(change.vanished, 'gone');
  return notes.join('; ');
}
