/** What models may look like besides one matrix of floats: each is run. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeCase, type RunResult } from '../job-case.js';
import { constant, type ModelParts, node, number, shapeless, tensor, writeModel } from '../onnx.js';
import { columns, writeParquet } from '../parquet.js';

async function score(
  parts: ModelParts,
  features: unknown,
): Promise<{ result: RunResult; rows: Record<string, unknown[]> }> {
  const job = makeCase({ model: { path: writeModel(parts) }, features });
  await writeParquet(
    join(job.input, 'x.parquet'),
    "SELECT i::FLOAT AS a, i + 1 AS b, 'é' || i AS s, i > 1 AS f, 2 * i AS c, -i AS d, 't' AS t FROM range(3) t(i)",
  );
  const result = await job.run();
  const rows = result.exit === 0 ? await columns(`FROM read_parquet(${job.published()})`) : {};
  return { result, rows };
}

const x = tensor('x', 'float', ['N', 1]);
const y = tensor('y', 'float', ['N', 1]);
const same = [node('Identity', ['x'], ['y'])];

test('a matrix of texts, and a list of texts a row', async () => {
  const parts = {
    inputs: [tensor('x', 'string', ['N', 2])],
    outputs: [tensor('y', 'string', ['N', 2])],
    nodes: same,
  };
  const { rows } = await score(parts, ['s', 't']);
  expect(rows.y).toEqual([0, 1, 2].map((i) => [`é${i}`, 't']));
});

test.each([
  ['uint8', 'b', [1, 2, 3]],
  ['int32', 'b', [1, 2, 3]],
  ['int64', 'b', [1n, 2n, 3n]],
  ['double', 'a', [0, 1, 2]],
  ['bool', 'f', [false, false, true]],
] as const)('%s in and out', async (element, column, expected) => {
  const parts = {
    inputs: [tensor('x', element, ['N', 1])],
    outputs: [tensor('y', element, ['N', 1])],
    nodes: same,
  };
  expect((await score(parts, { x: column })).rows.y).toEqual(expected);
});

describe('an input that has a default', () => {
  const parts = {
    inputs: [x, tensor('k', 'float', [1])],
    outputs: [y],
    nodes: [node('Mul', ['x', 'k'], ['y'])],
    constants: [constant('k', 'float', [1], [10])],
  };

  test('is left out', async () => {
    expect((await score(parts, ['a'])).rows.y).toEqual([0, 10, 20]);
    expect((await score(parts, { x: 'b' })).rows.y).toEqual([10, 20, 30]);
  });

  test('cannot be fed, which is said', async () => {
    const { result } = await score(parts, { x: 'a', k: 'b' });
    expect(result).toMatchObject({
      exit: 5,
      stderr:
        'scoreline: model model.onnx: features: input "k" has a default in the model and cannot be fed; leave it out\n',
    });
  });
});

test('one dimension, of any number of rows and of four', async () => {
  for (const size of ['N', 4]) {
    const shape = [size];
    const parts = {
      inputs: [tensor('x', 'float', shape)],
      outputs: [tensor('y', 'float', shape)],
      nodes: same,
    };
    expect((await score(parts, ['a'])).rows.y).toEqual([0, 1, 2]);
  }
});

test('more than two dimensions of an output become one list, the last moving fastest', async () => {
  const parts = {
    inputs: [tensor('x', 'float', ['N', 4])],
    outputs: [tensor('y', 'float', ['N', 2, 2])],
    nodes: [node('Reshape', ['x', 'shape'], ['y'])],
    constants: [constant('shape', 'int64', [3], [-1, 2, 2])],
  };
  expect((await score(parts, ['a', 'b', 'c', 'd'])).rows.y).toEqual([
    [0, 1, 0, 0],
    [1, 2, 2, -1],
    [2, 3, 4, -2],
  ]);
});

test.each([7, 8, 9, 11, 13, 15, 18, 21, 23, 25])('operators of opset %i', async (opset) => {
  const { rows } = await score({ inputs: [x], outputs: [y], nodes: same, opset }, ['a']);
  expect(rows.y).toEqual([0, 1, 2]);
});

test.each<[string, ModelParts, string]>([
  [
    'a number instead of rows',
    {
      inputs: [tensor('x', 'float', [])],
      outputs: [y],
      nodes: [node('Reshape', ['x', 'shape'], ['y'])],
      constants: [constant('shape', 'int64', [2], [-1, 1])],
    },
    'input "x" has no batch dimension (shape []); a model must take rows',
  ],
  [
    'no shape at all',
    { inputs: [shapeless('x')], outputs: [y], nodes: same },
    'input "x" declares no shape; export the model with one, such as [N, F]',
  ],
  [
    'bfloat16',
    {
      inputs: [x],
      outputs: [tensor('y', 'bfloat16', ['N', 1])],
      nodes: [node('Cast', ['x'], ['y'], number('to', 16))],
    },
    'has bfloat16 inputs or outputs, which the Node binding of ONNX Runtime does not support; cast them in the model',
  ],
])('%s is refused with the reason', async (_name, parts, message) => {
  const { result } = await score(parts, ['a']);
  expect(result.exit).toBe(5);
  expect(result.stderr).toBe(`scoreline: model model.onnx: ${message}\n`);
});
