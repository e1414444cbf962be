/** Files that are read together: whatever their schemas, sizes and batches, each row stays with its own values. */
import { mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { balancedLedger, manifestOf, publishedColumns } from '../published.js';

const OK = { exit: 0, report: { error: null } };

/** The schemas that files take in turn: other orders, types and extra columns. */
const SCHEMAS = [
  'id::BIGINT AS id, i::INTEGER AS i, f::DOUBLE AS f',
  'f::FLOAT AS f, id::INTEGER AS id, i::BIGINT AS i, 1 AS extra',
  'id::SMALLINT AS id, i::DOUBLE AS i, f::DOUBLE AS f',
  'f::INTEGER AS f, id::BIGINT AS id, i::DECIMAL(9,0) AS i',
];
/** Rows of each file, in turn. */
const SIZES = [1, 0, 2, 7, 0, 0, 30, 1, 3, 64, 5];

describe('a pack of files with schemas of all kinds', () => {
  let job: JobCase;
  let rows: number;

  beforeAll(async () => {
    job = makeCase({
      input: { path: 'in', where: 'id % 3 <> 1', key: 'id' },
      model: { path: modelPath('small/ints') },
      features: { i: 'i', f: 'f' },
      quarantine: { max: '100%' },
      output: { path: 'out', keep: ['id', 'f'] },
    });
    let id = 0;
    for (const [index, size] of [...SIZES, ...SIZES, ...SIZES].entries()) {
      const name = `${String(index).padStart(2, '0')}.parquet`;
      await writeParquet(
        join(job.input, name),
        `SELECT ${SCHEMAS[index % SCHEMAS.length]} FROM (SELECT r AS id, CASE WHEN r % 5 <> 2 THEN 3 * r END AS i, ` +
          `r / 4 AS f FROM range(${id}, ${id + size}) t(r))`,
      );
      id += size;
    }
    rows = id;
  });

  // Every third row is filtered, every fifth has no value for the model.
  const expected = (): number[] =>
    [...Array(rows).keys()].filter((id) => id % 3 !== 1 && id % 5 !== 2);

  test.each([1, 3, 16, 10_000])('in batches of %s rows', async (batchRows) => {
    const result = await job.run('--batch-rows', String(batchRows));
    expect(result).toMatchObject({ ...OK, report: { outcome: 'published', lossyCasts: [] } });
    const { id, k, d, f } = await publishedColumns(job);
    expect(id).toEqual(expected().map(BigInt));
    expect(k).toEqual(expected().map((row) => BigInt(3 * row)));
    expect(d).toEqual(expected().map((row, at) => 3 * row + Number(f![at])));
    const set = await publishedColumns(job, 'id, scoreline_file, scoreline_row', 'quarantine');
    expect(set.id).toEqual(
      [...Array(rows).keys()].filter((row) => row % 3 !== 1 && row % 5 === 2).map(BigInt),
    );
    const places = await query(
      `SELECT parse_filename(filename) AS file, file_row_number AS row FROM read_parquet('${job.input}/*.parquet', ` +
        'union_by_name = true, filename = true, file_row_number = true) WHERE i IS NULL AND id % 3 <> 1 ORDER BY id',
    );
    expect(set.scoreline_file?.map((file, at) => [file, String(set.scoreline_row![at])])).toEqual(
      places.map(({ file, row }) => [file, row]),
    );
    const { scored, quarantined } = balancedLedger(job);
    expect([scored, quarantined]).toEqual([expected().length, places.length]);
  });

  test('accounts for each file by itself', async () => {
    const [unit] = Object.values(manifestOf(job).units);
    const ledgers = unit!.inputs.map(({ ledger }) => ledger.rows);
    expect(ledgers).toEqual([...SIZES, ...SIZES, ...SIZES]);
  });
});

describe('an integer file before one with fractions', () => {
  test('2.7 stays 2.7, as a feature and as a kept column', async () => {
    const job = makeCase({ output: { path: 'out', keep: ['a'] } });
    await writeParquet(join(job.input, '1.parquet'), 'SELECT 2 AS a, 0 AS b');
    await writeParquet(join(job.input, '2.parquet'), 'SELECT 2.7::DOUBLE AS a, 0 AS b');
    await writeParquet(
      join(job.input, '3.parquet'),
      'SELECT 0 AS b, 2.7::DECIMAL(2,1) AS c, 3 AS a',
    );
    const { exit, report } = await job.run();
    expect({ exit, tasks: report.tasks.scored }).toEqual({ exit: 0, tasks: 1 });
    expect(await publishedColumns(job)).toEqual({
      a: [2, 2.7, 3],
      y: [5, Math.fround(2 * Math.fround(2.7) + 1), 7],
    });
  });
});

describe('a file that lacks a column', () => {
  test.each([
    ['a feature', {}],
    ['a kept column', { features: ['a', 'c'], output: { path: 'out', keep: ['b'] } }],
    ['the key', { features: ['a', 'c'], input: { path: 'in', key: 'b' } }],
  ])('%s: is refused by name, and the others are not', async (_what, sections) => {
    const job = makeCase(sections);
    await writeParquet(join(job.input, '1.parquet'), 'SELECT 2 AS a, 5 AS b, 0 AS c');
    await writeParquet(join(job.input, '2.parquet'), 'SELECT 0 AS c, 2 AS a');
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('2.parquet: has no column "b"');
    expect(stderr).not.toContain('1.parquet');
    expect(job.files()).toEqual([]);
  });
});

describe('what lies among the data', () => {
  let job: JobCase;

  beforeAll(async () => {
    job = makeCase({ output: { path: 'out', keep: ['a'] } });
    const file = 'dir.parquet/x.PARQUET';
    await writeParquet(join(job.input, file), 'SELECT 8 AS a, 0 AS b');
    await writeParquet(join(job.input, '_store', 'near.parquet'), 'SELECT 7 AS a, 0 AS b');
    await writeParquet(join(job.folder, 'outside', 'far.parquet'), 'SELECT 9 AS a, 0 AS b');
  });

  test('links to files below the input are read, other files and links without a bearing on it are not', async () => {
    symlinkSync('_store/near.parquet', join(job.input, 'link.parquet'));
    symlinkSync('../outside', join(job.input, '_folder'));
    symlinkSync('.', join(job.input, '.loop'));
    mkdirSync(join(job.input, 'empty.parquet'));
    writeFileSync(join(job.input, 'notes.txt'), 'x');
    writeFileSync(join(job.input, '_SUCCESS'), '');
    writeFileSync(join(job.input, '.hidden.parquet'), 'x');
    expect(await job.run()).toMatchObject(OK);
    expect((await publishedColumns(job, 'a')).a?.toSorted()).toEqual([7, 8]);
  });

  test.each([
    ['a file outside the input', 'far.parquet', '../outside/far.parquet'],
    ['nothing', 'broken.parquet', 'nowhere.parquet'],
    ['a folder', 'a=9', '../outside'],
    ['a folder of the input', 'loop', '.'],
    ['a folder that is away', 'a=9', '../unmounted'],
  ])(
    'a link to %s is refused by its name, and what was published stays',
    async (_to, name, target) => {
      symlinkSync(target, join(job.input, name));
      const { exit, stderr } = await job.run();
      rmSync(join(job.input, name));
      expect(exit).toBe(4);
      expect(stderr).toMatch(new RegExp(`^scoreline: ${name}: is a link `));
      expect((await publishedColumns(job, 'a')).a).toHaveLength(2);
    },
  );
});
