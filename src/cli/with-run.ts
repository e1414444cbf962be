/** Runs jobs for a command: shows the progress and obeys signals. */
import { shown } from '../base/errors.js';
import type { FailureNotes, RunOptions } from '../index.js';
import { Terminal, type TerminalOptions } from './terminal.js';

const SIGNALS = { SIGINT: 130, SIGTERM: 143 } as const;

/** What a run takes from the terminal. */
export type RunTools = Pick<RunOptions, 'now' | 'onEvent' | 'signal'>;

/** What a command does with a job. */
export interface RunCommand<Result> {
  readonly act: (tools: RunTools, terminal: Terminal) => Promise<Result>;
  /** Prints the result; returns the exit code. */
  readonly show: (result: Result, terminal: Terminal) => Promise<number>;
  /** Prints what there is to print of a run that failed; gives the error that the exit code follows from. */
  readonly fail: (error: unknown, terminal: Terminal) => Promise<unknown>;
  /** What is said behind the lines of the error. */
  readonly notes?: () => Promise<FailureNotes | undefined>;
  /** What is to do once the exit code is known, also after an interruption; it may make another of it. */
  readonly after?: (exit: number, terminal: Terminal) => Promise<number>;
}

/** Runs a job, or does something that runs one; returns the exit code. */
export async function withRun<Result>(
  options: TerminalOptions,
  { act, show, fail, notes, after = async (exit) => exit }: RunCommand<Result>,
): Promise<number> {
  const terminal = new Terminal(options);
  await terminal.open();
  const progress = await terminal.progress();
  const abort = new AbortController();
  let interrupted: number | undefined;
  for (const [signal, exit] of Object.entries(SIGNALS)) {
    process.on(signal, () => {
      if (interrupted !== undefined) {
        // What it took from the terminal is given back; workers end by themselves when their parent is gone.
        progress.stop();
        process.exit(exit);
      }
      interrupted = exit;
      terminal.say('interrupted: tasks that run may end, the next signal stops them');
      abort.abort();
    });
  }
  const onEvent: RunTools['onEvent'] = (event) => {
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
    if (event.type === 'warning') terminal.warn(event.message);
    if (event.type === 'fewer-workers')
      terminal.say(`a worker was killed: going on with ${event.workers}`, event);
  };
  try {
    const tools = { now: () => new Date(), onEvent, signal: abort.signal };
    const result = await act(tools, terminal).finally(() => progress.stop());
    return await after(await show(result, terminal), terminal);
  } catch (error) {
    if (interrupted === undefined) {
      const cause = await fail(error, terminal);
      return after(terminal.fail(cause, await notes?.()), terminal);
    }
    terminal.sayLast('interrupted: the same command goes on where this one stopped');
    return after(interrupted, terminal);
  }
}
