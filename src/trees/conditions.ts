/**
 * The distinct conditions of an ensemble. Thousands of nodes ask the same: of 12,400 nodes of a model of 200 trees 1,703
 * conditions remained. Each is "goes to the right": where the value is greater than a threshold, or is none of some values.
 */
import { Unsupported } from './ensemble.js';
import { bitsOf, floatBefore } from './floats.js';

/** How a condition is meant: the bits that the kernel reads above the 16 of its number. */
export const NAN_IS_LESS = 1;
const EQUAL = 2;
const ONE_OF = 4;

/** A feature that is used: its number in the model, its thresholds in order, and its conditions as the kernel reads them. */
export interface FeaturePlan {
  readonly feature: number;
  readonly thresholds: Float32Array;
  readonly words: Uint32Array;
  /** The condition of each plane, in the order of the planes. */
  readonly conditions: Int32Array;
}

/** More would not leave a number for NaN in 16 bits. */
const MOST_THRESHOLDS = 65_534;

interface Condition {
  readonly feature: number;
  readonly how: number;
  /** One threshold; of ONE_OF the values, in order. */
  readonly values: readonly number[];
}

/** Collects conditions and numbers them. A class because the numbers grow as conditions come. */
export class Conditions {
  private readonly all: Condition[] = [];
  private readonly simple = new Map<number, Map<number, number>>();
  private readonly sets = new Map<string, number>();

  /** How many there are. */
  get count(): number {
    return this.all.length;
  }

  /** The number of "greater than the threshold", or with `isEqual` of "not equal to it". NaN goes to the right unless `nanIsLess`. */
  single(
    feature: number,
    threshold: number,
    { isEqual, nanIsLess }: { isEqual: boolean; nanIsLess: boolean },
  ): number {
    const how = (isEqual ? EQUAL : 0) | (nanIsLess ? NAN_IS_LESS : 0);
    let known = this.simple.get(feature);
    if (known === undefined) {
      known = new Map();
      this.simple.set(feature, known);
    }
    // -0 and 0 are the same threshold.
    const key = bitsOf(threshold === 0 ? 0 : threshold) * 4 + how;
    let number = known.get(key);
    if (number === undefined) {
      number = this.all.push({ feature, how, values: [threshold === 0 ? 0 : threshold] }) - 1;
      known.set(key, number);
    }
    return number;
  }

  /** The number of "none of these values". */
  noneOf(feature: number, values: readonly number[], nanIsLess: boolean): number {
    const sorted = [...new Set(values.map((value) => (value === 0 ? 0 : value)))].sort(
      (a, b) => a - b,
    );
    const key = `${feature} ${nanIsLess} ${sorted.join()}`;
    let number = this.sets.get(key);
    if (number === undefined) {
      const how = ONE_OF | (nanIsLess ? NAN_IS_LESS : 0);
      number = this.all.push({ feature, how, values: sorted }) - 1;
      this.sets.set(key, number);
    }
    return number;
  }

  /** The features with their conditions, by feature number. */
  byFeature(): FeaturePlan[] {
    const numbers = new Map<number, number[]>();
    for (const [number, { feature }] of this.all.entries()) {
      const list = numbers.get(feature);
      if (list === undefined) numbers.set(feature, [number]);
      else list.push(number);
    }
    return [...numbers]
      .sort(([a], [b]) => a - b)
      .map(([feature, list]) => this.planOf(feature, list));
  }

  private planOf(feature: number, numbers: readonly number[]): FeaturePlan {
    const wanted: number[] = [];
    for (const number of numbers) {
      const { how, values } = this.all[number]!;
      for (const value of values) {
        wanted.push(value);
        // To be equal is to be greater than the float before, and not greater than the value.
        if (how & (EQUAL | ONE_OF)) wanted.push(floatBefore(value));
      }
    }
    const thresholds = distinct(Float32Array.from(wanted).sort());
    if (thresholds.length > MOST_THRESHOLDS)
      throw new Unsupported(`feature ${feature} has ${thresholds.length} thresholds`);
    const placed = numbers
      .map((number) => {
        const { how, values } = this.all[number]!;
        const places = values.map((value) => placeOf(thresholds, value));
        return { number, how, places };
      })
      .sort((a, b) => a.places[0]! - b.places[0]! || a.how - b.how || a.number - b.number);
    const words = placed.flatMap(({ how, places }) => {
      if (how & ONE_OF) return [how << 16, places.length, ...places];
      return [(how & EQUAL ? places[0]! : places[0]! + 1) | (how << 16)];
    });
    return {
      feature,
      thresholds,
      words: Uint32Array.from(words),
      conditions: Int32Array.from(placed, ({ number }) => number),
    };
  }
}

function distinct(sorted: Float32Array): Float32Array {
  let count = 0;
  for (let i = 0; i < sorted.length; i++) {
    if (i === 0 || sorted[i] !== sorted[i - 1]) sorted[count++] = sorted[i]! + 0;
  }
  return sorted.slice(0, count);
}

function placeOf(sorted: Float32Array, value: number): number {
  let low = 0;
  let high = sorted.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if (sorted[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}
