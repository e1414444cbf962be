/**
 * A model that shows which e to the power of x ONNX Runtime computes with: the C library's, which is not the same everywhere.
 * One tree, whose leaf i gives the scores x_i and 0, transformed by SOFTMAX: e^x / (e^x + 1). Below -17 that is e^x itself.
 */
import { bytesField, intField, textField } from '../base/protobuf.js';

/** The number of leaves. */
export const PROBE_ROWS = 8192;

/** The arguments: spread over all that do not give 0, most of them near 0; and the two that tell variants of one method apart. */
function probeArguments(): Float32Array {
  const values = new Float32Array(PROBE_ROWS);
  for (let i = 0; i < PROBE_ROWS; i++) {
    const part = (i + 0.5) / PROBE_ROWS;
    values[i] = -104 * (i % 2 === 0 ? part : part ** 4);
  }
  values[0] = -63.0994606018;
  values[1] = -32.5646324158;
  return values;
}

function floats(name: string, values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  return bytesField(5, textField(1, name), bytesField(7, bytes), intField(20, 6));
}

function ints(name: string, values: readonly number[]): Uint8Array {
  const fields = values.map((value) => intField(8, value));
  return bytesField(5, textField(1, name), ...fields, intField(20, 7));
}

function texts(name: string, values: readonly string[]): Uint8Array {
  const fields = values.map((value) => textField(9, value));
  return bytesField(5, textField(1, name), ...fields, intField(20, 8));
}

function tensor(field: number, name: string, width: number): Uint8Array {
  const shape = bytesField(2, bytesField(1, textField(2, 'N')), bytesField(1, intField(1, width)));
  const type = bytesField(2, bytesField(1, intField(1, 1), shape));
  return bytesField(field, textField(1, name), type);
}

/** The bytes of the model: its input `x` has one column, and row i of `probeInput` reaches leaf i. */
export function probeModel(): Uint8Array {
  const inner = PROBE_ROWS - 1;
  const all = 2 * PROBE_ROWS - 1;
  // Nodes are numbered as in a heap: n leads to 2n + 1 and 2n + 2, and the last half are the leaves, from left to right.
  const nodes = Array.from({ length: all }, (_, node) => node);
  const isInner = (node: number): boolean => node < inner;
  const thresholds = Float32Array.from(nodes, (node) => (isInner(node) ? middleOf(node) : 0));
  const leaves = Array.from({ length: PROBE_ROWS }, (_, leaf) => inner + leaf);
  const twice = leaves.flatMap((node) => [node, node]);
  const weights = Float32Array.from([...probeArguments()].flatMap((x) => [x, 0]));
  const node = bytesField(
    1,
    textField(1, 'x'),
    textField(2, 'y'),
    textField(4, 'TreeEnsembleRegressor'),
    ints(
      'nodes_treeids',
      nodes.map(() => 0),
    ),
    ints('nodes_nodeids', nodes),
    ints(
      'nodes_featureids',
      nodes.map(() => 0),
    ),
    texts(
      'nodes_modes',
      nodes.map((each) => (isInner(each) ? 'BRANCH_LEQ' : 'LEAF')),
    ),
    floats('nodes_values', thresholds),
    ints(
      'nodes_truenodeids',
      nodes.map((each) => (isInner(each) ? 2 * each + 1 : 0)),
    ),
    ints(
      'nodes_falsenodeids',
      nodes.map((each) => (isInner(each) ? 2 * each + 2 : 0)),
    ),
    ints(
      'target_treeids',
      twice.map(() => 0),
    ),
    ints('target_nodeids', twice),
    ints(
      'target_ids',
      twice.map((_, index) => index % 2),
    ),
    floats('target_weights', weights),
    bytesField(5, textField(1, 'n_targets'), intField(3, 2), intField(20, 2)),
    bytesField(5, textField(1, 'post_transform'), textField(4, 'SOFTMAX'), intField(20, 3)),
    textField(7, 'ai.onnx.ml'),
  );
  return Buffer.concat([
    intField(1, 8),
    bytesField(7, node, textField(2, 'probe'), tensor(11, 'x', 1), tensor(12, 'y', 2)),
    bytesField(8, textField(1, 'ai.onnx.ml'), intField(2, 3)),
    bytesField(8, textField(1, ''), intField(2, 15)),
  ]);
}

/** The threshold of an inner node of the heap: leaves to its left are less than or equal to it. */
function middleOf(node: number): number {
  let first = node;
  let last = node;
  while (2 * first + 1 < 2 * PROBE_ROWS - 1) first = 2 * first + 1;
  while (2 * last + 1 < 2 * PROBE_ROWS - 1) last = 2 * last + 2;
  return (first + last - 1) / 2 - (PROBE_ROWS - 1);
}

/** The rows that reach the leaves, in order. */
export function probeInput(): Float32Array {
  return Float32Array.from({ length: PROBE_ROWS }, (_, leaf) => leaf);
}
