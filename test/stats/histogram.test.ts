/** Histograms, held to counts of the values themselves. */
import { describe, expect, test } from 'vitest';
import { histogramOf } from '../../src/stats/histogram.js';
import type { NumericSketch } from '../../src/stats/numeric.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';
import { Random } from '../random.js';

function sketch(values: Float64Array): NumericSketch {
  const builder = new NumericBuilder('other');
  builder.add(values, { rows: values.length });
  return builder.finish();
}

function made(rows: number, value: (random: Random) => number): Float64Array {
  const random = new Random(rows);
  return Float64Array.from({ length: rows }, () => value(random));
}

/** Placeholders at both ends, as some systems write them for what is not known, and numbers between. */
function huge(most: number): Float64Array {
  return Float64Array.from({ length: 300 }, (_, i) => [-most, most, 1][i % 3]!);
}

describe('a histogram', () => {
  test.each([
    ['whole numbers', made(2000, (random) => random.whole(0, 50))],
    ['prices', made(2000, (random) => Math.round(random.next() * 10_000) / 100)],
    ['few and far', Float64Array.of(1, 2, 3, 1e9)],
    ['tiny', made(500, (random) => random.next() * 1e-9)],
    ['below zero', made(500, (random) => -1000 * random.next())],
    ['one value', new Float64Array(20).fill(7)],
    ['zero alone', new Float64Array(20)],
    ['the largest numbers there are', huge(Number.MAX_VALUE)],
    ['large numbers', huge(3e301)],
    ['the largest number alone', new Float64Array(20).fill(Number.MAX_VALUE)],
  ])('of %s has every value in the bin that holds it', (_, values) => {
    const { edges, current, baseline } = histogramOf(sketch(values), undefined)!;
    const expected = edges.slice(0, -1).map((edge, i) => {
      const isLast = i === edges.length - 2;
      const isIn = (value: number): boolean =>
        value >= edge && (value < edges[i + 1]! || (isLast && value === edges[i + 1]));
      return values.filter(isIn).length;
    });
    expect(current.counts).toEqual(expected);
    const total = current.counts.reduce((sum, count) => sum + count, 0);
    expect(total + current.below + current.above).toBe(values.length);
    expect([...edges].sort((a, b) => a - b)).toEqual(edges);
    expect(new Set(edges).size).toBe(edges.length);
    expect(edges.length).toBeLessThan(60);
    expect(edges.every(Number.isFinite)).toBe(true);
    expect(baseline).toBeNull();
  });

  test('has the same edges on both sides, and what lies far outside beside it', () => {
    const [values, before] = [
      made(2000, (random) => random.next() * 10),
      made(2000, (random) => 5 + random.next() * 10),
    ];
    values[0] = Number.POSITIVE_INFINITY;
    values[1] = -1e6;
    const { edges, current, baseline } = histogramOf(sketch(values), sketch(before))!;
    expect([edges[0], edges.at(-1)]).toEqual([0, 15]);
    expect([current.below, current.above, baseline?.below]).toEqual([1, 1, 0]);
    expect(baseline?.counts[0]).toBe(0);
  });

  test('of nothing is none', () => {
    expect(histogramOf(sketch(new Float64Array()), undefined)).toBeNull();
    expect(histogramOf(sketch(Float64Array.of(Number.NaN)), undefined)).toBeNull();
  });
});
