/** Where a change is: in rows that came, went or changed; and in which categories of kept columns. Of means and shares. */
import type { Part } from './crossover.js';
import type { KeyMatch } from './pairs.js';
import type { SampleColumn } from './sample.js';

/** What rows of new keys, of keys that are gone and of keys that stayed add to a change. They add up to it. */
export interface KeyParts {
  /** Shares of the rows of their side. */
  readonly came: { readonly share: number; readonly change: number };
  readonly went: { readonly share: number; readonly change: number };
  readonly changed: { readonly share: number; readonly change: number };
}

/** What each row counts on its own side: with its own model, NaN where there is no number. */
export interface OwnValues {
  readonly before: Float64Array;
  readonly now: Float64Array;
}

/**
 * Splits a change by what became of keys: the mean without the rows that went, then with the others as they are now, then with
 * those that came. `whole` is the change that the parts are brought to.
 */
export function keyParts(
  { before, now }: OwnValues,
  match: KeyMatch,
  whole: number,
): KeyParts | undefined {
  const mean = (values: Float64Array, rows: Int32Array): number => {
    const own = Array.from(rows, (row) => values[row]!).filter((value) => !Number.isNaN(value));
    return own.reduce((sum, value) => sum + value, 0) / own.length;
  };
  const stayed = { before: mean(before, match.before), now: mean(now, match.now) };
  const differing = match.before.reduce(
    (sum, row, i) => sum + (before[row] === now[match.now[i]!] ? 0 : 1),
    0,
  );
  const wentShare = match.went.length / (match.went.length + match.before.length);
  const cameShare = match.came.length / (match.came.length + match.now.length);
  const went = wentShare === 0 ? 0 : wentShare * (stayed.before - mean(before, match.went));
  const came = cameShare === 0 ? 0 : cameShare * (mean(now, match.came) - stayed.now);
  const changed = stayed.now - stayed.before;
  if (![went, came, changed].every(Number.isFinite)) return undefined;
  // What the sample lacks of the whole change goes to the rows that stayed, unless none of them changed.
  const missed = whole - (went + came + changed);
  const weights = differing > 0 ? [0, 0, 1] : [Math.abs(came), Math.abs(went), 0];
  const sum = weights.reduce((total, weight) => total + weight, 0);
  const more = (at: number): number => (sum === 0 ? 0 : (missed * weights[at]!) / sum);
  return {
    came: { share: cameShare, change: came + more(0) },
    went: { share: wentShare, change: went + more(1) },
    changed: { share: differing / match.before.length, change: changed + more(2) },
  };
}

/** A category of a kept column, and what it adds to a change. */
export interface SegmentPart extends Part {
  readonly column: string;
  /** null: rows without one. */
  readonly category: string | null;
  /** Its share of the rows. */
  readonly before: number;
  readonly now: number;
  /** Its own means. */
  readonly meanBefore: number | null;
  readonly meanNow: number | null;
  /** What of the change is in it because its own rows score otherwise; the rest is because it has more rows, or fewer. */
  readonly within: number;
}

/** A column with more categories than these says nothing. */
const CATEGORIES = 200;

/**
 * What each category of a column adds to a change of the mean: its own rows score otherwise (at the mean of its shares), or it has
 * more or fewer rows (times how far its mean is from that of all). The parts of a column add up to the sampled change.
 */
export function segmentParts(
  { before, now }: OwnValues,
  columns: {
    readonly before: SampleColumn;
    readonly now: SampleColumn;
  },
): SegmentPart[] {
  const old = tally(columns.before, before);
  const fresh = tally(columns.now, now);
  const categories = new Set([...old.groups.keys(), ...fresh.groups.keys()]);
  if (categories.size > CATEGORIES || old.rows === 0 || fresh.rows === 0) return [];
  const middle = (old.sum / old.rows + fresh.sum / fresh.rows) / 2;
  return [...categories].map((category) => {
    const a = old.groups.get(category) ?? NO_ROWS;
    const b = fresh.groups.get(category) ?? NO_ROWS;
    const shares = { before: a.rows / old.rows, now: b.rows / fresh.rows };
    const meanBefore = a.rows === 0 ? null : a.sum / a.rows;
    const meanNow = b.rows === 0 ? null : b.sum / b.rows;
    const [m0, m1] = [meanBefore ?? meanNow ?? 0, meanNow ?? meanBefore ?? 0];
    const within = ((shares.before + shares.now) / 2) * (m1 - m0);
    const mix = (shares.now - shares.before) * ((m0 + m1) / 2 - middle);
    // Each row adds its distance from the middle: the error of both sums.
    const error = Math.sqrt(spread(a, middle, old.rows) + spread(b, middle, fresh.rows));
    return {
      column: columns.before.name,
      category,
      ...shares,
      meanBefore,
      meanNow,
      within,
      change: within + mix,
      error,
    };
  });
}

interface Group {
  readonly rows: number;
  readonly sum: number;
  readonly squares: number;
}

const NO_ROWS: Group = { rows: 0, sum: 0, squares: 0 };

function tally({ values: texts }: SampleColumn, values: Float64Array) {
  const groups = new Map<string | null, Group>();
  let [rows, sum] = [0, 0];
  for (let row = 0; row < values.length; row++) {
    const value = values[row]!;
    if (Number.isNaN(value)) continue;
    const category = texts[row] as string | null;
    const own = groups.get(category) ?? NO_ROWS;
    groups.set(category, {
      rows: own.rows + 1,
      sum: own.sum + value,
      squares: own.squares + value * value,
    });
    rows++;
    sum += value;
  }
  return { groups, rows, sum };
}

/** The variance of the sum over a group's rows of what is beyond the middle, divided by all rows. */
function spread({ rows, sum, squares }: Group, middle: number, all: number): number {
  const own = squares - 2 * middle * sum + rows * middle * middle;
  const mean = (sum - rows * middle) / all;
  return Math.max(0, own / all - mean * mean) / all;
}
