/** The engine for tree ensembles in the place of an ONNX Runtime session. */
import { columnOf } from '../base/columns.js';
import type { Session } from '../base/onnx.js';
import type { ModelFacts } from '../plan/signature.js';
import {
  compileTrees,
  type FloatColumn,
  startTrees,
  type TreeOutput,
  type TreeScorer,
} from '../trees/engine.js';
import { type Floats, type Precision, zeros } from '../trees/floats.js';
import { madeUpRows } from '../trees/made-up.js';
import type { FeatureBatch } from './features.js';
import type { InferenceOptions, OutputColumn } from './model-run.js';

/** Loads a model into the engine; a text says why it cannot run it. */
export function loadTrees(path: string): TreeScorer | string {
  const model = compileTrees(path);
  if (typeof model === 'string') return model;
  try {
    return startTrees(model);
  } catch (error) {
    // Without SIMD there is no such module, and without memory no such instance.
    return `WebAssembly cannot run it here: ${error instanceof Error ? error.message : error}`;
  }
}

/** What the parent has to know of it. */
export function describeTrees(trees: TreeScorer | string): ModelFacts['trees'] {
  if (typeof trees === 'string') return { why: trees };
  const { program, input, outputs } = trees.model;
  return {
    trees: program.trees,
    leaves: program.leaves,
    input,
    element: trees.model.element,
    lastFeature: program.features.at(-1) ?? -1,
    outputs: [...outputs.keys()],
    madeUpRows: madeUpRows(program),
  };
}

/** Scores a batch as its columns are. Of rows that are bad already it gives anything. */
export function scoreColumns(
  options: InferenceOptions,
  trees: TreeScorer,
  { batch }: FeatureBatch,
  rows: number,
): Map<string, OutputColumn> {
  options.onAlive();
  const columns: FloatColumn[] = [];
  let index = 0;
  for (const { name, columns: names, list } of options.inputs) {
    if (name === trees.model.input) {
      for (let feature = 0; feature < names.length; feature++) {
        const column = columnOf(batch, index + feature, trees.model.element);
        // The element type is that of the model's input.
        const values = column.values as Floats;
        const width = column.list?.width ?? 1;
        if (list === undefined) columns.push({ values, stride: 1, offset: 0 });
        for (let offset = 0; list !== undefined && offset < width; offset++) {
          columns.push({ values, stride: width, offset });
        }
      }
    }
    index += names.length;
  }
  const names = [...new Set(options.outputs.map(({ output }) => output))];
  const allocate = (element: Precision, length: number): Floats =>
    options.arena.array(element, length) as Floats;
  return trees.score(columns, { rows, wanted: names, allocate });
}

/** The engine behind the interface of a session, for what gives it rows: its input is a matrix, row-major. */
export function treesAsSession({ model, score }: TreeScorer): Pick<Session, 'run'> {
  return {
    run: async (feeds, wanted) => {
      const feed = feeds.get(model.input);
      const values = feed?.values;
      if (!(values instanceof Float32Array || values instanceof Float64Array))
        throw new TypeError('the trees take floats');
      const rows = feed?.shape[0] ?? 0;
      const width = rows === 0 ? 0 : values.length / rows;
      const columns = Array.from({ length: width }, (_, offset) => ({
        values,
        stride: width,
        offset,
      }));
      const outputs = score(columns, { rows, wanted, allocate: zeros });
      return new Map([...outputs].map(([name, output]) => [name, withShape(output, rows)]));
    },
  };
}

function withShape({ element, width, values }: TreeOutput, rows: number) {
  return {
    element,
    shape: element === 'int64' || element === 'utf8' ? [rows] : [rows, width],
    values,
  };
}
