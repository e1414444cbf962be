/** `scoreline run`: scores what is missing and publishes. */
import type { Command } from 'commander';
import type { SelectionOptions } from '../../index.js';
import {
  type JobOptions,
  overridesOf,
  reasonOf,
  shardOf,
  withJobOptions,
  withMetricsOption,
  withOutputOptions,
  withSelectionOptions,
} from '../options.js';
import { runAndReport } from '../run-and-report.js';

interface RunCommandOptions extends JobOptions, SelectionOptions {
  readonly skipUnchanged?: boolean;
  readonly because?: string;
  readonly keepGoing?: boolean;
  readonly publishPassing?: boolean;
  readonly prune?: boolean;
  readonly adopt?: boolean;
  readonly shard?: ReturnType<typeof shardOf>;
  readonly metrics?: string;
}

/** Adds the command. */
export function addRun(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    withMetricsOption(
      withSelectionOptions(
        withJobOptions(
          program
            .command('run <job>')
            .summary('score every partition that needs it and publish')
            .description(
              'Scores every partition of a job file that needs it, and publishes all of them in one step, or none. ' +
                'The same command again does what is missing, or nothing.',
            )
            .option('--skip-unchanged', 'exit with 99 instead of 0 when nothing was to do')
            .option(
              '--keep-going',
              'publish the partitions that can be scored also when others cannot; the exit code is that of the worst',
            )
            .option(
              '--publish-passing',
              'publish the days that pass the gates and stage the others; the exit code is 3',
            )
            .option(
              '--prune',
              'drop partitions that are published and in the input no longer; never outside the selection',
            )
            .option('--adopt', 'take over an output folder that belongs to another job')
            .option('--because <text>', 'publish also what was reverted, and keep why', reasonOf)
            .option('--shard <i/n>', 'score a share of the tasks and publish nothing', shardOf),
        ),
      ),
    ),
  ).action(async (file: string, options: RunCommandOptions) => {
    const load = async () => (await import('../../index.js')).loadJob(file, overridesOf(options));
    exit(await runAndReport(load, options));
  });
}
