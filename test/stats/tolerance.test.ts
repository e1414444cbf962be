/** How far numbers are apart, and what is tolerated of it. */
import { describe, expect, test } from 'vitest';
import {
  distanceOf,
  isSame,
  isTolerated,
  parseTolerance,
  toleranceText,
  ulpsBetween,
} from '../../src/stats/tolerance.js';

const NEVER = Number.POSITIVE_INFINITY;

describe('a tolerance', () => {
  test.each(['exact', 'absolute:0.001', 'relative:0.00001', 'ulp:4'])(
    'is written back as it was read: %s',
    (text) => {
      expect(toleranceText(parseTolerance(text)!)).toBe(text);
    },
  );

  test.each(
    [
      ['', 'abs:1', 'absolute', 'absolute:', 'absolute:-1', 'absolute:x', 'relative:1e999'],
      ['ulp:1.5', 'ulp:-1', 'exact:0', 'EXACT', ' exact', 'relative:0x10', 'absolute:NaN'],
    ].flat(),
  )('is not read from %j', (text) => {
    expect(parseTolerance(text)).toBeUndefined();
  });
});

describe('numbers', () => {
  // The neighbours are those of numpy.nextafter.
  test.each([
    [1, 1.0000001192092896, 1],
    [-1, -1.0000001192092896, 1],
    [0, 1.401298464324817e-45, 1],
    [-1.401298464324817e-45, 1.401298464324817e-45, 2],
    [-0, 0, 0],
    [1, 2, 8_388_608],
    [-3.4028234663852886e38, 3.4028234663852886e38, 4_278_190_078],
  ])('of 32 bits: from %d to %d are %d steps', (a, b, steps) => {
    expect([ulpsBetween(a, b, 32), ulpsBetween(b, a, 32)]).toEqual([steps, steps]);
  });

  test.each([
    [1, 1.0000000000000002, 1],
    [1, 0.9999999999999999, 1],
    [0, 5e-324, 1],
    [-5e-324, 5e-324, 2],
    [1, 2, 4_503_599_627_370_496],
  ])('of 64 bits: from %d to %d are %d steps', (a, b, steps) => {
    expect([ulpsBetween(a, b, 64), ulpsBetween(b, a, 64)]).toEqual([steps, steps]);
  });

  test('are the same where both are none', () => {
    expect([isSame(null, null), isSame(Number.NaN, Number.NaN), isSame(0, -0)]).toEqual(
      Array(3).fill(true),
    );
    expect([isSame(null, Number.NaN), isSame(Number.NaN, 1), isSame(1, null)]).toEqual(
      Array(3).fill(false),
    );
  });

  test.each([
    [null, 1],
    [1, null],
    [Number.NaN, 1],
    [1, Number.NaN],
    [NEVER, 1],
    [NEVER, -NEVER],
  ])('are beyond every tolerance where one of them is none: %j, %j', (expected, scored) => {
    const distance = distanceOf(expected, scored, 64);
    expect(distance).toEqual({ absolute: NEVER, relative: NEVER, ulp: NEVER });
    for (const text of ['absolute:1e300', 'relative:1e300', 'ulp:9007199254740991'])
      expect(isTolerated(parseTolerance(text)!, distance)).toBe(false);
  });

  test('may be off by the limit and no more', () => {
    const distance = distanceOf(8, 8.5, 64);
    const within = (text: string): boolean => isTolerated(parseTolerance(text)!, distance);
    expect([within('absolute:0.5'), within('absolute:0.49')]).toEqual([true, false]);
    expect([within('relative:0.0625'), within('relative:0.0624')]).toEqual([true, false]);
    expect([within('exact'), within('ulp:1')]).toEqual([false, false]);
  });

  test('are relatively far from zero without end', () => {
    expect(distanceOf(0, 1e-30, 64).relative).toBe(NEVER);
  });
});
