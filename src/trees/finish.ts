/**
 * What becomes of the summed scores of an ensemble: which columns there are, base values, transformation and label, as in ONNX
 * Runtime 1.30 (core/providers/cpu/ml/tree_ensemble_aggregator.h), quirks included.
 */
import { type Ensemble, Unsupported } from './ensemble.js';
import { type Floats, zeros } from './floats.js';

/** How the kernel finishes a row: numbers of kernel/finish.ts. */
const HOW = { NONE: 0, SOFTMAX: 1, LOGISTIC: 2, SOFTMAX_ZERO: 3 } as const;
const COMPLEMENT = 4;
const OPPOSITE = 5;
const LOGISTIC_PAIR = 6;

/** How a classifier finds a row's label in its scores with base values. */
export type LabelRule =
  /** The class of the greatest score, the first of equals. */
  | { readonly by: 'greatest' }
  /** Class 1 where the score of a column is greater than `threshold`, else class 0. */
  | {
      readonly by: 'threshold';
      readonly column: number;
      readonly threshold: number;
      readonly literal: boolean;
    };

/** What is done with the scores of a block. */
export interface Finish {
  /** The targets that have a column of scores, in order. */
  readonly columns: readonly number[];
  /** How values come together: 0 added, 1 the least, 2 the greatest. */
  readonly join: number;
  /** What a score begins with, and what a leaf without a weight for a target gives. */
  readonly start: number;
  readonly neutral: number;
  /** Scores are divided by this, unless it is 0. */
  readonly divisor: number;
  /** One base value a column, 0 where there is none. */
  readonly bases: Floats;
  /** The kernel's number for the transformation. */
  readonly how: number;
  /** Whether the transformation needs e to a power, which is the C library's in ONNX Runtime. */
  readonly needsExp: boolean;
  /** Numbers a row. */
  readonly width: number;
  /** How labels are found; a text says why they are not. */
  readonly label: LabelRule | string | undefined;
}

const JOINS = { SUM: 0, AVERAGE: 0, MIN: 1, MAX: 2 } as const;
const STARTS = [0, Infinity, -Infinity] as const;

/** Settles what is done with an ensemble's scores. Throws `Unsupported`. */
export function finishOf(ensemble: Ensemble): Finish {
  const { aggregate, roots, labels } = ensemble;
  const join = JOINS[aggregate];
  if (ensemble.weights.some(Number.isNaN)) throw new Unsupported('a weight is NaN');
  const common = {
    join,
    start: STARTS[join],
    neutral: STARTS[join],
    divisor: aggregate === 'AVERAGE' ? roots.length : 0,
  };
  const finish = labels === undefined ? regression(ensemble) : classification(ensemble);
  const needsExp = finish.how !== HOW.NONE && finish.how !== COMPLEMENT && finish.how !== OPPOSITE;
  return { ...common, ...finish, needsExp };
}

type Part = Pick<Finish, 'columns' | 'bases' | 'how' | 'width' | 'label'>;

function regression(ensemble: Ensemble): Part {
  const { targetCount, bases, transform, precision } = ensemble;
  const { columns, always } = scoredTargets(ensemble);
  if (columns.length < targetCount) throw new Unsupported('an output has no weights');
  // A row without a score for an output gets 0 there, whatever the base value: only an empty sum without one is the same.
  const isSame = JOINS[ensemble.aggregate] === 0 && bases.length === 0;
  if (always.size < targetCount && !isSame)
    throw new Unsupported('some leaves have no weight for an output');
  return {
    columns,
    bases: bases.length === 0 ? zeros(precision, targetCount) : bases,
    // Of a single output ONNX Runtime does not apply these transformations.
    how: targetCount === 1 ? HOW.NONE : HOW[transform],
    width: targetCount,
    label: undefined,
  };
}

/** The targets that have weights; and those that have one in all leaves of some tree, so that every row has a score for them. */
function scoredTargets(ensemble: Ensemble): { columns: number[]; always: ReadonlySet<number> } {
  const { roots, modes, weightStart, targets } = ensemble;
  const counts = new Int32Array(ensemble.targetCount);
  const full = new Set<number>();
  const any = new Set<number>(targets);
  for (const [index, root] of roots.entries()) {
    const end = roots[index + 1] ?? modes.length;
    let leaves = 0;
    counts.fill(0);
    for (let node = root; node < end; node++) {
      if (weightStart[node] === weightStart[node + 1]) continue;
      leaves++;
      for (let at = weightStart[node]!; at < weightStart[node + 1]!; at++) counts[targets[at]!]!++;
    }
    for (const target of any) if (counts[target] === leaves) full.add(target);
  }
  return { columns: [...any].sort((a, b) => a - b), always: full };
}

function classification(ensemble: Ensemble): Part {
  const { targetCount, bases, transform, precision } = ensemble;
  if (targetCount === 1) throw new Unsupported('a classifier of one class');
  if (targetCount === 2) return binary(ensemble);
  const { columns, always } = scoredTargets(ensemble);
  if (columns.length < targetCount) throw new Unsupported('a class has no weights');
  const isCertain =
    always.size === targetCount || bases.length > 0 || isPositiveEverywhere(ensemble);
  return {
    columns,
    bases: bases.length === 0 ? zeros(precision, targetCount) : bases,
    how: HOW[transform],
    width: targetCount,
    label: isCertain ? { by: 'greatest' } : 'some leaves have no weight for a class',
  };
}

/** Whether a class without a score, which cannot win, cannot seem to: no score is less than 0, and one of them is greater. */
function isPositiveEverywhere({ weightStart, modes, weights }: Ensemble): boolean {
  if (weights.some((weight) => weight < 0)) return false;
  for (let node = 0; node < modes.length; node++) {
    const own = weights.subarray(weightStart[node], weightStart[node + 1]);
    if (own.length > 0 && !own.some((weight) => weight > 0)) return false;
  }
  return true;
}

function binary(ensemble: Ensemble): Part {
  const { bases, transform, weights, precision } = ensemble;
  const { columns, always } = scoredTargets(ensemble);
  const isPositive = weights.every((weight) => weight >= 0);
  if (columns.length === 1 && columns[0] === 0) {
    if (bases.length > 1) throw new Unsupported('two base values for one score');
    const pair = isPositive ? COMPLEMENT : OPPOSITE;
    return {
      columns,
      bases: bases.length === 0 ? zeros(precision, 1) : bases,
      // Of a single score ONNX Runtime does not apply SOFTMAX and SOFTMAX_ZERO.
      how: transform === 'LOGISTIC' ? LOGISTIC_PAIR : pair,
      width: 2,
      label: { by: 'threshold', column: 0, threshold: isPositive ? 0.5 : 0, literal: false },
    };
  }
  if (bases.length > 0) throw new Unsupported('base values for two scores of two classes');
  if (!always.has(1)) throw new Unsupported('some leaves have no weight for a class');
  const isAlone = columns.length === 1;
  return {
    columns: [0, 1],
    bases: zeros(precision, 2),
    how: HOW[transform],
    width: 2,
    label: {
      by: 'threshold',
      column: 1,
      threshold: isAlone && isPositive ? 0.5 : 0,
      // Where both classes have scores, ONNX Runtime gives the labels 1 and 0, whatever the classes are.
      literal: !isAlone,
    },
  };
}
