/** Runs a job for a command, and prints its report. */
import { ScorelineError } from '../base/errors.js';
import type { Job, RunReport, SelectionOptions } from '../index.js';
import type { Terminal, TerminalOptions } from './terminal.js';
import { withRun } from './with-run.js';

/** Runs a job; returns the exit code. */
export async function runAndReport(
  load: () => Promise<Job>,
  options: TerminalOptions &
    SelectionOptions & {
      readonly skipUnchanged?: boolean;
      readonly because?: string;
      readonly keepGoing?: boolean;
      readonly publishPassing?: boolean;
      readonly prune?: boolean;
      readonly adopt?: boolean;
      readonly shard?: { readonly index: number; readonly count: number };
      readonly metrics?: string;
    },
): Promise<number> {
  const { checkMetricsPath, runJob, RunFailed, selectionOf } = await import('../index.js');
  const started = new Date();
  let job: Job | undefined;
  let run: RunReport | undefined;
  let metrics: string | undefined;
  return withRun(options, {
    act: async (tools) => {
      if (options.metrics !== undefined && options.shard !== undefined) {
        throw new ScorelineError(
          'usage',
          '--metrics: does not go with --shard, which publishes nothing; give it to the run that publishes',
        );
      }
      job = await load();
      if (options.metrics !== undefined) await checkMetricsPath(options.metrics);
      metrics = options.metrics;
      try {
        run = await runJob(job, {
          ...tools,
          selection: selectionOf(options),
          shard: options.shard,
          keepGoing: options.keepGoing,
          publishPassing: options.publishPassing,
          prune: options.prune,
          adopt: options.adopt,
          because: options.because,
        });
        return run;
      } catch (error) {
        if (error instanceof RunFailed) run = error.report;
        throw error;
      }
    },
    show: async (report, terminal) => {
      await print(terminal, report);
      return report.outcome === 'unchanged' && options.skipUnchanged === true ? 99 : 0;
    },
    fail: async (error, terminal) => {
      if (!(error instanceof RunFailed)) return error;
      // What was published or staged is a result, whatever else failed.
      if (options.json === true || ['partial', 'staged'].includes(error.report.outcome))
        await print(terminal, error.report);
      return error.cause;
    },
    notes: async () => {
      // In a mail and a log nobody sees which job it was; at a terminal the error alone is read.
      const isStaged = run !== undefined && run.staged !== null;
      const isUnattended = options.quiet === true || options.logFormat === 'json';
      if (job === undefined || !(isStaged || isUnattended)) return undefined;
      const { notesOnFailure } = await import('../index.js');
      return notesOnFailure(job, run);
    },
    after: async (exit, terminal) => {
      // Where the command or the job file is wrong there was no run to tell of.
      if (metrics === undefined || job === undefined || exit === 2) return exit;
      const { writeMetrics } = await import('../index.js');
      try {
        const ended = new Date();
        await writeMetrics({ path: metrics, job, started, ended, exit, run });
        return exit;
      } catch (error) {
        const own = terminal.fail(error);
        // What the run itself met is more than this.
        return exit === 0 || exit === 99 ? own : exit;
      }
    },
  });
}

async function print(terminal: Terminal, report: RunReport): Promise<void> {
  const { reportLines } = await import('../index.js');
  terminal.result(reportLines(report), report);
}
