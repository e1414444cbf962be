/** Models at the limits: outputs as wide as can be published, batches that no memory holds, paths that lead nowhere. */
import { symlinkSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { constant, int, node, number, part, tensor, writeModel } from '../onnx.js';
import { columns, writeParquet } from '../parquet.js';

test.each([
  ['float', 100_000, 'FLOAT[]'],
  ['double', 60_000, 'DOUBLE[]'],
] as const)('an output of %s, %d a row, is published in 1 GB', async (element, width, type) => {
  const model = writeModel({
    inputs: [tensor('x', 'float', ['N', 1])],
    outputs: [tensor('y', element, ['N', width])],
    nodes: [
      node('Cast', ['x'], ['c'], number('to', element === 'float' ? 1 : 11)),
      node('Expand', ['c', 's'], ['y']),
    ],
    constants: [constant('s', 'int64', [2], [1, width])],
  });
  const job = makeCase({
    model: { path: model },
    features: ['a'],
    run: { workers: 1, memory: '1GB' },
    quarantine: { max: '50%' },
  });
  // One row is set aside, so that the others are told from it.
  await writeParquet(
    join(job.input, 'x.parquet'),
    "SELECT unnest([1.0::FLOAT, 'inf'::FLOAT, 3, 4, 5]) AS a",
  );
  expect(await job.run()).toMatchObject({
    exit: 0,
    stderr: '',
    report: { ledger: { scored: 4, quarantined: 1 } },
  });
  expect(
    await columns(
      `SELECT len(y)::INTEGER AS n, list_min(y) AS least, list_max(y) AS most, typeof(y) AS t FROM read_parquet(${job.published()})`,
    ),
  ).toEqual({
    n: [width, width, width, width],
    least: [1, 3, 4, 5],
    most: [1, 3, 4, 5],
    t: [type, type, type, type],
  });
});

test.each([
  ['2^40 rows', 2 ** 40],
  ['the largest number of rows', 2n ** 63n - 1n],
])('a batch of %s is refused', async (_, rows) => {
  const huge = part(2, part(1, int(1, 1), part(2, part(1, int(1, rows)), part(1, int(1, 2)))));
  const model = writeModel({
    inputs: [Buffer.concat([part(1, 'x'), huge])],
    outputs: [Buffer.concat([part(1, 'y'), huge])],
    nodes: [node('Identity', ['x'], ['y'])],
  });
  const job = makeCase({ model: { path: model } });
  await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
  expect(await job.run()).toMatchObject({
    exit: 5,
    stderr: expect.stringMatching(
      /^scoreline: model .*: its batch has \d+ rows of 2 elements;.*\n$/,
    ),
  });
});

test('a link to itself is no model', async () => {
  const job = makeCase({ model: { path: 'self.onnx' } });
  symlinkSync('self.onnx', join(job.folder, 'self.onnx'));
  await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
  expect(await job.run()).toMatchObject({
    exit: 5,
    stderr: expect.stringMatching(/^scoreline: cannot read model .*self\.onnx: ELOOP\n$/),
  });
});
