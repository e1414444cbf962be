/**
 * Loaded into every process of a run by bench/overhead.mjs (`node --import`; workers inherit it): how long the process hashes, and
 * how long it waits for what it does to files from JavaScript. Times in which several such calls are under way count once.
 *
 * OVERHEAD_CLOCK is the folder in which each process keeps its sums, as `<pid>.json`: workers are killed at the end, so
 * they cannot tell them then.
 */
import crypto from 'node:crypto';
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { join } from 'node:path';
import { isMainThread } from 'node:worker_threads';

const { writeFileSync } = fs;
const target = join(process.env.OVERHEAD_CLOCK, `${process.pid}.json`);
const role = process.send === undefined ? 'parent' : 'worker';
const sums = { hash: 0, flush: 0, store: 0 };
let open = 0;
let since = 0;
let spent = 0;
let written = 0;

const STORE =
  'mkdir writeFile rename link symlink copyFile rm utimes readFile readdir readlink lstat stat open';

if (isMainThread) {
  const handle = await fs.promises.open('/dev/null');
  const handles = Object.getPrototypeOf(handle);
  await handle.close();
  for (const name of STORE.split(' ')) clock(fs.promises, name, 'store');
  for (const name of ['sync', 'datasync']) clock(handles, name, 'flush');
  for (const name of ['chmod', 'stat', 'close', 'writeFile']) clock(handles, name, 'store');
  // Only hashing reads files by handles.
  clock(handles, 'read', 'hash');
  const hashes = Object.getPrototypeOf(crypto.createHash('sha256'));
  for (const name of ['update', 'digest']) clock(hashes, name, 'hash');
  syncBuiltinESMExports();
}

function clock(owner, name, kind) {
  const original = owner[name];
  owner[name] = function (...args) {
    // Node reads modules by their URLs: that is the start of the program, not its store.
    if (args[0] instanceof URL) return original.apply(this, args);
    const started = begin();
    const result = original.apply(this, args);
    if (!(result instanceof Promise)) {
      end(kind, started);
      return result;
    }
    return result.finally(() => end(kind, started));
  };
}

function begin() {
  const now = performance.now();
  if (open++ === 0) since = now;
  return now;
}

function end(kind, started) {
  const now = performance.now();
  sums[kind] += now - started;
  if (--open > 0) return;
  spent += now - since;
  // Not at each of thousands of hashes of keys.
  if (now - written < 20 && kind === 'hash') return;
  written = now;
  writeFileSync(target, JSON.stringify({ role, spent, sums }));
}
