/** The rows that a run does not score: how many may be set aside, and which partitions lose too many of theirs. Pure. */
import { ScorelineError, shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { canonicalJson } from '../base/hash.js';
import type { Job, JobLimit } from '../plan/job.js';
import { type Ledger, sumLedgers } from '../plan/ledger.js';
import { type Manifest, type UnitRecord, unitOf } from '../plan/manifest.js';
import { namesOf, plural } from '../report/report.js';

/** The number of rows that a run may set aside, of so many planned rows. */
export function quarantineLimit(limit: JobLimit, plannedRows: number): number {
  return limit.unit === 'rows'
    ? limit.rows
    : Math.max(limit.minRows, Math.floor(limit.share * plannedRows));
}

/**
 * The number of rows that a partition may set aside, of so many rows that pass the filter. The floor of a percentage is half of them
 * at most.
 */
export function partitionLimit(limit: JobLimit, rows: number): number {
  if (limit.unit === 'rows') return limit.rows;
  const floor = Math.min(limit.minRows, Math.floor(rows / 2));
  return Math.max(floor, Math.floor(limit.share * rows));
}

/** The verdict on the rows set aside: what to tell the user when they are too many; undefined when they are not. */
export function tooManyBadRows(
  ledger: Ledger,
  limit: JobLimit,
  plannedRows: number,
  examples: readonly string[],
): string | undefined {
  const max = quarantineLimit(limit, plannedRows);
  if (ledger.quarantined <= max) return undefined;
  const first = examples.length > 0 ? `; first: ${examples[0]}` : '';
  return `quarantine.max: ${ledger.quarantined} of ${plannedRows} rows were set aside, more than the ${max} allowed${first}`;
}

/** So many rows are bad that a run stops before it has scored all. */
export class StoppedEarly extends ScorelineError {
  constructor(verdict: string) {
    super('gate', `${verdict}; stopped early, nothing published`);
  }
}

/** The rows of a partition. */
export function unitLedger({ inputs }: Pick<UnitRecord, 'inputs'>): Ledger {
  return sumLedgers(inputs.map(({ ledger }) => ledger));
}

/** A partition that loses rows, and a line that says so. */
export interface RowLoss {
  readonly unit: string;
  readonly line: string;
}

/** What a run publishes anew, and what is published before it. */
interface Changes {
  readonly news: ReadonlyMap<string, UnitRecord>;
  readonly published: Manifest | undefined;
}

/**
 * The partitions that must not be published without a person's word: those that lose every row, by quarantine or against what is
 * published, and those that set aside more rows than `quarantine.max` allows for one partition. `tooMany` says that the whole run does.
 */
export function refusedLosses(
  changes: Changes,
  { output, quarantine }: Job,
  tooMany: string | undefined,
): RowLoss[] {
  return unseen(changes).flatMap(({ unit, ledger, before }) => {
    // A job whose rows may all be bad says so, and takes nothing away with them.
    const isExpected = before === 0 && quarantine.max.unit === 'share' && quarantine.max.share >= 1;
    const isEmptied = output.emptyPartitions === 'stage' && ledger.scored === 0 && !isExpected;
    const line =
      (isEmptied ? emptied(unit, ledger, before) : undefined) ??
      (tooMany === undefined ? tooManyInUnit(unit, ledger, quarantine.max) : undefined);
    return line === undefined ? [] : [{ unit, line }];
  });
}

/** What a run publishes anew, but for partitions that have the same input and rows as before: a person may have published them. */
function unseen({ news, published }: Changes): { unit: string; ledger: Ledger; before: number }[] {
  return [...news].flatMap(([unit, record]) => {
    const earlier = unitOf(published, unit);
    if (earlier !== undefined && canonicalJson(earlier.inputs) === canonicalJson(record.inputs))
      return [];
    const before = earlier === undefined ? 0 : unitLedger(earlier).scored;
    return [{ unit, ledger: unitLedger(record), before }];
  });
}

/** The share of its published rows that a partition may lose without a warning. */
const LOSS_WARNED = 0.5;
/** Smaller partitions lose half of their rows by chance. */
const ROWS_COMPARED = 20;

/**
 * The warnings about lost rows: a line for all partitions of which the filter leaves no row, and one for all that shrink to less than
 * half.
 */
export function lossWarnings(changes: Changes): string[] {
  const losses = unseen(changes).map(({ unit, ledger, before }) => ({ unit, ...ledger, before }));
  const unmatched = losses.filter(
    ({ scored, quarantined, filtered }) => scored + quarantined === 0 && filtered > 0,
  );
  const shrunk = losses.filter(
    (loss) =>
      !unmatched.includes(loss) &&
      loss.before >= ROWS_COMPARED &&
      loss.scored < loss.before * (1 - LOSS_WARNED),
  );
  const sum = (rows: readonly number[]): number => rows.reduce((total, one) => total + one, 0);
  return [
    ...aboutPartitions(unmatched, (whose) => {
      const filtered = plural(sum(unmatched.map((loss) => loss.filtered)), 'row');
      return [`input.where leaves none of ${whose} ${filtered}`, 'check the condition'];
    }),
    ...aboutPartitions(shrunk, () => {
      const scored = plural(sum(shrunk.map((loss) => loss.scored)), 'scored row');
      const before = grouped(sum(shrunk.map((loss) => loss.before)));
      return [`${scored}, where ${before} were published`, 'check the input'];
    }),
  ];
}

/** A line about some partitions, which names the first; none about no partition. */
function aboutPartitions(
  losses: readonly { readonly unit: string }[],
  say: (whose: 'its' | 'their') => readonly [problem: string, remedy: string],
): string[] {
  const [first, second] = losses;
  if (first === undefined) return [];
  const [problem, remedy] = say(second === undefined ? 'its' : 'their');
  if (second === undefined) return [`${nameOf(first.unit)}: ${problem}; ${remedy}`];
  const names = namesOf(losses.map(({ unit }) => unit));
  return [`${plural(losses.length, 'partition')}: ${problem}: ${names}; ${remedy}`];
}

function emptied(unit: string, ledger: Ledger, before: number): string | undefined {
  const { quarantined, filtered } = ledger;
  const lost = before === 0 ? '' : `, and ${plural(before, 'published row')} would go`;
  const remedy = 'mend it, or set output.empty_partitions: publish';
  if (quarantined > 0) {
    const which =
      quarantined === 1 ? 'its only row was' : `all of its ${grouped(quarantined)} rows were`;
    return `${nameOf(unit)}: ${which} set aside${lost}; ${remedy}`;
  }
  if (before === 0) return undefined;
  const why =
    filtered > 0
      ? `input.where leaves none of its ${plural(filtered, 'row')}`
      : 'its input has no row';
  return `${nameOf(unit)}: ${why}${lost}; ${remedy}`;
}

function tooManyInUnit(unit: string, ledger: Ledger, limit: JobLimit): string | undefined {
  const rows = ledger.scored + ledger.quarantined;
  const max = partitionLimit(limit, rows);
  if (ledger.quarantined <= max) return undefined;
  return `quarantine.max: ${grouped(ledger.quarantined)} of ${grouped(rows)} rows of ${nameOf(unit)} were set aside, more than the ${grouped(max)} allowed in one partition`;
}

function nameOf(unit: string): string {
  return `partition ${shown(unit === '' ? '.' : unit)}`;
}
