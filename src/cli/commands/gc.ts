/** `scoreline gc`: removes what nothing needs any more. */

import { type Command, InvalidArgumentError } from 'commander';
import { grouped } from '../../base/grouped.js';
import type { GcReport } from '../../index.js';
import { withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface GcFlags extends TerminalOptions {
  readonly keep?: number;
  readonly dryRun?: boolean;
}

/** Adds the command. */
export function addGc(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('gc <output>')
      .summary('remove old snapshots and what nothing needs any more')
      .description(
        'Removes all but the newest snapshots, what is stored for none of them and was not used for seven days, and leftovers of ' +
          'processes that are gone. What is published and what is staged stays. Harmless while jobs run.',
      )
      .option('--keep <n>', 'how many snapshots to keep (default: 10)', count)
      .option('--dry-run', 'only say what would be removed'),
  ).action(async (folder: string, { keep, dryRun, ...options }: GcFlags) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { gc, KEEP_SNAPSHOTS } = await import('../../index.js');
        const report = await gc(output, {
          keep: keep ?? KEEP_SNAPSHOTS,
          dryRun: dryRun === true,
          now: () => new Date(),
        });
        terminal.result([await line(report)], report);
        return 0;
      }),
    );
  });
}

function count(text: string): number {
  if (!/^[1-9]\d{0,8}$/.test(text)) throw new InvalidArgumentError('expected a number from 1');
  return Number(text);
}

async function line(report: GcReport): Promise<string> {
  const { plural } = await import('../../index.js');
  const { snapshots, parts, scores, csv, temporary, bytes, dryRun } = report;
  const which = snapshots.length === 0 ? '' : ` (${snapshots[0]} to ${snapshots.at(-1)})`;
  return (
    `${dryRun ? 'would remove' : 'removed'} ${plural(snapshots.length, 'snapshot')}${which}, ${plural(parts, 'part')}, ` +
    `scores of ${plural(scores, 'task')}, ${plural(csv, 'converted CSV file')}, ${plural(temporary, 'temporary folder')}: ` +
    `${grouped(Math.ceil(bytes / 2 ** 20))} MiB`
  );
}
