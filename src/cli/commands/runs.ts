/** `scoreline runs`: the history of an output. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import { firstLine, shown } from '../../base/errors.js';
import { grouped } from '../../base/grouped.js';
import type { HistoryEntry } from '../../index.js';
import { withOutputOptions } from '../options.js';
import type { Terminal, TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface RunsOptions extends TerminalOptions {
  readonly html?: boolean;
  readonly last?: number;
  readonly since?: string;
  readonly failed?: boolean;
}

/** Adds the command. */
export function addRuns(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('runs <output>')
      .summary('show the history of an output')
      .description(
        'Shows every run of an output and what came of it, the newest last: the snapshot is the one that was published after it.',
      )
      .addOption(
        new Option('--last <number>', 'only the newest so many, after the other filters')
          .argParser(countOf)
          .conflicts('html'),
      )
      .addOption(
        new Option('--since <date>', 'only those since a day, as 2013-06-01 (UTC)')
          .argParser(dayOf)
          .conflicts('html'),
      )
      .addOption(
        new Option(
          '--failed',
          'only those that did not end well: failed, staged, partial, killed',
        ).conflicts('html'),
      )
      .option('--html', 'write a page on how every metric went, and print its path'),
  ).action(async (folder: string, options: RunsOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { readHistory, writeTrend } = await import('../../index.js');
        if (options.html === true) {
          const written = await writeTrend(output);
          terminal.result([written.path], written);
          return 0;
        }
        const all = await readHistory(output);
        const history = wanted(all, options);
        const lines = all.length === 0 ? ['no run yet'] : historyLines(history, terminal);
        terminal.result(lines, history);
        return 0;
      }),
    );
  });
}

/** The verdicts of runs and acts that ended well. */
const GOOD = ['published', 'unchanged', 'scored', 'discarded', 'reverted', 'repaired', 'accepted'];

function wanted(
  history: readonly HistoryEntry[],
  { last, since, failed }: RunsOptions,
): readonly HistoryEntry[] {
  const found = history.filter(
    ({ at, verdict }) =>
      (since === undefined || at >= since) && (failed !== true || !GOOD.includes(verdict)),
  );
  return last === undefined ? found : found.slice(-last);
}

function countOf(text: string): number {
  if (/^[1-9]\d{0,8}$/.test(text)) return Number(text);
  throw new InvalidArgumentError('expected a number of runs, such as 10');
}

function dayOf(text: string): string {
  if (/^\d{4}-\d\d-\d\d$/.test(text) && !Number.isNaN(Date.parse(text))) return text;
  throw new InvalidArgumentError('expected a day, such as 2013-06-01');
}

function historyLines(history: readonly HistoryEntry[], terminal: Terminal): string[] {
  if (history.length === 0) return ['no such run'];
  const count = (value: number | null): string => (value === null ? '' : grouped(value));
  const rows = history.map((entry) => [
    entry.runId,
    `${entry.at.slice(0, 10)} ${entry.at.slice(11, 19)}`,
    shown(entry.command, 20),
    verdictOf(entry),
    count(entry.rows),
    count(entry.scored),
    count(entry.quarantined),
    entry.wallMs === null ? '' : (entry.wallMs / 1000).toFixed(1),
    entry.snapshot === null ? '' : String(entry.snapshot),
    noteOf(entry),
  ]);
  return terminal.table([HEAD, ...rows], [0, 1, 2, 3, 9]);
}

const HEAD = [
  'run',
  'when (UTC)',
  'what',
  'verdict',
  'rows',
  'scored',
  'quarantined',
  'seconds',
  'snapshot',
  'note',
];

/** How a run ended; of one that was staged, that it is no longer. */
function verdictOf({ verdict, staged }: HistoryEntry): string {
  const isOver = verdict === 'staged' && staged !== null && staged.state !== 'waits';
  return isOver ? 'was staged' : shown(verdict, 20);
}

function noteOf({ runId, subject, because, override, staged, error }: HistoryEntry): string {
  const notes = [
    staged === null ? '' : stagedNote(runId, staged),
    subject === null ? '' : `of ${shown(subject, 40)}`,
    override === null ? '' : `as ${shown(override, 20)}`,
    because === null ? '' : `because ${shown(because)}`,
    error === null ? '' : shown(firstLine(error)),
  ];
  return notes.filter((note) => note !== '').join('; ');
}

function stagedNote(runId: string, { run, state }: NonNullable<HistoryEntry['staged']>): string {
  const of = run === runId ? '' : ` as ${shown(run, 40)}`;
  return state === 'waits' ? `waits for publish or discard${of}` : `${state} since${of}`;
}
