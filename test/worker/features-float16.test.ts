/** Columns as float16 features, which are held as their bits. */
import { describe, expect, test } from 'vitest';
import { float16Numbers } from '../../src/base/float16.js';
import { cast } from '../feature-case.js';

async function half(literals: string[], type: string) {
  const { values, bad, lossy } = await cast(literals, type, 'float16');
  return { numbers: values.map((bits) => float16Numbers()[Number(bits)]), bad, lossy };
}

describe('float16 features', () => {
  test('of doubles are rounded once, and what changed is counted', async () => {
    const literals = ['1', '0.1', '1 + power(2, -11) + power(2, -40)', '65519', '65520', '-1e300'];
    const { numbers, bad, lossy } = await half([...literals, "'NaN'", "'-inf'"], 'DOUBLE');
    expect(numbers).toEqual([
      1,
      0.0999755859375,
      1 + 2 ** -10,
      65504,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      Number.NaN,
      Number.NEGATIVE_INFINITY,
    ]);
    expect({ bad, lossy }).toEqual({ bad: {}, lossy: 5 });
  });

  test.each([
    ['BOOLEAN', ['true', 'false'], [1, 0], 0],
    ['UTINYINT', ['0', '255'], [0, 255], 0],
    ['INTEGER', ['-2049', '2051', '70000'], [-2048, 2052, Number.POSITIVE_INFINITY], 3],
    ['BIGINT', ['2048', '9007199254740993'], [2048, Number.POSITIVE_INFINITY], 1],
    ['UBIGINT', ['1', '18446744073709551615'], [1, Number.POSITIVE_INFINITY], 1],
    ['FLOAT', ['0.5', '0.1'], [0.5, 0.0999755859375], 1],
    ['DECIMAL(38,20)', ['0.5', '0.1', '1.00000000000000000001'], [0.5, 0.0999755859375, 1], 2],
    ['HUGEINT', ['3', '2049'], [3, 2048], 1],
  ])('of %s', async (type, literals, expected, lost) => {
    const { numbers, bad, lossy } = await half(literals, type);
    expect(numbers).toEqual(expected);
    expect({ bad, lossy }).toEqual({ bad: {}, lossy: lost });
  });

  test('of nothing are NaN', async () => {
    for (const type of ['DOUBLE', 'INTEGER', 'BIGINT', 'DECIMAL(9,2)']) {
      const { numbers, bad, lossy } = await half(['NULL', '2'], type);
      expect(numbers).toEqual([Number.NaN, 2]);
      expect({ bad, lossy }).toEqual({ bad: {}, lossy: 0 });
    }
  });
});
