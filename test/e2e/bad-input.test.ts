/** Input that cannot be read or does not fit: refused by exit code 4 in a line that names it, or set aside row by row. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  allowedMs,
  type JobCase,
  listFiles,
  makeCase,
  modelPath,
  type RunResult,
} from '../job-case.js';
import { columns, query, schemaOf, writeParquet } from '../parquet.js';

const ROWS =
  'SELECT i AS id, i::FLOAT AS a, (i / 4)::FLOAT AS b, chr((65 + i % 26)::INTEGER) AS t FROM range';

/** Checks that a run was refused, quickly and in good words, and returns the lines. */
function linesOf(result: RunResult, exit: number): string[] {
  expect(result).toMatchObject({ exit });
  expect(result.ms).toBeLessThan(allowedMs(5000));
  expect(result.stderr).not.toMatch(/^\s+at |bug:/m);
  expect(result.stderr).not.toContain('\u001b');
  return result.stderr.trimEnd().split('\n');
}

describe('input that is not there', () => {
  test('no file, no folder, and a folder without data files', async () => {
    const job = makeCase();
    expect(linesOf(await job.run(), 4)).toEqual([
      expect.stringMatching(/^scoreline: input\.path .*in: no \.parquet or \.csv file found$/),
    ]);
    writeFileSync(join(job.input, 'notes.txt'), 'x');
    writeFileSync(join(job.input, '_part.parquet'), 'x');
    writeFileSync(join(job.input, '.part.parquet'), 'x');
    expect(linesOf(await job.run(), 4)).toEqual([
      expect.stringMatching(
        /no \.parquet or \.csv file found, but notes\.txt; set input\.files to /,
      ),
    ]);
    for (const path of ['gone', 'gone/*.parquet', 'in/*.pq']) {
      const lines = linesOf(await job.run('--set', `input.path=${path}`), 4);
      expect(lines).toEqual([expect.stringMatching(/^scoreline: input\.path .*no /)]);
    }
  });
});

test('a run that fails while it scores says which tasks it had scored before, and the next has them', async () => {
  const job = makeCase({ quarantine: { max: 0 } });
  for (const [partition, bad] of ['1', 'x', '1'].entries()) {
    mkdirSync(join(job.input, `p=${partition}`));
    // The longest task is scored first: that of the first partition.
    const rows = Array.from({ length: 30 - 10 * partition }, () => `1,${bad}\n`).join('');
    writeFileSync(join(job.input, `p=${partition}`, 'x.csv'), `a,b\n${rows}`);
  }
  const { exit, report } = await job.run();
  expect([exit, report.outcome]).toEqual([3, 'failed']);
  // The third may have been under way.
  const { scored } = report.tasks;
  expect([scored, report.rowsThisRun]).toEqual(scored === 2 ? [2, 50] : [3, 60]);
  const again = await job.run(
    ...['--set', 'quarantine.max=20', '--set', 'output.empty_partitions=publish'],
  );
  expect(again.exit).toBe(0);
  expect(again.report.tasks.reused).toBeGreaterThanOrEqual(scored);
});

describe('files that are no Parquet, whole or in part', () => {
  const job = makeCase();
  const damaged: [name: string, content: (whole: Buffer) => Buffer][] = [
    ['text', () => Buffer.from('id,a,b\n1,2,3\n'.repeat(20))],
    ['empty', () => Buffer.alloc(0)],
    ['magic', () => Buffer.from('PAR1')],
    ['magic twice', () => Buffer.from('PAR1PAR1')],
    ['no end', (whole) => whole.subarray(0, whole.length - 1)],
    ['no footer length', (whole) => whole.subarray(0, whole.length - 8)],
    [
      'half a footer',
      (whole) => whole.subarray(0, whole.length - (whole.readUInt32LE(whole.length - 8) >> 1)),
    ],
    ['half', (whole) => whole.subarray(0, whole.length >> 1)],
    ['no start', (whole) => whole.subarray(100)],
    ['zeros', (whole) => Buffer.alloc(whole.length)],
    ['pages of zeros', (whole) => Buffer.from(whole).fill(0, 4, whole.length >> 1)],
  ];
  let before: unknown;

  beforeAll(async () => {
    const good = join(job.input, 'good.parquet');
    await writeParquet(good, `${ROWS}(300) t(i)`);
    expect((await job.run()).exit).toBe(0);
    before = [listFiles(join(job.output, 'snapshots')), job.manifest()];
    for (const [name, content] of damaged) {
      mkdirSync(join(job.input, name));
      writeFileSync(join(job.input, name, 'x.parquet'), content(readFileSync(good)));
    }
  });

  test('are all named at once, and what is published stays', async () => {
    const lines = linesOf(await job.run(), 4);
    expect(lines.map((line) => line.slice(0, line.indexOf('/x.parquet: '))).sort()).toEqual(
      damaged.map(([name]) => `scoreline: ${name}`).sort(),
    );
    expect([listFiles(join(job.output, 'snapshots')), job.manifest()]).toEqual(before);
    const plan = await job.plan('--hash');
    expect(plan.exit).toBe(4);
    // Pages are checked while files are hashed.
    expect(plan.report.refused).toHaveLength(damaged.length);
  });

  test('do not keep the rest from being scored, so that it is published at once when they are gone', async () => {
    for (const [name] of damaged) rmSync(join(job.input, name), { recursive: true });
    await writeParquet(join(job.input, 'other', 'x.parquet'), `${ROWS}(10) t(i)`);
    writeFileSync(join(job.input, 'text.parquet'), 'text');
    expect((await job.run()).exit).toBe(4);
    rmSync(join(job.input, 'text.parquet'));
    expect((await job.run()).report).toMatchObject({
      outcome: 'published',
      tasks: { scored: 0, reused: 2 },
      ledger: { rows: 310, scored: 310 },
    });
  });
});

describe('one flipped bit anywhere in a file', () => {
  test('ends in refusal or in a result that has every row, for 200 files', async () => {
    const job = makeCase({
      output: { path: 'out', keep: ['id', 't'] },
      quarantine: { max: '100%' },
    });
    const source = join(job.folder, 'source.parquet');
    await writeParquet(source, `${ROWS}(200) t(i)`);
    const whole = readFileSync(source);
    let seed = 20130601;
    const next = (below: number): number => {
      seed = (Math.imul(seed, 1664525) + 1013904223) >>> 0;
      return Math.floor((seed / 2 ** 32) * below);
    };
    for (let i = 0; i < 200; i++) {
      const flipped = Buffer.from(whole);
      flipped[next(whole.length)]! ^= 1 << next(8);
      mkdirSync(join(job.input, `f=${i}`));
      writeFileSync(join(job.input, `f=${i}`, 'x.parquet'), flipped);
    }
    const first = await job.run('--workers', '2');
    expect(first.exit, first.stderr).toBe(4);
    const [run] = listFiles(join(job.output, 'runs')).filter((name) => name.endsWith('log.jsonl'));
    const events: { type: string; task: string }[] = readFileSync(
      join(job.output, 'runs', run!),
      'utf8',
    )
      .trim()
      .split('\n')
      .map((line) => JSON.parse(line));
    expect(events.filter(({ type }) => type === 'retry')).toEqual([]);
    const scored = new Set(
      events.filter(({ type }) => type === 'task').map(({ task }) => task.replace(/#\d+$/, '')),
    );
    expect(scored.size).toBeGreaterThan(50);
    expect(scored.size + first.report.units.bad).toBe(200);
    for (let i = 0; i < 200; i++) {
      if (!scored.has(`f=${i}`)) rmSync(join(job.input, `f=${i}`), { recursive: true });
    }
    const second = await job.run();
    expect(second.exit).toBe(0);
    expect(second.report.tasks).toEqual({ scored: 0, reused: scored.size });
    const { rows, scored: good, quarantined } = second.report.ledger;
    expect(rows).toBe(200 * scored.size);
    expect(good + quarantined).toBe(rows);
    const [published] = await query(
      `SELECT count(*)::INTEGER AS n FROM read_parquet(${job.published()})`,
    );
    expect(published?.n).toBe(good);
  }, 60_000);
});

describe('columns that do not fit', () => {
  async function refusal(sql: string, sections = {}, folder = ''): Promise<string[]> {
    const job = makeCase(sections);
    await writeParquet(join(job.input, folder, 'x.parquet'), sql);
    return linesOf(await job.run(), 4);
  }

  test('a missing column is named with its nearest name, and each other one with it', async () => {
    const sections = {
      features: ['income', 'age_years'],
      output: { path: 'out', keep: ['Region', 'x'] },
    };
    expect(await refusal('SELECT 1::FLOAT AS incoem, 1 AS region', sections)).toEqual([
      'scoreline: x.parquet: has no column "income" (did you mean "incoem"?)',
      'scoreline: x.parquet: has no column "age_years"',
      'scoreline: x.parquet: has no column "Region" (did you mean "region"?)',
      'scoreline: x.parquet: has no column "x"',
    ]);
  });

  test('a type that holds no number is named with what the model expects', async () => {
    const types: [string, string][] = [
      ["'1'", 'VARCHAR'],
      ['[1.5::DOUBLE]', 'DOUBLE[]'],
      ["{'a': 1}", 'STRUCT(a INTEGER)'],
      ["DATE '2020-01-01'", 'DATE'],
      ["'x'::BLOB", 'BLOB'],
    ];
    const job = makeCase();
    for (const [index, [value]] of types.entries()) {
      const file = join(job.input, String(index), 'x.parquet');
      await writeParquet(file, `SELECT ${value} AS a, 1::FLOAT AS b`);
    }
    expect(linesOf(await job.run(), 4)).toEqual(
      types.map(
        ([, type], index) =>
          `scoreline: ${index}/x.parquet: column "a" is ${type}, model input "x" expects float32`,
      ),
    );
  });
});

describe('rows that do not fit', () => {
  test('a NULL or a fraction for a whole number is set aside, with its columns, file, row and reason', async () => {
    const job = makeCase({
      model: { path: modelPath('small/ints') },
      features: { i: 'n', f: 'f' },
      output: { path: 'out', keep: ['id'] },
    });
    await writeParquet(
      join(job.input, 'p=1', 'x.parquet'),
      "SELECT unnest([10, 11, 12, 13]) AS id, unnest([1, NULL, 2.5, 3]::DOUBLE[]) AS n, unnest([1, 2, 3, NULL]::DOUBLE[]) AS f, {'t': 'é'} AS other",
    );
    await writeParquet(
      join(job.input, 'p=1', 'y.parquet'),
      "SELECT 14 AS id, NULL::DOUBLE AS n, 1::DOUBLE AS f, {'t': 'y'} AS other",
    );
    const set = ['--set', 'quarantine.non_finite=keep', '--set', 'quarantine.max=60%'];
    const result = await job.run(...set);
    expect(result).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 5, scored: 2, quarantined: 3, filtered: 0 } },
    });
    expect(await columns(`SELECT id, k, d FROM read_parquet(${job.published()})`)).toEqual({
      id: [10, 13],
      k: [1n, 3n],
      d: [2, Number.NaN],
    });
    expect(job.files('quarantine')).toEqual(['p=1/case-00000.parquet']);
    const file = join(job.output, 'current', 'quarantine', 'p=1', 'case-00000.parquet');
    expect(await schemaOf(file)).toEqual({
      id: 'INTEGER',
      n: 'DOUBLE',
      f: 'DOUBLE',
      other: 'STRUCT(t VARCHAR)',
      scoreline_file: 'VARCHAR',
      scoreline_row: 'BIGINT',
      scoreline_column: 'VARCHAR',
      scoreline_reason: 'VARCHAR',
      scoreline_message: 'VARCHAR',
    });
    const x = { scoreline_file: 'p=1/x.parquet', scoreline_column: 'n' };
    const y = { ...x, scoreline_file: 'p=1/y.parquet' };
    expect(await query(`SELECT * EXCLUDE (scoreline_message, f, p) FROM '${file}'`)).toEqual([
      {
        id: 11,
        n: null,
        other: { t: 'é' },
        ...x,
        scoreline_row: '1',
        scoreline_reason: 'null_value',
      },
      {
        id: 12,
        n: 2.5,
        other: { t: 'é' },
        ...x,
        scoreline_row: '2',
        scoreline_reason: 'cast_failed',
      },
      {
        id: 14,
        n: null,
        other: { t: 'y' },
        ...y,
        scoreline_row: '0',
        scoreline_reason: 'null_value',
      },
    ]);
  });

  test('a partition value that is no number sets its rows aside: too many, and nothing is published', async () => {
    const job = makeCase({ features: ['a', 'p'] });
    await writeParquet(
      join(job.input, 'p=1.5', 'x.parquet'),
      'SELECT 1::FLOAT AS a FROM range(20)',
    );
    expect((await job.run()).report.ledger).toMatchObject({ rows: 20, scored: 20 });
    const before = job.manifest();
    await writeParquet(
      join(job.input, 'p=abc', 'x.parquet'),
      'SELECT 1::FLOAT AS a FROM range(20)',
    );
    const result = await job.run();
    expect(linesOf(result, 3)).toEqual([
      expect.stringMatching(
        /^scoreline: quarantine\.max: 20 of 40 rows were set aside, more than the 10 allowed; first: p=abc\/x\.parquet row 0: column "p": cast_failed: /,
      ),
    ]);
    expect(job.manifest()).toBe(before);
    // The second run finds every part in the store: only then are they staged, to be looked at.
    const again = await job.run();
    expect(linesOf(again, 3)).toEqual([
      expect.stringMatching(/quarantine\.max: 20 of 40 rows/),
      expect.stringMatching(/partition p=abc: all of its 20 rows were set aside; .*; staged in /),
      expect.stringMatching(/: job case, run \S+: staged, not published; page: /),
      expect.stringMatching(/: to publish it: scoreline publish /),
      expect.stringMatching(/: to drop it: scoreline discard /),
    ]);
    expect(again.report.outcome).toBe('staged');
    expect(listFiles(again.report.path!)).toContain('quarantine/p=abc/case-00000.parquet');
    expect(job.manifest()).toBe(before);
    // A partition without a row is published only where the job says so.
    const set = ['--set', 'quarantine.max=20', '--set', 'output.empty_partitions=publish'];
    const allowed = await job.run(...set);
    expect(allowed).toMatchObject({ exit: 0, report: { ledger: { rows: 40, quarantined: 20 } } });
    await expectCount(job, 20);
  });

  async function expectCount(job: JobCase, rows: number): Promise<void> {
    const [count] = await query(
      `SELECT count(*)::INTEGER AS n FROM read_parquet(${job.published()})`,
    );
    expect(count?.n).toBe(rows);
  }
});
