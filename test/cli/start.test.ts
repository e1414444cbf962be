/** What the program loads before it is needed: nothing. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { allowedMs, makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { makeFolder, ROOT, scoreline } from '../scoreline.js';

/** The packages that a command loads, those of its workers too. */
async function packagesOf(args: readonly string[]): Promise<string[]> {
  const file = join(makeFolder(), 'loaded');
  writeFileSync(file, '');
  const { exit } = await scoreline(args, {
    env: { LOADED: file, NODE_OPTIONS: `--import=${join(ROOT, 'test/cli/loaded.mjs')}` },
  });
  expect(exit).toBe(0);
  const found = readFileSync(file, 'utf8').matchAll(/node_modules\/((?:@[^/]+\/)?[^/\n]+)/g);
  return [...new Set([...found].map(([, name]) => name ?? ''))].toSorted();
}

describe('of its packages', () => {
  test.each([
    ['--help'],
    ['--version'],
    ['help run'],
    ['run --help'],
    ['check --help'],
    ['explain-exit 6'],
    ['completion bash'],
  ])('scoreline %s loads commander alone', async (line) => {
    expect(await packagesOf(line.split(' '))).toEqual(['commander']);
  });

  test('a run loads those that it needs', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
    const needed = ['@duckdb/node-bindings', 'apache-arrow', 'onnxruntime-node', 'yaml', 'zod'];
    expect(await packagesOf(['run', job.jobFile])).toEqual(expect.arrayContaining(needed));
  });
});

test('--help is there at once', async () => {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) times.push((await scoreline(['--help'])).ms);
  expect(Math.min(...times)).toBeLessThan(allowedMs(150));
});
