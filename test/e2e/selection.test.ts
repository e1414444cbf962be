/** A part of the input: dates, partitions and shards. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { contentFiles, type JobCase, makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';

const ROWS = (from: number, rows = 3) =>
  `SELECT i AS id, i::FLOAT AS a, 1::FLOAT AS b FROM range(${from}, ${from + rows}) t(i)`;

function contents(job: JobCase): string[][] {
  const root = join(job.output, 'current');
  return contentFiles(root).map((name) => [name, readFileSync(join(root, name), 'hex')]);
}

describe('dates', () => {
  const job = makeCase({ input: { path: 'in/dt={date:yyyy-MM-dd}', key: 'id' } });

  test('fill the path: each day is published beside the others', async () => {
    for (const day of ['01', '02', '04'])
      await writeParquet(join(job.input, `dt=2013-06-${day}`, 'x.parquet'), ROWS(Number(day) * 10));
    expect((await job.run('--date', '2013-06-01')).exit).toBe(0);
    expect(job.files()).toEqual(['dt=2013-06-01/case-00000.parquet']);
    const { report } = await job.run('--from', '2013-06-01', '--to', '2013-06-02');
    expect(report.tasks).toEqual({ scored: 1, reused: 1 });
    expect(job.files()).toHaveLength(2);
  });

  test('without input are an error that lists them, or a note where that is allowed', async () => {
    const range = ['--from', '2013-06-01', '--to', '2013-06-04'];
    const refused = await job.run(...range);
    expect([refused.exit, refused.stderr]).toEqual([
      4,
      expect.stringContaining('nothing for 1 of 4 dates: 2013-06-03'),
    ]);
    expect(job.files()).toHaveLength(2);
    const { exit, report } = await job.run(...range, '--allow-missing');
    expect([exit, report.notes]).toEqual([0, ['dates without input: 2013-06-03']]);
    expect(job.files()).toHaveLength(3);
    const none = await job.run('--date', '2014-01-01', '--allow-missing');
    expect([none.exit, none.stderr]).toEqual([
      4,
      expect.stringContaining('2014-01-01; check the path and the dates'),
    ]);
  });

  test('of the last days take in what came late, and judge it by the days before it', async () => {
    const nightly = makeCase({
      input: { path: 'in/{date:yyyy-MM-dd}.parquet', key: 'id' },
      baseline: { trailing: 7 },
      gates: { drift: { psi: 0.2 } },
    });
    const write = (day: number) =>
      writeParquet(join(nightly.input, `2013-06-0${day}.parquet`), ROWS(0, 200));
    const run = (from: number, to: number) =>
      nightly.run('--from', `2013-06-0${from}`, '--to', `2013-06-0${to}`, '--allow-missing');
    await write(1);
    expect((await run(1, 3)).exit).toBe(0);
    // After an outage: one day came late, one day is still missing.
    for (const day of [3, 4]) await write(day);
    const { exit, report } = await run(2, 4);
    expect([exit, report.tasks.scored, report.gates[0]]).toEqual([
      0,
      2,
      expect.stringContaining('against the last 2 before'),
    ]);
    await write(2);
    expect((await run(2, 4)).report).toMatchObject({ outcome: 'published', tasks: { scored: 1 } });
  });

  test('in file names make partitions of their own: a day that is published leaves the others', async () => {
    const daily = makeCase({ input: { path: 'in/sales-{date:yyyyMMdd}-*.parquet', key: 'id' } });
    for (const day of ['01', '02'])
      for (const part of ['a', 'b'])
        await writeParquet(
          join(daily.input, `sales-201306${day}-${part}.parquet`),
          ROWS(Number(day) * 10 + (part === 'a' ? 0 : 5)),
        );
    for (const day of ['01', '02']) {
      const { exit, report } = await daily.run('--date', `2013-06-${day}`);
      expect([exit, report.ledger.rows]).toEqual([0, 6]);
    }
    expect(daily.files()).toEqual(['20130601/case-00000.parquet', '20130602/case-00000.parquet']);
    const again = await daily.run('--from', '2013-06-01', '--to', '2013-06-02');
    expect([again.report.outcome, again.report.ledger.rows]).toEqual(['unchanged', 12]);
  });

  test('are asked for where the path has them, and only there', async () => {
    const without = await job.run();
    expect([without.exit, without.stderr]).toEqual([2, expect.stringContaining('say --date')]);
    const other = makeCase();
    await writeParquet(join(other.input, 'x.parquet'), ROWS(0));
    const idle = await other.run('--date', '2013-06-01');
    expect([idle.exit, idle.stderr]).toEqual([2, expect.stringContaining('has no {date:…}')]);
  });
});

describe('partitions', () => {
  test('are run by their values, and planned so; the others stay published', async () => {
    const job = makeCase();
    for (const month of [1, 2, 3])
      await writeParquet(join(job.input, `m=${month}`, 'x.parquet'), ROWS(month * 10));
    expect((await job.run('--partition', 'm=2')).report.units.planned).toBe(1);
    expect(job.files()).toEqual(['m=2/case-00000.parquet']);
    const plan = await job.plan('--partition', 'm=1', '--partition', 'm=3');
    expect(plan.report.units.map(({ unit }) => unit)).toEqual(['m=1', 'm=3']);
    expect((await job.run('--partition', 'm=1')).exit).toBe(0);
    expect(job.files()).toHaveLength(2);
    const none = await job.run('--partition', 'm=9');
    expect([none.exit, none.stderr]).toEqual([
      4,
      expect.stringContaining('--partition m=9: no partition of the input; it has m=1, m=2, m=3'),
    ]);
  });
});

describe('shards', () => {
  test('publish nothing; a plain run finds their work done, and publishes the bytes of one that did all', {
    timeout: 120_000,
  }, async () => {
    const jobs = [1, 3, 16].map((count) => ({
      count,
      job: makeCase({ input: { path: 'in', key: 'id' } }),
    }));
    const published = [];
    for (const { count, job } of jobs) {
      for (const part of [1, 2, 3, 4, 5])
        await writeParquet(join(job.input, `p=${part}`, 'x.parquet'), ROWS(part * 1000, part * 7));
      if (count > 1) {
        let scored = 0;
        for (let index = 0; index < Math.min(count, 6); index++) {
          const { exit, report } = await job.run('--shard', `${index}/${count}`);
          expect([exit, report.outcome, report.path]).toEqual([0, 'scored', null]);
          scored += report.tasks.scored;
        }
        expect(scored).toBe(5);
        expect(job.files()).toEqual([]);
      }
      const { report } = await job.run();
      expect([report.outcome, report.tasks]).toEqual([
        'published',
        count === 1 ? { scored: 5, reused: 0 } : { scored: 0, reused: 5 },
      ]);
      published.push(contents(job));
    }
    expect(published[1]).toEqual(published[0]);
    expect(published[2]).toEqual(published[0]);
  });

  test.each(['3/3', '-1/3', '0', '0/0', 'a/b'])('--shard %s is refused', async (shard) => {
    const job = makeCase();
    const { exit, stderr } = await job.run(`--shard=${shard}`);
    expect([exit, stderr]).toEqual([2, expect.stringContaining('expected i/n')]);
  });
});
