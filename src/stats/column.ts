/** The statistics of one column, of whatever kind, and of many columns. */
import { type CategorySketch, distinctTexts, mergeCategory } from './category.js';
import { mergeNumeric, type NumericSketch, numericRows } from './numeric.js';

/** The statistics of one column. */
export type Sketch = NumericSketch | CategorySketch;

/** What a column is to the job: fed to the model, kept beside the predictions, or a prediction. */
export type ColumnRole = 'feature' | 'kept' | 'output';

/** The statistics of one column under its name. */
export interface ColumnStatistics {
  readonly name: string;
  readonly role: ColumnRole;
  readonly sketch: Sketch;
}

/** The statistics of some rows: those that were scored. */
export interface Statistics {
  readonly rows: number;
  readonly columns: readonly ColumnStatistics[];
}

/** How many rows a column's statistics are of. */
export function sketchRows(sketch: Sketch): number {
  return sketch.kind === 'numeric' ? numericRows(sketch) : sketch.rows + sketch.nulls;
}

/** How many rows have no value: null or, in a column of numbers, not a number. */
export function missingRows(sketch: Sketch): number {
  return sketch.kind === 'numeric' ? sketch.nulls + sketch.nan : sketch.nulls;
}

/** How many different values there were: for buckets how many of these, for many texts an estimate. */
export function distinctValues(sketch: Sketch): number {
  return sketch.kind === 'numeric' ? sketch.points.length : distinctTexts(sketch);
}

/** The statistics of two sets of rows together. A column that is of numbers in one and of texts in the other has none. */
export function mergeStatistics(a: Statistics, b: Statistics): Statistics {
  const keyOf = ({ name, role }: ColumnStatistics): string => `${role} ${name}`;
  const columns = new Map(a.columns.map((column) => [keyOf(column), column]));
  for (const column of b.columns) {
    const known = columns.get(keyOf(column));
    if (known === undefined) columns.set(keyOf(column), column);
    else {
      const sketch = mergeSketches(known.sketch, column.sketch);
      if (sketch === undefined) columns.delete(keyOf(column));
      else columns.set(keyOf(column), { ...column, sketch });
    }
  }
  return { rows: a.rows + b.rows, columns: [...columns.values()] };
}

function mergeSketches(a: Sketch, b: Sketch): Sketch | undefined {
  if (a.kind === 'numeric') return b.kind === 'numeric' ? mergeNumeric(a, b) : undefined;
  return b.kind === 'category' ? mergeCategory(a, b) : undefined;
}
