/** What a run is compared with: which of the published units, and since when they are what they are. */
import { canonicalJson } from '../base/hash.js';
import type { Job } from '../plan/job.js';
import { type Manifest, unitOf } from '../plan/manifest.js';
import { dateOfUnit, hasDate } from '../plan/selection.js';
import { type BaselineMode, chooseBaseline, type PublishedUnit } from '../stats/baseline.js';
import { readSnapshot, type Snapshot, snapshotNumbers } from './snapshot.js';
import type { UnitParts } from './statistics.js';
import type { Output } from './store.js';

/** What is judged together: units, and what they are compared with. */
export interface Comparison {
  /** The day of the units, where each day is judged by itself. */
  readonly day: string | undefined;
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

/** What a run publishes anew, and what is published before it. */
export interface ComparisonInput {
  readonly output: Output;
  readonly job: Job;
  readonly news: ReadonlyMap<string, UnitParts>;
  readonly latest: Snapshot | undefined;
}

/**
 * What is to be compared with what. A run whose baseline goes by dates is judged day by day, so that days of a backfill have
 * those before them as their baseline; else all that it publishes anew is judged together.
 */
export async function comparisonsOf(input: ComparisonInput): Promise<Comparison[]> {
  const { job, news, latest } = input;
  const { baseline } = job;
  if (typeof baseline === 'object' && 'file' in baseline)
    return [{ day: undefined, current: news, baseline: { reason: '' } }];
  const dateOf = (unit: string): string | undefined =>
    hasDate(job.input.pathText) ? dateOfUnit(job.input.pathText, unit) : undefined;
  const mode = modeOf(baseline);
  const days = new Set([...news.keys()].map(dateOf));
  if (mode.mode !== 'auto' && mode.mode !== 'previous' && !days.has(undefined))
    return byDay(input, mode, dateOf);
  const published = await publishedUnits(input, dateOf);
  const covered = [...news.keys()].map((unit) => ({ unit, date: dateOf(unit) }));
  const choice = chooseBaseline(mode, covered, published);
  const current = news;
  if (choice.units === undefined)
    return [{ day: undefined, current, baseline: { reason: choice.reason } }];
  const units = choice.units.map((unit) => unitOf(latest?.manifest, unit)!);
  const label = choice.label === 'before' ? 'what was published before' : choice.label;
  return [{ day: undefined, current, baseline: { label, names: choice.units, units } }];
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
): Comparison[] {
  const all = new Map<string, UnitParts>(Object.entries(latest?.manifest.units ?? {}));
  for (const [unit, record] of news) all.set(unit, record);
  const days = new Map<string, string[]>();
  for (const unit of all.keys()) {
    const date = dateOf(unit);
    if (date !== undefined) days.set(date, [...(days.get(date) ?? []), unit]);
  }
  const published = [...days.keys()].map((date) => ({ unit: date, date, since: 0 }));
  const isNew = (date: string): boolean => days.get(date)!.some((unit) => news.has(unit));
  const wanted = [...days.keys()].filter(isNew).sort();
  return wanted.map((date) => {
    const own = days.get(date)!.filter((unit) => news.has(unit));
    const current = new Map(own.map((unit) => [unit, news.get(unit)!]));
    const choice = chooseBaseline(mode, [{ unit: date, date }], published);
    if (choice.units === undefined)
      return { day: date, current, baseline: { reason: choice.reason } };
    const names = choice.units.flatMap((each) => days.get(each)!);
    const units = names.map((unit) => all.get(unit)!);
    return { day: date, current, baseline: { label: choice.label, names, units } };
  });
}

/** The published units, and the snapshot since which each is what it is, as far as snapshots are kept. */
async function publishedUnits(
  { output, latest }: ComparisonInput,
  dateOf: (unit: string) => string | undefined,
): Promise<PublishedUnit[]> {
  if (latest === undefined) return [];
  const since = new Map(Object.keys(latest.manifest.units).map((unit) => [unit, latest.number]));
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
    open = open.filter((unit) => isSame(latest.manifest, manifest, unit));
    for (const unit of open) since.set(unit, number);
  }
  return [...since].map(([unit, number]) => ({ unit, date: dateOf(unit), since: number }));
}

function isSame(a: Manifest, b: Manifest, unit: string): boolean {
  return canonicalJson(unitOf(a, unit) ?? null) === canonicalJson(unitOf(b, unit) ?? null);
}
