/** kill -9 at random instants: of a run, and of one of its workers. */
import { readFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { allowedMs } from '../job-case.js';
import { Random } from '../random.js';
import {
  ALL,
  busyMs,
  expectEnd,
  expectRecovery,
  expectUntouched,
  makeVictim,
  makeWorld,
  note,
  processesOf,
  SEED,
  type Start,
  startRun,
  until,
} from './fault-case.js';

const PARENTS = ALL ? 300 : 60;
const WORKERS = ALL ? 200 : 40;
/** What the design promises. */
const WORKERS_GONE_MS = 2000;

const world = await makeWorld();
const ms = await busyMs(world);
const random = new Random(SEED);
console.log(`seed of the kills: ${SEED} (FAULTS_SEED)`);

/** Attacks of a suite: when, as a share of the time that a run takes, and to what. */
function drawn(count: number): { n: number; when: number; start: Start; pick: number }[] {
  return Array.from({ length: count }, (_, i) => ({
    n: i + 1,
    when: random.next(),
    start: i % 2 === 0 ? 'first' : 'update',
    pick: random.next(),
  }));
}

describe.concurrent('a run killed at a random instant', () => {
  test.each(drawn(PARENTS))('$n: at $when of its time, $start', async (attack) => {
    const { n, when, start } = attack;
    const victim = makeVictim(world, start);
    const run = startRun(victim);
    await sleep(when * 1.1 * ms);
    run.child.kill('SIGKILL');
    // One that was through already is as good as any.
    const { exit } = await expectEnd(run, null, 0);
    const seen = expectUntouched(victim);
    if (exit === 0) expect(seen).toBe('after');
    // Every other time the next run begins while the workers of the dead one may still be at work.
    const patienceMs = allowedMs(WORKERS_GONE_MS);
    if (n % 2 === 0) await until('workers end', () => processesOf(victim).length === 0, patienceMs);
    note('kill of a run', exit === 0 ? 'it had ended' : seen);
    await expectRecovery(victim);
  });
});

/** The workers of a run. */
function workersOf(pid: number | undefined): number[] {
  try {
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8');
    return children.trim().split(' ').filter(Boolean).map(Number);
  } catch {
    return [];
  }
}

describe.concurrent('a worker killed at a random instant', () => {
  test.each(drawn(WORKERS))('$n: at $when of the time, $start', async ({ when, start, pick }) => {
    const victim = makeVictim(world, start);
    const run = startRun(victim);
    let ended = false;
    void run.ended.then(() => {
      ended = true;
    });
    await until('there is a worker', () => ended || workersOf(run.child.pid).length > 0);
    await sleep(when * 0.8 * ms);
    const workers = workersOf(run.child.pid);
    const worker = workers[Math.floor(pick * workers.length)];
    if (worker !== undefined) process.kill(worker, 'SIGKILL');
    // The run goes on by itself.
    await expectEnd(run, 0);
    expect(expectUntouched(victim)).toBe('after');
    note('kill of a worker', worker === undefined ? 'there was none any more' : 'replaced');
    await expectRecovery(victim);
  });
});
