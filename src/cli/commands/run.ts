/** `scoreline run`: scores what is missing and publishes. */
import type { Command } from 'commander';
import { type JobOptions, overridesOf, withJobOptions, withOutputOptions } from '../options.js';
import { runAndReport } from '../run-and-report.js';

interface RunOptions {
  readonly skipUnchanged?: boolean;
  readonly because?: string;
}

/** Adds the command. */
export function addRun(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    withJobOptions(
      program
        .command('run <job>')
        .summary('score every partition that needs it and publish')
        .description(
          'Scores every partition of a job file that needs it, and publishes all of them in one step, or none. ' +
            'The same command again does what is missing, or nothing.',
        )
        .option('--skip-unchanged', 'exit with 99 instead of 0 when nothing was to do')
        .option('--because <text>', 'publish also what was reverted, and keep why'),
    ),
  ).action(async (file: string, options: JobOptions & RunOptions) => {
    const load = async () => (await import('../../index.js')).loadJob(file, overridesOf(options));
    exit(await runAndReport(load, options));
  });
}
