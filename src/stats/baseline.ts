/** Which of the published rows a run is compared with. */
import { compareText } from '../base/hash.js';

/** What a job says of its baseline. */
export type BaselineMode =
  | { readonly mode: 'auto' | 'previous' }
  | { readonly mode: 'trailing' | 'same-weekday'; readonly count: number };

/** A unit of the input, and its day where its name has one (ISO 8601). */
export interface DatedUnit {
  readonly unit: string;
  readonly date: string | undefined;
}

/** A unit as it is published before a run, and the number of the snapshot since which it has its content. */
export interface PublishedUnit extends DatedUnit {
  readonly since: number;
  /** Whether it was published before a new normal: then it is the baseline only of the same unit. */
  readonly isSuperseded?: boolean | undefined;
}

/** The units whose published rows are the baseline, in order; or why there is none. */
export type BaselineChoice =
  | { readonly units: readonly string[]; readonly label: string }
  | { readonly units: undefined; readonly reason: string };

/**
 * Chooses the baseline of a run that covers some units.
 *
 * - `auto`: what these units held before; where none of them was published, as `previous`.
 * - `previous`: the units that the last publication brought or changed.
 * - `trailing`: the last units before the first that the run covers, by date; without dates by when they were published.
 * - `same-weekday`: for each day that the run covers, the last earlier days that were the same day of the week.
 */
export function chooseBaseline(
  mode: BaselineMode,
  covered: readonly DatedUnit[],
  published: readonly PublishedUnit[],
): BaselineChoice {
  if (published.length === 0) return none('nothing was published before');
  const names = new Set(covered.map(({ unit }) => unit));
  const current = published.filter(({ isSuperseded }) => isSuperseded !== true);
  const others = current.filter(({ unit }) => !names.has(unit));
  switch (mode.mode) {
    case 'auto': {
      const before = published.filter(({ unit }) => names.has(unit));
      return before.length > 0 ? chosen(before, 'before') : previous(current);
    }
    case 'previous':
      return previous(current);
    case 'trailing':
      return trailing(mode.count, covered, others);
    case 'same-weekday':
      return sameWeekday(mode.count, covered, others);
  }
}

function none(reason: string): BaselineChoice {
  return { units: undefined, reason };
}

function chosen(units: readonly DatedUnit[], label: string): BaselineChoice {
  const names = [...new Set(units.map(({ unit }) => unit))].sort(compareText);
  return { units: names, label };
}

function previous(published: readonly PublishedUnit[]): BaselineChoice {
  if (published.length === 0) return none('nothing since the new normal is published');
  const last = published.reduce((most, { since }) => Math.max(most, since), 0);
  return chosen(
    published.filter(({ since }) => since === last),
    `snapshot ${last}`,
  );
}

function trailing(
  count: number,
  covered: readonly DatedUnit[],
  others: readonly PublishedUnit[],
): BaselineChoice {
  const dates = covered.map(({ date }) => date).filter((date) => date !== undefined);
  const first = dates.length === covered.length ? dates.toSorted()[0] : undefined;
  const before =
    first === undefined
      ? others.toSorted((a, b) => b.since - a.since || compareText(b.unit, a.unit))
      : latest(others.filter(({ date }) => date !== undefined && date < first));
  if (before.length === 0) return none('nothing before these units is published');
  const used = before.slice(0, count);
  return chosen(used, `the last ${used.length} before`);
}

function latest(units: readonly PublishedUnit[]): PublishedUnit[] {
  return units.toSorted((a, b) => compareText(b.date ?? '', a.date ?? ''));
}

function sameWeekday(
  count: number,
  covered: readonly DatedUnit[],
  others: readonly PublishedUnit[],
): BaselineChoice {
  const days = covered.map(({ date }) => date).filter((date) => date !== undefined);
  const used = days.flatMap((day) =>
    latest(
      others.filter(
        ({ date }) => date !== undefined && date < day && weekdayOf(date) === weekdayOf(day),
      ),
    ).slice(0, count),
  );
  if (used.length === 0) return none('no earlier day of the same day of the week is published');
  return chosen(used, 'the same day of the week');
}

function weekdayOf(date: string): number {
  return new Date(`${date}T00:00:00Z`).getUTCDay();
}
