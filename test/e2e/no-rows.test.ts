/** An input without rows: readers find the columns and no rows. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { manifestOf } from '../published.js';

const ROWS = (rows: number) =>
  `SELECT i AS id, i::FLOAT AS a, 1::FLOAT AS b, 't' AS note FROM range(${rows}) t(i)`;
const OUTPUT = { path: 'out', keep: ['id', 'note'] };

test.each([
  ['without rows', {}, 0],
  ['of which all are filtered', { where: 'id > 100' }, 4],
])(
  'an input %s is published with the columns and types of any other',
  async (_what, input, rows) => {
    const job = makeCase({ input: { path: 'in', key: 'id', ...input }, output: OUTPUT });
    for (const file of ['x', 'y'])
      await writeParquet(join(job.input, 'p=1', `${file}.parquet`), ROWS(0));
    if (rows > 0) await writeParquet(join(job.input, 'p=1', 'z.parquet'), ROWS(rows));
    const { exit, report, stderr } = await job.run();
    expect([exit, report?.ledger, stderr]).toEqual([
      0,
      { rows, scored: 0, quarantined: 0, filtered: rows },
      expect.anything(),
    ]);
    const data = `read_parquet('${job.output}/current/data/**/*.parquet', hive_partitioning = false)`;
    const described = await query(`DESCRIBE SELECT * FROM ${data}`);
    expect(described.map(({ column_name, column_type }) => [column_name, column_type])).toEqual([
      ['id', 'BIGINT'],
      ['note', 'VARCHAR'],
      ['y', 'FLOAT'],
    ]);
    expect(await query(`SELECT count(*)::INTEGER AS n FROM ${data}`)).toEqual([{ n: 0 }]);
    expect((await job.run()).report.outcome).toBe('unchanged');
  },
);

test('CSV without records is published as a header, from files and into files', async () => {
  const job = makeCase({ output: { ...OUTPUT, format: 'csv' }, quarantine: { max: '100%' } });
  writeFileSync(join(job.input, 'x.csv'), 'id,a,b,note\n');
  const { exit } = await job.run();
  const text = () => query(`SELECT content FROM read_text('${job.output}/current/data/*.csv')`);
  expect([exit, await text()]).toEqual([0, [{ content: 'id,note,y\n' }]]);
  expect(manifestOf(job).units['']?.inputs[0]?.ledger.rows).toBe(0);
});
