/** What Parquet files say of their columns, and how that is taken: names that are there twice, columns of nothing but nulls. */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { query, schemaOf, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

/** Writes a file, and then other names into its footer: DuckDB itself writes none twice. */
async function writeRenamed(
  path: string,
  sql: string,
  names: Record<string, string>,
): Promise<void> {
  await writeParquet(path, sql);
  let bytes = readFileSync(path).toString('latin1');
  for (const [from, to] of Object.entries(names)) bytes = bytes.replaceAll(from, to);
  writeFileSync(path, Buffer.from(bytes, 'latin1'));
}

describe('a Parquet file with a name twice', () => {
  const SQL = 'SELECT 1::FLOAT AS a, 2::FLOAT AS b, 3 AS value, 4 AS other, 5 AS value_1';

  test.each([
    [
      'in another case',
      'VALUE',
      'column "VALUE" is given twice (as "value"; upper and lower case are the same)',
    ],
    ['as it is', 'value', 'column "value" is given twice'],
  ])('%s is refused, whether the job speaks of it or not', async (_how, name, message) => {
    const job = makeCase();
    const path = join(job.input, 'x.parquet');
    await writeRenamed(path, SQL, { other: name });
    for (const keep of [[], ['value_1']]) {
      job.change({ output: { path: 'out', keep } });
      const { exit, stderr } = await job.run();
      expect([exit, stderr]).toEqual([
        4,
        expect.stringContaining(`x.parquet: ${message}; rename one of them`),
      ]);
      expect(
        stderr
          .trim()
          .split('\n')
          .filter((line) => line.includes('twice')),
      ).toHaveLength(1);
    }
    expect(await scoreline(['inspect', path])).toMatchObject({ exit: 0 });
  });

  test('in a struct is read, and so is a name that only looks like one that DuckDB would make', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['value_1'] } });
    const sql =
      "SELECT 1::FLOAT AS a, 2::FLOAT AS b, {'a': 1, 'value': 2} AS s, 3 AS value, 4 AS value_1";
    await writeParquet(join(job.input, 'x.parquet'), sql);
    expect(await job.run()).toMatchObject({ exit: 0 });
    expect(await query(`FROM read_parquet(${job.published()})`)).toMatchObject([{ value_1: 4 }]);
  });
});

/** What pyarrow writes of one row: id 1, a 1.0, b 2.0, and k, which is None; its type in Parquet is "null". */
const NULLS = Buffer.from(
  'UEFSMRUAFRQVFCwVAhUAFQYVBhwAAAACAAAAAgEBAAAAFQAVFBUULBUCFQAVBhUGHAAAAAIAAAACAQAAgD8VABUUFRQsFQIVABUGFQYcAAAAAgAAAAIBAAAAQBUAFQwVDCwVAhUA' +
    'FQYVBhwAAAACAAAAAgAVBBlcNQAYBnNjaGVtYRUIABUCJQIYAmlkABUIJQIYAWEAFQglAhgBYgAVAiUCGAFrbLwAAAAWAhkcGUwmABwVAhklBgAZGAJpZBUAFgIWOhY6JghJHBUA' +
    'FQAVAgA8KQYZJgACAAAAJgAcFQgZJQYAGRgBYRUAFgIWOhY6JkJJHBUAFQAVAgA8KQYZJgACAAAAJgAcFQgZJQYAGRgBYhUAFgIWOhY6JnxJHBUAFQAVAgA8KQYZJgACAAAAJgAc' +
    'FQIZJQYAGRgBaxUAFgIWMhYyJrYBSRwVABUAFQIAPCkGGSYCAAAAABbgARYCJggW4AEAKCBwYXJxdWV0LWNwcC1hcnJvdyB2ZXJzaW9uIDI2LjAuMRlMHAAAHAAAHAAAHAAAACIB' +
    'AABQQVIx',
  'base64',
);

function writeNulls(job: JobCase, file: string): void {
  const path = join(job.input, file);
  mkdirSync(dirname(path), { recursive: true });
  writeFileSync(path, NULLS);
}

describe("a column of Parquet's null type", () => {
  const keep = { output: { path: 'out', keep: ['id', 'k'] } };
  const published = (job: JobCase) =>
    query(`SELECT id, k, y FROM read_parquet(${job.published()}) ORDER BY id`);

  test.each([
    ['VARCHAR', "'x'", 'x'],
    ['DATE', "DATE '2024-05-01'", '2024-05-01'],
    ['DOUBLE[]', '[1.5::DOUBLE]', [1.5]],
    // As before: what holds the values of both.
    ['INTEGER', '7::TINYINT', 7],
  ])(
    'goes with %s in the other files, of the same folder and of others',
    async (type, value, shown) => {
      const job = makeCase({ ...keep, input: { path: 'in', where: 'k IS NULL OR id > 0' } });
      writeNulls(job, 'p=1/a.parquet');
      writeNulls(job, 'p=2/a.parquet');
      const sql = `SELECT 2 AS id, 3::FLOAT AS a, 4::FLOAT AS b, ${value} AS k`;
      await writeParquet(join(job.input, 'p=2/b.parquet'), sql);
      expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
      expect(await published(job)).toEqual([
        { id: 1, k: null, y: 9 },
        { id: 1, k: null, y: 9 },
        { id: 2, k: shown, y: 19 },
      ]);
      for (const file of job.files()) {
        expect(await schemaOf(join(job.output, 'current/data', file))).toMatchObject({ k: type });
      }
    },
  );

  test('has in a filter the type that the other files give it', async () => {
    const job = makeCase({ ...keep, input: { path: 'in', where: "k = 'x' OR k IS NULL" } });
    writeNulls(job, 'a.parquet');
    const sql = "SELECT 2 AS id, 3::FLOAT AS a, 4::FLOAT AS b, 'x' AS k";
    await writeParquet(join(job.input, 'b.parquet'), sql);
    expect(await job.run()).toMatchObject({ exit: 0, report: { ledger: { scored: 2 } } });
  });

  test('stops no partition with another type beside it, whichever is published first', async () => {
    const job = makeCase({ ...keep, input: { path: 'in' } });
    for (const part of [1, 3]) writeNulls(job, `p=${part}/a.parquet`);
    const sql = "SELECT 2 AS id, 3::FLOAT AS a, 4::FLOAT AS b, DATE '2024-05-01' AS k";
    await writeParquet(join(job.input, 'p=2/a.parquet'), sql);
    for (const part of [1, 2, 3])
      expect(await job.run('--partition', `p=${part}`)).toMatchObject({ exit: 0 });
    const types = await Promise.all(
      job.files().map((file) => schemaOf(join(job.output, 'current/data', file))),
    );
    expect(types.map(({ k }) => k)).toEqual(['INTEGER', 'DATE', 'DATE']);
    expect((await job.run('--partition', 'p=3')).report.outcome).toBe('unchanged');
  });

  test('is whole numbers where no file says more, as before', async () => {
    const job = makeCase(keep);
    writeNulls(job, 'a.parquet');
    expect(await job.run()).toMatchObject({ exit: 0 });
    const [file] = job.files();
    expect(await schemaOf(join(job.output, 'current/data', file!))).toMatchObject({ k: 'INTEGER' });
  });

  test('is null as a number of the model', async () => {
    const job = makeCase({ features: ['a', 'k'], quarantine: { non_finite: 'keep', max: '100%' } });
    writeNulls(job, 'a.parquet');
    await writeParquet(join(job.input, 'b.parquet'), 'SELECT 1::FLOAT AS a, 2::DOUBLE AS k');
    expect(await job.run()).toMatchObject({ exit: 0, report: { ledger: { scored: 2 } } });
    expect(await query(`FROM read_parquet(${job.published()})`)).toEqual([{ y: 'NaN' }, { y: 9 }]);
  });

  test('is null as a text of the model, which sets its row aside', async () => {
    for (const others of [0, 1]) {
      const job = makeCase({
        model: { path: modelPath('small/strings') },
        features: { s: 'k' },
        quarantine: { max: '100%' },
      });
      writeNulls(job, 'a.parquet');
      if (others > 0) await writeParquet(join(job.input, 'b.parquet'), "SELECT 'x' AS k");
      expect(await job.run()).toMatchObject({
        exit: 0,
        report: { ledger: { rows: 1 + others, scored: others, quarantined: 1 } },
      });
      const aside = await query(`FROM read_parquet(${job.published('quarantine')})`);
      expect(aside).toMatchObject([{ scoreline_column: 'k', scoreline_reason: 'null_value' }]);
    }
  });
});
