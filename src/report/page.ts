/** The page on a run, `report.html`: one file that needs no script and no network. Pure. */

import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { sha256Base64 } from '../base/hash.js';
import { type Content, type Html, html } from './html.js';
import { distributionsSection, featuresSection } from './page-columns.js';
import { daysSection, gatesSection, ledgerSection, setAsideSection } from './page-judged.js';
import { provenanceSection, type TaskEvent, timeSection } from './page-run.js';
import { whySection } from './page-why.js';
import { dayWords, type QualityReport } from './quality-schema.js';
import { plural, type RunReport } from './report.js';
import { STYLE } from './style.js';
import { changeText, durationText, shortNumber } from './words.js';

/** What a page is made of. */
export interface PageInput {
  readonly run: RunReport;
  readonly quality: QualityReport;
  /** The tasks that the run scored, in the order of their ends. */
  readonly tasks: readonly TaskEvent[];
}

/** The page on a run. */
export function runPage(input: PageInput): string {
  const { run, quality } = input;
  const title = `${shown(run.job, 100)}: run ${run.runId}`;
  return pageText(title, [
    heading(input),
    html`<main>${[
      gatesSection(quality),
      daysSection(quality),
      ledgerSection(run),
      distributionsSection(quality),
      featuresSection(quality),
      whySection(quality),
      flipsSection(quality),
      setAsideSection(run),
      timeSection(input),
      provenanceSection(run),
    ]}</main>`,
    html`<footer>Made by scoreline ${run.receipt.versions.scoreline}. This page holds all that it shows: it loads nothing and runs nothing.</footer>`,
  ]);
}

/** A whole page; a policy in it keeps browsers from loading or running anything, whatever the page says. */
export function pageText(title: string, body: Content): string {
  const policy = `default-src 'none'; style-src 'sha256-${sha256Base64(STYLE)}'; base-uri 'none'; form-action 'none'`;
  const style = `<style>${STYLE}</style>`;
  const page = html`<title>${title}</title></head><body>${body}</body></html>`;
  const meta = html`<meta http-equiv="Content-Security-Policy" content="${policy}">`;
  return `<!doctype html>\n<html lang="en"><head><meta charset="utf-8">${meta.text}<meta name="viewport" content="width=device-width,initial-scale=1"><meta name="color-scheme" content="light dark">${style}${page.text}\n`;
}

const VERDICTS = {
  pass: ['✓', 'gates passed'],
  warn: ['▲', 'gates warn'],
  fail: ['✕', 'gates failed'],
  none: ['–', 'nothing judged'],
} as const;

const OUTCOMES: Readonly<Record<RunReport['outcome'], string>> = {
  published: 'published',
  partial: 'published in part',
  unchanged: 'nothing to do',
  scored: 'a share scored',
  staged: 'staged, not published',
  failed: 'failed',
};

function heading({ run, quality }: PageInput): Html {
  const [sign, words] = VERDICTS[quality.verdict];
  const { baseline, reason } = quality;
  const against =
    baseline === null
      ? html`Not compared: ${reason ?? 'nothing new was judged'}.`
      : html`Compared with ${shown(baseline.label, 120)} (${grouped(baseline.rows)} rows).`;
  const day = dayWords(quality);
  const snapshot = run.snapshot === null ? undefined : `snapshot ${run.snapshot}`;
  return html`<header><h1>${shown(run.job, 100)} · ${OUTCOMES[run.outcome]}</h1><p class="lead">${day !== undefined && html`<b>${day}.</b> `}${sentenceOf(quality)}</p><p><span class="badge ${quality.verdict}">${sign} ${words}</span> <span class="soft">${against}</span></p>${
    run.error !== null &&
    html`<p class="fail">${run.error.split('\n').map((line) => html`${line}<br>`)}</p>`
  }${quality.because !== null && html`<p><b>Published because:</b> ${shown(quality.because, 500)}</p>`}<ul class="facts"><li>${plural(run.ledger.rows, 'row')}</li><li>${plural(run.units.planned, 'partition')}</li><li>${durationText(run.times.wall)}</li><li>${run.receipt.started.slice(0, 19).replace('T', ' ')} UTC</li>${snapshot !== undefined && html`<li>${snapshot}</li>`}<li><code>${run.runId}</code></li></ul></header>`;
}

/** What a person wants to know first: how the predictions moved. */
function sentenceOf({ columns, baseline, judged, explanation }: QualityReport): string {
  if (explanation?.sentence != null) return explanation.sentence;
  if (judged === null) return 'Nothing new was judged.';
  const outputs = columns.filter(({ role }) => role === 'output');
  if (baseline === null)
    return `First scores: ${grouped(judged.rows)} rows, nothing to compare with.`;
  const said = outputs.flatMap(({ name, current, baseline: before, change }) => {
    if (current.kind !== 'numeric' || before?.kind !== 'numeric') return [];
    if (current.mean === null || before.mean === null || !change?.mean) return [];
    const by = Number(change.mean.change);
    if (change.mean.p >= 0.001)
      return [`Mean ${shown(name, 60)} did not move (${shortNumber(current.mean)}).`];
    const verb = by > 0 ? 'rose' : 'fell';
    const how = changeText(shortNumber(before.mean), shortNumber(current.mean));
    return [`Mean ${shown(name, 60)} ${verb} by ${shortNumber(Math.abs(by))} (${how}).`];
  });
  if (said.length > 0) return said.slice(0, 3).join(' ');
  const most = outputs
    .map(({ name, change }) => ({ name, psi: Number(change?.psi ?? 0) }))
    .sort((a, b) => b.psi - a.psi)[0];
  return most === undefined
    ? 'The predictions cannot be compared.'
    : `The distribution of ${shown(most.name, 60)} moved by a population stability index of ${shortNumber(most.psi)}.`;
}

function flipsSection({ flips }: QualityReport): Html | undefined {
  if (flips === null) return undefined;
  const { keys, columns, absent } = flips;
  const rows = columns.map(
    ({ name, changed, sum, finite, largest, kind }) =>
      html`<tr><th scope="row">${shown(name, 60)}</th><td class="n">${grouped(changed)}</td><td class="n">${kind === 'number' && finite > 0 ? shortNumber(Number(sum) / finite) : '–'}</td><td class="n">${kind === 'number' ? shortNumber(largest) : '–'}</td></tr>`,
  );
  const details = columns.flatMap(({ name, pairs, movers }) => [
    pairs.length > 0 &&
      html`<h3>${shown(name, 60)}: from one label to another</h3><div class="wide" tabindex="0"><table class="compact"><thead><tr><th scope="col">before</th><th scope="col">now</th><th scope="col" class="n">keys</th></tr></thead><tbody>${pairs.map((pair) => html`<tr><td>${valueText(pair.before)}</td><td>${valueText(pair.now)}</td><td class="n">${grouped(pair.keys)}</td></tr>`)}</tbody></table></div>`,
    movers.length > 0 &&
      html`<details><summary>${shown(name, 60)}: keys that ${pairs.length > 0 ? 'changed' : 'moved most'}</summary><div class="wide" tabindex="0"><table class="compact"><thead><tr><th scope="col">key</th><th scope="col">before</th><th scope="col">now</th></tr></thead><tbody>${movers.map((mover) => html`<tr><td>${valueText(mover.key)}</td><td>${valueText(mover.before)}</td><td>${valueText(mover.now)}</td></tr>`)}</tbody></table></div></details>`,
  ]);
  return html`<section><h2>The same keys, before and now</h2><p>${grouped(keys.both)} keys on both sides, ${grouped(keys.now)} new, ${grouped(keys.before)} gone.${absent.length > 0 && html` Not compared, because one side lacks them: ${absent.map((name) => shown(name, 60)).join(', ')}.`}</p><div class="wide" tabindex="0"><table><thead><tr><th scope="col">prediction</th><th scope="col" class="n">keys that changed</th><th scope="col" class="n">mean change</th><th scope="col" class="n">largest</th></tr></thead><tbody>${rows}</tbody></table></div>${details}</section>`;
}

function valueText(value: string | null): Content {
  return value === null ? html`<span class="soft">null</span>` : shown(value, 60);
}
