/** The engine for tree ensembles in the place of an ONNX Runtime session. */
import { columnOf } from '../base/columns.js';
import type { Session, TensorValues } from '../base/onnx.js';
import type { ModelFacts, TreesFacts } from '../plan/signature.js';
import type { TreeOutput } from '../trees/engine.js';
import type { FeatureColumn } from '../trees/fill.js';
import { type Floats, type Precision, zeros } from '../trees/floats.js';
import { madeUpRows } from '../trees/made-up.js';
import { type FeaturePlace, placeOf } from '../trees/views.js';
import type { FeatureBatch } from './features.js';
import { type InferenceOptions, type OutputColumn, TreesFailed } from './model-run.js';
import type { LoadedTrees, OpenPart } from './trees-load.js';

/** What the parent has to know of it. */
export function describeTrees(loaded: LoadedTrees | string): ModelFacts['trees'] {
  if (typeof loaded === 'string') return { why: loaded };
  const { model, units, before, behind } = loaded;
  const { trees, leaves, outputs } = model;
  const inputs = new Map<string, TreesFacts['inputs'][number]>();
  let madeUp = 0;
  for (const { unit } of units) {
    // A row for some of the trees costs ONNX Runtime that share of a row for all.
    madeUp += (madeUpRows(unit.program) * unit.program.trees) / trees;
    for (const feature of unit.program.features) {
      const { value: name, column, element } = placeOf(unit.features, feature);
      if (before?.outputs.includes(name)) continue;
      const lastColumn = Math.max(column, inputs.get(name)?.lastColumn ?? 0);
      inputs.set(name, { name, element, lastColumn });
    }
  }
  return {
    trees,
    leaves,
    inputs: [...inputs.values()],
    before: before?.nodes ?? 0,
    behind: behind?.nodes ?? 0,
    outputs: [...outputs.keys()],
    madeUpRows: Math.ceil(madeUp),
  };
}

/** Whether the trees alone give outputs, of the model's inputs as they are: then they take columns. */
export function areTreesAlone(
  { model, units, before }: LoadedTrees,
  wanted: readonly string[],
): boolean {
  return wanted.every((name) => {
    const value = model.outputs.get(name);
    const scorer = units.find(({ unit }) => unit.outputs.has(value ?? ''));
    if (scorer === undefined) return false;
    const { features } = scorer.unit;
    return !('open' in features && before?.outputs.includes(features.open) === true);
  });
}

/** Scores a batch as its columns are, where the trees are alone. Of rows that are bad already it gives anything. */
export function scoreColumns(
  options: InferenceOptions,
  trees: LoadedTrees,
  { batch }: FeatureBatch,
  rows: number,
): Map<string, OutputColumn> {
  options.onAlive();
  const starts = new Map<string, number>();
  const bindings = new Map(options.inputs.map((input) => [input.name, input]));
  let index = 0;
  for (const { name, columns } of options.inputs) {
    starts.set(name, index);
    index += columns.length;
  }
  const column = ({ value, column: at, element }: FeaturePlace): FeatureColumn => {
    const start = starts.get(value)!;
    // The element type is that of the model's input.
    if (bindings.get(value)?.list === undefined) {
      const { values } = columnOf(batch, start + at, element);
      return { values: values as FeatureColumn['values'], stride: 1, offset: 0 };
    }
    const { values, list } = columnOf(batch, start, element);
    return {
      values: values as FeatureColumn['values'],
      stride: list?.width ?? 1,
      offset: at,
    };
  };
  const names = [...new Set(options.outputs.map(({ output }) => output))];
  const allocate = (element: Precision, length: number): Floats =>
    options.arena.array(element, length) as Floats;
  const values = names.map((name) => trees.model.outputs.get(name)!);
  const scored = scoreUnits(trees, values, { rows, column, allocate });
  return new Map(names.map((name, i) => [name, scored.get(values[i]!)!]));
}

/** The values of trees, of those that are wanted. */
function scoreUnits(
  { units }: LoadedTrees,
  wanted: readonly string[],
  request: {
    readonly rows: number;
    readonly column: (place: FeaturePlace) => FeatureColumn;
    readonly allocate: (element: Precision, length: number) => Floats;
  },
): Map<string, TreeOutput> {
  const { rows, column, allocate } = request;
  const results = new Map<string, TreeOutput>();
  for (const { unit, score } of units) {
    const own = [...new Set(wanted)].filter((value) => unit.outputs.has(value));
    if (own.length === 0) continue;
    const of = (feature: number): FeatureColumn => column(placeOf(unit.features, feature));
    const scored = score(of, { rows, wanted: own, allocate });
    for (const [value, output] of scored) results.set(value, output);
  }
  return results;
}

/** The engine, and what ONNX Runtime runs around it, behind the interface of a session: inputs are matrices, row-major. */
export function treesAsSession(trees: LoadedTrees): Pick<Session, 'run'> {
  return { run: (feeds, wanted) => runParts(trees, feeds, wanted) };
}

type Values = Map<string, TensorValues>;

async function runParts(
  trees: LoadedTrees,
  feeds: ReadonlyMap<string, TensorValues>,
  wanted: readonly string[],
): Promise<Values> {
  const { model, units, before, behind } = trees;
  const values: Values = new Map(feeds);
  const results = wanted.map((name): [string, string] => {
    const value = model.outputs.get(name);
    if (value === undefined) throw new RangeError(`the trees have no output "${name}"`);
    return [name, value];
  });
  const ofBehind = results.map(([, value]) => value).filter((v) => behind?.outputs.includes(v));
  const isOfTrees = (value: string): boolean => units.some(({ unit }) => unit.outputs.has(value));
  const crossing = ofBehind.length > 0 ? (behind?.crossing ?? []) : [];
  const needed = [...results.map(([, value]) => value), ...crossing];
  if (before !== undefined) await runPart(before, before.outputs, values);
  try {
    runTrees(trees, needed.filter(isOfTrees), values);
  } catch (error) {
    throw new TreesFailed(error);
  }
  if (behind !== undefined && ofBehind.length > 0) await runPart(behind, ofBehind, values);
  return new Map(results.map(([name, value]) => [name, values.get(value)!]));
}

/** Adds values of trees to those that they are made of. */
function runTrees(trees: LoadedTrees, wanted: readonly string[], values: Values): void {
  const rows = rowsOf(trees, wanted, values);
  const column = ({ value, column: offset }: FeaturePlace): FeatureColumn => {
    const { values: matrix, shape } = values.get(value)!;
    const stride = shape[1] ?? 0;
    if (offset >= stride) throw new RangeError(`the trees want column ${offset} of ${stride}`);
    return { values: matrix as FeatureColumn['values'], stride, offset };
  };
  for (const [value, output] of scoreUnits(trees, wanted, { rows, column, allocate: zeros }))
    values.set(value, withShape(trees, value, output, rows));
}

async function runPart(part: OpenPart, outputs: readonly string[], values: Values): Promise<void> {
  const { session, inputs, crossing } = part;
  const feeds = [...inputs, ...crossing].map((name): [string, TensorValues] => [
    name,
    values.get(name)!,
  ]);
  for (const [name, value] of await session.run(new Map(feeds), [...new Set(outputs)]))
    values.set(name, value);
}

/** How many rows the matrices have that the trees look at; they are to agree, and to have two dimensions. */
function rowsOf({ units }: LoadedTrees, wanted: readonly string[], values: Values): number {
  const counts = new Set<number>();
  for (const { unit } of units) {
    if (!wanted.some((value) => unit.outputs.has(value))) continue;
    // Trees of one leaf use no feature, and yet score as many rows as there are.
    for (const feature of [0, ...unit.program.features]) {
      const shape = values.get(placeOf(unit.features, feature).value)?.shape ?? [];
      if (shape.length !== 2) throw new RangeError(`the trees want a matrix, not [${shape}]`);
      counts.add(shape[0]!);
    }
  }
  if (counts.size > 1)
    throw new RangeError(`the trees want as many rows of all, not ${[...counts]}`);
  const [rows] = counts;
  return rows ?? 0;
}

function withShape(
  { units }: LoadedTrees,
  value: string,
  output: TreeOutput,
  rows: number,
): TensorValues {
  const { element, width, values } = output;
  const kind = units
    .map(({ unit }) => unit.outputs.get(value)?.kind)
    .find((each) => each !== undefined);
  return { element, shape: kind === 'label' ? [rows] : [rows, width], values };
}
