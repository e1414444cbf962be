/**
 * The gates between scoring and publication: pure judgement of statistics.
 *
 * A change fails a gate only when it is large (the limit) and no chance (its p-value, corrected for the number of columns,
 * below `SURE`): few rows make no alarm by accident, many make none of a trifle.
 */
import type { ColumnComparison } from './drift.js';
import {
  DRIFT_MEASURES,
  type DriftMeasure,
  FLIPS_GATE,
  type GateFinding,
  type GateInput,
  type GateResult,
  type GateScope,
  LEAST_ROWS,
  SURE,
} from './gate-settings.js';
import {
  judged,
  type Measure,
  measured,
  NO_BASELINE,
  type Pair,
  pairsOf,
  resultOf,
  SKIPPED,
  tooFew,
} from './judge.js';
import { normalTails } from './significance.js';

/** Judges the gates of a job, in the order of the job file. */
export function judgeGates(input: GateInput): GateResult[] {
  const pairs = pairsOf(input);
  const within = (...scopes: GateScope[]): boolean =>
    input.scope === 'all' || scopes.includes(input.scope);
  return [
    ...(within('few') ? rowGates(input) : []),
    ...(within('part', 'few') ? nullGates(input, pairs) : []),
    ...(within('pool') ? driftGates(input, pairs) : []),
    ...(within('pool') ? meanGates(input, pairs) : []),
    ...(within('part', 'few') ? rangeGates(input) : []),
    ...(within('few') ? flipGates(input) : []),
    ...(within('part', 'pool') ? newCategoryGates(input, pairs) : []),
  ];
}

/** The worst of some gates; skipped ones count as passed. */
export function verdictOf(results: readonly GateResult[]): 'pass' | 'warn' | 'fail' {
  if (results.some(({ status }) => status === 'fail')) return 'fail';
  return results.some(({ status }) => status === 'warn') ? 'warn' : 'pass';
}

function rowGates({ settings, current, baseline, units, history }: GateInput): GateResult[] {
  const { min, change, fall } = settings.rows ?? {};
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
    results.push(
      resultOf('rows.min', { unit: 'rows', baselineUnit: 'rows', compared: false }, [finding]),
    );
  }
  if (change !== undefined) {
    const before = baseline === undefined ? 0 : baseline.statistics.rows / baseline.units;
    const measured = Math.abs(current.rows / units / before - 1);
    const changes = before > 0 ? [{ column: null, measured, baseline: before, p: null }] : [];
    const skipped = before > 0 ? [] : [SKIPPED];
    results.push(
      judged('rows.change', {
        unit: 'share',
        baselineUnit: 'rows',
        limits: { fail: change },
        least: 0.05,
        changes,
        skipped,
        history,
      }),
    );
  }
  if (fall !== undefined) results.push(fallGate(fall, { current, units, baseline, history }));
  return results;
}

/** Judges whether partitions have fewer rows than those of the baseline: a count varies by its root, as Poisson's law has it. */
function fallGate(
  limit: number,
  {
    current,
    units,
    baseline,
    history,
  }: Pick<GateInput, 'current' | 'units' | 'baseline' | 'history'>,
): GateResult {
  const before = baseline === undefined ? 0 : baseline.statistics.rows / baseline.units;
  const now = current.rows / units;
  const lack = Math.max(0, before - now);
  const p = lack === 0 ? 1 : normalTails(lack / Math.sqrt(before + now));
  return judged('rows.change', {
    unit: 'share',
    baselineUnit: 'rows',
    limits: { fail: limit },
    least: limit,
    changes: before > 0 ? [{ column: null, measured: lack / before, baseline: before, p }] : [],
    skipped: before > 0 ? [] : [SKIPPED],
    history,
  });
}

function nullGates({ settings, history }: GateInput, pairs: readonly Pair[]): GateResult[] {
  if (settings.nulls === undefined) return [];
  const { maxIncrease, columns } = settings.nulls;
  const found = measured(
    pairs,
    columns,
    () => true,
    ({ column }, { missing, nonFinite, rows, currentRows }) => {
      // Fisher's test is exact: it holds for few rows, too.
      const change = column.role === 'output' ? (nonFinite ?? missing) : missing;
      if (change === undefined) return tooFew(rows, currentRows);
      return { measured: change.increase, baseline: change.baseline, p: change.p };
    },
  );
  return [
    judged('nulls.max_increase', {
      unit: 'share',
      baselineUnit: 'share',
      limits: { fail: maxIncrease },
      least: 0.005,
      ...found,
      history,
    }),
  ];
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
        baselineUnit: 'number',
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
  if (isValueless(comparison)) return VALUELESS;
  if (drift === undefined || Math.min(rows, currentRows) < LEAST_ROWS)
    return tooFew(rows, currentRows);
  const of = (value: number | undefined, p: number): ReturnType<Measure> =>
    value === undefined ? undefined : { measured: value, baseline: null, p };
  const { p } = drift;
  switch (name) {
    case 'psi':
      return of(drift.psi, p);
    case 'js':
      return of(drift.jensenShannon, p);
    case 'hellinger':
      return of(drift.hellinger, p);
    case 'chi_squared':
      return of(drift.chiSquared.effect, p);
    case 'l_infinity':
      return of(category?.greatestChange, p);
    case 'ks':
      return of(numeric?.ks.distance, numeric?.ks.p ?? 1);
    case 'wasserstein':
      if (numeric !== undefined && numeric.wassersteinNormed === undefined)
        return { status: 'skipped', reason: 'the variance is more than a number can be' };
      return of(numeric?.wassersteinNormed, numeric?.ks.p ?? 1);
  }
}

const VALUELESS = { status: 'fail', reason: 'no value is left' } as const;

/** Whether a column has lost all its values, and not by chance: an exact test says so of few rows, too. */
function isValueless(comparison: ColumnComparison): boolean {
  const [, currentRows] = valuesOf(comparison);
  const { missing, currentRows: rows } = comparison;
  return currentRows === 0 && rows > 0 && missing !== undefined && missing.p < SURE;
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
  const found = measured(pairs, undefined, isOutput, ({ column }, comparison) => {
    const { mean, numeric, rows, currentRows } = comparison;
    if (column.sketch.kind === 'numeric' && isValueless(comparison)) return VALUELESS;
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
      baselineUnit: 'number',
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
    // What is no number lies in no range.
    if (sketch.nan > 0) {
      const reason = `${sketch.nan} ${sketch.nan === 1 ? 'is' : 'are'} NaN`;
      return [{ ...SKIPPED, column: name, status: 'fail', measured: null, limit: most, reason }];
    }
    const isLow = low < least;
    const status = isLow || high > most ? 'fail' : 'pass';
    const limit = isLow ? least : most;
    return [
      { ...SKIPPED, column: name, status, measured: isLow ? low : high, limit, reason: null },
    ];
  });
  return [
    resultOf('scores.range', { unit: 'number', baselineUnit: 'number', compared: false }, findings),
  ];
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
  return [
    judged(FLIPS_GATE, {
      unit: 'share',
      baselineUnit: 'share',
      limits,
      least: 0.001,
      changes,
      skipped,
      history,
    }),
  ];
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
  const reason = 'no column of texts is counted: statistics or the gate has to name kept ones';
  const isBlind = found.changes.length + found.skipped.length === 0;
  return [
    judged('new_categories.max', {
      unit: 'number',
      baselineUnit: 'number',
      limits: { fail: max },
      least: 0,
      ...found,
      skipped: isBlind ? [{ ...SKIPPED, reason }] : found.skipped,
      history,
    }),
  ];
}
