/**
 * Cuts a model's graph at its tree ensembles: what comes before them and what comes behind them are models of their own for ONNX
 * Runtime, and each is there only where it computes something. What changes no value is done away with: Identity, a Cast to the
 * type that is there already, multiplication by 1, ZipMap, of which only the matrix is used, and what only moves columns.
 */
import type { GraphNode, OnnxGraph } from '../base/onnx-graph.js';
import { type ModelPart, partOf, readsOf } from '../base/onnx-part.js';
import { DOUBLE, FLOAT, INT64, TEXT } from '../base/onnx-tensor.js';
import { type Ensemble, OtherWidth, readEnsemble, Unsupported } from './ensemble.js';
import { readEnsemble5 } from './ensemble5.js';
import { finishOf } from './finish.js';
import type { Precision } from './floats.js';
import {
  castTo,
  type FeatureElement,
  type Features,
  featuresOf,
  precisionOf,
  unchanged,
  type Wiring,
} from './views.js';

/** An ensemble of a model, and how it is wired. */
export interface CutEnsemble {
  readonly node: GraphNode;
  readonly ensemble: Ensemble;
  readonly features: Features;
  /** The values that it makes and others look at, and which. */
  readonly outputs: ReadonlyMap<string, 'label' | 'scores'>;
}

/** A model in parts. */
export interface Cut {
  readonly ensembles: readonly CutEnsemble[];
  /** Makes what ensembles look at that is no input of the model, and what `behind` needs of the same nodes. */
  readonly before: ModelPart | undefined;
  readonly behind: ModelPart | undefined;
  /** The outputs that can be given, and the value that each is: of an ensemble, or of a part. */
  readonly outputs: ReadonlyMap<string, string>;
}

/** What is known beyond the graph. */
export interface CutOptions {
  /** Ensembles that are left to ONNX Runtime like any other node, and why. */
  readonly left: Map<GraphNode, string>;
  /** What the values hold that a part makes, where that was found out. */
  readonly types: ReadonlyMap<string, FeatureElement | undefined>;
  /** Decodes an ensemble; once, though the cut is made more than once. */
  readonly read: (node: GraphNode, precision: Precision) => Ensemble;
}

const ML = 'ai.onnx.ml';

function isEnsemble({ domain, op }: GraphNode): boolean {
  return domain === ML && op.startsWith('TreeEnsemble');
}

/** Decodes the ensemble of a node whose input is compared in that precision. Throws `Unsupported` and `Malformed`. */
export function ensembleOf(node: GraphNode, precision: Precision): Ensemble {
  return (node.op === 'TreeEnsemble' ? readEnsemble5 : readEnsemble)(node, precision);
}

/**
 * Cuts a model at those of its ensembles that look at no other one's output and can be run. Throws `Unsupported` with the reason why
 * there is none, and `Malformed`. Of an ensemble that cannot be run the reason is added to `left`.
 */
export function cutGraph(graph: OnnxGraph, options: CutOptions): Cut {
  const nodes = inOrder(graph);
  const makers = new Map<string, GraphNode>();
  for (const node of nodes) for (const output of node.outputs) makers.set(output, node);
  const wiring: Wiring = { graph, makers };
  const firsts = firstEnsembles(nodes);
  if (firsts.length === 0) {
    const isHidden = graph.functionsHideTrees || nodes.some(({ hidesTrees }) => hidesTrees);
    throw new Unsupported(
      isHidden
        ? 'its tree ensembles stand in branches, loops or functions'
        : 'the model has no tree ensemble',
    );
  }
  const cut = firsts.flatMap((node) => tryEnsemble(wiring, node, options) ?? []);
  if (cut.length === 0) throw new Unsupported(options.left.get(firsts[0]!) ?? 'it has no ensemble');
  return divide(wiring, nodes, cut);
}

/** The nodes so that each comes behind those that it needs. */
function inOrder({ nodes }: OnnxGraph): GraphNode[] {
  const makers = new Map<string, GraphNode>();
  for (const node of nodes) for (const output of node.outputs) makers.set(output, node);
  const missing = new Map<GraphNode, number>();
  const users = new Map<GraphNode, GraphNode[]>();
  const sorted: GraphNode[] = [];
  for (const node of nodes) {
    // The graphs within a node may name what they make as the node does.
    const own = new Set(node.outputs);
    const names = [...node.inputs, ...node.captures.filter((name) => !own.has(name))];
    const needs = new Set(names.flatMap((name) => makers.get(name) ?? []));
    missing.set(node, needs.size);
    for (const need of needs) {
      const list = users.get(need);
      if (list === undefined) users.set(need, [node]);
      else list.push(node);
    }
    if (needs.size === 0) sorted.push(node);
  }
  // The list grows while it is walked.
  for (const node of sorted) {
    for (const user of users.get(node) ?? []) {
      const left = missing.get(user)! - 1;
      missing.set(user, left);
      if (left === 0) sorted.push(user);
    }
  }
  if (sorted.length < nodes.length) throw new Unsupported('the nodes of the graph form a cycle');
  return sorted;
}

/** The ensembles that need no other. */
function firstEnsembles(nodes: readonly GraphNode[]): GraphNode[] {
  const behind = new Set<string>();
  const firsts: GraphNode[] = [];
  for (const node of nodes) {
    const isBehind = readsOf(node).some((name) => behind.has(name));
    if (isEnsemble(node) && !isBehind) firsts.push(node);
    if (isEnsemble(node) || isBehind) for (const output of node.outputs) behind.add(output);
  }
  return firsts;
}

function tryEnsemble(
  wiring: Wiring,
  node: GraphNode,
  { left, types, read }: CutOptions,
): CutEnsemble | undefined {
  if (left.has(node)) return undefined;
  let reason: string | undefined;
  try {
    const own = featuresOf(wiring, node.inputs[0] ?? '');
    for (const features of own === undefined ? madeFeatures(wiring, node, types) : [own]) {
      try {
        return cutEnsemble(node, features, read(node, features.precision));
      } catch (error) {
        if (!(error instanceof Unsupported)) throw error;
        if (reason === undefined || !(error instanceof OtherWidth)) reason = error.message;
      }
    }
  } catch (error) {
    if (!(error instanceof Unsupported)) throw error;
    reason ??= error.message;
  }
  left.set(node, reason ?? 'it has no input');
  return undefined;
}

function cutEnsemble(node: GraphNode, features: Features, ensemble: Ensemble): CutEnsemble {
  const { label } = finishOf(ensemble);
  const isClassifier = node.op === 'TreeEnsembleClassifier';
  const [first = '', second = ''] = node.outputs;
  const outputs = new Map<string, 'label' | 'scores'>();
  if (isClassifier && first !== '' && typeof label !== 'string') outputs.set(first, 'label');
  const scores = isClassifier ? second : first;
  if (scores !== '') outputs.set(scores, 'scores');
  if (outputs.size === 0) throw new Unsupported(typeof label === 'string' ? label : 'no outputs');
  return { node, ensemble, features, outputs };
}

/** What the features may be that a part makes as one matrix: what they are, or until that is known what fits the ensemble. */
function madeFeatures({ makers }: Wiring, node: GraphNode, types: CutOptions['types']): Features[] {
  const value = node.inputs[0] ?? '';
  if (!makers.has(value)) throw new Unsupported('its input holds neither floats nor whole numbers');
  const elements = types.has(value) ? [types.get(value)] : (['float32', 'float64'] as const);
  return elements.map((element) => {
    if (element === undefined)
      throw new Unsupported('what comes before it makes neither floats nor whole numbers');
    return { view: { open: value, element }, precision: precisionOf(element), taken: element };
  });
}

/** Settles which node belongs to which part, and which outputs can be given. */
function divide(wiring: Wiring, nodes: readonly GraphNode[], cut: readonly CutEnsemble[]): Cut {
  const { graph, makers } = wiring;
  const ofEnsembles = new Map(
    cut.flatMap((each) => [...each.outputs.keys()].map((v) => [v, each])),
  );
  const isCut = new Set(cut.map(({ node }) => node));
  const outputs = new Map<string, string>();
  const isBehind = new Set<GraphNode>();
  const used = new Set<CutEnsemble>();
  for (const name of graph.outputs) {
    const value = directValue(wiring, name, ofEnsembles) ?? tensorName(makers, name);
    const needs = closure(makers, [value], ofEnsembles);
    // A label that the trees cannot find is a value of theirs that they do not give.
    if (needs.nodes.some((node) => isCut.has(node))) continue;
    outputs.set(name, value);
    for (const node of needs.nodes) isBehind.add(node);
    for (const stop of needs.stops) used.add(ofEnsembles.get(stop)!);
  }
  const ensembles = cut.filter((each) => used.has(each));
  if (ensembles.length === 0) throw new Unsupported(whyNothing(cut));
  const made = ensembles.flatMap(({ features: { view } }) => ('open' in view ? [view.open] : []));
  const sources = [...new Set(made)].filter((value) => makers.has(value));
  const isBefore = new Set(closure(makers, sources, ofEnsembles).nodes);
  const isConstant = constants(graph, nodes);
  // What both need is made once, and crosses; but a constant is to be seen as one on both sides.
  const shared = new Set([...isBehind].filter((n) => isBefore.has(n) && !isConstant.has(n)));
  const behindNodes = graph.nodes.filter((node) => isBehind.has(node) && !shared.has(node));
  const beforeNodes = graph.nodes.filter((node) => isBefore.has(node));
  const ofShared = new Set([...shared].flatMap((node) => node.outputs));
  const values = [...new Set(outputs.values())].filter((value) => !ofEnsembles.has(value));
  const crossing = [...behindNodes.flatMap(readsOf), ...values].filter((v) => ofShared.has(v));
  const results = values.filter((value) => !ofShared.has(value));
  return {
    ensembles,
    before:
      beforeNodes.length === 0
        ? undefined
        : partOf(graph, beforeNodes, [...new Set([...sources, ...crossing])]),
    behind: behindNodes.length === 0 ? undefined : partOf(graph, behindNodes, results),
    outputs,
  };
}

function whyNothing(cut: readonly CutEnsemble[]): string {
  for (const { ensemble } of cut) {
    const { label } = finishOf(ensemble);
    if (typeof label === 'string') return label;
  }
  return 'no output comes from the ensemble';
}

/** The nodes that values need, and the values of ensembles at which these end. */
function closure(
  makers: ReadonlyMap<string, GraphNode>,
  values: readonly string[],
  ofEnsembles: ReadonlyMap<string, unknown>,
): { nodes: GraphNode[]; stops: string[] } {
  const nodes = new Set<GraphNode>();
  const stops = new Set<string>();
  const open = [...values];
  for (let value = open.pop(); value !== undefined; value = open.pop()) {
    if (ofEnsembles.has(value)) {
      stops.add(value);
      continue;
    }
    const node = makers.get(value);
    if (node === undefined || nodes.has(node)) continue;
    nodes.add(node);
    open.push(...readsOf(node));
  }
  return { nodes: [...nodes], stops: [...stops] };
}

/** The nodes whose values follow from no input. */
function constants(graph: OnnxGraph, nodes: readonly GraphNode[]): Set<GraphNode> {
  const varying = new Set([...graph.inputs.keys()].filter((name) => !graph.initializers.has(name)));
  const found = new Set<GraphNode>();
  for (const node of nodes) {
    if (readsOf(node).some((name) => varying.has(name)))
      for (const output of node.outputs) varying.add(output);
    else found.add(node);
  }
  return found;
}

/** The value of an ensemble that an output is, where nothing on the way changes it. */
function directValue(
  { graph, makers }: Wiring,
  output: string,
  ofEnsembles: ReadonlyMap<string, CutEnsemble>,
): string | undefined {
  let name = output;
  const casts: number[] = [];
  for (;;) {
    const of = ofEnsembles.get(name);
    if (of !== undefined) return casts.every((to) => to === typeOf(of, name)) ? name : undefined;
    const node = makers.get(name);
    if (node === undefined) return undefined;
    const to = castTo(node);
    if (to !== undefined) casts.push(to);
    const isPassed = to !== undefined || isZipMap(node);
    const before = isPassed ? node.inputs[0] : unchanged(graph, node);
    if (before === undefined) return undefined;
    name = before;
  }
}

/** The number in TensorProto.DataType of what a value of an ensemble holds. */
function typeOf({ ensemble, outputs }: CutEnsemble, value: string): number {
  if (outputs.get(value) === 'label')
    return typeof ensemble.labels?.[0] === 'string' ? TEXT : INT64;
  return ensemble.output === 'float64' ? DOUBLE : FLOAT;
}

function isZipMap({ domain, op }: GraphNode): boolean {
  return domain === ML && op === 'ZipMap';
}

/** Of an output that a ZipMap makes, directly or through Identity nodes, its matrix; else the output itself. */
function tensorName(makers: ReadonlyMap<string, GraphNode>, output: string): string {
  let node = makers.get(output);
  while (node?.domain === '' && node.op === 'Identity') node = makers.get(node.inputs[0] ?? '');
  return node !== undefined && isZipMap(node) ? (node.inputs[0] ?? output) : output;
}
