/** Explains why scores moved, from two samples and two models: the parts of each change, which add up to it. */
import { type Crossover, crossover, orderWeights, type ScoredSide } from './crossover.js';
import { CountedScorer, type ExplainedSide, type FeaturePart, featureParts } from './features.js';
import { matchKeys } from './pairs.js';
import type { Sample } from './sample.js';
import { type Scores, type Target, valuesOf } from './targets.js';
import { type KeyParts, keyParts, type SegmentPart, segmentParts } from './where.js';

/** What to explain, and at which cost. */
export interface ExplainOptions {
  readonly targets: readonly Target[];
  /** Told how many rows were scored in so many ms, says how many more may be. */
  readonly budget: (rows: number, ms: number) => number;
  /** The time in ms. */
  readonly clock: () => number;
  readonly seed?: number;
}

/** One change, explained. */
export interface ExplainedChange {
  readonly target: Target;
  readonly crossover: Crossover;
  /** The largest first; they add up to the part of the rows. Empty for quantiles, and where models take other columns. */
  readonly features: readonly FeaturePart[];
  readonly keys: KeyParts | null;
  /** The largest first. */
  readonly segments: readonly SegmentPart[];
}

/** Everything that two samples and two models say. */
export interface Explained {
  readonly rows: { readonly before: number; readonly now: number };
  readonly sameModel: boolean;
  /** Which orders were looked at. */
  readonly orders: 'both' | 'rows-first' | 'model-first';
  /** Whether keys said which rows are the same. */
  readonly matched: boolean;
  /** How many rows were scored. */
  readonly scored: number;
  readonly changes: readonly ExplainedChange[];
}

/** How many categories are kept. */
const SEGMENTS = 20;

/**
 * Explains changes. A text says why it cannot be done: samples that hold no rows, models whose columns the samples lack. Throws
 * what scoring throws.
 */
export async function explainChanges(
  before: ExplainedSide,
  now: ExplainedSide,
  options: ExplainOptions,
): Promise<Explained | string> {
  const started = options.clock();
  const { targets, seed = 0 } = options;
  const scorer = new CountedScorer();
  const sides = await scoredSides(before, now, targets, scorer);
  if (typeof sides === 'string') return sides;
  const sameModel = before.model.id === now.model.id;
  const weights = orderWeights(sides[0]?.before ?? NO_SIDE, sides[0]?.now ?? NO_SIDE);
  if (weights === undefined)
    return 'the models take different columns: rows and model cannot be told apart';
  const match = matchKeys(before.sample, now.sample);
  const affordable = options.budget(scorer.scored, options.clock() - started);
  const crossed = targets.map((target, i) => crossover(target, { ...sides[i]!, match }, weights));
  const features = await featureParts(
    { before, now, match, weights, affordable, scorer, sides, targets, seed, sameModel },
    crossed,
  );
  return {
    rows: { before: before.sample.hashes.length, now: now.sample.hashes.length },
    sameModel,
    orders: weights.old === 0.5 ? 'both' : weights.old === 1 ? 'rows-first' : 'model-first',
    matched: match !== undefined,
    scored: scorer.scored,
    changes: targets.map((target, i) => {
      const own = { before: sides[i]!.before.old!, now: sides[i]!.now.new! };
      const isMean = target.measure !== 'quantile';
      const keys =
        match === undefined || !isMean ? undefined : keyParts(own, match, crossed[i]!.total.change);
      return {
        target,
        crossover: crossed[i]!,
        features: features[i]!,
        keys: keys ?? null,
        segments: isMean ? segmentsOf(own, before.sample, now.sample) : [],
      };
    }),
  };
}

/** What both models say of both samples, by target; a text says why that is of no use. */
async function scoredSides(
  before: ExplainedSide,
  now: ExplainedSide,
  targets: readonly Target[],
  scorer: CountedScorer,
): Promise<{ readonly before: ScoredSide; readonly now: ScoredSide }[] | string> {
  if (before.sample.hashes.length === 0 || now.sample.hashes.length === 0)
    return 'no rows were sampled';
  if (targets.length === 0) return 'there are no predictions to compare';
  const sameModel = before.model.id === now.model.id;
  const scores = {
    oldBefore: await scorer.scoreSample(before.model, before.sample),
    oldNow: await scorer.scoreSample(before.model, now.sample),
    newBefore: sameModel ? undefined : await scorer.scoreSample(now.model, before.sample),
    newNow: sameModel ? undefined : await scorer.scoreSample(now.model, now.sample),
  };
  if (scores.oldBefore === undefined || (!sameModel && scores.newNow === undefined))
    return 'the samples lack columns that their models take';
  if (sameModel && scores.oldNow === undefined)
    return 'the columns that the model takes have other types than before';
  return targetSides(targets, scores, { before, now, sameModel });
}

const NO_SIDE: ScoredSide = { population: 0, old: undefined, new: undefined };

function targetSides(
  targets: readonly Target[],
  scores: Readonly<Record<'oldBefore' | 'oldNow' | 'newBefore' | 'newNow', Scores | undefined>>,
  of: {
    readonly before: ExplainedSide;
    readonly now: ExplainedSide;
    readonly sameModel: boolean;
  },
): { readonly before: ScoredSide; readonly now: ScoredSide }[] {
  const own = (target: Target, found: Scores | undefined): Float64Array | undefined =>
    found === undefined ? undefined : valuesOf(target, found);
  return targets.map((target) => {
    const [oldBefore, oldNow] = [own(target, scores.oldBefore), own(target, scores.oldNow)];
    return {
      before: {
        population: of.before.sample.rows,
        old: oldBefore,
        new: of.sameModel ? oldBefore : own(target, scores.newBefore),
      },
      now: {
        population: of.now.sample.rows,
        old: oldNow,
        new: of.sameModel ? oldNow : own(target, scores.newNow),
      },
    };
  });
}

function segmentsOf(
  own: { readonly before: Float64Array; readonly now: Float64Array },
  before: Sample,
  now: Sample,
): SegmentPart[] {
  return before.kept
    .flatMap((column) => {
      const other = now.kept.find(({ name }) => name === column.name);
      return other === undefined ? [] : segmentParts(own, { before: column, now: other });
    })
    .sort((a, b) => Math.abs(b.change) - Math.abs(a.change))
    .slice(0, SEGMENTS);
}
