/**
 * Finds the tree ensemble in a model's graph, and what stands between it and the graph's inputs and outputs. What changes no
 * value is done away with: Identity, a Cast to the type that is there already, multiplication by 1, and ZipMap, of which
 * only the matrix is used.
 */
import { attributeInt, attributeName, tensorOfOneFloat } from '../base/onnx-attribute.js';
import type { GraphNode, OnnxGraph } from '../base/onnx-graph.js';
import { type Ensemble, readEnsemble, Unsupported } from './ensemble.js';

/** The ensemble of a model, and how it is wired. */
export interface Cut {
  readonly ensemble: Ensemble;
  /** The model's input that is the ensemble's. */
  readonly input: string;
  /** The model's outputs that are the ensemble's, and which. */
  readonly outputs: ReadonlyMap<string, 'label' | 'scores'>;
}

const ML = 'ai.onnx.ml';

/** Finds and reads the one ensemble of a model. Throws `Unsupported` with the reason why it cannot be run apart, and `Malformed`. */
export function cutGraph(graph: OnnxGraph): Cut {
  const nodes = graph.nodes.filter(
    ({ domain, op }) => domain === ML && op.startsWith('TreeEnsemble'),
  );
  const [node] = nodes;
  if (node === undefined) throw new Unsupported('the model has no tree ensemble');
  if (nodes.length > 1) throw new Unsupported(`the model has ${nodes.length} tree ensembles`);
  if (node.op === 'TreeEnsemble') throw new Unsupported('operator TreeEnsemble of ai.onnx.ml 5');
  const makers = new Map<string, GraphNode>();
  for (const each of graph.nodes) for (const output of each.outputs) makers.set(output, each);
  const input = wayBack(graph, makers, node.inputs[0] ?? '', FLOAT);
  if (!graph.inputs.includes(input.name) || graph.initializers.has(input.name))
    throw new Unsupported(`${input.node?.op ?? 'a constant'} comes before the ensemble`);
  const isClassifier = node.op === 'TreeEnsembleClassifier';
  const ensemble = readEnsemble(node);
  const outputs = new Map<string, 'label' | 'scores'>();
  let between: string | undefined;
  for (const name of graph.outputs) {
    const labelType = typeof ensemble.labels?.[0] === 'string' ? TEXT : INT64;
    const scores = wayBack(graph, makers, name, FLOAT);
    const label = wayBack(graph, makers, name, labelType);
    if (isClassifier && label.name === node.outputs[0]) outputs.set(name, 'label');
    else if (scores.name === node.outputs[isClassifier ? 1 : 0]) outputs.set(name, 'scores');
    else between ??= scores.node?.op ?? 'nothing';
  }
  if (outputs.size === 0) throw new Unsupported(`${between} comes behind the ensemble`);
  return { ensemble, input: input.name, outputs };
}

/** TensorProto.DataType. */
const FLOAT = 1n;
const INT64 = 7n;
const TEXT = 8n;

/** Follows a value back to the first that is another, through nodes that leave it as it is when it has this type. */
function wayBack(
  graph: OnnxGraph,
  makers: ReadonlyMap<string, GraphNode>,
  start: string,
  type: bigint,
): { name: string; node: GraphNode | undefined } {
  let name = start;
  // A graph that is not one may lead in a circle.
  for (let steps = 0; steps <= graph.nodes.length; steps++) {
    const node = makers.get(name);
    const before = node === undefined ? undefined : passedThrough(graph, node, type);
    if (before === undefined) return { name, node };
    name = before;
  }
  throw new Unsupported('the nodes of the graph form a cycle');
}

/** The input that a node hands on unchanged; undefined where it changes it. */
function passedThrough(
  { initializers }: OnnxGraph,
  { domain, op, inputs, attributes }: GraphNode,
  type: bigint,
): string | undefined {
  const [first = '', second = ''] = inputs;
  if (domain === ML && op === 'ZipMap') return type === FLOAT ? first : undefined;
  if (domain !== '') return undefined;
  if (op === 'Identity') return first;
  if (op === 'Cast') {
    for (const bytes of attributes()) {
      if (attributeName(bytes) === 'to') return attributeInt(bytes) === type ? first : undefined;
    }
  }
  if (op === 'Mul' && type === FLOAT) {
    const isOne = (name: string): boolean => {
      const tensor = initializers.get(name)?.();
      return tensor !== undefined && tensorOfOneFloat(tensor) === 1;
    };
    if (isOne(second)) return first;
    if (isOne(first)) return second;
  }
  return undefined;
}
