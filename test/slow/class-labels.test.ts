/** Models whose outputs are ZipMaps: a prediction column for each class. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { parse } from 'yaml';
import { makeCase, type RunResult } from '../job-case.js';
import { attribute, constant, maps, node, sequence, tensor, writeModel } from '../onnx.js';
import { columns, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

/** Two columns a and b as the "probabilities" of two classes, beside their sum. */
function zipped(labels: string[] | number[], more: Buffer[] = []): string {
  const key = typeof labels[0] === 'string' ? 'string' : 'int64';
  const name = key === 'string' ? 'classlabels_strings' : 'classlabels_int64s';
  return writeModel({
    inputs: [tensor('x', 'float', ['N', 2])],
    outputs: [tensor('sum', 'float', ['N', 1]), maps('p', key), ...more],
    nodes: [
      node('MatMul', ['x', 'ones'], ['sum']),
      node('ai.onnx.ml.ZipMap', ['x'], ['p'], attribute(name, labels)),
      ...(more.length > 0 ? [node('SequenceConstruct', ['x'], ['all'])] : []),
    ],
    constants: [constant('ones', 'float', [2, 1], [1, 1])],
  });
}

async function score(
  model: string,
  picked?: Record<string, string>,
): Promise<{ result: RunResult; rows: Record<string, unknown[]> }> {
  const job = makeCase({
    model: { path: model },
    output: { path: 'out', ...(picked === undefined ? {} : { columns: picked }) },
  });
  await writeParquet(join(job.input, 'x.parquet'), 'FROM (VALUES (1, 2), (3, 4)) t(a, b)');
  const result = await job.run();
  const rows = result.exit === 0 ? await columns(`FROM read_parquet(${job.published()})`) : {};
  return { result, rows };
}

test('an output with class labels gives a column for each class', async () => {
  const { result, rows } = await score(zipped(['no', 'it\'s "yes"']));
  expect(result).toMatchObject({ exit: 0, stderr: '' });
  expect(rows).toEqual({ sum: [3, 7], p_no: [1, 3], 'p_it\'s "yes"': [2, 4] });
});

test('classes are picked by their label, which goes before a number', async () => {
  const byLabel = await score(zipped(['no', 'yes']), { yes: 'p[yes]', first: 'p[0]', both: 'p' });
  expect(byLabel.rows).toEqual({
    yes: [2, 4],
    first: [1, 3],
    both: [
      [1, 2],
      [3, 4],
    ],
  });
  const byNumber = await score(zipped([1, 0]), { zero: 'p[0]', one: 'p[1]' });
  expect(byNumber.rows).toEqual({ zero: [2, 4], one: [1, 3] });
});

test('inspect shows the classes, and lines that name them in a job file', async () => {
  const model = zipped(['no', 'it\'s "yes"']);
  const { exit, stdout } = await scoreline(['inspect', model]);
  expect(exit).toBe(0);
  expect(stdout).toContain('\n  p  float32, 2 a row: no, it\'s "yes"\n');
  const lines = /^job file\n(.*?)\n\n/ms.exec(stdout)?.[1] ?? '';
  const { features, output } = parse(lines);
  expect(features).toEqual(['column_1', 'column_2']);
  const { rows } = await score(model, output.columns);
  expect(rows).toEqual({ sum: [3, 7], p_no: [1, 3], 'p_it\'s "yes"': [2, 4] });
});

test('a class that is not there is refused, with the near ones', async () => {
  const { result } = await score(zipped(['no', 'yes']), { yes: 'p[yess]', other: 'p[2]' });
  expect(result.exit).toBe(5);
  expect(result.stderr).toBe(
    'scoreline: model model.onnx: output "p" has no class "yess" (did you mean "yes"?); its classes are "no", "yes"\n' +
      'scoreline: model model.onnx: output "p" has no class "2"; its classes are "no", "yes"\n',
  );
});

test('class labels that make one name of two are refused, and can be named', async () => {
  const model = zipped(['Yes', 'yes']);
  const { result } = await score(model);
  expect(result.exit).toBe(5);
  expect(result.stderr).toBe(
    'scoreline: model model.onnx: output "p": its class label "yes" is there twice; name its columns under output.columns\n',
  );
  const named = await score(model, { upper: 'p[Yes]', lower: 'p[yes]' });
  expect(named.rows).toEqual({ upper: [1, 3], lower: [2, 4] });
});

test('an output that is no tensor is only in the way when it is asked for', async () => {
  const model = zipped(['no', 'yes'], [sequence('all')]);
  expect((await score(model)).rows).toEqual({ sum: [3, 7], p_no: [1, 3], p_yes: [2, 4] });
  const { result } = await score(model, { all: 'all' });
  expect(result).toMatchObject({
    exit: 5,
    stderr: 'scoreline: model model.onnx: output "all" is a sequence or map, not a tensor\n',
  });
});
