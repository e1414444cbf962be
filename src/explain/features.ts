/** What of the rows' part each feature has: couples of rows, scored on their way from the old to the new one. */
import type { Crossover, OrderWeights, Part, ScoredSide } from './crossover.js';
import { bringNearer } from './nearest.js';
import { type KeyMatch, type Pairs, pairRows } from './pairs.js';
import { type Cause, causeOf, playersOf } from './players.js';
import { randomWholes, shuffled } from './random.js';
import { isSameRow, pickRows, type Sample, type SampleColumn } from './sample.js';
import { partsOf, type Walk, type WalkModel, walkCouples } from './shapley.js';
import { type Scores, type Target, valuesOf } from './targets.js';

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

/** The part of one feature, or of several that go together. */
export interface FeaturePart extends Part {
  readonly features: readonly string[];
  readonly cause: Cause | null;
}

/** How often each row is in a couple at most. */
const MOST_COPIES = 2;
/** Fewer couples than these say nothing. */
const LEAST_COUPLES = 64;
/** Counts the rows that models score. */
export class CountedScorer {
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

/** What explaining the features of some targets needs. */
export interface FeaturesScope {
  readonly before: ExplainedSide;
  readonly now: ExplainedSide;
  readonly match: KeyMatch | undefined;
  readonly weights: OrderWeights;
  /** How many rows may be scored for it, about. */
  readonly affordable: number;
  readonly scorer: CountedScorer;
  /** By target: what models say of the samples as they are. */
  readonly sides: readonly { readonly before: ScoredSide; readonly now: ScoredSide }[];
  readonly targets: readonly Target[];
  readonly seed: number;
  readonly sameModel: boolean;
}

/** The columns of both samples that models take, by name. */
interface BothColumns {
  readonly names: readonly string[];
  readonly before: readonly SampleColumn[];
  readonly now: readonly SampleColumn[];
}

/** A model that is looked at, how much it counts, and which side of the crossover has what it says. */
interface CountedModel {
  readonly model: ExplainedModel;
  readonly weight: number;
  readonly side: 'old' | 'new';
}

/** The parts of the features, by target: the largest first; none of quantiles, which are no means over couples. */
export async function featureParts(
  scope: FeaturesScope,
  crossed: readonly Crossover[],
): Promise<FeaturePart[][]> {
  const { targets, match, weights, sameModel } = scope;
  const models: CountedModel[] = [
    { model: scope.before.model, weight: sameModel ? 1 : weights.old, side: 'old' as const },
    { model: scope.now.model, weight: sameModel ? 0 : weights.new, side: 'new' as const },
  ].filter(({ weight }) => weight > 0);
  const names = [...new Set(models.flatMap(({ model }) => model.inputs))];
  const of = ({ features }: Sample): SampleColumn[] =>
    names.map((name) => features.find((column) => column.name === name)!);
  const both = { names, before: of(scope.before.sample), now: of(scope.now.sample) };
  const isMatched = match !== undefined && match.went.length + match.came.length === 0;
  const players = playersOf({ ...both, match: isMatched ? match : undefined });
  const pairs = pairsFor(scope, both, { players: players.length, models: models.length });
  const indexes = targets.flatMap(({ measure }, i) => (measure === 'quantile' ? [] : [i]));
  const found = await walkCouples({
    ...walkOf(scope, both, { models, pairs, indexes }),
    players,
  });
  return targets.map((_, i) => {
    const at = indexes.indexOf(i);
    if (at < 0) return [];
    const whole = { change: crossed[i]!.rows.change, copies: pairs.copies };
    const parts = partsOf(found[at]!, pairs.weights, whole);
    return players
      .map((player, p): FeaturePart => {
        const cause = causeOfPlayer(player, both, { ...pairs, contributions: found[at]![p]! });
        return { features: player.map((feature) => names[feature]!), ...parts[p]!, cause };
      })
      .sort((a, b) => Math.abs(b.change) - Math.abs(a.change));
  });
}

function causeOfPlayer(
  player: readonly number[],
  { before, now }: BothColumns,
  couples: Parameters<typeof causeOf>[2],
): Cause | null {
  const [first] = player;
  if (player.length > 1) return null;
  return causeOf(before[first!]!, now[first!]!, couples) ?? null;
}

/** The way of the couples, for the targets at some indexes. */
function walkOf(
  { sides, targets, scorer, affordable, seed }: FeaturesScope,
  { names, before, now }: BothColumns,
  of: {
    readonly models: readonly CountedModel[];
    readonly pairs: Pairs;
    readonly indexes: readonly number[];
  },
): Omit<Walk, 'players'> {
  const { models, pairs, indexes } = of;
  return {
    before: before.map((column) => pickRows(column, pairs.before)),
    now: now.map((column) => pickRows(column, pairs.now)),
    weights: pairs.weights,
    targets: indexes.length,
    budget: affordable,
    random: randomWholes(seed + 1),
    models: models.map(({ model, weight, side }): WalkModel => {
      const places = model.inputs.map((name) => names.indexOf(name));
      const endsOf = (at: 'before' | 'now', rows: Int32Array): Float64Array[] =>
        indexes.map((i) => Float64Array.from(rows, (row) => orZero(sides[i]![at][side]![row]!)));
      return {
        weight,
        before: endsOf('before', pairs.before),
        now: endsOf('now', pairs.now),
        score: async (mixed, rows) => {
          const own = places.map((place) => mixed[place]!);
          const scores = await scorer.score(model, own, rows);
          return indexes.map((i) => valuesOf(targets[i]!, scores));
        },
      };
    }),
  };
}

/** A row without a number on one side moves nothing: both sides would need one. */
function orZero(value: number): number {
  return Number.isNaN(value) ? 0 : value;
}

/** The couples that the budget allows: those of the same key that differ, and others by chance. */
function pairsFor(
  { before, now, match, affordable, seed }: FeaturesScope,
  both: BothColumns,
  of: { readonly players: number; readonly models: number },
): Pairs {
  const rows = { before: before.sample.hashes.length, now: now.sample.hashes.length };
  const cost = 2 * Math.max(1, of.players - 1) * of.models;
  const most = Math.max(LEAST_COUPLES, Math.floor(affordable / cost));
  const copies = Math.min(
    MOST_COPIES,
    Math.max(1, Math.floor(most / Math.max(rows.before, rows.now))),
  );
  const pairs = pairRows({ ...rows, match, copies, seed });
  bringNearer({ ...pairs, first: match?.before.length ?? 0 }, both, seed + 3);
  const differing: number[] = [];
  for (let i = 0; i < pairs.weights.length; i++) {
    const [old, fresh] = [pairs.before[i]!, pairs.now[i]!];
    if (both.before.some((column, at) => !isSameRow(column, old, both.now[at]!, fresh)))
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
