/** `scoreline revert`: an older snapshot's content again. */
import { type Command, InvalidArgumentError } from 'commander';
import { reasonOf, withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface RevertOptions extends TerminalOptions {
  readonly to?: number;
  readonly because?: string;
}

/** Adds the command. */
export function addRevert(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('revert <output>')
      .summary('publish the content of an older snapshot again')
      .description(
        'Publishes the content of an older snapshot again, as a new one: that before, or the one that --to names. ' +
          'What it takes back is not published again by the next run, unless data, model or job change or --because is given.',
      )
      .option(
        '--to <number>',
        'the number of the snapshot; without it the one before',
        snapshotNumber,
      )
      .option('--because <text>', 'why: kept in the history', reasonOf),
  ).action(async (folder: string, options: RevertOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { actLines, revert } = await import('../../index.js');
        const { to, because } = options;
        const report = await revert(output, to, { now: () => new Date(), because });
        terminal.result(actLines(report), report);
        return 0;
      }),
    );
  });
}

function snapshotNumber(text: string): number {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('expected the number of a snapshot');
  return Number(text);
}
