/** Random sequences of commands, changes of the input and of the job: each step comes to what a simple model says. */
import { expect, test } from 'vitest';
import { Random } from '../random.js';
import { Sequence } from '../sequence-case.js';

/** SEQUENCE_SEEDS (`100-120`) and SEQUENCE_STEPS draw others. */
const { SEQUENCE_SEEDS, SEQUENCE_STEPS = '20' } = process.env;
const STEPS = Number(SEQUENCE_STEPS);

/** The seeds to draw from; without a range those of the suite. */
function seeds(range: string | undefined): readonly number[] {
  if (range === undefined) return [210, 214, 222];
  const [first, last = first] = range.split('-').map(Number);
  return Array.from({ length: last! - first! + 1 }, (_, i) => first! + i);
}

test.each(seeds(SEQUENCE_SEEDS))(
  'seed %i: what is published is what the model says after every command',
  async (seed) => {
    const sequence = new Sequence(new Random(seed));
    let step = 0;
    try {
      await sequence.begin();
      for (; step < STEPS; step++) await sequence.step();
      await sequence.end();
    } catch (error) {
      const told = sequence.log.join('\n');
      throw new Error(`${(error as Error).message}\n\nafter ${step} steps:\n${told}`, {
        cause: error,
      });
    }
    expect(step).toBe(STEPS);
  },
);
