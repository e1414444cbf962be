/** Files as pandas, pyarrow, polars, DuckDB, fastparquet and Spark lay them out by default: every row has the score that Python gives it. */
import { execFileSync } from 'node:child_process';
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { contentFiles, makeCase, publishedContents } from '../job-case.js';
import { constant, ELEMENT, node, number, tensor, writeModel } from '../onnx.js';
import { pythonWith } from '../python.js';
import { makeFolder, ROOT } from '../scoreline.js';

const SCRIPT = join(ROOT, 'test/slow/writers.py');
const CHILD = { encoding: 'utf8', maxBuffer: 2 ** 26 } as const;

let python = '';
let folder = '';
let groups: Record<string, number[]> = {};
beforeAll(() => {
  python = pythonWith('writers.txt');
  folder = makeFolder();
  groups = JSON.parse(execFileSync(python, [SCRIPT, 'write', folder], CHILD));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** The sum of the features: numbers, a text as the number that it says, the elements of a list. */
function sumOf(features: readonly string[]): string {
  const inputs = features.map((name) =>
    tensor(name, name === 't' ? 'string' : 'float', ['N', name === 'v' ? 4 : 1]),
  );
  const terms = features.map((name) =>
    name === 't'
      ? node('Cast', ['t'], ['term_t'], number('to', ELEMENT.float))
      : node('ReduceSum', [name, 'axis'], [`term_${name}`]),
  );
  return writeModel({
    inputs,
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [
      ...terms,
      node(
        'Sum',
        features.map((name) => `term_${name}`),
        ['y'],
      ),
    ],
    constants: [constant('axis', 'int64', [1], [1])],
  });
}

const NUMBERS = ['a', 'b'];

test.each([
  ['pandas-300k', ['t', ...NUMBERS, 'v'], [300_000]],
  ['pyarrow-300k', ['v'], [300_000]],
  ['polars-300k', ['t', 'v'], undefined],
  ['duckdb-300k', ['t', ...NUMBERS, 'v'], undefined],
  ['fastparquet-300k', ['t', ...NUMBERS], [300_000]],
  ['pandas-3m', ['t', 'a'], [1_048_576, 1_048_576, 902_848]],
  ['polars-3m', ['v'], undefined],
  ['duckdb-3m', NUMBERS, undefined],
  ['fastparquet-3m', ['t'], [3_000_000]],
  ['spark-3m', ['t', 'v'], undefined],
  ['one-8m', NUMBERS, [8_000_000]],
  // More rows a task than an appender holds, streamed.
  ['one-8m', ['t'], [8_000_000]],
])('%s with the features %j', async (name, features, layout) => {
  expect(groups[name]).toEqual(layout ?? expect.any(Array));
  const rows = groups[name]!.reduce((sum, own) => sum + own, 0);
  const model = sumOf(features);
  const job = makeCase({
    input: { path: join(folder, name) },
    model: { path: model },
    features: Object.fromEntries(features.map((feature) => [feature, feature])),
    output: { path: 'out', keep: ['id'] },
  });
  const result = await job.run('--workers', '2');
  expect(result).toMatchObject({ exit: 0, report: { ledger: { rows, scored: rows } } });
  const source = join(folder, name, 'data.parquet');
  const published = join(job.output, 'current', 'data');
  const answer = execFileSync(python, [SCRIPT, 'check', source, model, published], CHILD);
  expect(JSON.parse(answer)).toEqual({ rows, published: rows, differ: 0, inexact: 0 });
  rmSync(job.folder, { recursive: true, force: true });
});

test('a row group that several tasks share is published as the same bytes by 1 and by 3 workers', async () => {
  const job = makeCase({
    input: { path: join(folder, 'pandas-300k') },
    model: { path: sumOf(['a', 't']) },
    features: { a: 'a', t: 't' },
    output: { path: 'out', keep: ['id'] },
  });
  expect(await job.run('--workers', '1')).toMatchObject({
    exit: 0,
    report: { tasks: { scored: 3 } },
  });
  const other = join(job.folder, 'other');
  const more = await job.run('--workers', '3', '--set', `output.path=${other}`);
  expect(more).toMatchObject({ exit: 0, report: { tasks: { scored: 3 } } });
  expect(contentFiles(join(job.output, 'current')).length).toBeGreaterThan(3);
  expect(publishedContents(other)).toEqual(publishedContents(job.output));
});
