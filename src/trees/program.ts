/**
 * The program of an ensemble: the memory of the kernel, ready to run, and what stands where in it. Pure: bytes from an
 * ensemble. The kernel trusts every address in it, so this is where they are proven: whatever is written lies in a region that
 * was laid out here for it.
 */
import { type Buckets, chooseBuckets } from './buckets.js';
import type { FeaturePlan } from './conditions.js';
import { type Ensemble, Unsupported } from './ensemble.js';
import { type Finish, finishOf } from './finish.js';
import { type Floats, type Precision, zeros } from './floats.js';
import { type Shape, shapeTrees } from './shapes.js';

/** Where the program begins in the kernel's memory: kernel/layout.ts. */
export const PROGRAM_START = 131_072;
/** Rows of a block, and the bytes of a plane, which has one bit for each. */
export const BLOCK_ROWS = 512;
const PLANE = BLOCK_ROWS / 8;

/** A compiled ensemble. */
export interface Program {
  /** What stands at `PROGRAM_START`. */
  readonly image: Uint8Array;
  /** What the kernel needs in all, from address 0. */
  readonly memoryBytes: number;
  /** What columns, scores and base values are. */
  readonly precision: Precision;
  /** What finished rows are. */
  readonly output: Precision;
  /** The features that the kernel wants, in the order of its columns. */
  readonly features: readonly number[];
  /** Addresses: of the columns of a block, of its scores by column, of its base values and of its finished rows. */
  readonly inputs: number;
  readonly scores: number;
  readonly bases: number;
  readonly outputs: number;
  readonly finish: Finish;
  /** The thresholds of each feature in `features`. */
  readonly thresholds: readonly Floats[];
  readonly trees: number;
  readonly leaves: number;
}

/** A program that is larger is left to ONNX Runtime. */
const MOST_BYTES = 2 ** 30;
const FEATURE_BYTES = 64;
const TREE_BYTES = 24;
const TARGET_BYTES = 8;

/** Lays out memory: first what is filled here, then what the kernel fills. A class because the end moves. */
class Layout {
  private end = PROGRAM_START;
  private readonly fills: (() => void)[] = [];
  private buffer = new ArrayBuffer(0);

  /** Takes bytes, at a multiple of 64. */
  take(bytes: number): number {
    const start = Math.ceil(this.end / 64) * 64;
    this.end = start + bytes;
    if (this.end > MOST_BYTES)
      throw new Unsupported('it takes more than 1 GiB when it is compiled');
    return start;
  }

  /** Has a region filled when all regions are known; `length` numbers of 32 bits at `address`. */
  fill(address: number, length: number, write: (numbers: Int32Array) => void): void {
    this.fills.push(() => write(new Int32Array(this.buffer, address - PROGRAM_START, length)));
  }

  /** Takes and fills a region with a copy. */
  place(values: Floats | Uint32Array | Uint16Array | Uint8Array): number {
    // Vectors are read whole: the last one may begin before the end and reach 15 bytes beyond.
    const address = this.take(values.byteLength + 16);
    const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
    this.fills.push(() => new Uint8Array(this.buffer).set(bytes, address - PROGRAM_START));
    return address;
  }

  /** Fills all regions that were taken so far. */
  image(): Uint8Array {
    this.buffer = new ArrayBuffer(Math.ceil((this.end - PROGRAM_START) / 64) * 64);
    for (const fill of this.fills) fill();
    return new Uint8Array(this.buffer);
  }

  /** The end of all that was taken. */
  get bytes(): number {
    return this.end;
  }
}

/** Compiles an ensemble. Throws `Unsupported`. */
export function buildProgram(ensemble: Ensemble): Program {
  const { shapes, conditions } = shapeTrees(ensemble);
  const plans = conditions.byFeature();
  const finish = finishOf(ensemble);
  const layout = new Layout();
  const header = layout.take(64);
  const features = layout.take(plans.length * FEATURE_BYTES);
  const trees = layout.take(shapes.length * TREE_BYTES);
  const searches = plans.map((plan) => placeSearch(layout, plan));
  const planeOf = new Int32Array(conditions.count);
  let planeCount = 0;
  for (const plan of plans)
    for (const condition of plan.conditions) planeOf[condition] = planeCount++;
  const isWide = planeCount > 65_535 || shapes.some(({ leaves }) => leaves.length > 65_535);
  const isDouble = ensemble.precision === 'float64';
  const columnBytes = BLOCK_ROWS * (isDouble ? 8 : 4);
  // The scores come behind all that is filled, but trees name their addresses: their region is taken when all else is known.
  let scores = 0;
  for (const [index, shape] of shapes.entries()) {
    placeTree(
      layout,
      { shape, ensemble, finish, planeOf, isWide, scores: () => scores },
      trees + index * TREE_BYTES,
    );
  }
  const bases = layout.place(finish.bases);
  const filledEnd = layout.bytes;
  const planes = layout.take(planeCount * PLANE);
  const mostLeaves = Math.max(...shapes.map(({ leaves }) => leaves.length));
  const reach = layout.take((mostLeaves + 9) * PLANE);
  const bins = layout.take(plans.length * BLOCK_ROWS * 2);
  const nans = layout.take(plans.length * PLANE);
  scores = layout.take(finish.columns.length * columnBytes);
  const inputs = layout.take(plans.length * columnBytes);
  const outputs = layout.take(finish.width * BLOCK_ROWS * 8);
  layout.fill(header, 16, (numbers) => {
    numbers.set([plans.length, features, shapes.length, trees, planes, reach, isWide ? 1 : 0]);
    numbers.set([scores, finish.columns.length, finish.join], 7);
    new Float32Array(numbers.buffer, numbers.byteOffset, 16)[10] = finish.start;
    numbers[11] = isDouble ? 1 : 0;
  });
  let plane = planes;
  for (const [index, { search, plan }] of searches.entries()) {
    const at = plane;
    plane += plan.conditions.length * PLANE;
    const low = bins + index * BLOCK_ROWS * 2;
    const isLong = plan.thresholds.length > 254;
    layout.fill(features + index * FEATURE_BYTES, 16, (numbers) => {
      const { mode, steps, count, keyLeast, keyShift, least, scale } = search.buckets;
      numbers.set([inputs + index * columnBytes, low, isLong ? low + BLOCK_ROWS : 0, mode, steps]);
      numbers.set([search.table, search.thresholds, count], 5);
      new Float32Array(numbers.buffer, numbers.byteOffset, 16).set([least, scale], 8);
      numbers.set(
        [keyLeast, keyShift, search.words, plan.conditions.length, at, nans + index * PLANE],
        10,
      );
    });
  }
  const image = layout.image().subarray(0, Math.ceil((filledEnd - PROGRAM_START) / 64) * 64);
  return {
    image: image.slice(),
    memoryBytes: layout.bytes + 64,
    precision: ensemble.precision,
    output: ensemble.output,
    features: plans.map(({ feature }) => feature),
    inputs,
    scores,
    bases,
    outputs,
    finish,
    thresholds: plans.map(({ thresholds }) => thresholds),
    trees: shapes.length,
    leaves: shapes.reduce((sum, { leaves }) => sum + leaves.length, 0),
  };
}

interface Search {
  readonly buckets: Buckets;
  readonly table: number;
  readonly thresholds: number;
  readonly words: number;
}

function placeSearch(layout: Layout, plan: FeaturePlan): { search: Search; plan: FeaturePlan } {
  const { thresholds, words } = plan;
  const isDouble = thresholds instanceof Float64Array;
  // A bucket only has to grow with the value, and the nearest 32-bit float does.
  const buckets = chooseBuckets(isDouble ? Float32Array.from(thresholds) : thresholds);
  const isSingle = buckets.steps === 1 && thresholds.length <= 254 && !isDouble;
  // Steps may lead past the last threshold: nothing is greater than infinity.
  const precision = isDouble ? 'float64' : 'float32';
  const padded = zeros(precision, thresholds.length + (1 << buckets.steps) + 1).fill(Infinity);
  padded.set(thresholds);
  const search = {
    buckets,
    table: layout.place(isSingle ? pairs(buckets.before, padded) : buckets.before),
    thresholds: layout.place(padded),
    words: layout.place(words),
  };
  return { search, plan };
}

/** Of every bucket the one threshold in it, or the next, and the number of those before. */
function pairs(before: Uint16Array, padded: Floats): Float32Array {
  const table = new Float32Array(before.length * 2);
  const numbers = new Uint32Array(table.buffer);
  for (let bucket = 0; bucket < before.length; bucket++) {
    table[bucket * 2] = padded[before[bucket]!]!;
    numbers[bucket * 2 + 1] = before[bucket]!;
  }
  return table;
}

interface TreePart {
  readonly shape: Shape;
  readonly ensemble: Ensemble;
  readonly finish: Finish;
  readonly planeOf: Int32Array;
  readonly isWide: boolean;
  readonly scores: () => number;
}

function placeTree(layout: Layout, part: TreePart, address: number): void {
  const { shape, ensemble, finish, planeOf, isWide } = part;
  const { nodes, leaves } = shape;
  const numbered = isWide ? new Uint32Array(nodes.length) : new Uint16Array(nodes.length);
  for (let i = 0; i < nodes.length; i++) {
    numbered[i] = (i & 3) === 0 ? planeOf[nodes[i]!]! : nodes[i]!;
  }
  let bits = 0;
  while (1 << bits < leaves.length) bits++;
  const columnBytes = BLOCK_ROWS * (ensemble.precision === 'float64' ? 8 : 4);
  const tables = valuesOf(ensemble, leaves, finish.neutral);
  const targets = layout.take(tables.size * TARGET_BYTES);
  const at = layout.place(numbered);
  const placed = [...tables].map(([target, values]) => ({
    column: finish.columns.indexOf(target),
    values: layout.place(bits <= 5 && values instanceof Float32Array ? bytePlanes(values) : values),
  }));
  layout.fill(targets, tables.size * 2, (numbers) => {
    for (const [index, { column, values }] of placed.entries()) {
      if (column < 0) throw new Error('a target without a column');
      numbers.set([part.scores() + column * columnBytes, values], index * 2);
    }
  });
  layout.fill(address, TREE_BYTES / 4, (numbers) => {
    numbers.set([at, nodes.length / 4, leaves.length, bits, targets, tables.size]);
  });
}

/** What each leaf gives to each target that any leaf of the tree gives to; `neutral` where it gives nothing. */
function valuesOf(
  { weightStart, targets, weights, precision }: Ensemble,
  leaves: Int32Array,
  neutral: number,
): Map<number, Floats> {
  const tables = new Map<number, Floats>();
  for (let leaf = 0; leaf < leaves.length; leaf++) {
    const node = leaves[leaf]!;
    for (let at = weightStart[node]!; at < weightStart[node + 1]!; at++) {
      let table = tables.get(targets[at]!);
      if (table === undefined) {
        table = zeros(precision, leaves.length).fill(neutral);
        tables.set(targets[at]!, table);
      }
      table[leaf] = weights[at]!;
    }
  }
  return tables;
}

/** Up to 32 values as the first bytes of all, then the second bytes, and so on, 32 places each. */
function bytePlanes(values: Float32Array): Uint8Array {
  const bytes = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const planes = new Uint8Array(128);
  for (let i = 0; i < bytes.length; i++) planes[32 * (i & 3) + (i >> 2)] = bytes[i]!;
  return planes;
}
