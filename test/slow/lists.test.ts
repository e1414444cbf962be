/** Tensors from columns of lists. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase, type RunResult, type Sections } from '../job-case.js';
import { attribute, type ELEMENT, node, tensor, writeModel } from '../onnx.js';
import { columns, query, writeParquet } from '../parquet.js';

type Shape = readonly (number | string)[];

/** A model that gives back what it takes, of any shape. */
function echo(element: keyof typeof ELEMENT, shape: Shape): string {
  return writeModel({
    inputs: [tensor('x', element, shape)],
    outputs: [tensor('y', element, shape)],
    nodes: [node('Identity', ['x'], ['y'])],
  });
}

interface Scored {
  readonly result: RunResult;
  readonly rows: Record<string, unknown[]>;
  /** Place, reason and column of each row set aside. */
  readonly bad: unknown[][];
}

/** Scores the column x of a query with a model; the rows are numbered by `id`. */
async function score(model: string, sql: string, sections: Sections = {}): Promise<Scored> {
  const job = makeCase({
    model: { path: model },
    features: ['x'],
    output: { path: 'out', keep: ['id'] },
    quarantine: { max: 1_000_000, non_finite: 'keep' },
    ...sections,
  });
  await writeParquet(
    join(job.input, 'x.parquet'),
    `SELECT (row_number() OVER () - 1)::INTEGER AS id, * FROM (${sql})`,
  );
  const result = await job.run();
  const rows = result.exit === 0 ? await columns(`FROM read_parquet(${job.published()})`) : {};
  const bad =
    job.files('quarantine').length === 0
      ? []
      : await query(
          `SELECT scoreline_row, scoreline_reason, scoreline_column FROM read_parquet(${job.published('quarantine')})`,
        );
  return { result, rows, bad: bad.map((row) => Object.values(row)) };
}

test('an embedding is a row, in place of as many columns; a list of another length is set aside', async () => {
  const { result, rows, bad } = await score(
    echo('float', ['N', 3]),
    'SELECT unnest([[1, 2, 3], [4, 5], NULL, [7, NULL, 9], [], [1, 2, 3, 4], [0.5, 6, 7]])::FLOAT[] AS x',
  );
  expect(result).toMatchObject({ exit: 0, report: { ledger: { scored: 3, quarantined: 4 } } });
  expect(rows).toEqual({
    id: [0, 3, 6],
    y: [
      [1, 2, 3],
      [7, Number.NaN, 9],
      [0.5, 6, 7],
    ],
  });
  expect(bad).toEqual([
    ['1', 'wrong_length', 'x'],
    ['2', 'null_value', 'x'],
    ['4', 'wrong_length', 'x'],
    ['5', 'wrong_length', 'x'],
  ]);
});

test('many rows of many lengths stay in their places, read at once or in a stream', async () => {
  // A length that goes up and down, so that lists never lie where equal ones would.
  const source =
    'SELECT CASE WHEN i % 7 = 3 THEN range(i % 5) WHEN i % 11 = 5 THEN NULL ELSE [i, i + 1, i * 2] END::DOUBLE[] AS x FROM range(9000) t(i)';
  const texts = `SELECT x, 'é' || id AS t FROM (SELECT x, row_number() OVER () AS id FROM (${source}))`;
  const good = Array.from({ length: 9_000 }, (_, i) => i).filter((i) => {
    if (i % 7 === 3) return i % 5 === 3;
    return i % 11 !== 5;
  });
  const expected = good.map((i) => (i % 7 === 3 ? [0, 1, 2] : [i, i + 1, i * 2]));
  const whole = await score(echo('double', ['N', 3]), source);
  expect(whole.rows).toEqual({ id: good, y: expected });
  const both = writeModel({
    inputs: [tensor('x', 'double', ['N', 3]), tensor('t', 'string', ['N'])],
    outputs: [tensor('y', 'double', ['N', 3]), tensor('u', 'string', ['N'])],
    nodes: [node('Identity', ['x'], ['y']), node('Identity', ['t'], ['u'])],
  });
  // Texts are never read at once.
  const streamed = await score(both, texts, { features: undefined });
  expect(streamed.rows).toEqual({ id: good, y: expected, u: good.map((i) => `é${i + 1}`) });
});

test('many nested lists, of doubles for floats, stay in their places in a stream', async () => {
  const model = writeModel({
    inputs: [tensor('x', 'float', ['N', 2, 2]), tensor('t', 'string', ['N'])],
    outputs: [tensor('y', 'float', ['N', 2, 2]), tensor('u', 'string', ['N'])],
    nodes: [node('Identity', ['x'], ['y']), node('Identity', ['t'], ['u'])],
  });
  const { rows } = await score(
    model,
    'SELECT CASE WHEN i % 5 = 2 THEN [[i], [i, i, i]] WHEN i % 7 = 1 THEN NULL ELSE [[i, NULL], [-i, 0.5]] END::DOUBLE[][] AS x, ' +
      "'t' || i AS t FROM range(9000) t(i)",
    { features: undefined },
  );
  const good = Array.from({ length: 9_000 }, (_, i) => i).filter((i) => i % 5 !== 2 && i % 7 !== 1);
  expect(rows).toEqual({
    id: good,
    y: good.map((i) => [i, Number.NaN, 0 - i, 0.5]),
    u: good.map((i) => `t${i}`),
  });
});

test('nested lists are held to their size at every level', async () => {
  const { result, rows, bad } = await score(
    echo('float', ['N', 2, 2]),
    `SELECT unnest([
      [[1, 2], [3, 4]], [[1, 2], [3]], [[1], [2, 3]], [[1, 2, 3], [4]], [[1, 2, 3, 4]], [[1, 2], NULL], NULL,
      [[5, 6], [7, NULL]], [[1, 2], [3, 4], []]
    ])::FLOAT[][] AS x`,
  );
  expect(result.exit).toBe(0);
  expect(rows).toEqual({
    id: [0, 7],
    y: [
      [1, 2, 3, 4],
      [5, 6, 7, Number.NaN],
    ],
  });
  expect(bad.map(([row, reason]) => `${row} ${reason}`)).toEqual([
    '1 wrong_length',
    '2 wrong_length',
    '3 wrong_length',
    '4 wrong_length',
    '5 wrong_length',
    '6 null_value',
    '8 wrong_length',
  ]);
});

test('an image is a flat list of bytes, or a list as deep as its shape', async () => {
  const model = echo('uint8', ['N', 2, 2, 3]);
  const flat = await score(model, 'SELECT list_transform(range(12), lambda e: e * 20) AS x');
  expect(flat.rows.y).toEqual([[0, 20, 40, 60, 80, 100, 120, 140, 160, 180, 200, 220]]);
  const deep = await score(
    model,
    'SELECT [[[1, 2, 3], [4, 5, 6]], [[7, 8, 9], [10, 11, 12]]]::UTINYINT[][][] AS x',
  );
  expect(deep.rows.y).toEqual([[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]]);
  const { rows, bad } = await score(
    echo('uint8', ['N', 2]),
    'SELECT unnest([[0, 255], [256, 1], [1, NULL], [-1, 0]])::INTEGER[] AS x',
  );
  expect(rows.y).toEqual([[0, 255]]);
  expect(bad.map(([row, reason]) => `${row} ${reason}`)).toEqual([
    '1 cast_failed',
    '2 null_value',
    '3 cast_failed',
  ]);
});

test.each<[keyof typeof ELEMENT, string, unknown[], number]>([
  ['float', '[0.1, 2]::DOUBLE[]', [Math.fround(0.1), 2], 1],
  ['float', '[16777217, 3]::BIGINT[]', [16777216, 3], 1],
  ['float', '[0.1, 0.5]::DECIMAL(9,3)[]', [Math.fround(0.1), 0.5], 0],
  ['float', '[true, false]', [1, 0], 0],
  ['float16', '[0.1, 2049]::FLOAT[]', [0.0999755859375, 2048], 2],
  ['float16', '[7, 2051]::INTEGER[]', [7, 2052], 1],
  ['int64', '[3, 4]::DOUBLE[]', [3n, 4n], 0],
  ['bool', '[true, false]', [true, false], 0],
  ['string', "['a', 'ü']", ['a', 'ü'], 0],
])('elements become %s as columns do: %s', async (element, list, expected, lost) => {
  const { result, rows } = await score(echo(element, ['N', 2]), `SELECT ${list} AS x`);
  expect(result.stderr).toBe('');
  expect(rows.y).toEqual([expected]);
  expect(result.report.lossyCasts).toEqual(lost === 0 ? [] : [{ column: 'x', values: lost }]);
});

test('texts in lists are set aside like numbers', async () => {
  const { rows, bad } = await score(
    echo('string', ['N', 2]),
    "SELECT unnest([['a', 'b'], ['c', NULL], NULL, ['d'], ['', 'e']]) AS x",
  );
  expect(rows).toEqual({
    id: [0, 4],
    y: [
      ['a', 'b'],
      ['', 'e'],
    ],
  });
  expect(bad.map(([row, reason]) => `${row} ${reason}`)).toEqual([
    '1 null_value',
    '2 null_value',
    '3 wrong_length',
  ]);
});

test('a fixed batch is filled up with lists too', async () => {
  const { rows } = await score(
    echo('float', [4, 2]),
    'SELECT [i, -i]::FLOAT[] AS x FROM range(6) t(i)',
  );
  expect(rows.y).toEqual([0, 1, 2, 3, 4, 5].map((i) => [i, 0 - i]));
});

test('a length that the model leaves open is that of the first list', async () => {
  const model = writeModel({
    inputs: [tensor('x', 'float', ['N', 'F'])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [node('ReduceMax', ['x'], ['y'], attribute('axes', [1]))],
  });
  const { rows, bad } = await score(
    model,
    'SELECT unnest([NULL, [9, 9, 9], [1, 5, 2], [4, 7], [8, 1, 1]])::FLOAT[] AS x',
    { input: { path: 'in', where: 'id <> 1 OR id IS NULL' } },
  );
  expect(rows).toEqual({ id: [2, 4], y: [5, 8] });
  expect(bad.map(([row, reason]) => `${row} ${reason}`)).toEqual([
    '0 null_value',
    '3 wrong_length',
  ]);
});

test.each<[string, Sections]>([
  ['in a list of columns', {}],
  ['by its name', { features: undefined }],
  ['with an element picked', { output: { path: 'out', columns: { second: 'y[1]' } } }],
])(
  'an output as wide as lists of an open length is refused with the reason: %s',
  async (_how, sections) => {
    const { result } = await score(
      echo('float', ['N', 'F']),
      'SELECT [1, 2, 3]::FLOAT[] AS x',
      sections,
    );
    expect(result.exit).toBe(5);
    expect(result.stderr.trimEnd()).toBe(
      'scoreline: model model.onnx: output "y" does not declare how many elements a row has, and input "x" has shape [N, F], ' +
        'of which a list settles the length only when it is read: export the model with fixed sizes',
    );
  },
);

test.each<[Shape, string, string]>([
  [['N', 3], '1', 'input "x" has shape [N, 3], but features lists 1 columns'],
  [['N', 3], "['a']", 'column "x" is VARCHAR[], model input "x" expects a list of 3 float32'],
  [
    ['N', 3],
    '[[1, 2, 3]]',
    'column "x" is INTEGER[][], model input "x" expects a list of 3 float32',
  ],
  [
    ['N', 2, 3],
    '1',
    'input "x" has shape [N, 2, 3]: give it one column of lists under features, which "x" is not',
  ],
  [
    ['N', 2, 3],
    '[[[1]]]',
    'column "x" is INTEGER[][][], model input "x" expects a list of 6 float32, or lists of lists of 2 by 3',
  ],
  [
    ['N', 'T', 3],
    '[[1]]',
    'input "x" has shape [N, T, 3]: of the dimensions of a row none may be open; export the model with fixed sizes',
  ],
])('an input %j is not fed from %s, which is said', async (shape, value, message) => {
  const { result } = await score(echo('float', shape), `SELECT ${value} AS x`);
  expect([4, 5]).toContain(result.exit);
  const [first] = result.stderr.split('\n');
  expect(first).toMatch(/^scoreline: (?:model model\.onnx|x\.parquet): /);
  expect(first?.endsWith(`: ${message}`)).toBe(true);
});
