/** The key of a job holds for what is published, however often and in whatever order a run is repeated. */
import { expect, it } from 'vitest';
import { makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';

const TWINS = 'SELECT i % 3 AS id, i::FLOAT AS a, 1::FLOAT AS b FROM range(4) t(i)';

it('a duplicate key is refused by every repetition of a run, not by the first alone', async () => {
  const job = makeCase({ input: { path: 'in', key: 'id' } });
  await writeParquet(`${job.input}/x.parquet`, TWINS);
  for (let run = 0; run < 2; run++) {
    const { exit, stderr } = await job.run();
    expect([exit, stderr]).toEqual([4, expect.stringContaining('input.key "id" is not unique')]);
    expect(job.files()).toEqual([]);
  }
});

it('a key that is added to a job is checked on what was published without it', async () => {
  const job = makeCase();
  await writeParquet(`${job.input}/x.parquet`, TWINS);
  expect((await job.run()).exit).toBe(0);
  job.change({ input: { path: 'in', key: 'id' } });
  expect((await job.run()).exit).toBe(4);
  job.change({ input: { path: 'in', key: 'a' } });
  expect(await job.run()).toMatchObject({ exit: 0, report: { tasks: { scored: 0, reused: 1 } } });
  expect((await job.run()).report.outcome).toBe('unchanged');
});

it('keys that are equal and written differently are named as twins', async () => {
  const job = makeCase({ input: { path: 'in', key: 'id' } });
  const zeros = "SELECT CASE i WHEN 0 THEN 0.0 WHEN 1 THEN '-0.0'::DOUBLE ELSE i END AS id";
  await writeParquet(
    `${job.input}/x.parquet`,
    `${zeros}, 1::FLOAT AS a, 1::FLOAT AS b FROM range(4) t(i)`,
  );
  const { exit, stderr } = await job.run();
  expect([exit, stderr]).toEqual([
    4,
    expect.stringMatching(/is not unique: -?0\.0 \(2 times\)\n$/),
  ]);
});
