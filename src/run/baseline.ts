/** What a run is compared with: which of the published units, and since when they are what they are. */
import { ScorelineError, shown } from '../base/errors.js';
import { canonicalJson } from '../base/hash.js';
import type { Job } from '../plan/job.js';
import { type Manifest, unitOf } from '../plan/manifest.js';
import { dateOfUnit, hasDate } from '../plan/selection.js';
import {
  type BaselineChoice,
  type BaselineMode,
  chooseBaseline,
  type PublishedUnit,
} from '../stats/baseline.js';
import { LEAST_ROWS } from '../stats/gate-settings.js';
import {
  baselineRecords,
  exceptionsOf,
  newNormalSince,
  newNormalUnits,
  supersededUnits,
} from './overridden.js';
import { readSnapshot, type Snapshot, snapshotNumbers } from './snapshot.js';
import type { UnitParts } from './statistics.js';
import type { Output } from './store.js';

/** What is judged together: units, and what they are compared with. */
export interface Comparison {
  /** How the day of the units is called, where each day is judged by itself, and the days that are meant. */
  readonly day: string | undefined;
  readonly days?: readonly string[];
  /** By name. */
  readonly current: ReadonlyMap<string, UnitParts>;
  readonly baseline:
    | {
        readonly label: string;
        readonly names: readonly string[];
        readonly units: readonly UnitParts[];
      }
    | { readonly reason: string };
}

/** A comparison that depends on which days of the same run have failed before it: they are no baseline of later days. */
export type PlannedComparison = (failed: ReadonlySet<string>) => Comparison;

/** What a run publishes anew, and what is published before it. */
export interface ComparisonInput {
  readonly output: Output;
  readonly job: Job;
  readonly news: ReadonlyMap<string, UnitParts>;
  readonly latest: Snapshot | undefined;
}

/** How a baseline is called that is the earlier content of the same partitions. */
const BEFORE = 'what was published before';

/** Returns the date of a unit by its name; undefined where the job's path or the name has none. */
export function unitDates({ input }: Pick<Job, 'input'>): (unit: string) => string | undefined {
  const { pathText } = input;
  return (unit) => (hasDate(pathText) ? dateOfUnit(pathText, unit) : undefined);
}

/**
 * Plans what is to be compared with what, the first day first. A run whose baseline goes by dates is judged day by day, so that
 * days of a backfill have those before them as their baseline; else all that it publishes anew is judged together.
 */
export async function comparisonsOf(input: ComparisonInput): Promise<PlannedComparison[]> {
  const { job, news, latest } = input;
  const { baseline } = job;
  if (typeof baseline === 'object' && 'file' in baseline)
    return [() => ({ day: undefined, current: news, baseline: { reason: '' } })];
  const dateOf = unitDates(job);
  const mode = modeOf(baseline);
  const days = new Set([...news.keys()].map(dateOf));
  if (mode.mode !== 'auto' && mode.mode !== 'previous' && !days.has(undefined))
    return byDay(input, mode, dateOf);
  if (mode.mode === 'same-weekday') throw undated([...news.keys()].find((unit) => !dateOf(unit)));
  const published = await publishedUnits(input, dateOf);
  const covered = [...news.keys()].map((unit) => ({ unit, date: dateOf(unit) }));
  const choice = chooseBaseline(mode, covered, published);
  return [() => ({ day: undefined, current: news, baseline: chosenFrom(choice, latest) })];
}

/** A partition of a job that compares days of the week, and has no day. */
function undated(unit = ''): ScorelineError {
  return new ScorelineError(
    'usage',
    `baseline.same-weekday: the folder of partition ${shown(unit === '' ? '.' : unit)} does not say its day; write the whole date in input.path, or use { trailing: 7 }`,
  );
}

function chosenFrom(choice: BaselineChoice, latest: Snapshot | undefined): Comparison['baseline'] {
  if (choice.units === undefined)
    return { reason: exceptionsOf(latest).length > 0 ? ONLY_EXCEPTIONS : choice.reason };
  const records = baselineRecords(latest);
  const units = choice.units.map((unit) => records.get(unit)!);
  const label = choice.label === 'before' ? BEFORE : choice.label;
  const overridden = choice.units.filter((unit) => newNormalUnits(latest).has(unit));
  return { label: withOverridden(label, overridden), names: choice.units, units };
}

const ONLY_EXCEPTIONS = 'nothing but exceptions was published before';

/** How many overridden partitions of a baseline are named. */
const OVERRIDDEN_NAMED = 3;

/** A baseline's name, and which of it a person published though gates failed. */
function withOverridden(label: string, overridden: readonly string[]): string {
  if (overridden.length === 0) return label;
  const names = overridden.slice(0, OVERRIDDEN_NAMED).map((unit) => (unit === '' ? '.' : unit));
  const more = overridden.length > OVERRIDDEN_NAMED ? `, … (${overridden.length})` : '';
  return `${label} (overridden: ${names.join(', ')}${more})`;
}

function modeOf(baseline: Exclude<Job['baseline'], { file: string }>): BaselineMode {
  if (typeof baseline === 'string') return { mode: baseline };
  return 'trailing' in baseline
    ? { mode: 'trailing', count: baseline.trailing }
    : { mode: 'same-weekday', count: baseline['same-weekday'] };
}

/** A comparison for each day, the first one first. A day's units are one to the choice of the baseline. */
function byDay(
  { news, latest }: ComparisonInput,
  mode: BaselineMode,
  dateOf: (unit: string) => string | undefined,
): PlannedComparison[] {
  const before = baselineRecords(latest);
  const days = new Map<string, string[]>();
  for (const unit of new Set([...before.keys(), ...news.keys()])) {
    const date = dateOf(unit);
    if (date !== undefined) days.set(date, [...(days.get(date) ?? []), unit]);
  }
  const isNew = (date: string): boolean => days.get(date)!.some((unit) => news.has(unit));
  const overridden = newNormalUnits(latest);
  return [...days.keys()]
    .filter(isNew)
    .sort()
    .map((date) => (failed): Comparison => {
      const recordOf = (unit: string, day: string): UnitParts | undefined =>
        (failed.has(day) ? undefined : news.get(unit)) ?? before.get(unit);
      const own = days.get(date)!.filter((unit) => news.has(unit));
      const current = new Map(own.map((unit) => [unit, news.get(unit)!]));
      const compared = (label: string, units: readonly (readonly [string, UnitParts])[]) => ({
        label,
        names: units.map(([unit]) => unit),
        units: units.map(([, record]) => record),
      });
      const since = newNormalSince(latest, date);
      const earlier = own.flatMap((unit) => {
        const record = before.get(unit);
        return record === undefined ? [] : [[unit, record] as const];
      });
      // The day on which a new normal began has nothing before it but its own earlier content.
      if (since === date && earlier.length > 0)
        return { day: date, days: [date], current, baseline: compared(BEFORE, earlier) };
      const published = [...days].flatMap(([day, units]) =>
        (since === undefined || day >= since) && units.some((unit) => recordOf(unit, day))
          ? [{ unit: day, date: day, since: 0 }]
          : [],
      );
      const choice = chooseBaseline(mode, [{ unit: date, date }], published);
      if (choice.units === undefined) {
        const reason =
          since === undefined ? choice.reason : `${choice.reason} since the new normal of ${since}`;
        return { day: date, days: [date], current, baseline: { reason } };
      }
      const units = choice.units.flatMap((day) =>
        days.get(day)!.flatMap((unit) => {
          const record = recordOf(unit, day);
          return record === undefined ? [] : [[unit, record] as const];
        }),
      );
      const isOverridden = (day: string): boolean =>
        days.get(day)!.some((unit) => overridden.has(unit) && !news.has(unit));
      const label = withOverridden(choice.label, choice.units.filter(isOverridden));
      return { day: date, days: [date], current, baseline: compared(label, units) };
    });
}

/** Days with few rows that are judged together: their places in the plan, and their units. */
export interface DayPool {
  readonly places: readonly number[];
  readonly comparison: Comparison;
}

/** Puts days of few rows together, in their order, until they have enough to be judged; the last pool takes what is left. */
export function poolsOf(comparisons: readonly Comparison[]): DayPool[] {
  const small = comparisons.flatMap(({ current }, place) => {
    const rows = rowsOf(current);
    return rows < LEAST_ROWS ? [{ place, rows }] : [];
  });
  const pools: number[][] = [];
  let open: number[] = [];
  let rows = 0;
  for (const each of small) {
    open.push(each.place);
    rows += each.rows;
    if (rows < LEAST_ROWS) continue;
    pools.push(open);
    [open, rows] = [[], 0];
  }
  if (open.length > 0) pools.push([...(pools.pop() ?? []), ...open]);
  return pools
    .filter((places) => places.length > 1)
    .map((places) => {
      const all = places.map((place) => comparisons[place]!);
      const days = all.flatMap((each) => each.days ?? []);
      return {
        places,
        comparison: {
          day: `${days[0]} to ${days.at(-1)}`,
          days,
          current: new Map(all.flatMap(({ current }) => [...current])),
          baseline: all[0]!.baseline,
        },
      };
    });
}

function rowsOf(units: ReadonlyMap<string, UnitParts>): number {
  const parts = [...units.values()].flatMap((unit) => unit.parts);
  return parts.reduce((sum, { ledger }) => sum + ledger.scored, 0);
}

/** The published units, and the snapshot since which each is what it is, as far as snapshots are kept. */
async function publishedUnits(
  { output, latest }: ComparisonInput,
  dateOf: (unit: string) => string | undefined,
): Promise<PublishedUnit[]> {
  if (latest === undefined) return [];
  const records = baselineRecords(latest);
  // What an exception took the place of is of before it.
  const until = new Map(exceptionsOf(latest).map(({ unit, snapshot }) => [unit, snapshot - 1]));
  const since = new Map(
    [...records.keys()].map((unit) => [unit, until.get(unit) ?? latest.number]),
  );
  let open = [...since.keys()];
  const numbers = (await snapshotNumbers(output)).filter((number) => number < latest.number);
  for (const number of numbers.reverse()) {
    if (open.length === 0) break;
    // One that gc has taken meanwhile, or that is damaged, says nothing.
    const manifest = await readSnapshot(output, number).then(
      (snapshot) => snapshot.manifest,
      () => undefined,
    );
    if (manifest === undefined) break;
    const isLater = (unit: string): boolean => number > (until.get(unit) ?? latest.number);
    const isSame = (unit: string): boolean =>
      until.has(unit)
        ? textOf(records.get(unit)) === textOf(partsIn(manifest, unit))
        : textOf(unitOf(latest.manifest, unit)) === textOf(unitOf(manifest, unit));
    open = open.filter((unit) => isLater(unit) || isSame(unit));
    for (const unit of open) if (!isLater(unit)) since.set(unit, number);
  }
  const superseded = supersededUnits(latest);
  return [...since].map(([unit, number]) => ({
    unit,
    date: dateOf(unit),
    since: number,
    isSuperseded: superseded.has(unit),
  }));
}

function partsIn(manifest: Manifest, unit: string): UnitParts | undefined {
  const record = unitOf(manifest, unit);
  return record && { parts: record.parts, model: record.model };
}

function textOf(record: UnitParts | undefined): string {
  return canonicalJson(record ?? null);
}
