/** Rows on which a model fails: found by halving, at a bounded cost, and never an innocent one. */
import { describe, expect, test } from 'vitest';
import { Arena, recordBatchOf } from '../../src/base/columns.js';
import type { Session, TensorValues } from '../../src/base/onnx.js';
import { inferBatch } from '../../src/worker/infer.js';
import { failure } from '../failure.js';
import { Random } from '../random.js';

interface Case {
  /** The values of the one feature. */
  readonly values: Float32Array;
  /** What the model does with the rows it gets: throws, or returns. */
  readonly model: (values: Float32Array) => void;
  readonly allowed?: number;
  readonly fixedBatch?: number;
  readonly bad?: readonly number[];
  readonly anyScored?: boolean;
}

/** Infers a batch with a model that doubles its input, where it does not fail; counts the calls of the model. */
async function infer({
  values,
  model,
  allowed = 100,
  fixedBatch,
  bad = [],
  anyScored = false,
}: Case) {
  let calls = 0;
  const session = {
    run: async (feeds: ReadonlyMap<string, TensorValues>) => {
      calls++;
      const { values: x, shape } = feeds.get('x')!;
      const got = x as Float32Array;
      expect([shape, got.length]).toEqual([[got.length, 1], got.length]);
      if (fixedBatch !== undefined) expect(got).toHaveLength(fixedBatch);
      model(got);
      const doubled = got.map((value) => 2 * value);
      return new Map([['y', { element: 'float32', shape, values: doubled }]]);
    },
  } as unknown as Session;
  const rows = values.length;
  const batch = recordBatchOf(
    ['x'],
    [{ element: 'float32', values: values.slice(), validity: undefined }],
    rows,
  );
  const scored = await inferBatch(
    {
      session,
      shownAs: 'm',
      inputs: [{ name: 'x', element: 'float32', rank: 2, columns: ['x'] }],
      outputs: [{ column: 'y', output: 'y', element: 'float32', width: 1, index: undefined }],
      fixedBatch,
      nonFinite: 'keep',
      arena: new Arena(),
      onAlive: () => undefined,
    },
    { batch, bad: bad.map((row) => ({ row, reason: 'cast_failed', column: 'x' })) },
    rows,
    { allowed, anyScored, place: (row) => `row ${row}` },
  );
  return { ...scored, calls };
}

/** A model that fails on negative values. */
const failsOnNegative = (values: Float32Array): void => {
  const negative = values.find((value) => value < 0);
  if (negative !== undefined) throw new Error(`refuses ${negative}`);
};

const ramp = (rows: number): Float32Array =>
  Float32Array.from({ length: rows }, (_, row) => row + 1);

describe('rows on which the model fails', () => {
  test('one of 16,384 is found with at most 2 log2(n) + 2 calls more, wherever it is', async () => {
    const random = new Random(5);
    const rows = 16_384;
    for (const at of [
      0,
      1,
      rows / 2 - 1,
      rows / 2,
      rows - 1,
      ...[1, 2, 3].map(() => random.whole(0, rows - 1)),
    ]) {
      const values = ramp(rows);
      values[at] = -7;
      const { bad, outputs, calls } = await infer({ values, model: failsOnNegative });
      expect(bad).toEqual([{ row: at, reason: 'model_failed', column: '', detail: 'refuses -7' }]);
      expect(calls).toBeLessThanOrEqual(1 + 2 * 14 + 2);
      const y = outputs.get('y')!.values as Float32Array;
      expect(y.every((value, row) => row === at || value === 2 * (row + 1))).toBe(true);
    }
  });

  test('three in different places are found, and rows that were bad before stay what they were', async () => {
    const values = ramp(1000);
    for (const row of [0, 500, 999]) values[row] = -1;
    values[3] = -5;
    const { bad, outputs } = await infer({ values, model: failsOnNegative, bad: [3] });
    expect(bad.map(({ row, reason }) => [row, reason])).toEqual([
      [0, 'model_failed'],
      [3, 'cast_failed'],
      [500, 'model_failed'],
      [999, 'model_failed'],
    ]);
    expect(outputs.get('y')!.values).toHaveLength(1000);
  });

  test.each([1, 2, 3, 31, 32])('are found among %s rows of a fixed batch of 32', async (rows) => {
    for (let at = 0; at < rows; at++) {
      const values = ramp(rows);
      values[at] = -1;
      const { bad } = await infer({
        values,
        model: failsOnNegative,
        fixedBatch: 32,
        anyScored: true,
      });
      expect(bad.map(({ row }) => row)).toEqual([at]);
    }
  });

  test('are all set aside where that is allowed', async () => {
    const values = ramp(8).map((value) => -value);
    const { bad, outputs } = await infer({
      values,
      model: failsOnNegative,
      allowed: 8,
      anyScored: true,
    });
    expect([bad.length, outputs.size]).toEqual([8, 0]);
  });

  test('end the run where they are too many: as a gate, or as the model’s fault where it scores none', async () => {
    const values = ramp(4096).map((value) => -value);
    const all = await failure(() => infer({ values, model: failsOnNegative, allowed: 3 }));
    expect([all.code, all.message]).toEqual(['model', 'model m: refuses -1']);
    const after = await failure(() =>
      infer({ values, model: failsOnNegative, allowed: 3, anyScored: true }),
    );
    expect([after.code, after.message]).toEqual([
      'gate',
      expect.stringMatching(/^quarantine\.max: .*\(3 more\); the first: row 0: refuses -1$/),
    ]);
  });
});

describe('no row is blamed', () => {
  test('for a model that fails on large batches alone', async () => {
    const model = (values: Float32Array): void => {
      if (values.length > 100) throw new Error('too many rows');
    };
    const error = await failure(() => infer({ values: ramp(1000), model }));
    expect([error.code, error.message]).toEqual(['model', 'model m: too many rows']);
  });

  test.each(['std::bad_alloc', 'Failed to allocate memory for requested buffer of size 4096'])(
    'where the machine refuses memory: %s',
    async (refusal) => {
      let calls = 0;
      const model = (): void => {
        calls++;
        throw new Error(refusal);
      };
      const error = await failure(() => infer({ values: ramp(1000), model }));
      expect([error.code, error.message]).toEqual([
        'environment',
        expect.stringContaining(`model m: out of memory (${refusal}): give scoreline more memory`),
      ]);
      expect(calls).toBe(1);
    },
  );

  test('for asking for more memory than there is, unless it is the only one to do so', async () => {
    const model = (values: Float32Array): void => {
      if (values.includes(7))
        throw new Error('Failed to allocate memory for requested buffer of size 1000000000000000');
    };
    const { bad } = await infer({ values: ramp(64), model });
    expect(bad.map(({ row, reason }) => [row, reason])).toEqual([[6, 'model_failed']]);
  });

  test('for a model that fails now and then', async () => {
    let calls = 0;
    const model = (): void => {
      if (++calls === 1) throw new Error('a hiccup');
    };
    const error = await failure(() => infer({ values: ramp(64), model }));
    expect([error.code, error.message]).toEqual(['model', 'model m: a hiccup']);
  });
});
