import { describe, expect, test } from 'vitest';
import type { TensorElement, TensorSpec } from '../../src/base/onnx.js';
import { parseJob } from '../../src/plan/job.js';
import type { OutputFacts } from '../../src/plan/predictions.js';
import { proposeBinding } from '../../src/plan/proposal.js';
import { type Binding, bindModel } from '../../src/plan/signature.js';

type Shape = TensorSpec['shape'];

const input = (name: string, shape: Shape, element: TensorElement = 'float32'): TensorSpec => ({
  name,
  element,
  shape,
});
const output = (name: string, width: number | undefined, labels?: string[]): OutputFacts => ({
  name,
  element: 'float32',
  width,
  problem: undefined,
  ...(labels && { labels }),
});
const SCORE = [output('score', 1)];

/** What is proposed for a model, pasted into a job file that is then bound to the model. */
function paste(
  inputs: readonly TensorSpec[],
  outputs: readonly OutputFacts[] = SCORE,
  metadata: Record<string, string> = {},
): { lines: string[]; binding: Binding } {
  const lines = proposeBinding({ inputs, outputs }, metadata);
  for (const line of lines) expect(line).not.toMatch(/[^\P{C}]/u);
  const text = ['name: n', 'input: {path: in}', 'model: {path: m.onnx}', ...lines];
  if (!lines.includes('output:')) text.push('output: {path: out}');
  const job = parseJob(text.join('\n'), { file: '/jobs/job.yaml', overrides: [] });
  const names = inputs.map(({ name }) => name);
  const model = {
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
  const binding = bindModel(model, {
    features: job.features,
    columns: job.output.columns,
    shownAs: 'm',
    allowRandom: false,
    listColumns: new Set(
      inputs.some(({ shape }) => shape.length > 2 || Number(shape[1] ?? 1) > 1) ? names : [],
    ),
  });
  return { lines, binding };
}

describe('features', () => {
  test('of one matrix are a list of placeholders, or of the names in the metadata', () => {
    const matrix = [input('x', ['N', 3])];
    const inputs = (metadata: Record<string, string>) =>
      paste(matrix, SCORE, metadata).binding.inputs[0]!.columns;
    const placeholders = ['column_1', 'column_2', 'column_3'];
    expect(inputs({})).toEqual(placeholders);
    expect(inputs({ feature_names: '["a","no","c d"]' })).toEqual(['a', 'no', 'c d']);
    expect(inputs({ feature_names: 'a, b,c' })).toEqual(['a', 'b', 'c']);
    for (const wrong of ['["a","b"]', '["a","A","b"]', '["a","b",3]', '{"a":1}', 'a,b,', '[[]]']) {
      expect(inputs({ feature_names: wrong })).toEqual(placeholders);
    }
  });

  test('of a wide matrix, and of tensors, are a column of lists', () => {
    expect(paste([input('x', ['N', 384])]).binding.inputs).toMatchObject([
      { columns: ['x'], list: [384] },
    ]);
    expect(paste([input('image', ['N', 4, 4, 3])]).binding.inputs).toMatchObject([
      { columns: ['image'], list: [4, 4, 3] },
    ]);
  });

  test('of named inputs are a map', () => {
    const { binding, lines } = paste([input('age', ['N', 1]), input('yes', ['N'], 'utf8')]);
    expect(binding.inputs.map(({ columns }) => columns)).toEqual([['age'], ['yes']]);
    expect(lines[1]).toBe('  age: age  # float32');
    expect(lines[2]).toBe('  "yes": "yes"  # text');
  });

  test('of a model that leaves its width open can be filled in', () => {
    expect(paste([input('x', ['N', 'F'])]).binding.inputs).toMatchObject([{ rank: 2 }]);
  });

  test.each([
    ['', [1], 'its name cannot stand'],
    ['__proto__', ['N'], 'its name cannot stand'],
    ['x', [], 'no batch dimension'],
    ['x', ['N', 'T', 3], 'none may be open'],
  ] as [string, Shape, string][])('that cannot be fed are told: %j %j', (name, shape, words) => {
    const [line] = proposeBinding({ inputs: [input(name, shape)], outputs: SCORE }, {});
    expect(line).toMatch(/^# input "/);
    expect(line).toContain(words);
  });
});

describe('predictions', () => {
  const X = [input('x', ['N'])];
  const picked = (outputs: OutputFacts[]) =>
    paste(X, outputs).binding.outputs.map(({ column, output: from, index }) => [
      column,
      from,
      index,
    ]);

  test('are only named where an output has several elements', () => {
    expect(paste(X).lines).not.toContain('output:');
    expect(picked([output('label', 1), output('p', 2)])).toEqual([
      ['label', 'label', undefined],
      ['p_0', 'p', 0],
      ['p_1', 'p', 1],
    ]);
    expect(picked([output('embedding', 384)])).toEqual([['embedding', 'embedding', undefined]]);
  });

  test('are one a class, each picked by its label where that can be written', () => {
    expect(picked([output('p', 3, ['no', 'yes', 'a[b]'])])).toEqual([
      ['p_no', 'p', 0],
      ['p_yes', 'p', 1],
      ['p_a[b]', 'p', 2],
    ]);
    expect(picked([output('p', 2, ['1', '0'])])).toEqual([
      ['p_1', 'p', 0],
      ['p_0', 'p', 1],
    ]);
    expect(picked([output('p', 3, ['a', 'A', 'a'])])).toEqual([
      ['p_a', 'p', 0],
      ['p_A_2', 'p', 1],
      ['p_a_3', 'p', 2],
    ]);
  });
});

test('whatever the names, the lines are YAML that binds the model', () => {
  const HOSTILE = [
    '"; DROP TABLE x; --',
    "it's",
    'a: b',
    '# no comment',
    ' spaces ',
    '- x',
    '*',
    '&a',
    '!t',
    '%',
    '@',
    '`',
    '{a}',
    '? x',
    'null',
    '1',
    '1e3',
    '0x10',
    '.nan',
    '~',
    '<<',
    '---',
    '\u001b(2J',
    '\u202eevil',
    '\u2028',
    '\u{1f600}',
    '\u{e0001}',
    'tab\tnew\nline\r',
    '\\',
    '\u00a0',
    '\ufeff',
    'größe',
    'constructor',
  ];
  for (const name of HOSTILE) {
    const { binding } = paste(
      [input(name, ['N']), input('other', ['N', 1])],
      [output(name, 1), output('p', 2, [name, 'x']), output(`${name}2`, 2)],
    );
    expect(binding.inputs[0]!.columns).toEqual([name]);
    expect(binding.outputs.map(({ output: from }) => from)).toEqual([
      name,
      'p',
      'p',
      `${name}2`,
      `${name}2`,
    ]);
    expect(
      paste([input('x', ['N', 2])], SCORE, { columns: JSON.stringify([name, 'b']) }).binding
        .inputs[0]!.columns,
    ).toEqual([name, 'b']);
  }
});
