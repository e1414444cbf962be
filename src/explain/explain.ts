/** Explains why scores moved, from two samples and two models: the parts of each change, which add up to it. */
import {
  type Crossover,
  crossover,
  type OrderWeights,
  orderWeights,
  type Part,
} from './crossover.js';
import { type KeyMatch, matchKeys, type Pairs, pairRows } from './pairs.js';
import { type Cause, causeOf, playersOf } from './players.js';
import { randomWholes, shuffled } from './random.js';
import { isSameRow, pickRows, type Sample, type SampleColumn } from './sample.js';
import { partsOf, type WalkModel, walkCouples } from './shapley.js';
import { type Scores, type Target, valuesOf } from './targets.js';
import { type KeyParts, keyParts, type SegmentPart, segmentParts } from './where.js';

/** A model, as far as it is needed. */
export interface ExplainedModel {
  /** Equal for equal models. */
  readonly id: string;
  /** The columns that it takes, in its order. */
  readonly inputs: readonly string[];
  /** Scores rows whose columns are its inputs. */
  readonly score: (columns: readonly SampleColumn[], rows: number) => Promise<Scores>;
}

/** One side: a sample, and the model that scored its rows. */
export interface ExplainedSide {
  readonly sample: Sample;
  readonly model: ExplainedModel;
}

/** What to explain, and at which cost. */
export interface ExplainOptions {
  readonly targets: readonly Target[];
  /** Told how many rows were scored in so many ms, says how many more may be. */
  readonly budget: (rows: number, ms: number) => number;
  /** The time in ms. */
  readonly clock: () => number;
  readonly seed?: number;
}

/** The part of one feature, or of several that go together. */
export interface FeaturePart extends Part {
  readonly features: readonly string[];
  readonly cause: Cause | null;
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

/** How often each row is in a couple at most. */
const MOST_COPIES = 4;
/** Fewer couples than these say nothing. */
const LEAST_COUPLES = 64;
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
  const sizes = { before: before.sample.hashes.length, now: now.sample.hashes.length };
  if (sizes.before === 0 || sizes.now === 0) return 'no rows were sampled';
  if (options.targets.length === 0) return 'there are no predictions to compare';
  const sameModel = before.model.id === now.model.id;
  const scorer = new CountedScorer();
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
  const match = matchKeys(before.sample, now.sample);
  const sides = targetSides(options.targets, scores, { before, now, sameModel });
  const weights = orderWeights(sides[0]?.before ?? NO_SIDE, sides[0]?.now ?? NO_SIDE);
  if (weights === undefined)
    return 'the models take different columns: rows and model cannot be told apart';
  const affordable = options.budget(scorer.scored, options.clock() - started);
  const { targets, seed = 0 } = options;
  const scope = {
    before,
    now,
    match,
    weights,
    affordable,
    scorer,
    sides,
    targets,
    seed,
    sameModel,
  };
  const crossed = options.targets.map((target, i) =>
    crossover(target, { ...sides[i]!, match }, weights),
  );
  const features = await featureParts(scope, crossed);
  return {
    rows: sizes,
    sameModel,
    orders: weights.old === 0.5 ? 'both' : weights.old === 1 ? 'rows-first' : 'model-first',
    matched: match !== undefined,
    scored: scorer.scored,
    changes: options.targets.map((target, i) => {
      const own = { before: sides[i]!.before.old!, now: sides[i]!.now.new! };
      const isMean = target.measure !== 'quantile';
      return {
        target,
        crossover: crossed[i]!,
        features: features[i]!,
        keys:
          match === undefined || !isMean
            ? null
            : (keyParts(own, match, crossed[i]!.total.change) ?? null),
        segments: isMean ? segmentsOf(own, before.sample, now.sample) : [],
      };
    }),
  };
}

interface Side {
  readonly population: number;
  readonly old: Float64Array | undefined;
  readonly new: Float64Array | undefined;
}

const NO_SIDE: Side = { population: 0, old: undefined, new: undefined };

function targetSides(
  targets: readonly Target[],
  scores: Readonly<Record<'oldBefore' | 'oldNow' | 'newBefore' | 'newNow', Scores | undefined>>,
  of: {
    readonly before: ExplainedSide;
    readonly now: ExplainedSide;
    readonly sameModel: boolean;
  },
): { readonly before: Side; readonly now: Side }[] {
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

/** Counts the rows that models score. */
class CountedScorer {
  scored = 0;

  async score(
    model: ExplainedModel,
    columns: readonly SampleColumn[],
    rows: number,
  ): Promise<Scores> {
    this.scored += rows;
    return model.score(columns, rows);
  }

  /** Scores a sample with any model; undefined where it lacks a column. */
  async scoreSample(model: ExplainedModel, sample: Sample): Promise<Scores | undefined> {
    const columns = columnsFor(model, sample);
    return columns && (await this.score(model, columns, sample.hashes.length));
  }
}

function columnsFor({ inputs }: ExplainedModel, { features }: Sample): SampleColumn[] | undefined {
  const columns = inputs.map((name) => features.find((column) => column.name === name));
  return columns.every((column) => column !== undefined) ? columns : undefined;
}

interface Scope {
  readonly targets: readonly Target[];
  readonly seed: number;
  readonly before: ExplainedSide;
  readonly now: ExplainedSide;
  readonly match: KeyMatch | undefined;
  readonly weights: OrderWeights;
  readonly affordable: number;
  readonly scorer: CountedScorer;
  readonly sides: readonly { readonly before: Side; readonly now: Side }[];
  readonly sameModel: boolean;
}

/** The parts of the features, by target. */
async function featureParts(scope: Scope, crossed: readonly Crossover[]): Promise<FeaturePart[][]> {
  const { targets, sides, match, weights, sameModel, scorer } = scope;
  const [before, now] = [scope.before.sample, scope.now.sample];
  const models = [
    { model: scope.before.model, weight: sameModel ? 1 : weights.old, side: 'old' as const },
    { model: scope.now.model, weight: sameModel ? 0 : weights.new, side: 'new' as const },
  ].filter(({ weight }) => weight > 0);
  const names = [...new Set(models.flatMap(({ model }) => model.inputs))];
  const columns = names.map((name) => ({
    before: before.features.find((column) => column.name === name)!,
    now: now.features.find((column) => column.name === name)!,
  }));
  const whole = {
    before: columns.map((column) => column.before),
    now: columns.map((column) => column.now),
  };
  const isMatched = match !== undefined && match.went.length + match.came.length === 0;
  const players = playersOf({ ...whole, match: isMatched ? match : undefined });
  const pairs = pairsFor(scope, { ...whole, players: players.length, models: models.length });
  const targetIndexes = targets.flatMap(({ measure }, i) => (measure === 'quantile' ? [] : [i]));
  const walk = {
    before: whole.before.map((column) => pickRows(column, pairs.before)),
    now: whole.now.map((column) => pickRows(column, pairs.now)),
    weights: pairs.weights,
    players,
    targets: targetIndexes.length,
    budget: scope.affordable,
    random: randomWholes(scope.seed + 1),
    models: models.map(({ model, weight, side }): WalkModel => {
      const places = model.inputs.map((name) => names.indexOf(name));
      const endsOf = (at: 'before' | 'now', rows: Int32Array): Float64Array[] =>
        targetIndexes.map((i) =>
          Float64Array.from(rows, (row) => orZero(sides[i]![at][side]![row]!)),
        );
      return {
        weight,
        before: endsOf('before', pairs.before),
        now: endsOf('now', pairs.now),
        score: async (mixed, rows) => {
          const own = places.map((place) => mixed[place]!);
          const scores = await scorer.score(model, own, rows);
          return targetIndexes.map((i) => valuesOf(targets[i]!, scores));
        },
      };
    }),
  };
  const found = await walkCouples(walk);
  return targets.map((_, i) => {
    const at = targetIndexes.indexOf(i);
    if (at < 0) return [];
    const parts = partsOf(found[at]!, pairs.weights, {
      change: crossed[i]!.rows.change,
      copies: pairs.copies,
    });
    return players
      .map((player, p): FeaturePart => {
        const [first] = player;
        const cause =
          player.length > 1
            ? undefined
            : causeOf(whole.before[first!]!, whole.now[first!]!, {
                ...pairs,
                contributions: found[at]![p]!,
              });
        return {
          features: player.map((feature) => names[feature]!),
          ...parts[p]!,
          cause: cause ?? null,
        };
      })
      .sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  });
}

/** A row without a number on one side moves nothing: both sides would need one. */
function orZero(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}

/** The couples that the budget allows: those of the same key that differ, and others by chance. */
function pairsFor(
  { before, now, match, affordable, seed }: Scope,
  of: {
    readonly before: readonly SampleColumn[];
    readonly now: readonly SampleColumn[];
    readonly players: number;
    readonly models: number;
  },
): Pairs {
  const rows = { before: before.sample.hashes.length, now: now.sample.hashes.length };
  const cost = 2 * Math.max(1, of.players - 1) * of.models;
  const most = Math.max(LEAST_COUPLES, Math.floor(affordable / cost));
  const copies = Math.min(
    MOST_COPIES,
    Math.max(1, Math.floor(most / Math.max(rows.before, rows.now))),
  );
  const pairs = pairRows({ ...rows, match, copies, seed });
  const differing: number[] = [];
  for (let i = 0; i < pairs.weights.length; i++) {
    const [old, fresh] = [pairs.before[i]!, pairs.now[i]!];
    if (of.before.some((column, at) => !isSameRow(column, old, of.now[at]!, fresh)))
      differing.push(i);
  }
  const random = randomWholes(seed + 2);
  const order = Array.from(shuffled(differing.length, random), (i) => differing[i]!);
  const chosen = order.slice(0, most);
  const mass = (some: readonly number[]): number =>
    some.reduce((sum, i) => sum + pairs.weights[i]!, 0);
  const scale = chosen.length === 0 ? 1 : mass(differing) / mass(chosen);
  return {
    before: Int32Array.from(chosen, (i) => pairs.before[i]!),
    now: Int32Array.from(chosen, (i) => pairs.now[i]!),
    weights: Float64Array.from(chosen, (i) => pairs.weights[i]! * scale),
    copies: pairs.copies,
  };
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
