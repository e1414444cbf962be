/**
 * A thread that ends the worker when its parent is gone or its request passes a limit, and tells the parent how much memory
 * the worker has. The main thread cannot: while it is in native code it sees neither its channel nor a timer.
 */
import { readFileSync, writeSync } from 'node:fs';
import { parentPort, workerData } from 'node:worker_threads';
import { REPORT_FD, reportLine, type WatchReport, type WorkLimit } from '../base/watch-report.js';

const PARENT_MS = 500;
/** A model may take a gigabyte in half a second. */
const MEMORY_MS = 50;
const LIMITED_MS = 5;
/** Changes smaller than this are not reported. */
const STEP_BYTES = 16 * 2 ** 20;

const parent = Number(workerData);
let reported = 0;
/** The limit of the request in progress, with the worker's own use when the request came. */
let limit: (WorkLimit & { readonly startBytes: number; readonly startMs: number }) | undefined;

setInterval(() => {
  if (process.ppid !== parent) end();
}, PARENT_MS);
setInterval(reportMemory, MEMORY_MS);

parentPort?.on('message', (message: WorkLimit | null) => {
  limit = message === null ? undefined : { ...message, startBytes: ownBytes(), startMs: cpuMs() };
  checkLimit();
});

function checkLimit(): void {
  if (limit === undefined) return;
  const isLarge = ownBytes() - limit.startBytes > limit.bytes;
  if (isLarge || cpuMs() - limit.startMs > limit.cpuMs) {
    tell({ kind: 'over', what: isLarge ? 'memory' : 'time' });
    end();
  }
  setTimeout(checkLimit, LIMITED_MS);
}

function reportMemory(): void {
  const bytes = ownBytes();
  if (Math.abs(bytes - reported) < STEP_BYTES) return;
  reported = bytes;
  tell({ kind: 'memory', bytes });
}

function tell(report: WatchReport): void {
  try {
    writeSync(REPORT_FD, reportLine(report));
  } catch {
    // The parent is gone, which the next look at it finds.
  }
}

function end(): void {
  process.kill(process.pid, 'SIGKILL');
}

function cpuMs(): number {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

/** The worker's own memory: pages of files and libraries, which workers share and the system can drop, do not count. */
function ownBytes(): number {
  const kilobytes = /^RssAnon:\s+(\d+) kB$/m.exec(statusText())?.[1];
  return kilobytes === undefined ? process.memoryUsage.rss() : Number(kilobytes) * 1024;
}

function statusText(): string {
  try {
    return readFileSync('/proc/self/status', 'utf8');
  } catch {
    // Not Linux, or no descriptor is left.
    return '';
  }
}
