/** A model that takes and gives float16. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { node, number, tensor, writeModel } from '../onnx.js';
import { columns, writeParquet } from '../parquet.js';

test('float16 goes in rounded once, comes out as float32, and lossy casts are counted', async () => {
  const model = writeModel({
    inputs: [tensor('x', 'float16', ['N', 2])],
    outputs: [tensor('same', 'float16', ['N', 2]), tensor('wide', 'double', ['N', 2])],
    nodes: [node('Identity', ['x'], ['same']), node('Cast', ['x'], ['wide'], number('to', 11))],
  });
  const job = makeCase({ model: { path: model }, quarantine: { non_finite: 'keep' } });
  await writeParquet(
    join(job.input, 'x.parquet'),
    'SELECT unnest([0.1, 2049, 1e9, NULL])::DOUBLE AS a, unnest([1, 2051, -3, 4])::BIGINT AS b',
  );
  const result = await job.run();
  expect(result).toMatchObject({
    exit: 0,
    stderr: '',
    report: {
      ledger: { scored: 4 },
      lossyCasts: [
        { column: 'a', values: 3 },
        { column: 'b', values: 1 },
      ],
    },
  });
  const expected = [
    [0.0999755859375, 1],
    [2048, 2052],
    [Number.POSITIVE_INFINITY, -3],
    [Number.NaN, 4],
  ];
  const rows = await columns(`FROM read_parquet(${job.published()})`);
  expect(rows).toEqual({ same: expected, wide: expected });
  expect(
    await columns(`SELECT DISTINCT typeof(same) AS t FROM read_parquet(${job.published()})`),
  ).toEqual({ t: ['FLOAT[]'] });
});
