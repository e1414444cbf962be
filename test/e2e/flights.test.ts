/** The main job, on real data: what is published, what a second run does, and that bytes depend on content alone. */
import { cpSync, mkdirSync, readFileSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { listFiles, publishedContents, type RunResult, withReport } from '../job-case.js';
import { columns, query, schemaOf } from '../parquet.js';
import { FIXTURES, makeFolder, ROOT, scoreline } from '../scoreline.js';

const JOB = join(ROOT, 'jobs', 'flights.yaml');
const folder = makeFolder();
const output = join(folder, 'out');

function run(job: string, to: string, ...args: string[]): Promise<RunResult> {
  return scoreline(['run', job, '--json', '--quiet', '--set', `output.path=${to}`, ...args]).then(
    withReport<RunResult['report']>,
  );
}

/** Checks the predictions of all months, in order, against those of Python's onnxruntime. */
async function expectPredictions(read: string): Promise<void> {
  const scored = await columns(`SELECT flight_id, carrier, delay_minutes FROM ${read}`);
  const expected = await columns(
    'SELECT e.flight_id, f.carrier, e.delay_minutes FROM ' +
      `(SELECT *, row_number() OVER () AS n FROM '${FIXTURES}/expected/flights.parquet') e JOIN ` +
      `read_parquet('${FIXTURES}/flights/*/*.parquet') f USING (flight_id) WHERE NOT f.cancelled ORDER BY e.month::VARCHAR, n`,
  );
  expect(scored.delay_minutes?.length).toBe(328_521);
  for (const name of ['flight_id', 'carrier', 'delay_minutes']) {
    const different = scored[name]?.findIndex(
      (value, row) => !Object.is(value, expected[name]?.[row]),
    );
    expect({ name, different }).toEqual({ name, different: -1 });
  }
}

let first: RunResult;

beforeAll(async () => {
  first = await run(JOB, output, '--workers', '2');
  expect(first.stderr).toBe('');
});

describe('a year of flights', () => {
  test('is published with the predictions of Python, bit for bit, in the order and with the keys of the input', async () => {
    expect(first.exit).toBe(0);
    const files = listFiles(join(output, 'current', 'data'));
    expect(files).toContain('month=1/flights-00000.parquet');
    expect(files).toHaveLength(12);
    expect(await schemaOf(join(output, 'current', 'data', files[0]!))).toEqual({
      flight_id: 'BIGINT',
      carrier: 'VARCHAR',
      delay_minutes: 'FLOAT',
    });
    await expectPredictions(
      `read_parquet([${files.map((file) => `'${join(output, 'current', 'data', file)}'`).join(', ')}])`,
    );
  });

  test('accounts for every row: those without a departure are filtered, in each month as in the source', async () => {
    expect(first.report).toMatchObject({
      outcome: 'published',
      snapshot: 1,
      ledger: { rows: 336_776, scored: 328_521, quarantined: 0, filtered: 8255 },
      tasks: { scored: 12, reused: 0 },
      units: { planned: 12, bad: 0, notReady: [] },
      rowsThisRun: 336_776,
    });
    const manifest = JSON.parse(readFileSync(join(output, 'current', 'manifest.json'), 'utf8'));
    const source = await query(
      `SELECT month, count(*)::INTEGER AS rows, count_if(NOT cancelled)::INTEGER AS scored FROM read_parquet('${FIXTURES}/flights/*/*.parquet', hive_partitioning = true) GROUP BY month`,
    );
    expect(source).toHaveLength(12);
    for (const { month, rows, scored } of source) {
      expect(manifest.units[`month=${month}`].inputs).toMatchObject([
        { path: `month=${month}/flights.parquet`, ledger: { rows, scored, quarantined: 0 } },
      ]);
    }
  });

  test('is not scored again by a second run, which starts no worker', async () => {
    const before = statSync(join(output, 'current')).ino;
    const again = await run(JOB, output);
    expect(again.exit).toBe(0);
    expect(again.report).toMatchObject({
      outcome: 'unchanged',
      snapshot: 1,
      tasks: { scored: 0, reused: 12 },
      rowsThisRun: 0,
    });
    // A worker loads onnxruntime and DuckDB: with one, two processes would add up to more than this.
    expect(again.report.peakBytes).toBeLessThan(150 * 2 ** 20);
    expect(statSync(join(output, 'current')).ino).toBe(before);
    const told = await scoreline([
      'run',
      JOB,
      '--set',
      `output.path=${output}`,
      '--skip-unchanged',
    ]);
    expect(told.exit).toBe(99);
    expect(told.stdout).toMatch(/^nothing to do: 12 partitions up to date, 336,776 rows\n/);
    expect(told.stderr).toBe('');
  });

  test('is found by `current`, with links resolved', async () => {
    const found = await scoreline(['current', output]);
    expect(found).toMatchObject({ exit: 0, stdout: `${join(output, 'snapshots', '000001')}\n` });
    const nothing = await scoreline(['current', join(folder, 'nowhere')]);
    expect(nothing).toMatchObject({ exit: 4, stdout: '' });
  });
});

describe('published bytes', () => {
  test('are the same for 1, 2 and 4 workers, and from another folder', async () => {
    const elsewhere = join(folder, 'else where');
    mkdirSync(join(elsewhere, 'jobs'), { recursive: true });
    cpSync(JOB, join(elsewhere, 'jobs', 'flights.yaml'));
    for (const name of ['flights', 'models/flights.onnx']) {
      cpSync(join(FIXTURES, name), join(elsewhere, 'fixtures', name), { recursive: true });
    }
    const variants: [string, string, string][] = [
      ['2', JOB, join(folder, 'two')],
      ['1', JOB, join(folder, 'one')],
      ['4', join(elsewhere, 'jobs', 'flights.yaml'), join(elsewhere, 'out')],
    ];
    let want: Map<string, string> | undefined;
    for (const [workers, job, to] of variants) {
      const months = ['--set', 'input.path=../fixtures/flights/month=1*/*.parquet'];
      const result = await run(job, to, '--workers', workers, ...months);
      expect(result).toMatchObject({ exit: 0, stderr: '', report: { units: { planned: 4 } } });
      const got = publishedContents(to);
      want ??= got;
      expect(got.size).toBe(5);
      expect([...got.keys()]).toEqual([...want.keys()]);
      for (const [name, content] of want) expect(got.get(name) === content, name).toBe(true);
    }
  });
});

describe('another form of output', () => {
  const inferences = (result: RunResult): number => result.report.times.infer;

  test('is made from the scores that are there, and Snappy is read back by parquetjs-lite', async () => {
    const scores = listFiles(join(output, 'store', 'scores'));
    const result = await run(
      JOB,
      output,
      '--set',
      'output.compression=snappy',
      '--set',
      'output.keep=[flight_id, distance, tailnum, cancelled]',
      '--set',
      'output.columns={delay: variable}',
    );
    expect(result.exit).toBe(0);
    expect(inferences(result)).toBe(0);
    expect(result.report.outcome).toBe('published');
    expect(listFiles(join(output, 'store', 'scores'))).toEqual(scores);
    const path = join(output, 'current', 'data', 'month=2', 'flights-00000.parquet');
    const want = await columns(
      `SELECT s.flight_id, distance, tailnum, cancelled, delay_minutes FROM '${FIXTURES}/flights/month=2/flights.parquet' s JOIN '${FIXTURES}/expected/flights.parquet' e USING (flight_id) WHERE NOT cancelled ORDER BY s.flight_id`,
    );
    const rows = await readIndependently(path);
    expect(rows).toHaveLength(want.flight_id!.length);
    for (const [index, row] of rows.entries()) {
      // parquetjs-lite gives a null as an absent field.
      const got = [
        row.flight_id,
        Number(row.distance),
        row.tailnum ?? null,
        row.cancelled,
        row.delay,
      ];
      const wanted = [
        want.flight_id?.[index],
        want.distance?.[index],
        want.tailnum?.[index],
        false,
        want.delay_minutes?.[index],
      ];
      if (!got.every((value, at) => Object.is(value, wanted[at]))) expect(got).toEqual(wanted);
    }
  });

  test('as CSV holds the same rows and values', async () => {
    const gzip = ['--set', 'output.format=csv', '--set', 'output.compression=gzip'];
    const result = await run(JOB, output, ...gzip);
    expect(result.exit).toBe(0);
    expect(inferences(result)).toBe(0);
    const files = listFiles(join(output, 'current', 'data'));
    expect(files).toHaveLength(12);
    expect(files[0]).toBe('month=1/flights-00000.csv.gz');
    const list = files.map((file) => `'${join(output, 'current', 'data', file)}'`).join(', ');
    await expectPredictions(
      `read_csv([${list}], header = true, columns = {flight_id: 'BIGINT', carrier: 'VARCHAR', delay_minutes: 'FLOAT'})`,
    );
  });
});

interface Reader {
  getCursor(): { next(): Promise<Record<string, unknown> | null> };
  close(): Promise<void>;
}

async function readIndependently(path: string): Promise<Record<string, unknown>[]> {
  const { ParquetReader } = createRequire(import.meta.url)('parquetjs-lite') as {
    ParquetReader: { openFile(path: string): Promise<Reader> };
  };
  const reader = await ParquetReader.openFile(path);
  const cursor = reader.getCursor();
  const rows: Record<string, unknown>[] = [];
  for (let row = await cursor.next(); row !== null; row = await cursor.next()) rows.push(row);
  await reader.close();
  return rows;
}
