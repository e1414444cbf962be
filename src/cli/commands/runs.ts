/** `scoreline runs`: the history of an output. */
import type { Command } from 'commander';
import { firstLine, shown } from '../../base/errors.js';
import { grouped } from '../../base/grouped.js';
import type { HistoryEntry } from '../../index.js';
import { withOutputOptions } from '../options.js';
import type { Terminal, TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface RunsOptions extends TerminalOptions {
  readonly html?: boolean;
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
        const history = await readHistory(output);
        terminal.result(historyLines(history, terminal), history);
        return 0;
      }),
    );
  });
}

function historyLines(history: readonly HistoryEntry[], terminal: Terminal): string[] {
  if (history.length === 0) return ['no run yet'];
  const rows = history.map((entry) => [
    entry.runId,
    `${entry.at.slice(0, 10)} ${entry.at.slice(11, 19)}`,
    shown(entry.command, 20),
    shown(entry.verdict, 20),
    entry.rows === null ? '' : grouped(entry.rows),
    entry.wallMs === null ? '' : (entry.wallMs / 1000).toFixed(1),
    entry.snapshot === null ? '' : String(entry.snapshot),
    noteOf(entry),
  ]);
  const head = ['run', 'when (UTC)', 'what', 'verdict', 'rows', 'seconds', 'snapshot', 'note'];
  return terminal.table([head, ...rows], [0, 1, 2, 3, 7]);
}

function noteOf({ subject, because, error }: HistoryEntry): string {
  const notes = [
    subject === null ? '' : `of ${shown(subject, 40)}`,
    because === null ? '' : `because ${shown(because)}`,
    error === null ? '' : shown(firstLine(error)),
  ];
  return notes.filter((note) => note !== '').join('; ');
}
