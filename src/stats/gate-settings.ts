/** What gates can be set to, what they judge, and what they find. */
import type { Statistics } from './column.js';

/** What is less likely than this is taken for no chance. */
export const SURE = 0.001;
/** Fewer rows with a value, on either side, are not judged. */
export const LEAST_ROWS = 100;

/** A limit: a number, or what the job's earlier runs teach. */
export type Limit = number | 'history';

/** From where on a gate warns, and from where on it fails. */
export interface Limits {
  readonly warn?: Limit | undefined;
  readonly fail?: Limit | undefined;
}

/** The measures that the drift gate can be set for. */
export const DRIFT_MEASURES = [
  'psi',
  'ks',
  'js',
  'hellinger',
  'wasserstein',
  'chi_squared',
  'l_infinity',
] as const;
export type DriftMeasure = (typeof DRIFT_MEASURES)[number];

/** The gate that looks at keys: it is of all rows, and compares them with what was published before, whatever the baseline is. */
export const FLIPS_GATE = 'flips.max';

/** The gates of a job; those that are not there are not judged. Shares are from 0 to 1. */
export interface GateSettings {
  readonly rows?: {
    readonly min?: number | undefined;
    readonly change?: Limit | undefined;
    /** The share of the rows of a partition that may be lacking, where that is no chance. */
    readonly fall?: number | undefined;
  };
  readonly nulls?: {
    readonly maxIncrease: Limit;
    readonly columns?: readonly string[] | undefined;
  };
  readonly drift?: {
    readonly measures: Readonly<Partial<Record<DriftMeasure, Limits>>>;
    /** All features and predictions without it. */
    readonly columns?: readonly string[] | undefined;
  };
  readonly scores?: {
    readonly meanChange?: { readonly of: 'baseline' | 'number'; readonly limit: Limit } | undefined;
    readonly range?: readonly [low: number, high: number] | undefined;
  };
  readonly flips?: { readonly max: Limit };
  readonly newCategories?: {
    readonly max: number;
    readonly columns?: readonly string[] | undefined;
  };
}

/** What `gates` are without anything said. */
export const DEFAULT_GATES: GateSettings = {
  rows: { fall: 0.5 },
  nulls: { maxIncrease: 0.02 },
  drift: { measures: { psi: { warn: 0.1, fail: 0.2 } } },
  scores: { meanChange: { of: 'baseline', limit: 0.1 } },
  newCategories: { max: 5 },
};

/** How a gate was judged; a skipped one says why. */
export type GateStatus = 'pass' | 'warn' | 'fail' | 'skipped';

/** A gate, judged for one column or for all rows. */
export interface GateFinding {
  /** The column; null for what is of all rows. */
  readonly column: string | null;
  readonly status: GateStatus;
  /** Null where it could not be measured. */
  readonly measured: number | null;
  /** The limit that was passed, or the one that would fail. */
  readonly limit: number | null;
  /** What the measure is of on the baseline's side, where that is a number: its mean, its share of nulls. */
  readonly baseline: number | null;
  /** The corrected p-value; null where nothing is left to chance. */
  readonly p: number | null;
  /** Why it was skipped, or passed though the limit is exceeded; null otherwise. */
  readonly reason: string | null;
}

/** Shares are from 0 to 1, and shown in percent. */
export type Unit = 'share' | 'number' | 'rows';

/** A gate and its findings, the worst first. There is at least one. */
export interface GateResult {
  /** As the job file has it: `drift.psi`. */
  readonly gate: string;
  readonly status: GateStatus;
  /** What is measured, and what the baseline of a finding is. */
  readonly unit: Unit;
  readonly baselineUnit: Unit;
  /** Whether it is judged against the baseline. */
  readonly compared: boolean;
  readonly findings: readonly GateFinding[];
}

/** Which gates are judged. */
export type GateScope = 'all' | 'part' | 'few' | 'pool';

/** What is judged. */
export interface GateInput {
  readonly settings: GateSettings;
  readonly current: Statistics;
  /** How many units the current rows are of. */
  readonly units: number;
  readonly baseline: { readonly statistics: Statistics; readonly units: number } | undefined;
  /** Labels or decisions of the same keys, before and now; undefined where they were not compared. */
  readonly flips: { readonly compared: number; readonly changed: number } | undefined;
  /** What was measured in earlier runs, the last first. */
  readonly history: (gate: string, column: string | null) => readonly number[];
  /** Columns that drift by their nature: those that name a unit. */
  readonly ignored: readonly string[];
  /**
   * What is judged: all; `part`: what holds of the first rows of those to come; `few`: what holds of few rows; `pool`: the rest, of few
   * rows that were put together.
   */
  readonly scope: GateScope;
}
