/**
 * Loaded into every process of a run (`node --import`; workers inherit it): counts the steps in which scoreline's own
 * JavaScript touches the output, and at one of them kills the process or fails as the system would. What DuckDB does in
 * native code is not seen here: see strace.ts.
 *
 * SCORELINE_FAULT is JSON: `under`, the output; `log`, a file to which each step is appended; `step`, the name of the one that
 * is to be hit, once; `act`, what happens then; `fired`, a file that tells that it did; `fixed`, an instant at which
 * the clock stands, so that the names of temporary files and of the run are known beforehand.
 */
import fs from 'node:fs';
import { syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';

const { under, log, step: wanted, act, fired, fixed } = JSON.parse(process.env.SCORELINE_FAULT);
const { appendFileSync, openSync, readFileSync, readlinkSync, writeFileSync } = fs;
const role = process.send === undefined ? 'parent' : 'worker';
const seen = new Map();

/** Steps that change what is on the disk, and those that only look. */
const PROMISED = {
  mkdir: 'change',
  writeFile: 'change',
  rename: 'change',
  link: 'change',
  symlink: 'change',
  copyFile: 'change',
  rm: 'change',
  utimes: 'change',
  open: 'look',
  readFile: 'look',
  readdir: 'look',
  readlink: 'look',
  stat: 'look',
  lstat: 'look',
};
const OF_HANDLES = { sync: 'change', chmod: 'change', read: 'look', stat: 'look' };
const SYNCHRONOUS = { appendFileSync: 'change', openSync: 'change', writeSync: 'change' };

if (isMainThread) {
  const handle = await fs.promises.open('/dev/null');
  const handles = Object.getPrototypeOf(handle);
  await handle.close();
  const rejected = (error) => Promise.reject(error);
  const thrown = (error) => {
    throw error;
  };
  for (const [name, kind] of Object.entries(PROMISED)) {
    wrap(fs.promises, name, { kind, fail: rejected, pathOf: (args) => seenPath(name, args) });
  }
  for (const [name, kind] of Object.entries(OF_HANDLES)) {
    wrap(handles, name, { kind, fail: rejected, pathOf: (_args, { fd }) => pathOfFd(fd) });
  }
  for (const [name, kind] of Object.entries(SYNCHRONOUS)) {
    const pathOf = ([place]) => (typeof place === 'number' ? pathOfFd(place) : place);
    wrap(fs, name, { kind, fail: thrown, pathOf });
  }
  if (fixed !== undefined) standStill(fixed);
  syncBuiltinESMExports();
}

/** Steps that make their second path: of a link or a copy, the new one. */
const MAKE_SECOND = new Set(['link', 'symlink', 'copyFile']);

/** The path that a step is about. */
function seenPath(name, args) {
  return String(MAKE_SECOND.has(name) ? args[1] : args[0]);
}

function pathOfFd(fd) {
  try {
    return readlinkSync(`/proc/self/fd/${fd}`);
  } catch {
    return '';
  }
}

function wrap(owner, name, { kind, fail, pathOf }) {
  const original = owner[name];
  owner[name] = function (...args) {
    const path = pathOf(args, this);
    if (path !== under && !path.startsWith(`${under}/`)) return original.apply(this, args);
    const to = name === 'rename' ? ` -> ${placeOf(String(args[1]))}` : '';
    const what = `${role} ${kind} ${name} ${placeOf(path)}${to}`;
    const times = (seen.get(what) ?? 0) + 1;
    seen.set(what, times);
    const here = `${what} #${times}`;
    if (log !== undefined) appendFileSync(log, `${here}\n`);
    if (here !== wanted || !isFirst()) return original.apply(this, args);
    if (act === 'torn') writeFileSync(args[0], args[1].slice(0, args[1].length >> 1));
    if (act === 'kill' || act === 'torn') process.kill(process.pid, 'SIGKILL');
    if (act === 'kill all') process.kill(-processGroup(), 'SIGKILL');
    const message = `${act}: injected, ${name} '${path}'`;
    return fail(Object.assign(new Error(message), { code: act, syscall: name, path }));
  };
}

/** A place in the output without what is different in each run. */
function placeOf(path) {
  return (
    (path.slice(under.length + 1) || '.')
      // A check has an output of its own in a temporary folder.
      .replace(/(?<=^|\/)tmp\/[^/]+/g, 'tmp/T')
      .replace(/(?<=^|\/)runs\/(?!chain|jobs)[^/]+/, 'runs/R')
      .replace(/^staged\/[^/]+/, 'staged/R')
      // A job is kept under its digest, and says where its output is.
      .replace(/(?<=^|\/)runs\/jobs\/[0-9a-f]{64}/, 'runs/jobs/J')
      .replace(/\.\d+\.[0-9a-z]+\.tmp$/, '.tmp')
  );
}

/** Whether no process of this run has come to the step before: another worker may be given the same task. */
function isFirst() {
  try {
    openSync(fired, 'wx');
    return true;
  } catch {
    return false;
  }
}

function processGroup() {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  return Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[2]);
}

/** Stops the clock, and chance until a temporary folder is made: the next one needs another name. */
function standStill(instant) {
  const { mkdir } = fs.promises;
  let folders = 0;
  fs.promises.mkdir = function (...args) {
    if (/^tmp\/[^/]+$/.test(String(args[0]).slice(under.length + 1))) folders++;
    return mkdir.apply(this, args);
  };
  // Short in base 36, in which names are written.
  Math.random = () => 0.5 + (folders % 16) / 32;
  const Clock = Date;
  globalThis.Date = class extends Clock {
    constructor(...args) {
      super(...(args.length === 0 ? [instant] : args));
    }
  };
}
