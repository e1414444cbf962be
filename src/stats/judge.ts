/** How the change of a measure is judged: what all gates have in common. */
import type { ColumnStatistics } from './column.js';
import { type ColumnComparison, compareColumn } from './drift.js';
import {
  type GateFinding,
  type GateInput,
  type GateResult,
  type GateStatus,
  LEAST_ROWS,
  type Limit,
  type Limits,
  SURE,
  type Unit,
} from './gate-settings.js';
import { learntLimit } from './history.js';
import { adjusted } from './significance.js';

/** A column of the current rows, beside the same of the baseline. */
export interface Pair {
  readonly column: ColumnStatistics;
  /** Undefined where the baseline lacks the column, or has it with another kind of value. */
  readonly comparison: ColumnComparison | undefined;
}

/** The columns of the current rows, each with its comparison. */
export function pairsOf({ current, baseline }: GateInput): Pair[] {
  return current.columns.map((column) => {
    const before = baseline?.statistics.columns.find(
      ({ name, role }) => name === column.name && role === column.role,
    );
    return { column, comparison: before && compareColumn(before.sketch, column.sketch) };
  });
}

/** Why a gate is skipped on a first run. */
export const NO_BASELINE = 'no baseline';

/** What is found where nothing can be. */
export const SKIPPED: GateFinding = {
  column: null,
  status: 'skipped',
  measured: null,
  limit: null,
  baseline: null,
  p: null,
  reason: NO_BASELINE,
};

/** A change that is to be judged. */
export interface Change {
  readonly column: string | null;
  readonly measured: number;
  readonly baseline: number | null;
  /** Not corrected yet; null where nothing is left to chance. */
  readonly p: number | null;
}

/** Judges changes against limits; `least` is the least limit that may be learnt. */
export function judged(
  gate: string,
  {
    unit,
    baselineUnit,
    limits,
    least,
    changes,
    skipped,
    history,
  }: {
    readonly unit: Unit;
    readonly baselineUnit: Unit;
    readonly limits: Limits;
    readonly least: number;
    readonly changes: readonly Change[];
    readonly skipped: readonly GateFinding[];
    readonly history: GateInput['history'];
  },
): GateResult {
  const chances = adjusted(changes.map(({ p }) => p ?? 0));
  const findings = changes.map((change, i): GateFinding => {
    const p = change.p === null ? null : chances[i]!;
    const limitOf = (limit: Limit | undefined): number | undefined =>
      limit === 'history' ? learntLimit(history(gate, change.column), least) : limit;
    const [fail, warn] = [limitOf(limits.fail), limitOf(limits.warn)];
    const finding = { ...change, p, limit: fail ?? warn ?? null, reason: null };
    if (fail === undefined && warn === undefined) {
      return { ...finding, status: 'skipped', reason: 'too few earlier runs to learn from' };
    }
    const isOver = (most: number | undefined): boolean =>
      most !== undefined && change.measured > most;
    if (!isOver(fail) && !isOver(warn)) return { ...finding, status: 'pass' };
    const [status, limit] = isOver(fail) ? (['fail', fail!] as const) : (['warn', warn!] as const);
    if (p !== null && p >= SURE) {
      return { ...finding, limit, status: 'pass', reason: 'could be chance' };
    }
    return { ...finding, limit, status };
  });
  return resultOf(gate, { unit, baselineUnit, compared: true }, [...findings, ...skipped]);
}

const ORDER: readonly GateStatus[] = ['fail', 'warn', 'pass', 'skipped'];

/** A gate and its findings, the worst first. */
export function resultOf(
  gate: string,
  of: Pick<GateResult, 'unit' | 'baselineUnit' | 'compared'>,
  findings: readonly GateFinding[],
): GateResult {
  const size = ({ measured, limit }: GateFinding): number => (measured ?? 0) / (limit || 1);
  const sorted = findings.toSorted(
    (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || size(b) - size(a),
  );
  const all = sorted.length > 0 ? sorted : [{ ...SKIPPED, reason: 'no column to look at' }];
  return { gate, ...of, status: all[0]!.status, findings: all };
}

/** Why nothing is to be judged of a column, or why that is a failure by itself. */
export type Unmeasured = Pick<GateFinding, 'status' | 'reason'>;

/** What a gate measures of a column. */
export type Measure = (
  pair: Pair,
  comparison: ColumnComparison,
) => Omit<Change, 'column'> | Unmeasured | undefined;

/** Measures columns: those that are named, else those that `fits`. Undefined measures are of columns of another kind. */
export function measured(
  pairs: readonly Pair[],
  columns: readonly string[] | undefined,
  fits: (pair: Pair) => boolean,
  measure: Measure,
): { changes: Change[]; skipped: GateFinding[] } {
  const changes: Change[] = [];
  const skipped: GateFinding[] = [];
  const chosen = pairs.filter((pair) => columns?.includes(pair.column.name) ?? fits(pair));
  for (const name of columns ?? []) {
    if (!chosen.some(({ column }) => column.name === name)) {
      skipped.push({ ...SKIPPED, column: name, reason: 'no such column' });
    }
  }
  for (const pair of chosen) {
    const column = pair.column.name;
    const found = pair.comparison === undefined ? SKIPPED : measure(pair, pair.comparison);
    if (found === undefined) continue;
    if ('status' in found) {
      skipped.push({ ...SKIPPED, column, status: found.status, reason: found.reason });
    } else changes.push({ column, ...found });
  }
  return { changes, skipped };
}

/** A column with so few rows is not judged. */
export function tooFew(rows: number, currentRows: number): Unmeasured {
  const reason = `too few rows (${currentRows} against ${rows}, of ${LEAST_ROWS})`;
  return { status: 'skipped', reason };
}
