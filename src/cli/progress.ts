/** How far a run is: a bar on a terminal, elsewhere a line now and then. */
import { grouped } from '../base/grouped.js';

/** A run's progress as it is shown; each start begins anew, for another run. */
export interface Progress {
  start(totalRows: number): void;
  add(rows: number): void;
  stop(): void;
}

/** Progress in one line of a terminal that is written over and over. */
export interface ProgressBar extends Progress {
  /** Prints something else in its place, and goes on below. */
  around(print: () => void): void;
}

/** How often a line tells of progress where there is no terminal. */
const LINE_PERIOD_MS = 5_000;

/** Progress that nobody wants to see. */
export const NO_PROGRESS: Progress = {
  start: () => undefined,
  add: () => undefined,
  stop: () => undefined,
};

/** A line now and then. */
export function progressLines(say: (message: string, fields: object) => void): Progress {
  let done = 0;
  let total = 0;
  let started = 0;
  let timer: NodeJS.Timeout | undefined;
  const tell = (): void => {
    const { percent, rows, rate, left, rowsPerSecond } = wordsOf(done, total, started);
    say([`${percent}, ${rows}`, rate, ...(left === undefined ? [] : [left])].join(', '), {
      done,
      total,
      rowsPerSecond,
    });
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

/** A bar on a terminal. */
export async function progressBar(terminal: NodeJS.WriteStream): Promise<ProgressBar> {
  const { default: cliProgress } = await import('cli-progress');
  let done = 0;
  let total = 0;
  let started = 0;
  let shown = false;
  const bar = new cliProgress.SingleBar({
    stream: terminal,
    hideCursor: true,
    clearOnComplete: true,
    format: () => barLine(wordsOf(done, total, started), done / total, terminal.columns || 80),
  });
  const show = (): void => {
    shown = true;
    bar.start(total, done);
  };
  const stop = (): void => {
    if (shown) bar.stop();
    shown = false;
  };
  return {
    start: (totalRows) => {
      stop();
      [done, total] = [0, totalRows];
      started = performance.now();
      show();
    },
    add: (rows) => {
      done += rows;
      bar.update(done);
    },
    stop,
    around: (print) => {
      const wasShown = shown;
      stop();
      print();
      if (wasShown) show();
    },
  };
}

interface Words {
  readonly percent: string;
  readonly rows: string;
  readonly rate: string;
  readonly rowsPerSecond: number;
  readonly left: string | undefined;
}

function wordsOf(done: number, total: number, started: number): Words {
  const rowsPerSecond = Math.round(done / Math.max(0.001, (performance.now() - started) / 1000));
  const left = rowsPerSecond > 0 ? Math.ceil((total - done) / rowsPerSecond) : undefined;
  return {
    percent: `${total > 0 ? Math.floor((100 * done) / total) : 100} %`,
    rows: `${grouped(done)} of ${grouped(total)} rows`,
    rate: `${grouped(rowsPerSecond)} rows/s`,
    rowsPerSecond,
    left: left === undefined ? undefined : `${timeText(left)} left`,
  };
}

function timeText(seconds: number): string {
  if (seconds < 120) return `${seconds} s`;
  const minutes = Math.round(seconds / 60);
  return minutes < 120 ? `${minutes} min` : `${Math.round(minutes / 60)} h`;
}

/** The bar, and as many of the words as there is room for: at least 10 columns are for the bar. */
function barLine({ percent, rows, rate, left = '' }: Words, share: number, width: number): string {
  const choices = [
    [percent, rows, rate, left],
    [percent, rows, left],
    [percent, left],
  ].map((words) => words.filter((word) => word !== '').join(' | '));
  const text = choices.find((choice) => choice.length + 12 <= width) ?? percent;
  const size = Math.max(0, Math.min(40, width - text.length - 2));
  const filled = Math.round(size * Math.min(1, share || 0));
  return `${'='.repeat(filled)}${'-'.repeat(size - filled)} ${text}`;
}
