/**
 * kill -9 at every step of the commands that write besides `run`: repair, gc, revert, publish, discard, check. The steps are
 * listed first, then a process is killed at each of them; after that the same command, or a plain run, ends well.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  utimesSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { gc } from '../../src/run/gc.js';
import { Output } from '../../src/run/store.js';
import { verify } from '../../src/run/verify.js';
import { listFiles } from '../job-case.js';
import {
  ALL,
  type Contents,
  checkRecovery,
  checkSound,
  expectEnd,
  makeVictim,
  makeWorld,
  note,
  publishedIn,
  shapeOf,
  startRun,
  type Victim,
} from './fault-case.js';

const DAYS_MS = 8 * 24 * 60 * 60 * 1000;

const world = await makeWorld();

/** What an attack begins with: an older publication and a newer one, changed by `prepare`. */
async function makeTemplate(
  prepare: (victim: Victim) => Promise<void> | void,
  { first = false }: { readonly first?: boolean } = {},
): Promise<Victim> {
  const victim = makeVictim(world, 'update');
  if (!first) await expectEnd(startRun(victim), 0);
  await prepare(victim);
  return victim;
}

function copyOf(template: Victim): Victim {
  const victim: Victim = { ...makeVictim(world, 'first'), start: 'update' };
  execFileSync('cp', ['-a', template.output, victim.output]);
  return victim;
}

/** Replaces a file, so that its other names keep what they had. */
function replace(path: string, text: string): void {
  unlinkSync(path);
  writeFileSync(path, text);
}

function flipBit(path: string): void {
  const bytes = readFileSync(path);
  bytes[bytes.length >> 1]! ^= 1;
  chmodSync(path, 0o644);
  writeFileSync(path, bytes);
}

const published = ({ output }: Victim, path: string): string => join(output, 'current', path);

/** The id of the run that is staged. */
function stagedRun(output: string): string {
  return readdirSync(join(output, 'staged'))[0]!;
}

/** Stages a run: its gate wants more rows than there are. */
async function stageRun(victim: Victim): Promise<void> {
  const how = { args: ['--set', 'gates.rows.min=1000000'] };
  const { stderr } = await startRun(victim, how).ended;
  expect(stderr).toContain('staged in');
}

interface Act {
  readonly name: string;
  readonly template: Victim;
  readonly command: (victim: Victim) => string[];
  /** Checks what must hold after the kill. */
  readonly after: (victim: Victim) => Promise<void>;
}

async function damageOf({ output }: Victim): Promise<string[]> {
  const opened = await Output.find(output);
  const options = { all: false, repair: false, now: () => new Date() };
  return (await verify(opened!, options)).damage.map(({ path }) => path);
}

/** A plain run restores what a repair had begun with; what it had not begun with is named as before. */
function repairs(named: readonly string[]): Act['after'] {
  return async (victim) => {
    // A record that is damaged stops a run (6) until the repair has come so far.
    await expectEnd(startRun(victim, { args: ['--workers', '1'] }), 0, 6);
    const left = await damageOf(victim);
    if (left.length > 0) {
      // A file that the next snapshot took over from the store has the same damage there.
      const unnumbered = (path: string): string => path.replace(/^snapshots\/\d+/, 'snapshots');
      expect(named.map(unnumbered)).toEqual(expect.arrayContaining(left.map(unnumbered)));
      const command = ['verify', victim.output, '--repair', '--quiet'];
      const { exit } = await startRun(victim, { command }).ended;
      expect(exit).toBeOneOf([0, 6]);
      await expectEnd(startRun(victim, { args: ['--workers', '1'] }), 0);
    }
    // The damaged snapshot stays as it is until gc takes it.
    const opened = await Output.find(victim.output);
    await gc(opened!, { keep: 1, dryRun: false, now: () => new Date() });
    await checkRecovery(victim);
  };
}

/** The command ends well when it is repeated, and then `wanted` is published. */
function repeats(
  command: Act['command'],
  wanted: Contents,
  exits: readonly number[] = [0],
): Act['after'] {
  return async (victim) => {
    const { output } = victim;
    const { exit } = await startRun(victim, { command: command(victim) }).ended;
    expect(exit).toBeOneOf([...exits]);
    expect(sameContents(publishedIn(output), wanted)).toBe(true);
    if (exits.includes(2)) {
      // What is no longer staged is refused, and the next run adds the record.
      await expectEnd(startRun(victim), 0);
      expect(sameContents(publishedIn(output), world.wanted)).toBe(true);
    }
    await checkSound(victim);
  };
}

function sameContents(one: Contents, other: Contents): boolean {
  const text = (contents: Contents): string => JSON.stringify(Object.entries(contents).sort());
  return text(one) === text(other);
}

async function makeActs(): Promise<Act[]> {
  const repair: Act['command'] = ({ output }) => ['verify', output, '--repair', '--quiet'];
  const missing = await makeTemplate((victim) => {
    for (const name of ['data/p=2/case-00000.parquet', 'quarantine/p=1/case-00000.parquet'])
      unlinkSync(published(victim, name));
  });
  const spoiled = await makeTemplate((victim) => {
    const { output } = victim;
    // Hard links: the store has the same damage.
    flipBit(published(victim, 'data/p=1/case-00000.parquet'));
    flipBit(published(victim, 'quarantine/p=1/case-00000.rejected.parquet'));
    writeFileSync(published(victim, 'data/p=3/stranger.parquet'), 'PAR1');
    const parts = join(output, 'store', 'parts');
    replace(join(parts, listFiles(parts).find((name) => name.endsWith('part.json'))!), '{}');
    const runs = join(output, 'runs');
    replace(join(runs, readdirSync(runs).find((name) => /^\d/.test(name))!, 'run.json'), '{}');
    rmSync(join(output, 'current'));
    execFileSync('ln', ['-s', 'snapshots/000001', join(output, 'current')]);
  });
  const old = await makeTemplate(({ output }) => {
    const then = new Date(Date.now() - DAYS_MS);
    const folders = new Set(
      listFiles(join(output, 'store')).map((name) => dirname(join(output, 'store', name))),
    );
    for (const folder of folders) utimesSync(folder, then, then);
  });
  const whole = await makeTemplate(() => undefined);
  const staged = await makeTemplate(stageRun, { first: true });
  const gc: Act['command'] = ({ output }) => ['gc', output, '--keep', '1', '--quiet'];
  const revert: Act['command'] = ({ output }) => ['revert', output, '--to', '1', '--quiet'];
  const onStaged =
    (name: string): Act['command'] =>
    ({ output }) => [name, output, stagedRun(template(output)), '--because', 'tried', '--quiet'];
  // The name of the staged run stays known once it is gone.
  const template = (output: string): string =>
    existsSync(join(output, 'staged')) && readdirSync(join(output, 'staged')).length > 0
      ? output
      : staged.output;
  return [
    {
      name: 'repair of missing files',
      template: missing,
      command: repair,
      after: repairs(await damageOf(missing)),
    },
    {
      name: 'repair of all kinds of damage',
      template: spoiled,
      command: repair,
      after: repairs(await damageOf(spoiled)),
    },
    { name: 'gc', template: old, command: gc, after: repeats(gc, world.wanted) },
    { name: 'revert', template: whole, command: revert, after: repeats(revert, world.older) },
    // Exit 2: it was published, or discarded, before the kill.
    {
      name: 'publish',
      template: staged,
      command: onStaged('publish'),
      after: repeats(onStaged('publish'), world.wanted, [0, 2]),
    },
    {
      name: 'discard',
      template: staged,
      command: onStaged('discard'),
      after: repeats(onStaged('discard'), world.older, [0, 2]),
    },
  ];
}

const acts = await makeActs();

/** The steps of an act that change something, in order. */
async function stepsOf({ template, command }: Act): Promise<string[]> {
  const victim = copyOf(template);
  const log = join(victim.folder, 'steps');
  const { exit } = await startRun(victim, { command: command(victim), fault: { log } }).ended;
  expect(exit).toBeOneOf([0, 6]);
  rmSync(victim.output, { recursive: true });
  return readFileSync(log, 'utf8')
    .trim()
    .split('\n')
    .filter((line) => line.includes(' change '));
}

const attacks: { act: Act; name: string; step: string; how: string }[] = [];
for (const act of acts) {
  const steps = await stepsOf(act);
  // In `.ci/run` one of those that differ in keys and partitions alone.
  const chosen = ALL ? steps : new Map(steps.map((step) => [shapeOf(step), step])).values();
  for (const step of chosen) {
    const hows = / writeFile /.test(step) && ALL ? ['kill', 'torn'] : ['kill'];
    attacks.push(...hows.map((how) => ({ act, name: act.name, step, how })));
  }
}

describe.concurrent('an act killed at a step', () => {
  test.each(attacks)('$name, $step: $how', async ({ act, name, step, how }) => {
    const victim = copyOf(act.template);
    const fired = join(victim.folder, 'fired');
    const fault = { step, act: how, fired };
    await expectEnd(startRun(victim, { command: act.command(victim), fault }), null);
    expect(existsSync(fired)).toBe(true);
    await act.after(victim);
    note(`kill at a step of an act: ${name}`, how);
    rmSync(victim.folder, { recursive: true });
  });
});
