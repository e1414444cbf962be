/** A tree ensemble that scores rows, with the bits that ONNX Runtime gives. */
import { withOnnxGraph } from '../base/onnx-graph.js';
import { Malformed } from '../base/protobuf.js';
import { cutGraph } from './cut.js';
import { Unsupported } from './ensemble.js';
import type { Floats, Precision } from './floats.js';
import { startKernel } from './kernel.js';
import { BLOCK_ROWS, buildProgram, type Program } from './program.js';

/** A model that this engine can score. */
export interface TreeModel {
  readonly program: Program;
  /** The model's input that the trees look at, and what its elements are. */
  readonly input: string;
  readonly element: Precision;
  /** The outputs that it can give, and what each is. */
  readonly outputs: ReadonlyMap<string, 'label' | 'scores'>;
  readonly labels: readonly bigint[] | readonly string[] | undefined;
}

/** A column of values: row r is `values[r * stride + offset]`. */
export interface FloatColumn {
  readonly values: Floats;
  readonly stride: number;
  readonly offset: number;
}

/** The values of an output: `width` a row, row-major. */
export interface TreeOutput {
  readonly element: Precision | 'int64' | 'utf8';
  readonly width: number;
  readonly values: Floats | BigInt64Array | string[];
}

/** Compiles the model in a file; a text says why this engine cannot score it. Throws the errors of the file system. */
export function compileTrees(path: string): TreeModel | string {
  try {
    return withOnnxGraph(path, (graph) => {
      const { ensemble, input, element, outputs } = cutGraph(graph);
      const program = buildProgram(ensemble);
      const { label } = program.finish;
      const given = new Map(outputs);
      for (const [name, kind] of outputs) {
        if (kind === 'label' && typeof label === 'string') given.delete(name);
      }
      if (given.size === 0) throw new Unsupported(String(label));
      return { program, input, element, outputs: given, labels: ensemble.labels };
    });
  } catch (error) {
    if (error instanceof Unsupported) return error.message;
    if (error instanceof Malformed) return `the graph cannot be read: ${error.message}`;
    throw error;
  }
}

/** What is to be scored, and where numbers go. */
export interface TreeRequest {
  readonly rows: number;
  /** Names of outputs. */
  readonly wanted: readonly string[];
  /** Gives an array of this length. */
  readonly allocate: (element: Precision, length: number) => Floats;
}

/** A model that is ready to run. */
export interface TreeScorer {
  readonly model: TreeModel;
  /** Scores rows; `columns` are numbered as the model numbers its features. */
  readonly score: (
    columns: readonly FloatColumn[],
    request: TreeRequest,
  ) => Map<string, TreeOutput>;
}

/** Makes a compiled model ready to run. Throws where WebAssembly is not to be had. */
export function startTrees(model: TreeModel): TreeScorer {
  const { program, outputs, labels } = model;
  const kernel = startKernel(program);
  const { finish, features } = program;
  const score: TreeScorer['score'] = (columns, { rows, wanted, allocate }) => {
    const kinds = wanted.map((name) => outputs.get(name));
    const scores = kinds.includes('scores')
      ? allocate(program.output, rows * finish.width)
      : undefined;
    const classes = kinds.includes('label') ? new Uint32Array(rows) : undefined;
    for (let start = 0; start < rows; start += BLOCK_ROWS) {
      const count = Math.min(BLOCK_ROWS, rows - start);
      for (const [index, feature] of features.entries()) {
        fillColumn(kernel.inputs[index]!, columns[feature]!, start, count);
      }
      kernel.run(count);
      const done =
        count === BLOCK_ROWS ? kernel.outputs : kernel.outputs.subarray(0, count * finish.width);
      scores?.set(done, start * finish.width);
      if (classes !== undefined)
        findClasses(program, kernel.scores, classes.subarray(start, start + count));
    }
    const results = new Map<string, TreeOutput>();
    for (const [index, name] of wanted.entries()) {
      if (kinds[index] === undefined) throw new RangeError(`the trees have no output "${name}"`);
      results.set(
        name,
        kinds[index] === 'scores'
          ? { element: program.output, width: finish.width, values: scores! }
          : labelsOf(program, classes!, labels!),
      );
    }
    return results;
  };
  return { model, score };
}

/** Copies rows of a column. Between the precisions this rounds to the nearest, as a Cast does. */
function fillColumn(
  target: Floats,
  { values, stride, offset }: FloatColumn,
  start: number,
  count: number,
): void {
  if (stride === 1) {
    target.set(values.subarray(start + offset, start + offset + count));
    return;
  }
  for (let row = 0; row < count; row++) target[row] = values[(start + row) * stride + offset]!;
}

function findClasses(
  { finish: { label } }: Program,
  scores: readonly Floats[],
  classes: Uint32Array,
): void {
  if (label === undefined || typeof label === 'string') return;
  if (label.by === 'threshold') {
    const column = scores[label.column]!;
    for (let row = 0; row < classes.length; row++)
      classes[row] = column[row]! > label.threshold ? 1 : 0;
    return;
  }
  for (let row = 0; row < classes.length; row++) {
    let best = 0;
    for (let k = 1; k < scores.length; k++) if (scores[k]![row]! > scores[best]![row]!) best = k;
    classes[row] = best;
  }
}

function labelsOf(
  { finish: { label } }: Program,
  classes: Uint32Array,
  labels: readonly bigint[] | readonly string[],
): TreeOutput {
  const isLiteral = typeof label === 'object' && label.by === 'threshold' && label.literal;
  if (typeof labels[0] === 'string') {
    const values = Array.from(classes, (each) => String(labels[each]));
    return { element: 'utf8', width: 1, values };
  }
  const values = new BigInt64Array(classes.length);
  for (let row = 0; row < classes.length; row++) {
    const each = classes[row]!;
    values[row] = isLiteral ? BigInt(each) : (labels[each] as bigint);
  }
  return { element: 'int64', width: 1, values };
}
