/** `scoreline current`: where the published data is. */
import type { Command } from 'commander';
import { withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

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
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { currentPath } = await import('../../index.js');
        const path = await currentPath(output);
        terminal.result([path], { path });
        return 0;
      }),
    );
  });
}
