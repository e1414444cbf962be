/** Four runs at once into one output; in every other round one of them is killed. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { Random } from '../random.js';
import {
  ALL,
  expectEnd,
  expectRecovery,
  type HowToRun,
  makeVictim,
  makeWorld,
  note,
  SEED,
  type Start,
  startRun,
} from './fault-case.js';

const ROUNDS = ALL ? 100 : 25;

const world = await makeWorld();
const random = new Random(SEED);
console.log(`seed of the rounds: ${SEED} (FAULTS_SEED)`);

const partition = (p: number): HowToRun => ({ args: ['--partition', `p=${p}`] });
const other: HowToRun = { job: world.otherJobFile };

/** Who runs at once, and how each may end. */
const ROUND: readonly { what: string; runs: readonly HowToRun[]; exits: readonly number[] }[] = [
  { what: 'the same four times', runs: [{}, {}, {}, {}], exits: [0] },
  {
    what: 'one partition each, and all of them',
    runs: [partition(1), partition(2), partition(3), {}],
    exits: [0],
  },
  // The second of two that publish different contents of a partition has to give way.
  { what: 'two states of the input', runs: [other, {}, other, {}], exits: [0, 7] },
];

const rounds = Array.from({ length: ROUNDS }, (_, i) => ({
  n: i + 1,
  ...ROUND[i % ROUND.length]!,
  start: (i % 2 === 0 ? 'update' : 'first') as Start,
  delays: [0, 1, 2, 3].map(() => random.next() * 0.3),
  killed: i % 2 === 1 ? random.whole(0, 3) : undefined,
  killedAt: random.next(),
}));

describe.concurrent('four runs at once', () => {
  test.each(rounds)('$n: $what, $start', async (round) => {
    const { what, runs, exits, start, delays, killed, killedAt } = round;
    const victim = makeVictim(world, start);
    const ends = await Promise.all(
      runs.map(async (how, i) => {
        await sleep(delays[i]! * world.ms);
        const run = startRun(victim, how);
        if (i !== killed) return expectEnd(run, ...exits);
        await sleep(killedAt * 2 * world.ms);
        run.child.kill('SIGKILL');
        return expectEnd(run, null, ...exits);
      }),
    );
    expect(ends.filter(({ exit }) => exit === 0)).not.toEqual([]);
    if (what === ROUND[0]!.what) {
      // Whoever comes later finds it published.
      const published = readdirSync(join(victim.output, 'snapshots'));
      expect(published).toHaveLength(start === 'first' ? 1 : 2);
    }
    for (const { exit } of ends)
      note(`four at once: ${what}`, exit === null ? 'killed' : `exit ${exit}`);
    await expectRecovery(victim, runs.includes(other));
  });
});
