/**
 * Scores a block of 512 rows with a compiled tree ensemble. Written in AssemblyScript; `npm run build` makes
 * dist/trees/kernel.wasm of it. It allocates nothing and trusts the program in its memory: who writes that proves every
 * address in it (src/trees/program.ts).
 *
 * The idea: one bit a row. Every value becomes a bin, every distinct condition of the whole ensemble a plane of 512 bits, and
 * a node costs two operations for 128 rows, whatever the data. See docs/performance.md.
 */
import { binColumn } from './bins';
import { binDoubles, takeDoubles } from './doubles';
import { field, PROGRAM, ROWS } from './layout';
import { ADD, GREATEST, LEAST, takeLeaves } from './leaves';
import { fillPlanes } from './planes';
import { findLeaves, followNodes, followWideNodes, prepareReach } from './reach';

export { finish } from './finish';
export { finishDoubles, finishToDoubles } from './finish-doubles';

const FEATURE_BYTES: u32 = 64;
const TREE_BYTES: u32 = 24;
const TARGET_BYTES: u32 = 8;

/** Sets the scores of a block to what the trees add up to for its columns. */
export function score(): void {
  if (field(PROGRAM, 11) != 0) scoreDoubles();
  else scoreFloats();
}

function scoreFloats(): void {
  const features = field(PROGRAM, 1);
  const end = features + field(PROGRAM, 0) * FEATURE_BYTES;
  for (let feature = features; feature < end; feature += FEATURE_BYTES) binColumn(feature);
  for (let feature = features; feature < end; feature += FEATURE_BYTES) fillPlanes(feature);
  startScores(v128.load32_splat(PROGRAM + 40), 4);
  const how = field(PROGRAM, 9);
  if (field(PROGRAM, 6) != 0) trees(how, true);
  else if (how == ADD) trees(ADD, false);
  else trees(how, false);
}

function scoreDoubles(): void {
  const features = field(PROGRAM, 1);
  const end = features + field(PROGRAM, 0) * FEATURE_BYTES;
  for (let feature = features; feature < end; feature += FEATURE_BYTES) binDoubles(feature);
  for (let feature = features; feature < end; feature += FEATURE_BYTES) fillPlanes(feature);
  startScores(f64x2.splat(<f64>load<f32>(PROGRAM + 40)), 8);
  const how = field(PROGRAM, 9);
  const isWide = field(PROGRAM, 6) != 0;
  const first = field(PROGRAM, 3);
  const last = first + field(PROGRAM, 2) * TREE_BYTES;
  for (let tree = first; tree < last; tree += TREE_BYTES) {
    reachLeaves(tree, isWide);
    const targets = field(tree, 4);
    const targetsEnd = targets + field(tree, 5) * TARGET_BYTES;
    for (let target = targets; target < targetsEnd; target += TARGET_BYTES) {
      takeDoubles(field(target, 0), field(target, 1), field(tree, 3), how);
    }
  }
}

// @ts-ignore: decorator
@inline function startScores(start: v128, bytes: u32): void {
  const scores = field(PROGRAM, 7);
  const end = scores + field(PROGRAM, 8) * ROWS * bytes;
  for (let at = scores; at < end; at += 16) v128.store(at, start);
}

/** Which leaf of a tree each row reaches. */
// @ts-ignore: decorator
@inline function reachLeaves(tree: u32, isWide: bool): void {
  const planes = field(PROGRAM, 4);
  const reach = field(PROGRAM, 5);
  const leaves = field(tree, 2);
  prepareReach(reach, leaves);
  if (isWide) followWideNodes(field(tree, 0), field(tree, 1), planes, reach);
  else followNodes(field(tree, 0), field(tree, 1), planes, reach);
  findLeaves(reach, leaves, field(tree, 3));
}

// @ts-ignore: decorator
@inline function trees(how: u32, isWide: bool): void {
  const first = field(PROGRAM, 3);
  const last = first + field(PROGRAM, 2) * TREE_BYTES;
  for (let tree = first; tree < last; tree += TREE_BYTES) {
    reachLeaves(tree, isWide);
    const leaves = field(tree, 2);
    const bits = field(tree, 3);
    const targets = field(tree, 4);
    const end = targets + field(tree, 5) * TARGET_BYTES;
    for (let target = targets; target < end; target += TARGET_BYTES) {
      const scores = field(target, 0);
      const values = field(target, 1);
      if (how == ADD) takeLeaves(scores, values, leaves, bits, ADD);
      else if (how == LEAST) takeLeaves(scores, values, leaves, bits, LEAST);
      else takeLeaves(scores, values, leaves, bits, GREATEST);
    }
  }
}
