/** Runs a job for a command, and prints its report. */
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
      readonly prune?: boolean;
      readonly shard?: { readonly index: number; readonly count: number };
    },
): Promise<number> {
  const { runJob, RunFailed, selectionOf } = await import('../index.js');
  return withRun(options, {
    act: async (tools) =>
      runJob(await load(), {
        ...tools,
        selection: selectionOf(options),
        shard: options.shard,
        keepGoing: options.keepGoing,
        prune: options.prune,
        because: options.because,
      }),
    show: async (report, terminal) => {
      await print(terminal, report);
      return report.outcome === 'unchanged' && options.skipUnchanged === true ? 99 : 0;
    },
    fail: async (error, terminal) => {
      if (!(error instanceof RunFailed)) return error;
      // What was published is a result, whatever else failed.
      if (options.json === true || error.report.outcome === 'partial')
        await print(terminal, error.report);
      return error.cause;
    },
  });
}

async function print(terminal: Terminal, report: RunReport): Promise<void> {
  const { reportLines } = await import('../index.js');
  terminal.result(reportLines(report), report);
}
