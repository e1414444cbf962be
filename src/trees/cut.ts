/**
 * Finds the tree ensemble in a model's graph, and what stands between it and the graph's inputs and outputs. What changes no
 * value is done away with: Identity, a Cast to the type that is there already, multiplication by 1, and ZipMap, of which
 * only the matrix is used.
 */
import { attributeInt, attributeName } from '../base/onnx-attribute.js';
import type { GraphNode, OnnxGraph } from '../base/onnx-graph.js';
import { DOUBLE, FLOAT, tensorOf } from '../base/onnx-tensor.js';
import { type Ensemble, readEnsemble, Unsupported } from './ensemble.js';
import { readEnsemble5 } from './ensemble5.js';
import type { Precision } from './floats.js';

/** The ensemble of a model, and how it is wired. */
export interface Cut {
  readonly ensemble: Ensemble;
  /** The model's input that is the ensemble's, and what its elements are. */
  readonly input: string;
  readonly element: Precision;
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
  const makers = new Map<string, GraphNode>();
  for (const each of graph.nodes) for (const output of each.outputs) makers.set(output, each);
  const { input, element, precision } = inputOf(graph, makers, node);
  const isClassifier = node.op === 'TreeEnsembleClassifier';
  const read = node.op === 'TreeEnsemble' ? readEnsemble5 : readEnsemble;
  const ensemble = read(node, precision);
  const outputs = new Map<string, 'label' | 'scores'>();
  let between: string | undefined;
  for (const name of graph.outputs) {
    const labelType = typeof ensemble.labels?.[0] === 'string' ? TEXT : INT64;
    const scoresType = ensemble.output === 'float64' ? DOUBLE : FLOAT;
    const scores = wayBack(graph, makers, { name, passes: (to) => to === scoresType });
    const label = wayBack(graph, makers, { name, passes: (to) => to === labelType });
    if (isClassifier && label.name === node.outputs[0]) outputs.set(name, 'label');
    else if (scores.name === node.outputs[isClassifier ? 1 : 0]) outputs.set(name, 'scores');
    else between ??= scores.node?.op ?? 'nothing';
  }
  if (outputs.size === 0) throw new Unsupported(`${between} comes behind the ensemble`);
  return { ensemble, input, element, outputs };
}

const INT64 = 7;
const TEXT = 8;

/**
 * The model's input that leads to the ensemble, what its elements are, and what the ensemble sees: the same, or each cast to the
 * other width.
 */
function inputOf(
  graph: OnnxGraph,
  makers: ReadonlyMap<string, GraphNode>,
  ensemble: GraphNode,
): Pick<Cut, 'input' | 'element'> & { precision: Precision } {
  const casts: number[] = [];
  const passes = (to: number): boolean => {
    casts.push(to);
    return true;
  };
  const { name, node } = wayBack(graph, makers, { name: ensemble.inputs[0] ?? '', passes });
  const element = PRECISIONS.get(graph.inputs.get(name) ?? 0);
  if (!graph.inputs.has(name) || graph.initializers.has(name))
    throw new Unsupported(`${node?.op ?? 'a constant'} comes before the ensemble`);
  if (element === undefined) throw new Unsupported('its input holds no floats');
  // Collected from behind. There and back again would round, or round twice.
  const types = casts.reverse().map((to) => PRECISIONS.get(to));
  const precision = types.length === 0 ? element : types.at(-1);
  const first = types.findIndex((type) => type !== element);
  if (precision === undefined || (first >= 0 && types.slice(first).some((t) => t !== precision)))
    throw new Unsupported('Cast comes before the ensemble');
  return { input: name, element, precision };
}

const PRECISIONS: ReadonlyMap<number, Precision> = new Map([
  [FLOAT, 'float32'],
  [DOUBLE, 'float64'],
]);

/** Follows a value back to the first that is another, through nodes that leave it as it is, and the casts that `passes` lets pass. */
function wayBack(
  graph: OnnxGraph,
  makers: ReadonlyMap<string, GraphNode>,
  { name: start, passes }: { readonly name: string; readonly passes: (to: number) => boolean },
): { name: string; node: GraphNode | undefined } {
  let name = start;
  // A graph that is not one may lead in a circle.
  for (let steps = 0; steps <= graph.nodes.length; steps++) {
    const node = makers.get(name);
    const before = node === undefined ? undefined : passedThrough(graph, node, passes);
    if (before === undefined) return { name, node };
    name = before;
  }
  throw new Unsupported('the nodes of the graph form a cycle');
}

/** The input that a node hands on unchanged; undefined where it changes it. */
function passedThrough(
  { initializers }: OnnxGraph,
  { domain, op, inputs, attributes }: GraphNode,
  passes: (to: number) => boolean,
): string | undefined {
  const [first = '', second = ''] = inputs;
  if (domain === ML && op === 'ZipMap') return first;
  if (domain !== '') return undefined;
  if (op === 'Identity') return first;
  if (op === 'Cast') {
    for (const bytes of attributes()) {
      if (attributeName(bytes) !== 'to') continue;
      return passes(Number(attributeInt(bytes) ?? 0n)) ? first : undefined;
    }
  }
  if (op === 'Mul') {
    const isOne = (name: string): boolean => {
      const encoded = initializers.get(name)?.();
      const tensor = encoded === undefined ? undefined : tensorOf(encoded);
      return tensor?.length === 1 && tensor[0] === 1 && !(tensor instanceof Uint8Array);
    };
    if (isOne(second)) return first;
    if (isOne(first)) return second;
  }
  return undefined;
}
