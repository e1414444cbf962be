/** kill -9 at every step in which scoreline writes, flushes, links, renames or removes something: listed first, then one after the other. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import * as files from '../../src/base/files.js';
import { scoreline } from '../scoreline.js';
import {
  ALL,
  expectEnd,
  expectRecovery,
  expectUntouched,
  type HowToRun,
  makeVictim,
  makeWorld,
  note,
  type Start,
  shapeOf,
  startRun,
  type Victim,
} from './fault-case.js';

/** With one worker the steps of a run are the same ones each time. */
const ALONE = ['--workers', '1'];

const world = await makeWorld();
const steps = { first: await listSteps('first'), update: await listSteps('update') };

/** The steps of an undisturbed run that change something, in order. */
async function listSteps(start: Start): Promise<string[]> {
  const victim = makeVictim(world, start);
  const log = join(victim.folder, 'steps');
  await expectEnd(startRun(victim, { args: ALONE, fault: { log } }), 0);
  const lines = readFileSync(log, 'utf8').trim().split('\n');
  return lines.filter((line) => line.includes(' change '));
}

/** What of `base/files` changes the disk, and the steps that show that it was at work. */
const AT_WORK: Readonly<Record<string, readonly RegExp[]>> = {
  createSubfolder: [/^worker change mkdir tmp\/T\/[0-9a-f]{64}-1\/part #/],
  makeSubfolder: [/^parent change mkdir runs\/R #/, /^parent change sync runs #/],
  makeFolder: [/^parent change mkdir store #/, /^parent change sync \. #/],
  createFolder: [/^worker change mkdir store\/csv #/],
  writeFileWhole: [
    /writeFile scoreline\.json\.tmp #/,
    /sync scoreline\.json\.tmp #/,
    /rename scoreline\.json\.tmp -> scoreline\.json #/,
  ],
  putFolderIfAbsent: [
    /^worker change sync tmp\/T\/\S+\/part\/data\.parquet #/,
    /^worker change chmod tmp\/T\/\S+\/part\/data\.parquet #/,
    /^worker change rename tmp\/T\/\S+\/part -> store\/parts\//,
    /^worker change rename tmp\/T\/\S+\/scores -> store\/scores\//,
    /^worker change rename tmp\/T\/\S+\/csv -> store\/csv\//,
    /^parent change rename tmp\/T\/snapshot-1 -> snapshots\/000001 #/,
  ],
  copyWhole: [/^parent change copyFile tmp\/T\/model-[0-9a-f]+\/files\/\S+\.onnx #/],
  linkFile: [/^parent change link tmp\/T\/snapshot-1\/data\//],
  replaceLink: [
    /^parent change symlink tmp\/T\/current #/,
    /change rename tmp\/T\/current -> current #/,
  ],
  createFile: [/^worker change writeFile tmp\/T\/\S+\/part\/part\.json #/],
  removeTree: [/^worker change rm tmp\/T\/csv-/],
  removeLeftover: [/^worker change rm tmp\/T\//, /^parent change rm tmp\/T #/],
};
const ONLY_LOOK = ['linkTarget', 'listFolder', 'listTree', 'resolved'];

describe('the steps of a run', () => {
  test('are those of every function that makes something visible, and of both processes', () => {
    expect(Object.keys(files).sort()).toEqual([...Object.keys(AT_WORK), ...ONLY_LOOK].sort());
    const missing = Object.values(AT_WORK)
      .flat()
      .filter((step) => !steps.first.some((line) => step.test(line)));
    expect(missing).toEqual([]);
    expect(steps.first.length).toBeGreaterThan(150);
    expect(steps.update.length).toBeGreaterThan(100);
    note('steps listed', `${steps.first.length} steps into a new output`);
    note('steps listed', `${steps.update.length} steps onto an older publication`);
  });

  test.each(['first', 'update'] as const)(
    'flush what they make visible before, and the folder that names it after: %s',
    (start) => {
      const places = steps[start].map((step) => step.replace(/^\w+ change /, ''));
      const renames = places.filter((place) => place.startsWith('rename '));
      expect(renames.length).toBeGreaterThan(8);
      for (const rename of renames) {
        const [, from, to] = rename.match(/^rename (\S+) -> (\S+) #/)!;
        const at = places.indexOf(rename);
        const before = places.slice(0, at).filter((place) => place.startsWith(`sync ${from} #`));
        // A symbolic link has no content to flush.
        if (from !== 'tmp/T/current') expect(before, rename).not.toEqual([]);
        const after = places.slice(at + 1).filter((p) => p.startsWith(`sync ${dirname(to!)} #`));
        expect(after, rename).not.toEqual([]);
      }
    },
  );
});

test('a record that cannot be put into both of its places is kept once', async () => {
  const step = steps.update.find((name) => name.includes(' link runs/R/run.json'));
  expect(step).toBeDefined();
  const victim = makeVictim(world, 'update');
  const fault = { step, act: 'EIO', fired: join(victim.folder, 'fired') };
  const { stderr } = await expectEnd(startRun(victim, { args: ALONE, fault }), 6);
  expect(stderr).toMatch(/runs\/.*run\.json: EIO$/m);
  expect(expectUntouched(victim)).toBe('after');
  await expectRecovery(victim);
});

test('a run that was killed just after it had published is shown, before and after another has added its record', async () => {
  const step = steps.update.find((name) => name.includes(' writeFile runs/R/report.json.tmp'));
  expect(step).toBeDefined();
  const victim = makeVictim(world, 'update');
  const fired = join(victim.folder, 'fired');
  await expectEnd(startRun(victim, { args: ALONE, fault: { step, act: 'kill', fired } }), null);
  expect(expectUntouched(victim)).toBe('after');
  const { output } = victim;
  const lastRun = async () => JSON.parse((await scoreline(['runs', output, '--json'])).stdout)[1];
  const { runId, ...before } = await lastRun();
  expect(before).toMatchObject({ verdict: 'unfinished', snapshot: 2, rows: 902, error: null });
  expect((await scoreline(['verify', output])).exit).toBe(6);
  await expectEnd(startRun(victim), 0);
  expect(await lastRun()).toMatchObject({
    ...{ runId, verdict: 'published', snapshot: 2, rows: 902 },
    error: 'ended before it could record this; the record was added afterwards',
  });
  const { stdout: page } = await scoreline(['report', output]);
  expect(page.trim()).toBe(join(output, 'runs', runId, 'report.html'));
  expect(readFileSync(page.trim(), 'utf8')).toContain('ended before it could record this');
  await expectRecovery(victim);
});

test('an act that is killed at any of its steps leaves no snapshot without a record', async () => {
  const whole = makeVictim(world, 'update');
  await expectEnd(startRun(whole), 0);
  const log = join(whole.folder, 'steps');
  const copyOfWhole = (): Victim => {
    const victim: Victim = { ...makeVictim(world, 'first'), start: 'update' };
    execFileSync('cp', ['-a', whole.output, victim.output]);
    return victim;
  };
  const listed = copyOfWhole();
  const act = ({ output }: Victim): HowToRun => ({
    command: ['revert', output, '--to', '2', '--quiet'],
  });
  const revert = ({ output }: Victim): HowToRun => ({ command: ['revert', output, '--quiet'] });
  await expectEnd(startRun(listed, { ...revert(listed), fault: { log } }), 0);
  const all = readFileSync(log, 'utf8').trim().split('\n');
  const own = all.filter((line) => line.includes(' change '));
  expect(own.length).toBeGreaterThan(30);
  for (const step of ALL ? own : own.filter((name) => /rename|link|rm /.test(name))) {
    const victim = copyOfWhole();
    const fault = { step, act: 'kill', fired: join(victim.folder, 'fired') };
    await expectEnd(startRun(victim, { ...revert(victim), fault }), null);
    // Back to what a run publishes: so the recovery below finds nothing that is held.
    await expectEnd(startRun(victim, act(victim)), 0);
    await expectRecovery(victim);
  }
}, 300_000);

type Act = 'kill' | 'kill all' | 'torn';

interface Attack {
  readonly start: Start;
  readonly step: string;
  readonly act: Act;
}

const IN_PUBLICATION = /tmp\/T\/snapshot-|snapshots|current/;

/**
 * Every step; in `.ci/run`, each step of the parent at one of the two starts, of those of tasks that differ in keys alone one,
 * and all processes at once only where something is written or becomes visible.
 */
function attacksOn(start: Start): Attack[] {
  const shapes = new Set<string>();
  return steps[start].flatMap((step): Attack[] => {
    const ofWorker = step.startsWith('worker ');
    const visible = / (?:writeFile|rename|sync store)/.test(step);
    const acts: Act[] = ofWorker && (ALL || visible) ? ['kill', 'kill all'] : ['kill'];
    if (/ writeFile /.test(step)) acts.push('torn');
    if (!ALL) {
      const shape = shapeOf(step);
      const first = !shapes.has(shape);
      shapes.add(shape);
      const wanted = ofWorker
        ? start === 'first' && first
        : IN_PUBLICATION.test(step) === (start === 'update');
      if (!wanted) return [];
    }
    return acts.map((act) => ({ start, step, act }));
  });
}

describe.concurrent.each(['first', 'update'] as const)('killed at a step: %s', (start) => {
  test.each(attacksOn(start))('$step: $act', async ({ step, act }) => {
    const victim = makeVictim(world, start);
    const fired = join(victim.folder, 'fired');
    const run = startRun(victim, { args: ALONE, fault: { step, act, fired } });
    // A worker that dies is replaced, and its run does not mind.
    const survives = act !== 'kill all' && step.startsWith('worker ');
    await expectEnd(run, survives ? 0 : null);
    expect(existsSync(fired)).toBe(true);
    const seen = expectUntouched(victim);
    if (survives) expect(seen).toBe('after');
    note(`kill at a step, ${step.split(' ')[0]}, ${act}`, seen);
    await expectRecovery(victim);
  });
});
