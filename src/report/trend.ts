/** The page on all runs of an output: how each metric went, run after run. Pure. */
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { type TrendPoint, trendChart } from './charts.js';
import { type Content, type Html, html } from './html.js';
import { pageText } from './page.js';
import type { QualityReport } from './quality-schema.js';
import { durationText, percentText, shortNumber } from './words.js';

/** A run, or what a person did, as the page tells of it. */
export interface TrendRun {
  readonly runId: string;
  /** ISO 8601, UTC. */
  readonly at: string;
  readonly command: string;
  readonly verdict: string;
  readonly rows: number | null;
  readonly wallMs: number | null;
  readonly snapshot: number | null;
  /** Undefined where it left none, or none that can be read. */
  readonly quality: QualityReport | undefined;
  /** Whether it has a page of its own, beside this one. */
  readonly hasPage: boolean;
}

/** A metric over the runs that have it. */
interface Metric {
  readonly name: string;
  readonly unit: 'share' | 'number' | 'rows' | 'ms';
  readonly points: TrendPoint[];
  limit: number | undefined;
}

/** The page on some runs, the oldest first. */
export function trendPage(name: string, runs: readonly TrendRun[]): string {
  const judged = runs.filter(({ quality }) => quality !== undefined && quality.judged !== null);
  const metrics = metricsOf(judged);
  return pageText(`${shown(name, 100)}: all runs`, [
    html`<header><h1>${shown(name, 100)} · all runs</h1><p class="lead">${leadOf(runs)}</p></header>`,
    html`<main><section><h2>Trends</h2>${
      metrics.length === 0
        ? html`<p>No run has been judged yet.</p>`
        : html`<p class="soft">One point for each run that published or staged something new, the oldest first; each leads to its page. The dashed line is the limit that fails.</p><div class="charts">${metrics.map(metricFigure)}</div>`
    }</section>${tableSection(runs)}</main>`,
    html`<footer>This page holds all that it shows: it loads nothing and runs nothing.</footer>`,
  ]);
}

function leadOf(runs: readonly TrendRun[]): string {
  const last = runs.at(-1);
  if (last === undefined) return 'No run yet.';
  const failed = runs.filter(({ verdict }) => verdict === 'failed' || verdict === 'staged').length;
  const trouble = failed === 0 ? 'none failed' : `${failed} failed or staged`;
  return `${grouped(runs.length)} runs and acts, ${trouble}; the last one, of ${last.at.slice(0, 10)}: ${shown(last.verdict, 30)}.`;
}

function metricsOf(runs: readonly TrendRun[]): Metric[] {
  const metrics = new Map<string, Metric>();
  runs.forEach((run, index) => {
    const { quality } = run;
    if (quality === undefined) return;
    const add = (
      name: string,
      of: Pick<Metric, 'unit'> & { readonly value: unknown; readonly status?: string },
      limit?: unknown,
    ): void => {
      const value = Number(of.value);
      if (of.value === null || of.value === undefined || !Number.isFinite(value)) return;
      const metric = metrics.get(name) ?? { name, unit: of.unit, points: [], limit: undefined };
      metrics.set(name, metric);
      const said = `${run.at.slice(0, 16).replace('T', ' ')}: ${valueText(metric, value)}`;
      const href = run.hasPage ? `${run.runId}/report.html` : undefined;
      metric.points.push({ index, value, status: of.status ?? 'pass', title: said, href });
      if (typeof limit === 'number') metric.limit = limit;
    };
    add('rows', { unit: 'rows', value: quality.judged?.rows });
    add('seconds', { unit: 'ms', value: run.wallMs });
    const { rows, quarantined } = quality.ledger;
    add('share set aside', { unit: 'share', value: rows === 0 ? null : quarantined / rows });
    for (const { name, role, current } of quality.columns)
      if (role === 'output' && current.kind === 'numeric')
        add(`mean of ${shown(name, 60)}`, { unit: 'number', value: current.mean });
    for (const { gate, unit, findings } of quality.gates) {
      const measured = findings.filter((finding) => finding.measured !== null);
      const [worst] = measured.toSorted((a, b) => Number(b.measured) - Number(a.measured));
      add(
        gate,
        { unit, value: worst?.measured, status: findings[0]?.status ?? 'pass' },
        worst?.limit,
      );
    }
  });
  return [...metrics.values()];
}

function valueText({ unit }: Pick<Metric, 'unit'>, value: number): string {
  if (unit === 'share') return percentText(value);
  if (unit === 'ms') return durationText(value);
  return unit === 'rows' ? grouped(value) : shortNumber(value);
}

function metricFigure(metric: Metric): Html {
  const { name, points, limit, unit } = metric;
  const last = points.at(-1)!;
  const head = html`<figcaption><b>${name}</b>: ${valueText(metric, last.value)} in the last run${limit !== undefined && `, limit ${valueText(metric, limit)}`}</figcaption>`;
  const tick = (value: number): string =>
    unit === 'ms'
      ? shortNumber(value / 1000)
      : unit === 'share'
        ? percentText(value)
        : shortNumber(value);
  return html`<figure>${head}${trendChart({ points, limit, label: `${name} of ${points.length} runs`, tick })}</figure>`;
}

/** More are not listed: the terminal has them all. */
const RUNS_LISTED = 500;

function tableSection(runs: readonly TrendRun[]): Html {
  const rows = runs
    .toReversed()
    .slice(0, RUNS_LISTED)
    .map((run): Content => {
      const id = run.hasPage
        ? html`<a href="${run.runId}/report.html"><code>${run.runId}</code></a>`
        : html`<code>${run.runId}</code>`;
      const gates = run.quality?.verdict ?? 'none';
      return html`<tr><td>${run.at.slice(0, 19).replace('T', ' ')}</td><th scope="row">${id}</th><td>${shown(run.command, 20)}</td><td>${shown(run.verdict, 30)}</td><td class="${gates}">${gates === 'none' ? '–' : gates}</td><td class="n">${run.rows === null ? '–' : grouped(run.rows)}</td><td class="n">${run.wallMs === null ? '–' : durationText(run.wallMs)}</td><td class="n">${run.snapshot ?? '–'}</td></tr>`;
    });
  return html`<section><h2>Runs</h2><div class="wide" tabindex="0"><table class="many"><thead><tr><th scope="col">when (UTC)</th><th scope="col">run</th><th scope="col">what</th><th scope="col">outcome</th><th scope="col">gates</th><th scope="col" class="n">rows</th><th scope="col" class="n">time</th><th scope="col" class="n">snapshot</th></tr></thead><tbody>${rows}</tbody></table></div></section>`;
}
