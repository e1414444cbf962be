/** Models of scikit-learn with something before or behind their trees: the bits of ONNX Runtime, and the bytes of a run. fixtures/make/pipelines.py made them. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Session, TensorSpec, TensorValues } from '../../src/base/onnx.js';
import { describeTrees } from '../../src/worker/trees.js';
import { loadTrees } from '../../src/worker/trees-load.js';
import { makeCase, publishedContents, type RunResult, type Sections } from '../job-case.js';
import { attribute, constant, int, node, number, part, tensor, writeModel } from '../onnx.js';
import { writeParquet } from '../parquet.js';
import { Random } from '../random.js';
import { FIXTURES, scoreline } from '../scoreline.js';
import { compareFeeds } from '../tree-engines.js';
import { ensembleNode, stump } from '../tree-models.js';

const FOLDER = join(FIXTURES, 'models/pipelines');
const ROWS = 16_384;
const BATCHES = 31;

/** What runs where: units of trees, nodes before, nodes behind. */
const MODELS: Readonly<Record<string, readonly [units: number, before: number, behind: number]>> = {
  bagging: [1, 0, 14],
  calibrated: [2, 0, 22],
  'columns-hist': [1, 11, 0],
  'columns-lightgbm': [1, 11, 0],
  'columns-ordinal': [1, 9, 0],
  'columns-passed': [1, 0, 0],
  'imputer-boosting': [1, 4, 0],
  'isolation-forest': [1, 0, 510],
  'scaler-boosting': [1, 1, 0],
  stacking: [2, 0, 12],
  'stacking-trees': [2, 0, 15],
  'two-targets': [1, 0, 3],
  'voting-hard': [2, 0, 17],
  'voting-regressor': [2, 0, 5],
  'voting-soft': [2, 0, 10],
  'whole-classifier': [1, 0, 0],
  'whole-regressor': [1, 0, 0],
};

const WORDS: Readonly<Record<string, readonly string[]>> = {
  city: ['Oslo', 'Köln', '東京', 'São Paulo', 'Nowhere', ''],
  plan: ['free', 'pro', 'none'],
};

/** Rows roughly like those that the models were trained on; of floats one in fifty is missing. */
function drawInput(random: Random, { name, element, shape }: TensorSpec): TensorValues {
  const width = Number(shape[1]);
  const length = ROWS * width;
  const near: Readonly<Record<string, () => number>> = {
    age: () => random.whole(10, 95),
    income: () => random.whole(0, 9000),
    visits: () => random.whole(0, 14),
  };
  const draw = near[name] ?? (() => 12 * random.next() - 6 + 20 * (random.next() - 0.5) ** 3);
  const values =
    element === 'utf8'
      ? Array.from({ length }, () => random.pick([...WORDS[name]!]))
      : element === 'int64'
        ? BigInt64Array.from({ length }, () => BigInt(Math.round(4 * draw())))
        : Float32Array.from({ length }, () => (random.next() < 0.02 ? Number.NaN : draw()));
  return { element: element!, shape: [ROWS, width], values };
}

test('every model is known', () => {
  const names = readdirSync(FOLDER).map((name) => name.replace('.onnx', ''));
  expect(names.sort()).toEqual(Object.keys(MODELS).sort());
});

describe('500,000 rows have the bits of ONNX Runtime', () => {
  test.each(Object.entries(MODELS))('%s', async (name, where) => {
    const path = join(FOLDER, `${name}.onnx`);
    const trees = await loadTrees(path);
    if (typeof trees === 'string') throw new Error(trees);
    const facts = describeTrees(trees);
    const units = trees.units.length;
    await trees.close();
    if ('why' in facts) throw new Error(facts.why);
    expect([units, facts.before, facts.behind]).toEqual(where);
    const random = new Random(7);
    const feeds = ({ inputs }: Session): Map<string, TensorValues> =>
      new Map(inputs.map((input) => [input.name, drawInput(random, input)]));
    const compared = await compareFeeds(path, feeds, BATCHES);
    expect(compared).toMatchObject({ different: 0 });
    expect(compared.values).toBeGreaterThanOrEqual(ROWS * BATCHES);
  });
});

const TABLE = [
  '(i % 80)::FLOAT AS age',
  'CASE WHEN i % 11 = 0 THEN NULL ELSE (i * 37 % 9000)::DOUBLE END AS income',
  "CASE i % 5 WHEN 0 THEN 'Oslo' WHEN 1 THEN 'Köln' WHEN 2 THEN '東京' WHEN 3 THEN 'Nowhere' END AS city",
  "CASE WHEN i % 3 = 0 THEN 'pro' ELSE 'free' END AS plan",
  '(i % 13)::INTEGER AS visits',
  ...['a', 'b', 'c', 'd', 'e'].map(
    (name, at) => `((i * ${97 + at}) % 1009 / 100 - 5)::FLOAT AS ${name}`,
  ),
  ...['a', 'b', 'c', 'd', 'e'].map(
    (name, at) => `((i * ${97 + at}) % 101 - 50)::BIGINT AS whole_${name}`,
  ),
];

/** Runs a job over rows of `TABLE` with an engine. */
async function runWith(
  engine: string,
  { rows, ...sections }: Sections & { rows: number },
): Promise<RunResult & { published: Map<string, string> }> {
  const job = makeCase({ quarantine: { max: '60%' }, ...sections, run: { workers: 2, engine } });
  await writeParquet(
    join(job.input, 'rows.parquet'),
    `SELECT ${TABLE.join(', ')} FROM range(${rows}) t(i)`,
    { rowGroupSize: 5000 },
  );
  const run = await job.run('--quiet');
  return { ...run, published: publishedContents(job.output) };
}

/** The features of a model: its inputs by name, or the columns of its matrix. */
function featuresOf(name: string): readonly string[] | undefined {
  if (name.startsWith('columns')) return undefined;
  const names = ['a', 'b', 'c', 'd', 'e'];
  return name.startsWith('whole') ? names.map((each) => `whole_${each}`) : names;
}

describe('a run publishes the same bytes with both engines', () => {
  test.each(Object.keys(MODELS))('of %s', async (name) => {
    const sections = { model: { path: join(FOLDER, `${name}.onnx`) }, features: featuresOf(name) };
    const trees = await runWith('trees', { ...sections, rows: 12_000 });
    const runtime = await runWith('onnxruntime', { ...sections, rows: 12_000 });
    expect(trees).toMatchObject({ exit: 0, stderr: '' });
    expect(trees.report.engine).toEqual({
      engine: 'trees',
      why: expect.stringMatching(/^[\d,]+ rows had the bits of ONNX Runtime$/),
    });
    expect(runtime.report.engine).toMatchObject({ engine: 'onnxruntime' });
    expect(trees.report.ledger).toEqual(runtime.report.ledger);
    expect(trees.published.size).toBeGreaterThan(1);
    expect(trees.published).toEqual(runtime.published);
  });
});

test('inspect says what runs where', async () => {
  const lines = await Promise.all(
    ['columns-hist', 'voting-soft', 'scaler-boosting'].map(async (name) => {
      const { stdout } = await scoreline(['inspect', join(FOLDER, `${name}.onnx`)]);
      return stdout.split('\n').find((line) => line.startsWith('engine:'));
    }),
  );
  expect(lines).toEqual([
    'engine: trees (24 trees, 576 leaves; in onnxruntime 11 nodes before)',
    'engine: trees (30 trees, 671 leaves; in onnxruntime 10 nodes behind)',
    'engine: trees (24 trees, 384 leaves; in onnxruntime 1 node before)',
  ]);
});

test('auto takes the trees of a pipeline, and ONNX Runtime where the trees are no faster', async () => {
  const model = { path: join(FOLDER, 'scaler-boosting.onnx') };
  const features = featuresOf('scaler');
  const { report } = await runWith('auto', { model, features, rows: 50_000 });
  expect(report.engine).toMatchObject({ engine: 'trees' });
  // One tree of two leaves over a matrix of 400 columns, which crosses twice.
  const size = 400;
  const heavy = writeModel({
    inputs: [tensor('x', 'float', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1]), tensor('out', 'float', ['N', size])],
    nodes: [
      node('Mul', ['x', 'ones'], ['wide']),
      node('Erf', ['wide'], ['far']),
      ensembleNode(stump(), { x: 'far' }),
      node('Mul', ['far', 'y'], ['out']),
    ],
    constants: [
      constant(
        'ones',
        'float',
        [1, size],
        Array.from({ length: size }, () => 0.5),
      ),
    ],
  });
  const slow = await runWith('auto', { model: { path: heavy }, features: ['a'], rows: 40_000 });
  expect(slow).toMatchObject({ exit: 0 });
  expect(slow.report.engine).toEqual({
    engine: 'onnxruntime',
    why: expect.stringMatching(
      /^the trees, and what is around them, took [\d.]+ ms for the first rows, ONNX Runtime [\d.]+ ms$/,
    ),
  });
});

test('rows that the nodes before the trees refuse are set aside as ONNX Runtime sets them aside', async () => {
  // An encoder that knows two plans, and fails on others.
  const zeros = number('zeros', 0);
  const model = writeModel({
    inputs: [tensor('plan', 'string', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [
      node(
        'ai.onnx.ml.OneHotEncoder',
        ['plan'],
        ['codes'],
        attribute('cats_strings', ['free', 'pro']),
        zeros,
      ),
      node('Reshape', ['codes', 'shape'], ['x']),
      ensembleNode({ ...stump(), featureids: [1, 0, 0] }),
    ],
    constants: [constant('shape', 'int64', [2], [-1, 2])],
  });
  const results = [];
  for (const engine of ['trees', 'onnxruntime']) {
    const job = makeCase({
      model: { path: model },
      features: { plan: 'plan' },
      quarantine: { max: 100 },
      run: { workers: 1, engine },
    });
    const rows =
      "SELECT CASE i WHEN 7000 THEN 'gold' WHEN 9001 THEN 'gold' ELSE 'pro' END AS plan FROM range(10000) t(i)";
    await writeParquet(join(job.input, 'rows.parquet'), rows);
    const run = await job.run('--quiet');
    expect(run).toMatchObject({ exit: 0 });
    expect(run.report).toMatchObject({
      engine: { engine },
      ledger: { rows: 10_000, scored: 9998, quarantined: 2 },
    });
    results.push(publishedContents(job.output));
  }
  expect(results[0]).toEqual(results[1]);
});

test('what the trees cannot be cut out of is said by plan, run and inspect', async () => {
  const branch = (name: string, ...nodes: Buffer[]): Buffer =>
    part(
      5,
      part(1, name),
      part(
        6,
        ...nodes.map((each) => part(1, each)),
        part(2, name),
        part(12, tensor('then', 'float', ['N', 1])),
      ),
      int(20, 5),
    );
  const model = writeModel({
    inputs: [tensor('x', 'float', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [
      node('ReduceSum', ['x'], ['sum'], number('keepdims', 0)),
      node('Cast', ['sum'], ['is'], number('to', 9)),
      node(
        'If',
        ['is'],
        ['y'],
        branch('then_branch', ensembleNode(stump(), { y: 'then' })),
        branch('else_branch', node('Neg', ['x'], ['then'])),
      ),
    ],
    ml: 3,
  });
  const why = 'its tree ensembles stand in branches, loops or functions';
  const job = makeCase({ model: { path: model }, features: ['a'] });
  await writeParquet(join(job.input, 'rows.parquet'), 'SELECT 1::FLOAT AS a FROM range(100)');
  const engine = { engine: 'onnxruntime', why };
  expect((await job.plan()).report.engine).toEqual(engine);
  expect((await job.run()).report.engine).toEqual(engine);
  const inspect = await scoreline(['inspect', model]);
  expect(inspect.stdout).toContain(`\nengine: onnxruntime (${why})\n`);
});
