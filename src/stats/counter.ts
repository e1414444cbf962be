/**
 * Counts different numbers, each until there are more than 4,096, then per bucket. The inner loops of all statistics: they
 * run once for each number of every column.
 */
import { bitsOfOrder, bucketBits } from './buckets.js';
import { EXACT_NUMBERS, type Points } from './numeric.js';

const FIRST_SLOTS = 1024;
/** More than twice as many slots as numbers, so that few want the same. */
const MOST_SLOTS = 16_384;
const BUCKETS = 65_536;
const NEGATIVE_ZERO = 0x80000000;
/** The bits of an exponent that mean infinite or not a number: of a float32, and of the upper word of a float64. */
const FLOAT_SPECIAL = 0x7f800000;
const DOUBLE_SPECIAL = 0x7ff00000;

/**
 * Counts numbers given as bits: a hash table with linear probing. A slot whose count is 0 is free. A float64 is two
 * words; of a float32 the upper is 0.
 */
export class PointCounter {
  private readonly wide: boolean;
  private slots = FIRST_SLOTS;
  private low = new Uint32Array(FIRST_SLOTS);
  private high: Uint32Array;
  private counts = new Uint32Array(FIRST_SLOTS);
  private distinct = 0;
  private buckets: Uint32Array | undefined;
  /** What is not finite; while numbers are counted each, they are told from others only where they would be new. */
  nan = 0;
  positiveInfinite = 0;
  negativeInfinite = 0;

  /** `wide` for float64, else for float32. */
  constructor(wide: boolean) {
    this.wide = wide;
    this.high = new Uint32Array(wide ? FIRST_SLOTS : 0);
  }

  /** Counts numbers of bits (`start` to `end`, in numbers) each; gives the first place for which there was no room. */
  addEach(bits: Uint32Array, start: number, end: number): number {
    let at = start;
    while (at < end) {
      at = this.wide ? this.probeDoubles(bits, at, end) : this.probeFloats(bits, at, end);
      if (at < end && !this.grow()) return at;
    }
    return end;
  }

  private probeFloats(bits: Uint32Array, start: number, end: number): number {
    const { low, counts, slots } = this;
    const mask = slots - 1;
    const shift = Math.clz32(mask);
    for (let i = start; i < end; i++) {
      let word = bits[i]!;
      let slot = Math.imul(word, 0x9e3779b1) >>> shift;
      while (low[slot] !== word && counts[slot] !== 0) slot = (slot + 1) & mask;
      if (counts[slot] === 0) {
        if ((word & FLOAT_SPECIAL) === FLOAT_SPECIAL) {
          this.addSpecial(word, (word & 0x7fffff) !== 0);
          continue;
        }
        if (word === NEGATIVE_ZERO) {
          word = 0;
          slot = this.slotOfZero();
        }
        if (counts[slot] === 0) {
          if (this.isFull()) return i;
          this.distinct++;
          low[slot] = word;
        }
      }
      counts[slot]!++;
    }
    return end;
  }

  private probeDoubles(words: Uint32Array, start: number, end: number): number {
    const { low, high, counts, slots } = this;
    const mask = slots - 1;
    const shift = Math.clz32(mask);
    for (let i = start; i < end; i++) {
      const below = words[2 * i]!;
      let above = words[2 * i + 1]!;
      let slot = Math.imul(hashOf(below, above), 0x9e3779b1) >>> shift;
      while ((low[slot] !== below || high[slot] !== above) && counts[slot] !== 0) {
        slot = (slot + 1) & mask;
      }
      if (counts[slot] === 0) {
        if ((above & DOUBLE_SPECIAL) === DOUBLE_SPECIAL) {
          this.addSpecial(above, ((above & 0xfffff) | below) !== 0);
          continue;
        }
        if (above === NEGATIVE_ZERO && below === 0) {
          above = 0;
          slot = this.slotOfZero();
        }
        if (counts[slot] === 0) {
          if (this.isFull()) return i;
          this.distinct++;
          low[slot] = below;
          high[slot] = above;
        }
      }
      counts[slot]!++;
    }
    return end;
  }

  private addSpecial(word: number, isNan: boolean): void {
    if (isNan) this.nan++;
    else if (word >= NEGATIVE_ZERO) this.negativeInfinite++;
    else this.positiveInfinite++;
  }

  /** Where a zero is counted, or would be. */
  private slotOfZero(): number {
    const { low, high, counts, slots, wide } = this;
    let slot = 0;
    while ((low[slot] !== 0 || (wide && high[slot] !== 0)) && counts[slot] !== 0) {
      slot = (slot + 1) & (slots - 1);
    }
    return slot;
  }

  private isFull(): boolean {
    return this.distinct === Math.min(EXACT_NUMBERS, this.slots / 2);
  }

  /** Makes room for more different numbers, unless there are too many. */
  private grow(): boolean {
    if (this.distinct === EXACT_NUMBERS) return false;
    const { wide, low, high, counts } = this;
    this.slots = Math.min(MOST_SLOTS, this.slots * 4);
    this.low = new Uint32Array(this.slots);
    this.high = new Uint32Array(wide ? this.slots : 0);
    this.counts = new Uint32Array(this.slots);
    const mask = this.slots - 1;
    const shift = Math.clz32(mask);
    for (let i = 0; i < counts.length; i++) {
      const count = counts[i]!;
      if (count === 0) continue;
      const hash = wide ? hashOf(low[i]!, high[i]!) : low[i]!;
      let slot = Math.imul(hash, 0x9e3779b1) >>> shift;
      while (this.counts[slot] !== 0) slot = (slot + 1) & mask;
      this.low[slot] = low[i]!;
      if (wide) this.high[slot] = high[i]!;
      this.counts[slot] = count;
    }
    return true;
  }

  /** Goes on with buckets. */
  startBuckets({ points, counts }: Points): void {
    const buckets = new Uint32Array(BUCKETS);
    for (let i = 0; i < points.length; i++) buckets[bucketBits(points[i]!)]! += counts[i]!;
    this.buckets = buckets;
    this.low = new Uint32Array(0);
    this.high = this.low;
    this.counts = this.low;
  }

  /** Counts finite float32 numbers per bucket; gives how many of them are 0. */
  addFloatBuckets(bits: Uint32Array, start: number, end: number): number {
    const buckets = this.buckets!;
    let zeros = 0;
    for (let i = start; i < end; i++) {
      const word = bits[i]!;
      if (word << 1 === 0) zeros++;
      else buckets[word >>> 16]!++;
    }
    buckets[0]! += zeros;
    return zeros;
  }

  /** Counts finite float64 numbers per bucket; gives how many of them are 0. */
  addDoubleBuckets(values: Float64Array, start: number, end: number): number {
    const buckets = this.buckets!;
    let zeros = 0;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      if (value === 0) zeros++;
      else buckets[bucketBits(value)]!++;
    }
    buckets[0]! += zeros;
    return zeros;
  }

  /** What was counted, in rising order. */
  points(): Points {
    const { buckets } = this;
    if (buckets === undefined) return sorted(this.numbers());
    let length = 0;
    for (let top = 0; top < BUCKETS; top++) if (buckets[top] !== 0) length++;
    const points = new Float64Array(length);
    const counts = new Float64Array(length);
    for (let bucket = 0, i = 0; bucket < BUCKETS; bucket++) {
      const count = buckets[bitsOfOrder(bucket)]!;
      if (count === 0) continue;
      points[i] = bucket;
      counts[i++] = count;
    }
    return { resolution: 'bucket', points, counts };
  }

  /** The numbers that were counted each, in the order of the table. */
  numbers(): Points {
    const { wide, low, high, counts: table, distinct } = this;
    const words = new Uint32Array(2 * distinct);
    const counts = new Float64Array(distinct);
    let length = 0;
    for (let slot = 0; slot < table.length; slot++) {
      if (table[slot] === 0) continue;
      words[wide ? 2 * length : length] = low[slot]!;
      if (wide) words[2 * length + 1] = high[slot]!;
      counts[length++] = table[slot]!;
    }
    const points = new Float64Array(words.buffer);
    if (!wide) points.set(new Float32Array(words.slice().buffer, 0, distinct));
    return { resolution: 'exact', points, counts };
  }
}

function sorted(counted: Points): Points {
  const points = counted.points.slice().sort();
  const counts = new Map<number, number>();
  for (let i = 0; i < points.length; i++) counts.set(counted.points[i]!, counted.counts[i]!);
  return { resolution: 'exact', points, counts: points.map((value) => counts.get(value)!) };
}

function hashOf(low: number, high: number): number {
  return Math.imul(low, 0x85ebca6b) ^ high;
}
