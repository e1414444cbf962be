/** Against numpy 2.4.6: `np.arange(65536, dtype=np.uint16).view(np.float16)` and `np.float64(…).astype(np.float16)`. */
import { createHash } from 'node:crypto';
import { expect, test } from 'vitest';
import { FLOAT16_NAN, float16Numbers, float16Of } from '../../src/base/float16.js';

function sha256(values: Uint16Array | Uint32Array): string {
  return createHash('sha256')
    .update(new Uint8Array(values.buffer, values.byteOffset, values.byteLength))
    .digest('hex');
}

/** The next double above a number, or below it. */
function beside(value: number, up: boolean): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setFloat64(0, value);
  const step = up === value > 0 ? 1n : -1n;
  view.setBigInt64(0, view.getBigInt64(0) + step);
  return view.getFloat64(0);
}

test('the number of each of the 65,536 bit patterns is that of numpy', () => {
  const bits = new Uint32Array(float16Numbers().buffer).map((word, at) =>
    Number.isNaN(float16Numbers()[at]) ? 0x7fc00000 : word,
  );
  expect(sha256(bits)).toBe('385ff5fe69182797cda5f1827e20cf423f4416bc9246f27d0eec27cac9039259');
});

test('every float16 becomes itself again', () => {
  const wrong = [...float16Numbers()].filter((number, bits) => {
    return float16Of(number) !== (Number.isNaN(number) ? FLOAT16_NAN : bits);
  });
  expect(wrong).toEqual([]);
});

test('numbers between two float16, half way and just beside it, round as in numpy', () => {
  const finite = [...new Set([...float16Numbers()].filter(Number.isFinite).map((n) => n + 0))];
  finite.sort((a, b) => a - b);
  const middles = finite.slice(1).map((number, at) => (number + finite[at]!) / 2);
  const numbers = [
    ...finite,
    ...middles,
    ...middles.map((middle) => beside(middle, true)),
    ...middles.map((middle) => beside(middle, false)),
    ...[65519.99999999999, 65520, 65520.00000000001, 1e300, -1e300, 5e-324, -5e-324],
    ...[2 ** -25, beside(2 ** -25, true)],
  ];
  expect(numbers).toHaveLength(253_954);
  const bits = Uint16Array.from(numbers, float16Of);
  expect(sha256(bits)).toBe('bc1fbef5c983e468a12edabda45b7f068fb9114a1f3d3cf5250eefc67b0462ca');
});

test('is rounded once, not by way of float32', () => {
  const value = 1 + 2 ** -11 + 2 ** -40;
  expect(float16Numbers()[float16Of(value)]).toBe(1 + 2 ** -10);
  expect(float16Numbers()[float16Of(Math.fround(value))]).toBe(1);
});

test('negative zero and what is too large keep their sign', () => {
  expect([-0, -1e-9, 1e9, -1e9, Number.NEGATIVE_INFINITY].map(float16Of)).toEqual([
    0x8000, 0x8000, 0x7c00, 0xfc00, 0xfc00,
  ]);
});
