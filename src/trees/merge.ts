/**
 * Ensembles that look at the same features as one with the outputs of all: bins and conditions are then made once. scikit-learn's
 * isolation forests are exported as an ensemble a tree.
 */
import type { CutEnsemble } from './cut.js';
import type { Ensemble } from './ensemble.js';
import { type Floats, type Precision, zeros } from './floats.js';

/** Ensembles that are one: each has the columns of scores from its place in `starts` on. */
export interface MergedEnsemble {
  readonly ensemble: Ensemble;
  readonly parts: readonly CutEnsemble[];
  readonly starts: readonly number[];
}

/** A block's scores are to stay in the cache. */
const MOST_TARGETS = 512;

/** Brings together what can be: regressors whose scores are plain sums. */
export function mergeEnsembles(ensembles: readonly CutEnsemble[]): MergedEnsemble[] {
  const groups = new Map<string, CutEnsemble[]>();
  const widths = new Map<string, number>();
  for (const [index, each] of ensembles.entries()) {
    const { targetCount } = each.ensemble;
    const kind = isPlain(each.ensemble) ? keyOf(each) : `alone ${index}`;
    const width = (widths.get(kind) ?? 0) + targetCount;
    widths.set(kind, width);
    const key = `${Math.floor(width / MOST_TARGETS)} ${kind}`;
    const group = groups.get(key);
    if (group === undefined) groups.set(key, [each]);
    else group.push(each);
  }
  return [...groups.values()].map(mergedOf);
}

/** Ensembles one by one. */
export function mergedOf(parts: readonly CutEnsemble[]): MergedEnsemble {
  const ensembles = parts.map(({ ensemble }) => ensemble);
  const [first] = ensembles;
  if (first === undefined) throw new RangeError('no ensembles');
  let targets = 0;
  const starts = ensembles.map(({ targetCount }) => {
    targets += targetCount;
    return targets - targetCount;
  });
  return { ensemble: ensembles.length === 1 ? first : joined(ensembles, starts), parts, starts };
}

function isPlain({ labels, aggregate, transform, targetCount }: Ensemble): boolean {
  const isUntouched = transform === 'NONE' || targetCount === 1;
  return labels === undefined && aggregate === 'SUM' && isUntouched && targetCount <= 16;
}

function keyOf({ ensemble, features }: CutEnsemble): string {
  const { precision, output, bases } = ensemble;
  return JSON.stringify([precision, output, bases.length > 0, features]);
}

function joined(ensembles: readonly Ensemble[], starts: readonly number[]): Ensemble {
  const [first] = ensembles as [Ensemble];
  const targetCount = ensembles.reduce((sum, each) => sum + each.targetCount, 0);
  const nodeStarts: number[] = [];
  let nodes = 0;
  let weights = 0;
  const weightStarts: number[] = [];
  const members = new Map<number, readonly number[]>();
  for (const each of ensembles) {
    nodeStarts.push(nodes);
    weightStarts.push(weights);
    for (const [node, values] of each.members) members.set(nodes + node, values);
    nodes += each.modes.length;
    weights += each.weights.length;
  }
  const ints = (pick: (each: Ensemble) => Int32Array, shifts?: readonly number[]): Int32Array => {
    const lists = ensembles.map(pick);
    const all = new Int32Array(lists.reduce((sum, { length }) => sum + length, 0));
    let at = 0;
    for (const [i, list] of lists.entries())
      for (const value of list) all[at++] = value + (shifts?.[i] ?? 0);
    return all;
  };
  const bytes = (pick: (each: Ensemble) => Uint8Array): Uint8Array =>
    new Uint8Array(Buffer.concat(ensembles.map(pick)));
  // Each list of starts ends with that of the next ensemble's first node.
  const allStarts = ints(({ weightStart }) => weightStart.subarray(0, -1), weightStarts);
  const weightStart = new Int32Array(allStarts.length + 1);
  weightStart.set(allStarts);
  weightStart[allStarts.length] = weights;
  return {
    ...first,
    modes: bytes(({ modes }) => modes),
    features: ints(({ features }) => features),
    thresholds: floats(
      ensembles.map(({ thresholds }) => thresholds),
      first.precision,
    ),
    members,
    whenTrue: ints(({ whenTrue }) => whenTrue, nodeStarts),
    whenFalse: ints(({ whenFalse }) => whenFalse, nodeStarts),
    missingIsTrue: bytes(({ missingIsTrue }) => missingIsTrue),
    roots: ints(({ roots }) => roots, nodeStarts),
    weightStart,
    targets: ints(({ targets }) => targets, starts),
    weights: floats(
      ensembles.map((each) => each.weights),
      first.precision,
    ),
    targetCount,
    bases: floats(
      ensembles.map(({ bases }) => bases),
      first.precision,
    ),
    transform: 'NONE',
  };
}

function floats(lists: readonly Floats[], precision: Precision): Floats {
  const all = zeros(
    precision,
    lists.reduce((sum, { length }) => sum + length, 0),
  );
  let at = 0;
  for (const list of lists) {
    all.set(list, at);
    at += list.length;
  }
  return all;
}
