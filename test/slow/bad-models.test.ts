/** A model that cannot be used: refused in time, in words that name it, with what was published left as it was. */
import { copyFileSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import {
  allowedMs,
  listFiles,
  makeCase,
  modelPath,
  type RunResult,
  type Sections,
} from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { FIXTURES } from '../scoreline.js';

/** Every file of `fixtures/models/broken`, and the words without which a reason says too little. */
const BROKEN: Record<string, RegExp> = {
  // Files that are no whole model.
  truncated: /cut short: .*112245 bytes.* 67360/,
  'truncated-in-node': /cut short/,
  'truncated-in-initializer': /cut short/,
  'truncated-in-tag': /cut short/,
  'truncated-last-byte': /cut short/,
  'truncated-before-opset': /no operator set/,
  'no-graph': /no graph/,
  'flipped-wire-type': /not a valid ONNX file/,
  'flipped-graph-length': /not a valid ONNX file/,
  'flipped-op-type': /LatMul/,
  'flipped-weight-name': /"?'?weights/,
  'not-onnx': /not an ONNX file, but text/,
  empty: /empty/,
  zeros: /not an ONNX file/,
  'random-bytes': /not an ONNX file/,
  'pytorch-zip': /zip.*PyTorch/,
  pickle: /pickle/,
  'html-page': /HTML/,
  'xgboost-json': /JSON/,
  'pmml-xml': /text|XML/,
  'lfs-pointer': /Git LFS.*git lfs pull/,
  gzip: /gzip/,
  zstd: /zstd/,
  tflite: /TensorFlow Lite/,
  'keras-hdf5': /HDF5.*Keras/,
  parquet: /Parquet/,
  numpy: /not an ONNX file/,
  'lightgbm-text': /LightGBM/,
  'catboost-cbm': /CatBoost/,
  safetensors: /not an ONNX file/,
  'ort-format': /ORT format/,
  'tensorflow-saved-model': /no graph|TensorFlow/,
  'tensor-only': /not a valid ONNX file|no graph/,
  'graph-only': /not an ONNX file|no graph|no IR version/,
  base64: /not an ONNX file, but text/,
  'line-ends-changed': /not a valid ONNX file/,
  'recoded-as-utf8': /cut short|not a valid ONNX file/,
  twice: /uplicate/,
  'text-behind': /cut short|not a valid ONNX file/,
  folder: /directory|folder/,
  // Versions and operators.
  'unknown-opset': /pset 999.*(?:\b26\b|support)/,
  'negative-opset': /-1/,
  'no-opset': /no operator set/,
  'ir-version-too-new': /IR version: 99.*13/,
  'no-ir-version': /not an ONNX file|no IR version/,
  'custom-op': /com\.acme:Frobnicate/,
  'unknown-operator': /Frobnicate/,
  'operator-newer-than-opset': /Gelu.*13/,
  'operator-without-kernel': /implementation for Swish\(24\)/,
  'missing-attribute': /Cast.*attribute 'to'/,
  'unknown-attribute': /colour.*MatMul/,
  'too-many-operands': /MatMul.*input size 3/,
  // Data in other files.
  'missing-external-data': /"missing-external-data\.onnx\.data" is missing/,
  'escaping-external-data': /"\.\.\/\.\.\/secret\.bin" lies outside/,
  'absolute-external-data': /"\/etc\/hostname" lies outside/,
  'external-data-is-a-folder': /external data file "\." is not a file/,
  'external-data-without-a-name': /external data file "" has no/,
  'external-data-too-short': /weights.*8.*5/,
  'external-data-at-negative-offset': /weights.*-8/,
  'external-data-of-another-length': /weights.*8.*4/,
  'external-data-of-huge-length': /weights.*8.*4611686018427387904/,
  // The graph.
  'invalid-graph': /nowhere/,
  'output-that-nothing-makes': /\(y\)|"y"/,
  cycle: /not acyclic|cycle/,
  'two-nodes-make-one-value': /uplicate.*\(y\)/,
  'two-inputs-of-one-name': /uplicate.*\(x\)/,
  'two-nodes-of-one-name': /same node name \(n\)/,
  'no-outputs': /no graph that has an output|no outputs/,
  'no-inputs': /no input|output "y" has shape \[2, 1\] for 5 rows/,
  'nameless-input': /empty string|no name/,
  'types-that-do-not-meet': /Add.*tensor\(float\).*tensor\(int64\)/,
  'type-that-no-kernel-takes': /tensor\(string\).*Neg/,
  'output-of-another-type': /tensor\(int64\).*\(y\).*tensor\(float\)/,
  'wrong-shape': /MatMul.*dimension/,
  'deep-nesting': /nested deeper than 100/,
  'function-that-calls-itself': /recursive.*own:Again/,
  'zipmap-without-labels': /label/,
  'zipmap-of-too-few-labels': /label/,
  // Initializers and lengths.
  'initializer-too-short': /weights.*5 bytes.*8 bytes/,
  'initializer-too-long': /weights.*16 bytes.*8 bytes/,
  'initializer-of-huge-size': /weights.*8796093022208/,
  'initializer-size-overflows': /dimension|size/,
  'initializer-of-negative-size': /dimension|size/,
  'initializer-without-a-type': /type/,
  'initializer-of-unknown-type': /weights.*type/,
  'graph-of-huge-length': /cut short: .*2147483655 bytes/,
  'length-beyond-64-bits': /not a valid ONNX file/,
  'operator-name-of-300-kb': /name of 300000 bytes/,
  // Types and shapes that no table has.
  'sequence-output': /none of its outputs \("y"\) is a tensor/,
  'optional-output': /none of its outputs \("y"\) is a tensor/,
  'map-input': /input "x" is (?:not a tensor|a map)/,
  'sequence-input': /input "x" is (?:not a tensor|a sequence)/,
  'bfloat16-input': /bfloat16/,
  'complex64-input': /tensor\(complex64\)/,
  'float8-input': /float8e4m3fn/,
  'int4-input': /int4|Identity/,
  'bfloat16-output': /bfloat16/,
  'sparse-input': /sparse_tensor.*\(x\)/,
  'input-without-a-type': /\(x\).*type/,
  'scalar-input': /input "x" has no batch dimension \(shape \[\]\)/,
  'batch-of-none': /batch dimension is 0/,
  'two-fixed-batches': /different fixed batch sizes: 4, 8/,
  'scalar-output': /output "y" has shape \[\] for \d+ rows/,
  'output-without-rows': /output "y" has shape \[2\] for 5 rows/,
  'constant-output': /output "z" has shape \[2, 1\] for 5 rows/,
  'rows-come-second': /output "y" has shape \[2, 5\] for 5 rows/,
  'rows-go-second': /"[xy]".* shape \[(?:1, 2|2, N)\]/,
  'a-row-too-few': /output "y" has shape \[(?:1, 2\] for 2|4, 2\] for 5) rows/,
  'a-row-too-many': /output "y" has shape \[(?:3, 2\] for 2|6, 2\] for 5) rows/,
  'only-rows-above-zero': /output "y" has shape \[(?:0, 2\] for 2|4, 2\] for 5) rows/,
  // Those that load, and fail on rows.
  'index-out-of-range': /Gather.*idx=10.*\[-2,1\]/,
  'reshape-that-cannot-be': /Reshape.*\{\d,2\}.*\{-1,7\}/,
  'asks-for-petabytes': /ConstantOfShape.*(?:alloc|memory)/,
  'negative-size-at-run-time':
    /trial run failed: .*ConstantOfShape.*: Tensor shape\.Size\(\) must be >= 0/,
  'text-that-is-no-number': /Cast/,
};

/** The features of those that are not fed with a matrix of a and b. */
const FEATURES: Sections = {
  'index-out-of-range': { k: 'k' },
  'text-that-is-no-number': { t: 'w' },
  'type-that-no-kernel-takes': { t: 't' },
  'two-fixed-batches': { x: 'a', b: 'b' },
  'scalar-input': { x: 'x' },
  'map-input': { x: 'x' },
  'sequence-input': { x: 'x' },
  'input-without-a-type': { x: 'x' },
  'no-inputs': undefined,
};

const GOOD = { model: { path: modelPath('small/linear') }, features: ['a', 'b'] };
const job = makeCase(GOOD);

/** The published files, and their content where it says what is published. */
function published(): unknown {
  const root = join(job.output, 'snapshots');
  return [listFiles(root), readFileSync(join(root, '000001', 'manifest.json'), 'utf8')];
}

let before: unknown;

beforeAll(async () => {
  await writeParquet(
    join(job.input, 'rows.parquet'),
    `SELECT i::FLOAT AS a, (i + 1)::FLOAT AS b, i::FLOAT AS x, [1, 2] AS l, i::VARCHAR AS t, 'w' || i AS w, i AS k FROM range(5) t(i)`,
  );
  expect((await job.run()).exit).toBe(0);
  before = published();
});

/** Runs the job with other sections; whatever comes of it, the user hears of it in a decent way. */
async function refused(
  sections: Sections,
  { args = [], ms = 5000 }: { args?: string[]; ms?: number } = {},
): Promise<RunResult> {
  job.change({ ...GOOD, output: { path: 'out' }, ...sections });
  const result = await job.run(...args);
  expect(result.exit).toBe(5);
  expect(result.ms).toBeLessThan(allowedMs(ms));
  expect(result.stderr).not.toMatch(/^\s+at |bug:|\.cc:|onnxruntime\/core|^scoreline: *$/m);
  expect(result.stderr).not.toContain('\u001b');
  expect(result.report).toMatchObject({ outcome: 'failed', snapshot: 1 });
  expect(published()).toEqual(before);
  return result;
}

function linesOf({ stderr }: RunResult): string[] {
  return stderr.trimEnd().split('\n');
}

describe('a file that is no usable model', () => {
  const folder = join(FIXTURES, 'models', 'broken');

  test.each(Object.entries(BROKEN))('%s', async (name, words) => {
    const model = { path: modelPath(`broken/${name}`) };
    const features = name in FEATURES ? FEATURES[name] : GOOD.features;
    const result = await refused({ model, features });
    const lines = linesOf(result);
    expect(lines).toHaveLength(1);
    const subject = new RegExp(`^scoreline: model (?:\\S*/)?${name}\\.onnx: `);
    expect(lines[0]).toMatch(subject);
    // Without the file's name, which holds some of the words.
    expect(lines[0]!.replace(subject, '').replaceAll(`${name}.onnx failed`, '')).toMatch(words);
  });

  test('loop-without-end', async () => {
    const model = { path: modelPath('broken/loop-without-end') };
    const run = { workers: 1, batch_timeout: 2 };
    const result = await refused({ model, run }, { ms: 10_000 });
    const lines = linesOf(result);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(/^scoreline: model (?:\S*\/)?loop-without-end\.onnx: .*2 s/);
  });

  test('divides-by-zero: where it can score some rows, the others are set aside; where none, it is refused', async () => {
    const job = makeCase({
      model: { path: modelPath('broken/divides-by-zero') },
      features: { k: 'k' },
    });
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT i - 1 AS k FROM range(4) t(i)');
    const { exit, report } = await job.run();
    expect([exit, report.ledger]).toEqual([0, { rows: 4, scored: 3, quarantined: 1, filtered: 0 }]);
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 0::BIGINT AS k FROM range(40)');
    const none = await job.run();
    expect(none.exit).toBe(5);
    expect(none.stderr).toMatch(
      /^scoreline: model divides-by-zero\.onnx: .*Div.*division by zero$/m,
    );
  });

  test('every file of the folder is one of these', () => {
    const others = ['loop-without-end', 'divides-by-zero'];
    const names = [...Object.keys(BROKEN), ...others].map((name) => `${name}.onnx`);
    const data = 'external-data-too-short.onnx.data';
    expect(readdirSync(folder).sort()).toEqual([...names, data].sort());
  });

  test('a file that is not there, and a folder', async () => {
    for (const path of ['gone.onnx', 'in']) {
      const lines = linesOf(await refused({ model: { path } }));
      expect(lines).toHaveLength(1);
      expect(lines[0]).toContain(path);
    }
  });
});

describe('a model that does not give one row for each', () => {
  test.each([
    ['drops-rows', /output "y" has shape \[1, 1\] for 2 rows/],
    ['doubles-rows', /output "y" has shape \[4, 1\] for 2 rows/],
    ['collapses', /output "y" has shape \[1, 1\] for 2 rows/],
  ])('%s', async (name, words) => {
    const result = await refused({ model: { path: modelPath(`small/${name}`) }, features: ['x'] });
    expect(linesOf(result)).toEqual([expect.stringMatching(words)]);
    expect(result.stderr).toContain(`model ${name}.onnx: `);
  });

  test('no-batch: it takes three values, not rows', async () => {
    const model = { path: modelPath('small/no-batch') };
    const result = await refused({ model, features: ['a', 'b', 'x'] });
    expect(linesOf(result)).toEqual([
      'scoreline: model no-batch.onnx: input "x" has shape [3]: no batch dimension, it takes one row only',
    ]);
  });
});

describe('a model whose signature does not fit the job', () => {
  test('another number of features', async () => {
    expect(linesOf(await refused({ features: ['a', 'b', 'x'] }))).toEqual([
      'scoreline: model linear.onnx: input "x" has shape [N, 2], but features lists 3 columns',
    ]);
  });

  test('unknown inputs and outputs, all named at once, with the nearest names', async () => {
    const result = await refused({
      model: { path: modelPath('small/multi') },
      features: ['a', 'b', 'x'],
      output: { path: 'out', columns: { one: 'labl', two: 'p[3]', three: 'p[x]', four: 'label' } },
    });
    expect(linesOf(result)).toEqual([
      'scoreline: model multi.onnx: output.columns: the model has no output "labl" (did you mean "label"?); it has "p", "label"',
      'scoreline: model multi.onnx: output "p" has elements 0 to 2 a row, not "3"',
      'scoreline: model multi.onnx: output "p" has elements 0 to 2 a row, not "x"',
    ]);
    const named = await refused({
      model: { path: modelPath('small/named') },
      features: { aa: 'a', b: 'b' },
    });
    expect(linesOf(named)).toEqual([
      'scoreline: model named.onnx: features: the model has no input "aa" (did you mean "a"?)',
    ]);
  });

  test('a list of features for a model with two inputs', async () => {
    const result = await refused({ model: { path: modelPath('small/named') } });
    expect(linesOf(result)).toEqual([
      'scoreline: model named.onnx: features is a list, but the model has 2 inputs ("a", "b"); give a map of input -> column',
    ]);
  });
});

describe('a model that is not the one meant', () => {
  test('its SHA-256 is not the pinned one', async () => {
    const pin = 'a'.repeat(64);
    const [line, ...more] = linesOf(await refused({ model: { ...GOOD.model, sha256: pin } }));
    expect(more).toEqual([]);
    expect(line).toMatch(
      new RegExp(
        `^scoreline: model linear\\.onnx: its sha256 is [0-9a-f]{64}, but .* pins ${pin}$`,
      ),
    );
  });

  test('a model rewritten in place is another model, and refused when it is broken', async () => {
    const path = join(job.folder, 'model.onnx');
    copyFileSync(modelPath('small/linear'), path);
    job.change({ ...GOOD, model: { path }, output: { path: 'out' } });
    expect((await job.run()).report).toMatchObject({ outcome: 'unchanged' });
    writeFileSync(path, readFileSync(path).subarray(0, 100));
    expect(linesOf(await refused({ model: { path } }))).toHaveLength(1);
  });
});

describe('a device that is absent', () => {
  test.each(['cuda', 'tensorrt', 'coreml', 'frob'])('%s', async (device) => {
    const [line, ...more] = linesOf(await refused({}, { args: ['--device', device] }));
    expect(more).toEqual([]);
    expect(line).toMatch(new RegExp(`^scoreline: device ${device}: `));
  });
});
