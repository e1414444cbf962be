import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import os from 'node:os';
import { dirname, join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import {
  availableMemoryBytes,
  freeDiskBytes,
  openFilesLimit,
  usableCores,
  usableMemoryBytes,
} from '../../src/base/machine.js';

const GIB = 1024 ** 3;
const V2_MOUNT = '30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n';

let root: string;

beforeEach(() => {
  root = mkdtempSync(join(os.tmpdir(), 'machine-'));
});

afterEach(() => {
  rmSync(root, { recursive: true });
});

/** Lays out files below the fake root. */
function layOut(files: Readonly<Record<string, string>>): void {
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}

/** A machine with cgroup version 2, this process in `cgroup`, and files of cgroups by path below the mount. */
function version2(cgroup: string, files: Readonly<Record<string, string>>): void {
  layOut({ 'proc/self/cgroup': `0::${cgroup}\n`, 'proc/self/mountinfo': V2_MOUNT });
  for (const [path, text] of Object.entries(files)) layOut({ [`sys/fs/cgroup/${path}`]: text });
}

describe('usableCores', () => {
  it('rounds a version 2 quota up', () => {
    version2('/', { 'cpu.max': '250000 100000\n' });
    expect(usableCores({ root, cores: 16 })).toBe(3);
  });

  it('is never less than one', () => {
    version2('/', { 'cpu.max': '1000 100000\n' });
    expect(usableCores({ root, cores: 16 })).toBe(1);
  });

  it('is never more than the cores of the machine', () => {
    version2('/', { 'cpu.max': '3200000 100000\n' });
    expect(usableCores({ root, cores: 4 })).toBe(4);
  });

  it('takes "max" for no quota', () => {
    version2('/a', { 'a/cpu.max': 'max 100000\n' });
    expect(usableCores({ root, cores: 16 })).toBe(16);
  });

  it('obeys a parent that is tighter than the child', () => {
    version2('/pod/box', {
      'pod/box/cpu.max': '800000 100000\n',
      'pod/cpu.max': '200000 100000\n',
    });
    expect(usableCores({ root, cores: 16 })).toBe(2);
  });

  it('ignores the cgroups of others', () => {
    version2('/pod/box', { 'pod/other/cpu.max': '100000 100000\n', 'pod/box2/cpu.max': '1 1\n' });
    expect(usableCores({ root, cores: 16 })).toBe(16);
  });

  it('reads a version 1 quota, with the controller mounted beside another', () => {
    layOut({
      'proc/self/cgroup': '4:memory:/box\n3:cpu,cpuacct:/box\n1:name=systemd:/x:y\n',
      'proc/self/mountinfo':
        '33 32 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us': '-1\n',
      'sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us': '100000\n',
      'sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us': '150000\n',
      'sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us': '100000\n',
    });
    expect(usableCores({ root, cores: 16 })).toBe(2);
  });

  it('finds its cgroup at the mount point when a container hides what is above', () => {
    layOut({
      'proc/self/cgroup': '3:cpu:/docker/abc/inner\n',
      'proc/self/mountinfo':
        '33 32 0:29 /docker/abc /sys/fs/cgroup/my\\040cpu ro - cgroup cgroup rw,cpu\n',
      'sys/fs/cgroup/my cpu/inner/cpu.cfs_quota_us': '500000\n',
      'sys/fs/cgroup/my cpu/inner/cpu.cfs_period_us': '100000\n',
    });
    expect(usableCores({ root, cores: 16 })).toBe(5);
  });

  it('stays below the mount point whatever the cgroup is called', () => {
    version2('/../../outside', { 'cpu.max': '300000 100000\n' });
    layOut({ 'sys/outside/cpu.max': '100000 100000\n' });
    expect(usableCores({ root, cores: 16 })).toBe(3);
  });

  it('looks in the usual places when the mounts cannot be read', () => {
    layOut({
      'proc/self/cgroup': '0::/a\n',
      'sys/fs/cgroup/a/cpu.max': '700000 100000\n',
    });
    expect(usableCores({ root, cores: 16 })).toBe(7);
  });

  it.each(['', 'max', 'x y', '100000', '0 0', '100000 0', '-5 100000'])(
    'takes a cpu.max of "%s" for no quota',
    (text) => {
      version2('/', { 'cpu.max': text });
      expect(usableCores({ root, cores: 16 })).toBe(16);
    },
  );

  it('falls back to what Node says when there is nothing to read', () => {
    expect(usableCores({ root })).toBe(os.availableParallelism());
  });

  it('gives a whole number on this machine', () => {
    expect(Number.isInteger(usableCores())).toBe(true);
  });
});

describe('usableMemoryBytes', () => {
  it('is the limit of the cgroup, version 2', () => {
    version2('/a', { 'a/memory.max': `${2 * GIB}\n` });
    expect(usableMemoryBytes({ root, totalBytes: 64 * GIB })).toBe(2 * GIB);
  });

  it('takes "max" for no limit, and obeys a parent', () => {
    version2('/a/b', { 'a/b/memory.max': 'max\n', 'a/memory.max': `${3 * GIB}\n` });
    expect(usableMemoryBytes({ root, totalBytes: 64 * GIB })).toBe(3 * GIB);
  });

  it('is that of the machine when the limit is larger, as that of version 1 is without one', () => {
    layOut({
      'proc/self/cgroup': '4:memory:/box\n',
      'sys/fs/cgroup/memory/box/memory.limit_in_bytes': '9223372036854771712\n',
    });
    expect(usableMemoryBytes({ root, totalBytes: 64 * GIB })).toBe(64 * GIB);
  });

  it('is the limit of the cgroup, version 1', () => {
    layOut({
      'proc/self/cgroup': '4:memory:/box/inner\n0::/\n',
      'sys/fs/cgroup/memory/box/memory.limit_in_bytes': `${GIB}\n`,
    });
    expect(usableMemoryBytes({ root, totalBytes: 64 * GIB })).toBe(GIB);
  });

  it('falls back to what Node says when there is nothing to read', () => {
    expect(usableMemoryBytes({ root })).toBe(os.totalmem());
  });
});

describe('availableMemoryBytes', () => {
  const meminfo = { 'proc/meminfo': 'MemTotal: 999 kB\nMemAvailable:    8388608 kB\n' };

  it('is what the kernel calls available when nothing limits', () => {
    layOut(meminfo);
    expect(availableMemoryBytes({ root })).toBe(8 * GIB);
  });

  it('is what is left of the limit, inactive files counted as free', () => {
    layOut(meminfo);
    version2('/a', {
      'a/memory.max': `${4 * GIB}\n`,
      'a/memory.current': `${3 * GIB}\n`,
      'a/memory.stat': `anon 1\nfile 2\ninactive_file ${GIB}\nactive_file 7\n`,
    });
    expect(availableMemoryBytes({ root })).toBe(2 * GIB);
  });

  it('obeys a parent that is fuller than the child', () => {
    layOut(meminfo);
    version2('/a/b', {
      'a/b/memory.max': `${4 * GIB}\n`,
      'a/b/memory.current': `${GIB}\n`,
      'a/memory.max': `${4 * GIB}\n`,
      'a/memory.current': `${5 * GIB}\n`,
    });
    expect(availableMemoryBytes({ root })).toBe(0);
  });

  it('reads version 1, where totals of the subtree have names of their own', () => {
    layOut({
      ...meminfo,
      'proc/self/cgroup': '4:memory:/box\n',
      'sys/fs/cgroup/memory/box/memory.limit_in_bytes': `${4 * GIB}\n`,
      'sys/fs/cgroup/memory/box/memory.usage_in_bytes': `${3 * GIB}\n`,
      'sys/fs/cgroup/memory/box/memory.stat': `inactive_file 5\ntotal_inactive_file ${GIB}\n`,
    });
    expect(availableMemoryBytes({ root })).toBe(2 * GIB);
  });

  it('falls back to what Node says when there is nothing to read', () => {
    expect(availableMemoryBytes({ root })).toBeGreaterThan(0);
  });
});

describe('openFilesLimit', () => {
  it.each([
    ['Max open files            1024                 4096                 files', 1024],
    ['Max open files            unlimited            unlimited            files', Infinity],
    ['Max cpu time              unlimited            unlimited            seconds', undefined],
  ])('reads "%s"', (line, limit) => {
    layOut({ 'proc/self/limits': `Limit  Soft Limit  Hard Limit  Units\n${line}\n` });
    expect(openFilesLimit({ root })).toBe(limit);
  });

  it('is unknown where there is nothing to read', () => {
    expect(openFilesLimit({ root })).toBeUndefined();
  });
});

describe('freeDiskBytes', () => {
  it('asks the nearest parent that exists', async () => {
    layOut({ 'file.txt': 'x' });
    expect(await freeDiskBytes(join(root, 'not', 'there', 'yet'))).toBeGreaterThan(0);
    expect(await freeDiskBytes(join(root, 'file.txt', 'below a file'))).toBeGreaterThan(0);
  });

  it('is unknown for what cannot be a path', async () => {
    expect(await freeDiskBytes('a\0b')).toBeUndefined();
  });
});
