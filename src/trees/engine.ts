/** A model's tree ensembles, which score rows with the bits that ONNX Runtime gives, and the parts of the model around them. */
import { type GraphNode, withOnnxGraph } from '../base/onnx-graph.js';
import { type ModelPart, partOf } from '../base/onnx-part.js';
import { Malformed } from '../base/protobuf.js';
import { type CutEnsemble, cutGraph, ensembleOf } from './cut.js';
import { type Ensemble, Unsupported } from './ensemble.js';
import { type FeatureColumn, fillColumn } from './fill.js';
import type { Floats, Precision } from './floats.js';
import { type Kernel, startKernel } from './kernel.js';
import { findClasses, labelsOf } from './labels.js';
import { type MergedEnsemble, mergedOf, mergeEnsembles } from './merge.js';
import { BLOCK_ROWS, buildProgram, type Program } from './program.js';
import { elementNumber, type FeatureElement, type FeatureView } from './views.js';

/** What a value of a unit is: a classifier's label, or some columns of the scores. */
export type UnitOutput =
  | { readonly kind: 'label' }
  | { readonly kind: 'scores'; readonly start: number; readonly width: number };

/** Trees that are run together: one ensemble, or some that look at the same features. */
export interface TreeUnit {
  readonly program: Program;
  readonly features: FeatureView;
  /** By the names of the values that its nodes make. */
  readonly outputs: ReadonlyMap<string, UnitOutput>;
  readonly labels: readonly bigint[] | readonly string[] | undefined;
  /** Its nodes by their places in the graph, and what they take. */
  readonly nodes: readonly number[];
  readonly taken: FeatureElement;
}

/** A model that this engine can score, with ONNX Runtime for the parts around. */
export interface TreeModel {
  readonly units: readonly TreeUnit[];
  readonly before: ModelPart | undefined;
  readonly behind: ModelPart | undefined;
  /** The model's outputs that can be given, and the value that each is. */
  readonly outputs: ReadonlyMap<string, string>;
  readonly trees: number;
  readonly leaves: number;
}

/** What is known of the values between the parts of a model: what elements they hold, undefined where none that features may be. */
export type MadeTypes = ReadonlyMap<string, FeatureElement | undefined>;

/**
 * Compiles the model in a file; a text says why this engine cannot score it. What a part makes for an ensemble is taken for 32-bit
 * floats unless `types` says otherwise. Throws the errors of the file system.
 */
export function compileTrees(path: string, types: MadeTypes = new Map()): TreeModel | string {
  try {
    return withOnnxGraph(path, (graph) => {
      const known = new Map<GraphNode, { precision: Precision; ensemble: Ensemble }>();
      const read = (node: GraphNode, precision: Precision): Ensemble => {
        const before = known.get(node);
        if (before?.precision === precision) return before.ensemble;
        const ensemble = ensembleOf(node, precision);
        known.set(node, { precision, ensemble });
        return ensemble;
      };
      const left = new Map<GraphNode, string>();
      for (;;) {
        const { ensembles, before, behind, outputs } = cutGraph(graph, { left, types, read });
        const built = mergeEnsembles(ensembles).map((merged) => buildUnit(merged, left));
        // Of what cannot be built, ONNX Runtime takes over: that may move other nodes from part to part.
        if (built.includes(undefined)) continue;
        const units = (built as BuiltUnit[]).map((each) => unitOf(each, graph.nodes));
        const sum = (count: (program: Program) => number): number =>
          units.reduce((total, { program }) => total + count(program), 0);
        return {
          units,
          before,
          behind,
          outputs,
          trees: sum(({ trees }) => trees),
          leaves: sum(({ leaves }) => leaves),
        };
      }
    });
  } catch (error) {
    if (error instanceof Unsupported) return error.message;
    if (error instanceof Malformed) return `the graph cannot be read: ${error.message}`;
    throw error;
  }
}

interface BuiltUnit {
  readonly merged: MergedEnsemble;
  readonly program: Program;
}

/** Builds the program; where that cannot be, says of at least one of its nodes why. */
function buildUnit(merged: MergedEnsemble, left: Map<GraphNode, string>): BuiltUnit | undefined {
  try {
    const program = buildProgram(merged.ensemble);
    const last = program.features.at(-1) ?? 0;
    const { view } = merged.parts[0]!.features;
    if (!('open' in view) && last >= view.columns.length)
      throw new Unsupported(`it uses feature ${last} of ${view.columns.length}`);
    return { merged, program };
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    const singles = merged.parts.length === 1 ? [] : merged.parts;
    const bad = singles.filter((part) => buildUnit(mergedOf([part]), left) === undefined);
    // Where each can be built, but not all together, none is.
    if (bad.length === 0) for (const { node } of merged.parts) left.set(node, error.message);
    return undefined;
  }
}

function unitOf(
  { merged: { parts, starts }, program }: BuiltUnit,
  nodes: readonly GraphNode[],
): TreeUnit {
  const [first] = parts as [CutEnsemble];
  const outputs = new Map<string, UnitOutput>();
  for (const [index, part] of parts.entries()) {
    const { finish } = program;
    const width = parts.length === 1 ? finish.width : part.ensemble.targetCount;
    for (const [value, kind] of part.outputs)
      outputs.set(value, kind === 'label' ? { kind } : { kind, start: starts[index]!, width });
  }
  return {
    program,
    features: first.features.view,
    taken: first.features.taken,
    outputs,
    labels: first.ensemble.labels,
    nodes: parts.map(({ node }) => nodes.indexOf(node)),
  };
}

/** The nodes of a unit as a model of their own: `inputs` all take the same matrix of so many columns. */
export function aloneModel(
  path: string,
  { nodes, outputs, taken }: TreeUnit,
  width: number,
): { readonly bytes: Uint8Array; readonly inputs: readonly string[] } {
  return withOnnxGraph(path, (graph) => {
    const own = nodes.map((index) => graph.nodes[index]!);
    const { bytes, inputs, crossing } = partOf(graph, own, [...outputs.keys()]);
    const type = { element: elementNumber(taken), shape: [null, width] };
    return {
      bytes: bytes(new Map(crossing.map((name) => [name, type]))),
      inputs: [...inputs, ...crossing],
    };
  });
}

/** The values of an output: `width` a row, row-major. */
export interface TreeOutput {
  readonly element: Precision | 'int64' | 'utf8';
  readonly width: number;
  readonly values: Floats | BigInt64Array | string[];
}

/** What is to be scored, and where numbers go. */
export interface TreeRequest {
  readonly rows: number;
  /** Names of values of the unit. */
  readonly wanted: readonly string[];
  /** Gives an array of this length. */
  readonly allocate: (element: Precision, length: number) => Floats;
}

/** A unit that is ready to run. */
export interface UnitScorer {
  readonly unit: TreeUnit;
  /** Scores rows; `column` gives the column of each feature that the unit looks at, as the ensemble numbers them. */
  readonly score: (
    column: (feature: number) => FeatureColumn,
    request: TreeRequest,
  ) => Map<string, TreeOutput>;
}

/** Makes a unit ready to run. Throws where WebAssembly is not to be had. */
export function startUnit(unit: TreeUnit): UnitScorer {
  const { program, outputs, labels } = unit;
  const kernel = startKernel(program);
  const { features } = program;
  const score: UnitScorer['score'] = (column, { rows, wanted, allocate }) => {
    const columns = features.map(column);
    const asked = wanted.map((name) => {
      const output = outputs.get(name);
      if (output === undefined) throw new RangeError(`the trees have no value "${name}"`);
      const values =
        output.kind === 'scores' ? allocate(program.output, rows * output.width) : undefined;
      return { name, output, values };
    });
    const isLabelWanted = asked.some(({ output }) => output.kind === 'label');
    const classes = isLabelWanted ? new Uint32Array(rows) : undefined;
    const work = { kernel, program, columns, asked, classes };
    for (let start = 0; start < rows; start += BLOCK_ROWS)
      scoreBlock(work, start, Math.min(BLOCK_ROWS, rows - start));
    return new Map(
      asked.map(({ name, output, values }): [string, TreeOutput] => [
        name,
        output.kind === 'scores'
          ? { element: program.output, width: output.width, values: values! }
          : labelsOf(program, classes!, labels!),
      ]),
    );
  };
  return { unit, score };
}

/** What is done with every block of rows. */
interface BlockWork {
  readonly kernel: Kernel;
  readonly program: Program;
  readonly columns: readonly FeatureColumn[];
  readonly asked: readonly {
    readonly output: UnitOutput;
    /** Where scores go. */
    readonly values: Floats | undefined;
  }[];
  /** Where the class of each row goes, where labels are asked for. */
  readonly classes: Uint32Array | undefined;
}

/** Scores a block of rows. A function of its own, because V8 compiles it once: what is around it sees other types again and again. */
function scoreBlock(
  { kernel, program, columns, asked, classes }: BlockWork,
  start: number,
  count: number,
): void {
  for (let i = 0; i < columns.length; i++) fillColumn(kernel.inputs[i]!, columns[i]!, start, count);
  kernel.run(count);
  const { width } = program.finish;
  const done = count === BLOCK_ROWS ? kernel.outputs : kernel.outputs.subarray(0, count * width);
  for (const { output, values } of asked) {
    if (output.kind === 'label' || values === undefined) continue;
    if (output.width === width) values.set(done, start * width);
    else takeColumns(kernel.outputs, width, { ...output, values, row: start, count });
  }
  if (classes !== undefined)
    findClasses(program, kernel.scores, classes.subarray(start, start + count));
}

/** Copies some columns of a block of finished rows. */
function takeColumns(
  from: Floats,
  stride: number,
  to: { start: number; width: number; values: Floats; row: number; count: number },
): void {
  const { start, width, values, row, count } = to;
  for (let column = 0; column < width; column++) {
    let at = row * width + column;
    let source = start + column;
    for (let i = 0; i < count; i++, at += width, source += stride) values[at] = from[source]!;
  }
}
