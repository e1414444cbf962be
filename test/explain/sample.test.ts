/** Samples: put together in any way, stored and read back. */
import { describe, expect, test } from 'vitest';
import { HASHES, mergeSamples, pickRows, rowHash, type Sample } from '../../src/explain/sample.js';
import {
  decodeKeys,
  decodePublished,
  decodeScored,
  encodePublished,
  encodeScored,
  type ScoredSample,
} from '../../src/explain/sample-file.js';
import { Random } from '../random.js';
import { columnOf } from './case.js';

const MOST = 64;

/** The sample that a task of some rows keeps. */
function ofRows(rows: readonly number[]): Sample {
  const sorted = rows
    .map((row) => ({ row, hash: rowHash(row, 0, 5) }))
    .sort((a, b) => a.hash - b.hash);
  const kept = sorted.slice(0, MOST);
  const numbers = kept.map(({ row }) => row * 1.5);
  return {
    rows: rows.length,
    key: 'id',
    bound: sorted.length > MOST ? kept.at(-1)!.hash : HASHES,
    hashes: Float64Array.from(kept, ({ hash }) => hash),
    features: [columnOf('x', numbers)],
    kept: [
      columnOf(
        't',
        kept.map(({ row }) => `t${row}`),
      ),
    ],
  };
}

test('samples are those of all rows, however they were split into tasks and grouped', () => {
  const random = new Random(3);
  const all = Array.from({ length: 1000 }, (_, i) => i);
  const whole = ofRows(all);
  for (let i = 0; i < 20; i++) {
    const tasks: number[][] = Array.from({ length: random.whole(1, 30) }, () => []);
    for (const row of all) random.pick(tasks).push(row);
    const samples = tasks.map(ofRows);
    expect(mergeSamples(samples, MOST)).toEqual(whole);
    const cut = random.whole(0, samples.length);
    const groups = [samples.slice(0, cut), samples.slice(cut)]
      .filter((group) => group.length > 0)
      .map((group) => mergeSamples(group, MOST));
    expect(mergeSamples(random.shuffled(groups), MOST)).toEqual(whole);
  }
});

test('a task that kept fewer rows than others leaves fewer of the others', () => {
  const few = mergeSamples([ofRows([...Array(500).keys()])], 10);
  expect(few.hashes).toHaveLength(10);
  const merged = mergeSamples([few, ofRows(Array.from({ length: 500 }, (_, i) => 500 + i))], MOST);
  expect(merged.rows).toBe(1000);
  expect(merged.bound).toBe(few.bound);
  expect(merged.hashes.every((hash) => hash <= few.bound)).toBe(true);
  expect(merged.hashes.length).toBeGreaterThan(10);
});

test('what samples do not have in common is dropped', () => {
  const one = ofRows([1, 2, 3]);
  const other = { ...ofRows([4, 5]), features: [columnOf('y', [1, 2])], key: null };
  const merged = mergeSamples([one, other], MOST);
  expect(merged.features).toEqual([]);
  expect(merged.key).toBeNull();
  expect(merged.kept).toHaveLength(1);
});

test('hashes are spread evenly, and those of neighbours have nothing in common', () => {
  const hashes = Array.from({ length: 100_000 }, (_, i) => rowHash(i, 0, 1));
  expect(new Set(hashes).size).toBe(hashes.length);
  const tenths = new Array(10).fill(0);
  for (const hash of hashes) tenths[Math.floor((10 * hash) / HASHES)]++;
  // Of 10,000 expected each, by chance within five standard deviations.
  for (const count of tenths) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  const rising = hashes.filter((hash, i) => i > 0 && hash > hashes[i - 1]!).length;
  expect(Math.abs(rising - 50_000)).toBeLessThan(500);
});

describe('a stored sample', () => {
  const scored: ScoredSample = {
    rows: 10,
    key: null,
    bound: 12345,
    hashes: Float64Array.of(1, 2, 2 ** 52),
    places: Uint32Array.of(7, 0, 3),
    inputs: [{ name: 'x', element: 'float32', rank: 2, columns: ['a', 'b'] }],
    fixedBatch: null,
    features: [
      { name: 'a', element: 'float32', width: 1, values: Float32Array.of(0.1, Number.NaN, -0) },
      { name: 'b', element: 'int64', width: 2, values: BigInt64Array.of(1n, -2n, 3n, 4n, 5n, -6n) },
      { name: 'c', element: 'utf8', width: 1, values: ['ä"\n', null, ''] },
      { name: 'd', element: 'float16', width: 1, values: Uint16Array.of(1, 2, 0x7e00) },
    ],
    outputs: [{ name: 'y', element: 'float64', width: 1, values: Float64Array.of(1, 2, Infinity) }],
  };

  test('comes back as it was, and is the same bytes each time', () => {
    const bytes = encodeScored(scored);
    expect(decodeScored(bytes)).toEqual({ ...scored, count: 3 });
    expect(Buffer.compare(Buffer.from(bytes), Buffer.from(encodeScored(scored)))).toBe(0);
    const published = {
      columns: [
        { column: 'p', output: 'y', element: 'float64' as const, width: 1, index: undefined },
      ],
      kept: [scored.features[2]!],
      keys: columnOf('id', ['k1', 'k2', 'k3']),
    };
    const { keys, ...rest } = published;
    const stored = encodePublished(published, 3);
    expect(decodeKeys(stored)).toEqual(keys);
    expect(decodePublished(stored)).toEqual({
      ...rest,
      columns: [{ column: 'p', output: 'y', element: 'float64', width: 1 }],
      rows: 3,
    });
  });

  test('is read up to a hash as the rows of no greater one', () => {
    const bytes = encodeScored(scored);
    const cut = decodeScored(bytes, 2)!;
    expect(cut).toMatchObject({ rows: 10, bound: 2, count: 3, fixedBatch: null });
    expect(cut.hashes).toEqual(Float64Array.of(1, 2));
    expect(cut.places).toEqual(scored.places.slice(0, 2));
    expect(cut.features).toEqual(scored.features.map((column) => pickRows(column, [0, 1])));
    expect(cut.outputs).toEqual(scored.outputs.map((column) => pickRows(column, [0, 1])));
    const kept = [scored.features[2]!];
    const published = encodePublished({ columns: [], kept, keys: null }, 3);
    expect(decodePublished(published, 2)).toMatchObject({
      rows: 3,
      kept: [{ name: 'c', values: ['ä"\n', null] }],
    });
  });

  test('is nothing when it is damaged, cut off, or something else', () => {
    const bytes = Buffer.from(encodeScored(scored));
    expect(decodeScored(bytes.subarray(0, bytes.length - 5))).toBeUndefined();
    expect(decodeScored(Buffer.from('{}'))).toBeUndefined();
    expect(decodeScored(encodePublished({ columns: [], kept: [], keys: null }, 0))).toBeUndefined();
    let taken = 0;
    for (let i = 0; i < bytes.length; i++) {
      const damaged = Buffer.from(bytes);
      damaged[i]! ^= 0x10;
      if (decodeScored(damaged) !== undefined) taken++;
    }
    expect(taken).toBe(0);
  });
});

test('rows are picked from columns of every type', () => {
  const lists = { name: 'l', element: 'int8' as const, width: 2, values: Int8Array.of(1, 2, 3, 4) };
  expect(pickRows(lists, [1, 0, 1]).values).toEqual(Int8Array.of(3, 4, 1, 2, 3, 4));
});
