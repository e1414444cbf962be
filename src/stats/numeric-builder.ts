/** Makes the statistics of a column of numbers from its values. */
import type { TypedArray } from '../base/columns.js';
import { float16Numbers } from '../base/float16.js';
import { PointCounter } from './counter.js';
import type { NumericSketch } from './numeric.js';
import { addBlock, addLargeBlock, type Running, runningOf } from './running.js';

/** How many numbers are worked on at a time: they stay in the processor's first cache. */
const BLOCK = 2048;

/** Which of the values of a batch to count. Bitmaps have one bit each, least significant first, as those of validity. */
export interface RowChoice {
  readonly rows: number;
  /** Bits of rows: those not set are passed over. Without it all rows count. */
  readonly counted?: Uint8Array | undefined;
  /** Bits of values: those not set are null. */
  readonly validity?: Uint8Array | undefined;
  /** How many values a row has, and which of them to count. */
  readonly width?: number;
  readonly element?: number;
}

/**
 * Counts the values of one column, batch after batch. Integers of 64 bits beyond 2^53 are rounded to the nearest double: a
 * distribution does not need their last digits.
 */
export class NumericBuilder {
  private readonly kind: 'float32' | 'float16' | 'other';
  private readonly wide: boolean;
  private readonly counter: PointCounter;
  /** The values of a block that had to be chosen or converted. */
  private readonly scratch: Float32Array | Float64Array;
  private nulls = 0;
  /** Undefined as long as every number is counted: then it follows from the counts. */
  private running: Running | undefined;

  /** For values that are float32, the bits of float16, or any other numbers. */
  constructor(kind: 'float32' | 'float16' | 'other') {
    this.kind = kind;
    this.wide = kind === 'other';
    this.counter = new PointCounter(this.wide);
    this.scratch = this.wide ? new Float64Array(BLOCK) : new Float32Array(BLOCK);
  }

  /** Counts the values of some rows. */
  add(values: TypedArray, choice: RowChoice): void {
    const { rows, counted, validity, width = 1 } = choice;
    const plain = counted === undefined && validity === undefined && width === 1;
    if (plain && this.isOwn(values)) {
      this.addNumbers(values, rows);
      return;
    }
    for (let start = 0; start < rows; start += BLOCK) {
      const length = this.gather(values, choice, start, Math.min(rows, start + BLOCK));
      this.addNumbers(this.scratch, length);
    }
  }

  private isOwn(values: TypedArray): values is Float32Array | Float64Array {
    return this.wide ? values instanceof Float64Array : values instanceof Float32Array;
  }

  /** Copies the values of the rows that count; gives how many. */
  private gather(values: TypedArray, choice: RowChoice, start: number, end: number): number {
    const { counted, validity, width = 1, element = 0 } = choice;
    const { scratch } = this;
    const numbers = this.kind === 'float16' ? float16Numbers() : undefined;
    const words = isBig(values)
      ? new Int32Array(values.buffer, values.byteOffset, values.length * 2)
      : undefined;
    // The high word of an unsigned integer is never negative: where it looks so, the value is above 2^63.
    const lowest = values instanceof BigUint64Array ? 0 : -0x200000;
    let length = 0;
    for (let row = start; row < end; row++) {
      if (counted !== undefined && (counted[row >> 3]! & (1 << (row & 7))) === 0) continue;
      const at = row * width + element;
      if (validity !== undefined && (validity[at >> 3]! & (1 << (at & 7))) === 0) {
        this.nulls++;
      } else if (words === undefined) {
        const value = values[at] as number;
        scratch[length++] = numbers === undefined ? value : numbers[value]!;
      } else {
        const high = words[2 * at + 1]!;
        const isSafe = high < 0x200000 && high >= lowest;
        scratch[length++] = isSafe
          ? high * 4294967296 + (words[2 * at]! >>> 0)
          : Number(values[at]);
      }
    }
    return length;
  }

  /** Counts the first numbers of an array of the builder's own kind. */
  private addNumbers(values: Float32Array | Float64Array, length: number): void {
    const words = wordsOf(values);
    let start = 0;
    if (this.running === undefined) {
      start = this.counter.addEach(words, 0, length);
      if (start === length) return;
      const numbers = this.counter.numbers();
      this.running = runningOf(numbers);
      this.counter.startBuckets(numbers);
    }
    for (; start < length; start += BLOCK) {
      const end = Math.min(length, start + BLOCK);
      if (addBlock(this.running, values, start, end)) this.count(values, words, start, end);
      else this.addMixed(this.running, values, start, end);
    }
  }

  /** Counts a block of which something is not finite, or too large to add up. */
  private addMixed(
    running: Running,
    values: Float32Array | Float64Array,
    start: number,
    end: number,
  ): void {
    const { counter, scratch } = this;
    let length = 0;
    for (let i = start; i < end; i++) {
      const value = values[i]!;
      // What is written here is behind what is read, where both are the same array.
      if (value - value === 0) scratch[length++] = value;
      else if (value > 0) counter.positiveInfinite++;
      else if (value < 0) counter.negativeInfinite++;
      else counter.nan++;
    }
    if (!addBlock(running, scratch, 0, length)) addLargeBlock(running, scratch, 0, length);
    this.count(scratch, wordsOf(scratch), 0, length);
  }

  private count(
    values: Float32Array | Float64Array,
    words: Uint32Array,
    start: number,
    end: number,
  ): void {
    this.running!.zeros +=
      values instanceof Float64Array
        ? this.counter.addDoubleBuckets(values, start, end)
        : this.counter.addFloatBuckets(words, start, end);
  }

  /** The statistics so far. */
  finish(): NumericSketch {
    const points = this.counter.points();
    const { min, max, zeros, moments } = this.running ?? runningOf(points);
    const { nan, positiveInfinite, negativeInfinite } = this.counter;
    const any = moments.count > 0;
    return {
      kind: 'numeric',
      nulls: this.nulls,
      nan,
      positiveInfinite,
      negativeInfinite,
      zeros,
      // Adding 0 makes a zero of a negative one.
      min: any ? min + 0 : undefined,
      max: any ? max + 0 : undefined,
      moments,
      ...points,
    };
  }
}

function isBig(values: TypedArray): values is BigInt64Array | BigUint64Array {
  return values instanceof BigInt64Array || values instanceof BigUint64Array;
}

function wordsOf({ buffer, byteOffset, byteLength }: Float32Array | Float64Array): Uint32Array {
  return new Uint32Array(buffer, byteOffset, byteLength / 4);
}
