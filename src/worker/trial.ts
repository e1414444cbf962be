/** A trial run of a model on made-up rows: exports declare wrong shapes, or none. */
import { newArray } from '../base/columns.js';
import { runtimeMessage, type Session, type TensorSpec, type TensorValues } from '../base/onnx.js';
import { type OutputFacts, WIDTH_UNKNOWN } from '../plan/predictions.js';
import { outputProblem } from './model-run.js';

const TRIAL_ROWS = 2;

/** The outputs of a model as a run on rows of zeros gives them; as declared, where the model refuses such rows. `onTrial` is called before the model runs. */
export async function trial(
  session: Session,
  columns: number | undefined,
  onTrial: () => void,
): Promise<OutputFacts[]> {
  const tensors = session.outputs.filter(({ element }) => element !== undefined);
  const rows =
    session.inputs.map(({ shape }) => shape[0]).find((size) => typeof size === 'number') ??
    TRIAL_ROWS;
  const feeds = trialFeeds(session.inputs, rows, columns);
  let results = new Map<string, TensorValues>();
  let refusal: string | undefined;
  if (feeds !== undefined && tensors.length > 0) {
    try {
      onTrial();
      results = await session.run(
        feeds,
        tensors.map(({ name }) => name),
      );
    } catch (error) {
      // Zeros need not be valid input for a model: what it declares has to do, if it does.
      refusal = runtimeMessage(error);
    }
  }
  const wider = await withTwoColumns(session, results, rows, columns);
  return session.outputs.map((spec) => {
    const facts = outputFacts(spec, results.get(spec.name), rows);
    const width = widthOf(wider.get(spec.name)?.shape ?? []);
    if (width !== undefined && width !== facts.width) return { ...facts, follows: true };
    if (facts.width !== undefined || facts.element === undefined || refusal === undefined)
      return facts;
    return { ...facts, problem: `${WIDTH_UNKNOWN}, and a trial run failed: ${refusal}` };
  });
}

/**
 * What the outputs that declare no width are where a row has two columns instead of one: a single column may hold lists of
 * any length. Empty where no size is open, or the model refuses them.
 */
async function withTwoColumns(
  session: Session,
  results: ReadonlyMap<string, TensorValues>,
  rows: number,
  columns: number | undefined,
): Promise<Map<string, TensorValues>> {
  const open = session.outputs
    .filter(({ name, shape }) => results.has(name) && widthOf(shape) === undefined)
    .map(({ name }) => name);
  const isOpen = session.inputs.some(({ shape }) => typeof shape[1] === 'string');
  const feeds = trialFeeds(session.inputs, rows, 2);
  if (columns !== 1 || open.length === 0 || !isOpen || feeds === undefined) return new Map();
  try {
    return await session.run(feeds, open);
  } catch {
    // It was made for one column.
    return new Map();
  }
}

function outputFacts(
  spec: TensorSpec,
  result: TensorValues | undefined,
  rows: number,
): OutputFacts {
  const { name, element, labels } = spec;
  const shape = result?.shape ?? spec.shape;
  const known = result !== undefined || labels === undefined ? widthOf(shape) : labels.length;
  const width = known ?? labels?.length;
  const problem = result === undefined ? undefined : outputProblem(result.shape, rows, width ?? 1);
  if (labels === undefined) return { name, element, width, problem };
  const mismatch = `has ${labels.length} class labels for ${width} elements a row`;
  return {
    name,
    element,
    width,
    problem: problem ?? (width === labels.length ? undefined : mismatch),
    labels,
  };
}

/** The elements of a row of some shape, all dimensions but the first; undefined where one is open. */
function widthOf(shape: readonly (number | string)[]): number | undefined {
  if (shape.length === 0) return undefined;
  let width = 1;
  for (const size of shape.slice(1)) {
    if (typeof size !== 'number') return undefined;
    width *= size;
  }
  return width;
}

function trialFeeds(
  inputs: readonly TensorSpec[],
  rows: number,
  columns: number | undefined,
): Map<string, TensorValues> | undefined {
  const feeds = new Map<string, TensorValues>();
  for (const { name, element, shape } of inputs) {
    const open = shape.slice(1).some((size) => typeof size !== 'number');
    if (
      element === undefined ||
      shape.length === 0 ||
      (open && (shape.length > 2 || columns === undefined))
    ) {
      return undefined;
    }
    const sizes = [
      rows,
      ...shape.slice(1).map((size) => (typeof size === 'number' ? size : (columns ?? 1))),
    ];
    const length = sizes.reduce((product, size) => product * size, 1);
    if (length > 16 * 1024 * 1024) return undefined;
    const values =
      element === 'utf8'
        ? new Array<string>(length).fill('')
        : newArray(element === 'float16' ? 'uint16' : element, length);
    feeds.set(name, { element, shape: sizes, values });
  }
  return feeds;
}
