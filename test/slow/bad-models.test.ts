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
    'SELECT i::FLOAT AS a, (i + 1)::FLOAT AS b, i::FLOAT AS x, [1, 2] AS l, i::VARCHAR AS t FROM range(5) t(i)',
  );
  expect((await job.run()).exit).toBe(0);
  before = published();
});

/** Runs the job with other sections; whatever comes of it, the user hears of it in a decent way. */
async function refused(sections: Sections, ...args: string[]): Promise<RunResult> {
  job.change({ ...GOOD, output: { path: 'out' }, ...sections });
  const result = await job.run(...args);
  expect(result.exit).toBe(5);
  expect(result.ms).toBeLessThan(allowedMs(5000));
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
  const WORDS: Record<string, RegExp> = {
    'custom-op': /Frobnicate|com\.acme/,
    empty: /empty|0 bytes|no graph|protobuf|not an ONNX/i,
    'escaping-external-data': /external|outside/i,
    'invalid-graph': /nowhere/,
    'missing-external-data': /missing-external-data\.onnx\.data/,
    'not-onnx': /not an ONNX|protobuf|damaged/i,
    truncated: /truncated|cut|ends|protobuf|not an ONNX/i,
    'unknown-opset': /999|opset/,
    'wrong-shape': /MatMul|dimension/i,
  };
  const names = readdirSync(join(FIXTURES, 'models', 'broken')).map((file) =>
    file.replace('.onnx', ''),
  );

  test.each(names)('%s', async (name) => {
    const result = await refused({ model: { path: modelPath(`broken/${name}`) } });
    const lines = linesOf(result);
    expect(lines).toHaveLength(1);
    expect(lines[0]).toMatch(new RegExp(`^scoreline: model (?:\\S*/)?${name}\\.onnx: `));
    expect(lines[0]).toMatch(WORDS[name]!);
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
    const [line, ...more] = linesOf(await refused({}, '--device', device));
    expect(more).toEqual([]);
    expect(line).toMatch(new RegExp(`^scoreline: device ${device}: `));
  });
});
