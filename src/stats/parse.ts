/** Reads stored statistics, and takes nothing that statistics could not be. */
import * as z from 'zod';
import { compareText } from '../base/hash.js';
import { type CategorySketch, EXACT_TEXTS, HASHES, SAMPLED_TEXTS } from './category.js';
import type { Sketch, Statistics } from './column.js';
import { floatOfOrder, GREATEST_WHOLE, MOST_PLACES, STATISTICS_FORMAT } from './encode.js';
import { EXACT_NUMBERS, type NumericSketch, type Points } from './numeric.js';
import { unpackWholes } from './varints.js';

const count = z.int().nonnegative();

const numericSchema = z.strictObject({
  kind: z.literal('numeric'),
  name: z.string(),
  role: z.enum(['feature', 'kept', 'output']),
  nulls: count,
  nan: count,
  infinite: z.tuple([count, count]),
  zeros: count,
  range: z.tuple([z.number(), z.number()]).nullable(),
  mean: z.tuple([z.number(), z.number()]),
  squares: z.number().nonnegative().nullable(),
  points: z.discriminatedUnion('as', [
    z.strictObject({ as: z.literal('buckets'), packed: z.string() }),
    z.strictObject({
      as: z.literal('decimals'),
      places: z.int().min(0).max(MOST_PLACES),
      packed: z.string(),
    }),
    z.strictObject({ as: z.literal('float32'), packed: z.string() }),
    z.strictObject({ as: z.literal('float64'), packed: z.string() }),
  ]),
  counts: z.string(),
});

const categorySchema = z.strictObject({
  kind: z.literal('category'),
  name: z.string(),
  role: z.enum(['feature', 'kept', 'output']),
  nulls: count,
  rows: count,
  empty: count,
  lengths: z.tuple([count, count, count]).nullable(),
  bound: count.nullable(),
  texts: z.array(z.string()).max(EXACT_TEXTS),
  counts: z.string(),
});

const statisticsSchema = z.strictObject({
  format: z.literal(STATISTICS_FORMAT),
  rows: count,
  columns: z.array(z.discriminatedUnion('kind', [numericSchema, categorySchema])),
});

/** The statistics that a JSON value holds; undefined when it is none of this format, or damaged. */
export function parseStatistics(value: unknown): Statistics | undefined {
  const parsed = statisticsSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { rows, columns } = parsed.data;
  const found: Statistics['columns'][number][] = [];
  for (const column of columns) {
    const sketch = column.kind === 'numeric' ? numericOf(column) : categoryOf(column);
    if (sketch === undefined) return undefined;
    found.push({ name: column.name, role: column.role, sketch });
  }
  return { rows, columns: found };
}

function numericOf(stored: z.infer<typeof numericSchema>): Sketch | undefined {
  const counted = pointsOf(stored.points);
  const counts = unpackWholes(stored.counts);
  if (counted === undefined || !areCounts(counts, counted.points.length)) return undefined;
  const rows = counts.reduce((sum, each) => sum + each, 0);
  const [min, max] = stored.range ?? [];
  const [below, above] = stored.infinite;
  const sketch: NumericSketch = {
    kind: 'numeric',
    nulls: stored.nulls,
    nan: stored.nan,
    negativeInfinite: below,
    positiveInfinite: above,
    zeros: stored.zeros,
    min,
    max,
    moments: {
      count: rows,
      mean: stored.mean[0],
      meanRest: stored.mean[1],
      squares: stored.squares ?? Number.POSITIVE_INFINITY,
    },
    ...counted,
    counts: Float64Array.from(counts),
  };
  const hasRange = min !== undefined && max !== undefined && min <= max;
  return rows > 0 === hasRange && stored.zeros <= rows ? sketch : undefined;
}

function areCounts(counts: number[] | undefined, length: number): counts is number[] {
  return counts !== undefined && counts.length === length && counts.every((each) => each > 0);
}

type StoredPoints = z.infer<typeof numericSchema>['points'];

function pointsOf(stored: StoredPoints): Omit<Points, 'counts'> | undefined {
  const points = numbersOf(stored);
  if (points === undefined || points.some((value, i) => i > 0 && value <= points[i - 1]!)) {
    return undefined;
  }
  if (stored.as === 'buckets') {
    const isBucket = points.every((bucket) => bucket >= 0x80 && bucket < 0xff80);
    return isBucket ? { resolution: 'bucket', points } : undefined;
  }
  const isNumber = points.every(Number.isFinite) && points.length <= EXACT_NUMBERS;
  return isNumber ? { resolution: 'exact', points } : undefined;
}

function numbersOf(stored: StoredPoints): Float64Array | undefined {
  if (stored.as === 'float64') {
    const bytes = Buffer.from(stored.packed, 'base64');
    if (bytes.toString('base64') !== stored.packed || bytes.length % 8 !== 0) return undefined;
    return Float64Array.from({ length: bytes.length / 8 }, (_, i) => bytes.readDoubleLE(8 * i));
  }
  const wholes = unpackRising(stored.packed);
  if (stored.as === 'decimals') return wholes?.map((whole) => whole / 10 ** stored.places);
  return stored.as === 'float32' ? wholes?.map(floatOfOrder) : wholes;
}

function unpackRising(packed: string): Float64Array | undefined {
  const steps = unpackWholes(packed);
  if (steps === undefined) return undefined;
  const values = new Float64Array(steps.length);
  for (let i = 0; i < steps.length; i++) {
    const step = steps[i]!;
    if (i > 0) values[i] = values[i - 1]! + step;
    else values[i] = step % 2 === 0 ? step / 2 : -(step + 1) / 2;
    if (Math.abs(values[i]!) > GREATEST_WHOLE) return undefined;
  }
  return values;
}

function categoryOf(stored: z.infer<typeof categorySchema>): Sketch | undefined {
  const { nulls, rows, empty, lengths, texts } = stored;
  const bound = stored.bound ?? HASHES;
  const counts = unpackWholes(stored.counts);
  if (!areCounts(counts, texts.length)) return undefined;
  const sum = counts.reduce((total, each) => total + each, 0);
  const isSample = bound < HASHES;
  const isWhole = isSample ? texts.length === SAMPLED_TEXTS && sum <= rows : sum === rows;
  const isRising = texts.every((text, i) => i === 0 || compareText(texts[i - 1]!, text) < 0);
  if (!isWhole || !isRising || empty > rows || (lengths !== null) !== rows > 0) return undefined;
  const [shortest, longest, length = 0] = lengths ?? [];
  const sketch: CategorySketch = {
    kind: 'category',
    nulls,
    rows,
    empty,
    shortest,
    longest,
    length,
    bound,
    texts,
    counts: Float64Array.from(counts),
  };
  return sketch;
}
