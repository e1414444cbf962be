/** Some of what is published is scored again: do the values hold? */
import { createHash } from 'node:crypto';
import {
  appendFileSync,
  copyFileSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sealed } from '../../src/base/hash.js';
import type { Rescored } from '../../src/run/rescore.js';
import { write } from '../history-case.js';
import { type JobCase, listFiles, makeCase, modelPath, withReport } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { type CommandResult, scoreline } from '../scoreline.js';

const ROWS = (from: number, rows = 3) =>
  `SELECT i AS id, i::FLOAT AS a, 1::FLOAT AS b FROM range(${from}, ${from + rows}) t(i)`;

async function rescored(
  job: JobCase,
  share = '100%',
): Promise<CommandResult & { report: Rescored | undefined }> {
  const result = await scoreline(['verify', job.output, '--rescore', share, '--json']);
  const { report } = withReport<{ rescored: Rescored } | undefined>(result);
  return { ...result, report: report?.rescored };
}

/** A job of three partitions of Parquet with 3, 4 and 5 rows, published. */
async function publishedCase(sections = {}): Promise<JobCase> {
  const job = makeCase(sections);
  for (const p of [1, 2, 3])
    await writeParquet(join(job.input, `p=${p}`, 'x.parquet'), ROWS(p * 10, p + 2));
  expect((await job.run()).exit).toBe(0);
  return job;
}

/** Everything in an output but the cache and the records. */
function kept(job: JobCase): string[] {
  return listFiles(job.output).filter((name) => !/^(?:cache|runs)\//.test(name));
}

describe('verify --rescore', () => {
  test('finds that every value holds, and leaves the output as it was', async () => {
    const job = await publishedCase();
    const before = kept(job);
    const { exit, report } = await rescored(job);
    expect([exit, report]).toEqual([
      0,
      {
        snapshot: 1,
        tasks: 3,
        sampled: 3,
        verified: 3,
        rows: 12,
        different: [],
        unverified: [],
      },
    ]);
    expect(kept(job)).toEqual(before);
    const text = await scoreline(['verify', job.output, '--rescore', '100%']);
    expect(text.stdout).toMatch(
      /\n3 of 3 tasks verified \(12 rows compared\), of 3 that are published\n$/,
    );
  });

  test('takes at least one task, and always the same for a share', async () => {
    const job = await publishedCase();
    const rows: (number | undefined)[] = [];
    for (const share of ['1%', '1%', '34%', '66.7%'])
      rows.push((await rescored(job, share)).report?.rows);
    const keys = Object.values(JSON.parse(job.manifest()).units).flatMap(
      (unit) => (unit as { parts: { key: string; ledger: { rows: number } }[] }).parts,
    );
    const inOrder = keys.sort((a, b) => (a.key < b.key ? -1 : 1)).map(({ ledger }) => ledger.rows);
    const [one = 0, two = 0, three = 0] = inOrder;
    expect(rows).toEqual([one, one, one + two, one + two + three]);
  });

  test.each(['0%', '101%', '10', 'all', '-1%', '1 %'])('--rescore %s is refused', async (share) => {
    const { exit, stderr } = await scoreline(['verify', 'nowhere', `--rescore=${share}`]);
    expect([exit, stderr]).toEqual([2, expect.stringContaining('expected a percentage')]);
  });

  test('names what the model does not give: the file, the row, the column and both values', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['id'], columns: { y: 'y' } } });
    await writeParquet(join(job.input, 'x.parquet'), ROWS(0, 4));
    // A share is scored and not published: what is then put in its place in the store is published by the next run.
    expect((await job.run('--shard', '0/1')).exit).toBe(0);
    const parts = join(job.output, 'store/parts');
    const [data] = listFiles(parts).filter((name) => name.endsWith('data.parquet'));
    const path = join(parts, data!);
    const forged = join(job.folder, 'forged.parquet');
    await writeParquet(
      forged,
      `SELECT id, CASE WHEN id IN (1, 3) THEN (-1000)::FLOAT ELSE y END AS y FROM read_parquet('${path}')`,
    );
    const bytes = readFileSync(forged);
    unlinkSync(path);
    copyFileSync(forged, path);
    const record = join(path, '../part.json');
    const { digest: _, ...said } = JSON.parse(readFileSync(record, 'utf8'));
    said.part.data = {
      ...said.part.data,
      sha256: createHash('sha256').update(bytes).digest('hex'),
      bytes: bytes.length,
    };
    unlinkSync(record);
    writeFileSync(record, JSON.stringify(sealed(said)));
    expect((await job.run()).report).toMatchObject({ outcome: 'published', rowsThisRun: 0 });
    expect((await scoreline(['verify', job.output])).exit).toBe(0);

    const file = 'snapshots/000001/data/case-00000.parquet';
    const { exit, stderr, report } = await rescored(job);
    expect([exit, stderr]).toEqual([
      6,
      expect.stringMatching(/^scoreline: 1 published file is not what the model gives now: /),
    ]);
    // The model gives 2 a + 3 b + 1, of a = id and b = 1.
    expect(report).toMatchObject({
      verified: 0,
      different: [
        {
          path: file,
          problem: '2 values are others now',
          values: [
            { row: 1, column: 'y', published: '-1000.0', again: '6.0' },
            { row: 3, column: 'y', published: '-1000.0', again: '10.0' },
          ],
        },
      ],
    });
    const { stdout } = await scoreline(['verify', job.output, '--rescore', '1%']);
    expect(stdout).toContain(`${file} row 3 column "y": published -1000.0, scored again 10.0\n`);
  });

  test('says of each partition why it cannot be scored again, and does not count it', async () => {
    const job = await publishedCase();
    rmSync(join(job.input, 'p=1'), { recursive: true });
    await writeParquet(join(job.input, 'p=2', 'x.parquet'), ROWS(99, 3));
    const { exit, report } = await rescored(job);
    expect([exit, report]).toMatchObject([
      0,
      {
        sampled: 3,
        verified: 1,
        rows: 5,
        unverified: [
          { unit: 'p=1', tasks: 1, why: 'input gone' },
          { unit: 'p=2', tasks: 1, why: 'input changed' },
        ],
      },
    ]);
    const { stdout } = await scoreline(['verify', job.output, '--rescore', '100%']);
    expect(stdout).toMatch(/^p=1: 1 of its tasks not verified: input gone$/m);
    expect(stdout).toMatch(/^1 of 3 tasks verified /m);
    rmSync(job.input, { recursive: true });
    const none = await rescored(job);
    expect([none.exit, none.stderr]).toEqual([
      4,
      expect.stringContaining('none of the 3 tasks could be scored again'),
    ]);
  });

  test('says that the model is another, or gone', async () => {
    const model = join(makeCase().folder, 'model.onnx');
    copyFileSync(modelPath('small/linear'), model);
    const job = await publishedCase({ model: { path: model } });
    // The name of its producer, once more: the same model with another hash.
    appendFileSync(model, Buffer.from([0x12, 1, 0x78]));
    const changed = await rescored(job);
    expect(changed.exit).toBe(4);
    expect(changed.report?.unverified.map(({ why }) => why)).toEqual(
      Array(3).fill(expect.stringMatching(/^model changed/)),
    );
    unlinkSync(model);
    const gone = await rescored(job);
    expect(gone.exit).toBe(4);
    expect(gone.report?.unverified[0]?.why).toContain('model.onnx');
  });

  test('scores each partition by the job that it was published with', async () => {
    const job = await publishedCase();
    await job.run('--partition', 'p=2', '--set', 'output.keep=[id]');
    await job.run('--partition', 'p=3', '--set', 'input.where=a < 32');
    job.change({ features: undefined });
    expect((await job.run()).exit).toBe(5);
    expect((await rescored(job)).report).toMatchObject({ verified: 3, rows: 12, unverified: [] });
  });

  test.each([
    ['parquet', 'zstd'],
    ['csv', 'none'],
    ['csv', 'gzip'],
  ])(
    'compares rows that were set aside, of CSV published as %s (%s)',
    async (format, compression) => {
      const job = makeCase({
        quarantine: { max: '90%' },
        output: { path: 'out', format, compression, keep: ['a'] },
      });
      write(job, 'p=1/x.csv', [1, 'bad', 3]);
      appendFileSync(join(job.input, 'p=1/x.csv'), 'too,many,fields\n');
      await job.run();
      expect(job.files('quarantine')).toHaveLength(2);
      const before = kept(job);
      expect(await rescored(job)).toMatchObject({ exit: 0, report: { verified: 1, rows: 3 } });
      expect(kept(job)).toEqual(before);
    },
  );

  test('finds the input of dates without being told which', async () => {
    const job = makeCase({ input: { path: 'in/sales-{date:yyyyMMdd}.csv' } });
    for (const day of ['01', '02']) {
      write(job, `sales-201306${day}.csv`, [Number(day)]);
      await job.run('--date', `2013-06-${day}`);
    }
    expect((await rescored(job)).report).toMatchObject({ verified: 2, unverified: [] });
  });

  test('says so where no record names a job, and where nothing is published', async () => {
    const job = await publishedCase();
    rmSync(join(job.output, 'runs'), { recursive: true });
    const without = await rescored(job);
    expect([without.exit, without.stderr]).toEqual([
      4,
      expect.stringContaining('no record of it says with which job'),
    ]);
    await job.run();
    expect((await rescored(job)).report?.verified).toBe(3);
    const empty = makeCase();
    write(empty, 'x.csv', [1]);
    await empty.run('--shard', '0/1');
    expect((await rescored(empty)).exit).toBe(4);
  });
});
