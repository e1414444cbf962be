/** What the program loads before it is needed: nothing. */
import { execFile } from 'node:child_process';
import { cpSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import { allowedMs, makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { makeFolder, ROOT, scoreline } from '../scoreline.js';

/** The packages that a program loads, and those that it starts. */
async function packagesOf(
  start: (env: Record<string, string>) => Promise<unknown>,
): Promise<string[]> {
  const file = join(makeFolder(), 'loaded');
  writeFileSync(file, '');
  await start({ LOADED: file, NODE_OPTIONS: `--import=${join(ROOT, 'test/cli/loaded.mjs')}` });
  const found = readFileSync(file, 'utf8').matchAll(/node_modules\/((?:@[^/]+\/)?[^/\n]+)/g);
  return [...new Set([...found].map(([, name]) => name ?? ''))].toSorted();
}

/** The packages that a command loads, those of its workers too. */
function packagesOfCommand(args: readonly string[]): Promise<string[]> {
  return packagesOf(async (env) => expect((await scoreline(args, { env })).exit).toBe(0));
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
    expect(await packagesOfCommand(line.split(' '))).toEqual(['commander']);
  });

  test('a run loads those that it needs', async () => {
    const job = makeCase();
    await writeParquet(join(job.input, 'x.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
    const needed = ['@duckdb/node-bindings', 'apache-arrow', 'onnxruntime-node', 'yaml', 'zod'];
    expect(await packagesOfCommand(['run', job.jobFile])).toEqual(expect.arrayContaining(needed));
  });

  test('a worker begins with native ones and what reads models, not with what checks job files', async () => {
    const worker = [join(ROOT, 'dist/worker/main.js'), String(process.pid)];
    const loaded = await packagesOf((env) =>
      promisify(execFile)(process.execPath, worker, { env: { ...process.env, ...env } }),
    );
    expect(loaded).toContain('@duckdb/node-bindings');
    expect(loaded.filter((name) => name === 'zod' || name === 'yaml')).toEqual([]);
  });
});

test('a checkout that is not built says what to run', async () => {
  const folder = makeFolder();
  cpSync(join(ROOT, 'bin'), join(folder, 'bin'), { recursive: true });
  writeFileSync(join(folder, 'package.json'), '{"type":"module"}');
  expect(await scoreline(['--version'], { program: folder })).toMatchObject({
    exit: 2,
    stderr: 'scoreline: the program is not built: run "npm ci && npm run build" in its folder\n',
  });
});

test('--help is there at once', async () => {
  const times: number[] = [];
  for (let round = 0; round < 5; round++) times.push((await scoreline(['--help'])).ms);
  expect(Math.min(...times)).toBeLessThan(allowedMs(150));
});
