/** Runs the model over feature batches, on a fixed grid, and holds every output to one row for each row. */
import { type Arena, type Column, columnOf, type TypedArray } from '../base/columns.js';
import type { ElementType } from '../base/elements.js';
import type { TensorValues } from '../base/onnx.js';
import type { OutputBinding } from '../plan/predictions.js';
import { type BatchLimits, failingRows } from './bisect.js';
import type { FeatureBatch } from './features.js';
import { type InferenceOptions, ModelFailed, type OutputColumn, runModel } from './model-run.js';
import type { BadRow } from './quarantine.js';
import { scoreColumns } from './trees.js';

/** What the model said of a batch. The rows in `bad` hold nothing of meaning. */
export interface ScoredBatch {
  /** By output name; empty when no row of the batch could be scored. */
  readonly outputs: ReadonlyMap<string, OutputColumn>;
  readonly bad: readonly BadRow[];
}

/**
 * Scores a batch of `rows` rows. Where the model fails, the rows to blame are found by halving, and set aside. Throws
 * `model` when the model fails on all rows or for another reason than a row, or its outputs do not have a row for each; `gate`
 * when it fails on more rows than are allowed.
 */
export async function inferBatch(
  options: InferenceOptions,
  features: FeatureBatch,
  rows: number,
  limits: BatchLimits,
): Promise<ScoredBatch> {
  const badRows = new Set(features.bad.map(({ row }) => row));
  if (badRows.size === rows) return { outputs: new Map(), bad: features.bad };
  if (options.trees !== undefined) {
    const outputs = scoreColumns(options, options.trees, features, rows);
    return { outputs, bad: merged(features.bad, badScores(options, outputs, rows, badRows)) };
  }
  const sent = options.fixedBatch ?? rows;
  const feeds = feedsOf(options, features, rows, badRows);
  let failing: BadRow[] = [];
  let outputs: Map<string, OutputColumn>;
  try {
    outputs = await runModel(options, feeds, sent, rows);
  } catch (error) {
    if (!(error instanceof ModelFailed)) throw error;
    const found = await failingRows(options, feeds, rows, { ...limits, error });
    // A row that was bad before holds a copy of another, and fails where that does.
    failing = found.filter(({ row }) => !badRows.has(row));
    for (const { row } of failing) badRows.add(row);
    if (badRows.size === rows) return { outputs: new Map(), bad: merged(features.bad, failing) };
    outputs = await runModel(options, feedsOf(options, features, rows, badRows), sent, rows);
  }
  const bad = badScores(options, outputs, rows, badRows);
  return { outputs, bad: merged(features.bad, failing, bad) };
}

function badScores(
  options: InferenceOptions,
  outputs: ReadonlyMap<string, OutputColumn>,
  rows: number,
  badRows: ReadonlySet<number>,
): BadRow[] {
  return options.nonFinite === 'keep' ? [] : nonFiniteRows(options.outputs, outputs, rows, badRows);
}

function merged(...bad: (readonly BadRow[])[]): BadRow[] {
  return bad.flat().sort((a, b) => a.row - b.row);
}

/**
 * Whether the first rows of a batch score otherwise when they are alone: true for models whose rows depend on
 * their neighbours (dynamic quantisation, batch statistics). undefined where it cannot be tried.
 */
export async function dependsOnBatch(
  options: InferenceOptions,
  features: FeatureBatch,
  rows: number,
  scored: ScoredBatch,
): Promise<boolean | undefined> {
  const few = Math.min(256, Math.floor(rows / 2));
  if (few === 0 || options.fixedBatch !== undefined || features.bad.some(({ row }) => row < few))
    return undefined;
  const feeds = feedsOf(options, features, few, new Set());
  const alone = await runModel(options, feeds, few, few);
  return [...alone].some(([name, { values, width }]) => {
    const together = scored.outputs.get(name)?.values;
    return together !== undefined && !sameBits(values, together, few * width);
  });
}

/** Whether the model says something else of a batch a second time: it draws random numbers, whatever its operators are. */
export async function differsAgain(
  options: InferenceOptions,
  features: FeatureBatch,
  rows: number,
  scored: ScoredBatch,
): Promise<boolean> {
  if (options.trees !== undefined || scored.outputs.size === 0) return false;
  // The rows that were copies of others before.
  const bad = scored.bad.filter(({ reason }) => reason !== 'non_finite_score');
  const feeds = feedsOf(options, features, rows, new Set(bad.map(({ row }) => row)));
  const again = await runModel(options, feeds, options.fixedBatch ?? rows, rows);
  return [...again].some(
    ([name, { values }]) => !sameBits(values, scored.outputs.get(name)!.values, values.length),
  );
}

function sameBits(a: OutputColumn['values'], b: OutputColumn['values'], length: number): boolean {
  for (let i = 0; i < length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** The model's inputs, row-major; bad rows hold a copy of a good one, so that they change nothing for the others. */
export function feedsOf(
  options: InferenceOptions,
  features: FeatureBatch,
  rows: number,
  badRows: ReadonlySet<number>,
): Map<string, TensorValues> {
  const sent = options.fixedBatch ?? rows;
  const feeds = new Map<string, TensorValues>();
  let index = 0;
  for (const { name, element, rank, columns, list } of options.inputs) {
    const type = element === 'float16' ? 'uint16' : element;
    const sources = columns.map(() => columnOf(features.batch, index++, type));
    for (const source of sources) fillBadRows(source, rows, badRows);
    const values = sources.map((source) => source.values);
    if (list !== undefined) {
      const width = sources[0]!.list!.width;
      const sizes = list.map((size) => size ?? width);
      feeds.set(name, {
        element,
        shape: [sent, ...sizes],
        values: listRows(values[0]!, type, { rows, sent, width }, options.arena),
      });
      continue;
    }
    feeds.set(name, {
      element,
      shape: rank === 1 ? [sent] : [sent, columns.length],
      values: rowMajor(values, type, rows, sent, options.arena),
    });
  }
  return feeds;
}

function fillBadRows({ values, list }: Column, rows: number, badRows: ReadonlySet<number>): void {
  if (badRows.size === 0) return;
  const width = list?.width ?? 1;
  let good = 0;
  while (badRows.has(good)) good++;
  for (let row = 0; row < rows; row++) {
    if (badRows.has(row)) values.copyWithin(row * width, good * width, (good + 1) * width);
    else good = row;
  }
}

/** Rows of lists, which are row-major already; rows past the last one (of a fixed batch) repeat it. */
function listRows(
  source: TypedArray | (string | null)[],
  element: ElementType,
  { rows, sent, width }: { rows: number; sent: number; width: number },
  arena: Arena,
): TypedArray | string[] {
  if (Array.isArray(source)) {
    const last = source.slice((rows - 1) * width, rows * width);
    const texts = source.slice(0, rows * width).map((text) => text ?? '');
    for (let row = rows; row < sent; row++) texts.push(...last.map((text) => text ?? ''));
    return texts;
  }
  if (source.length === sent * width) return source;
  const target = arena.array(element, sent * width);
  target.set(source.subarray(0, rows * width) as never);
  for (let row = rows; row < sent; row++)
    target.copyWithin(row * width, (rows - 1) * width, rows * width);
  return target;
}

/** Columns to rows; rows past the last one (of a fixed batch) repeat it. */
function rowMajor(
  sources: readonly (TypedArray | (string | null)[])[],
  element: ElementType,
  rows: number,
  sent: number,
  arena: Arena,
): TypedArray | string[] {
  const width = sources.length;
  if (element === 'utf8') {
    const texts: string[] = [];
    for (let row = 0; row < sent; row++) {
      for (const source of sources) texts.push(String(source[Math.min(row, rows - 1)] ?? ''));
    }
    return texts;
  }
  const target = arena.array(element, sent * width);
  if (target instanceof Float32Array) {
    transpose(sources as Float32Array[], target, rows);
  } else {
    sources.forEach((source, column) => {
      for (let row = 0; row < rows; row++) target[row * width + column] = source[row]! as never;
    });
  }
  for (let row = rows; row < sent; row++)
    target.copyWithin(row * width, (rows - 1) * width, rows * width);
  return target;
}

/** Rows that are transposed at a time, so that source and target stay in the first cache. */
const TRANSPOSE_ROWS = 256;

function transpose(sources: readonly Float32Array[], target: Float32Array, rows: number): void {
  const width = sources.length;
  for (let start = 0; start < rows; start += TRANSPOSE_ROWS) {
    const end = Math.min(rows, start + TRANSPOSE_ROWS);
    for (let column = 0; column < width; column++) {
      const source = sources[column]!;
      for (let row = start, at = start * width + column; row < end; row++, at += width) {
        target[at] = source[row]!;
      }
    }
  }
}

/** The rows of which a score is NaN or infinite, among those that are not bad already. */
function nonFiniteRows(
  bindings: readonly OutputBinding[],
  outputs: ReadonlyMap<string, OutputColumn>,
  rows: number,
  badRows: ReadonlySet<number>,
): BadRow[] {
  const found = new Map<number, string>();
  for (const { column, output, index } of bindings) {
    const { values, width } = outputs.get(output)!;
    if (!(values instanceof Float32Array || values instanceof Float64Array)) continue;
    const [from, to] = index === undefined ? [0, width] : [index, index + 1];
    for (let row = 0; row < rows; row++) {
      for (let at = row * width + from; at < row * width + to; at++) {
        if (!Number.isFinite(values[at]) && !badRows.has(row) && !found.has(row))
          found.set(row, column);
      }
    }
  }
  return [...found].map(([row, column]) => ({ row, reason: 'non_finite_score', column }));
}
