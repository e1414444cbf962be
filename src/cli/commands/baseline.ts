/** `scoreline baseline`: statistics in a file of their own, to compare later runs with. */
import type { Command } from 'commander';
import { ScorelineError, shown } from '../../base/errors.js';
import type { SelectionOptions } from '../../index.js';
import {
  type JobOptions,
  overridesOf,
  withJobOptions,
  withOutputOptions,
  withSelectionOptions,
} from '../options.js';
import type { Terminal, TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';
import { withRun } from '../with-run.js';

interface FromOptions extends JobOptions, SelectionOptions {
  readonly job: string;
  readonly output?: string;
}

/** Adds the command. */
export function addBaseline(program: Command, exit: (code: number) => void): void {
  const baseline = program
    .command('baseline')
    .summary('keep statistics to compare later runs with')
    .description(
      'Keeps the statistics of what is published, or of other data, in a file: for `baseline: { file: … }`, and to compare with.',
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
        const { saveBaseline } = await import('../../index.js');
        await say(terminal, await saveBaseline(output, file), file);
        return 0;
      }),
    );
  });
  withOutputOptions(
    withSelectionOptions(
      withJobOptions(
        baseline
          .command('from <data>')
          .summary('save the statistics of other data, such as training data')
          .description(
            "Scores data with a job's model and saves the statistics of its features and predictions. Nothing else is kept of it.",
          )
          .requiredOption('--job <file>', 'the job file')
          .option('-o, --output <file>', 'where to save it; without it, what baseline.file names'),
      ),
    ),
  ).action(async (data: string, options: FromOptions) => {
    const { baselineFrom, loadJob, RunFailed, selectionOf } = await import('../../index.js');
    exit(
      await withRun(options, {
        act: async (tools) => {
          const job = await loadJob(options.job, overridesOf(options));
          const named = typeof job.baseline === 'object' && 'file' in job.baseline;
          const file = options.output ?? (named ? job.baseline.file : undefined);
          if (file === undefined)
            throw new ScorelineError(
              'usage',
              'where is the baseline to go? Say --output, or baseline: { file: … } in the job',
            );
          const selection = selectionOf(options);
          return { saved: await baselineFrom(job, { data, file }, { ...tools, selection }), file };
        },
        show: async ({ saved, file }, terminal) => {
          await say(terminal, saved, file);
          return 0;
        },
        fail: async (error) => (error instanceof RunFailed ? error.cause : error),
      }),
    );
  });
}

async function say(
  terminal: Terminal,
  saved: { readonly rows: number; readonly units: number },
  file: string,
): Promise<void> {
  const { plural } = await import('../../index.js');
  const rows = plural(saved.rows, 'row');
  terminal.result([`saved ${rows} in ${plural(saved.units, 'partition')}: ${shown(file)}`], saved);
}
