/** An output of which half is gone, as after a copy that was cut short; verify names what is missing, and a run makes it again. */
import { execFileSync } from 'node:child_process';
import { existsSync, rmSync, statSync, truncateSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles } from '../job-case.js';
import { Random } from '../random.js';
import { scoreline } from '../scoreline.js';
import {
  expectEnd,
  makeVictim,
  makeWorld,
  note,
  publishedIn,
  SEED,
  startRun,
  type Victim,
} from './fault-case.js';

const world = await makeWorld();
const random = new Random(SEED);
console.log(`seed of the damage: ${SEED} (FAULTS_SEED)`);
const whole = makeVictim(world, 'update');
await expectEnd(startRun(whole), 0);

function copyOfWhole(): Victim {
  const copy = makeVictim(world, 'first');
  execFileSync('cp', ['-a', whole.output, copy.output]);
  return copy;
}

async function damageOf({ output }: Victim): Promise<string[]> {
  const { stdout } = await scoreline(['verify', output, '--json']);
  return (JSON.parse(stdout) as { damage: { path: string }[] }).damage.map(({ path }) => path);
}

test.each([1, 2, 3, 4, 5, 6])('half of the files gone, another cut short: %i', async () => {
  const victim = copyOfWhole();
  const { output } = victim;
  expect(await damageOf(victim)).toEqual([]);
  // Where manifests and records are gone too, nothing says what is missing: verify.test.ts has those.
  const names = listFiles(output).filter((name) =>
    /^(?:store|snapshots\/.*\/(?:data|quarantine)|cache)\//.test(name),
  );
  const [cut, ...rest] = random.shuffled(names);
  const gone = rest.slice(0, names.length >> 1);
  for (const name of gone) rmSync(join(output, name));
  truncateSync(join(output, cut!), statSync(join(output, cut!)).size >> 1);
  const named = await damageOf(victim);
  const published = gone.filter((name) => name.startsWith('snapshots/000002/'));
  expect(named).toEqual(expect.arrayContaining(published));
  expect(named.length).toBeGreaterThan(0);
  const repair = await scoreline(['verify', output, '--repair']);
  expect(repair.exit).toBeOneOf([0, 6]);
  await expectEnd(startRun(victim), 0);
  expect(publishedIn(output)).toEqual(world.wanted);
  expect(await damageOf(victim)).toEqual([]);
  note('half of the files gone', 'named and mended');
});

test('the cache gone: it is made again, and nothing else', async () => {
  const victim = copyOfWhole();
  rmSync(join(victim.output, 'cache'), { recursive: true });
  await expectEnd(startRun(victim, { args: ['--skip-unchanged'] }), 99);
  expect(existsSync(join(victim.output, 'cache', 'descriptions.json'))).toBe(true);
  expect(publishedIn(victim.output)).toEqual(world.wanted);
  note('the cache gone', 'up to date');
});
