/** kill -9 at the steps of `check` and of `check --record`: the job's folder stays as it was, and the same command then ends well. */
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listFiles } from '../job-case.js';
import {
  ALL,
  expectEnd,
  makeVictim,
  makeWorld,
  note,
  shapeOf,
  startRun,
  type Victim,
} from './fault-case.js';

const world = await makeWorld();

/** A job of its own for each attack, so that it has a fixture of its own. */
function makeJob(recorded?: Victim): Victim {
  const victim = makeVictim(world, 'first');
  const { folder } = victim;
  mkdirSync(join(folder, 'tmp'));
  const job = JSON.parse(readFileSync(world.jobFile, 'utf8'));
  job.input.path = join(world.folder, 'in');
  writeFileSync(join(folder, 'job.yaml'), JSON.stringify(job));
  if (recorded !== undefined) {
    const names = listFiles(join(recorded.folder, 'fixtures'));
    mkdirSync(join(folder, 'fixtures', 'case'), { recursive: true });
    for (const name of names)
      copyFileSync(join(recorded.folder, 'fixtures', name), join(folder, 'fixtures', name));
  }
  return victim;
}

function check({ folder }: Victim, ...args: string[]) {
  return {
    command: ['check', join(folder, 'job.yaml'), '--quiet', ...args],
    env: { TMPDIR: join(folder, 'tmp') },
  };
}

/** The files of a job: what lies in the temporary folder may change while it is listed. */
function filesOf({ folder }: Victim): Record<string, string> {
  const fixtures = listFiles(join(folder, 'fixtures')).map((name) => join('fixtures', name));
  const output = listFiles(join(folder, 'disk')).map((name) => join('disk', name));
  const names = ['job.yaml', ...fixtures, ...output];
  return Object.fromEntries(
    names.map((name) => [name, readFileSync(join(folder, name), 'base64')]),
  );
}

const recorded = makeJob();
await expectEnd(startRun(recorded, check(recorded, '--record')), 0);

/** The steps that change something, in order. */
async function stepsOf(args: readonly string[], from: Victim | undefined): Promise<string[]> {
  const victim = makeJob(from);
  const log = join(victim.folder, 'steps');
  const fault = { under: victim.folder, log };
  await expectEnd(startRun(victim, { ...check(victim, ...args), fault }), 0);
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .filter((line) => line.includes(' change '));
}

/** Every step; in `.ci/run`, those of the parent: one of those that differ in keys and counts alone. Workers do what those of a run do. */
function chosen(steps: readonly string[]): string[] {
  if (ALL) return [...steps];
  const own = steps.filter((step) => step.startsWith('parent '));
  return [...new Map(own.map((step) => [shapeOf(step).replace(/#\d+$/, ''), step])).values()];
}

const inFixture = (step: string): boolean => / fixtures/.test(step);
const checking = chosen(await stepsOf([], recorded));
const recording = (await stepsOf(['--record'], undefined)).filter(inFixture);
const again = (await stepsOf(['--record'], recorded)).filter(inFixture);

test('steps of checks are listed', () => {
  expect(checking.length).toBeGreaterThan(30);
  expect(recording.length).toBeGreaterThan(5);
  note('steps of checks', `${checking.length} of a check, ${recording.length} into a fixture`);
});

async function killAt(victim: Victim, args: readonly string[], step: string): Promise<void> {
  const fired = join(victim.folder, 'fired');
  const fault = { under: victim.folder, step, act: 'kill', fired };
  const survives = step.startsWith('worker ');
  await expectEnd(startRun(victim, { ...check(victim, ...args), fault }), survives ? 0 : null);
  expect(existsSync(fired)).toBe(true);
}

describe.concurrent('a check killed at a step', () => {
  test.each(checking)('%s', async (step) => {
    const victim = makeJob(recorded);
    const before = filesOf(victim);
    await killAt(victim, [], step);
    expect(filesOf(victim)).toEqual(before);
    note('kill at a step of a check', 'nothing changed');
    rmSync(victim.folder, { recursive: true });
  });

  test.each([
    ...recording.map((step) => ({ step, from: undefined, what: 'for the first time' })),
    ...again.map((step) => ({ step, from: recorded, what: 'over an older one' })),
  ])('that records $what: $step', async ({ step, from }) => {
    const victim = makeJob(from);
    await killAt(victim, ['--record'], step);
    await expectEnd(startRun(victim, check(victim, '--record')), 0);
    await expectEnd(startRun(victim, check(victim)), 0);
    const names = listFiles(join(victim.folder, 'fixtures', 'case'));
    // A file that was being written is left under its temporary name.
    expect(names.filter((name) => !name.endsWith('.tmp'))).toEqual([
      'expected.parquet',
      'fixture.json',
    ]);
    note('kill at a step of a check', 'recorded by the next one');
    rmSync(victim.folder, { recursive: true });
  });
});
