/** Texts reach the model with all their characters, or their rows are set aside. */
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { attribute, node, tensor, writeModel } from '../onnx.js';
import { columns, writeParquet } from '../parquet.js';

/** Gives each text a number by what it is, and the text again. */
const model = (): string =>
  writeModel({
    inputs: [tensor('x', 'string', ['N', 1])],
    outputs: [tensor('y', 'int64', ['N', 1]), tensor('echo', 'string', ['N', 1])],
    nodes: [
      node(
        'ai.onnx.ml.LabelEncoder',
        ['x'],
        ['y'],
        attribute('keys_strings', ['nul', '\ufeffbom', 'bom', '\ufeff', 'é\ufeff']),
        attribute('values_int64s', [1, 2, 3, 4, 5]),
      ),
      node('Identity', ['x'], ['echo']),
    ],
  });

const TEXTS = `unnest(['nul' || chr(0) || 'byte', 'nul', chr(65279) || 'bom', 'bom', chr(65279), 'é' || chr(65279), chr(0)])`;

test('a text with NUL is set aside, one that begins with U+FEFF reaches the model whole', async () => {
  const job = makeCase({
    model: { path: model() },
    features: undefined,
    input: { path: 'in', key: 'x' },
    output: { path: 'out', keep: ['x'] },
    statistics: ['x'],
    quarantine: { max: '50%' },
  });
  await writeParquet(join(job.input, 'x.parquet'), `SELECT ${TEXTS} AS x`);
  expect(await job.run()).toMatchObject({
    exit: 0,
    report: { ledger: { scored: 5, quarantined: 2 } },
  });
  const scored = ['nul', '\ufeffbom', 'bom', '\ufeff', 'é\ufeff'];
  expect(await columns(`SELECT hex(x) AS x, y, hex(echo) AS echo FROM ${published(job)}`)).toEqual({
    x: scored.map(hex),
    y: [1n, 2n, 3n, 4n, 5n],
    echo: scored.map(hex),
  });
  const aside = `read_parquet(${job.published('quarantine')})`;
  expect(
    await columns(`SELECT hex(x) AS x, scoreline_reason AS why, scoreline_row AS r FROM ${aside}`),
  ).toEqual({
    x: ['nul\0byte', '\0'].map(hex),
    why: ['nul_in_text', 'nul_in_text'],
    r: [0n, 6n],
  });
});

test('a NUL in a list of texts sets its row aside', async () => {
  const echo = writeModel({
    inputs: [tensor('x', 'string', ['N', 2])],
    outputs: [tensor('echo', 'string', ['N', 2])],
    nodes: [node('Identity', ['x'], ['echo'])],
  });
  const job = makeCase({
    model: { path: echo },
    features: ['x'],
    quarantine: { max: '50%' },
  });
  await writeParquet(
    join(job.input, 'x.parquet'),
    `SELECT unnest([['a', 'b' || chr(0)], [chr(65279) || 'c', 'd']]) AS x`,
  );
  expect(await job.run()).toMatchObject({ exit: 0, report: { ledger: { scored: 1 } } });
  const texts = `list_transform(echo, lambda text: hex(text))`;
  expect(await columns(`SELECT ${texts} AS echo FROM ${published(job)}`)).toEqual({
    echo: [['\ufeffc', 'd'].map(hex)],
  });
});

const published = (job: ReturnType<typeof makeCase>): string => `read_parquet(${job.published()})`;

const hex = (text: string): string => Buffer.from(text, 'utf8').toString('hex').toUpperCase();
