/** Runs a job for a command: shows its progress, prints its report, and obeys signals. */
import { shown } from '../base/errors.js';
import type { Job, RunReport, SelectionOptions } from '../index.js';
import { Terminal, type TerminalOptions } from './terminal.js';

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

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
  const terminal = new Terminal(options);
  await terminal.open();
  const abort = new AbortController();
  let interrupted: number | undefined;
  for (const [signal, exit] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      // Workers end by themselves when their parent is gone.
      if (interrupted !== undefined) process.exit(exit);
      interrupted = exit;
      terminal.say('interrupted: tasks that run may end, the next signal stops them');
      abort.abort();
    });
  }
  const { runJob, RunFailed, selectionOf } = await import('../index.js');
  const progress = await terminal.progress();
  try {
    const report = await runJob(await load(), {
      selection: selectionOf(options),
      shard: options.shard,
      keepGoing: options.keepGoing,
      prune: options.prune,
      now: () => new Date(),
      because: options.because,
      signal: abort.signal,
      onEvent: (event) => {
        if (event.type === 'planned') progress.start(event.rows);
        if (event.type === 'progress') progress.add(event.rows);
        if (event.type === 'retry')
          terminal.say(`task ${shown(event.task)} is tried again: ${event.reason}`, event);
        if (event.type === 'search')
          terminal.say(
            `task ${shown(event.task)}: the model ends its process within ${event.rows} rows (${event.reason}): looking for the row`,
            event,
          );
        if (event.type === 'lethal')
          terminal.say(`${event.place} is set aside: ${event.reason}`, event);
        if (event.type === 'fewer-workers')
          terminal.say(`a worker was killed: going on with ${event.workers}`, event);
      },
    });
    progress.stop();
    await print(terminal, report);
    return report.outcome === 'unchanged' && options.skipUnchanged === true ? 99 : 0;
  } catch (error) {
    progress.stop();
    const failed = error instanceof RunFailed ? error : undefined;
    if (interrupted !== undefined) {
      terminal.say('interrupted: the same command goes on where this one stopped');
      return interrupted;
    }
    // What was published is a result, whatever else failed.
    if (failed !== undefined && (options.json === true || failed.report.outcome === 'partial'))
      await print(terminal, failed.report);
    return terminal.fail(failed === undefined ? error : failed.cause);
  }
}

async function print(terminal: Terminal, report: RunReport): Promise<void> {
  const { reportLines } = await import('../index.js');
  terminal.result(reportLines(report), report);
}
