import { mkdirSync, renameSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import type { Job } from '../../src/plan/job.js';
import { checkOwner, claimOutput } from '../../src/run/owner.js';
import { Output } from '../../src/run/store.js';
import { failure } from '../failure.js';
import { makeFolder } from '../scoreline.js';

/** A folder with inputs, and an output where something is published. */
async function checkout() {
  const root = makeFolder();
  for (const name of ['eu', 'us']) {
    mkdirSync(join(root, name));
    writeFileSync(join(root, name, `${name}.parquet`), '');
  }
  return { root, output: await outputIn(root) };
}

async function outputIn(root: string): Promise<Output> {
  const output = await Output.open(join(root, 'out'));
  mkdirSync(output.path('snapshots', '000001'), { recursive: true });
  return output;
}

/** A job by its file, its input as written there, and its name. */
function jobOf(file: string, pathText: string, name = 'lgb'): Job {
  const baseDir = dirname(file);
  const input = { path: resolve(baseDir, pathText), pathText };
  return { name, file, baseDir, input } as Job;
}

async function isRefused(output: Output, job: Job): Promise<boolean> {
  try {
    await checkOwner(output, job);
    return false;
  } catch (error) {
    expect(error).toMatchObject({ code: 'usage' });
    return true;
  }
}

test('another job is refused by its name, its input, or its file beside the same input', async () => {
  const { root, output } = await checkout();
  await claimOutput(output, jobOf(join(root, 'eu.yaml'), 'eu/*.parquet'));
  for (const [file, path, name, refused] of [
    ['eu.yaml', 'eu/*.parquet', 'lgb', false],
    ['renamed.yaml', 'eu/*.parquet', 'lgb', false],
    ['eu.yaml', 'eu', 'lgb', false],
    ['eu.yaml', 'eu/eu.parquet', 'lgb', false],
    ['other.yaml', 'eu/eu.parquet', 'lgb', true],
    ['eu.yaml', 'eu/*.parquet', 'other', true],
    ['eu.yaml', 'us', 'lgb', true],
    ['us.yaml', 'us', 'lgb', true],
  ] as const)
    expect([
      file,
      path,
      name,
      await isRefused(output, jobOf(join(root, file), path, name)),
    ]).toEqual([file, path, name, refused]);
  const us = jobOf(join(root, 'us.yaml'), 'us');
  const error = await failure(() => claimOutput(output, us));
  expect(error.message).toBe(
    `output.path ${root}/out: belongs to job "lgb" (${root}/eu/*.parquet), and this is job "lgb" (${root}/us), which would replace what that one published; give each job an output.path of its own, or take this one over with --adopt`,
  );
  await claimOutput(output, us, true);
  expect(await isRefused(output, us)).toBe(false);
  expect(await isRefused(output, jobOf(join(root, 'eu.yaml'), 'eu/*.parquet'))).toBe(true);
});

test('a job is known where its checkout, its output or its input was moved, or is reached through links', async () => {
  const { root, output } = await checkout();
  await claimOutput(output, jobOf(join(root, 'eu.yaml'), 'eu'));
  const link = join(makeFolder(), 'link');
  symlinkSync(root, link);
  expect(await isRefused(output, jobOf(join(link, 'eu.yaml'), 'eu'))).toBe(false);
  const moved = join(makeFolder(), 'moved');
  renameSync(root, moved);
  const there = (await Output.find(join(moved, 'out')))!;
  expect(await isRefused(there, jobOf(join(moved, 'eu.yaml'), 'eu'))).toBe(false);
  await claimOutput(there, jobOf(join(moved, 'eu.yaml'), 'eu'));
  const alone = join(makeFolder(), 'elsewhere');
  renameSync(join(moved, 'out'), alone);
  const output2 = (await Output.find(alone))!;
  expect(await isRefused(output2, jobOf(join(moved, 'eu.yaml'), 'eu'))).toBe(false);
  // A copy of the checkout is another one as long as the first is there.
  const copy = (await checkout()).root;
  expect(await isRefused(output2, jobOf(join(copy, 'eu.yaml'), 'eu'))).toBe(true);
  renameSync(moved, `${moved}-gone`);
  expect(await isRefused(output2, jobOf(join(copy, 'eu.yaml'), 'eu'))).toBe(false);
  expect(await isRefused(output2, jobOf(join(copy, 'us.yaml'), 'us'))).toBe(true);
});

test('a link to the day that is newest names one input', async () => {
  const { root, output } = await checkout();
  symlinkSync('eu', join(root, 'latest'));
  await claimOutput(output, jobOf(join(root, 'job.yaml'), 'latest'));
  renameSync(join(root, 'latest'), join(root, 'before'));
  symlinkSync('us', join(root, 'latest'));
  expect(await isRefused(output, jobOf(join(root, 'job.yaml'), 'latest'))).toBe(false);
});

test('an output where nothing was published or staged belongs to nobody', async () => {
  const { root } = await checkout();
  const output = await Output.open(join(root, 'empty'));
  await claimOutput(output, jobOf(join(root, 'eu.yaml'), 'eu'));
  await claimOutput(output, jobOf(join(root, 'us.yaml'), 'us'));
  mkdirSync(output.path('staged', 'run'));
  expect(await isRefused(output, jobOf(join(root, 'eu.yaml'), 'eu'))).toBe(true);
});
