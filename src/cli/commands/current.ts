/** `scoreline current`: where the published data is. */
import { resolve } from 'node:path';
import type { Command } from 'commander';
import { ScorelineError, shown } from '../../base/errors.js';
import { withOutputOptions } from '../options.js';
import { Terminal, type TerminalOptions } from '../terminal.js';

/** Adds the command. */
export function addCurrent(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('current <output>')
      .summary('print the path of what is published')
      .description(
        'Prints the path of the published snapshot, links resolved: a reader that follows it sees one snapshot, whatever is published meanwhile.',
      ),
  ).action(async (folder: string, options: TerminalOptions) => {
    const terminal = new Terminal(options);
    await terminal.open();
    try {
      const { Output, currentPath } = await import('../../index.js');
      const output = await Output.find(resolve(folder));
      if (output === undefined)
        throw new ScorelineError('input', `${shown(folder)}: no scoreline output there`);
      const path = await currentPath(output);
      terminal.result([path], { path });
      exit(0);
    } catch (error) {
      exit(terminal.fail(error));
    }
  });
}
