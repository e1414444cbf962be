/** One row group of more rows than a task has, as pandas and pyarrow write by default. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { ELEMENT, node, number, tensor, writeModel } from '../onnx.js';
import { query, writeParquet } from '../parquet.js';

test('a row group of 300,000 rows with text is scored by several tasks, every row once and in order', async () => {
  const rows = 300_000;
  const job = makeCase({
    // A text as the number that it says.
    model: {
      path: writeModel({
        inputs: [tensor('t', 'string', ['N', 1])],
        outputs: [tensor('y', 'float', ['N', 1])],
        nodes: [node('Cast', ['t'], ['y'], number('to', ELEMENT.float))],
      }),
    },
    features: ['t'],
    output: { path: 'out', keep: ['id'] },
  });
  await writeParquet(
    join(job.input, 'x.parquet'),
    `SELECT i AS id, (7 * i)::VARCHAR AS t FROM range(${rows}) t(i)`,
    { rowGroupSize: 400_000 },
  );
  const result = await job.run('--workers', '2');
  expect(result).toMatchObject({
    exit: 0,
    report: { tasks: { scored: 3 }, ledger: { rows, scored: rows } },
  });
  const [found] = await query(
    'SELECT count(*)::INTEGER AS rows, min(id)::INTEGER AS first, max(id)::INTEGER AS last, ' +
      'count_if(y <> 7 * id)::INTEGER AS wrong, count_if(id <> before + 1)::INTEGER AS disordered ' +
      `FROM (SELECT *, lag(id) OVER () AS before FROM read_parquet(${job.published()}))`,
  );
  expect(found).toEqual({ rows, first: 0, last: rows - 1, wrong: 0, disordered: 0 });
});
