/** The columns of fixtures/stats/truth.json: the same as fixtures/make/stats.py makes, to the bit. */
import { CategoryBuilder, type CategorySketch } from '../../src/stats/category.js';
import type { NumericSketch } from '../../src/stats/numeric.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';

/** How to make a column; the Python script says what the letters mean. */
export interface Recipe {
  readonly seed: number;
  readonly rows: number;
  readonly kind?: string;
  readonly a?: number;
  readonly b?: number;
  readonly float32?: boolean;
  readonly nulls?: number;
  readonly nan?: number;
  readonly above?: number;
  readonly below?: number;
  readonly values?: number;
  readonly power?: number;
  readonly first?: number;
}

/** Number `place` (from 0) of the generator (mulberry32) with a seed, from 0 to below 1. */
function uniform(seed: number, place: number): number {
  const state = (seed + Math.imul(place + 1, 0x6d2b79f5)) >>> 0;
  let t = Math.imul(state ^ (state >>> 15), state | 1);
  t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
  return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
}

function numberAt({ kind, seed, a = 0, b = 1 }: Recipe, row: number): number {
  if (kind === 'constant') return a;
  if (kind === 'bell') {
    let total = uniform(seed, 12 * row);
    for (let i = 1; i < 12; i++) total += uniform(seed, 12 * row + i);
    return a + (total - 6) * b;
  }
  const u = uniform(seed, row);
  switch (kind) {
    case 'uniform':
      return a + u * (b - a);
    case 'whole':
      return a + Math.floor(u * (b - a + 1));
    case 'skewed':
      return (a * u * u * u) / (b - u);
    case 'price':
      return Math.floor(((a * u * u) / (b - u)) * 100) / 100;
    case 'two':
      return u < b ? 0 : a;
    case 'outliers':
      return u < 0.001 ? 1e12 * (u + b) : a + u * b;
    default:
      throw new Error(`no such kind: ${kind}`);
  }
}

/** The statistics of a column of numbers. */
export function numericOf(recipe: Recipe): NumericSketch {
  const { rows, seed, nan = 0, above = 0, below = 0, nulls = 0 } = recipe;
  const builder = new NumericBuilder(recipe.float32 === true ? 'float32' : 'other');
  const batch = 65_536;
  for (let start = 0; start < rows; start += batch) {
    const length = Math.min(batch, rows - start);
    const values = recipe.float32 === true ? new Float32Array(length) : new Float64Array(length);
    const validity = new Uint8Array((length + 7) >> 3);
    for (let i = 0; i < length; i++) {
      values[i] = numberAt(recipe, start + i);
      const u = uniform(seed + 1_000_003, start + i);
      if (u < nan) values[i] = Number.NaN;
      else if (u < nan + above) values[i] = Number.POSITIVE_INFINITY;
      else if (u < nan + above + below) values[i] = Number.NEGATIVE_INFINITY;
      else if (u < nan + above + below + nulls) continue;
      validity[i >> 3]! |= 1 << (i & 7);
    }
    builder.add(values, { rows: length, validity });
  }
  return builder.finish();
}

/** The statistics of a column of texts. */
export function categoryOf({
  rows,
  seed,
  values = 1,
  power = 1,
  first = 0,
  nulls = 0,
}: Recipe): CategorySketch {
  const builder = new CategoryBuilder();
  const texts = Array.from({ length: rows }, (_, row) => {
    const u = uniform(seed, row);
    const raised = power === 1 ? u : power === 2 ? u * u : u * u * u;
    return uniform(seed + 1_000_003, row) < nulls
      ? null
      : `c${first + Math.floor(raised * values)}`;
  });
  builder.add(texts);
  return builder.finish();
}
