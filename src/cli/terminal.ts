/** What the commands print, and where: results to stdout, all else to stderr. */
import { exitCodeOf, messageOf, settledError, shown } from '../base/errors.js';
import type { FailureNotes } from '../index.js';
import {
  NO_PROGRESS,
  type Progress,
  type ProgressBar,
  progressBar,
  progressLines,
} from './progress.js';
import { fitted, table } from './table.js';

/** How much is said, and in which form. */
export interface TerminalOptions {
  readonly json?: boolean;
  readonly quiet?: boolean;
  readonly verbose?: boolean;
  readonly logFormat?: 'text' | 'json';
}

/** The output of one command. */
export class Terminal {
  readonly options: TerminalOptions;
  private log:
    | ((level: 'info' | 'warn' | 'error', fields: object, message: string) => void)
    | undefined;
  private bar: ProgressBar | undefined;

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
      this.options.json === true
        ? JSON.stringify(json, bigintsAsText, 2)
        : fitted(lines, this.width()).join('\n');
    if (this.options.quiet === true && this.options.json !== true) return;
    process.stdout.write(`${text}\n`);
  }

  /** The lines of a table: the columns whose index is in `left` hold text. */
  table(rows: readonly (readonly string[])[], left: readonly number[]): string[] {
    return table(rows, left, this.width());
  }

  /** Something to know that is not a result. */
  say(message: string, fields: object = {}): void {
    if (this.log !== undefined) this.log('info', fields, message);
    else if (this.options.quiet !== true) this.toStderr(`${message}\n`);
  }

  /** Something that a person has to look at: said also where only errors are. */
  warn(message: string): void {
    if (this.log !== undefined) this.log('warn', {}, message);
    else this.toStderr(`scoreline: warning: ${message}\n`);
  }

  /** Why the command ended early: said also where only errors are. */
  sayLast(message: string): void {
    if (this.log !== undefined) this.log('info', {}, message);
    else this.toStderr(`${message}\n`);
  }

  /**
   * An error: its lines, and those of `notes`; its causes under --verbose, and always for a bug. In a log it is one line, with the
   * fields of `notes`. Returns the exit code.
   */
  fail(thrown: unknown, notes?: FailureNotes): number {
    const error = settledError(thrown);
    const exit = exitCodeOf(error);
    const message = messageOf(error);
    if (this.log !== undefined) {
      const stack = exit === 1 ? stackOf(error) : undefined;
      this.log('error', { exit, stack, ...notes?.fields }, message);
      return exit;
    }
    const bug = exit === 1;
    for (const line of message.split('\n'))
      this.toStderr(`scoreline: ${bug ? 'bug: ' : ''}${line}\n`);
    for (const line of notes?.lines ?? []) this.toStderr(`scoreline: ${line}\n`);
    if (bug || this.options.verbose === true) {
      for (let cause = bug ? error : causeOf(error); cause !== undefined; cause = causeOf(cause)) {
        const text = stackOf(cause) ?? messageOf(cause);
        const lines = text.split('\n').map((line) => shown(line, 1000));
        this.toStderr(`${lines.join('\n')}\n`);
      }
    }
    return exit;
  }

  /** How far a run is, until it is stopped. */
  async progress(): Promise<Progress> {
    if (this.options.quiet === true) return NO_PROGRESS;
    if (!process.stderr.isTTY || this.log !== undefined)
      return progressLines((message, fields) => this.say(message, fields));
    this.bar = await progressBar(process.stderr);
    return this.bar;
  }

  /** How many columns there are for a result: no end of them in a pipe or file. */
  private width(): number {
    // A terminal whose size nobody has set says 0.
    return process.stdout.columns || Number.POSITIVE_INFINITY;
  }

  private toStderr(text: string): void {
    const print = (): void => {
      process.stderr.write(text);
    };
    if (this.bar === undefined) print();
    else this.bar.around(print);
  }
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
