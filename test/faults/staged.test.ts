/**
 * kill -9 wherever something gets its name, while a run publishes the days that pass and stages the others in place of what waited,
 * and while a person publishes what was staged.
 */
import { cpSync, existsSync, mkdtempSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import type { StatusReport } from '../../src/report/status.js';
import { makeCase } from '../job-case.js';
import { type CommandResult, scoreline } from '../scoreline.js';
import { PRELOAD } from './fault-case.js';

const RANGE = ['--from', '2024-01-05', '--to', '2024-01-06', '--publish-passing'];
const job = makeCase({
  input: { path: 'in/{date:yyyy-MM-dd}.csv' },
  baseline: { trailing: 4 },
  gates: { drift: { psi: 0.2 } },
  sample_rows: 0,
});

function writeDay(day: number, level: number): void {
  const rows = Array.from({ length: 150 }, (_, i) => `${level + ((i * 7 + day) % 150) / 100},1\n`);
  writeFileSync(join(job.input, `2024-01-0${day}.csv`), `a,b\n${rows.join('')}`);
}

/** Runs a command on an output, with a fault where there is one. */
function act(
  output: string,
  args: readonly string[],
  fault?: Readonly<Record<string, string>>,
): Promise<CommandResult> {
  const SCORELINE_FAULT = JSON.stringify({ under: output, ...fault });
  const env = { NODE_OPTIONS: `--import ${PRELOAD}`, SCORELINE_FAULT };
  return scoreline([...args, '--quiet'], fault === undefined ? {} : { env });
}

const runOn = (output: string): string[] => [
  ...['run', job.jobFile, '--set', `output.path=${output}`],
  ...RANGE,
];

const statusOf = async (output: string): Promise<StatusReport> =>
  JSON.parse((await scoreline(['status', output, '--json'])).stdout);

const unitsOf = (output: string): string[] =>
  Object.keys(JSON.parse(readFileSync(join(output, 'current', 'manifest.json'), 'utf8')).units);

function copyOf(output: string): string {
  const copy = join(mkdtempSync(join(job.folder, 'victim-')), 'out');
  cpSync(output, copy, { recursive: true, verbatimSymlinks: true });
  return copy;
}

/** The steps in which something becomes visible. */
async function namingSteps(output: string, args: readonly string[]): Promise<string[]> {
  const log = join(job.folder, 'steps');
  writeFileSync(log, '');
  await act(output, args, { log });
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  return lines.filter(
    (line) =>
      /^parent change (rename|symlink|link runs)/.test(line) &&
      !/cache|store|\.json\.tmp -> tmp|\.(json|html)\.tmp -> runs/.test(line),
  );
}

const old = ['2024-01-01', '2024-01-02', '2024-01-03', '2024-01-04'];
/** An output in which an older state of the fifth day waits. */
let before = '';
/** One in which the fifth day waits, and the sixth is published. */
let after = '';
let waiting = '';

beforeAll(async () => {
  for (const day of [1, 2, 3, 4]) writeDay(day, 0);
  writeDay(5, 90);
  const first = ['run', job.jobFile, '--set', `output.path=${job.output}`];
  expect((await act(job.output, [...first, '--from', old[0]!, '--to', old[3]!])).exit).toBe(0);
  expect((await act(job.output, [...first, '--date', '2024-01-05'])).exit).toBe(3);
  before = job.output;
  writeDay(5, 50);
  writeDay(6, 0);
  after = copyOf(before);
  expect((await act(after, runOn(after))).exit).toBe(3);
  waiting = (await statusOf(after)).staged[0]!.run;
}, 120_000);

describe('a run that is killed while it publishes the days that pass', () => {
  test('leaves whole publications, and the next one stages what is left, once', async () => {
    const listed = copyOf(before);
    const steps = await namingSteps(listed, runOn(listed));
    expect(steps.length).toBeGreaterThan(5);
    for (const step of steps) {
      const output = copyOf(before);
      const fired = join(output, '..', 'fired');
      const killed = await act(output, runOn(output), { step, act: 'kill', fired });
      expect([step, killed.exit, existsSync(fired)]).toEqual([step, null, true]);
      expect([old, [...old, '2024-01-06']]).toContainEqual(unitsOf(output));
      expect([step, (await act(output, runOn(output))).exit]).toEqual([step, 3]);
      const { staged } = await statusOf(output);
      expect([step, unitsOf(output), staged]).toEqual([
        step,
        [...old, '2024-01-06'],
        [expect.objectContaining({ state: 'waits', partitions: ['2024-01-05'] })],
      ]);
      expect([step, (await scoreline(['verify', output, '--all'])).exit]).toEqual([step, 0]);
    }
  }, 600_000);
});

test('a publication of something staged that is killed is whole or has not begun, and its exception stays one', async () => {
  const publish = (output: string): string[] =>
    `publish ${output} ${waiting} --because known --exception`.split(' ');
  const listed = copyOf(after);
  const steps = await namingSteps(listed, publish(listed));
  expect(steps.length).toBeGreaterThan(3);
  for (const step of steps) {
    const output = copyOf(after);
    const fired = join(output, '..', 'fired');
    const killed = await act(output, publish(output), { step, act: 'kill', fired });
    expect([step, killed.exit]).toEqual([step, null]);
    const { staged, published } = await statusOf(output);
    // Where `current` is a step behind, the next command mends it.
    const isPublished = published?.partitions === 6;
    expect([step, staged.map(({ state }) => state)]).toEqual([
      step,
      staged.length === 0 ? [] : [isPublished ? 'published' : 'waits'],
    ]);
    if (staged.length > 0) expect((await act(output, publish(output))).exit).toBe(0);
    const now = await statusOf(output);
    expect([step, now.staged, now.overridden]).toEqual([
      step,
      [],
      [{ partition: '2024-01-05', as: 'exception' }],
    ]);
    if (isPublished) expect(now.published?.snapshot).toBe(published?.snapshot);
    expect([step, unitsOf(output).length]).toEqual([step, 6]);
    expect([step, (await scoreline(['verify', output, '--all', '--repair'])).exit]).toEqual([
      step,
      0,
    ]);
  }
}, 600_000);
