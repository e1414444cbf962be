/** Models that draw random numbers are known by their operators, and by what they say a second time. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { Arena, recordBatchOf } from '../../src/base/columns.js';
import { Session } from '../../src/base/onnx.js';
import { readOnnxFile } from '../../src/base/onnx-file.js';
import { differsAgain, inferBatch } from '../../src/worker/infer.js';
import { makeCase } from '../job-case.js';
import { ELEMENT, int, node, part, tensor, writeModel } from '../onnx.js';
import { columns, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

const IN = [tensor('x', 'float', ['N', 1])];
const OUT = [tensor('y', 'float', ['N', 1])];

/** A truth value, raw or as numbers. */
const truth = (name: string, value: boolean, raw = true): Buffer =>
  Buffer.concat([
    int(2, ELEMENT.bool),
    ...(raw ? [] : [part(5, Buffer.from([Number(value)]))]),
    part(8, name),
    ...(raw ? [part(9, Buffer.from([Number(value)]))] : []),
  ]);
const ratio = Buffer.concat([
  int(2, ELEMENT.float),
  part(8, 'r'),
  part(9, Buffer.from([0, 0, 0, 63])),
]);
const seed = part(5, part(1, 'seed'), Buffer.from([0x15, 0, 0, 0x80, 0x3f]), int(20, 1));

/** A model of some nodes, in its graph or below. */
const random = async (
  nodes: readonly Buffer[],
  constants: readonly Buffer[] = [],
  after: readonly Buffer[] = [],
): Promise<readonly string[]> =>
  (await readOnnxFile(writeModel({ inputs: IN, outputs: OUT, nodes, constants, after }))).random;

const dropout = node('Dropout', ['x', 'r', 't'], ['y']);

test.each([
  ['raw', truth('t', true), ['Dropout in training mode']],
  ['as a number', truth('t', true, false), ['Dropout in training mode']],
  ['false, raw', truth('t', false), []],
  ['false, as a number', truth('t', false, false), []],
] as const)('Dropout draws in training mode alone: %s', async (_, mode, found) => {
  expect(await random([dropout], [ratio, mode])).toEqual(found);
});

test('the training mode may be a Constant; one that nobody knows counts', async () => {
  const value = part(5, part(1, 'value'), part(5, truth('', false)), int(20, 4));
  expect(await random([node('Constant', [], ['t'], value), dropout], [ratio])).toEqual([]);
  expect(await random([dropout], [ratio])).toEqual(['Dropout in training mode']);
  expect(await random([node('Dropout', ['x', 'r'], ['y'], seed)], [ratio])).toEqual([]);
});

test('operators in branches and functions count, and any with a seed', async () => {
  const like = node('RandomNormalLike', ['x'], ['z']);
  const branch = part(5, part(1, 'then_branch'), part(6, part(1, like)), int(20, 5));
  expect(await random([node('If', ['x'], ['y'], branch)])).toEqual(['RandomNormalLike']);
  const body = part(25, part(1, 'Noise'), part(7, like), part(10, 'own'));
  expect(await random([node('own.Noise', ['x'], ['y'])], [], [body])).toEqual(['RandomNormalLike']);
  expect(await random([node('vendor.Jitter', ['x'], ['y'], seed)])).toEqual(['vendor.Jitter']);
});

/** x and some noise. */
const noisy = (): string =>
  writeModel({
    inputs: IN,
    outputs: OUT,
    nodes: [node('RandomNormalLike', ['x'], ['z']), node('Add', ['x', 'z'], ['y'])],
  });

test('a batch that scores otherwise a second time is seen', async () => {
  const same = writeModel({ inputs: IN, outputs: OUT, nodes: [node('Identity', ['x'], ['y'])] });
  for (const [path, differs] of [
    [noisy(), true],
    [same, false],
  ] as const) {
    const session = await Session.open(path, 'm', 'cpu');
    const binding = {
      column: 'y',
      output: 'y',
      element: 'float32',
      width: 1,
      index: undefined,
    } as const;
    const options = {
      session,
      shownAs: 'm',
      inputs: [{ name: 'x', element: 'float32', rank: 2, columns: ['a'] }] as const,
      outputs: [binding],
      fixedBatch: undefined,
      nonFinite: 'quarantine',
      arena: new Arena(),
      onAlive: () => undefined,
    } as const;
    const values = Float32Array.of(1, Number.NaN, 3);
    const batch = recordBatchOf(['a'], [{ element: 'float32', values, validity: undefined }], 3);
    const features = { batch, bad: [] };
    const place = (row: number): string => String(row);
    const scored = await inferBatch(options, features, 3, { allowed: 3, anyScored: false, place });
    expect(await differsAgain(options, features, 3, scored)).toBe(differs);
    await session.close();
  }
});

test('a run refuses such a model unless the job allows it, and rescoring says why it cannot', async () => {
  const job = makeCase({ model: { path: noisy() }, features: ['a'] });
  await writeParquet(join(job.input, 'x.parquet'), 'SELECT range::FLOAT AS a FROM range(50)');
  expect(await job.run()).toMatchObject({
    exit: 5,
    stderr: expect.stringMatching(
      /^scoreline: model model\.onnx: draws random numbers \(RandomNormalLike\).*model\.allow_random: true\n$/,
    ),
  });
  expect(await job.run('--set', 'model.allow_random=true')).toMatchObject({ exit: 0 });
  const before = await columns(`FROM read_parquet(${job.published()})`);
  expect(await job.run('--set', 'model.allow_random=true')).toMatchObject({
    exit: 0,
    report: { outcome: 'unchanged' },
  });
  expect(await columns(`FROM read_parquet(${job.published()})`)).toEqual(before);
  expect(await scoreline(['verify', job.output, '--rescore', '100%'])).toMatchObject({
    exit: 4,
    stdout: expect.stringContaining('cannot be made again'),
  });
});
