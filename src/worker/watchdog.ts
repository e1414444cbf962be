/**
 * A thread that ends the worker when its parent is gone. The main thread cannot: while it is in native code it does
 * not see its channel close.
 */
import { workerData } from 'node:worker_threads';

const PERIOD_MS = 500;
const parent = Number(workerData);

setInterval(() => {
  if (process.ppid !== parent) process.kill(process.pid, 'SIGKILL');
}, PERIOD_MS);
