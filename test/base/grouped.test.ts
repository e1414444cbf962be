/** Numbers for a person, held to what the locale says. */
import { expect, test } from 'vitest';
import { grouped } from '../../src/base/grouped.js';

test.each([0, 7, 999, 1000, 12_345, 999_999, 1_000_000, 123_456_789, 830.214, 1234.5, -4321])(
  '%d is written as the locale writes it',
  (value) => {
    expect(grouped(value)).toBe(value.toLocaleString('en-US'));
  },
);
