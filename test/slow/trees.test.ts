/** Which engine runs a model, how a job says so, and that what is published is the same bytes. */
import { cpSync, mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath, publishedContents } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { FIXTURES, makeFolder, ROOT, scoreline } from '../scoreline.js';
import { stump, writeEnsemble } from '../tree-models.js';

const FLIGHTS = join(ROOT, 'jobs', 'flights.yaml');

/** Scores the flights of a month with an engine, and gives what is published. */
async function flights(
  engine: string,
  settings: readonly string[] = [],
  program = ROOT,
): Promise<{ report: { engine: unknown; outcome: string }; published: Map<string, string> }> {
  const output = join(makeFolder(), 'out');
  const set = [`output.path=${output}`, `run.engine=${engine}`, ...settings];
  const args = [
    'run',
    FLIGHTS,
    '--partition',
    'month=2',
    '--json',
    '--quiet',
    ...set.flatMap((each) => ['--set', each]),
  ];
  const result = await scoreline(args, { program });
  expect(result).toMatchObject({ exit: 0, stderr: '' });
  return { report: JSON.parse(result.stdout), published: publishedContents(output) };
}

/** The settings of the binary model, whose scores are transformed by a power of e, and its labels. */
const BINARY = [
  `model.path=${modelPath('flights-binary')}`,
  'output.columns={late: label, p: "probabilities[1]"}',
];

describe('a month of flights', () => {
  test.each([
    ['of a regressor', []],
    ['of a classifier, with labels', BINARY],
  ])('%s is published as the same bytes by both engines', async (_name, settings) => {
    const trees = await flights('trees', settings);
    const runtime = await flights('onnxruntime', settings);
    expect(trees.report.engine).toEqual({
      engine: 'trees',
      why: expect.stringMatching(/^[\d,]+ rows had the bits of ONNX Runtime$/),
    });
    expect(runtime.report.engine).toEqual({ engine: 'onnxruntime', why: 'run.engine says so' });
    expect(trees.published.size).toBe(2);
    expect(trees.published).toEqual(runtime.published);
  });
});

/** A copy of the built program in which `damage` changed the kernel. */
function damagedProgram(damage: (kernel: Buffer) => Buffer): string {
  const folder = makeFolder();
  for (const name of ['bin', 'dist', 'package.json']) {
    cpSync(join(ROOT, name), join(folder, name), { recursive: true });
  }
  symlinkSync(join(ROOT, 'node_modules'), join(folder, 'node_modules'));
  const path = join(folder, 'dist/trees/kernel.wasm');
  writeFileSync(path, damage(readFileSync(path)));
  return folder;
}

/** Replaces every place where some bytes stand, by as many others. */
function replaced(bytes: Buffer, from: Buffer, to: Buffer): Buffer {
  const result = Buffer.from(bytes);
  expect(result.includes(from)).toBe(true);
  for (let at = result.indexOf(from); at >= 0; at = result.indexOf(from, at + 1))
    to.copy(result, at);
  return result;
}

function float64(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return bytes;
}

describe('the whole run is made by ONNX Runtime when, before any task is handed out,', () => {
  test('a number differs in its last bits', async () => {
    // A coefficient of the power of e, which is wrong by a millionth now.
    const [right, wrong] = [0.021660849396613134, 0.021660869396613134];
    const program = damagedProgram((bytes) => replaced(bytes, float64(right), float64(wrong)));
    const { report, published } = await flights('trees', BINARY, program);
    expect(report).toMatchObject({
      outcome: 'published',
      engine: {
        engine: 'onnxruntime',
        why: expect.stringMatching(
          /^the trees do not give its numbers: output "probabilities" of row \d+ is 0\.\d+, not 0\.\d+$/,
        ),
      },
    });
    expect(published).toEqual((await flights('onnxruntime', BINARY)).published);
  });

  test('the engine fails', async () => {
    // f32x4.add becomes f32x4.sub, also where a place in a table is computed.
    const [add, subtract] = ['fde401', 'fde501'].map((hex) => Buffer.from(hex, 'hex'));
    const program = damagedProgram((bytes) => replaced(bytes, add!, subtract!));
    const { report } = await flights('trees', [], program);
    expect(report.engine).toEqual({
      engine: 'onnxruntime',
      why: 'the trees do not give its numbers: the engine fails: memory access out of bounds',
    });
  });
});

test('without the WebAssembly that it needs, ONNX Runtime makes the run', async () => {
  const program = damagedProgram(() => Buffer.from('no module'));
  const { report } = await flights('auto', ['run.workers=1'], program);
  expect(report.engine).toMatchObject({
    engine: 'onnxruntime',
    why: expect.stringMatching(/^WebAssembly cannot run it here: /),
  });
});

/** A job over one file of `rows` rows with one column. */
async function smallJob(rows: number, sections = {}): Promise<JobCase> {
  const job = makeCase({
    model: { path: writeEnsemble(stump(), 1) },
    features: ['a'],
    ...sections,
  });
  await writeParquet(
    join(job.input, 'a.parquet'),
    `SELECT i AS id, (i % 3)::FLOAT AS a FROM range(${rows}) t(i)`,
  );
  return job;
}

describe('a plan and a run say which engine, and why', () => {
  test('few rows do not pay for the check', async () => {
    const job = await smallJob(1000);
    const why = '1,000 rows to score do not pay for checking the trees, 32,864 would';
    const engine = { engine: 'onnxruntime', why };
    expect((await job.plan()).report.engine).toEqual(engine);
    expect((await job.run()).report.engine).toEqual(engine);
    expect((await job.plan('--hash')).report.engine).toBeNull();
    expect((await job.run()).report.engine).toBeNull();
  });

  test('unless the job insists', async () => {
    const job = await smallJob(1000, { run: { workers: 1, engine: 'trees' } });
    expect((await job.plan()).report.engine).toEqual({
      engine: 'trees',
      why: 'run.engine says so',
    });
    const why = '1,012 rows had the bits of ONNX Runtime';
    expect((await job.run()).report.engine).toEqual({ engine: 'trees', why });
  });

  test('none where all that is to be published was scored before', async () => {
    const sections = { input: { path: 'in', key: 'id' }, run: { workers: 1, engine: 'trees' } };
    const both = { output: { path: 'out', keep: ['id', 'a'] } };
    const job = await smallJob(1000, { ...sections, ...both });
    expect((await job.run()).exit).toBe(0);
    job.change({ output: { path: 'out', keep: ['id'] } });
    expect((await job.run()).exit).toBe(0);
    job.change(both);
    expect(await job.run()).toMatchObject({
      exit: 0,
      report: { outcome: 'published', engine: null, tasks: { scored: 0 } },
    });
  });

  test('in a line for people', async () => {
    const job = await smallJob(50_000);
    const plan = await scoreline(['plan', job.jobFile]);
    expect(plan.stdout).toContain('\nengine: trees (faster, with the same bits)\n');
    const run = await scoreline(['run', job.jobFile]);
    expect(run.stdout).toContain('\nengine     trees (4,108 rows had the bits of ONNX Runtime)\n');
    const inspect = await scoreline(['inspect', modelPath('flights')]);
    expect(inspect.stdout).toContain('\nengine: trees (200 trees, 12,600 leaves)\n');
  });

  test('a model that is no tree ensemble', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'a.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
    const why = 'the model has no tree ensemble';
    expect((await job.run()).report.engine).toEqual({ engine: 'onnxruntime', why });
    job.change({ run: { engine: 'trees' } });
    const refused = await job.run();
    expect(refused).toMatchObject({
      exit: 5,
      stderr: `scoreline: model linear.onnx: run.engine is trees, but ${why}; use auto or onnxruntime\n`,
    });
    expect((await job.plan()).exit).toBe(5);
  });
});

test('rows whose score is not finite are set aside by the trees as by ONNX Runtime', async () => {
  const model = writeEnsemble({ ...stump(), weights: [1, Infinity] }, 1);
  const published: Map<string, string>[] = [];
  for (const engine of ['trees', 'onnxruntime']) {
    const job = makeCase({
      model: { path: model },
      features: ['a'],
      run: { workers: 1, engine },
      quarantine: { max: 100 },
    });
    const rows =
      'SELECT CASE i % 50 WHEN 7 THEN NULL WHEN 8 THEN 1 ELSE 0.25 END::FLOAT AS a FROM range(1000) t(i)';
    await writeParquet(join(job.input, 'a.parquet'), rows);
    const { report } = await job.run();
    expect(report).toMatchObject({
      engine: { engine },
      ledger: { rows: 1000, scored: 960, quarantined: 40 },
    });
    published.push(publishedContents(job.output));
  }
  expect(published[0]).toEqual(published[1]);
});

test.each([
  ['an ensemble of doubles', { element: 'double', asTensors: true }],
  ['a TreeEnsemble of doubles', { element: 'double', version5: true }],
  ['an ensemble of floats behind a Cast from doubles', { element: 'float', input: 'double' }],
] as const)('%s gives the same bytes with both engines', async (_name, kind) => {
  // Between two floats, where only a double tells what is greater.
  const parts = { ...stump(), ...kind, values: [0.3, 0, 0], weights: [1 / 3, 2 / 3] };
  const model = writeEnsemble(parts, 1);
  const published: Map<string, string>[] = [];
  for (const engine of ['trees', 'onnxruntime']) {
    const job = makeCase({
      model: { path: model },
      features: ['a'],
      run: { workers: 1, engine },
      quarantine: { max: 100 },
    });
    const values = '0.3 + (i % 5 - 2) * 1e-16, (i % 100) / 50';
    await writeParquet(
      join(job.input, 'a.parquet'),
      `SELECT CASE i % 50 WHEN 7 THEN NULL ELSE [${values}][i % 2 + 1] END::DOUBLE AS a FROM range(1000) t(i)`,
    );
    const { report } = await job.run();
    expect(report).toMatchObject({ engine: { engine }, ledger: { scored: 1000 } });
    published.push(publishedContents(job.output));
  }
  expect(published[0]).toEqual(published[1]);
});

test('models of tree libraries give the same bytes with both engines, labels and classes too', async () => {
  const folder = makeFolder();
  const input = join(folder, 'in');
  mkdirSync(input);
  const names = ['a', 'b', 'c', 'd', 'e'];
  const values = names.map((name, i) => `(random() * ${i + 2} - 2)::FLOAT AS ${name}`);
  await writeParquet(join(input, 'rows.parquet'), `SELECT ${values.join(', ')} FROM range(3000)`);
  for (const kind of ['lightgbm-multiclass', 'catboost-binary', 'random-forest-classifier']) {
    const published: Map<string, string>[] = [];
    for (const engine of ['trees', 'onnxruntime']) {
      const job = makeCase({
        input: { path: input },
        model: { path: join(FIXTURES, 'models/kinds', kind, 'model.onnx') },
        features: names,
        run: { workers: 1, engine },
      });
      const run = await job.run('--quiet');
      expect(run.stderr).toBe('');
      expect(run.report.engine).toMatchObject({ engine });
      published.push(publishedContents(job.output));
    }
    expect({ kind, published: published[0] }).toEqual({ kind, published: published[1] });
  }
}, 120_000);
