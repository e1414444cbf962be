/** Charts as SVG: pure text, coloured by the style sheet of the page, readable without it. */
import { scaleLinear } from 'd3-scale';
import { area, curveStepAfter, line } from 'd3-shape';
import { type Content, type Html, html } from './html.js';
import type { QualityReport } from './quality-schema.js';
import { percentText, shortNumber } from './words.js';

/** A histogram as the report has it. */
export type ReportHistogram = NonNullable<QualityReport['columns'][number]['histogram']>;

type Side = ReportHistogram['current'];
type Point = readonly [x: number, y: number];

/** The space around a plot, for its axes. */
const MARGIN = { top: 8, right: 8, bottom: 34, left: 44 };
const WIDTH = 460;
const HEIGHT = 220;

/** How many rows of a side are in a histogram, those outside of its edges included. */
function rowsOf({ counts, below, above }: Side): number {
  return counts.reduce((sum, count) => sum + count, below + above);
}

/** The shares of a side as steps, from the first edge to the last. */
function stepsOf(side: Side, edges: readonly number[]): Point[] {
  const rows = rowsOf(side) || 1;
  const shares = side.counts.map((count, i): Point => [edges[i]!, count / rows]);
  return [...shares, [edges.at(-1)!, shares.at(-1)?.[1] ?? 0]];
}

/** The share of a side that lies below each edge. */
function cumulativeOf(side: Side, edges: readonly number[]): Point[] {
  const rows = rowsOf(side) || 1;
  let seen = side.below;
  return edges.map((edge, i): Point => {
    if (i > 0) seen += side.counts[i - 1]!;
    return [edge, seen / rows];
  });
}

interface Plot {
  readonly label: string;
  readonly what: string;
  readonly sides: readonly (readonly [name: 'then' | 'now', points: readonly Point[]])[];
  readonly most: number;
  readonly isStep: boolean;
}

function plot({ label, what, sides, most, isStep }: Plot): Html {
  const all = sides.flatMap(([, points]) => points.map(([at]) => at));
  const x = scaleLinear([Math.min(...all), Math.max(...all)], [MARGIN.left, WIDTH - MARGIN.right]);
  const y = scaleLinear([0, most || 1], [HEIGHT - MARGIN.bottom, MARGIN.top]);
  const floor = y(0);
  const shape = (points: readonly Point[]): string =>
    isStep
      ? (area<Point>()
          .x(([at]) => x(at))
          .y0(floor)
          .y1(([, share]) => y(share))
          .curve(curveStepAfter)
          .digits(1)(points) ?? '')
      : (line<Point>()
          .x(([at]) => x(at))
          .y(([, share]) => y(share))
          .digits(1)(points) ?? '');
  return html`<svg viewBox="0 0 ${WIDTH} ${HEIGHT}" role="img" aria-label="${label}">${y
    .ticks(4)
    .map(
      (tick) =>
        html`<line class="axis" x1="${MARGIN.left}" x2="${WIDTH - MARGIN.right}" y1="${y(tick)}" y2="${y(tick)}"/><text x="${MARGIN.left - 6}" y="${y(tick) + 4}" text-anchor="end">${percentText(tick)}</text>`,
    )}${x
    .ticks(6)
    .map(
      (tick) =>
        html`<text x="${x(tick)}" y="${floor + 16}" text-anchor="middle">${shortNumber(tick)}</text>`,
    )}<text x="${(MARGIN.left + WIDTH) / 2}" y="${HEIGHT - 3}" text-anchor="middle">${what}</text>${sides.map(
    ([name, points]) => html`<path class="${name}${isStep ? '' : ' line'}" d="${shape(points)}"/>`,
  )}</svg>`;
}

function sidesOf(
  { edges, current, baseline }: ReportHistogram,
  points: (side: Side, edges: readonly number[]) => Point[],
): Plot['sides'] {
  const now = ['now', points(current, edges)] as const;
  return baseline === null ? [now] : [['then', points(baseline, edges)] as const, now];
}

/** The shares of both sides in bins of equal width, with axes. */
export function histogramChart(histogram: ReportHistogram, name: string): Html {
  const sides = sidesOf(histogram, stepsOf);
  const most = Math.max(...sides.flatMap(([, points]) => points.map(([, share]) => share)));
  const label = `Histogram of ${name}${histogram.baseline === null ? '' : ', now and in the baseline'}`;
  return plot({ label, what: name, sides, most, isStep: true });
}

/** The share of rows below each number, on both sides. */
export function cumulativeChart(histogram: ReportHistogram, name: string): Html {
  const sides = sidesOf(histogram, cumulativeOf);
  const label = `Share of rows below each value of ${name}${histogram.baseline === null ? '' : ', now and in the baseline'}`;
  return plot({ label, what: name, sides, most: 1, isStep: false });
}

const SMALL = { width: 144, height: 36 };

/** A small histogram, for a row of a table: its numbers stand beside it. */
export function smallHistogram(histogram: ReportHistogram): Html {
  const { edges } = histogram;
  const sides = sidesOf(histogram, stepsOf);
  const most = Math.max(...sides.flatMap(([, points]) => points.map(([, share]) => share)));
  const x = scaleLinear([edges[0]!, edges.at(-1)!], [1, SMALL.width - 1]);
  const y = scaleLinear([0, most || 1], [SMALL.height - 1, 2]);
  const shape = area<Point>()
    .x(([at]) => x(at))
    .y0(SMALL.height - 1)
    .y1(([, share]) => y(share))
    .curve(curveStepAfter)
    .digits(1);
  return small(
    sides.map(([name, points]) => html`<path class="${name}" d="${shape(points) ?? ''}"/>`),
  );
}

/** Small bars of the shares of categories, side by side. */
export function smallBars(
  bins: readonly { readonly baseline: number; readonly current: number }[],
): Html {
  const total = (of: (bin: (typeof bins)[number]) => number): number =>
    bins.reduce((sum, bin) => sum + of(bin), 0) || 1;
  const [before, now] = [total(({ baseline }) => baseline), total(({ current }) => current)];
  const shares = bins.map(({ baseline, current }) => [baseline / before, current / now] as const);
  const most = Math.max(...shares.flat(), 1e-9);
  const step = SMALL.width / Math.max(bins.length, 1);
  const bar = (kind: string, at: number, share: number): Html => {
    const height = (share / most) * (SMALL.height - 3);
    const width = Math.max(step / 2 - 0.5, 0.5);
    return html`<rect class="${kind}" x="${at.toFixed(1)}" y="${(SMALL.height - 1 - height).toFixed(1)}" width="${width.toFixed(1)}" height="${height.toFixed(1)}"/>`;
  };
  return small(
    shares.map(([then, after], i) => [
      bar('bar2', i * step, then),
      bar('bar', i * step + step / 2, after),
    ]),
  );
}

function small(content: Content): Html {
  return html`<svg class="small" viewBox="0 0 ${SMALL.width} ${SMALL.height}" aria-hidden="true"><line class="axis" x1="0" x2="${SMALL.width}" y1="${SMALL.height - 0.5}" y2="${SMALL.height - 0.5}"/>${content}</svg>`;
}

/** A task as a run told of it: its time in seconds since the first. */
export interface TaskSpan {
  readonly task: string;
  readonly rows: number;
  readonly lane: number;
  readonly start: number;
  readonly end: number;
}

const LANE = 22;

/** Who worked on what, and when: a lane for each worker. */
export function timelineChart(spans: readonly TaskSpan[]): Html {
  const width = 940;
  const lanes = Math.max(...spans.map(({ lane }) => lane)) + 1;
  const last = Math.max(...spans.map(({ end }) => end));
  const height = lanes * LANE + 36;
  const x = scaleLinear([0, last || 1], [60, width - 10]);
  const axis = x
    .ticks(8)
    .map(
      (tick) =>
        html`<line class="axis" x1="${x(tick)}" x2="${x(tick)}" y1="0" y2="${lanes * LANE}"/><text x="${x(tick)}" y="${lanes * LANE + 15}" text-anchor="middle">${shortNumber(tick)}</text>`,
    );
  const names = Array.from(
    { length: lanes },
    (_, lane) => html`<text x="0" y="${lane * LANE + 15}">worker ${lane + 1}</text>`,
  );
  const bars = spans.map(
    ({ task, rows, lane, start, end }) =>
      html`<rect class="task" x="${x(start).toFixed(1)}" y="${lane * LANE + 2}" width="${Math.max(x(end) - x(start) - 1, 1).toFixed(1)}" height="${LANE - 5}"><title>${task}: ${rows} rows, ${shortNumber(end - start)} s</title></rect>`,
  );
  return html`<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${spans.length} tasks in ${lanes} lanes over ${shortNumber(last)} seconds">${axis}${names}${bars}<text x="${(60 + width) / 2}" y="${height - 4}" text-anchor="middle">seconds</text></svg>`;
}

/** A run in a trend. */
export interface TrendPoint {
  /** Its place among the runs, from 0. */
  readonly index: number;
  readonly value: number;
  readonly status: string;
  readonly title: string;
  readonly href: string | undefined;
}

/** A metric, run after run, with the limit of its gate. */
export function trendChart({
  points,
  limit,
  label,
  tick,
}: {
  readonly points: readonly TrendPoint[];
  readonly limit: number | undefined;
  readonly label: string;
  /** A value as the axis has it. */
  readonly tick: (value: number) => string;
}): Html {
  const height = 150;
  const left = 60;
  const values = [...points.map(({ value }) => value), ...(limit === undefined ? [] : [limit])];
  const last = Math.max(...points.map(({ index }) => index), 1);
  const x = scaleLinear([0, last], [left, WIDTH - MARGIN.right]);
  const y = scaleLinear(
    [Math.min(...values, 0), Math.max(...values) || 0.01],
    [height - 8, 8],
  ).nice(4);
  const axis = y
    .ticks(4)
    .map(
      (value) =>
        html`<line class="axis" x1="${left}" x2="${WIDTH}" y1="${y(value).toFixed(1)}" y2="${y(value).toFixed(1)}"/><text x="${left - 6}" y="${(y(value) + 4).toFixed(1)}" text-anchor="end">${tick(value)}</text>`,
    );
  const path = line<TrendPoint>()
    .x(({ index }) => x(index))
    .y(({ value }) => y(value))
    .digits(1)(points);
  const dots = points.map(({ index, value, status, title, href }) => {
    const dot = html`<circle class="dot ${status}" cx="${x(index).toFixed(1)}" cy="${y(value).toFixed(1)}" r="4"><title>${title}</title></circle>`;
    return href === undefined ? dot : html`<a href="${href}" aria-label="${title}">${dot}</a>`;
  });
  const most =
    limit !== undefined &&
    html`<line class="limit" x1="${left}" x2="${WIDTH}" y1="${y(limit).toFixed(1)}" y2="${y(limit).toFixed(1)}"/>`;
  return html`<svg viewBox="0 0 ${WIDTH} ${height}" role="group" aria-label="${label}">${axis}${most}<path class="now line" d="${path ?? ''}"/>${dots}</svg>`;
}

/** A step of a waterfall. */
export interface WaterfallPart {
  readonly name: string;
  readonly change: number;
}

const STEP = 30;
const NAMES = 250;

/** How parts lead from one value to another, one after the other. */
export function waterfallChart({
  before,
  now,
  parts,
  label,
}: {
  readonly before: number;
  readonly now: number;
  readonly parts: readonly WaterfallPart[];
  readonly label: string;
}): Html {
  const width = 760;
  const levels = [before];
  for (const { change } of parts) levels.push(levels.at(-1)! + change);
  const x = scaleLinear(
    [Math.min(...levels, now), Math.max(...levels, now)],
    [NAMES + 20, width - 90],
  );
  const height = (parts.length + 2) * STEP + 6;
  const row = (
    index: number,
    of: {
      readonly name: string;
      readonly kind: string;
      readonly from: number;
      readonly to: number;
      readonly text: string;
    },
  ): Html => {
    const [left, right] = [Math.min(x(of.from), x(of.to)), Math.max(x(of.from), x(of.to))];
    const y = index * STEP + 6;
    return html`<text class="name" x="0" y="${y + 15}">${of.name}</text><rect class="${of.kind}" x="${left.toFixed(1)}" y="${y}" width="${Math.max(right - left, 2).toFixed(1)}" height="${STEP - 9}"/><text x="${(right + 6).toFixed(1)}" y="${y + 15}">${of.text}</text>`;
  };
  const steps = parts.map(({ name, change }, i) => {
    const [from, to] = [levels[i]!, levels[i + 1]!];
    const text = `${change < 0 ? '−' : '+'}${shortNumber(Math.abs(change))}`;
    return row(i + 1, { name, kind: change < 0 ? 'down' : 'up', from, to, text });
  });
  return html`<svg class="waterfall" viewBox="0 0 ${width} ${height}" role="img" aria-label="${label}">${row(0, { name: 'baseline', kind: 'total', from: before, to: before, text: shortNumber(before) })}${steps}${row(parts.length + 1, { name: 'now', kind: 'total', from: now, to: now, text: shortNumber(now) })}</svg>`;
}
