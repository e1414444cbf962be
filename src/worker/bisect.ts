/** Finds the rows on which a model fails, by halving. */
import type { TypedArray } from '../base/columns.js';
import { ScorelineError } from '../base/errors.js';
import type { TensorValues } from '../base/onnx.js';
import { type InferenceOptions, ModelFailed, runModel } from './model-run.js';
import type { BadRow } from './quarantine.js';

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
 * The rows on which the model fails by themselves, found by halving: for one of n at most 2 log2(n) + 1 calls. Throws the error of
 * the batch where no single row is to blame, or none that was tried can be scored.
 */
export async function failingRows(
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

/** The rows from `start` to `end` of what feeds a batch, `sent` in all: rows past the last one (of a fixed batch) repeat it. */
export function rowsOf(
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
