/** What a person does with an output after its runs. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, withReport } from '../job-case.js';
import { makeFolder, scoreline } from '../scoreline.js';

/** Writes a CSV file of a job's input, one row for each value of `a`. */
function write(job: JobCase, name: string, values: readonly (number | string)[]): void {
  mkdirSync(join(job.input, name, '..'), { recursive: true });
  writeFileSync(join(job.input, name), `a,b\n${values.map((a) => `${a},1\n`).join('')}`);
}

/** A command about a job's output, and what it printed for machines. */
async function command(job: JobCase, name: string, ...args: string[]) {
  return withReport<unknown>(await scoreline([name, job.output, '--json', ...args]));
}

describe('scoreline runs', () => {
  test('lists what was published, unchanged, and failed, the newest last', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1, 2]);
    await job.run();
    await job.run();
    writeFileSync(join(job.input, 'y.csv'), 'a\n1\n');
    expect((await job.run()).exit).toBe(4);
    const { exit, report } = await command(job, 'runs');
    expect(exit).toBe(0);
    expect(report).toMatchObject([
      { command: 'run', verdict: 'published', rows: 2, snapshot: 1 },
      { verdict: 'unchanged', rows: 2, snapshot: 1 },
      { verdict: 'failed', rows: 0, snapshot: 1, error: expect.stringMatching(/^y\.csv: /) },
    ]);
    const { stdout } = await scoreline(['runs', job.output]);
    expect(stdout.split('\n')[0]).toMatch(/^run +when \(UTC\) +what +verdict +rows +seconds/);
    expect(stdout.split('\n')).toHaveLength(5);
  });

  test('escapes what a record holds for the terminal', async () => {
    const job = makeCase();
    write(job, 'x.csv', [1]);
    const runId = '20130601T020000Z-k3f9';
    await job.run();
    mkdirSync(join(job.output, 'runs', runId));
    writeFileSync(
      join(job.output, 'runs', runId, 'run.json'),
      JSON.stringify({
        format: 1,
        runId,
        outcome: '\x1b[31m',
        times: { wall: 1 },
        error: '\u202e\x07',
      }),
    );
    const { stdout } = await scoreline(['runs', job.output]);
    expect(stdout).toContain('\\u{1b}[31m');
    expect(stdout).toContain('\\u{202e}\\u{7}');
    expect([...stdout].filter((c) => c < ' ' && c !== '\n')).toEqual([]);
  });

  test('refuses a folder that is no output', async () => {
    const folder = makeFolder();
    const nothing = await scoreline(['runs', folder]);
    expect(nothing).toMatchObject({
      exit: 4,
      stdout: '',
      stderr: `scoreline: ${folder}: no scoreline output there\n`,
    });
  });
});
