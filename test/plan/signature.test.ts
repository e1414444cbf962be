import { describe, expect, test } from 'vitest';
import type { TensorElement, TensorSpec } from '../../src/base/onnx.js';
import type { JobColumn, JobFeatures } from '../../src/plan/job.js';
import {
  type Binding,
  bindModel,
  type CastKind,
  type ColumnSource,
  castFor,
  castKind,
  columnProblems,
  columnsOfFile,
  type ModelFacts,
  type OutputFacts,
  shapeText,
  unifiedType,
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
): Binding {
  const model: ModelFacts = {
    sha256: [],
    files: [],
    bytes: 0,
    device: 'cpu',
    deviceNote: undefined,
    inputs,
    outputs,
    rowwise: true,
  };
  return bindModel(model, { features, columns, shownAs: 'm.onnx' });
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
      'input "x" has shape [N, 2, 3]; only [N] and [N, F] inputs are supported yet',
    ],
    ['what is no tensor', [input('x', [], 'none')], byName, 'input "x" is not a tensor'],
    [
      'float16',
      [input('x', ['N'], 'float16')],
      byName,
      'input "x" is float16, which is not supported yet',
    ],
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
    const inputs = [input('a', []), input('b', ['N', 2]), input('c', ['N'], 'float16')];
    const columns = [{ name: 'p', output: 'sscore', element: undefined }];
    expect(await problems(inputs, map({ d: 'x' }), SCORE, columns)).toEqual([
      'features: the model has no input "d" (did you mean "a", "b", "c"?)',
      'input "a" has no batch dimension (shape []); a model must take rows',
      'input "b" has shape [N, 2]: list its 2 columns under features, in order',
      'input "c" is float16, which is not supported yet',
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
      'float16',
      output('z', 1, { element: 'float16' }),
      'output "z" is float16, which is not supported yet',
    ],
    [
      'no shape',
      output('z', undefined),
      'output "z" declares no shape of one or two dimensions, and a trial run did not tell it',
    ],
    ['what a trial run found', output('z', 1, { problem: 'drops rows' }), 'output "z" drops rows'],
  ])('are refused when picked with %s', async (_name, facts, message) => {
    expect(await problems(X, byName, [facts], [column('p', 'z')])).toEqual([message]);
  });

  test('are refused when no output is a tensor', async () => {
    const none = [output('z', undefined, { element: undefined })];
    expect(await problems(X, byName, none)).toEqual(['none of its outputs is a tensor']);
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

const INTEGERS = [
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
];
const FLOATS = ['FLOAT', 'DOUBLE'];

describe('a column feeds an input', () => {
  const NUMBERS: readonly TensorElement[] = [
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'float32',
    'float64',
  ];

  test.each(NUMBERS)('%s from any number or truth value', (element) => {
    for (const type of [...INTEGERS, ...FLOATS, 'BOOLEAN']) {
      expect([type, castKind(type, element)]).toEqual([type, 'native']);
    }
    for (const type of ['DECIMAL(18,3)', 'DECIMAL(38,0)', 'HUGEINT', 'UHUGEINT']) {
      expect([type, castKind(type, element)]).toEqual([type, 'sql']);
    }
  });

  test.each<[TensorElement, string, CastKind | undefined]>([
    ['bool', 'BOOLEAN', 'native'],
    ['bool', 'TINYINT', undefined],
    ['bool', 'DOUBLE', undefined],
    ['bool', 'DECIMAL(1,0)', undefined],
    ['bool', 'VARCHAR', undefined],
    ['utf8', 'VARCHAR', 'native'],
    ['utf8', "ENUM('a', 'b')", 'sql'],
    ['utf8', 'UUID', 'sql'],
    ['utf8', 'INTEGER', undefined],
    ['utf8', 'DATE', undefined],
    ['utf8', 'BLOB', undefined],
  ])('%s from %s: %s', (element, type, kind) => {
    expect(castKind(type, element)).toBe(kind);
  });

  test.each([
    'VARCHAR',
    'DATE',
    'TIME',
    'TIMESTAMP',
    'TIMESTAMP WITH TIME ZONE',
    'INTERVAL',
    'BLOB',
    'UUID',
    'BIT',
    'INTEGER[]',
    'DOUBLE[3]',
    'DECIMAL(18,3)[]',
    'STRUCT(a INTEGER)',
    'MAP(VARCHAR, INTEGER)',
    "ENUM('1')",
    'UNION(a INTEGER)',
    'HUGEINT[]',
    '"NULL"',
  ])('of numbers never from %s', (type) => {
    for (const element of NUMBERS) expect(castKind(type, element)).toBeUndefined();
  });

  test('from a partition by reading its text, unless the job gives it a type', () => {
    const text: ColumnSource = { name: 'm', type: 'VARCHAR', partition: true };
    for (const element of [...NUMBERS, 'bool'] as const)
      expect(castFor(text, element)).toBe('text');
    expect(castFor(text, 'utf8')).toBe('native');
    expect(castFor({ ...text, type: 'INTEGER' }, 'float32')).toBe('native');
    expect(castFor({ ...text, type: 'DATE' }, 'float32')).toBeUndefined();
    expect(castFor({ ...text, partition: false }, 'float32')).toBeUndefined();
  });
});

describe('the columns of a file', () => {
  const schema = [
    { name: 'a', type: 'DOUBLE' },
    { name: 'B', type: 'VARCHAR' },
  ];

  test('are its own, then those of its folders, as text or as the job says', () => {
    const partition = [
      { name: 'm', value: '1' },
      { name: 'n', value: null },
    ];
    expect(columnsOfFile('f', schema, partition, [{ column: 'n', type: 'INTEGER' }])).toEqual([
      { name: 'a', type: 'DOUBLE', partition: false },
      { name: 'B', type: 'VARCHAR', partition: false },
      { name: 'm', type: 'VARCHAR', partition: true },
      { name: 'n', type: 'INTEGER', partition: true },
    ]);
  });

  test.each(['a', 'A', 'b'])('may not be hidden by one of its folder: %s', async (name) => {
    const error = await failure(() => columnsOfFile('f\n', schema, [{ name, value: '1' }], []));
    expect(error.code).toBe('input');
    expect(error.message).toBe(
      `f\\u{a}: column "${name === 'b' ? 'B' : 'a'}" is in the file and in its folder's name; rename one of them`,
    );
  });

  test('are held against a model: every one that is missing or does not fit, once', () => {
    const binding: Binding = {
      inputs: [
        { name: 'x', element: 'float32', rank: 2, columns: ['a', 'aa', 'B'] },
        { name: 'y', element: 'utf8', rank: 1, columns: ['a'] },
        { name: 'z', element: 'float32', rank: 1, columns: ['aa'] },
      ],
      outputs: [],
      fixedBatch: undefined,
    };
    expect(columnProblems(columnsOfFile('f', schema, [], []), binding, ['B', 'b', 'far'])).toEqual([
      'has no column "aa" (did you mean "a"?)',
      'column "B" is VARCHAR, model input "x" expects float32',
      'column "a" is DOUBLE, model input "y" expects text',
      'has no column "b" (did you mean "B", "a"?)',
      'has no column "far"',
    ]);
  });

  test('raise no problem when they fit', () => {
    const binding: Binding = {
      inputs: [{ name: 'x', element: 'float32', rank: 1, columns: ['a'] }],
      outputs: [],
      fixedBatch: undefined,
    };
    expect(columnProblems(columnsOfFile('f', schema, [], []), binding, ['B'])).toEqual([]);
  });
});

describe('the one type that holds two', () => {
  const ALL = [...INTEGERS, ...FLOATS];

  /** The least and the greatest whole number of an integer type. */
  function range(type: string): [bigint, bigint] {
    const bits = BigInt(8 << (INTEGERS.indexOf(type) & 3));
    return type.startsWith('U')
      ? [0n, 2n ** bits - 1n]
      : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
  }

  test('is the type itself for twins, whatever it is', () => {
    for (const type of [...ALL, 'VARCHAR', 'DATE', 'STRUCT(a INTEGER)'])
      expect(unifiedType(type, type)).toBe(type);
  });

  test('does not depend on the order of the two', () => {
    for (const a of ALL) for (const b of ALL) expect(unifiedType(b, a)).toBe(unifiedType(a, b));
  });

  test('does not depend on the order of three, where every step has an answer', () => {
    const then = (a: string | undefined, b: string | undefined): string | undefined =>
      a === undefined || b === undefined ? undefined : unifiedType(a, b);
    for (const a of ALL) {
      for (const b of ALL) {
        for (const c of ALL) {
          const [left, right] = [then(unifiedType(a, b), c), then(a, unifiedType(b, c))];
          if (left !== undefined && right !== undefined) expect(left).toBe(right);
        }
      }
    }
  });

  test('is for integers the smallest signed or unsigned one with room for both, else none', () => {
    for (const a of INTEGERS) {
      for (const b of INTEGERS) {
        const fits = (type: string): boolean =>
          [a, b].every((one) => range(type)[0] <= range(one)[0] && range(type)[1] >= range(one)[1]);
        const smallest = INTEGERS.filter(fits).sort((x, y) =>
          Number(range(x)[1] - range(x)[0] - (range(y)[1] - range(y)[0])),
        )[0];
        expect([a, b, unifiedType(a, b)]).toEqual([a, b, smallest]);
      }
    }
  });

  test('is never narrower than a float, and DOUBLE for integers beside floats', () => {
    for (const float of FLOATS) {
      expect(unifiedType(float, 'DOUBLE')).toBe('DOUBLE');
      for (const integer of INTEGERS) expect(unifiedType(integer, float)).toBe('DOUBLE');
    }
  });

  test('is none for types that are not of a kind', () => {
    const others = [
      'VARCHAR',
      'BOOLEAN',
      'DATE',
      'TIMESTAMP',
      'DECIMAL(18,3)',
      'HUGEINT',
      'INTEGER[]',
      '',
    ];
    for (const other of others) {
      for (const type of [...ALL, ...others.filter((one) => one !== other)]) {
        expect([other, type, unifiedType(other, type)]).toEqual([other, type, undefined]);
      }
    }
  });
});
