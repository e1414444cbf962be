/** Every small model, run over a Parquet file that holds its sample, against what Python's onnxruntime says. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath, type RunResult, type Sections } from '../job-case.js';
import { columns, literal, query, writeParquet } from '../parquet.js';
import { FIXTURES, scoreline } from '../scoreline.js';

interface Sample {
  readonly type: 'float32' | 'float64' | 'int64' | 'string';
  readonly dims: readonly number[];
  readonly data: readonly (number | string)[];
}

const SAMPLES: Record<string, { inputs: Record<string, Sample>; outputs: Record<string, Sample> }> =
  JSON.parse(readFileSync(join(FIXTURES, 'models', 'expected.json'), 'utf8')).models;

const SQL_TYPES = { float32: 'FLOAT', float64: 'DOUBLE', int64: 'BIGINT', string: 'VARCHAR' };

/** The values of a sample, a row of `width` elements each, as JavaScript has them. */
function rowsOf({ type, data, dims }: Sample): unknown[] {
  const values = data.map((value) => {
    if (type === 'string') return value;
    return type === 'int64' ? BigInt(value) : Number(value);
  });
  const width = dims[1] ?? 1;
  if (width === 1) return values;
  return Array.from({ length: values.length / width }, (_, row) =>
    values.slice(row * width, (row + 1) * width),
  );
}

/** The sample of an input as SQL columns: one for each element of a row. */
function columnsOf(name: string, sample: Sample): [string, string[]][] {
  const width = sample.dims[1] ?? 1;
  const type = SQL_TYPES[sample.type];
  return Array.from({ length: width }, (_, column) => [
    width === 1 ? name : `${name}${column}`,
    sample.data
      .filter((_value, at) => at % width === column)
      .map((value) => `${literal(String(value))}::${type}`),
  ]);
}

/** Writes the sample of a model, after an id that counts its rows. */
async function writeSample(job: JobCase, model: string): Promise<string[]> {
  const inputs = Object.entries(SAMPLES[model]!.inputs).flatMap(([name, sample]) =>
    columnsOf(name, sample),
  );
  const lists = inputs.map(
    ([name, values]) => `unnest([${values.join(', ')}]) AS "${name.replaceAll('"', '""')}"`,
  );
  const count = inputs[0]![1].length;
  await writeParquet(
    join(job.input, 'sample.parquet'),
    `SELECT unnest(range(${count})) AS id, ${lists.join(', ')}`,
  );
  return inputs.map(([name]) => name);
}

/** Scores the sample of a model; by a list of features where its one input has several columns. */
async function score(
  model: string,
  sections: Sections = {},
  ...args: string[]
): Promise<{ job: JobCase; result: RunResult; rows: Record<string, unknown[]> }> {
  const job = makeCase({ model: { path: modelPath(`small/${model}`) } });
  const names = await writeSample(job, model);
  const isMatrix = Object.keys(SAMPLES[model]!.inputs).length === 1 && names.length > 1;
  job.change({
    features: isMatrix ? names : undefined,
    output: { path: 'out', keep: ['id'] },
    ...sections,
  });
  const result = await job.run(...args);
  const rows =
    result.exit === 0 ? await columns(`SELECT * FROM read_parquet(${job.published()})`) : {};
  return { job, result, rows };
}

/** Checks what was published against the sample, bit for bit; `scored` names the rows that were. */
function expectSample(model: string, rows: Record<string, unknown[]>, scored?: number[]): void {
  for (const [name, sample] of Object.entries(SAMPLES[model]!.outputs)) {
    const all = rowsOf(sample);
    expect(rows[name]).toEqual((scored ?? [...all.keys()]).map((row) => all[row]));
  }
}

describe('predictions equal those of Python', () => {
  test.each([
    ['linear', 'two columns of one matrix'],
    ['named', 'two inputs, bound by name'],
    ['ints', '64-bit integers and doubles'],
    ['strings', 'text'],
    ['multi', 'a list a row, and a label'],
    ['gather', 'whole numbers that index a table'],
    ['external', 'weights in a file of their own'],
    ['fixed-batch', 'exactly 32 rows a call'],
    ['slow', 'a loop that is not entered'],
    ['hostile-names', 'names that bite'],
  ])('%s: %s', async (model) => {
    const keep = { quarantine: { non_finite: 'keep' } };
    const { result, rows } = await score(model, keep);
    expect(result).toMatchObject({ exit: 0, stderr: '', report: { outcome: 'published' } });
    expectSample(model, rows);
    expect(rows.id).toEqual([...rows.id!.keys()].map(BigInt));
    expect(result.report.notes).toEqual([]);
  });

  test('when an input has another name than its column, and outputs are picked and renamed', async () => {
    const job = makeCase({
      model: { path: modelPath('small/multi') },
      features: ['x0', 'x1', 'x2'],
      output: {
        path: 'out',
        keep: ['x2'],
        columns: { 'second %': 'p[1]', all: 'p', class: 'label' },
      },
    });
    await writeSample(job, 'multi');
    expect((await job.run()).exit).toBe(0);
    const rows = await columns(`SELECT * FROM read_parquet(${job.published()})`);
    const p = rowsOf(SAMPLES.multi!.outputs.p!) as number[][];
    expect(Object.keys(rows)).toEqual(['x2', 'second %', 'all', 'class']);
    expect(rows.all).toEqual(p);
    expect(rows['second %']).toEqual(p.map((row) => row[1]));
    expect(rows.class).toEqual(rowsOf(SAMPLES.multi!.outputs.label!));
    const named = makeCase({
      model: { path: modelPath('small/named') },
      features: { a: 'b', b: 'the "other"' },
    });
    await writeParquet(
      join(named.input, 'x.parquet'),
      `SELECT 1::FLOAT AS b, 2::FLOAT AS "the ""other"""`,
    );
    expect((await named.run()).exit).toBe(0);
    expect((await columns(`FROM read_parquet(${named.published()})`)).sum).toEqual([3]);
  });

  test('when the last batch of a model with a fixed batch has fewer rows', async () => {
    const job = makeCase({ model: { path: modelPath('small/fixed-batch') } });
    const file = join(job.input, 'rows.parquet');
    await writeParquet(file, 'SELECT i::FLOAT AS a, (i / 3)::FLOAT AS b FROM range(77) t(i)');
    const result = await job.run();
    expect(result).toMatchObject({ exit: 0, report: { ledger: { rows: 77, scored: 77 } } });
    const rows = await columns(`SELECT y FROM read_parquet(${job.published()})`);
    const source = await columns(`SELECT a, b FROM '${file}'`);
    expect(rows.y).toHaveLength(77);
    rows.y?.forEach((y, row) => {
      const sum = 2 * Number(source.a![row]) + 3 * Number(source.b![row]) + 1;
      expect(y).toBeCloseTo(sum, 3);
    });
  });
});

describe('rows that a model cannot score', () => {
  test('a score that is not finite puts its row aside, and a finite one beside it stays', async () => {
    const { job, result, rows } = await score('nan-out', { quarantine: { max: 3 } });
    expect(result).toMatchObject({
      exit: 0,
      report: { ledger: { rows: 5, scored: 2, quarantined: 3, filtered: 0 } },
    });
    expect(rows.id).toEqual([0n, 1n]);
    expectSample('nan-out', rows, [0, 1]);
    const set = await query(
      `SELECT id, x, scoreline_file, scoreline_row, scoreline_column, scoreline_reason FROM read_parquet(${job.published('quarantine')})`,
    );
    const blame = {
      scoreline_file: 'sample.parquet',
      scoreline_column: 'y',
      scoreline_reason: 'non_finite_score',
    };
    expect(set).toEqual([
      { id: '2', x: 0, scoreline_row: '2', ...blame },
      { id: '3', x: -1, scoreline_row: '3', ...blame },
      { id: '4', x: 'NaN', scoreline_row: '4', ...blame },
    ]);
  });

  test('a score that is not finite stays where the job keeps it', async () => {
    const { job, result, rows } = await score('nan-out', { quarantine: { non_finite: 'keep' } });
    expect(result).toMatchObject({ exit: 0, report: { ledger: { scored: 5, quarantined: 0 } } });
    expectSample('nan-out', rows);
    expect(job.files('quarantine')).toEqual([]);
  });

  test('an index that the model refuses puts its row aside, with what the model said', async () => {
    const job = makeCase({ model: { path: modelPath('small/gather') }, features: ['idx'] });
    await writeParquet(
      join(job.input, 'x.parquet'),
      'SELECT CASE WHEN i IN (7, 9000) THEN 10 ELSE i % 10 END AS idx, i FROM range(20000) t(i)',
    );
    const { exit, report, stderr } = await job.run();
    expect([exit, stderr]).toEqual([0, '']);
    expect(report.ledger).toEqual({ rows: 20_000, scored: 19_998, quarantined: 2, filtered: 0 });
    const set = await query(`SELECT * FROM read_parquet(${job.published('quarantine')})`);
    expect(set).toMatchObject([
      { idx: '10', i: '7', scoreline_row: '7', scoreline_reason: 'model_failed' },
      { idx: '10', i: '9000', scoreline_row: '9000', scoreline_reason: 'model_failed' },
    ]);
    expect(set[0]!.scoreline_message).toMatch(/^the model fails on this row, .*out of/);
    const [wrong] = await query(
      `SELECT count(*)::INTEGER AS n FROM read_parquet(${job.published()}) WHERE v NOT IN (0.5, 1.5, 2.5, 3.5, 4.5, 5.5, 6.5, 7.5, 8.5, 9.5)`,
    );
    expect(wrong).toEqual({ n: 0 });
  });

  test('a model that refuses every row ends the run, named', async () => {
    const job = makeCase({ model: { path: modelPath('small/gather') }, features: ['idx'] });
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 10 AS idx FROM range(100)');
    const result = await job.run();
    expect(result.exit).toBe(5);
    expect(result.stderr).toMatch(/^scoreline: model gather\.onnx: .*out of/);
    expect(result.stderr.trim().split('\n')).toHaveLength(1);
  });
});

describe('a model whose rows depend on their neighbours', () => {
  test('is scored on a fixed grid of batches, and the run says so', async () => {
    const { result, rows } = await score('batch-dependent');
    expect(result.exit).toBe(0);
    expectSample('batch-dependent', rows);
    expect(result.report.notes).toEqual([
      expect.stringMatching(/rows of this model depend on their neighbours in the batch/),
    ]);
    const small = await score('batch-dependent', {}, '--batch-rows', '2');
    expect(small.rows.y).toEqual([-0.5, 0.5, -0.5, 0.5, 0]);
  });
});

describe('names that bite', () => {
  test('reach a terminal as plain text', async () => {
    const { job } = await score('hostile-names');
    const shown = [
      await scoreline(['inspect', modelPath('small/hostile-names')]),
      await scoreline(['inspect', join(job.output, 'current', 'data', job.files()[0]!)]),
      await scoreline(['run', job.jobFile, '--set', 'output.columns={score: nope}']),
    ];
    for (const { stdout, stderr } of shown) {
      expect(stdout + stderr).toMatch(/DROP TABLE|onerror/);
      expect(stdout + stderr).not.toContain('\u001b');
    }
    expect(shown.map(({ exit }) => exit)).toEqual([0, 0, 5]);
  });
});
