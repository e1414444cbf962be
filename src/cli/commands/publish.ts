/** `scoreline publish` and `scoreline discard`: what becomes of what a run staged. */
import { type Command, Option } from 'commander';
import { reasonOf, withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

type ActOptions = TerminalOptions & { readonly because?: string };
type PublishOptions = ActOptions & { readonly exception?: boolean; readonly newNormal?: boolean };

/** Adds the command. */
export function addPublish(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('publish <output> <run>')
      .summary('publish what a run staged')
      .description(
        'Publishes what a run staged because a gate failed, as the next snapshot. A partition that another run published since with other content is a conflict.',
      )
      .option(
        '--because <text>',
        'why: kept in the history; needed for what a gate stopped or was reverted',
        reasonOf,
      )
      .addOption(
        new Option(
          '--exception',
          'what failed is never a baseline of later runs; so by itself',
        ).conflicts('newNormal'),
      )
      .option('--new-normal', 'what failed and later data are the baseline from now on'),
  ).action(async (folder: string, run: string, options: PublishOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { actLines, publishStaged } = await import('../../index.js');
        const { because, exception, newNormal } = options;
        const as = newNormal === true ? 'new-normal' : exception === true ? 'exception' : undefined;
        const report = await publishStaged(output, run, { now: () => new Date(), because, as });
        terminal.result(actLines(report), report);
        return 0;
      }),
    );
  });
}

/** Adds the command. */
export function addDiscard(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('discard <output> <run>')
      .summary('remove what a run staged')
      .description('Removes what a run staged because a gate failed. What it scored is kept.')
      .option('--because <text>', 'why: kept in the history', reasonOf),
  ).action(async (folder: string, run: string, options: ActOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { actLines, discardStaged } = await import('../../index.js');
        const { because } = options;
        const report = await discardStaged(output, run, { now: () => new Date(), because });
        terminal.result(actLines(report), report);
        return 0;
      }),
    );
  });
}
