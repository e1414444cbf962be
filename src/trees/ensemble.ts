/**
 * A tree ensemble as its ONNX node holds it, checked and in typed arrays. The node's meaning is that of ONNX Runtime 1.30
 * (core/providers/cpu/ml/tree_ensemble_common.h), which the engine is to equal bit for bit: what is refused here is
 * either invalid or has a meaning there that is not worth to follow.
 */
import {
  attributeBigInts,
  attributeChoices,
  attributeFloats,
  attributeInt,
  attributeInts,
  attributeName,
  attributeTensor,
  attributeText,
  attributeTexts,
} from '../base/onnx-attribute.js';
import type { GraphNode } from '../base/onnx-graph.js';
import { tensorOf } from '../base/onnx-tensor.js';
import { type Floats, type Precision, zeros } from './floats.js';

/** Why an ensemble, or the graph around it, is left to ONNX Runtime: a text for a person. */
export class Unsupported extends Error {
  override readonly name = 'Unsupported';
}

/** Why an ensemble of numbers of one width is none of the other. */
export class OtherWidth extends Unsupported {}

/** What a node asks of its feature; the places in this list are the numbers in `Ensemble.modes`. */
export const MODES = [
  'BRANCH_LEQ',
  'BRANCH_LT',
  'BRANCH_GTE',
  'BRANCH_GT',
  'BRANCH_EQ',
  'BRANCH_NEQ',
  'LEAF',
] as const;
/** The number of 'LEAF'. */
export const LEAF = 6;
/** Whether the value is one of some, in `Ensemble.members`: only a TreeEnsemble has this mode. */
export const MEMBER = 7;

/** What becomes of summed scores. */
export type Transform = 'NONE' | 'SOFTMAX' | 'LOGISTIC' | 'SOFTMAX_ZERO';

/** A checked ensemble. Nodes are numbered as they stand in the model; all arrays but `weights` and `targets` have one element a node. */
export interface Ensemble {
  /** What values are compared and added in: the type of the node's input, in ONNX Runtime. */
  readonly precision: Precision;
  /** What a finished score is. */
  readonly output: Precision;
  readonly modes: Uint8Array;
  readonly features: Int32Array;
  readonly thresholds: Floats;
  /** The values of each node of mode MEMBER. */
  readonly members: ReadonlyMap<number, readonly number[]>;
  /** Where a node leads, as numbers of nodes of the same tree; 0 of a leaf. They may form a cycle still: `buildProgram` finds it. */
  readonly whenTrue: Int32Array;
  readonly whenFalse: Int32Array;
  /** 1 where a missing value counts as true. */
  readonly missingIsTrue: Uint8Array;
  /** The first node of each tree, in the order in which their values are added. */
  readonly roots: Int32Array;
  /** The weights of node n are those from `weightStart[n]` up to `weightStart[n + 1]`. */
  readonly weightStart: Int32Array;
  readonly targets: Int32Array;
  readonly weights: Floats;
  /** How many numbers the ensemble gives a row. */
  readonly targetCount: number;
  /** The classes of a classifier. */
  readonly labels: readonly bigint[] | readonly string[] | undefined;
  readonly bases: Floats;
  readonly aggregate: 'SUM' | 'AVERAGE' | 'MIN' | 'MAX';
  readonly transform: Transform;
}

/** The attributes of a node by name, decoded. */
interface Attributes {
  readonly ints: Map<string, Int32Array>;
  readonly floats: Map<string, Float32Array>;
  readonly texts: Map<string, string>;
  readonly counts: Map<string, number>;
  /** Of the floats that may be given as a tensor instead, by the name that they have otherwise. */
  readonly tensors: Map<string, Floats>;
  modes: Uint8Array;
  labels: bigint[] | string[] | undefined;
}

const INTS = new Set([
  'nodes_treeids',
  'nodes_nodeids',
  'nodes_featureids',
  'nodes_truenodeids',
  'nodes_falsenodeids',
  'nodes_missing_value_tracks_true',
  'class_ids',
  'class_nodeids',
  'class_treeids',
  'target_ids',
  'target_nodeids',
  'target_treeids',
]);
const FLOATS = new Set(['nodes_values', 'class_weights', 'target_weights', 'base_values']);
const TEXTS = new Set(['post_transform', 'aggregate_function']);

function decode(node: GraphNode): Attributes {
  const attributes: Attributes = {
    ints: new Map(),
    floats: new Map(),
    texts: new Map(),
    counts: new Map(),
    tensors: new Map(),
    modes: new Uint8Array(),
    labels: undefined,
  };
  for (const bytes of node.attributes()) {
    const name = attributeName(bytes);
    if (INTS.has(name)) attributes.ints.set(name, attributeInts(bytes));
    else if (FLOATS.has(name)) attributes.floats.set(name, attributeFloats(bytes));
    else if (TEXTS.has(name)) attributes.texts.set(name, attributeText(bytes));
    else if (name === 'n_targets') attributes.counts.set(name, Number(attributeInt(bytes) ?? 0n));
    else if (name === 'nodes_modes') attributes.modes = attributeChoices(bytes, MODES);
    else if (name === 'classlabels_strings') takeLabels(attributes, attributeTexts(bytes));
    else if (name === 'classlabels_int64s') takeLabels(attributes, attributeBigInts(bytes));
    else if (FLOATS.has(name.replace(AS_TENSOR, '')))
      attributes.tensors.set(name.replace(AS_TENSOR, ''), floatTensor(name, bytes));
    else if (name.replace(AS_TENSOR, '') !== 'nodes_hitrates')
      throw new Unsupported(`it has an attribute "${name}"`);
  }
  return attributes;
}

const AS_TENSOR = /_as_tensor$/;

/** The floats of an attribute that is a tensor. Throws `Unsupported` where it holds anything else. */
export function floatTensor(name: string, attribute: Uint8Array): Floats {
  const encoded = attributeTensor(attribute);
  const tensor = encoded === undefined ? undefined : tensorOf(encoded);
  if (!(tensor instanceof Float32Array || tensor instanceof Float64Array))
    throw new Unsupported(`${name} is no tensor of floats in the model`);
  return tensor;
}

/** The floats under a name, in the precision of the ensemble: a list of 32 bits each, or a tensor. */
function floatsOf(attributes: Attributes, name: string, precision: Precision): Floats {
  const list = attributes.floats.get(name) ?? new Float32Array();
  const tensor = attributes.tensors.get(name) ?? new Float32Array();
  if (tensor.length === 0) return precision === 'float64' ? Float64Array.from(list) : list;
  if (list.length > 0) throw new Unsupported(`it has both ${name} and ${name}_as_tensor`);
  if (tensor instanceof Float64Array !== (precision === 'float64'))
    throw new OtherWidth(`${name}_as_tensor has not the type of the input`);
  return tensor;
}

function takeLabels(attributes: Attributes, labels: bigint[] | string[]): void {
  if (labels.length === 0) return;
  if (attributes.labels !== undefined) throw new Unsupported('it has two lists of class labels');
  attributes.labels = labels;
}

/**
 * Decodes and checks the ensemble of a TreeEnsembleClassifier or TreeEnsembleRegressor whose input has that precision. Throws
 * `Unsupported` and `Malformed`.
 */
export function readEnsemble(node: GraphNode, precision: Precision): Ensemble {
  const attributes = decode(node);
  const isClassifier = node.op === 'TreeEnsembleClassifier';
  const prefix = isClassifier ? 'class' : 'target';
  const { modes, labels } = attributes;
  const count = modes.length;
  const ints = (name: string): Int32Array => {
    const values = attributes.ints.get(name) ?? new Int32Array();
    if (values.length !== count)
      throw new Unsupported(`${name} has ${values.length} elements for ${count} nodes`);
    return values;
  };
  if (count === 0) throw new Unsupported('it has no nodes');
  if (modes.includes(255)) throw new Unsupported('a node has an unknown mode');
  const thresholds = floatsOf(attributes, 'nodes_values', precision);
  if (thresholds.length !== count)
    throw new Unsupported(`nodes_values has ${thresholds.length} elements for ${count} nodes`);
  const missing = attributes.ints.get('nodes_missing_value_tracks_true') ?? new Int32Array();
  if (missing.length !== 0 && missing.length !== count)
    throw new Unsupported('nodes_missing_value_tracks_true does not have an element a node');
  const features = ints('nodes_featureids');
  for (let node = 0; node < count; node++) {
    if (modes[node] !== LEAF && features[node]! < 0)
      throw new Unsupported('a feature has a negative number');
  }
  const places = placeNodes(ints('nodes_treeids'), ints('nodes_nodeids'));
  const targetCount = isClassifier
    ? (labels?.length ?? 0)
    : (attributes.counts.get('n_targets') ?? 0);
  if (!(targetCount >= 1 && targetCount <= 4096))
    throw new Unsupported(`it has ${targetCount} outputs`);
  const weights = readWeights(attributes, prefix, { modes, places, targetCount, precision });
  return {
    precision,
    output: 'float32',
    members: new Map(),
    modes,
    features,
    thresholds,
    whenTrue: children(ints('nodes_truenodeids'), modes, places),
    whenFalse: children(ints('nodes_falsenodeids'), modes, places),
    missingIsTrue: Uint8Array.from({ length: count }, (_, i) => (missing[i] === 1 ? 1 : 0)),
    roots: places.roots,
    ...weights,
    targetCount,
    labels: isClassifier ? labels : undefined,
    bases: checkedBases(floatsOf(attributes, 'base_values', precision), isClassifier, targetCount),
    aggregate: choice(attributes, 'aggregate_function', 'SUM', ['SUM', 'AVERAGE', 'MIN', 'MAX']),
    transform: choice(attributes, 'post_transform', 'NONE', [
      'NONE',
      'SOFTMAX',
      'LOGISTIC',
      'SOFTMAX_ZERO',
    ]),
  };
}

function choice<Choice extends string>(
  { texts }: Attributes,
  name: string,
  usual: Choice,
  known: readonly Choice[],
): Choice {
  const text = texts.get(name) ?? usual;
  const found = known.find((each) => each === text);
  if (found === undefined) throw new Unsupported(`its ${name} is ${text.slice(0, 40)}`);
  return found;
}

/** One base value a target, or none: ONNX Runtime passes over a list of another length, or worse. */
function checkedBases(bases: Floats, isClassifier: boolean, targetCount: number): Floats {
  const fits = bases.length === 0 || bases.length === targetCount;
  if (!fits && !(isClassifier && targetCount === 2 && bases.length === 1))
    throw new Unsupported(`it has ${bases.length} base values for ${targetCount} outputs`);
  if (bases.some(Number.isNaN)) throw new Unsupported('a base value is NaN');
  return bases;
}

/** Which node has which number in which tree. */
interface Places {
  readonly treeOf: Int32Array;
  readonly roots: Int32Array;
  /** The node of a tree (by its own id) with some id; -1 where there is none. */
  readonly find: (tree: number, id: number) => number;
}

function placeNodes(trees: Int32Array, ids: Int32Array): Places {
  const runs = new Map<
    number,
    { start: number; end: number; byId: Map<number, number> | undefined }
  >();
  const roots: number[] = [];
  for (let start = 0, end = 0; start < trees.length; start = end) {
    const tree = trees[start]!;
    end = start + 1;
    while (end < trees.length && trees[end] === tree) end++;
    if (runs.has(tree)) throw new Unsupported('the nodes of a tree stand in two places');
    let isInOrder = true;
    for (let node = start; node < end && isInOrder; node++) isInOrder = ids[node] === node - start;
    let byId: Map<number, number> | undefined;
    if (!isInOrder) {
      byId = new Map();
      for (let node = start; node < end; node++) byId.set(ids[node]!, node);
      if (byId.size !== end - start) throw new Unsupported('a node is there twice');
    }
    runs.set(tree, { start, end, byId });
    roots.push(start);
  }
  const find = (tree: number, id: number): number => {
    const run = runs.get(tree);
    if (run === undefined) return -1;
    if (run.byId !== undefined) return run.byId.get(id) ?? -1;
    return id >= 0 && id < run.end - run.start ? run.start + id : -1;
  };
  return { treeOf: trees, roots: Int32Array.from(roots), find };
}

function children(ids: Int32Array, modes: Uint8Array, { treeOf, find }: Places): Int32Array {
  const nodes = new Int32Array(ids.length);
  for (let node = 0; node < ids.length; node++) {
    if (modes[node] === LEAF) continue;
    const child = find(treeOf[node]!, ids[node]!);
    if (child < 0 || child === node) throw new Unsupported('a node leads to none, or to itself');
    nodes[node] = child;
  }
  return nodes;
}

interface WeightPlan {
  readonly modes: Uint8Array;
  readonly places: Places;
  readonly targetCount: number;
  readonly precision: Precision;
}

/** Gathers the weights of each leaf, in the order of the model. */
function readWeights(
  attributes: Attributes,
  prefix: 'class' | 'target',
  { modes, places, targetCount, precision }: WeightPlan,
): Pick<Ensemble, 'weightStart' | 'targets' | 'weights'> {
  const { ints } = attributes;
  const trees = ints.get(`${prefix}_treeids`) ?? new Int32Array();
  const ids = ints.get(`${prefix}_nodeids`) ?? new Int32Array();
  const targetOf = ints.get(`${prefix}_ids`) ?? new Int32Array();
  const values = floatsOf(attributes, `${prefix}_weights`, precision);
  const count = values.length;
  if (trees.length !== count || ids.length !== count || targetOf.length !== count)
    throw new Unsupported('its lists of weights differ in length');
  const nodeOf = new Int32Array(count);
  const weightStart = new Int32Array(modes.length + 1);
  for (let i = 0; i < count; i++) {
    const node = places.find(trees[i]!, ids[i]!);
    if (node < 0) throw new Unsupported('a weight belongs to no node');
    const target = targetOf[i]!;
    if (target < 0 || target >= targetCount) throw new Unsupported('a weight belongs to no output');
    // Old converters give weights to nodes that are no leaves: ONNX Runtime passes over them.
    nodeOf[i] = modes[node] === LEAF ? node : -1;
    if (modes[node] === LEAF) weightStart[node + 1]!++;
  }
  for (let node = 0; node < modes.length; node++) weightStart[node + 1]! += weightStart[node]!;
  const next = weightStart.slice();
  const targets = new Int32Array(weightStart.at(-1)!);
  const weights = zeros(precision, weightStart.at(-1)!);
  for (let i = 0; i < count; i++) {
    const node = nodeOf[i]!;
    if (node < 0) continue;
    const at = next[node]!++;
    targets[at] = targetOf[i]!;
    weights[at] = values[i]!;
  }
  const lastLeaf = new Int32Array(targetCount).fill(-1);
  for (let node = 0; node < modes.length; node++) {
    if (modes[node] !== LEAF) continue;
    const [start, end] = [weightStart[node]!, weightStart[node + 1]!];
    if (start === end) throw new Unsupported('a leaf has no weight');
    for (let at = start; at < end; at++) {
      if (lastLeaf[targets[at]!] === node)
        throw new Unsupported('a leaf has two weights for one output');
      lastLeaf[targets[at]!] = node;
    }
  }
  return { weightStart, targets, weights };
}
