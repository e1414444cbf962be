/** What a person sees at a terminal, and what a pipe gets. */
import { cpSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { type JobCase, makeCase, modelPath } from '../job-case.js';
import { atTerminal } from '../pty.js';
import { FIXTURES, scoreline } from '../scoreline.js';

const ESCAPE = String.fromCharCode(27);
const HIDES = `${ESCAPE}[?25l`;
const SHOWS = `${ESCAPE}[?25h`;
/** What begins where the bar is gone. */
const CLEARED = `${ESCAPE}[1G${ESCAPE}[2K`;
/** A sequence that sets a colour, or bold and the like. */
const COLOUR = new RegExp(`${ESCAPE}\\[[\\d;:]*m`);
/** All that a terminal does not just show. */
const CONTROL = /[^\P{Cc}\n]/u;

/** The names of columns that a narrow terminal does not show where nothing is in them. */
const EMPTY_COLUMNS = ['categories', 'note', 'remark', 'missing'];

/** A job with flights of two months and a column of text. */
function makeFlights(): JobCase {
  const features = ['month', 'day', 'weekday', 'hour', 'minute', 'dep_delay', 'distance'];
  return makeCase({
    name: 'flights',
    input: { path: 'in', key: 'flight_id', where: 'cancelled = false' },
    model: { path: modelPath('flights') },
    features: [
      ...features,
      ...['air_time', 'carrier_code', 'origin_code', 'dest_code', 'sched_arr_time'],
    ],
    output: { path: 'out', keep: ['flight_id'], columns: { delay_minutes: 'variable' } },
    run: { workers: 2 },
  });
}

const addMonth = (job: JobCase, month: number): void => {
  const name = `month=${month}`;
  cpSync(join(FIXTURES, 'flights', name), join(job.input, name), { recursive: true });
};

/** The states of a bar: what was written between one return to the first column and the next. */
const bars = (text: string): string[] =>
  text
    .split(`${ESCAPE}[1G`)
    .filter((part) => part.endsWith(`${ESCAPE}[0K`) || part.includes(`${ESCAPE}[0K${SHOWS}`))
    .map((part) => part.split(`${ESCAPE}[0K`)[0] ?? '');

describe('a run', () => {
  test('shows a bar that fits a terminal of 60 columns, and takes it away', async () => {
    const job = makeFlights();
    for (const month of [1, 2, 3]) addMonth(job, month);
    const { exit, text } = await atTerminal(['run', job.jobFile], { columns: 60 });
    expect(exit).toBe(0);
    const states = bars(text);
    expect(states.length).toBeGreaterThan(2);
    expect(states[0]).toBe(`${'-'.repeat(25)} 0 % | 0 of 80,789 rows | 0 rows/s`);
    expect(states.at(-1)).toMatch(/^=+ 100 % \| 80,789 of 80,789 rows \| 0 s left$/);
    for (const state of states) expect(state).toMatch(/^=*-* \d+ % \| .{1,57}$/);
    expect(states.filter(({ length }) => length > 60)).toEqual([]);
    expect(text.split(HIDES)).toHaveLength(2);
    const [, after = ''] = text.split(SHOWS);
    const [, result = ''] = after.split(CLEARED);
    expect(result).toMatch(/^rows {7}80,789 = 78/);
    expect(result).not.toMatch(CONTROL);
  });

  test('shows no bar to a pipe, with --quiet, or with JSON for a log: there are lines every five seconds', async () => {
    const job = makeFlights();
    for (const month of [1, 2]) addMonth(job, month);
    // Scoring row by row takes long enough.
    const slowly = [
      '--workers',
      '1',
      '--set',
      'run.batch_rows=1',
      '--set',
      'run.engine=onnxruntime',
    ];
    const { exit, stdout, stderr } = await scoreline(['run', job.jobFile, ...slowly]);
    expect([exit, stdout]).toEqual([0, expect.stringMatching(/^rows /)]);
    const lines = stderr.split('\n');
    expect(lines.pop()).toBe('');
    expect(lines.length).toBeGreaterThan(0);
    for (const line of lines)
      expect(line).toMatch(/^\d+ %, [\d,]+ of 51,955 rows, [\d,]+ rows\/s(?:, \d+ s left)?$/);

    addMonth(job, 4);
    const quiet = await atTerminal(['run', job.jobFile, '--quiet'], { columns: 60 });
    expect(quiet).toEqual({ exit: 0, text: '' });
    addMonth(job, 5);
    const log = ['--log-format', 'json'];
    expect((await atTerminal(['run', job.jobFile, ...log], { columns: 60 })).text).not.toMatch(
      CONTROL,
    );
  });

  test('that is interrupted gives the terminal back, also at once', async () => {
    const job = makeFlights();
    for (const month of [1, 2, 3, 4, 5, 6]) addMonth(job, month);
    const once = await atTerminal(['run', job.jobFile], {
      columns: 60,
      types: [['0 of ', '\u0003']],
    });
    expect(once.exit).toBe(130);
    // What is said while the bar is there has a line of its own, and stays.
    const said = `${CLEARED}interrupted: tasks that run may end, the next signal stops them\n`;
    expect(once.text).toContain(said);
    const last = `${CLEARED}interrupted: the same command goes on where this one stopped\n`;
    expect(once.text.slice(once.text.lastIndexOf(SHOWS))).toContain(last);

    const twice = await atTerminal(['run', job.jobFile, '--workers', '1'], {
      columns: 60,
      types: [
        ['0 of ', '\u0003'],
        ['interrupted', '\u0003'],
      ],
    });
    expect(twice.exit).toBe(130);
    expect(twice.text.split(HIDES)).toHaveLength(3);
    expect(twice.text.slice(twice.text.lastIndexOf(HIDES))).toContain(`${SHOWS}${ESCAPE}[?7h`);
  });
});

describe('what commands print', () => {
  const job = makeFlights();
  const commands = [
    ['--help'],
    ['run', '--help'],
    ['run', job.jobFile, '--nonsense'],
    ['run', join(job.folder, 'none.yaml')],
    ['plan', job.jobFile],
    ['check', job.jobFile],
    ['runs', job.output],
    ['compare', job.output],
    ['verify', job.output],
    ['gc', job.output, '--dry-run'],
    ['inspect', join(FIXTURES, 'flights/month=1/flights.parquet')],
    ['inspect', modelPath('flights')],
    ['explain-exit', '6'],
    ['doctor'],
  ].map((args) => ({ line: args.join(' ').replaceAll(`${job.folder}/`, ''), args }));
  beforeAll(async () => {
    for (const month of [1, 2]) {
      addMonth(job, month);
      expect((await job.run()).exit).toBe(0);
    }
    addMonth(job, 3);
    expect((await scoreline(['check', job.jobFile, '--record'])).exit).toBe(0);
  });

  test.each(commands)(
    'has no control characters in a pipe, and at 60 columns all words and no colour: $line',
    async ({ args }) => {
      const piped = await scoreline(args, { env: { FORCE_COLOR: '1', NO_COLOR: '' } });
      const { stdout, stderr } = piped;
      expect(`${stdout}${stderr}`.length).toBeGreaterThan(20);
      expect(`${stdout}${stderr}`).not.toMatch(CONTROL);

      const { exit, text } = await atTerminal(args, { columns: 60, env: { NO_COLOR: '1' } });
      expect(exit).toBe(piped.exit);
      expect(text).not.toMatch(COLOUR);
      const last = text.split(CLEARED).at(-1) ?? '';
      expect(last).not.toMatch(CONTROL);
      // Numbers of the machine change from one moment to the next.
      const words = (all: string): string[] => all.replaceAll(/\d+/g, '0').split(/\s+/).toSorted();
      const lost = words(`${stdout}${stderr}`).filter((word) => !words(last).includes(word));
      expect(lost.filter((word) => !EMPTY_COLUMNS.includes(word))).toEqual([]);
      const whole = (line: string): boolean =>
        stderr.includes(line) || /^ {2}scoreline |# |\S{36}/.test(line);
      expect(last.split('\n').filter((line) => line.length > 60 && !whole(line))).toEqual([]);
    },
  );

  test('is not wrapped where the size of the terminal is not known, nor as JSON', async () => {
    const { stdout } = await scoreline(['runs', job.output]);
    expect(Math.max(...stdout.split('\n').map(({ length }) => length))).toBeGreaterThan(80);
    const unknown = await atTerminal(['runs', job.output], { columns: 0 });
    expect(unknown).toEqual({ exit: 0, text: stdout });
    const { text } = await atTerminal(['runs', job.output, '--json'], { columns: 30 });
    expect(text).toBe((await scoreline(['runs', job.output, '--json'])).stdout);
  });
});
