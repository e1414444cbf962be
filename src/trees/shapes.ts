/**
 * The trees of an ensemble in the one form that the kernel knows: leaves are numbered from left to right, and a node says over
 * which leaves it stands, and where it parts them.
 */
import { Conditions } from './conditions.js';
import { type Ensemble, LEAF, MEMBER, Unsupported } from './ensemble.js';
import { before } from './floats.js';

/** A tree. */
export interface Shape {
  /** Four numbers a node, from the root down, level by level: its condition, its first leaf, the end of its leaves, and where they part. */
  readonly nodes: Int32Array;
  /** The node of the ensemble that each leaf is. */
  readonly leaves: Int32Array;
}

/** The index of a leaf has 16 bits. */
const MOST_LEAVES = 65_536;
/** Categorical splits lead to one subtree from several nodes: it is laid out several times, but not without end. */
const MOST_COPIES = 4;
/** More values than this are not expected of one categorical split. */
const MOST_VALUES = 4096;

/** Brings all trees of an ensemble into form. Throws `Unsupported` where nodes form a cycle, or what is compared is NaN. */
export function shapeTrees(ensemble: Ensemble): { shapes: Shape[]; conditions: Conditions } {
  const { precision, roots, modes } = ensemble;
  const conditions = new Conditions(precision);
  const shapes: Shape[] = [];
  for (const [index, root] of roots.entries()) {
    const nodes = (roots[index + 1] ?? modes.length) - root;
    shapes.push(shapeTree(ensemble, { root, most: nodes * MOST_COPIES + 1000 }, conditions));
  }
  return { shapes, conditions };
}

/** A node as it is laid out: its condition, or -1 and the ensemble's node for a leaf; and its children. */
interface Expanded {
  readonly count: number;
  readonly condition: Int32Array;
  readonly left: Int32Array;
  readonly right: Int32Array;
}

function shapeTree(
  ensemble: Ensemble,
  tree: { root: number; most: number },
  conditions: Conditions,
): Shape {
  const { count, condition, left, right } = expand(ensemble, tree, conditions);
  // Children come after their parents, so that one pass from behind counts leaves, and one from the front places them.
  const size = new Int32Array(count);
  for (let i = count - 1; i >= 0; i--) {
    size[i] = condition[i]! < 0 ? 1 : size[left[i]!]! + size[right[i]!]!;
  }
  const leafCount = size[0]!;
  if (leafCount > MOST_LEAVES) throw new Unsupported(`a tree has ${leafCount} leaves`);
  const first = new Int32Array(count);
  const leaves = new Int32Array(leafCount);
  const nodes = new Int32Array((count - leafCount) * 4);
  const queue = new Int32Array(count);
  let at = 0;
  for (let next = 0, end = 1; next < end; next++) {
    const i = queue[next]!;
    if (condition[i]! < 0) {
      leaves[first[i]!] = left[i]!;
      continue;
    }
    const middle = first[i]! + size[left[i]!]!;
    nodes[at] = condition[i]!;
    nodes[at + 1] = first[i]!;
    nodes[at + 2] = first[i]! + size[i]!;
    nodes[at + 3] = middle;
    at += 4;
    first[left[i]!] = first[i]!;
    first[right[i]!] = middle;
    queue[end++] = left[i]!;
    queue[end++] = right[i]!;
  }
  return { nodes, leaves };
}

/** Walks a tree from its root, each parent before its children. */
function expand(
  ensemble: Ensemble,
  { root, most }: { root: number; most: number },
  conditions: Conditions,
): Expanded {
  let capacity = Math.min(most, 1024);
  let condition = new Int32Array(capacity);
  let left = new Int32Array(capacity);
  let right = new Int32Array(capacity);
  let count = 0;
  const grown = (array: Int32Array): Int32Array<ArrayBuffer> => {
    const larger = new Int32Array(capacity);
    larger.set(array);
    return larger;
  };
  /** Nodes to lay out, each with the place of its parent, negative where it is the right child. */
  const stack: number[] = [root, 0];
  while (stack.length > 0) {
    const parent = stack.pop()!;
    const node = stack.pop()!;
    if (count === capacity) {
      if (count === most)
        throw new Unsupported('the nodes of a tree form a cycle, or share too much');
      capacity = Math.min(most, capacity * 2);
      condition = grown(condition);
      left = grown(left);
      right = grown(right);
    }
    const place = count++;
    if (parent > 0) left[parent - 1] = place;
    else if (parent < 0) right[-parent - 1] = place;
    if (ensemble.modes[node] === LEAF) {
      condition[place] = -1;
      left[place] = node;
      continue;
    }
    const split = splitOf(ensemble, node, conditions);
    condition[place] = split.condition;
    stack.push(split.right, -place - 1, split.left, place + 1);
  }
  return { count, condition, left, right };
}

interface Split {
  readonly condition: number;
  readonly left: number;
  readonly right: number;
}

/**
 * Every mode as "greater goes to the right", NaN there too unless said otherwise. ONNX Runtime takes the true branch where the
 * comparison holds, or the value is NaN and missing values count as true; only BRANCH_NEQ holds for NaN.
 */
function splitOf(ensemble: Ensemble, node: number, conditions: Conditions): Split {
  const feature = ensemble.features[node]!;
  const threshold = ensemble.thresholds[node]!;
  const whenTrue = ensemble.whenTrue[node]!;
  const whenFalse = ensemble.whenFalse[node]!;
  const missingIsTrue = ensemble.missingIsTrue[node] === 1;
  if (Number.isNaN(threshold)) throw new Unsupported('a threshold is NaN');
  const mode = ensemble.modes[node]!;
  const less = (): number => {
    if (threshold === -Infinity) throw new Unsupported('a threshold is -infinity');
    return before(ensemble.precision, threshold);
  };
  const truth = { left: whenTrue, right: whenFalse };
  const greater = { left: whenFalse, right: whenTrue };
  const toLess = { isEqual: false, nanIsLess: missingIsTrue };
  const toMore = { isEqual: false, nanIsLess: !missingIsTrue };
  switch (mode) {
    case 0:
      return { condition: conditions.single(feature, threshold, toLess), ...truth };
    case 1:
      return { condition: conditions.single(feature, less(), toLess), ...truth };
    case 2:
      return { condition: conditions.single(feature, less(), toMore), ...greater };
    case 3:
      return { condition: conditions.single(feature, threshold, toMore), ...greater };
    case MEMBER: {
      const members = ensemble.members.get(node) ?? [];
      return { condition: conditions.noneOf(feature, members, missingIsTrue), ...truth };
    }
    case 4:
      less();
      return equalSplit(ensemble, node, conditions);
    default: {
      less();
      const how = { isEqual: true, nanIsLess: false };
      return { condition: conditions.single(feature, threshold, how), ...greater };
    }
  }
}

/** LightGBM's categorical splits are chains of BRANCH_EQ that share their true branch: one condition. */
function equalSplit(ensemble: Ensemble, node: number, conditions: Conditions): Split {
  const { modes, features, thresholds, whenTrue, whenFalse, missingIsTrue } = ensemble;
  const feature = features[node]!;
  const left = whenTrue[node]!;
  const values = [thresholds[node]!];
  const nanIsLess = missingIsTrue[node] === 1;
  let right = whenFalse[node]!;
  while (modes[right] === 4 && features[right] === feature && whenTrue[right] === left) {
    // The nodes may form a ring.
    if (values.length === MOST_VALUES) throw new Unsupported('a category has too many values');
    const value = thresholds[right]!;
    if (Number.isNaN(value) || value === -Infinity)
      throw new Unsupported('a threshold is not finite');
    values.push(value);
    // Of some such chains ONNX Runtime makes one node, which does as the first about missing values; of others it does not.
    if (missingIsTrue[right] !== missingIsTrue[node])
      throw new Unsupported('the nodes of a category disagree about missing values');
    right = whenFalse[right]!;
  }
  const condition =
    values.length === 1
      ? conditions.single(feature, values[0]!, { isEqual: true, nanIsLess })
      : conditions.noneOf(feature, values, nanIsLess);
  return { condition, left, right };
}
