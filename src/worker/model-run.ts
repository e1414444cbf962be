/** Calls the model, and holds every output to one row for each row. */
import type { Arena, TypedArray } from '../base/columns.js';
import type { ElementType } from '../base/elements.js';
import { ScorelineError, shown } from '../base/errors.js';
import { float16Numbers } from '../base/float16.js';
import { runtimeMessage, type Session, starvation, type TensorValues } from '../base/onnx.js';
import type { OutputBinding } from '../plan/predictions.js';
import type { InputBinding } from '../plan/signature.js';
import type { LoadedTrees } from './trees-load.js';

/** The values of one model output: `width` elements a row, row-major. */
export interface OutputColumn {
  readonly element: ElementType;
  readonly width: number;
  readonly values: TypedArray | string[];
}

/** How a model is to be run. */
export interface InferenceOptions {
  readonly session: Pick<Session, 'run'>;
  /** The engine for tree ensembles, where it alone runs the model: it takes columns as they are. */
  readonly trees?: LoadedTrees | undefined;
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

/** The model refused a batch: its rows may be to blame. */
export class ModelFailed extends ScorelineError {
  /** What it said. */
  readonly said: string;

  constructor(shownAs: string, cause: unknown) {
    const said = runtimeMessage(cause);
    super('model', `model ${shownAs}: ${said}`, { cause });
    this.said = said;
  }
}

/** The engine for trees failed, which is no fault of a row's. */
export class TreesFailed extends Error {
  constructor(cause: unknown) {
    super(cause instanceof Error ? cause.message : String(cause), { cause });
  }
}

/** Scores `rows` rows, of `sent` that the model gets. Throws `ModelFailed`, or `model` when an output has not a row for each. */
export async function runModel(
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
    if (error instanceof TreesFailed) throw error;
    // No row is set aside because memory was short.
    throw starvation(error, `model ${options.shownAs}`) ?? new ModelFailed(options.shownAs, error);
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
