/** The exports of docs/models-into-onnx.md: each library's own scores are what scoreline gives for the exported file. */
import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { beforeAll, describe, expect, it } from 'vitest';
import { pythonWith } from '../python.js';
import { makeFolder, ROOT, scoreline } from '../scoreline.js';

const PAGE = readFileSync(join(ROOT, 'docs/models-into-onnx.md'), 'utf8');
let python = '';

beforeAll(() => {
  python = pythonWith('models-into-onnx.txt');
});

/** Each library, and where the score of the second class is: CatBoost's ZipMap gives a column for each class. */
describe.each([
  ['scikit-learn', 'probabilities[2]'],
  ['LightGBM', 'probabilities[2]'],
  ['XGBoost', 'probabilities[2]'],
  ['CatBoost', 'probabilities_1'],
])('the export of %s', (library, score) => {
  it("gives scoreline the library's own scores, for every row", async () => {
    const folder = makeFolder();
    const section = PAGE.split(`\n## ${library}\n`)[1]?.split('\n## ')[0] ?? '';
    const input = /```python\n(.*?)```/s.exec(section)?.[1];
    if (input === undefined) throw new Error(`the page has no block for ${library}`);
    execFileSync(python, [join(ROOT, 'test/slow/models-into-onnx.py'), library], {
      cwd: folder,
      input,
    });
    // A model of separate inputs binds by name; a matrix has no names.
    const matrix = library === 'scikit-learn' ? [] : ['--features', 'age,income,tenure,balance'];
    const run = await scoreline(
      ['score', 'model.onnx', 'data.parquet', '-o', 'out', '--keep', 'id,expected', ...matrix],
      { cwd: folder },
    );
    expect(run).toMatchObject({ exit: 0 });
    expect(await countClose(join(folder, 'out/current/data/**/*.parquet'), score)).toEqual({
      rows: 5000,
      close: 5000,
    });
  });
});

/** Counts the rows, and those whose score is the library's own but for the rounding of 32-bit sums. */
async function countClose(files: string, score: string): Promise<unknown> {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const reader = await connection.runAndReadAll(
    `SELECT count(*)::INTEGER AS rows, (count(*) FILTER (abs(${score} - expected) < 1e-5))::INTEGER AS close
     FROM read_parquet('${files}')`,
  );
  return reader.getRowObjectsJson()[0];
}
