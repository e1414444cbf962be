/** Tree ensembles for tests: written attribute by attribute, so that wrong ones can be written too, and drawn at random. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { after, before, type Floats, zeros } from '../src/trees/floats.js';
import {
  constant,
  ELEMENT,
  int,
  modelBytes,
  node,
  number,
  part,
  tensor,
  tensorAttribute,
  varint,
} from './onnx.js';
import type { Random } from './random.js';
import { makeFolder } from './scoreline.js';

/** The attributes of a TreeEnsembleRegressor or Classifier, under the names of ONNX without `nodes_`, `class_` and `target_`. */
export interface EnsembleParts {
  treeids: number[];
  nodeids: number[];
  featureids: number[];
  modes: string[];
  values: number[];
  truenodeids: number[];
  falsenodeids: number[];
  missing?: number[];
  weightTreeids: number[];
  weightNodeids: number[];
  weightIds: number[];
  weights: number[];
  /** The classes of a classifier; without them it is a regressor. */
  labels?: number[] | string[];
  targets?: number;
  bases?: number[];
  transform?: string;
  aggregate?: string;
  /** The type of the ensemble's input, and of its numbers where they are tensors. */
  element?: 'float' | 'double';
  /** The type of the model's input, where a Cast comes before the ensemble. */
  input?: 'float' | 'double';
  /** Thresholds, weights and base values are tensors, of that type instead. */
  asTensors?: boolean;
  tensors?: 'float' | 'double';
  /** A TreeEnsemble: leaves have one weight each, and there are no labels and no base values. */
  version5?: boolean;
  /** The values of each node whose mode is BRANCH_MEMBER, in their order. */
  members?: number[][];
  /** Numbers one by one, as Python writes them, and not packed. */
  unpacked?: boolean;
}

/** A float in four bytes. */
function float(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatLE(value);
  return bytes;
}

function ints(name: string, values: readonly number[], unpacked = false): Buffer {
  const field = unpacked
    ? Buffer.concat(values.map((value) => int(8, value)))
    : part(8, Buffer.concat(values.map(varint)));
  return part(5, part(1, name), field, int(20, 7));
}

function floats(name: string, values: readonly number[], unpacked = false): Buffer {
  const field = unpacked
    ? Buffer.concat(values.flatMap((value) => [varint(7 * 8 + 5), float(value)]))
    : part(7, Buffer.from(Float32Array.from(values).buffer));
  return part(5, part(1, name), field, int(20, 6));
}

function texts(name: string, values: readonly string[]): Buffer {
  return part(5, part(1, name), Buffer.concat(values.map((value) => part(9, value))), int(20, 8));
}

function text(name: string, value: string): Buffer {
  return part(5, part(1, name), part(4, value), int(20, 3));
}

/** What the values of an ensemble's node are called. */
interface Names {
  readonly x: string;
  readonly y: string;
  readonly label: string;
}

const NAMES: Names = { x: 'x', y: 'y', label: 'label' };

/** The node of an ensemble: input `x`, outputs `y`, or `label` and `y`, unless `names` says otherwise. */
export function ensembleNode(e: EnsembleParts, names: Partial<Names> = {}): Buffer {
  const { x, y, label } = { ...NAMES, ...names };
  if (e.version5) return ensembleNode5(e, { x, y });
  const numbers = (name: string, values: readonly number[]): Buffer =>
    e.asTensors
      ? tensorAttribute(
          `${name}_as_tensor`,
          constant('', e.tensors ?? e.element ?? 'float', [values.length], values),
        )
      : floats(name, values, e.unpacked);
  const isClassifier = e.labels !== undefined;
  const prefix = isClassifier ? 'class' : 'target';
  const labels = e.labels ?? [];
  const labelAttribute = labels.every((label) => typeof label === 'string')
    ? texts('classlabels_strings', labels)
    : ints('classlabels_int64s', labels);
  return node(
    `ai.onnx.ml.${isClassifier ? 'TreeEnsembleClassifier' : 'TreeEnsembleRegressor'}`,
    [x],
    isClassifier ? [label, y] : [y],
    ints('nodes_treeids', e.treeids, e.unpacked),
    ints('nodes_nodeids', e.nodeids, e.unpacked),
    ints('nodes_featureids', e.featureids, e.unpacked),
    texts('nodes_modes', e.modes),
    numbers('nodes_values', e.values),
    ints('nodes_truenodeids', e.truenodeids, e.unpacked),
    ints('nodes_falsenodeids', e.falsenodeids, e.unpacked),
    ...(e.missing === undefined
      ? []
      : [ints('nodes_missing_value_tracks_true', e.missing, e.unpacked)]),
    ints(`${prefix}_treeids`, e.weightTreeids, e.unpacked),
    ints(`${prefix}_nodeids`, e.weightNodeids, e.unpacked),
    ints(`${prefix}_ids`, e.weightIds, e.unpacked),
    numbers(`${prefix}_weights`, e.weights),
    ...(isClassifier ? [labelAttribute] : [number('n_targets', e.targets ?? 1)]),
    ...(e.bases === undefined ? [] : [numbers('base_values', e.bases)]),
    ...(e.transform === undefined ? [] : [text('post_transform', e.transform)]),
    ...(e.aggregate === undefined ? [] : [text('aggregate_function', e.aggregate)]),
  );
}

const MODES5 = ['LEQ', 'LT', 'GTE', 'GT', 'EQ', 'NEQ', 'MEMBER'].map((mode) => `BRANCH_${mode}`);
/** As TreeEnsemble numbers them. */
const AGGREGATES5 = ['AVERAGE', 'SUM', 'MIN', 'MAX'];
const TRANSFORMS5 = ['NONE', 'SOFTMAX', 'LOGISTIC', 'SOFTMAX_ZERO', 'PROBIT'];

/** The same ensemble as a TreeEnsemble: nodes and leaves are numbered apart. */
function ensembleNode5(e: EnsembleParts, { x, y }: Pick<Names, 'x' | 'y'>): Buffer {
  const key = (tree: number, id: number): string => `${tree} ${id}`;
  const place = new Map<string, number>();
  const inner: number[] = [];
  const leaves: number[] = [];
  for (const [i, mode] of e.modes.entries()) {
    const list = mode === 'LEAF' ? leaves : inner;
    place.set(key(e.treeids[i]!, e.nodeids[i]!), list.push(i) - 1);
  }
  const weightOf = new Map(e.weightNodeids.map((id, i) => [key(e.weightTreeids[i]!, id), i]));
  const weights = leaves.map((i) => weightOf.get(key(e.treeids[i]!, e.nodeids[i]!))!);
  const isLeaf = new Map(e.modes.map((m, i) => [key(e.treeids[i]!, e.nodeids[i]!), m === 'LEAF']));
  const to = (i: number, ids: readonly number[]): string => key(e.treeids[i]!, ids[i]!);
  const list = (name: string, ids: readonly number[]): Buffer => ints(name, ids, e.unpacked);
  const element = e.tensors ?? e.element ?? 'float';
  const numbers = (name: string, values: readonly number[]): Buffer =>
    tensorAttribute(name, constant('', element, [values.length], values));
  const roots = inner.filter((i) => e.nodeids[i] === 0);
  const members = (e.members ?? []).flatMap((values) => [...values, Number.NaN]);
  return node(
    'ai.onnx.ml.TreeEnsemble',
    [x],
    [y],
    list(
      'nodes_featureids',
      inner.map((i) => e.featureids[i]!),
    ),
    tensorAttribute(
      'nodes_modes',
      constant(
        '',
        'uint8',
        [inner.length],
        inner.map((i) => MODES5.indexOf(e.modes[i]!)),
      ),
    ),
    numbers(
      'nodes_splits',
      inner.map((i) => e.values[i]!),
    ),
    list(
      'nodes_truenodeids',
      inner.map((i) => place.get(to(i, e.truenodeids)) ?? -1),
    ),
    list(
      'nodes_falsenodeids',
      inner.map((i) => place.get(to(i, e.falsenodeids)) ?? -1),
    ),
    list(
      'nodes_trueleafs',
      inner.map((i) => (isLeaf.get(to(i, e.truenodeids)) ? 1 : 0)),
    ),
    list(
      'nodes_falseleafs',
      inner.map((i) => (isLeaf.get(to(i, e.falsenodeids)) ? 1 : 0)),
    ),
    ...(e.missing === undefined
      ? []
      : [
          list(
            'nodes_missing_value_tracks_true',
            inner.map((i) => e.missing![i]!),
          ),
        ]),
    list(
      'leaf_targetids',
      weights.map((at) => e.weightIds[at]!),
    ),
    numbers(
      'leaf_weights',
      weights.map((at) => e.weights[at]!),
    ),
    ...(members.length === 0 ? [] : [numbers('membership_values', members)]),
    list(
      'tree_roots',
      roots.map((i) => inner.indexOf(i)),
    ),
    number('n_targets', e.targets ?? 1),
    number('aggregate_function', AGGREGATES5.indexOf(e.aggregate ?? 'SUM')),
    number('post_transform', TRANSFORMS5.indexOf(e.transform ?? 'NONE')),
  );
}

/** Writes a model that is an ensemble over `features` columns, and gives its path. */
export function writeEnsemble(e: EnsembleParts, features: number, folder = makeFolder()): string {
  const path = join(folder, 'trees.onnx');
  const label = typeof e.labels?.[0] === 'string' ? 'string' : 'int64';
  const width = e.labels?.length ?? e.targets ?? 1;
  const element = e.element ?? 'float';
  const input = e.input ?? element;
  const cast = node('Cast', ['raw'], ['x'], number('to', ELEMENT[element]));
  const output = e.version5 ? element : 'float';
  const bytes = modelBytes({
    inputs: [tensor(e.input === undefined ? 'x' : 'raw', input, ['N', features])],
    outputs: [
      ...(e.labels === undefined ? [] : [tensor('label', label, ['N'])]),
      tensor('y', output, ['N', width]),
    ],
    nodes: [...(e.input === undefined ? [] : [cast]), ensembleNode(e)],
    ml: e.version5 ? 5 : 3,
  });
  writeFileSync(path, bytes);
  return path;
}

/** One tree of three nodes: 1 where feature 0 is at most 0.5, else 2. */
export function stump(): EnsembleParts {
  return {
    treeids: [0, 0, 0],
    nodeids: [0, 1, 2],
    featureids: [0, 0, 0],
    modes: ['BRANCH_LEQ', 'LEAF', 'LEAF'],
    values: [0.5, 0, 0],
    truenodeids: [1, 0, 0],
    falsenodeids: [2, 0, 0],
    weightTreeids: [0, 0],
    weightNodeids: [1, 2],
    weightIds: [0, 0],
    weights: [1, 2],
  };
}

const ORDERED = ['BRANCH_LEQ', 'BRANCH_LT', 'BRANCH_GTE', 'BRANCH_GT'];
const EQUAL = ['BRANCH_EQ', 'BRANCH_NEQ'];

/** A random ensemble, and the floats that its thresholds are drawn from. */
export interface DrawnEnsemble {
  readonly parts: EnsembleParts;
  readonly features: number;
  readonly pool: Floats;
}

/** A number from a bell curve. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** Draws an ensemble of every kind that ONNX has; `leaves` is the most that a tree has. */
export function drawEnsemble(random: Random, leaves: number): DrawnEnsemble {
  const features = random.whole(1, 8);
  const version5 = random.next() < 0.3;
  const element = random.pick(['float', 'float', 'double'] as const);
  const pool = drawPool(random, element);
  const isClassifier = !version5 && random.next() < 0.5;
  const targets = isClassifier ? random.pick([2, 2, 2, 3, 6]) : random.pick([1, 2, 3, 5]);
  const modes = [...ORDERED, ...(random.next() < 0.5 ? EQUAL : [])];
  if (version5 && random.next() < 0.5) modes.push('BRANCH_MEMBER');
  const only = random.next() < 0.6 ? [random.pick(modes)] : modes;
  const trees = leaves > 2000 ? random.whole(1, 3) : random.whole(1, 30);
  const isPositive = random.next() < 0.3;
  const scheme = random.pick(version5 ? SCHEMES5 : SCHEMES);
  const e: EnsembleParts = {
    ...noNodes(),
    ...{ element, version5, members: [], unpacked: random.next() < 0.5 },
    asTensors: element === 'double' ? random.next() < 0.7 : random.next() < 0.1,
    transform: random.pick(['NONE', 'LOGISTIC', 'SOFTMAX', 'SOFTMAX_ZERO']),
  };
  if (random.next() < 0.2) e.input = random.pick(['float', 'double']);
  if (random.next() < 0.7) e.missing = [];
  if (isClassifier) {
    e.labels = Array.from({ length: targets }, (_, i) => 3 * i - 1);
    if (random.next() < 0.4) e.labels = e.labels.map((label) => `class ${label}`);
  } else {
    e.targets = targets;
    e.aggregate = random.pick(['SUM', 'AVERAGE', 'MIN', 'MAX']);
  }
  if (!version5 && random.next() < 0.4) {
    const length = targets === 2 && isClassifier && scheme !== 'all' ? 1 : targets;
    e.bases = Array.from({ length }, () => normal(random));
  }
  const targetsOf = (tree: number): number[] => {
    const all = Array.from({ length: targets }, (_, i) => i);
    if (scheme === 'first') return [0];
    if (scheme === 'last') return [targets - 1];
    if (scheme === 'turns') return [tree % targets];
    if (scheme === 'any') return [random.pick(all)];
    return scheme === 'all' ? all : all.filter((i) => i === 0 || random.next() < 0.7);
  };
  for (let tree = 0; tree < trees; tree++) {
    const most = version5 ? Math.max(2, leaves) : random.next() < 0.1 ? 1 : leaves;
    drawTree(e, { random, tree, leaves: most, modes: only, features, pool, targetsOf, isPositive });
  }
  return { parts: e, features, pool };
}

function noNodes(): EnsembleParts {
  return {
    ...{ treeids: [], nodeids: [], featureids: [], modes: [], values: [], truenodeids: [] },
    ...{ falsenodeids: [], weightTreeids: [], weightNodeids: [], weightIds: [], weights: [] },
  };
}

/** Which outputs the leaves of a tree give to: in a TreeEnsemble each to one. */
const SCHEMES = ['all', 'all', 'turns', 'first', 'last', 'some'];
const SCHEMES5 = ['turns', 'turns', 'first', 'any'];

function drawPool(random: Random, element: 'float' | 'double'): Floats {
  const count = random.pick([3, 30, 400, 1500]);
  const values = [
    ...Array.from({ length: count }, () => 10 * normal(random)),
    ...[0, -0, 1e-35, -1e-35, 1e-45, Infinity, 3.4028235e38, 5, 7, 1, 2, 3],
  ];
  if (element === 'float') return Float32Array.from(values);
  // Some that differ as doubles only, some that are 32-bit floats, and some that no float comes near to.
  const near = values.slice(0, 10).map((value) => value * (1 + 2 ** -40));
  const rounded = values.slice(5, 20).map(Math.fround);
  return Float64Array.from([...values, ...near, ...rounded, 1e-310, -1e300, 5e-324, 1e39]);
}

interface TreePlan {
  readonly random: Random;
  readonly tree: number;
  readonly leaves: number;
  readonly modes: readonly string[];
  readonly features: number;
  readonly pool: Floats;
  readonly targetsOf: (tree: number) => number[];
  readonly isPositive: boolean;
}

/** Nodes are split one after the other, at random or always the last (a chain), and written in order, or from the root in any. */
function drawTree(e: EnsembleParts, plan: TreePlan): void {
  const { random, tree, leaves, modes, features, pool, targetsOf, isPositive } = plan;
  const split = new Map<number, [number, number]>();
  const open = [0];
  let next = 1;
  const isChain = leaves < 500 && random.next() < 0.15;
  while (open.length < leaves) {
    const at = isChain ? open.length - 1 : random.whole(0, open.length - 1);
    const id = open[at]!;
    open[at] = open.at(-1)!;
    open.pop();
    split.set(id, random.next() < 0.5 ? [next, next + 1] : [next + 1, next]);
    open.push(next, next + 1);
    next += 2;
  }
  const ids = Array.from({ length: next }, (_, i) => i);
  const order = random.next() < 0.3 ? [0, ...random.shuffled(ids.slice(1))] : ids;
  for (const id of order) {
    const children = split.get(id);
    e.treeids.push(tree);
    e.nodeids.push(id);
    e.missing?.push(children === undefined ? 0 : random.whole(0, 1));
    e.featureids.push(children === undefined ? 0 : random.whole(0, features - 1));
    const mode = children === undefined ? 'LEAF' : random.pick(modes);
    e.modes.push(mode);
    if (mode === 'BRANCH_MEMBER') e.members?.push(drawMembers(random, pool));
    e.values.push(children === undefined ? 0 : pool[random.whole(0, pool.length - 1)]!);
    e.truenodeids.push(children?.[0] ?? 0);
    e.falsenodeids.push(children?.[1] ?? 0);
    if (children !== undefined) continue;
    for (const target of targetsOf(tree)) {
      e.weightTreeids.push(tree);
      e.weightNodeids.push(id);
      e.weightIds.push(target);
      e.weights.push(isPositive ? Math.abs(normal(random)) : normal(random));
    }
  }
}

/**
 * Draws trees of LightGBM's for sets of categories: chains of BRANCH_EQ that share their true branch, of numbers of which ONNX Runtime
 * makes a mask or does not, and whose nodes may or may not agree about missing values.
 */
export function drawChains(random: Random): DrawnEnsemble {
  const element = random.pick(['float', 'double'] as const);
  const pool = drawPool(random, element).filter((x) => x > -1e300) as Floats;
  const features = random.whole(1, 3);
  const e: EnsembleParts = { ...noNodes(), element, asTensors: element === 'double' };
  if (random.next() < 0.8) e.missing = [];
  for (let tree = random.whole(0, 3); tree >= 0; tree--) {
    const members = drawMembers(random, pool);
    const feature = random.whole(0, features - 1);
    const missing = random.pick([0, 1, 2]);
    const last = members.length;
    for (let id = 0; id < last + 2; id++) {
      const isInner = id < last;
      e.treeids.push(tree);
      e.nodeids.push(id);
      e.featureids.push(isInner && random.next() < 0.95 ? feature : 0);
      e.modes.push(isInner ? 'BRANCH_EQ' : 'LEAF');
      e.values.push(members[id] ?? 0);
      e.truenodeids.push(isInner ? last + 1 : 0);
      e.falsenodeids.push(isInner ? id + 1 : 0);
      e.missing?.push(isInner && missing < 2 ? missing : random.whole(0, 1));
      if (isInner) continue;
      e.weightTreeids.push(tree);
      e.weightNodeids.push(id);
      e.weightIds.push(0);
      e.weights.push(normal(random));
    }
  }
  return { parts: e, features, pool };
}

/** Small whole numbers, of which ONNX Runtime makes a mask, or any numbers, or many. */
function drawMembers(random: Random, pool: Floats): number[] {
  const count = random.pick([1, 2, 5, 20, 30, 40]);
  const isSmall = random.next() < 0.8;
  const least = random.pick([0, 1]);
  const most = random.pick([7, 25, 30, 30, 40, 70]);
  return Array.from({ length: count }, () =>
    isSmall ? random.whole(least, most) : random.pick([...pool]),
  );
}

/** Rows, row-major: thresholds, the floats beside them, and what is like no other float. */
export function drawRows(
  random: Random,
  { features, pool }: Pick<DrawnEnsemble, 'features' | 'pool'>,
  rows: number,
): Floats {
  const isDouble = pool instanceof Float64Array;
  const precision = isDouble ? 'float64' : 'float32';
  const values = zeros(precision, rows * features);
  for (let i = 0; i < values.length; i++) {
    let value = pool[random.whole(0, pool.length - 1)]!;
    const kind = random.next();
    if (isDouble && random.next() < 0.3) value = Math.fround(value);
    if (kind < 0.6 && Number.isFinite(value)) {
      value = kind < 0.3 ? after(precision, value) : before(precision, value);
    } else if (kind > 0.98) value = random.pick([Infinity, -Infinity, 0, -0, 1e-45, -1e-45]);
    else if (kind > 0.92) value = Number.NaN;
    else if (kind > 0.8) value = random.whole(-4, 144) / 2;
    values[i] = value;
  }
  return values;
}
