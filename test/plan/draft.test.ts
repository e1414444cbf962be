/** Drafted jobs: what is settled, what is left open, and that the text is a job file whatever the names. */
import { describe, expect, test } from 'vitest';
import type { TensorElement, TensorSpec } from '../../src/base/onnx.js';
import { RFC_4180 } from '../../src/plan/csv.js';
import { dateTemplate } from '../../src/plan/date-template.js';
import { type Draft, type DraftColumn, draftJob } from '../../src/plan/draft.js';
import { type JobText, jobNameOf, jobText } from '../../src/plan/draft-text.js';
import { type Job, parseJob } from '../../src/plan/job.js';
import { dateOfUnit } from '../../src/plan/selection.js';
import type { ModelFacts } from '../../src/plan/signature.js';

const input = (
  name: string,
  shape: TensorSpec['shape'],
  element: TensorElement = 'float32',
): TensorSpec => ({ name, element, shape });

function model(inputs: readonly TensorSpec[], outputs: readonly string[] = ['score']): ModelFacts {
  return {
    sha256: [],
    files: [],
    bytes: 0,
    device: 'cpu',
    deviceNote: undefined,
    inputs,
    outputs: outputs.map((name) => ({ name, element: 'float32', width: 1, problem: undefined })),
    random: [],
    rowwise: true,
    trees: { why: 'none' },
  };
}

const column = (name: string, type = 'DOUBLE'): DraftColumn => ({
  name,
  type,
  partition: false,
  written: false,
  looksLike: type,
});
const folder = (name: string, looksLike: string): DraftColumn => ({
  name,
  type: 'VARCHAR',
  partition: true,
  written: true,
  looksLike,
});

function draft(
  facts: Omit<Partial<Parameters<typeof draftJob>[0]>, 'model'> & { inputs: TensorSpec[] },
): Draft {
  const { inputs, ...rest } = facts;
  return draftJob({ model: model(inputs), metadata: {}, columns: [], unique: [], ...rest });
}

function textOf(made: Draft, changes: Partial<JobText> = {}): string {
  return jobText({
    name: 'job',
    from: 'm.onnx and data',
    schema: 'scoreline.schema.json',
    model: 'm.onnx',
    input: { path: 'data', found: '', dates: undefined, csv: undefined, types: [] },
    looked: { rows: 10, all: true },
    chosen: false,
    output: 'out',
    draft: made,
    ...changes,
  });
}

const read = (text: string): Job => parseJob(text, { file: '/jobs/job.yaml', overrides: [] });

describe('features', () => {
  test('are not written where every input has a column of its name', () => {
    const made = draft({
      inputs: [input('a', ['N', 1]), input('b', ['N', 1], 'utf8')],
      columns: [column('b', 'VARCHAR'), column('a'), column('note', 'VARCHAR')],
    });
    expect(made).toMatchObject({ features: { by: 'name' }, keep: ['note'] });
    expect(read(textOf(made)).features).toEqual({ by: 'name' });
  });

  test('are left open where there are just as many columns of numbers: their order is a guess', () => {
    const made = draft({
      inputs: [input('x', ['N', 2])],
      columns: [
        column('id', 'BIGINT'),
        column('b'),
        column('a', 'INTEGER'),
        column('t', 'VARCHAR'),
      ],
      unique: ['id'],
    });
    expect(made.features.by).toBe('open');
    const text = textOf(made);
    expect(text).toContain('the data have just these 2, here in the order of the data');
    expect(read(text)).toMatchObject({
      features: { by: 'name' },
      input: { key: 'id' },
      output: { keep: ['id', 't'] },
    });
    expect(read(uncommented(text)).features).toEqual({ by: 'list', columns: ['b', 'a'] });
  });

  test('are the only column of numbers, which has no order', () => {
    const made = draft({
      inputs: [input('x', ['N', 1])],
      columns: [column('id', 'BIGINT'), column('b'), column('t', 'VARCHAR')],
      unique: ['id'],
    });
    expect(made.features).toMatchObject({ by: 'list', columns: ['b'] });
  });

  test('are left open where the model names columns that the data lack', () => {
    const made = draft({
      inputs: [input('x', ['N', 2])],
      metadata: { feature_names: '["c","a"]' },
      columns: [column('a'), column('b')],
    });
    expect(textOf(made)).toContain('which the model names otherwise (c, a)');
  });

  test.each([
    ['a column more could be one', [column('a'), column('b'), column('c')], []],
    ['the key would have to be one', [column('id', 'BIGINT'), column('a')], ['id']],
    ['a folder gives a number too', [column('a'), column('b'), folder('month', 'DOUBLE')], []],
    ['columns are too few', [column('a')], []],
    ['two names are the same but for case', [column('a'), column('A')], []],
  ])('are left open where %s', (_why, columns, unique) => {
    const made = draft({ inputs: [input('x', ['N', 2])], columns, unique });
    expect(made.features.by).toBe('open');
    const text = textOf(made);
    expect(text).toContain('# TODO features: input "x" takes 2 float32 columns');
    expect(read(text).features).toEqual({ by: 'name' });
  });

  test('are those that the metadata of the model names, whatever else is there', () => {
    const made = draft({
      inputs: [input('x', ['N', 2])],
      metadata: { feature_names: '["c","a"]' },
      columns: [column('a'), column('b'), column('c')],
    });
    expect(made.features).toMatchObject({ by: 'list', columns: ['c', 'a'] });
  });

  test('are the one column of lists where single ones are too few', () => {
    const made = draft({
      inputs: [input('x', ['N', 384])],
      columns: [column('id', 'BIGINT'), column('embedding', 'FLOAT[]')],
      unique: ['id'],
    });
    expect(made.features).toMatchObject({ by: 'list', columns: ['embedding'] });
  });

  test('of several inputs are left open with the nearest columns, to be uncommented', () => {
    const made = draft({
      inputs: [input('Sepal_Length', ['N', 1]), input('petal', ['N', 1])],
      columns: [column('sepal length'), column('petal')],
    });
    const text = textOf(made);
    expect(text).toContain('# TODO features: 1 of the 2 inputs have no column of their name');
    expect(read(uncommented(text)).features).toEqual({
      by: 'map',
      inputs: [
        { input: 'Sepal_Length', column: 'sepal length' },
        { input: 'petal', column: 'petal' },
      ],
    });
  });
});

/** A text as a person has it who takes the "# " away from the features. */
function uncommented(text: string): string {
  const lines = text.split('\n');
  const first = lines.indexOf('# features:');
  return lines
    .map((line, index) => (index < first ? line : line.replace(/^# (features:| {2})/, '$1')))
    .filter((line) => !line.startsWith('  rows:') && !line.startsWith('  drift:'))
    .join('\n');
}

test('a column of the name of a prediction is not kept, nor are lists', () => {
  const made = draft({
    inputs: [input('x', ['N', 1])],
    columns: [
      column('x'),
      column('Score', 'VARCHAR'),
      column('l', 'INTEGER[]'),
      column('d', 'DATE'),
    ],
  });
  expect(made.keep).toEqual(['d']);
});

test('a key is taken by its name alone, other columns with values of their own are a remark', () => {
  const made = draft({
    inputs: [input('x', ['N', 1])],
    columns: [column('x'), column('valid', 'VARCHAR'), column('noteId', 'VARCHAR')],
    unique: ['valid', 'noteId'],
  });
  expect(made).toMatchObject({ key: 'noteId', otherKeys: ['valid'] });
});

test('a key of which not all rows were looked at is a remark', () => {
  const made = draft({
    inputs: [input('x', ['N', 1])],
    columns: [column('x'), column('id', 'BIGINT')],
    unique: ['id'],
  });
  const text = textOf(made, { looked: { rows: 1000, all: false } });
  expect(text).toContain('  # key: id');
  expect(read(text).input.key).toBeUndefined();
});

const HOSTILE = [
  ...[
    'a: b',
    '#x',
    'a #b',
    'quo"te',
    "it's",
    'new\nline',
    '\r',
    'tab\t',
    '- x',
    '-',
    '{a}',
    '[b]',
    '*c',
    '&d',
  ],
  ...[
    '!e',
    '%f',
    '@g',
    '`h',
    '|',
    '>',
    '?',
    '? q',
    ':',
    ',',
    'ünïcødé',
    '名前',
    '🙂',
    '\u2028',
    '\u2029',
    '\u202e',
    '\u0085',
  ],
  ...[
    '\ufeffbom',
    'true',
    'No',
    'null',
    '~',
    '1',
    '1e3',
    '.inf',
    '0x1',
    '2024-01-01',
    ' lead',
    'trail ',
  ],
  ...[
    '---',
    '...',
    '<<',
    '=',
    'a\\b',
    'constructor',
    '$(rm)',
    'x'.repeat(300),
    '\u001b[31mred',
    '\u200b',
  ],
];

test('whatever columns and inputs are called, the file says just that', () => {
  const columns = HOSTILE.map((name) => column(name));
  const listed = draft({ inputs: [input('x', ['N', HOSTILE.length])], columns });
  expect(read(uncommented(textOf(listed))).features).toEqual({ by: 'list', columns: HOSTILE });

  const open = draft({ inputs: [input('x', ['N', HOSTILE.length + 1])], columns });
  expect(read(uncommented(textOf(open))).features).toEqual({ by: 'list', columns: HOSTILE });

  const few = HOSTILE.filter((name) => name.length < 200);
  const mapped = draft({
    inputs: [...few, 'absent'].map((name) => input(name, ['N', 1])),
    columns,
  });
  const job = read(uncommented(textOf(mapped)));
  expect(job.features.by === 'map' && job.features.inputs.map(({ input }) => input).sort()).toEqual(
    [...few, 'absent'].sort(),
  );

  const kept = HOSTILE.map((name) => {
    const made = draft({
      inputs: [input('in', ['N', 1])],
      columns: [column('in'), column(name, 'VARCHAR')],
    });
    const { output, input: from } = read(
      textOf(
        { ...made, key: name },
        {
          from: name,
          chosen: true,
          model: name,
          output: name,
          input: {
            path: name,
            found: name,
            dates: { path: name, last: name },
            csv: { ...RFC_4180, delimiter: '\t', quote: "'", columns: [name, 'in'] },
            types: [{ column: name, type: 'DATE' }],
          },
        },
      ),
    );
    return [...output.keep, from.key, from.pathText, from.csv?.columns?.[0]];
  });
  expect(kept).toEqual(HOSTILE.map((name) => [name, name, name, name]));
});

test.each([
  ['penguins.onnx', 'penguins'],
  ['a b/ü#.ONNX', 'scores'],
  ['-x y.onnx', 'x-y'],
])('a job for the model %s is called %s', (path, name) => {
  expect(jobNameOf(path)).toBe(name);
});

describe('folders and files that look like days', () => {
  test.each([
    [['dt=2024-02-28/a.parquet', 'dt=2024-02-29/b.parquet'], 'dt={date:yyyy-MM-dd}', '2024-02-29'],
    [['20240228/x/a.csv', '20240229/a.csv'], '{date:yyyyMMdd}', '2024-02-29'],
    [['2024/02/28/a.csv', '2023/12/01/a.csv'], '{date:yyyy}/{date:MM}/{date:dd}', '2024-02-28'],
    [
      ['year=2024/month=02/day=28/a.csv'],
      'year={date:yyyy}/month={date:MM}/day={date:dd}',
      '2024-02-28',
    ],
    [['eu-2024-02-28.csv.gz'], 'eu-{date:yyyy-MM-dd}.csv.gz', '2024-02-28'],
  ])('%s are %s', (paths, path, last) => {
    expect(dateTemplate(paths)).toEqual({ path, last });
    const unit = paths[0]!.split('/').slice(0, -1).join('/');
    if (unit !== '') expect(dateOfUnit(path, unit)).toMatch(/^20/);
  });

  test.each([
    [['month=1/a.parquet', 'month=2/a.parquet']],
    [['2024-02-30/a.csv']],
    [['2024-02-28/a.csv', 'rest/a.csv']],
    [['eu/2024-02-28/a.csv', 'us/2024-02-28/a.csv']],
    [['x{date:yyyy}/2024-02-28/a.csv']],
    [['120240228/a.csv']],
  ])('%s are none', (paths) => {
    expect(dateTemplate(paths)).toBeUndefined();
  });
});
