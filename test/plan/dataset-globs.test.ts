/** Which characters of a path are those of a glob: `*`, `?` and `[`, and no others. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { listDataset } from '../../src/plan/dataset.js';
import { reachesInto } from '../../src/plan/find.js';
import { makeFolder } from '../scoreline.js';

/** The files that a glob finds in a folder with these. */
async function found(pathText: string, ...names: readonly string[]): Promise<string[]> {
  const baseDir = makeFolder();
  for (const name of names) {
    mkdirSync(dirname(join(baseDir, name)), { recursive: true });
    writeFileSync(join(baseDir, name), '');
  }
  const path = resolve(baseDir, pathText);
  const { files } = await listDataset({ path, pathText, baseDir, ready: undefined, csv: false });
  return files.map((file) => file.path);
}

test.each([
  ['data (1)', 'data 1'],
  ['(a|b)', 'a'],
  ['@(a)', 'a'],
  ['{a,b}', 'a'],
  ['!x', 'x'],
  ['c++', 'cc'],
  ["it's", 'its'],
  ['a$b^c', 'abc'],
])('a folder may be called %s, and no other is taken for it', async (name, other) => {
  const files = [`${name}/a.parquet`, `${other}/wrong.parquet`];
  expect(await found(`${name}/*.parquet`, ...files)).toEqual(['a.parquet']);
});

test('a special character that is escaped stands for itself, in the fixed part too', async () => {
  const files = ['data[1]/a.parquet', 'data1/wrong.parquet'];
  expect(await found('data\\[1\\]/*.parquet', ...files)).toEqual(['a.parquet']);
  expect(await found('*\\[1\\]/*.parquet', ...files)).toEqual(['data[1]/a.parquet']);
});

test('the special characters are special wherever they are', async () => {
  const files = ['a1/x.parquet', 'a2/x.parquet', 'b1/y.parquet', 'b1/c/z.parquet'];
  expect(await found('a?/*.parquet', ...files)).toEqual(['a1/x.parquet', 'a2/x.parquet']);
  expect(await found('[ab]1/*.parquet', ...files)).toEqual(['a1/x.parquet', 'b1/y.parquet']);
  expect(await found('**/z.parquet', ...files)).toEqual(['b1/c/z.parquet']);
});

test.each([
  ['p.parquet', 'out/x', false],
  ['*.parquet', 'out/x', false],
  ['out?/*.parquet', 'out/x', false],
  ['*', 'out/x', true],
  ['o*/x', 'out/x', true],
  ['*/*/*.parquet', 'out/x', true],
  ['**/p.parquet', 'out/x', true],
  ['.', 'out/x', true],
])('%s can mean what lies in the folder %s: %s', async (pathText, below, can) => {
  const baseDir = makeFolder();
  const inside = ['p.parquet', 'current/data/p.parquet'].map((name) => `${below}/${name}`);
  for (const name of ['p.parquet', 'outs/p.parquet', ...inside]) {
    mkdirSync(dirname(join(baseDir, name)), { recursive: true });
    writeFileSync(join(baseDir, name), '');
  }
  const input = { path: resolve(baseDir, pathText), pathText };
  expect(reachesInto(input, below)).toBe(can);
  const { files } = await listDataset({ ...input, baseDir, ready: undefined, csv: false });
  expect(files.some(({ path }) => path.startsWith(`${below}/`))).toBe(can);
});
