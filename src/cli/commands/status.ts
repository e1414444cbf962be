/** `scoreline status`: what an output holds, what waits for a person, and what to type next. */
import type { Command } from 'commander';
import { withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

/** Adds the command. */
export function addStatus(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('status <output>')
      .summary('show what is published, what waits, and what to type next')
      .description(
        'Shows what is published, what is staged and waits for a decision, when a run last succeeded, how the last one ended, and the commands to type next.',
      ),
  ).action(async (folder: string, options: TerminalOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { statusLines, statusOf } = await import('../../index.js');
        const status = await statusOf(output, folder);
        terminal.result(statusLines(status), status);
        return 0;
      }),
    );
  });
}
