/** Tree ensembles for tests: written attribute by attribute, so that wrong ones can be written too, and drawn at random. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { int, modelBytes, node, number, part, tensor, varint } from './onnx.js';
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

/** The node of an ensemble: input `x`, outputs `y`, or `label` and `y`. */
export function ensembleNode(e: EnsembleParts): Buffer {
  const isClassifier = e.labels !== undefined;
  const prefix = isClassifier ? 'class' : 'target';
  const labels = e.labels ?? [];
  const labelAttribute = labels.every((label) => typeof label === 'string')
    ? texts('classlabels_strings', labels)
    : ints('classlabels_int64s', labels);
  return node(
    `ai.onnx.ml.${isClassifier ? 'TreeEnsembleClassifier' : 'TreeEnsembleRegressor'}`,
    ['x'],
    isClassifier ? ['label', 'y'] : ['y'],
    ints('nodes_treeids', e.treeids, e.unpacked),
    ints('nodes_nodeids', e.nodeids, e.unpacked),
    ints('nodes_featureids', e.featureids, e.unpacked),
    texts('nodes_modes', e.modes),
    floats('nodes_values', e.values, e.unpacked),
    ints('nodes_truenodeids', e.truenodeids, e.unpacked),
    ints('nodes_falsenodeids', e.falsenodeids, e.unpacked),
    ...(e.missing === undefined
      ? []
      : [ints('nodes_missing_value_tracks_true', e.missing, e.unpacked)]),
    ints(`${prefix}_treeids`, e.weightTreeids, e.unpacked),
    ints(`${prefix}_nodeids`, e.weightNodeids, e.unpacked),
    ints(`${prefix}_ids`, e.weightIds, e.unpacked),
    floats(`${prefix}_weights`, e.weights, e.unpacked),
    ...(isClassifier ? [labelAttribute] : [number('n_targets', e.targets ?? 1)]),
    ...(e.bases === undefined ? [] : [floats('base_values', e.bases)]),
    ...(e.transform === undefined ? [] : [text('post_transform', e.transform)]),
    ...(e.aggregate === undefined ? [] : [text('aggregate_function', e.aggregate)]),
  );
}

/** Writes a model that is an ensemble over `features` columns, and gives its path. */
export function writeEnsemble(e: EnsembleParts, features: number, folder = makeFolder()): string {
  const path = join(folder, 'trees.onnx');
  const label = typeof e.labels?.[0] === 'string' ? 'string' : 'int64';
  const width = e.labels?.length ?? e.targets ?? 1;
  const bytes = modelBytes({
    inputs: [tensor('x', 'float', ['N', features])],
    outputs: [
      ...(e.labels === undefined ? [] : [tensor('label', label, ['N'])]),
      tensor('y', 'float', ['N', width]),
    ],
    nodes: [ensembleNode(e)],
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
  readonly pool: Float32Array;
}

/** A number from a bell curve. */
function normal(random: Random): number {
  return Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
}

/** Draws an ensemble of every kind that ONNX has; `leaves` is the most that a tree has. */
export function drawEnsemble(random: Random, leaves: number): DrawnEnsemble {
  const features = random.whole(1, 8);
  const count = random.pick([3, 30, 400, 1500]);
  const pool = Float32Array.from([
    ...Array.from({ length: count }, () => 10 * normal(random)),
    ...[0, -0, 1e-35, -1e-35, 1e-45, Infinity, 3.4028235e38, 5, 7, 1, 2, 3],
  ]);
  const isClassifier = random.next() < 0.5;
  const targets = isClassifier ? random.pick([2, 2, 2, 3, 6]) : random.pick([1, 2, 3, 5]);
  const modes = [...ORDERED, ...(random.next() < 0.5 ? EQUAL : [])];
  const only = random.next() < 0.6 ? [random.pick(modes)] : modes;
  const trees = leaves > 2000 ? random.whole(1, 3) : random.whole(1, 30);
  const isPositive = random.next() < 0.3;
  const scheme = random.pick(['all', 'all', 'turns', 'first', 'last', 'some']);
  const e: EnsembleParts = {
    ...{ treeids: [], nodeids: [], featureids: [], modes: [], values: [], truenodeids: [] },
    ...{ falsenodeids: [], weightTreeids: [], weightNodeids: [], weightIds: [], weights: [] },
    unpacked: random.next() < 0.5,
    transform: random.pick(['NONE', 'LOGISTIC', 'SOFTMAX', 'SOFTMAX_ZERO']),
  };
  if (random.next() < 0.7) e.missing = [];
  if (isClassifier) {
    e.labels = Array.from({ length: targets }, (_, i) => 3 * i - 1);
    if (random.next() < 0.4) e.labels = e.labels.map((label) => `class ${label}`);
  } else {
    e.targets = targets;
    e.aggregate = random.pick(['SUM', 'AVERAGE', 'MIN', 'MAX']);
  }
  if (random.next() < 0.4) {
    const length = targets === 2 && isClassifier && scheme !== 'all' ? 1 : targets;
    e.bases = Array.from({ length }, () => Math.fround(normal(random)));
  }
  const targetsOf = (tree: number): number[] => {
    const all = Array.from({ length: targets }, (_, i) => i);
    if (scheme === 'first') return [0];
    if (scheme === 'last') return [targets - 1];
    if (scheme === 'turns') return [tree % targets];
    return scheme === 'all' ? all : all.filter((i) => i === 0 || random.next() < 0.7);
  };
  for (let tree = 0; tree < trees; tree++) {
    const most = random.next() < 0.1 ? 1 : leaves;
    drawTree(e, { random, tree, leaves: most, modes: only, features, pool, targetsOf, isPositive });
  }
  return { parts: e, features, pool };
}

interface TreePlan {
  readonly random: Random;
  readonly tree: number;
  readonly leaves: number;
  readonly modes: readonly string[];
  readonly features: number;
  readonly pool: Float32Array;
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
    e.modes.push(children === undefined ? 'LEAF' : random.pick(modes));
    e.values.push(children === undefined ? 0 : pool[random.whole(0, pool.length - 1)]!);
    e.truenodeids.push(children?.[0] ?? 0);
    e.falsenodeids.push(children?.[1] ?? 0);
    if (children !== undefined) continue;
    for (const target of targetsOf(tree)) {
      e.weightTreeids.push(tree);
      e.weightNodeids.push(id);
      e.weightIds.push(target);
      e.weights.push(Math.fround(isPositive ? Math.abs(normal(random)) : normal(random)));
    }
  }
}

/** Rows, row-major: thresholds, the floats beside them, and what is like no other float. */
export function drawRows(
  random: Random,
  { features, pool }: Pick<DrawnEnsemble, 'features' | 'pool'>,
  rows: number,
): Float32Array {
  const values = new Float32Array(rows * features);
  const bits = new Int32Array(values.buffer);
  for (let i = 0; i < values.length; i++) {
    values[i] = pool[random.whole(0, pool.length - 1)]!;
    const kind = random.next();
    if (kind < 0.6 && Number.isFinite(values[i])) {
      if (values[i] === 0) values[i] = kind < 0.3 ? 1e-45 : -1e-45;
      else bits[i] = bits[i]! + (kind < 0.3 ? 1 : -1);
    } else if (kind > 0.98) values[i] = random.pick([Infinity, -Infinity, 0, -0, 1e-45, -1e-45]);
    else if (kind > 0.92) values[i] = Number.NaN;
  }
  return values;
}
