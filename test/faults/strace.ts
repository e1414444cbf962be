/** Faults in the system calls of a run, by strace: those of Node and those of DuckDB's native code alike. */
import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { processSpace } from '../../src/base/identity.js';
import { type CommandResult, ROOT } from '../scoreline.js';
import { processesOf, startRun, until, type Victim } from './fault-case.js';

/** Why system calls cannot be tampered with here; undefined when they can. */
export function whyNoStrace(): string | undefined {
  const { error, status, stderr } = spawnSync('strace', ['-f', '-o', '/dev/null', 'true'], {
    encoding: 'utf8',
  });
  if (error !== undefined) return `strace cannot be started: ${error.message}`;
  return status === 0 ? undefined : `strace does not work: ${stderr.trim().split('\n', 1)[0]}`;
}

/** A system call of a run on a path in the output: `index` from 1 among the calls of its kind on that path. */
export interface Call {
  readonly name: string;
  /** Relative to the output unless it is absolute, `@T@` for where the run's process is, its number and its start, `@PID@` for its process, `@R@` for its time. */
  readonly path: string;
  readonly index: number;
}

/** What goes wrong with a call. */
export interface CallFault {
  readonly call: Call;
  /** An error's name, or SIGKILL. */
  readonly what: string;
}

/** What calls of each kind can fail with; kinds of one row are the same call on different machines. */
export const CALL_ERRORS: readonly (readonly [kinds: string, errors: readonly string[]])[] = [
  ['open openat', ['EMFILE', 'EACCES', 'EIO', 'ENOSPC', 'EROFS', 'EDQUOT']],
  ['write pwrite64 writev pwritev', ['ENOSPC', 'EIO', 'EDQUOT']],
  ['fsync fdatasync', ['EIO', 'ENOSPC', 'EDQUOT']],
  ['rename renameat renameat2', ['EIO', 'ENOSPC', 'EACCES', 'EROFS', 'EDQUOT']],
  ['link linkat', ['ENOSPC', 'EIO', 'EDQUOT', 'EROFS', 'EPERM', 'EMLINK']],
  ['mkdir mkdirat', ['ENOSPC', 'EIO', 'EACCES', 'EROFS', 'EDQUOT']],
  ['symlink symlinkat', ['ENOSPC', 'EIO', 'EROFS']],
  ['unlink unlinkat rmdir', ['EIO', 'EACCES', 'EROFS']],
  ['fchmod fchmodat chmod', ['EIO', 'EPERM', 'EROFS']],
  ['ftruncate fallocate', ['EIO', 'ENOSPC']],
  ['utimensat', ['EIO', 'EROFS', 'EACCES']],
  ['getdents64', ['EIO', 'EMFILE']],
];

/** The kinds of calls of a row that all machines know under one name or another. */
const TRACED = CALL_ERRORS.map(([kinds]) => kinds.replaceAll(' ', ',?')).join(',?');

/** The same calls in the same threads each time: one worker, one thread for what Node does in the background. */
const ALONE = { args: ['--workers', '1'], env: { UV_THREADPOOL_SIZE: '1' } };

const LAUNCH = join(ROOT, 'test', 'faults', 'launch.sh');

async function runTraced(victim: Victim, options: readonly string[]): Promise<Traced> {
  const log = join(victim.folder, 'strace');
  const now = new Date();
  // Chance stands still as well: what follows in names is the same in each run.
  const time = now.toISOString().replace(/[-:]/g, '');
  const known = options.map((option) => option.replaceAll('@R@', time));
  const run = startRun(victim, {
    args: ALONE.args,
    env: { ...ALONE.env, SPACE: processSpace() },
    fault: { fixed: now.getTime() },
    through: ['bash', LAUNCH, '-o', log, ...known],
  });
  const result = await run.ended;
  // strace itself is one of the processes, and ends last.
  await until('strace has ended', () => processesOf(victim).length === 0, 5000);
  return { ...result, lines: readFileSync(log, 'utf8').split('\n') };
}

/** A run under strace: how it ended, and what strace says of it. */
export interface Traced extends CommandResult {
  readonly lines: readonly string[];
}

/** The calls of an undisturbed run on paths in its output, each once, in order. */
export async function listCalls(victim: Victim): Promise<{ run: Traced; calls: Call[] }> {
  const run = await runTraced(victim, ['-y', '-e', `trace=?${TRACED}`]);
  const counts = new Map<string, number>();
  const calls = run.lines.flatMap((line): Call[] => {
    const [, thread, name, rest] = line.match(/^(\d+) +(\w+)\((.*)/) ?? [];
    if (thread === undefined || name === undefined || rest === undefined) return [];
    // A path as an argument, or that of a file descriptor.
    const paths = [...rest.matchAll(/"(\/[^"]*)"|<(\/[^>]*)>/g)].map(([, a, b]) => a ?? b ?? '');
    const path = paths.find((one) => one.startsWith(`${victim.output}/`));
    // A job is kept under its digest, and says where its output is: that name cannot be known beforehand.
    if (path === undefined || path.startsWith(`${victim.output}/runs/jobs/`)) return [];
    const place = path
      .slice(victim.output.length + 1)
      .replace(/^tmp\/[0-9a-f]+-\d+-\d+-/, 'tmp/@T@-')
      .replace(/\.\d+\.(\w+)\.tmp$/, '.@PID@.$1.tmp')
      .replace(/^runs\/\d+T[\d.]+Z-/, 'runs/@R@-');
    const key = `${thread} ${name} ${place}`;
    const index = (counts.get(key) ?? 0) + 1;
    counts.set(key, index);
    return [{ name, path: place, index }];
  });
  const unique = new Map(calls.map((call) => [JSON.stringify(call), call]));
  return { run, calls: [...unique.values()] };
}

/** A run in which a call fails, or kills its process; `hit` tells whether it came to that call. */
export async function runWithFault(
  victim: Victim,
  { call: { name, path, index }, what }: CallFault,
): Promise<{ run: Traced; hit: boolean }> {
  const how = what === 'SIGKILL' ? 'signal=SIGKILL' : `error=${what}`;
  const place = resolve(victim.output, path);
  const run = await runTraced(victim, [
    ...['-P', place, '-e', `trace=${name}`, '-e', `inject=${name}:${how}:when=${index}`],
  ]);
  return { run, hit: run.lines.some((line) => /\(INJECTED\)$|killed by SIGKILL/.test(line)) };
}
