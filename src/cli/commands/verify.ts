/** `scoreline verify`: is everything that was published still what it was? */
import type { Command } from 'commander';
import { ScorelineError, shown } from '../../base/errors.js';
import type { Damage, Verification } from '../../index.js';
import { withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface VerifyFlags extends TerminalOptions {
  readonly all?: boolean;
  readonly repair?: boolean;
}

/** Adds the command. */
export function addVerify(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('verify <output>')
      .summary('look for damage in what is published and stored')
      .description(
        'Compares what is published, and all that is stored, with the digests that were recorded, and the records with their chain; names each file that is damaged or missing.',
      )
      .option('--all', 'look at older snapshots too, and at what is staged')
      .option(
        '--repair',
        'remove what is damaged from the store, and publish anew what is there whole; the next run makes the rest again',
      ),
  ).action(async (folder: string, { all, repair, ...options }: VerifyFlags) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { verify } = await import('../../index.js');
        const found = await verify(output, {
          now: () => new Date(),
          all: all === true,
          repair: repair === true,
        });
        terminal.result(verificationLines(found), found);
        const left = found.damage.filter((one) => one.repair === null);
        if (left.length > 0)
          throw new ScorelineError('environment', whatToDo(left, repair === true));
        return 0;
      }),
    );
  });
}

function whatToDo(left: readonly Damage[], repaired: boolean): string {
  const what = left.length === 1 ? '1 file is damaged' : `${left.length} files are damaged`;
  if (left.every(({ path }) => /^runs\/(?:chain|jobs)\//.test(path)))
    return `${what}: records are never mended; only a copy brings back what they were`;
  return repaired
    ? `${what}: run the job again, then verify; what has no input any more, "scoreline revert" or a copy brings back`
    : `${what}: see "scoreline verify --repair"`;
}

function verificationLines(found: Verification): string[] {
  const { damage, files, bytes, snapshots, records, newestRecord } = found;
  const mebibytes = Math.ceil(bytes / 2 ** 20).toLocaleString('en-US');
  const which =
    snapshots.length === 0
      ? 'nothing is published'
      : `snapshot ${snapshots.length === 1 ? snapshots[0] : `${snapshots[0]} to ${snapshots.at(-1)}`} and the store`;
  return [
    ...damage.map(
      ({ path, problem, repair }) =>
        `${shown(path, 400)}: ${problem}${repair === null ? '' : ` (${repair})`}`,
    ),
    ...(newestRecord === null
      ? []
      : [`${records.toLocaleString('en-US')} records, the newest ${newestRecord}`]),
    `${files.toLocaleString('en-US')} files looked at, ${mebibytes} MiB read: ${which}; ${damage.length === 0 ? 'no damage' : `damaged: ${damage.length}`}`,
  ];
}
