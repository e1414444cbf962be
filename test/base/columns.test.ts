import { describe, expect, test } from 'vitest';
import {
  Arena,
  allValid,
  type Column,
  ColumnBuilder,
  columnOf,
  isValid,
  newArray,
  recordBatchOf,
  setNull,
  type TypedArray,
  viewOf,
} from '../../src/base/columns.js';
import { bytesOfElement, type ElementType } from '../../src/base/elements.js';
import { Random } from '../random.js';

const FIXED: readonly ElementType[] = [
  'bool',
  'int8',
  'uint8',
  'int16',
  'uint16',
  'int32',
  'uint32',
  'int64',
  'uint64',
  'float32',
  'float64',
];

/** Elements of any bits; booleans are 0 or 1, and no float is NaN, so that they can be compared. */
function drawValues(random: Random, element: ElementType, rows: number): TypedArray {
  const values = newArray(element, rows);
  for (let row = 0; row < rows; row++) {
    const whole = random.whole(-100_000, 100_000);
    if (values instanceof BigInt64Array || values instanceof BigUint64Array) {
      values[row] = BigInt(whole) << BigInt(random.whole(0, 46));
    } else {
      values[row] = element === 'bool' ? whole & 1 : whole / 7;
    }
  }
  return values;
}

/** A bitmap in whole words of 64 bits, as DuckDB hands them out; the bits after the last row are random. */
function drawValidity(random: Random, rows: number): Uint8Array | undefined {
  const kind = random.whole(0, 3);
  if (kind === 0) return undefined;
  const share = [0, 0.02, 0.5, 1][kind]!;
  const bitmap = new Uint8Array(Math.ceil(rows / 64) * 8).fill(0xff);
  for (let bit = 0; bit < bitmap.length * 8; bit++) {
    if (random.next() < share) setNull(bitmap, bit);
  }
  return bitmap;
}

function bytesOf(values: TypedArray): Uint8Array {
  return new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
}

/** A column as plain values, null where it says so. */
function plain({ values, validity }: Column, rows: number): unknown[] {
  return Array.from({ length: rows }, (_, row) => (isValid(validity, row) ? values[row] : null));
}

describe('a bitmap', () => {
  test('has one bit a row, least significant first', () => {
    const bitmap = allValid(12);
    expect([...bitmap]).toEqual([0xff, 0xff]);
    setNull(bitmap, 0);
    setNull(bitmap, 11);
    setNull(bitmap, 11);
    expect([...bitmap]).toEqual([0xfe, 0xf7]);
    const nulls = Array.from({ length: 12 }, (_, row) => row).filter(
      (row) => !isValid(bitmap, row),
    );
    expect(nulls).toEqual([0, 11]);
    expect(isValid(undefined, 5)).toBe(true);
    expect(allValid(0)).toHaveLength(0);
  });
});

describe('a view of bytes', () => {
  test.each(FIXED)('reads %s where they lie, without a copy', (element) => {
    const size = bytesOfElement(element);
    const bytes = new Uint8Array(16 + 3 * size);
    const view = viewOf(element, bytes.subarray(16));
    expect(view).toHaveLength(3);
    view.fill((view instanceof BigInt64Array || view instanceof BigUint64Array ? 1n : 1) as never);
    expect([...viewOf(element, bytes.subarray(0, 16))].every((value) => Number(value) === 0)).toBe(
      true,
    );
    expect(bytes.subarray(16)).toEqual(bytesOf(view));
    expect(newArray(element, 5)).toHaveLength(5);
  });

  test('is not to be had of text', () => {
    expect(() => viewOf('utf8', new Uint8Array(8))).toThrow(TypeError);
  });
});

describe('an arena', () => {
  test('lends the same memory again after a reset, and more where it is too small', () => {
    const arena = new Arena();
    const first = arena.array('float32', 3);
    const second = arena.array('int64', 2);
    expect(first).toHaveLength(3);
    expect(second).toBeInstanceOf(BigInt64Array);
    expect(second.buffer).not.toBe(first.buffer);
    arena.reset();
    expect(arena.array('uint8', 12).buffer).toBe(first.buffer);
    expect(arena.array('int64', 3)).toHaveLength(3);
  });
});

describe('a column builder', () => {
  test.each(FIXED)('gathers ranges of %s at any bit as a naive one would', (element) => {
    const random = new Random(FIXED.indexOf(element));
    for (let trial = 0; trial < 150; trial++) {
      const capacity = random.whole(1, 300);
      const builder = new ColumnBuilder(element, capacity);
      for (let batch = 0; batch < 3; batch++) {
        const expected: unknown[] = [];
        while (expected.length < capacity && random.next() < 0.9) {
          const rows = random.whole(1, 200);
          const source = drawValues(random, element, rows);
          const validity = drawValidity(random, rows);
          const start = random.whole(0, rows);
          const end = Math.min(rows, start + random.whole(0, capacity - expected.length));
          builder.append({ values: bytesOf(source), validity }, start, end);
          expected.push(...plain({ element, values: source, validity }, rows).slice(start, end));
        }
        const column = builder.finish();
        expect(column.element).toBe(element);
        expect(column.values).toHaveLength(expected.length);
        expect(plain(column, expected.length)).toEqual(expected);
      }
    }
  });

  test('gathers texts as a naive one would', () => {
    const random = new Random(20);
    const words = ['', 'a', 'größe', '数据', '\u{1f600}', null, 'x'.repeat(300)];
    for (let trial = 0; trial < 100; trial++) {
      const builder = new ColumnBuilder('utf8', 100);
      const expected: (string | null)[] = [];
      for (let append = 0; append < 5; append++) {
        const source = Array.from({ length: 20 }, () => random.pick(words));
        const start = random.whole(0, 20);
        const end = random.whole(start, 20);
        builder.append({ values: source, validity: undefined }, start, end);
        expected.push(...source.slice(start, end));
      }
      const column = builder.finish();
      expect(column.values).toEqual(expected);
      expect(plain(column, expected.length)).toEqual(expected);
    }
  });

  test('has no bitmap when no row is null, even if the source has one', () => {
    const builder = new ColumnBuilder('int32', 10);
    const validity = allValid(64);
    setNull(validity, 9);
    builder.append(
      { values: bytesOf(Int32Array.from({ length: 10 }, (_, i) => i)), validity },
      0,
      9,
    );
    expect(builder.finish().validity).toBeUndefined();
  });

  test('lends its values until more rows come, and gives each column a bitmap of its own', () => {
    const builder = new ColumnBuilder('float32', 4);
    builder.append({ values: bytesOf(Float32Array.of(1, 2)), validity: Uint8Array.of(0xfd) }, 0, 2);
    const first = builder.finish();
    expect(plain(first, 2)).toEqual([1, null]);
    builder.append({ values: bytesOf(Float32Array.of(8, 9)), validity: undefined }, 0, 2);
    const second = builder.finish();
    expect(plain(first, 2)).toEqual([8, null]);
    expect(plain(second, 2)).toEqual([8, 9]);
    expect(second.validity).toBeUndefined();
  });
});

describe('a record batch', () => {
  test('gives back the columns that it was made of', () => {
    const random = new Random(30);
    for (let trial = 0; trial < 50; trial++) {
      const rows = random.whole(0, 70);
      const columns: Column[] = FIXED.map((element) => ({
        element,
        values: drawValues(random, element, rows),
        validity: drawValidity(random, rows),
      }));
      const batch = recordBatchOf(FIXED, columns, rows);
      expect(batch.numRows).toBe(rows);
      expect(batch.schema.fields.map(({ name }) => name)).toEqual(FIXED);
      for (const [index, column] of columns.entries()) {
        const back = columnOf(batch, index, column.element);
        expect(plain(back, rows)).toEqual(plain(column, rows));
        // What Arrow itself says of the column, by its type.
        const vector = batch.getChildAt(index)!;
        expect(Array.from({ length: rows }, (_, row) => vector.get(row))).toEqual(
          plain(column, rows),
        );
        const nulls = plain(column, rows).filter((value) => value === null).length;
        expect(vector.nullCount).toBe(nulls);
        if (nulls === 0) expect(back.validity).toBeUndefined();
      }
    }
  });

  test('does not copy numbers', () => {
    const values = Float64Array.of(1, 2, 3);
    const batch = recordBatchOf(['x'], [{ element: 'float64', values, validity: undefined }], 3);
    const back = columnOf(batch, 0, 'float64');
    expect((back.values as Float64Array).buffer).toBe(values.buffer);
  });

  test('carries texts of many bytes, empty ones and nulls', () => {
    const values = [
      'a',
      '',
      null,
      'größe',
      '数据',
      '\u{1f600}\u{1f1e9}\u{1f1ea}',
      null,
      '\0',
      'e\u0301',
    ];
    const validity = allValid(values.length);
    setNull(validity, 2);
    setNull(validity, 6);
    const batch = recordBatchOf(['t'], [{ element: 'utf8', values, validity }], values.length);
    expect(columnOf(batch, 0, 'utf8').values).toEqual(values);
    expect(plain(columnOf(batch, 0, 'utf8'), values.length)).toEqual(values);
    expect(batch.getChildAt(0)!.nullCount).toBe(2);
  });

  test('carries what a builder gathered', () => {
    const builder = new ColumnBuilder('utf8', 8);
    builder.append({ values: ['ä', null, 'c'], validity: undefined }, 0, 3);
    const batch = recordBatchOf(['t'], [builder.finish()], 3);
    expect(columnOf(batch, 0, 'utf8').values).toEqual(['ä', null, 'c']);
  });

  test('may have no rows, or no columns', () => {
    const none = recordBatchOf(['t'], [{ element: 'utf8', values: [], validity: undefined }], 0);
    expect(columnOf(none, 0, 'utf8').values).toEqual([]);
    expect(recordBatchOf([], [], 5).numRows).toBe(5);
  });

  test('may have columns of the same name: they go by their place', () => {
    const column = (value: number): Column => ({
      element: 'int8',
      values: Int8Array.of(value),
      validity: undefined,
    });
    const batch = recordBatchOf(['x', 'x'], [column(1), column(2)], 1);
    expect([0, 1].map((index) => columnOf(batch, index, 'int8').values[0])).toEqual([1, 2]);
  });

  test('has no column after its last', () => {
    const batch = recordBatchOf([], [], 1);
    expect(() => columnOf(batch, 0, 'int8')).toThrow(RangeError);
  });
});
