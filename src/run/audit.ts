/** The checks between scoring and publication: is every row accounted for, and what could not be scored? */
import { messageOf, ScorelineError, shown } from '../base/errors.js';
import { balances, type CsvRecord, type Ledger, sumLedgers } from '../plan/ledger.js';
import type { StoredPart, UnitRecord } from '../plan/manifest.js';
import type { UnitPlan } from '../plan/plan.js';
import { predictionType } from '../plan/predictions.js';
import { jobRecord, type Prepared } from './prepare.js';

/** By path: the CSV files that had to be in the store as Parquet, and those that have bad records. */
export type Converted = ReadonlyMap<string, CsvRecord>;

/**
 * What a snapshot will say of a unit, from the parts of its tasks. Throws a bug when a row of an input file is
 * missing or counted twice: the ledger is the last word before publication.
 */
export function unitRecord(
  unit: UnitPlan,
  parts: readonly StoredPart[],
  prepared: Prepared,
  converted: Converted,
): UnitRecord {
  const ledgers = new Map<string, Ledger[]>();
  for (const { path, ledger } of parts.flatMap((part) => part.inputs)) {
    const known = ledgers.get(path);
    if (known === undefined) ledgers.set(path, [ledger]);
    else known.push(ledger);
  }
  const inputs = unit.files.map(({ file, facts }) => {
    const ledger = sumLedgers(ledgers.get(file.path) ?? []);
    if (ledger.rows !== facts.rows || !balances(ledger)) {
      throw new Error(
        `ledger of ${file.path}: ${facts.rows} rows in the file, but ${JSON.stringify(ledger)}`,
      );
    }
    if (facts.sha256 === null) throw new Error(`${file.path} was not hashed`);
    // Records that are none were counted by the scan: no task has seen them.
    const bad = facts.csv?.rejected ?? 0;
    const rejected = { rows: bad, scored: 0, quarantined: bad, filtered: 0 };
    return {
      path: file.path,
      sha256: facts.sha256,
      ledger: bad === 0 ? ledger : sumLedgers([ledger, rejected]),
    };
  });
  const rejected = unit.files.flatMap(({ file, facts }) => {
    if ((facts.csv?.rejected ?? 0) === 0) return [];
    const record = converted.get(file.path);
    if (record?.rejected?.rows !== facts.csv?.rejected)
      throw new Error(`${file.path}: its bad records are not in the store`);
    return record?.rejected == null ? [] : [{ key: record.key, file: record.rejected }];
  });
  return {
    inputs,
    model: [...prepared.model.sha256],
    job: jobRecord(prepared, unit.unit),
    types: prepared.publishing.columns.map(predictionType),
    parts: parts.map(({ part }) => part),
    ...(rejected.length === 0 ? {} : { rejected }),
  };
}

/** Not more failures than a person reads, each on a line; then only the names of the units. */
const FAILURES_SHOWN = 20;

/**
 * The units that could not be scored, in one error; undefined when there are none. Its code is that of the worst: what is
 * refused is worse than what only changed while it was read, because to run again does not help.
 */
export function failureOf(
  failures: ReadonlyMap<string, readonly Error[]>,
): ScorelineError | undefined {
  const isChange = (error: Error): boolean =>
    error instanceof ScorelineError && error.code === 'changed';
  // A file that was rewritten meanwhile is the cause of whatever else went wrong in its unit.
  const errors = [...failures].flatMap(([unit, all]) =>
    (all.some(isChange) ? all.filter(isChange) : all).map((error) => ({ unit, error })),
  );
  const [first] = errors;
  if (first === undefined) return undefined;
  const changed = errors.every(({ error }) => isChange(error));
  const lines = errors.slice(0, FAILURES_SHOWN).map(({ error }) => messageOf(error));
  const rest = errors.slice(FAILURES_SHOWN);
  if (rest.length > 0) {
    const units = [...new Set(rest.map(({ unit }) => shown(unit === '' ? '.' : unit)))];
    lines.push(`… and ${rest.length} more, in ${units.join(', ')}`);
  }
  return new ScorelineError(changed ? 'changed' : 'input', lines.join('\n'), {
    cause: first.error,
  });
}
