/**
 * What this process may use of the machine: the limits of its cgroup (version 2 or 1), not those of the host.
 *
 * Nothing here throws: what cannot be read is no limit, and what the operating system says is used. The root of
 * the file system is an argument, so that tests can lay out a machine of their own.
 */
import { readFileSync } from 'node:fs';
import { statfs } from 'node:fs/promises';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { errnoOf } from './errors.js';

/** Where to look, and what the operating system says of the whole machine. */
export interface MachineOptions {
  /** The folder that holds `proc` and `sys`; `/` by default. */
  readonly root?: string;
  /** Instead of what Node says: the cores that this process may run on. */
  readonly cores?: number;
  /** Instead of what Node says: the memory of the machine. */
  readonly totalBytes?: number;
}

/**
 * The number of processes that can run at once: the cores of the machine that this process may run on, or the CPU
 * quota of its cgroup and those above, rounded up, whichever is less; at least 1.
 */
export function usableCores(options: MachineOptions = {}): number {
  const { root = '/', cores = os.availableParallelism() } = options;
  const quotas = cgroupFolders(root, 'cpu').map(cpuQuota);
  return Math.max(1, Math.min(cores, ...quotas.map(Math.ceil)));
}

/** The memory of the machine, or the limit of this process's cgroup and those above, whichever is less. */
export function usableMemoryBytes(options: MachineOptions = {}): number {
  const { root = '/', totalBytes = os.totalmem() } = options;
  const limits = cgroupFolders(root, 'memory').map((folder) => memoryUse(folder).limit);
  return Math.min(totalBytes, ...limits);
}

/** A number of bytes for a person. */
export function sizeText(bytes: number): string {
  const [unit, size] = bytes < 1e9 ? (['MB', 1e6] as const) : (['GB', 1e9] as const);
  return `${Number((bytes / size).toPrecision(4))} ${unit}`;
}

/**
 * The memory that can be had now without swapping or being killed: what the kernel calls available, or what is left
 * below the limit of this process's cgroup and those above, whichever is less. Cached files count as free.
 */
export function availableMemoryBytes(options: MachineOptions = {}): number {
  const { root = '/' } = options;
  const kilobytes = readText(join(root, 'proc/meminfo'))?.match(/^MemAvailable:\s*(\d+) kB/m)?.[1];
  const free = kilobytes === undefined ? os.freemem() : Number(kilobytes) * 1024;
  const left = cgroupFolders(root, 'memory').map((folder) => {
    const { limit, current, inactiveFile } = memoryUse(folder);
    return limit - current + inactiveFile;
  });
  return Math.max(0, Math.min(free, ...left));
}

/** The number of files that this process may have open (infinite without a limit), where the system says. */
export function openFilesLimit(options: Pick<MachineOptions, 'root'> = {}): number | undefined {
  const limits = readText(join(options.root ?? '/', 'proc/self/limits'));
  const soft = limits?.match(/^Max open files\s+(\d+|unlimited)/m)?.[1];
  if (soft === undefined) return undefined;
  return soft === 'unlimited' ? Number.POSITIVE_INFINITY : Number(soft);
}

/** The bytes that may still be written at a path, or where its nearest parent that exists is; undefined if unknown. */
export async function freeDiskBytes(path: string): Promise<number | undefined> {
  let place = resolve(path);
  for (;;) {
    try {
      const { bavail, bsize } = await statfs(place);
      return bavail * bsize;
    } catch (error) {
      // Not there yet: ask its parent. Anything else (no permission, a lost mount) leaves it unknown.
      const absent = errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR';
      const parent = dirname(place);
      if (!absent || parent === place) return undefined;
      place = parent;
    }
  }
}

type Controller = 'cpu' | 'memory';

/** A folder that stands for a cgroup, in the file names of one of the two versions. */
interface CgroupFolder {
  readonly path: string;
  readonly version: 1 | 2;
}

/** A cgroup file system: `top` is the cgroup that is seen at its mount point, '/' unless a container hides the rest. */
interface CgroupMount {
  readonly version: 1 | 2;
  readonly controllers: readonly string[];
  readonly point: string;
  readonly top: string;
}

/**
 * The cgroups that limit this process, from its own up to the topmost that can be seen. On a machine with both versions
 * a controller belongs to one of them, and the folders of the other lack its files.
 */
function cgroupFolders(root: string, controller: Controller): CgroupFolder[] {
  const own = ownCgroups(root);
  return cgroupMounts(root).flatMap(({ version, controllers, point, top }) => {
    if (version === 1 && !controllers.includes(controller)) return [];
    const path = own.get(version === 1 ? controller : '') ?? '/';
    const steps = stepsBelow(path, top);
    return Array.from({ length: steps.length + 1 }, (_, up) => {
      const below = steps.slice(0, steps.length - up);
      return { version, path: join(root, point, ...below) };
    });
  });
}

/** The way from the cgroup at the mount point to another; none when that one lies outside of what is mounted. */
function stepsBelow(path: string, top: string): string[] {
  const steps = path.split('/').filter((step) => step !== '');
  const topSteps = top.split('/').filter((step) => step !== '');
  const isBelow = topSteps.every((step, i) => steps[i] === step) && !steps.includes('..');
  return isBelow ? steps.slice(topSteps.length) : [];
}

/** This process's cgroup by controller; that of version 2 under ''. */
function ownCgroups(root: string): Map<string, string> {
  const lines = (readText(join(root, 'proc/self/cgroup')) ?? '').split('\n');
  const found = new Map<string, string>();
  for (const line of lines) {
    const [, controllers, path] = line.match(/^\d+:([^:]*):(.*)$/) ?? [];
    if (controllers === undefined || path === undefined) continue;
    for (const controller of controllers.split(',')) found.set(controller, path);
  }
  return found;
}

/** Where the cgroups are when the list of mounts cannot be read. */
const USUAL_MOUNTS: readonly CgroupMount[] = [
  { version: 2, controllers: [], point: '/sys/fs/cgroup', top: '/' },
  { version: 1, controllers: ['memory'], point: '/sys/fs/cgroup/memory', top: '/' },
  { version: 1, controllers: ['cpu'], point: '/sys/fs/cgroup/cpu', top: '/' },
];

function cgroupMounts(root: string): readonly CgroupMount[] {
  const text = readText(join(root, 'proc/self/mountinfo'));
  if (text === undefined) return USUAL_MOUNTS;
  return text.split('\n').flatMap((line): CgroupMount[] => {
    // 31 23 0:27 /top /mount/point rw,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate
    const [before = '', after = ''] = line.split(' - ');
    const [, , , top, point] = before.split(' ').map(unescapeMount);
    const [type, , options = ''] = after.split(' ');
    if (top === undefined || point === undefined) return [];
    if (type === 'cgroup2') return [{ version: 2, controllers: [], point, top }];
    if (type !== 'cgroup') return [];
    return [{ version: 1, controllers: options.split(','), point, top }];
  });
}

/** The kernel writes a space in a path as \040, and so tab, line feed and backslash. */
function unescapeMount(text: string): string {
  return text.replace(/\\([0-7]{3})/g, (_, octal: string) =>
    String.fromCharCode(Number.parseInt(octal, 8)),
  );
}

/** The cores that a cgroup may use on average, as a fraction; infinite without a quota. */
function cpuQuota({ path, version }: CgroupFolder): number {
  const [quota, period] =
    version === 2
      ? (readText(join(path, 'cpu.max'))?.trim().split(/\s+/).map(Number) ?? [])
      : [readNumber(join(path, 'cpu.cfs_quota_us')), readNumber(join(path, 'cpu.cfs_period_us'))];
  // Without a quota version 2 says "max", version 1 says -1.
  const isLimit = quota !== undefined && period !== undefined && quota > 0 && period > 0;
  return isLimit ? quota / period : Number.POSITIVE_INFINITY;
}

/** A cgroup's limit, infinite without one, what it uses, and how much of that are files not used of late. */
function memoryUse({ path, version }: CgroupFolder): {
  limit: number;
  current: number;
  inactiveFile: number;
} {
  const v2 = version === 2;
  const limit = readNumber(join(path, v2 ? 'memory.max' : 'memory.limit_in_bytes'));
  const current = readNumber(join(path, v2 ? 'memory.current' : 'memory.usage_in_bytes'));
  const name = v2 ? /^inactive_file (\d+)$/m : /^total_inactive_file (\d+)$/m;
  const inactiveFile = readText(join(path, 'memory.stat'))?.match(name)?.[1];
  return {
    limit: limit ?? Number.POSITIVE_INFINITY,
    current: current ?? 0,
    inactiveFile: Number(inactiveFile ?? 0),
  };
}

/** The number in a file; undefined when there is no such file, or it says something else, such as "max". */
function readNumber(path: string): number | undefined {
  const text = readText(path)?.trim();
  return text !== undefined && /^-?\d+$/.test(text) ? Number(text) : undefined;
}

function readText(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    // Another system, an older kernel, a container that hides it: then it limits nothing that we could know.
    return undefined;
  }
}
