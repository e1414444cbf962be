/** `scoreline explain-exit`: what an exit code means, and what to do. */
import type { Command } from 'commander';
import { EXITS, ScorelineError, shown } from '../../base/errors.js';
import { withOutputOptions } from '../options.js';
import { Terminal, type TerminalOptions } from '../terminal.js';

/** Adds the command. */
export function addExplainExit(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('explain-exit <code>')
      .summary('say what an exit code means and what to do')
      .description(
        'Says what an exit code of scoreline means, whether to try again, and what to do about it.',
      ),
  ).action(async (code: string, options: TerminalOptions) => {
    const terminal = new Terminal(options);
    await terminal.open();
    const row = EXITS.find((known) => String(known.exit) === code);
    if (row === undefined) {
      const known = EXITS.map((one) => one.exit).join(', ');
      const problem = `exit code ${shown(code)}: none of scoreline's; expected one of ${known}`;
      exit(terminal.fail(new ScorelineError('usage', problem)));
      return;
    }
    const again = row.retry ? 'yes, the same command' : row.exit % 99 === 0 ? 'no need' : 'no';
    terminal.result(
      [
        `exit code   ${row.exit}: ${row.meaning}`,
        `retry       ${again}`,
        `what to do  ${row.whatToDo}`,
      ],
      row,
    );
    exit(0);
  });
}
