/**
 * The gates between scoring and publication: pure judgement of statistics.
 *
 * A change fails a gate only when it is large (the limit) and no chance (its p-value, corrected for the number of columns,
 * below `SURE`): few rows make no alarm by accident, many make none of a trifle.
 */
import type { ColumnStatistics } from './column.js';
import { type ColumnComparison, compareColumn } from './drift.js';
import {
  DRIFT_MEASURES,
  type DriftMeasure,
  type GateFinding,
  type GateInput,
  type GateResult,
  type GateStatus,
  LEAST_ROWS,
  type Limit,
  type Limits,
  SURE,
} from './gate-settings.js';
import { learntLimit } from './history.js';
import { adjusted } from './significance.js';

/** Judges the gates of a job, in the order of the job file. */
export function judgeGates(input: GateInput): GateResult[] {
  const pairs = pairsOf(input);
  return [
    ...(input.part ? [] : rowGates(input)),
    ...nullGates(input, pairs),
    ...(input.part ? [] : driftGates(input, pairs)),
    ...(input.part ? [] : meanGates(input, pairs)),
    ...rangeGates(input),
    ...flipGates(input),
    ...newCategoryGates(input, pairs),
  ];
}

/** The worst of some gates; skipped ones count as passed. */
export function verdictOf(results: readonly GateResult[]): 'pass' | 'warn' | 'fail' {
  if (results.some(({ status }) => status === 'fail')) return 'fail';
  return results.some(({ status }) => status === 'warn') ? 'warn' : 'pass';
}

interface Pair {
  readonly column: ColumnStatistics;
  /** Undefined where the baseline lacks the column, or has it with another kind of value. */
  readonly comparison: ColumnComparison | undefined;
}

function pairsOf({ current, baseline }: GateInput): Pair[] {
  return current.columns.map((column) => {
    const before = baseline?.statistics.columns.find(
      ({ name, role }) => name === column.name && role === column.role,
    );
    return { column, comparison: before && compareColumn(before.sketch, column.sketch) };
  });
}

const NO_BASELINE = 'no baseline';

const SKIPPED: GateFinding = {
  column: null,
  status: 'skipped',
  measured: null,
  limit: null,
  baseline: null,
  p: null,
  reason: NO_BASELINE,
};

/** A change that is to be judged. */
interface Change {
  readonly column: string | null;
  readonly measured: number;
  readonly baseline: number | null;
  /** Not corrected yet; null where nothing is left to chance. */
  readonly p: number | null;
}

/** Judges changes against limits; `least` is the least limit that may be learnt. */
function judged(
  gate: string,
  {
    unit,
    limits,
    least,
    changes,
    skipped,
    history,
  }: {
    readonly unit: GateResult['unit'];
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
  return resultOf(gate, { unit, compared: true }, [...findings, ...skipped]);
}

const ORDER: readonly GateStatus[] = ['fail', 'warn', 'pass', 'skipped'];

function resultOf(
  gate: string,
  of: Pick<GateResult, 'unit' | 'compared'>,
  findings: readonly GateFinding[],
): GateResult {
  const size = ({ measured, limit }: GateFinding): number => (measured ?? 0) / (limit || 1);
  const sorted = findings.toSorted(
    (a, b) => ORDER.indexOf(a.status) - ORDER.indexOf(b.status) || size(b) - size(a),
  );
  const all = sorted.length > 0 ? sorted : [{ ...SKIPPED, reason: 'no such column' }];
  return { gate, ...of, status: all[0]!.status, findings: all };
}

function rowGates({ settings, current, baseline, units, history }: GateInput): GateResult[] {
  const { min, change } = settings.rows ?? {};
  const results: GateResult[] = [];
  if (min !== undefined) {
    const status = current.rows < min ? 'fail' : 'pass';
    const finding = {
      ...SKIPPED,
      status,
      measured: current.rows,
      limit: min,
      reason: null,
    } as const;
    results.push(resultOf('rows.min', { unit: 'rows', compared: false }, [finding]));
  }
  if (change !== undefined) {
    const before = baseline === undefined ? 0 : baseline.statistics.rows / baseline.units;
    const measured = Math.abs(current.rows / units / before - 1);
    const changes = before > 0 ? [{ column: null, measured, baseline: before, p: null }] : [];
    const skipped = before > 0 ? [] : [SKIPPED];
    results.push(
      judged('rows.change', {
        unit: 'share',
        limits: { fail: change },
        least: 0.05,
        changes,
        skipped,
        history,
      }),
    );
  }
  return results;
}

/** Why nothing is to be judged of a column, or why that is a failure by itself. */
type Unmeasured = Pick<GateFinding, 'status' | 'reason'>;

/** What a gate measures of a column. */
type Measure = (
  pair: Pair,
  comparison: ColumnComparison,
) => Omit<Change, 'column'> | Unmeasured | undefined;

/** Measures columns: those that are named, else those that `fits`. Undefined measures are of columns of another kind. */
function measured(
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

function nullGates({ settings, history }: GateInput, pairs: readonly Pair[]): GateResult[] {
  if (settings.nulls === undefined) return [];
  const { maxIncrease, columns } = settings.nulls;
  const found = measured(
    pairs,
    columns,
    () => true,
    (_, { missing, rows, currentRows }) => {
      if (missing === undefined || Math.min(rows, currentRows) < LEAST_ROWS)
        return tooFew(rows, currentRows);
      return { measured: missing.increase, baseline: missing.baseline, p: missing.p };
    },
  );
  return [
    judged('nulls.max_increase', {
      unit: 'share',
      limits: { fail: maxIncrease },
      least: 0.005,
      ...found,
      history,
    }),
  ];
}

function tooFew(rows: number, currentRows: number): Unmeasured {
  const reason = `too few rows (${currentRows} against ${rows}, of ${LEAST_ROWS})`;
  return { status: 'skipped', reason };
}

function driftGates(input: GateInput, pairs: readonly Pair[]): GateResult[] {
  const { drift } = input.settings;
  if (drift === undefined) return [];
  return DRIFT_MEASURES.flatMap((name) => {
    const limits = drift.measures[name];
    if (limits === undefined) return [];
    const found = measured(
      pairs,
      drift.columns,
      ({ column }) => column.role !== 'kept' && !input.ignored.includes(column.name),
      (_, comparison) => driftOf(name, comparison),
    );
    return [
      judged(`drift.${name}`, {
        unit: 'number',
        limits,
        least: 0.02,
        ...found,
        history: input.history,
      }),
    ];
  });
}

function driftOf(name: DriftMeasure, comparison: ColumnComparison): ReturnType<Measure> {
  const { numeric, category } = comparison;
  const drift = numeric ?? category;
  const [rows, currentRows] = valuesOf(comparison);
  if (currentRows === 0 && Math.min(rows, comparison.currentRows) >= LEAST_ROWS) {
    return { status: 'fail', reason: 'no value is left' };
  }
  if (drift === undefined || Math.min(rows, currentRows) < LEAST_ROWS)
    return tooFew(rows, currentRows);
  const of = (value: number | undefined, p: number): ReturnType<Measure> =>
    value === undefined ? undefined : { measured: value, baseline: null, p };
  const { p, effect } = drift.chiSquared;
  switch (name) {
    case 'psi':
      return of(drift.psi, p);
    case 'js':
      return of(drift.jensenShannon, p);
    case 'hellinger':
      return of(drift.hellinger, p);
    case 'chi_squared':
      return of(effect, p);
    case 'l_infinity':
      return of(category?.greatestChange, p);
    case 'ks':
      return of(numeric?.ks.distance, numeric?.ks.p ?? 1);
    case 'wasserstein':
      return of(numeric?.wassersteinNormed, numeric?.ks.p ?? 1);
  }
}

/** How many rows have a value, on the baseline's side and now. */
function valuesOf({ rows, currentRows, missing }: ColumnComparison): readonly [number, number] {
  const { baseline, current } = missing ?? { baseline: 1, current: 1 };
  return [Math.round(rows * (1 - baseline)), Math.round(currentRows * (1 - current))];
}

function meanGates({ settings, history }: GateInput, pairs: readonly Pair[]): GateResult[] {
  const wanted = settings.scores?.meanChange;
  if (wanted === undefined) return [];
  const isOutput = ({ column }: Pair): boolean => column.role === 'output';
  const found = measured(pairs, undefined, isOutput, (_, { mean, numeric, rows, currentRows }) => {
    if (numeric === undefined && mean === undefined) return undefined;
    if (mean === undefined || Math.min(rows, currentRows) < LEAST_ROWS) {
      return tooFew(rows, currentRows);
    }
    const change = wanted.of === 'number' ? mean.change : mean.relative;
    if (change === undefined) {
      return { status: 'skipped', reason: 'the mean was 0: give the limit as a number' };
    }
    return { measured: Math.abs(change), baseline: mean.baseline, p: mean.p };
  });
  const unit = wanted.of === 'number' ? 'number' : 'share';
  const least = unit === 'share' ? 0.01 : 0;
  return [
    judged('scores.mean_change', {
      unit,
      limits: { fail: wanted.limit },
      least,
      ...found,
      history,
    }),
  ];
}

function rangeGates({ settings, current }: GateInput): GateResult[] {
  const range = settings.scores?.range;
  if (range === undefined) return [];
  const findings = current.columns.flatMap(({ name, role, sketch }): GateFinding[] => {
    if (role !== 'output' || sketch.kind !== 'numeric') return [];
    const [least, most] = range;
    const low = sketch.negativeInfinite > 0 ? Number.NEGATIVE_INFINITY : (sketch.min ?? least);
    const high = sketch.positiveInfinite > 0 ? Number.POSITIVE_INFINITY : (sketch.max ?? most);
    const isLow = low < least;
    const status = isLow || high > most ? 'fail' : 'pass';
    const limit = isLow ? least : most;
    return [
      { ...SKIPPED, column: name, status, measured: isLow ? low : high, limit, reason: null },
    ];
  });
  return [resultOf('scores.range', { unit: 'number', compared: false }, findings)];
}

function flipGates({ settings, flips, history }: GateInput): GateResult[] {
  if (settings.flips === undefined) return [];
  const isFew = flips !== undefined && flips.compared < LEAST_ROWS;
  const reason = isFew ? `too few common keys (${flips.compared} of ${LEAST_ROWS})` : NO_BASELINE;
  const isSkipped = flips === undefined || isFew;
  const changes = isSkipped
    ? []
    : [{ column: null, measured: flips.changed / flips.compared, baseline: null, p: null }];
  const skipped = isSkipped ? [{ ...SKIPPED, reason }] : [];
  const limits = { fail: settings.flips.max };
  return [judged('flips.max', { unit: 'share', limits, least: 0.001, changes, skipped, history })];
}

function newCategoryGates({ settings, history }: GateInput, pairs: readonly Pair[]): GateResult[] {
  if (settings.newCategories === undefined) return [];
  const { max, columns } = settings.newCategories;
  const isText = ({ column }: Pair): boolean => column.sketch.kind === 'category';
  const found = measured(pairs, columns, isText, (_, { category, added, rows, currentRows }) => {
    if (category === undefined || Math.min(rows, currentRows) < LEAST_ROWS) {
      return tooFew(rows, currentRows);
    }
    const sure = added.filter(({ p }) => p < SURE);
    return { measured: sure.length, baseline: null, p: null };
  });
  return [
    judged('new_categories.max', {
      unit: 'number',
      limits: { fail: max },
      least: 0,
      ...found,
      history,
    }),
  ];
}
