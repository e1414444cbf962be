/** Statistics as they are stored. */
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/base/hash.js';
import { CategoryBuilder } from '../../src/stats/category.js';
import {
  type ColumnStatistics,
  mergeStatistics,
  type Sketch,
  type Statistics,
} from '../../src/stats/column.js';
import { encodeStatistics, floatOfOrder, orderOfFloat } from '../../src/stats/encode.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';
import { parseStatistics } from '../../src/stats/parse.js';
import { packWholes, unpackWholes } from '../../src/stats/varints.js';
import { Random } from '../random.js';

function numbers(values: readonly number[], kind: 'float32' | 'other' = 'other'): Sketch {
  const builder = new NumericBuilder(kind);
  const array = kind === 'float32' ? Float32Array.from(values) : Float64Array.from(values);
  builder.add(array, { rows: values.length });
  return builder.finish();
}

function texts(values: readonly (string | null)[]): Sketch {
  const builder = new CategoryBuilder();
  builder.add(values);
  return builder.finish();
}

function of(...sketches: Sketch[]): Statistics {
  const columns = sketches.map(
    (sketch, i): ColumnStatistics => ({ name: `c${i}`, role: 'feature', sketch }),
  );
  return { rows: 3, columns };
}

const random = new Random(3);
const many = (draw: () => number, length = 3000): number[] => Array.from({ length }, draw);

const SKETCHES: readonly (readonly [name: string, sketch: Sketch, as: string])[] = [
  ['nothing', numbers([]), 'decimals'],
  ['whole numbers', numbers([-70, 3, 5, 2 ** 40]), 'decimals'],
  ['prices', numbers([19.99, 0.1, -0.05, 1e6 + 0.01]), 'decimals'],
  ['whole numbers beyond 2^51', numbers([2 ** 60, -(2 ** 52), 1]), 'float32'],
  [
    'float32',
    numbers(
      many(() => random.next() - 0.5),
      'float32',
    ),
    'float32',
  ],
  ['float64', numbers(many(() => random.next() - 0.5)), 'float64'],
  ['extremes', numbers([5e-324, -1.7e308, 1.7e308, 0]), 'float64'],
  ['what is no number', numbers([Number.NaN, Infinity, -Infinity, -0]), 'decimals'],
  ['buckets', numbers(many(() => (random.next() - 0.5) * 1e5, 20_000)), 'buckets'],
];

function roundTrip(statistics: Statistics): Statistics | undefined {
  return parseStatistics(JSON.parse(canonicalJson(encodeStatistics(statistics))));
}

test.each(SKETCHES)('numbers come back as they were: %s', (_, sketch, as) => {
  const encoded = JSON.stringify(encodeStatistics(of(sketch)));
  expect(encoded).toContain(`"as":"${as}"`);
  expect(roundTrip(of(sketch))).toEqual(of(sketch));
});

test.each([
  ['none', [null, null]],
  ['some', ['b', '', 'a', null, 'a', '\ud800 alone', 'é', '"\\\n']],
  ['a sample', Array.from({ length: 12_000 }, (_, i) => `k${i}`)],
])('texts come back as they were: %s', (_, values) => {
  const sketch = texts(values);
  expect(roundTrip(of(sketch))).toEqual(of(sketch));
});

test('statistics that are put together after they were stored are those that never were', () => {
  const [a, b] = [
    of(numbers(many(() => random.whole(0, 3000))), texts(['a', 'b'])),
    of(numbers(many(() => random.whole(1000, 9000))), texts(['c', null])),
  ];
  const stored = mergeStatistics(roundTrip(a)!, roundTrip(b)!);
  expect(stored).toEqual(mergeStatistics(a, b));
  expect(stored.rows).toBe(6);
});

test('a column that is of numbers in one place and of texts in another has no statistics', () => {
  const merged = mergeStatistics(of(numbers([1]), texts(['a'])), of(texts(['a']), texts(['b'])));
  expect(merged.columns.map(({ name }) => name)).toEqual(['c1']);
});

test('every float32 has a place, and they are in order', () => {
  const floats = [-3.4e38, -1, -1e-45, 0, 1e-45, 0.5, 1, 3.4e38].map(Math.fround);
  expect(floats.map(orderOfFloat)).toEqual(floats.map(orderOfFloat).sort((a, b) => a - b));
  expect(floats.map(orderOfFloat).map(floatOfOrder)).toEqual(floats);
});

test('whole numbers are packed, and what is no packing is seen', () => {
  const values = [0, 1, 127, 128, 16_384, 2 ** 31, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER];
  expect(unpackWholes(packWholes(values))).toEqual(values);
  expect(packWholes([300])).toBe(Buffer.of(0xac, 0x02).toString('base64'));
  for (const damaged of ['?', 'gA==', 'AB', `${'/'.repeat(12)}AQ==`]) {
    expect(unpackWholes(damaged), damaged).toBeUndefined();
  }
});

describe('what statistics cannot be is refused', () => {
  const sound = encodeStatistics(of(numbers([1, 2, 2]), texts(['a', 'b', 'b']))) as unknown as {
    format: number;
    rows: number;
    columns: [Record<string, unknown>, Record<string, unknown>];
  };

  test('another format, another shape', () => {
    for (const value of [
      null,
      7,
      'x',
      [],
      {},
      { ...sound, format: 2 },
      { ...sound, more: 1 },
      { ...sound, rows: -1 },
    ]) {
      expect(parseStatistics(value)).toBeUndefined();
    }
    expect(parseStatistics(sound)).toBeDefined();
  });

  test.each<[string, 0 | 1, Record<string, unknown>]>([
    ['one count too few', 0, { counts: packWholes([1]) }],
    ['a count of 0', 0, { counts: packWholes([1, 0]) }],
    ['numbers that fall', 0, { points: { as: 'decimals', places: 0, packed: packWholes([4, 0]) } }],
    ['numbers without a range', 0, { range: null }],
    ['a range that falls', 0, { range: [2, 1] }],
    ['more zeros than numbers', 0, { zeros: 4 }],
    [
      'buckets of numbers that are none',
      0,
      { points: { as: 'buckets', packed: packWholes([2, 4]) } },
    ],
    ['half a double', 0, { points: { as: 'float64', packed: 'AAAA' } }],
    [
      'numbers that are not finite',
      0,
      {
        points: {
          as: 'float64',
          packed: Buffer.from(Float64Array.of(1, Infinity).buffer).toString('base64'),
        },
      },
    ],
    ['another role', 0, { role: 'x' }],
    ['texts that fall', 1, { texts: ['b', 'a'] }],
    ['a text twice', 1, { texts: ['a', 'a'] }],
    ['another sum', 1, { rows: 4 }],
    ['texts without lengths', 1, { lengths: null }],
    ['a small sample', 1, { bound: 5 }],
    ['more empty texts than texts', 1, { empty: 4 }],
  ])('%s', (_, column, change) => {
    const columns = sound.columns.map((each, i) => (i === column ? { ...each, ...change } : each));
    expect(parseStatistics({ ...sound, columns })).toBeUndefined();
  });
});
