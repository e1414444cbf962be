/** Named pipes, sockets and devices in place of files: refused at once and by name, or read where that makes sense. */
import { spawn, spawnSync } from 'node:child_process';
import { rmSync, symlinkSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { allowedMs, makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { type CommandResult, makeFolder, ROOT, scoreline } from '../scoreline.js';

function makePipe(path: string): void {
  expect(spawnSync('sh', ['-c', 'mkfifo "$1"', 'sh', path])).toMatchObject({ status: 0 });
}

function expectRefused(result: CommandResult, exit: number, message: RegExp): void {
  expect(result).toMatchObject({ exit, stderr: expect.stringMatching(message) });
  expect(result.stderr).not.toMatch(/^\s+at |bug:/m);
  expect(result.ms).toBeLessThan(allowedMs(5000));
}

test('a named pipe, a socket and a device are refused as input files', async () => {
  const job = makeCase();
  await writeParquet(join(job.input, 'a.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
  const path = join(job.input, 'x.parquet');
  makePipe(path);
  const isPipe = /^scoreline: x\.parquet: is a named pipe; expected a regular file$/m;
  expectRefused(await job.run(), 4, isPipe);
  expectRefused(await job.run('--set', 'input.path=in/x.parquet'), 4, isPipe);
  expectRefused(await scoreline(['inspect', path]), 4, /x\.parquet: is a named pipe; /);
  rmSync(path);
  const server = createServer();
  await new Promise<void>((listening) => server.listen(path, listening));
  expectRefused(await job.run(), 4, /x\.parquet: is a socket; /);
  await new Promise((closed) => server.close(closed));
  rmSync(path, { force: true });
  symlinkSync('/dev/zero', join(job.folder, 'zero.parquet'));
  expectRefused(await job.run('--set', 'input.path=zero.parquet'), 4, /is a device; /);
});

test('a named pipe that nothing writes to is refused as a job file, and as a baseline', async () => {
  const pipe = join(makeFolder(), 'pipe');
  makePipe(pipe);
  expectRefused(
    await scoreline(['run', pipe]),
    2,
    /^scoreline: job file \S+pipe: is a named pipe that nothing writes to$/m,
  );
  expectRefused(await scoreline(['run', '/dev/zero']), 2, /job file \/dev\/zero: is a device; /);
  const job = makeCase({ baseline: { file: pipe } });
  await writeParquet(join(job.input, 'a.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
  expectRefused(await job.run('--quiet'), 2, /pipe: is a named pipe; expected a regular file$/m);
});

test('a job file may come through a pipe, also when its writer takes a moment', async () => {
  const job = makeCase();
  await writeParquet(join(job.input, 'a.parquet'), 'SELECT 1::FLOAT AS a, 2::FLOAT AS b');
  // Relative paths would start from the folder of the pipe.
  job.change({ input: { path: job.input }, output: { path: job.output } });
  const command = `(sleep 0.3; cat ${job.jobFile}) | node ${ROOT}/bin/scoreline.js plan <(cat)`;
  const child = spawn('bash', ['-c', command]);
  let stderr = '';
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    stderr += text;
  });
  const code = await new Promise((ended) => child.on('close', ended));
  expect({ code, stderr }).toEqual({ code: 0, stderr: '' });
});
