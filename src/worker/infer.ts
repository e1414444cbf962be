/** Runs the model over feature batches, on a fixed grid, and holds every output to one row for each row. */
import { type Arena, type Column, columnOf, type TypedArray } from '../base/columns.js';
import type { ElementType } from '../base/elements.js';
import { ScorelineError, shown } from '../base/errors.js';
import { float16Numbers } from '../base/float16.js';
import { runtimeMessage, type Session, type TensorValues } from '../base/onnx.js';
import type { OutputBinding } from '../plan/predictions.js';
import type { InputBinding } from '../plan/signature.js';
import type { FeatureBatch } from './features.js';
import type { BadRow } from './quarantine.js';

/** The values of one model output: `width` elements a row, row-major. */
export interface OutputColumn {
  readonly element: ElementType;
  readonly width: number;
  readonly values: TypedArray | string[];
}

/** What the model said of a batch. The rows in `bad` hold nothing of meaning. */
export interface ScoredBatch {
  /** By output name; empty when no row of the batch could be scored. */
  readonly outputs: ReadonlyMap<string, OutputColumn>;
  readonly bad: readonly BadRow[];
}

/** How a model is to be run. */
export interface InferenceOptions {
  readonly session: Session;
  readonly shownAs: string;
  readonly inputs: readonly InputBinding[];
  readonly outputs: readonly OutputBinding[];
  /** The batch size the model insists on; undefined when it takes any. */
  readonly fixedBatch: number | undefined;
  readonly nonFinite: 'quarantine' | 'keep';
  /** Where the model's inputs are laid out. */
  readonly arena: Arena;
  /** Called before each call of the model, so that a hanging one can be told from a slow task. */
  readonly onAlive: () => void;
}

/** What a batch is allowed to cost. */
export interface BatchLimits {
  /** How many more rows may be set aside. */
  readonly allowed: number;
  /** Whether any row of the task was scored before. */
  readonly anyScored: boolean;
  /** Names a row of the batch for a person. */
  readonly place: (row: number) => string;
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
  const sent = options.fixedBatch ?? rows;
  const feeds = feedsOf(options, features, rows, badRows);
  const failing: BadRow[] = [];
  let outputs: Map<string, OutputColumn>;
  try {
    outputs = await runModel(options, feeds, sent, rows);
  } catch (error) {
    if (!(error instanceof ModelFailed)) throw error;
    failing.push(...(await failingRows(options, feeds, rows, { ...limits, error })));
    // The rows that were bad before hold copies of others: they fail where those do.
    const blamed = failing.filter(({ row }) => !badRows.has(row));
    for (const { row } of blamed) badRows.add(row);
    failing.splice(0, failing.length, ...blamed);
    if (badRows.size === rows) return { outputs: new Map(), bad: merged(features.bad, failing) };
    outputs = await runModel(options, feedsOf(options, features, rows, badRows), sent, rows);
  }
  const bad =
    options.nonFinite === 'keep' ? [] : nonFiniteRows(options.outputs, outputs, rows, badRows);
  return { outputs, bad: merged(features.bad, failing, bad) };
}

function merged(...bad: (readonly BadRow[])[]): BadRow[] {
  return bad.flat().sort((a, b) => a.row - b.row);
}

/** The model refused a batch: its rows may be to blame. */
class ModelFailed extends ScorelineError {
  /** What it said. */
  readonly said: string;

  constructor(shownAs: string, cause: unknown) {
    const said = runtimeMessage(cause);
    super('model', `model ${shownAs}: ${said}`, { cause });
    this.said = said;
  }
}

/**
 * The rows on which the model fails by themselves, found by halving: for one of n at most 2 log2(n) + 1 calls. Throws the error of
 * the batch where no single row is to blame, or none that was tried can be scored.
 */
async function failingRows(
  options: InferenceOptions,
  feeds: ReadonlyMap<string, TensorValues>,
  rows: number,
  { allowed, anyScored, place, error }: BatchLimits & { readonly error: ModelFailed },
): Promise<BadRow[]> {
  const found: BadRow[] = [];
  let anyPassed = anyScored;
  /** What the model says of the rows from `start` to `end` alone; undefined when it scores them. */
  const failure = async (start: number, end: number): Promise<ModelFailed | undefined> => {
    const sent = options.fixedBatch ?? end - start;
    try {
      await runModel(options, rowsOf(feeds, start, end, { rows, sent }), sent, end - start);
      anyPassed = true;
      return undefined;
    } catch (caught) {
      if (!(caught instanceof ModelFailed)) throw caught;
      return caught;
    }
  };
  /** Ranges that fail; `tried` says that the range itself has been tried. */
  const search = async (
    start: number,
    end: number,
    tried: ModelFailed | undefined,
  ): Promise<void> => {
    if (end - start === 1) {
      const why = tried ?? (await failure(start, end));
      // It passes alone: something else was wrong with the batch.
      if (why === undefined) throw error;
      found.push({ row: start, reason: 'model_failed', column: '', detail: why.said });
      if (found.length > allowed) throw anyPassed ? tooMany(found, allowed, place) : error;
      return;
    }
    const middle = (start + end) >> 1;
    const left = await failure(start, middle);
    if (left === undefined) return search(middle, end, undefined);
    const right = await failure(middle, end);
    await search(start, middle, left);
    if (right !== undefined) await search(middle, end, right);
  };
  await search(0, rows, rows === 1 ? error : undefined);
  return found;
}

function tooMany(
  found: readonly BadRow[],
  allowed: number,
  place: (row: number) => string,
): ScorelineError {
  const [first] = found;
  return new ScorelineError(
    'gate',
    `quarantine.max: the model fails on more rows than may be set aside (${Math.max(0, allowed)} more); the first: ${place(first?.row ?? 0)}: ${first?.detail ?? ''}`,
  );
}

/** The rows from `start` to `end` of what feeds a batch; rows past the last one (of a fixed batch) repeat it. */
function rowsOf(
  feeds: ReadonlyMap<string, TensorValues>,
  start: number,
  end: number,
  { rows, sent }: { readonly rows: number; readonly sent: number },
): Map<string, TensorValues> {
  const count = end - start;
  return new Map(
    [...feeds].map(([name, { element, shape, values }]) => {
      const width = values.length / (shape[0] ?? rows);
      const part = values.slice(start * width, end * width);
      const last = values.slice((end - 1) * width, end * width);
      const padding = sent - count;
      return [
        name,
        { element, shape: [sent, ...shape.slice(1)], values: padded(part, last, padding) },
      ];
    }),
  );
}

function padded(
  values: TypedArray | string[],
  last: TypedArray | string[],
  times: number,
): TypedArray | string[] {
  if (times === 0) return values;
  if (Array.isArray(values))
    return [...values, ...Array.from({ length: times }, () => last).flat()] as string[];
  const width = last.length;
  const target = values.constructor as new (length: number) => TypedArray;
  const all = new target(values.length + times * width);
  all.set(values as never);
  for (let copy = 0; copy < times; copy++) all.set(last as never, values.length + copy * width);
  return all;
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

function sameBits(a: OutputColumn['values'], b: OutputColumn['values'], length: number): boolean {
  for (let i = 0; i < length; i++) if (!Object.is(a[i], b[i])) return false;
  return true;
}

/** The model's inputs, row-major; bad rows hold a copy of a good one, so that they change nothing for the others. */
function feedsOf(
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

async function runModel(
  options: InferenceOptions,
  feeds: ReadonlyMap<string, TensorValues>,
  sent: number,
  rows: number,
): Promise<Map<string, OutputColumn>> {
  const widths = new Map(options.outputs.map(({ output, width }) => [output, width]));
  options.onAlive();
  let results: Map<string, TensorValues>;
  try {
    results = await options.session.run(feeds, [...widths.keys()]);
  } catch (error) {
    throw new ModelFailed(options.shownAs, error);
  }
  const outputs = new Map<string, OutputColumn>();
  for (const [name, { element, shape, values }] of results) {
    const problem = outputProblem(shape, sent, widths.get(name) ?? 1);
    if (problem !== undefined) {
      throw new ScorelineError(
        'model',
        `model ${options.shownAs}: output "${shown(name)}" ${problem}`,
      );
    }
    const width = widths.get(name) ?? 1;
    const own = values.length === rows * width ? values : values.slice(0, rows * width);
    outputs.set(
      name,
      element === 'float16'
        ? { element: 'float32', width, values: float16ToFloat32(own) }
        : { element, width, values: own },
    );
  }
  return outputs;
}

/** The bits of float16 as the numbers that they are. */
function float16ToFloat32(bits: TypedArray | string[]): Float32Array {
  const numbers = float16Numbers();
  return Float32Array.from(bits as Uint16Array, (each) => numbers[each]!);
}

/** What is wrong with an output's shape for `rows` rows of `width` elements each. */
export function outputProblem(
  shape: readonly number[],
  rows: number,
  width: number,
): string | undefined {
  if (shape.length === 0 || shape[0] !== rows) {
    return `has shape [${shape.join(', ')}] for ${rows} rows: a model must give one row for each`;
  }
  const got = shape.slice(1).reduce((product, size) => product * size, 1);
  return got === width ? undefined : `has ${got} elements a row, not ${width}`;
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
