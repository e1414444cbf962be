/** Why scores moved, as a page says it. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { waterfallChart } from './charts.js';
import type { Explanation } from './explanation-schema.js';
import { type Content, type Html, html } from './html.js';
import type { QualityReport } from './quality-schema.js';
import { changeText, dayTitle, percentText, shortNumber } from './words.js';

type Change = Explanation['changes'][number];

/** How many changes are told of one by one: those that matter most. */
const CHANGES_SHOWN = 6;
/** How many rows a table of segments or features has. */
const ROWS_SHOWN = 12;

/** The explanation, where there is one; why there is none, where it was looked for. */
export function whySection(quality: QualityReport): Html | undefined {
  const { explanation } = quality;
  if (explanation === null) return undefined;
  const { reason, changes, sentence, notes, sampled } = explanation;
  const title = dayTitle('Why', quality);
  if (reason !== null)
    return html`<section><h2>${title}</h2><p>Not explained: ${shown(reason, 300)}.</p></section>`;
  const from =
    sampled !== null &&
    html`<p class="soft">From samples of ${grouped(sampled.before)} rows of the baseline and ${grouped(sampled.now)} rows of now, scored by the models of both. What the model did with other rows, or another model with these: not what caused them.</p>`;
  return html`<section><h2>${title}</h2>${
    changes.length === 0 && html`<p>${sentence ?? ''}</p>`
  }${changes.slice(0, CHANGES_SHOWN).map(changeBlock)}${from}${notes.map((note) => html`<p class="soft">${shown(note, 300)}</p>`)}</section>`;
}

function changeBlock(change: Change): Html {
  const { sentence, before, now, parts, verdict } = change;
  const steps = parts.flatMap(({ name, change: own }) =>
    own === null || own === 0 ? [] : [{ name: shown(name, 36), change: own }],
  );
  const isDrawn = before !== null && now !== null && steps.length > 0;
  const chart =
    isDrawn &&
    (verdict === 'moved' || verdict === 'offset') &&
    html`<figure>${waterfallChart({ before, now, parts: steps, label: sentence })}</figure>`;
  return html`<h3>${sentence}</h3>${chart}${featuresTable(change)}${keysText(change)}${segmentsTable(change)}`;
}

function withError(change: number | null, error: number | null): string {
  if (change === null) return '–';
  const sign = change < 0 ? '−' : '+';
  const spread = error === null ? '' : ` ± ${shortNumber(error)}`;
  return `${sign}${shortNumber(Math.abs(change))}${spread}`;
}

function featuresTable({ features, model, rows, verdict }: Change): Content {
  if (verdict === 'nothing' || features.length === 0) return undefined;
  const line = (name: Content, of: { change: number | null; error: number | null }): Html =>
    html`<tr><th scope="row">${name}</th><td class="n">${withError(of.change, of.error)}</td></tr>`;
  const named = features
    .slice(0, ROWS_SHOWN)
    .map((feature) => line(feature.features.map((name) => shown(name, 40)).join(' and '), feature));
  return html`<details><summary>All parts, with their standard errors</summary><table class="compact"><thead><tr><th scope="col">part</th><th scope="col" class="n">adds</th></tr></thead><tbody>${line('the model', model)}${line('the rows, all features together', rows)}${named}</tbody></table></details>`;
}

function keysText({ keys, change }: Change): Content {
  if (keys === null || change === null || change === 0) return undefined;
  const of = (name: string, part: { share: number; change: number | null }): string =>
    `${name}, ${percentText(part.share)} of the rows: ${withError(part.change, null)}`;
  if (keys.came.share === 0 && keys.went.share === 0) return undefined;
  return html`<p>By key: ${of('new ones', keys.came)}; ${of('those that are gone', keys.went)}; ${of('those that stayed', keys.changed)}.</p>`;
}

function segmentsTable({ segments, verdict }: Change): Content {
  if (verdict === 'nothing' || segments.length === 0) return undefined;
  return html`<details><summary>Where it is: by category of kept columns</summary><div class="wide" tabindex="0"><table><thead><tr><th scope="col">column</th><th scope="col">category</th><th scope="col" class="n">share of rows</th><th scope="col" class="n">mean</th><th scope="col" class="n">adds</th></tr></thead><tbody>${segments.slice(0, ROWS_SHOWN).map((segment) => html`<tr><td>${shown(segment.column, 40)}</td><td>${segment.category === null ? html`<span class="soft">null</span>` : shown(segment.category, 40)}</td><td class="n">${changeText(percentText(segment.before), percentText(segment.now))}</td><td class="n">${changeText(shortNumber(segment.meanBefore), shortNumber(segment.meanNow))}</td><td class="n">${withError(segment.change, segment.error)}</td></tr>`)}</tbody></table></div></details>`;
}
