/** A machine that lets a run down: no room, a quota, no right to write, too few open files, a mount that goes, input that cannot be read. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, renameSync, rmdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import {
  ALL,
  checkRecovery,
  expectEnd,
  expectLine,
  expectRecovery,
  expectUntouched,
  makeVictim,
  makeWorld,
  note,
  type Start,
  startRun,
  until,
  type Victim,
} from './fault-case.js';
import { runWithFault, whyNoStrace } from './strace.js';

const world = await makeWorld();

/** Why no file system can be mounted here; undefined when one can. */
function whyNoMount(): string | undefined {
  const point = mkdtempSync(join(tmpdir(), 'mount-'));
  const { error, status, stderr } = spawnSync(
    'mount',
    ['-t', 'tmpfs', '-o', 'size=1m', 'tmpfs', point],
    { encoding: 'utf8' },
  );
  const works = error === undefined && status === 0;
  if (works) execFileSync('umount', [point]);
  rmdirSync(point);
  return works ? undefined : (error?.message ?? stderr.trim());
}

const noMount = whyNoMount();
if (noMount !== undefined) console.log(`skipped: no file system can be mounted: ${noMount}`);
const noStrace = whyNoStrace();
if (noStrace !== undefined) console.log(`skipped: ${noStrace}`);

/** Of some cases every other one in `.ci/run`. */
function share<Case>(cases: readonly Case[]): readonly Case[] {
  return cases.filter((_, i) => ALL || i % 2 === 0);
}

/** Attacks a run whose output is on a file system of its own. */
async function onMount(
  start: Start,
  attack: (victim: Victim, remount: (options: string) => void) => Promise<void>,
): Promise<void> {
  let disk = '';
  const victim = makeVictim(world, start, (folder) => {
    disk = folder;
    execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=16m', 'tmpfs', folder]);
  });
  try {
    await attack(victim, (options) => execFileSync('mount', ['-o', `remount,${options}`, disk]));
  } finally {
    execFileSync('umount', ['-l', disk]);
  }
  rmSync(victim.folder, { recursive: true });
}

describe.skipIf(noMount !== undefined)('a full disk', { concurrent: true }, () => {
  /** Room in KiB: from none to nearly what the run needs. */
  const rooms = [0, 4, 16, 32, 64, 96, 128, 160];
  test.each(
    rooms.flatMap((room, i) => {
      const starts = [
        { room, start: 'first' as const },
        { room, start: 'update' as const },
      ];
      return ALL ? starts : starts.slice(i % 2, (i % 2) + 1);
    }),
  )('with $room KiB left, $start', ({ room, start }) =>
    onMount(start, async (victim) => {
      const ballast = join(victim.output, '..', 'ballast');
      // What fits, less what is to be left.
      spawnSync('dd', ['if=/dev/zero', `of=${ballast}`, 'bs=4096'], { stdio: 'ignore' });
      execFileSync('truncate', ['-s', `-${room * 1024}`, ballast]);
      const { exit, stderr } = await expectEnd(startRun(victim), 6, 0);
      const seen = expectUntouched(victim);
      if (exit === 6) expect(stderr).toMatch(/ENOSPC|No space left/);
      if (room < 16) expect(exit).toBe(6);
      note('full disk', `exit ${exit}, ${seen}`);
      rmSync(ballast);
      await checkRecovery(victim);
    }),
  );
});

describe.skipIf(noMount !== undefined)('a file system that is read only', () => {
  test.each(['first', 'update'] as const)('%s', (start) =>
    onMount(start, async (victim, remount) => {
      remount('ro');
      const { stderr } = await expectEnd(startRun(victim), 6);
      expect(stderr).toMatch(/EROFS/);
      expect(expectUntouched(victim)).toBe('before');
      note('read-only file system', 'exit 6, before');
      remount('rw');
      await checkRecovery(victim);
    }),
  );
});

describe('limits of the process', { concurrent: true }, () => {
  const limited = (limit: string): readonly string[] => [
    'bash',
    '-c',
    `ulimit -S ${limit}; exec "$@"`,
    'limited',
  ];

  test.each([1, 2, 3, 4, 8])('no file larger than %i KiB', async (kilobytes) => {
    const victim = makeVictim(world, 'update');
    const run = startRun(victim, { through: limited(`-f ${kilobytes}`) });
    const { exit, stderr } = await expectEnd(run, 6, 0);
    if (exit === 6) expect(stderr).toMatch(/EFBIG|File too large/);
    if (kilobytes === 1) expect(exit).toBe(6);
    note('limit of a file’s size', `exit ${exit}, ${expectUntouched(victim)}`);
    await expectRecovery(victim);
  });

  test.each(share([26, 28, 30, 32, 34, 36, 40, 48]))('%i open files', async (files) => {
    const victim = makeVictim(world, 'update');
    const run = startRun(victim, { through: limited(`-n ${files}`) });
    const { exit, stderr } = await expectEnd(run, 6, 0);
    if (exit === 6) expect(stderr).toMatch(/EMFILE|Too many open files|the worker process died/);
    note('limit of open files', `exit ${exit}, ${expectUntouched(victim)}`);
    await expectRecovery(victim);
  });
});

/** Removes a folder in which others may still write, as far as it can be. */
function isRemoved(folder: string): boolean {
  spawnSync('rm', ['-rf', folder]);
  return !existsSync(folder);
}

describe('an output that vanishes while a run goes on', { concurrent: true }, () => {
  const places = ['tmp', 'runs', 'cache', 'store/csv', 'store/scores', 'store/parts'];
  test.each(
    places.flatMap((place, i) => {
      const hows = [
        { place, how: 'removed' as const },
        { place, how: 'moved away' as const },
      ];
      return ALL ? hows : hows.slice(i % 2, (i % 2) + 1);
    }),
  )('once it has $place, $how', async ({ place, how }) => {
    const victim = makeVictim(world, 'first');
    const run = startRun(victim);
    await until('it is there', () => existsSync(join(victim.output, place)));
    if (how === 'moved away') renameSync(victim.output, `${victim.output}-away`);
    else await until('it is gone', () => isRemoved(victim.output));
    const { exit } = await expectEnd(run, 6);
    note('vanished output', `exit ${exit}`);
    await expectRecovery(victim);
  });
});

describe.skipIf(noStrace !== undefined)('input that cannot be read', { concurrent: true }, () => {
  const file = join(world.folder, 'in', 'p=1', 'x.csv');
  test.each([
    { name: 'openat', what: 'EACCES' },
    { name: 'openat', what: 'EIO' },
    { name: 'openat', what: 'EMFILE' },
    { name: 'read', what: 'EIO' },
  ])('$what from $name', async ({ name, what }) => {
    const victim = makeVictim(world, 'update');
    const { run, hit } = await runWithFault(victim, { call: { name, path: file, index: 1 }, what });
    expect(hit).toBe(true);
    expectLine(run, [4, 6]);
    expect(run.stderr).toMatch(new RegExp(`p=1/x\\.csv: .*${what}`));
    expect(expectUntouched(victim)).toBe('before');
    note('unreadable input', `exit ${run.exit}, before`);
    await expectRecovery(victim);
  });
});

test('what was mounted is gone', () => {
  const mounts = execFileSync('cat', ['/proc/mounts'], { encoding: 'utf8' });
  expect(mounts).not.toContain(world.folder);
  writeFileSync(join(world.folder, 'done'), '');
});
