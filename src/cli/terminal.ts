/** What the commands print, and where: results to stdout, all else to stderr. */
import { exitCodeOf, messageOf, shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';

/** How much is said, and in which form. */
export interface TerminalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly logFormat?: 'text' | 'json';
}

/** A run's progress as it is shown; each start begins anew, for another run. */
export interface Progress {
  start(totalRows: number): void;
  add(rows: number): void;
  stop(): void;
}

/** How often a line tells of progress where there is no terminal. */
const LINE_PERIOD_MS = 5_000;

/** The output of one command. */
export class Terminal {
  readonly options: TerminalOptions;
  private log: ((level: 'info' | 'error', fields: object, message: string) => void) | undefined;

  constructor(options: TerminalOptions) {
    this.options = options;
  }

  /** Prepares for logging as JSON lines, if that is asked for. */
  async open(): Promise<void> {
    if (this.options.logFormat !== 'json') return;
    const { pino } = await import('pino');
    const logger = pino(
      { base: null, timestamp: pino.stdTimeFunctions.isoTime },
      pino.destination({ dest: 2, sync: true }),
    );
    this.log = (level, fields, message) => logger[level](fields, message);
  }

  /** A result, for a person: lines; for a machine: JSON. */
  result(lines: readonly string[], json: unknown): void {
    const text =
      this.options.json === true ? JSON.stringify(json, bigintsAsText, 2) : lines.join('\n');
    if (this.options.quiet === true && this.options.json !== true) return;
    process.stdout.write(`${text}\n`);
  }

  /** Something to know that is not a result. */
  say(message: string, fields: object = {}): void {
    if (this.log !== undefined) this.log('info', fields, message);
    else if (this.options.quiet !== true) process.stderr.write(`${message}\n`);
  }

  /** Why the command ended early: said also where only errors are. */
  sayLast(message: string): void {
    if (this.log !== undefined) this.log('info', {}, message);
    else process.stderr.write(`${message}\n`);
  }

  /** An error: its lines; its causes under --verbose, and always for a bug. Returns the exit code. */
  fail(error: unknown): number {
    const exit = exitCodeOf(error);
    const message = messageOf(error);
    if (this.log !== undefined) {
      this.log('error', { exit, stack: exit === 1 ? stackOf(error) : undefined }, message);
      return exit;
    }
    const bug = exit === 1;
    for (const line of message.split('\n'))
      process.stderr.write(`scoreline: ${bug ? 'bug: ' : ''}${line}\n`);
    if (bug || this.options.verbose === true) {
      for (let cause = bug ? error : causeOf(error); cause !== undefined; cause = causeOf(cause)) {
        const text = stackOf(cause) ?? messageOf(cause);
        const lines = text.split('\n').map((line) => shown(line, 1000));
        process.stderr.write(`${lines.join('\n')}\n`);
      }
    }
    return exit;
  }

  /** A bar on a terminal, elsewhere a line now and then. */
  async progress(): Promise<Progress> {
    if (this.options.quiet === true)
      return { start: () => undefined, add: () => undefined, stop: () => undefined };
    if (process.stderr.isTTY && this.log === undefined) return barProgress();
    return this.lineProgress();
  }

  private lineProgress(): Progress {
    let done = 0;
    let total = 0;
    let started = 0;
    let timer: NodeJS.Timeout | undefined;
    const tell = (): void => {
      const seconds = (performance.now() - started) / 1000;
      const rate = Math.round(done / seconds);
      const left = rate > 0 ? Math.round((total - done) / rate) : undefined;
      const percent = total > 0 ? Math.floor((100 * done) / total) : 100;
      this.say(
        `${percent} %, ${grouped(done)} of ${grouped(total)} rows, ${grouped(rate)} rows/s${left === undefined ? '' : `, ${left} s left`}`,
        { done, total, rowsPerSecond: rate },
      );
    };
    return {
      start: (totalRows) => {
        clearInterval(timer);
        [done, total] = [0, totalRows];
        started = performance.now();
        timer = setInterval(tell, LINE_PERIOD_MS);
        timer.unref();
      },
      add: (rows) => {
        done += rows;
      },
      stop: () => clearInterval(timer),
    };
  }
}

async function barProgress(): Promise<Progress> {
  const { default: cliProgress } = await import('cli-progress');
  const bar = new cliProgress.SingleBar({
    stream: process.stderr,
    hideCursor: true,
    clearOnComplete: true,
    etaBuffer: 64,
    format: '{bar} {percentage} % | {value} of {total} rows | {rate} rows/s | {eta_formatted} left',
    barsize: Math.max(10, Math.min(40, (process.stderr.columns ?? 80) - 60)),
  });
  let done = 0;
  let started = 0;
  return {
    start: (totalRows) => {
      done = 0;
      started = performance.now();
      bar.start(totalRows, 0, { rate: '–' });
    },
    add: (rows) => {
      done += rows;
      const rate = Math.round(done / ((performance.now() - started) / 1000));
      bar.update(done, { rate: grouped(rate) });
    },
    stop: () => bar.stop(),
  };
}

function bigintsAsText(_key: string, value: unknown): unknown {
  return typeof value === 'bigint' ? String(value) : value;
}

function causeOf(error: unknown): unknown {
  return error instanceof Error ? error.cause : undefined;
}

function stackOf(error: unknown): string | undefined {
  return error instanceof Error ? error.stack : undefined;
}
