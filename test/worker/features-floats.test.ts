import { describe, expect, test } from 'vitest';
import type { InputBinding } from '../../src/plan/signature.js';
import { cast, featuresOf, fileOf, nearest } from '../feature-case.js';
import { Random } from '../random.js';

/** Whole numbers about every place where a float loses one: ties, and their neighbours, of many sizes. */
function hardIntegers(least: bigint, greatest: bigint): bigint[] {
  const random = new Random(64);
  const values = new Set<bigint>([0n, 1n, -1n, least, least + 1n, greatest, greatest - 1n]);
  for (let power = 20n; power <= 64n; power++) {
    for (const mantissa of [23n, 52n]) {
      const step = 1n << (power > mantissa ? power - mantissa : 0n);
      for (const place of [
        0n,
        1n,
        2n,
        3n,
        (1n << mantissa) - 1n,
        BigInt(random.whole(4, 8_000_000)),
      ]) {
        for (const delta of [0n, 1n, -1n, step / 2n, step / 2n + 1n, step / 2n - 1n]) {
          const value = (1n << power) + place * step + delta;
          for (const signed of [value, -value]) values.add(signed);
        }
      }
    }
  }
  for (let draw = 0; draw < 1_000; draw++) {
    const bits = BigInt(Math.floor(random.next() * 2 ** 32)) * 2n ** 32n;
    const value = bits + BigInt(Math.floor(random.next() * 2 ** 32));
    values
      .add(value)
      .add(-value)
      .add(value >> BigInt(random.whole(0, 40)));
  }
  // The places where the halves of a 64-bit number look like another number.
  for (const edge of [2n ** 53n, 2n ** 63n, 2n ** 64n - 2n ** 53n, 2n ** 64n]) {
    for (let delta = -3n; delta <= 3n; delta++) values.add(edge + delta).add(-edge + delta);
  }
  return [...values].filter((value) => value >= least && value <= greatest);
}

describe('whole numbers to floats', () => {
  const RANGES: Readonly<Record<string, readonly [bigint, bigint]>> = {
    TINYINT: [-128n, 127n],
    UTINYINT: [0n, 255n],
    SMALLINT: [-(2n ** 15n), 2n ** 15n - 1n],
    USMALLINT: [0n, 2n ** 16n - 1n],
    INTEGER: [-(2n ** 31n), 2n ** 31n - 1n],
    UINTEGER: [0n, 2n ** 32n - 1n],
    BIGINT: [-(2n ** 63n), 2n ** 63n - 1n],
    UBIGINT: [0n, 2n ** 64n - 1n],
  };

  test.each(
    Object.keys(RANGES).flatMap(
      (type) =>
        [
          [type, 'float32', 24],
          [type, 'float64', 53],
        ] as const,
    ),
  )(
    '%s to %s are rounded once, to the nearest, and those that changed are counted',
    async (type, element, bits) => {
      const [least, greatest] = RANGES[type]!;
      const numbers = hardIntegers(least, greatest);
      const { values, bad, lossy } = await cast(numbers.map(String), type, element);
      const expected = numbers.map((number) => nearest(number, bits));
      const wrong = numbers.filter((_, row) => !Object.is(values[row], expected[row] || 0));
      expect(wrong).toEqual([]);
      expect(lossy).toBe(numbers.filter((number, row) => BigInt(expected[row]!) !== number).length);
      expect(bad).toEqual({});
    },
  );

  test('the naive model itself knows the ties', () => {
    const ties = [
      2n ** 24n + 1n,
      2n ** 24n + 3n,
      2n ** 54n + 2n ** 30n,
      2n ** 53n + 2n ** 29n + 1n,
    ];
    expect(ties.map((number) => nearest(number, 24))).toEqual([
      2 ** 24,
      2 ** 24 + 4,
      2 ** 54,
      2 ** 53 + 2 ** 30,
    ]);
    expect(nearest(-(2n ** 53n) - 1n, 53)).toBe(-(2 ** 53));
  });

  test('NULL becomes NaN and is not counted, whatever lies beneath it', async () => {
    for (const type of ['TINYINT', 'INTEGER', 'BIGINT', 'UBIGINT']) {
      const { values, bad, lossy } = await cast(['NULL', '1', 'NULL'], type, 'float32');
      expect([values, bad, lossy]).toEqual([[Number.NaN, 1, Number.NaN], {}, 0]);
    }
    const file = await fileOf(
      'SELECT CASE WHEN i % 2 = 0 THEN 9007199254740993 + i END AS x FROM range(10) t(i)',
    );
    const input: InputBinding = { name: 'in', element: 'float64', rank: 1, columns: ['x'] };
    const { lossy } = await featuresOf([file], [input]);
    expect(lossy).toEqual({ x: [0, 2, 4, 6, 8].length });
  });

  test('truth values are 1 and 0', async () => {
    const { values, bad, lossy } = await cast(['true', 'false', 'NULL'], 'BOOLEAN', 'float32');
    expect([values, bad, lossy]).toEqual([[1, 0, Number.NaN], {}, 0]);
  });
});

describe('doubles to float32', () => {
  /** A double as SQL. */
  function literal(value: number): string {
    return Object.is(value, -0) ? "'-0.0'" : `'${value}'`;
  }

  test('are rounded to the nearest, and those that changed are counted', async () => {
    const random = new Random(32);
    const view = new DataView(new ArrayBuffer(8));
    const numbers = [
      0,
      -0,
      1,
      -1,
      0.1,
      0.5,
      1 / 3,
      2 ** 24 + 1,
      2 ** 24 + 2,
      2 ** -149,
      2 ** -150,
      5e-324,
    ];
    numbers.push(
      3.4028234663852886e38,
      3.4028235677973366e38,
      3.402823669209385e38,
      1.7976931348623157e308,
    );
    while (numbers.length < 6_000) {
      view.setUint32(0, Math.floor(random.next() * 2 ** 32));
      view.setUint32(4, random.next() < 0.3 ? 0x10000000 : Math.floor(random.next() * 2 ** 32));
      const drawn = view.getFloat64(0);
      if (!Number.isFinite(drawn)) continue;
      numbers.push(drawn, (random.next() - 0.5) * 2 ** random.whole(-150, 130), Math.fround(drawn));
    }
    const { values, bad, lossy } = await cast(numbers.map(literal), 'DOUBLE', 'float32');
    const wrong = numbers.filter((number, row) => !Object.is(values[row], Math.fround(number)));
    expect(wrong).toEqual([]);
    expect(lossy).toBe(numbers.filter((number) => Math.fround(number) !== number).length);
    expect(bad).toEqual({});
  });

  test('keep infinities and NaN, which are not counted; NULL becomes NaN', async () => {
    const { values, bad, lossy } = await cast(
      ["'Infinity'", "'-Infinity'", "'NaN'", 'NULL', "'1.5'"],
      'DOUBLE',
      'float32',
    );
    expect(values).toEqual([Infinity, -Infinity, Number.NaN, Number.NaN, 1.5]);
    expect([bad, lossy]).toEqual([{}, 0]);
  });

  test('float32 to float64 loses nothing', async () => {
    const { values, lossy } = await cast(["'0.1'", "'Infinity'", 'NULL'], 'FLOAT', 'float64');
    expect(values).toEqual([Math.fround(0.1), Infinity, Number.NaN]);
    expect(lossy).toBe(0);
  });
});
