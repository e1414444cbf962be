/**
 * The distinct conditions of an ensemble. Thousands of nodes ask the same: of 12,400 nodes of a model of 200 trees 1,703
 * conditions remained. Each is "goes to the right": where the value is greater than a threshold, or is none of some values.
 */
import { Unsupported } from './ensemble.js';
import { before, type Floats, type Precision, zeros } from './floats.js';

/** How a condition is meant: the bits that the kernel reads above the 16 of its number. */
export const NAN_IS_LESS = 1;
const EQUAL = 2;
const ONE_OF = 4;

/** A feature that is used: its number in the model, its thresholds in order, and its conditions as the kernel reads them. */
export interface FeaturePlan {
  readonly feature: number;
  readonly thresholds: Floats;
  readonly words: Uint32Array;
  /** The condition of each plane, in the order of the planes. */
  readonly conditions: Int32Array;
}

/** More would not leave a number for NaN in 16 bits. */
const MOST_THRESHOLDS = 65_534;

/** The bits of a number, for a hash of it. */
const NUMBER = new Float64Array(1);
const HALVES = new Uint32Array(NUMBER.buffer);

/** Collects conditions and numbers them, millions of nodes in typed arrays. A class because the numbers grow as conditions come. */
export class Conditions {
  private readonly precision: Precision;
  private size = 0;
  private features = new Int32Array(1024);
  private hows = new Uint8Array(1024);
  /** The threshold; of ONE_OF it stands in `members`. */
  private thresholds = new Float64Array(1024);
  /** Places by hash, each with the number of a condition or -1: never more than half full. */
  private table = new Int32Array(4096).fill(-1);
  private readonly members = new Map<number, readonly number[]>();
  private readonly sets = new Map<string, number>();

  constructor(precision: Precision) {
    this.precision = precision;
  }

  /** How many there are. */
  get count(): number {
    return this.size;
  }

  /** The number of "greater than the threshold", or with `isEqual` of "not equal to it". NaN goes to the right unless `nanIsLess`. */
  single(
    feature: number,
    threshold: number,
    { isEqual, nanIsLess }: { isEqual: boolean; nanIsLess: boolean },
  ): number {
    const how = (isEqual ? EQUAL : 0) | (nanIsLess ? NAN_IS_LESS : 0);
    // -0 and 0 are the same threshold.
    const value = threshold + 0;
    for (let at = hashOf(feature, how, value); ; at++) {
      const place = at & (this.table.length - 1);
      const number = this.table[place]!;
      if (number < 0) {
        this.table[place] = this.size;
        return this.push(feature, how, value);
      }
      const isSame = this.thresholds[number] === value && this.features[number] === feature;
      if (isSame && this.hows[number] === how) return number;
    }
  }

  /** The number of "none of these values". */
  noneOf(feature: number, values: readonly number[], nanIsLess: boolean): number {
    const sorted = [...new Set(values.map((value) => value + 0))].sort((a, b) => a - b);
    const key = `${feature} ${nanIsLess} ${sorted.join()}`;
    let number = this.sets.get(key);
    if (number === undefined) {
      number = this.push(feature, ONE_OF | (nanIsLess ? NAN_IS_LESS : 0), Number.NaN);
      this.members.set(number, sorted);
      this.sets.set(key, number);
    }
    return number;
  }

  private push(feature: number, how: number, threshold: number): number {
    const number = this.size++;
    if (number === this.features.length) {
      this.features = grown(this.features, new Int32Array(number * 2));
      this.hows = grown(this.hows, new Uint8Array(number * 2));
      this.thresholds = grown(this.thresholds, new Float64Array(number * 2));
    }
    this.features[number] = feature;
    this.hows[number] = how;
    this.thresholds[number] = threshold;
    if (this.size * 2 > this.table.length) this.rehash();
    return number;
  }

  private rehash(): void {
    const { length } = this.table;
    const table = new Int32Array(length * 2).fill(-1);
    for (const number of this.table) {
      if (number < 0) continue;
      let at = hashOf(this.features[number]!, this.hows[number]!, this.thresholds[number]!);
      while (table[at & (table.length - 1)]! >= 0) at++;
      table[at & (table.length - 1)] = number;
    }
    this.table = table;
  }

  /** The features with their conditions, by feature number. */
  byFeature(): FeaturePlan[] {
    const numbers = new Map<number, number[]>();
    for (let number = 0; number < this.size; number++) {
      const feature = this.features[number]!;
      const list = numbers.get(feature);
      if (list === undefined) numbers.set(feature, [number]);
      else list.push(number);
    }
    return [...numbers]
      .sort(([a], [b]) => a - b)
      .map(([feature, list]) => this.planOf(feature, Int32Array.from(list)));
  }

  private valuesOf(number: number): readonly number[] {
    return this.members.get(number) ?? [this.thresholds[number]!];
  }

  private planOf(feature: number, numbers: Int32Array): FeaturePlan {
    const wanted: number[] = [];
    for (const number of numbers) {
      for (const value of this.valuesOf(number)) {
        wanted.push(value);
        // To be equal is to be greater than the float before, and not greater than the value.
        if (this.hows[number]! & (EQUAL | ONE_OF)) wanted.push(before(this.precision, value));
      }
    }
    const thresholds = distinct(filled(zeros(this.precision, wanted.length), wanted).sort());
    if (thresholds.length > MOST_THRESHOLDS)
      throw new Unsupported(`feature ${feature} has ${thresholds.length} thresholds`);
    // In the order of their places, so that the kernel passes through its tables: sorted as numbers, which is fast.
    const order = new Float64Array(numbers.length);
    for (const [i, number] of numbers.entries()) {
      const place = placeOf(thresholds, this.valuesOf(number)[0]!);
      order[i] = (place * 8 + this.hows[number]!) * numbers.length + i;
    }
    const sorted = order.sort().map((each) => numbers[each % numbers.length]!);
    const words: number[] = [];
    for (const number of sorted) {
      const how = this.hows[number]!;
      const places = this.valuesOf(number).map((value) => placeOf(thresholds, value));
      if (how & ONE_OF) words.push(how << 16, places.length, ...places);
      else words.push((how & EQUAL ? places[0]! : places[0]! + 1) | (how << 16));
    }
    return {
      feature,
      thresholds,
      words: Uint32Array.from(words),
      conditions: Int32Array.from(sorted),
    };
  }
}

function hashOf(feature: number, how: number, threshold: number): number {
  NUMBER[0] = threshold;
  let hash = Math.imul(HALVES[0]! ^ Math.imul(feature * 8 + how, 0x27d4eb2d), 0x85ebca6b);
  hash = Math.imul(hash ^ (hash >>> 15) ^ HALVES[1]!, 0xc2b2ae35);
  return (hash ^ (hash >>> 13)) & 0x3fffffff;
}

function grown<Values extends Int32Array | Uint8Array | Float64Array>(
  old: Values,
  larger: Values,
): Values {
  larger.set(old);
  return larger;
}

function filled(array: Floats, values: readonly number[]): Floats {
  array.set(values);
  return array;
}

function distinct(sorted: Floats): Floats {
  let count = 0;
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i]! + 0;
  }
  return sorted.slice(0, count);
}

function placeOf(sorted: Floats, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
