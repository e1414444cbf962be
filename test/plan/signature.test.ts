import { describe, expect, test } from 'vitest';
import type { TensorElement, TensorSpec } from '../../src/base/onnx.js';
import type { JobColumn, JobFeatures } from '../../src/plan/job.js';
import type { OutputFacts } from '../../src/plan/predictions.js';
import {
  type Binding,
  bindModel,
  listTypeOf,
  type ModelFacts,
  shapeText,
} from '../../src/plan/signature.js';
import { failure } from '../failure.js';

function input(
  name: string,
  shape: TensorSpec['shape'],
  element?: TensorElement | 'none',
): TensorSpec {
  return { name, element: element === 'none' ? undefined : (element ?? 'float32'), shape };
}

function output(
  name: string,
  width: number | undefined,
  other: Partial<OutputFacts> = {},
): OutputFacts {
  return { name, element: 'float32', width, problem: undefined, ...other };
}

const SCORE = [output('score', 1)];

function bind(
  inputs: readonly TensorSpec[],
  features: JobFeatures,
  outputs: readonly OutputFacts[] = SCORE,
  columns: readonly JobColumn[] = [],
  listColumns: ReadonlySet<string> = new Set(),
): Binding {
  const model: ModelFacts = {
    sha256: [],
    files: [],
    bytes: 0,
    device: 'cpu',
    deviceNote: undefined,
    inputs,
    outputs,
    random: [],
    rowwise: true,
    trees: { why: 'none' },
  };
  return bindModel(model, {
    features,
    columns,
    shownAs: 'm.onnx',
    allowRandom: false,
    listColumns,
  });
}

/** The problems of a binding, without the model's name. */
async function problems(...args: Parameters<typeof bind>): Promise<string[]> {
  const error = await failure(() => bind(...args));
  expect(error.code).toBe('model');
  return error.message.split('\n').map((line) => {
    expect(line.startsWith('model m.onnx: ')).toBe(true);
    return line.slice('model m.onnx: '.length);
  });
}

const byName: JobFeatures = { by: 'name' };
const list = (...columns: string[]): JobFeatures => ({ by: 'list', columns });
const map = (inputs: Record<string, string>): JobFeatures => ({
  by: 'map',
  inputs: Object.entries(inputs).map(([name, column]) => ({ input: name, column })),
});

describe('features', () => {
  test('as a list fill the one matrix input, in their order', () => {
    const { inputs, fixedBatch } = bind([input('x', ['N', 3])], list('c', 'a', 'b'));
    expect(inputs).toEqual([{ name: 'x', element: 'float32', rank: 2, columns: ['c', 'a', 'b'] }]);
    expect(fixedBatch).toBeUndefined();
  });

  test('as a list fill an input that leaves its width open', () => {
    for (const width of ['', 'features']) {
      expect(bind([input('x', ['', width])], list('a', 'b')).inputs[0]!.columns).toEqual([
        'a',
        'b',
      ]);
    }
  });

  test('as a list of one fill an input of one value a row, [N] or [N, 1]', () => {
    expect(bind([input('x', ['N'])], list('a')).inputs).toMatchObject([
      { rank: 1, columns: ['a'] },
    ]);
    expect(bind([input('x', ['N', 1])], list('a')).inputs).toMatchObject([
      { rank: 2, columns: ['a'] },
    ]);
  });

  test('may name a column twice', () => {
    expect(bind([input('x', ['N', 2])], list('a', 'a')).inputs[0]!.columns).toEqual(['a', 'a']);
  });

  test('that are not given go by the names of the inputs', () => {
    const inputs = [input('b', ['N', 1], 'utf8'), input('a', [''], 'int64')];
    expect(bind(inputs, byName).inputs).toEqual([
      { name: 'b', element: 'utf8', rank: 2, columns: ['b'] },
      { name: 'a', element: 'int64', rank: 1, columns: ['a'] },
    ]);
  });

  test('as a map rename some inputs, and the others go by their name', () => {
    const inputs = [input('a', ['N']), input('b', ['N'])];
    expect(bind(inputs, map({ b: 'other' })).inputs.map(({ columns }) => columns)).toEqual([
      ['a'],
      ['other'],
    ]);
  });

  test('may have the names that every object has', () => {
    const inputs = [input('constructor', ['N']), input('toString', ['N'])];
    expect(bind(inputs, map({ toString: 'valueOf' })).inputs.map(({ columns }) => columns)).toEqual(
      [['constructor'], ['valueOf']],
    );
  });

  test('of one column of lists are its rows, of any shape', () => {
    const bound = (shape: TensorSpec['shape'], features: JobFeatures) =>
      bind([input('x', shape)], features, SCORE, [], new Set(['l', 'x'])).inputs[0];
    expect(bound(['N', 384], list('l'))).toEqual({
      name: 'x',
      element: 'float32',
      rank: 2,
      columns: ['l'],
      list: [384],
    });
    expect(bound(['N', 2, 3], byName)).toMatchObject({ rank: 3, columns: ['x'], list: [2, 3] });
    expect(bound(['N', ''], map({ x: 'l' }))).toMatchObject({ rank: 2, list: [null] });
    expect(bound(['N', 1], list('l'))).toMatchObject({ list: [1] });
    expect(bound(['N', 1], list('a'))).not.toHaveProperty('list');
    expect(bound(['N'], list('l'))).not.toHaveProperty('list');
    expect(bound(['N', 2], list('l', 'x'))).not.toHaveProperty('list');
  });

  test('carry the batch size that the model insists on', () => {
    expect(bind([input('x', [8, 2])], list('a', 'b')).fixedBatch).toBe(8);
    expect(bind([input('a', [8, 1]), input('b', ['N'])], byName).fixedBatch).toBe(8);
    expect(bind([input('x', [1, 2])], list('a', 'b')).fixedBatch).toBe(1);
  });

  test.each<[string, TensorSpec[], JobFeatures, string]>([
    [
      'a list for two inputs',
      [input('x', ['N']), input('y', ['N'])],
      list('a'),
      'features is a list, but the model has 2 inputs ("x", "y"); give a map of input -> column',
    ],
    [
      'a list of the wrong length',
      [input('x', ['N', 12])],
      list('a', 'b'),
      'input "x" has shape [N, 12], but features lists 2 columns',
    ],
    [
      'a list for one value a row',
      [input('x', [''])],
      list('a', 'b'),
      'input "x" has shape [N], but features lists 2 columns',
    ],
    [
      'a model without batch dimension',
      [input('x', [2])],
      list('a', 'b'),
      'input "x" has shape [2]: no batch dimension, it takes one row only',
    ],
    [
      'a matrix that is bound by name',
      [input('x', ['N', 12])],
      byName,
      'input "x" has shape [N, 12]: list its 12 columns under features, in order',
    ],
    [
      'a matrix of open width that is bound by name',
      [input('x', ['N', 'F'])],
      byName,
      'input "x" has shape [N, F]: list its columns under features, in order',
    ],
    [
      'a map of an input that is not there, with a near name',
      [input('amount', ['N'])],
      map({ ammount: 'a' }),
      'features: the model has no input "ammount" (did you mean "amount"?)',
    ],
    [
      'a scalar input',
      [input('x', [])],
      byName,
      'input "x" has no batch dimension (shape []); a model must take rows',
    ],
    [
      'a cube',
      [input('x', ['', 2, 3])],
      list('a'),
      'input "x" has shape [N, 2, 3]: give it one column of lists under features, which "a" is not',
    ],
    ['what is no tensor', [input('x', [], 'none')], byName, 'input "x" is not a tensor'],
    [
      'batch sizes that disagree',
      [input('x', [2]), input('y', [3])],
      byName,
      'its inputs have different fixed batch sizes: 2, 3',
    ],
    ['an empty batch', [input('x', [0])], byName, 'its batch dimension is 0'],
  ])('are refused: %s', async (_name, inputs, features, message) => {
    expect(await problems(inputs, features)).toEqual([message]);
  });

  test('are refused with all problems at once, those of outputs too', async () => {
    const inputs = [input('a', []), input('b', ['N', 2]), input('c', ['N'], 'none')];
    const columns = [{ name: 'p', output: 'sscore', element: undefined }];
    expect(await problems(inputs, map({ d: 'x' }), SCORE, columns)).toEqual([
      'features: the model has no input "d" (did you mean "a", "b", "c"?)',
      'input "a" has no batch dimension (shape []); a model must take rows',
      'input "b" has shape [N, 2]: list its 2 columns under features, in order',
      'input "c" is not a tensor',
      'output.columns: the model has no output "sscore" (did you mean "score"?); it has "score"',
    ]);
  });

  test('have names that are only ever names where they are told', async () => {
    const [line] = await problems([input('\x1b[2Jx"\n', ['N', 'F\x07'])], byName);
    expect(line).toBe(
      'input "\\u{1b}[2Jx"\\u{a}" has shape [N, F\\u{7}]: list its columns under features, in order',
    );
  });
});

describe('predictions', () => {
  const X = [input('x', ['N'])];
  const column = (name: string, from: string, element?: string): JobColumn => ({
    name,
    output: from,
    element,
  });

  test('are by default every tensor, under its own name', () => {
    const outputs = [
      output('label', 1, { element: 'int64' }),
      output('probabilities', 3),
      output('zipmap', undefined, { element: undefined }),
    ];
    expect(bind(X, byName, outputs).outputs).toEqual([
      { column: 'label', output: 'label', element: 'int64', width: 1, index: undefined },
      {
        column: 'probabilities',
        output: 'probabilities',
        element: 'float32',
        width: 3,
        index: undefined,
      },
    ]);
  });

  test('are else those that are picked: an output, one element of it, or both', () => {
    const columns = [column('p', 'probs', '2'), column('all', 'probs'), column('q', 'probs', '0')];
    const outputs = [output('label', 1), output('probs', 3)];
    expect(bind(X, byName, outputs, columns).outputs).toEqual([
      { column: 'p', output: 'probs', element: 'float32', width: 3, index: 2 },
      { column: 'all', output: 'probs', element: 'float32', width: 3, index: undefined },
      { column: 'q', output: 'probs', element: 'float32', width: 3, index: 0 },
    ]);
  });

  test('may pick the only element of a row', () => {
    expect(bind(X, byName, SCORE, [column('p', 'score', '0')]).outputs).toMatchObject([
      { index: 0 },
    ]);
  });

  test.each(['3', '-1', '1.5', 'yes', '1e9', 'NaN', '0x1', '1e0', ' 1', '01'])(
    'cannot pick element %j of three',
    async (wanted) => {
      expect(
        await problems(X, byName, [output('probs', 3)], [column('p', 'probs', wanted)]),
      ).toEqual([`output "probs" has elements 0 to 2 a row, not "${wanted}"`]);
    },
  );

  test.each<[string, OutputFacts, string]>([
    [
      'no tensor',
      output('z', undefined, { element: undefined }),
      'output "z" is a sequence or map, not a tensor',
    ],
    [
      'no shape',
      output('z', undefined),
      'output "z" does not declare how many elements a row has, and a trial run did not tell it',
    ],
    ['what a trial run found', output('z', 1, { problem: 'drops rows' }), 'output "z" drops rows'],
  ])('are refused when picked with %s', async (_name, facts, message) => {
    expect(await problems(X, byName, [facts], [column('p', 'z')])).toEqual([message]);
  });

  const labelled = (...labels: string[]): OutputFacts[] => [output('p', labels.length, { labels })];

  test('are one column for each class where the output has class labels, and one for a single class', () => {
    expect(bind(X, byName, labelled('no', 'yes')).outputs).toMatchObject([
      { column: 'p_no', output: 'p', width: 2, index: 0 },
      { column: 'p_yes', output: 'p', width: 2, index: 1 },
    ]);
    expect(bind(X, byName, labelled('only')).outputs).toMatchObject([
      { column: 'p', index: undefined },
    ]);
  });

  test.each<[string[], string, number | undefined]>([
    [['no', 'yes'], 'yes', 1],
    [['no', 'yes'], '1', 1],
    [['no', 'yes'], '2', undefined],
    [['1', '0'], '0', 1],
    [['1', '2'], '0', undefined],
    [['-1', '1'], '-1', 0],
    [['-1', '1'], '0', undefined],
    [['a', 'a'], 'a', undefined],
    [['a', 'a'], '1', 1],
    [['1', '1'], '1', 1],
    [['constructor', ''], 'toString', undefined],
  ])('of the classes %j: %j is element %j', async (labels, wanted, index) => {
    const columns = [column('c', 'p', wanted)];
    if (index === undefined) {
      const [problem] = await problems(X, byName, labelled(...labels), columns);
      expect(problem).toContain(`output "p" has no class "${wanted}"`);
    } else {
      expect(bind(X, byName, labelled(...labels), columns).outputs).toMatchObject([{ index }]);
    }
  });

  test('cannot be named after class labels that no column can have', async () => {
    for (const labels of [
      ['a', 'A'],
      ['x', 'a\0'],
    ]) {
      expect(await problems(X, byName, labelled(...labels))).toEqual([
        expect.stringContaining('name its columns under output.columns'),
      ]);
    }
  });

  test('have at least one element a row, and no more than an array can', async () => {
    for (const width of [0, 100_001]) {
      expect(await problems(X, byName, [output('p', width)])).toEqual([
        `output "p" has ${width} elements a row; 1 to 100000 can be published`,
      ]);
    }
  });

  test('are refused when no output is a tensor', async () => {
    const none = [output('z', undefined, { element: undefined })];
    expect(await problems(X, byName, none)).toEqual(['none of its outputs ("z") is a tensor']);
  });

  test('are refused when the output is not there, with near names and all there are', async () => {
    const outputs = [output('label', 1), output('probabilities', 2)];
    expect(await problems(X, byName, outputs, [column('p', 'probabilites', '1')])).toEqual([
      'output.columns: the model has no output "probabilites" (did you mean "probabilities"?); it has "label", "probabilities"',
    ]);
  });
});

test('a shape is written with N for a dimension without name', () => {
  expect(shapeText(input('x', ['', 12]))).toBe('[N, 12]');
  expect(shapeText(input('x', ['batch', '', 3]))).toBe('[batch, N, 3]');
  expect(shapeText(input('x', []))).toBe('[]');
});

test.each<[string, ReturnType<typeof listTypeOf>]>([
  ['FLOAT', undefined],
  ['FLOAT[]', { leaf: 'FLOAT', depth: 1 }],
  ['DECIMAL(9,2)[][3]', { leaf: 'DECIMAL(9,2)', depth: 2 }],
  ['STRUCT(a INTEGER[])', undefined],
  ["ENUM('[]')", undefined],
  ['STRUCT(a INTEGER[], b FLOAT)[]', { leaf: 'STRUCT(a INTEGER[], b FLOAT)', depth: 1 }],
])('the lists in the type %s', (type, expected) => {
  expect(listTypeOf(type)).toEqual(expected);
});
