/** Samples and models that are made up, to explain. */
import { type Explained, type ExplainedChange, explainChanges } from '../../src/explain/explain.js';
import type { ExplainedModel } from '../../src/explain/features.js';
import { HASHES, numbersOf, type Sample, type SampleColumn } from '../../src/explain/sample.js';
import type { Target } from '../../src/explain/targets.js';

/** Columns by name: numbers (null is not a number), or texts. */
export type Columns = Record<string, readonly (number | string | null)[]>;

/** A column of a sample. */
export function columnOf(name: string, values: Columns[string]): SampleColumn {
  if (values.some((value) => typeof value === 'string'))
    return {
      name,
      element: 'utf8',
      width: 1,
      values: values.map((v) => (v === null ? null : String(v))),
    };
  const numbers = Float64Array.from(values, (value) =>
    value === null ? Number.NaN : Number(value),
  );
  return { name, element: 'float64', width: 1, values: numbers };
}

/** A sample of some columns; `keys` are hashes in rising order. Without any, rows have none. */
export function sampleOf(
  columns: Columns,
  options: { keys?: readonly number[]; rows?: number; kept?: Columns; bound?: number } = {},
): Sample {
  const length = Object.values(columns)[0]!.length;
  const { keys, rows = length, kept = {}, bound = HASHES } = options;
  return {
    rows,
    key: keys === undefined ? null : 'id',
    bound,
    hashes: Float64Array.from({ length }, (_, i) => keys?.[i] ?? i * 1000),
    features: Object.entries(columns).map(([name, values]) => columnOf(name, values)),
    kept: Object.entries(kept).map(([name, values]) => columnOf(name, values)),
  };
}

/** A model that gives `score` for the numbers of each row. */
export function modelOf(
  id: string,
  inputs: readonly string[],
  score: (...values: number[]) => number,
): ExplainedModel {
  return {
    id,
    inputs,
    score: async (columns, rows) => {
      const numbers = columns.map(numbersOf);
      const scores = Float64Array.from({ length: rows }, (_, row) =>
        score(...numbers.map((values) => values[row]!)),
      );
      return new Map([['score', scores]]);
    },
  };
}

/** The mean of `score`. */
export const MEAN: Target = {
  column: 'score',
  measure: 'mean',
  share: null,
  label: null,
  before: null,
  now: null,
};

/** Explains, and takes it for granted that it can be done. */
export async function explained(
  before: { sample: Sample; model: ExplainedModel },
  now: { sample: Sample; model: ExplainedModel },
  targets: readonly Target[] = [MEAN],
  budget = 1e6,
): Promise<Explained> {
  const found = await explainChanges(before, now, {
    targets,
    budget: () => budget,
    clock: () => 0,
  });
  if (typeof found === 'string') throw new Error(found);
  return found;
}

/** Rows of a standard normal distribution, of which a feature may be moved. */
export function normals(
  random: { next(): number },
  rows: number,
): Record<'a' | 'b' | 'c', number[]> {
  const normal = (): number =>
    Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
  const column = (): number[] => Array.from({ length: rows }, normal);
  return { a: column(), b: column(), c: column() };
}

/** The columns with a number added to one of them. */
export function shifted(columns: Columns, name: string, by: number): Columns {
  return { ...columns, [name]: columns[name]!.map((value) => Number(value) + by) };
}

/** A linear model of `a`, `b` and `c`. */
export const LINEAR: ExplainedModel = modelOf(
  'linear',
  ['a', 'b', 'c'],
  (a, b, c) => 2 * a - b + 0.5 * c + 3,
);

/** The first change that was explained. */
export function changeOf(found: Explained): ExplainedChange {
  return found.changes[0]!;
}

/** What the features and the model add to it, together. */
export function sumOfAll(found: Explained): number {
  const { features, crossover } = changeOf(found);
  return features.reduce((sum, { change }) => sum + change, crossover.model.change);
}
