/**
 * The ensemble of a TreeEnsemble node (ai.onnx.ml 5), in the form of the older operators: ONNX Runtime turns it into one of them
 * too, and adds the values tree after tree in the order of the roots.
 */
import {
  attributeInt,
  attributeInts,
  attributeName,
  attributeTensor,
} from '../base/onnx-attribute.js';
import type { GraphNode } from '../base/onnx-graph.js';
import { tensorOf } from '../base/onnx-tensor.js';
import {
  type Ensemble,
  floatTensor,
  LEAF,
  MEMBER,
  OtherWidth,
  type Transform,
  Unsupported,
} from './ensemble.js';
import { type Floats, type Precision, zeros } from './floats.js';

const LISTS = new Set([
  'leaf_targetids',
  'nodes_falseleafs',
  'nodes_falsenodeids',
  'nodes_featureids',
  'nodes_missing_value_tracks_true',
  'nodes_trueleafs',
  'nodes_truenodeids',
  'tree_roots',
]);
const TENSORS = new Set(['leaf_weights', 'membership_values', 'nodes_splits']);
const NUMBERS = new Set(['aggregate_function', 'n_targets', 'post_transform']);

/** By their numbers; in ONNX 1 is SOFTMAX and 2 LOGISTIC, but ONNX Runtime takes them the other way round. */
const AGGREGATES = ['AVERAGE', 'SUM', 'MIN', 'MAX'] as const;
const TRANSFORMS: readonly Transform[] = ['NONE', 'LOGISTIC', 'SOFTMAX', 'SOFTMAX_ZERO'];
/** BRANCH_LEQ to BRANCH_NEQ are those of `MODES`; then BRANCH_MEMBER. */
const LAST_COMPARISON = 5;
const BRANCH_MEMBER = 6;

/** A set of no more values, none of them greater, is a chain of BRANCH_EQ in ONNX Runtime. */
const MOST_MEMBERS = 30;

/** What is there more than once is laid out more than once, but not without end. */
const MOST_COPIES = 4;

/** The attributes, decoded and checked: nodes and leaves are numbered apart. */
interface Nodes {
  readonly modes: Uint8Array;
  readonly splits: Floats;
  readonly features: Int32Array;
  readonly trueIds: Int32Array;
  readonly falseIds: Int32Array;
  readonly trueIsLeaf: Int32Array;
  readonly falseIsLeaf: Int32Array;
  readonly missing: Int32Array;
  readonly roots: Int32Array;
  readonly leafTargets: Int32Array;
  readonly leafWeights: Floats;
  readonly members: ReadonlyMap<number, readonly number[]>;
}

/** Decodes and checks the ensemble of a TreeEnsemble whose input has that precision. Throws `Unsupported` and `Malformed`. */
export function readEnsemble5(node: GraphNode, precision: Precision): Ensemble {
  const lists = new Map<string, Int32Array>();
  const tensors = new Map<string, Floats>();
  const numbers = new Map<string, number>();
  let modes = new Uint8Array();
  for (const bytes of node.attributes()) {
    const name = attributeName(bytes);
    if (LISTS.has(name)) lists.set(name, attributeInts(bytes));
    else if (TENSORS.has(name)) tensors.set(name, floatTensor(name, bytes));
    else if (NUMBERS.has(name)) numbers.set(name, Number(attributeInt(bytes) ?? 0n));
    else if (name === 'nodes_modes') modes = byteTensor(bytes);
    else if (name !== 'nodes_hitrates') throw new Unsupported(`it has an attribute "${name}"`);
  }
  const targetCount = numbers.get('n_targets') ?? 0;
  if (!(targetCount >= 1 && targetCount <= 4096))
    throw new Unsupported(`it has ${targetCount} outputs`);
  for (const [name, tensor] of tensors) {
    if (tensor.length > 0 && tensor instanceof Float64Array !== (precision === 'float64'))
      throw new OtherWidth(`${name} has not the type of the input`);
  }
  const nodes = checkedNodes({ modes, lists, tensors, targetCount });
  const transform = numbers.get('post_transform') ?? 0;
  return {
    precision,
    output: precision,
    ...laidOut(nodes, precision),
    targetCount,
    labels: undefined,
    bases: zeros(precision, 0),
    aggregate: chosen(AGGREGATES, numbers.get('aggregate_function') ?? 1, 'aggregate_function'),
    transform: chosen(TRANSFORMS, transform, 'post_transform'),
  };
}

function chosen<Choice>(choices: readonly Choice[], number: number, name: string): Choice {
  const choice = choices[number];
  if (choice === undefined) throw new Unsupported(`its ${name} is ${number}`);
  return choice;
}

function byteTensor(attribute: Uint8Array): Uint8Array<ArrayBuffer> {
  const encoded = attributeTensor(attribute);
  const tensor = encoded === undefined ? undefined : tensorOf(encoded);
  if (!(tensor instanceof Uint8Array))
    throw new Unsupported('nodes_modes is no tensor of bytes in the model');
  return tensor.slice();
}

function checkedNodes({
  modes,
  lists,
  tensors,
  targetCount,
}: {
  readonly modes: Uint8Array;
  readonly lists: ReadonlyMap<string, Int32Array>;
  readonly tensors: ReadonlyMap<string, Floats>;
  readonly targetCount: number;
}): Nodes {
  const count = modes.length;
  if (count === 0) throw new Unsupported('it has no nodes');
  if (modes.some((mode) => mode > BRANCH_MEMBER))
    throw new Unsupported('a node has an unknown mode');
  const list = (name: string): Int32Array => lists.get(name) ?? new Int32Array();
  const each = (name: string): Int32Array => held(name, list(name), count);
  const splits = tensors.get('nodes_splits') ?? new Float32Array();
  const features = each('nodes_featureids');
  if (features.some((feature) => feature < 0))
    throw new Unsupported('a feature has a negative number');
  const missing = list('nodes_missing_value_tracks_true');
  const leafTargets = list('leaf_targetids');
  const leafWeights = tensors.get('leaf_weights') ?? new Float32Array();
  if (leafTargets.some((target) => target < 0 || target >= targetCount))
    throw new Unsupported('a weight belongs to no output');
  const roots = list('tree_roots');
  if (roots.length === 0) throw new Unsupported('it has no trees');
  if (roots.some((root) => root < 0 || root >= count))
    throw new Unsupported('a tree has no such root');
  return {
    modes,
    splits: held('nodes_splits', splits, count),
    features,
    trueIds: each('nodes_truenodeids'),
    falseIds: each('nodes_falsenodeids'),
    trueIsLeaf: each('nodes_trueleafs'),
    falseIsLeaf: each('nodes_falseleafs'),
    missing:
      missing.length === 0 ? missing : held('nodes_missing_value_tracks_true', missing, count),
    roots,
    leafTargets,
    leafWeights: held('leaf_weights', leafWeights, leafTargets.length),
    members: membersOf(modes, tensors.get('membership_values') ?? new Float32Array()),
  };
}

function held<Values extends Int32Array | Floats>(
  name: string,
  values: Values,
  count: number,
): Values {
  if (values.length !== count)
    throw new Unsupported(`${name} has ${values.length} elements for ${count}`);
  return values;
}

/** The values of each node that asks for one of some: in the order of the nodes, NaN between them. */
function membersOf(modes: Uint8Array, values: Floats): Map<number, readonly number[]> {
  const members = new Map<number, readonly number[]>();
  let at = 0;
  for (let node = 0; node < modes.length; node++) {
    if (modes[node] !== BRANCH_MEMBER) continue;
    const start = at;
    while (at < values.length && !Number.isNaN(values[at])) at++;
    if (at === start) throw new Unsupported('a node of BRANCH_MEMBER has no values');
    const own = [...values.subarray(start, at)];
    // Of others ONNX Runtime makes a set of whole numbers, and looks up in it what a value is without its fraction.
    if (own.length > MOST_MEMBERS || own.some((each) => !(each >= 0 && each <= MOST_MEMBERS)))
      throw new Unsupported('a set of BRANCH_MEMBER is not of few values from 0 to 30');
    members.set(node, own);
    at++;
  }
  return members;
}

type LaidOut = Pick<
  Ensemble,
  | 'modes'
  | 'features'
  | 'thresholds'
  | 'members'
  | 'whenTrue'
  | 'whenFalse'
  | 'missingIsTrue'
  | 'roots'
  | 'weightStart'
  | 'targets'
  | 'weights'
>;

/** Every tree from its root, leaves among its nodes, so that the nodes of a tree stand together. */
function laidOut(nodes: Nodes, precision: Precision): LaidOut {
  const most = MOST_COPIES * (nodes.modes.length + nodes.leafTargets.length) + 1000;
  /** The number of each node or leaf that is laid out: that of a leaf is below 0, its own less than -1. */
  const places: number[] = [];
  const whenTrue: number[] = [];
  const whenFalse: number[] = [];
  const roots: number[] = [];
  for (const root of nodes.roots) {
    const first = places.length;
    roots.push(first);
    places.push(rootOf(nodes, root));
    for (let next = first; next < places.length; next++) {
      const node = places[next]!;
      const isLeaf = node < 0;
      whenTrue.push(isLeaf ? 0 : places.length);
      whenFalse.push(isLeaf ? 0 : places.length + 1);
      if (isLeaf) continue;
      places.push(child(nodes, nodes.trueIds[node]!, nodes.trueIsLeaf[node]!));
      places.push(child(nodes, nodes.falseIds[node]!, nodes.falseIsLeaf[node]!));
      if (places.length > most)
        throw new Unsupported('the nodes of a tree form a cycle, or share too much');
    }
  }
  const count = places.length;
  const isInner = (place: number): boolean => places[place]! >= 0;
  const leaves = places.filter((place) => place < 0).map((place) => -1 - place);
  const weightStart = new Int32Array(count + 1);
  for (let i = 0; i < count; i++) weightStart[i + 1] = weightStart[i]! + (isInner(i) ? 0 : 1);
  const members = new Map<number, readonly number[]>();
  for (const [place, node] of places.entries()) {
    const own = node < 0 ? undefined : nodes.members.get(node);
    if (own !== undefined) members.set(place, own);
  }
  const thresholds = zeros(precision, count);
  const weights = zeros(precision, leaves.length);
  for (let i = 0; i < count; i++) {
    // The split of a node that has members means nothing.
    if (isInner(i) && !members.has(i)) thresholds[i] = nodes.splits[places[i]!]!;
  }
  for (const [i, leaf] of leaves.entries()) weights[i] = nodes.leafWeights[leaf]!;
  return {
    modes: Uint8Array.from(places, (node) => (node < 0 ? LEAF : modeOf(nodes.modes[node]!))),
    features: Int32Array.from(places, (node) => (node < 0 ? 0 : nodes.features[node]!)),
    thresholds,
    members,
    whenTrue: Int32Array.from(whenTrue),
    whenFalse: Int32Array.from(whenFalse),
    missingIsTrue: Uint8Array.from(places, (node) => (nodes.missing[node] === 1 ? 1 : 0)),
    roots: Int32Array.from(roots),
    weightStart,
    targets: Int32Array.from(leaves, (leaf) => nodes.leafTargets[leaf]!),
    weights,
  };
}

function modeOf(mode: number): number {
  return mode <= LAST_COMPARISON ? mode : MEMBER;
}

/** A tree that is one leaf is written as a node that leads to it both ways; ONNX Runtime takes the leaf with the number of the node. */
function rootOf(nodes: Nodes, root: number): number {
  const { trueIds, falseIds, trueIsLeaf, falseIsLeaf } = nodes;
  const leaf = trueIds[root]!;
  if (leaf !== falseIds[root] || trueIsLeaf[root] === 0 || falseIsLeaf[root] === 0) return root;
  if (leaf !== root) throw new Unsupported('a tree of one leaf has another root');
  return child(nodes, leaf, 1);
}

function child({ modes, leafTargets }: Nodes, id: number, isLeaf: number): number {
  if (id < 0 || id >= (isLeaf === 0 ? modes.length : leafTargets.length))
    throw new Unsupported('a node leads to none');
  return isLeaf === 0 ? id : -1 - id;
}
