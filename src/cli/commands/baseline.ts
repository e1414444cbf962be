/** `scoreline baseline`: statistics in a file of their own, to compare later runs with. */
import type { Command } from 'commander';
import { withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

/** Adds the command. */
export function addBaseline(program: Command, exit: (code: number) => void): void {
  const baseline = program
    .command('baseline')
    .summary('keep statistics to compare later runs with')
    .description(
      'Keeps the statistics of what is published in a file, for `baseline: { file: … }`.',
    );
  withOutputOptions(
    baseline
      .command('save <output> <file>')
      .summary('save the statistics of what is published')
      .description(
        'Saves the statistics of all that is published in a file. No data is read again.',
      ),
  ).action(async (folder: string, file: string, options: TerminalOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { plural, saveBaseline } = await import('../../index.js');
        const saved = await saveBaseline(output, file);
        const rows = plural(saved.rows, 'row');
        terminal.result([`saved ${rows} in ${plural(saved.units, 'partition')}: ${file}`], saved);
        return 0;
      }),
    );
  });
}
