/** What is explained: a number about all rows that changed, as one number for each row. */
import type { Statistics } from '../stats/column.js';
import { quantilesOf } from '../stats/numeric.js';

/** A number about the predictions of all rows, before and now. */
export interface Target {
  /** The prediction column. */
  readonly column: string;
  /** The mean, a quantile, or the share of rows of one label. */
  readonly measure: 'mean' | 'quantile' | 'rate';
  /** Of a quantile: 0.95. */
  readonly share: number | null;
  readonly label: string | null;
  /** Of all rows, where that is known. */
  readonly before: number | null;
  readonly now: number | null;
}

/** What a model says of rows, by prediction column: numbers, or labels as texts. */
export type Scores = ReadonlyMap<string, Float64Array | readonly string[]>;

/** How many labels of a column are explained: those that are most frequent or changed most. */
const LABELS = 6;

/** A prediction column to explain. */
export interface ExplainedColumn {
  readonly name: string;
  readonly kind: 'number' | 'label';
}

/** What there is to explain between two sets of rows whose statistics are known. */
export function targetsOf(
  columns: readonly ExplainedColumn[],
  statistics: { readonly before: Statistics; readonly now: Statistics },
  quantiles: readonly number[] = [],
): Target[] {
  return columns.flatMap(({ name, kind }): Target[] => {
    const before = sketchOf(statistics.before, name);
    const now = sketchOf(statistics.now, name);
    if (before === undefined || now === undefined) return [];
    if (kind === 'label') return labelTargets(name, before, now);
    if (before.kind !== 'numeric' || now.kind !== 'numeric') return [];
    if (before.moments.count === 0 || now.moments.count === 0) return [];
    const about = { column: name, label: null };
    const means = { before: before.moments.mean, now: now.moments.mean };
    const [old, fresh] = [quantilesOf(before, quantiles), quantilesOf(now, quantiles)];
    return [
      { ...about, measure: 'mean', share: null, ...means },
      ...quantiles.map((share, i): Target => {
        return { ...about, measure: 'quantile', share, before: old[i]!, now: fresh[i]! };
      }),
    ];
  });
}

type Sketch = Statistics['columns'][number]['sketch'];

function sketchOf({ columns }: Statistics, name: string): Sketch | undefined {
  return columns.find((column) => column.role === 'output' && column.name === name)?.sketch;
}

function labelTargets(column: string, before: Sketch, now: Sketch): Target[] {
  const [old, fresh] = [ratesOf(before), ratesOf(now)];
  if (old === undefined || fresh === undefined) return [];
  const labels = [...new Set([...old.keys(), ...fresh.keys()])];
  const change = (label: string): number =>
    Math.abs((fresh.get(label) ?? 0) - (old.get(label) ?? 0));
  return labels
    .sort((a, b) => change(b) - change(a) || (a < b ? -1 : 1))
    .slice(0, labels.length === 2 ? 1 : LABELS)
    .map((label): Target => {
      const rates = { before: old.get(label) ?? 0, now: fresh.get(label) ?? 0 };
      return { column, measure: 'rate', share: null, label, ...rates };
    });
}

/** The share of each label; undefined where not all are counted. */
function ratesOf(sketch: Sketch): ReadonlyMap<string, number> | undefined {
  const names =
    sketch.kind === 'category'
      ? sketch.texts
      : sketch.resolution === 'exact'
        ? [...sketch.points].map(String)
        : undefined;
  const counts = [...sketch.counts];
  const rows = counts.reduce((sum, each) => sum + each, 0);
  if (names === undefined || rows === 0) return undefined;
  if (sketch.kind === 'category' && rows !== sketch.rows) return undefined;
  return new Map(names.map((name, i) => [name, counts[i]! / rows]));
}

/** The number of each row of which a target is the mean (of a quantile: the quantile). NaN where there is none. */
export function valuesOf({ column, measure, label }: Target, scores: Scores): Float64Array {
  const values = scores.get(column);
  if (values === undefined) throw new RangeError(`no scores of column ${column}`);
  if (measure === 'rate') {
    return Float64Array.from(values as readonly (number | string)[], (value) =>
      String(value) === label ? 1 : 0,
    );
  }
  return Float64Array.from(values as Float64Array, (value) =>
    Number.isFinite(value) ? value : Number.NaN,
  );
}

/** What a target is of some rows. */
export function measureOf({ measure, share }: Target, values: Float64Array): number {
  const finite = values.filter((value) => !Number.isNaN(value));
  if (finite.length === 0) return Number.NaN;
  if (measure === 'quantile') {
    const sorted = finite.sort();
    return sorted[quantilePlace(share!, sorted.length)]!;
  }
  return finite.reduce((sum, value) => sum + value, 0) / finite.length;
}

function quantilePlace(share: number, rows: number): number {
  return Math.min(rows - 1, Math.max(0, Math.ceil(share * rows) - 1));
}

/**
 * The influence of each row on a target: numbers whose mean moves as the target does, to the first order. For a quantile that is
 * its influence function, with the density taken from quantiles on either side (Woodruff's idea).
 */
export function influenceOf(target: Target, values: Float64Array): Float64Array {
  const whole = measureOf(target, values);
  if (target.measure !== 'quantile')
    return values.map((value) => (Number.isNaN(value) ? whole : value));
  const sorted = values.filter((value) => !Number.isNaN(value)).sort();
  const share = target.share!;
  const width = Math.min(share, 1 - share, Math.max(0.01, 2 / Math.sqrt(sorted.length))) / 2;
  const at = (place: number): number => sorted[quantilePlace(place, sorted.length)]!;
  const slope = (at(share + width) - at(share - width)) / (2 * width);
  return values.map((value) =>
    Number.isNaN(value) ? whole : whole + slope * (share - (value <= whole ? 1 : 0)),
  );
}
