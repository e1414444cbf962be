/** Columns that come from the names of folders: their values, their types, and what is refused. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath, type Sections } from '../job-case.js';
import { schemaOf, writeParquet } from '../parquet.js';
import { balancedLedger, publishedColumns } from '../published.js';

const ALL_MAY_BE_BAD = { max: '100%' };

/** A job that adds the columns a and b: the first from the file unless the sections say otherwise. */
async function makePartitions(
  folders: readonly string[],
  sections: Sections = {},
): Promise<JobCase> {
  const job = makeCase({
    model: { path: modelPath('small/named') },
    features: { a: 'a', b: 'b' },
    quarantine: ALL_MAY_BE_BAD,
    ...sections,
  });
  for (const [index, folder] of folders.entries()) {
    await writeParquet(
      join(job.input, folder, 'rows.parquet'),
      `SELECT ${index}::FLOAT AS a, 0::FLOAT AS b, ${index} AS id`,
    );
  }
  return job;
}

/** The published value of a column for each row of the input, by its id. */
async function byId(job: JobCase, column: string): Promise<unknown[]> {
  const rows = await publishedColumns(job, `"${column}" AS value, id`);
  const values: unknown[] = [];
  rows.id?.forEach((id, row) => {
    values[Number(id)] = rows.value?.[row];
  });
  return values;
}

describe('a partition column as a feature', () => {
  test('is read as a number, and __HIVE_DEFAULT_PARTITION__ is NaN in a float input', async () => {
    const folders = [
      'k=1',
      'k=2.5',
      'k=-0.1',
      'k=1e3',
      'k=__HIVE_DEFAULT_PARTITION__',
      'k=16777217',
    ];
    const job = await makePartitions(folders, {
      features: { a: 'k', b: 'b' },
      quarantine: { max: '100%', non_finite: 'keep' },
      output: { path: 'out', keep: ['id', 'k'], partition_columns: 'files' },
    });
    const { exit, report } = await job.run();
    expect(exit).toBe(0);
    expect(await byId(job, 'sum')).toEqual([1, 2.5, Math.fround(-0.1), 1000, Number.NaN, 2 ** 24]);
    expect(await byId(job, 'k')).toEqual(['1', '2.5', '-0.1', '1e3', null, '16777217']);
    // -0.1 and 16777217 are no float32.
    expect(report.lossyCasts).toEqual([{ column: 'k', values: 2 }]);
  });

  test('sets rows aside where an integer input gets no whole number', async () => {
    const folders = [
      'k=7',
      'k=__HIVE_DEFAULT_PARTITION__',
      'k=x',
      'k=2.7',
      'k=',
      'k=-9007199254740993',
    ];
    const job = await makePartitions(folders, {
      model: { path: modelPath('small/ints') },
      features: { i: 'k', f: 'b' },
      output: { path: 'out', keep: ['id'], columns: { whole: 'k' } },
    });
    expect((await job.run()).exit).toBe(0);
    const set = await publishedColumns(job, 'id, scoreline_reason AS why', 'quarantine');
    const reasons = Object.fromEntries(set.id!.map((id, row) => [Number(id), set.why?.[row]]));
    expect(reasons).toEqual({
      1: 'null_value',
      2: 'cast_failed',
      3: 'cast_failed',
      4: 'cast_failed',
    });
    const whole = await byId(job, 'whole');
    expect([whole[0], whole[5]]).toEqual([7n, -9007199254740993n]);
    expect(balancedLedger(job)).toEqual({ rows: 6, scored: 2, quarantined: 4, filtered: 0 });
  });

  test('goes to a text input as the text it is', async () => {
    const job = await makePartitions(['k=01', 'k=caf%C3%A9', 'k= '], {
      model: { path: modelPath('small/strings') },
      features: { s: 'k' },
      output: { path: 'out', keep: ['id'] },
    });
    expect((await job.run()).exit).toBe(0);
    expect(await byId(job, 'same')).toEqual(['01', 'café', ' ']);
  });
});

describe('a partition column that is kept', () => {
  test('is text in all files, whatever single values look like', async () => {
    const folders = ['day=1', 'day=02', 'day=2024-05-01', 'day=true', 'day=', 'day=a=b'];
    const job = await makePartitions(folders, {
      output: { path: 'out', keep: ['id', 'day'], partition_columns: 'files' },
    });
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    for (const file of job.files()) {
      const { day } = await schemaOf(join(job.output, 'current/data', file));
      expect(day).toBe('VARCHAR');
    }
    expect(await byId(job, 'day')).toEqual(['1', '02', '2024-05-01', 'true', '', 'a=b']);
  });

  test('has the type that the job gives it', async () => {
    const folders = ['day=2024-05-01/n=007', 'day=__HIVE_DEFAULT_PARTITION__/n=8'];
    const job = await makePartitions(folders, {
      input: { path: 'in', types: { day: 'date', n: 'smallint' }, where: 'n > 0' },
      features: { a: 'n', b: 'b' },
      output: { path: 'out', keep: ['id', 'day', 'n'], partition_columns: 'files' },
    });
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    for (const file of job.files()) {
      const types = await schemaOf(join(job.output, 'current/data', file));
      expect(types).toMatchObject({ day: 'DATE', n: 'SMALLINT' });
    }
    expect(await byId(job, 'n')).toEqual([7, 8]);
    expect(await byId(job, 'day')).toEqual([new Date('2024-05-01'), null]);
    expect(await byId(job, 'sum')).toEqual([7, 8]);
  });

  test('that is not of the type the job gives is refused, naming folder, value and type', async () => {
    const job = await makePartitions(['day=2024-05-01', 'day=soon'], {
      input: { path: 'in', types: { day: 'DATE' } },
      output: { path: 'out', keep: ['id', 'day'] },
    });
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toMatch(/day=soon/);
    expect(stderr).toMatch(/DATE|date/);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('has its % escapes undone, quotes and SQL included', async () => {
    const values = [
      "it's",
      '"q"',
      'a:b',
      "'); DROP TABLE scores; --",
      '%zz',
      '100%',
      'é 東京',
      '\u001b[31m',
    ];
    const folders = [
      "k=it's",
      'k=%22q%22',
      'k=a%3Ab',
      "k='); DROP TABLE scores; --",
      'k=%zz',
      'k=100%25',
      'k=%C3%A9 東京',
      'k=%1B[31m',
    ];
    const job = await makePartitions(folders, {
      output: { path: 'out', keep: ['id', 'k'], partition_columns: 'files' },
    });
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    expect(await byId(job, 'k')).toEqual(values);
    expect(
      job
        .files()
        .map((file) => file.slice(0, file.lastIndexOf('/')))
        .sort(),
    ).toEqual(folders.toSorted());
  });
});

describe('a partition value that its type would drop a part of', () => {
  test.each([
    ['TIMESTAMP', '2024-05-01 00:00:00+02'],
    ['TIMESTAMP', '2024-05-01T00:00Z'],
    ['TIMESTAMPTZ', '2024-05-01 00:00:00'],
    ['TIMESTAMPTZ', '2024-05-01 00:00:00+99'],
    ['DATE', '2024-05-01 10:00'],
    ['DATE', '2024-05-01x'],
  ])('is refused: a %s of %s', async (type, value) => {
    const job = await makePartitions([`t=${encodeURIComponent(value)}`], {
      input: { path: 'in', types: { t: type } },
      output: { path: 'out', keep: ['id', 't'], partition_columns: 'files' },
    });
    const { exit, stderr } = await job.run();
    expect([exit, stderr]).toEqual([
      4,
      expect.stringContaining(`partition value "${value}": is no ${type}, which input.types says`),
    ]);
  });

  test.each([
    ['TIMESTAMP', '2024-05-01 10:00:00.5', '2024-05-01 10:00:00.5'],
    ['TIMESTAMPTZ', '2024-05-01T00:00:00+02', '2024-04-30 22:00:00+00'],
    ['DATE', '2024-5-1', '2024-05-01'],
  ])('is read where nothing is lost: a %s of %s', async (type, value, shown) => {
    const job = await makePartitions([`t=${encodeURIComponent(value)}`], {
      input: { path: 'in', types: { t: type } },
      output: { path: 'out', keep: ['id', 't'], partition_columns: 'files' },
    });
    expect(await job.run()).toMatchObject({ exit: 0 });
    expect(await publishedColumns(job, 't::VARCHAR AS t')).toEqual({ t: [shown] });
  });
});

describe('a partition column in a filter', () => {
  test('is compared as text, and null filters its rows', async () => {
    const folders = ['k=1', 'k=2', 'k=10', 'k=__HIVE_DEFAULT_PARTITION__'];
    const job = await makePartitions(folders, {
      input: { path: 'in', where: "k < '2'" },
      output: { path: 'out', keep: ['id', 'k'], partition_columns: 'files' },
    });
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    expect(Object.values(await byId(job, 'k'))).toEqual(['1', '10']);
    expect(balancedLedger(job)).toEqual({ rows: 4, scored: 2, quarantined: 0, filtered: 2 });
  });
});

describe('folders that are refused', () => {
  test.each([
    ['a path separator', 'k=..%2F..%2Fetc', /path separator/],
    ['a path separator of Windows', 'k=a%5Cb', /path separator/],
    ['a separator in the name', 'a%2Fb=1', /path separator/],
    ['NUL', 'k=a%00b', /NUL character/],
    ['bytes that are not UTF-8', 'k=%FF', /not UTF-8/],
    ['one column twice', 'k=1/K=2', /given twice/],
  ])('%s', async (_what, folder, message) => {
    const job = await makePartitions(['k=1', folder]);
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toMatch(message);
    expect(stderr).toContain(folder);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test.each(['a=1', 'A=1', 'id=5'])('a column that the file has too: %s', async (folder) => {
    const job = await makePartitions(['x=1', folder]);
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toMatch(
      /rows\.parquet: column "(a|id)" is in the file and in its folder's name/,
    );
    expect(stderr).toContain(folder);
  });

  test('a kept partition column that some folders do not give', async () => {
    const job = await makePartitions(['k=1', 'other'], {
      output: { path: 'out', keep: ['id', 'k'], partition_columns: 'files' },
    });
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('other/rows.parquet: has no column "k"');
  });
});

describe('folders that are passed over', () => {
  test('those that start with _ or ., and empty ones', async () => {
    const job = await makePartitions(['k=1', '_k=2', '.k=3', 'k=1/_temporary'], {
      output: { path: 'out', keep: ['id', 'k'], partition_columns: 'files' },
    });
    mkdirSync(join(job.input, 'k=4'));
    expect(await job.run()).toMatchObject({ exit: 0, report: { units: { planned: 1 } } });
    expect(await byId(job, 'k')).toEqual(['1']);
  });
});

describe('types for a column of the file', () => {
  test('are used, or refused: never silently without effect', async () => {
    const job = await makePartitions(['k=1'], {
      input: { path: 'in', types: { id: 'DOUBLE' } },
      output: { path: 'out', keep: ['id'] },
    });
    const { exit } = await job.run();
    const type =
      exit === 0 ? (await schemaOf(join(job.output, 'current/data', job.files()[0]!))).id : '';
    expect([exit, type]).not.toEqual([0, 'INTEGER']);
  });

  test('of a name that no file and no folder has are refused', async () => {
    const job = await makePartitions(['k=1'], { input: { path: 'in', types: { kk: 'DATE' } } });
    const { exit, stderr } = await job.run();
    expect(exit).toBeGreaterThan(0);
    expect(stderr).toContain('kk');
  });
});
