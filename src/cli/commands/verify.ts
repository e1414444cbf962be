/** `scoreline verify`: is everything that was published still what it was? */
import { type Command, InvalidArgumentError } from 'commander';
import { ScorelineError, shown } from '../../base/errors.js';
import { grouped } from '../../base/grouped.js';
import type { Damage, Output, Rescored, Verification } from '../../index.js';
import { reasonOf, withOutputOptions } from '../options.js';
import type { Terminal, TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface VerifyFlags extends TerminalOptions {
  readonly all?: boolean;
  readonly repair?: boolean;
  readonly rescore?: number;
  readonly because?: string;
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
      )
      .option(
        '--rescore <share>',
        'score this share of what is published again, such as 1%, and compare every value',
        shareOf,
      )
      .option('--because <text>', 'accept records that are lost or edited, and keep why', reasonOf),
  ).action(
    async (folder: string, { all, repair, rescore: share, because, ...options }: VerifyFlags) => {
      const act = async (output: Output, terminal: Terminal): Promise<number> => {
        const { verify } = await import('../../index.js');
        const found = await verify(output, {
          now: () => new Date(),
          all: all === true,
          repair: repair === true,
          because,
        });
        const rescored =
          share === undefined ? undefined : await scoreAgain(output, share, terminal);
        terminal.result(
          [...verificationLines(found), ...(rescored === undefined ? [] : rescoredLines(rescored))],
          rescored === undefined ? found : { ...found, rescored },
        );
        const left = found.damage.filter((one) => one.repair === null);
        if (left.length > 0)
          throw new ScorelineError('environment', whatToDo(left, repair === true));
        if (rescored !== undefined) refuseDifferent(rescored);
        return 0;
      };
      exit(await withOutput(folder, options, act, { evenUnmarked: true }));
    },
  );
}

function shareOf(text: string): number {
  const percent = Number(/^(\d{1,3}(?:\.\d{1,9})?)%$/.exec(text)?.[1]);
  if (!(percent > 0 && percent <= 100))
    throw new InvalidArgumentError('expected a percentage above 0, such as 1%');
  return percent / 100;
}

async function scoreAgain(output: Output, share: number, terminal: Terminal): Promise<Rescored> {
  const { rescore } = await import('../../index.js');
  const progress = await terminal.progress();
  try {
    return await rescore(output, {
      share,
      now: () => new Date(),
      onRows: (rows, done) => (done ? progress.add(rows) : progress.start(rows)),
    });
  } finally {
    progress.stop();
  }
}

/** What differs is for a person to look at: other libraries, another processor, or somebody's edit. */
function refuseDifferent({ different, sampled, verified }: Rescored): void {
  if (different.length > 0) {
    const what =
      different.length === 1 ? '1 published file is' : `${different.length} published files are`;
    throw new ScorelineError(
      'environment',
      `${what} not what the model gives now: compare the versions in the record of the run with "scoreline doctor"`,
    );
  }
  if (verified === 0 && sampled > 0) {
    const what = sampled === 1 ? 'the task' : `none of the ${sampled} tasks`;
    throw new ScorelineError(
      'input',
      `--rescore: ${what} could ${sampled === 1 ? 'not ' : ''}be scored again: see why above`,
    );
  }
}

function rescoredLines(rescored: Rescored): string[] {
  const { different, unverified, sampled, tasks, verified, rows } = rescored;
  const text = (value: string | null): string => (value === null ? 'null' : shown(value, 60));
  return [
    ...different.flatMap(({ path, problem, values }) => [
      `${shown(path, 400)}: ${problem}`,
      ...values.map(
        ({ row, column, published, again }) =>
          `${shown(path, 400)} row ${row} column "${shown(column)}": published ${text(published)}, scored again ${text(again)}`,
      ),
    ]),
    ...unverified.map(
      ({ unit, tasks: some, why }) =>
        `${unit === '' ? '.' : shown(unit)}: ${grouped(some)} of its tasks not verified: ${why}`,
    ),
    `${grouped(verified)} of ${grouped(sampled)} tasks verified (${grouped(rows)} rows compared), of ${grouped(tasks)} that are published`,
  ];
}

function whatToDo(left: readonly Damage[], repaired: boolean): string {
  const what = left.length === 1 ? '1 file is damaged' : `${left.length} files are damaged`;
  const lost = repaired ? /^runs\// : /^runs\/(?:(?:chain|jobs)\/|[^/]+\/report\.)/;
  if (left.every(({ path }) => lost.test(path)))
    return `${what}: records are never mended; bring them back from a copy, or say --because`;
  return repaired
    ? `${what}: run the job again, then verify; what has no input any more, "scoreline revert" or a copy brings back`
    : `${what}: see "scoreline verify --repair"`;
}

function verificationLines(found: Verification): string[] {
  const { damage, files, bytes, snapshots, records, newestRecord, accepted } = found;
  const mebibytes = grouped(Math.ceil(bytes / 2 ** 20));
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
      : [
          `${grouped(records)} records, the newest ${newestRecord}${accepted === 0 ? '' : `; damaged and accepted: ${accepted}`}`,
        ]),
    `${grouped(files)} files looked at, ${mebibytes} MiB read: ${which}; ${damage.length === 0 ? 'no damage' : `damaged: ${damage.length}`}`,
  ];
}
