/**
 * A small job whose run leaves one of everything in its output: scores, parts, converted CSV, rows set aside, records that are
 * none, a cache, snapshots. What is attacked is always a run of `job`, into an output of its own: a new one, or one in
 * which an older state of the input was published before.
 */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process';
import {
  appendFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect } from 'vitest';
import { gc } from '../../src/run/gc.js';
import { Output } from '../../src/run/store.js';
import { verify } from '../../src/run/verify.js';
import { contentFiles, listFiles, modelPath } from '../job-case.js';
import { type CommandResult, makeFolder, ROOT } from '../scoreline.js';

/** Where an attack begins: with no output, or with one that holds an older publication. */
export type Start = 'first' | 'update';

/** Files by path, their contents in base64. */
export type Contents = Readonly<Record<string, string>>;

/** The job, and what undisturbed runs of it leave behind. */
export interface World {
  readonly folder: string;
  readonly jobFile: string;
  readonly olderJobFile: string;
  /** Another state of the input: of one partition the content is a third one. */
  readonly otherJobFile: string;
  readonly template: string;
  /** What was published before. */
  readonly older: Contents;
  readonly wanted: Contents;
  readonly stored: Readonly<Record<Start, readonly string[]>>;
  /** How long an undisturbed run takes. */
  readonly ms: number;
}

/** An output that is attacked. */
export interface Victim {
  readonly world: World;
  readonly start: Start;
  readonly folder: string;
  readonly output: string;
}

/** A run under way. */
export interface Started {
  readonly child: ChildProcess;
  readonly ended: Promise<CommandResult>;
}

/** Whether all is done that `npm run test:faults` does, not only the share of `.ci/run`. */
export const ALL: boolean = process.env.FAULTS === 'all';

/** The seed of what is drawn: printed, and settable. */
export const SEED: number = Number(process.env.FAULTS_SEED ?? 20130601);

/** The file that loads faults into a run. */
export const PRELOAD: string = join(ROOT, 'test', 'faults', 'preload.mjs');

const ROWS = 300;

/** A CSV file of one partition: three columns, some rows, and more text at its end. */
function writeCsv(folder: string, partition: number, more = ''): void {
  mkdirSync(join(folder, `p=${partition}`), { recursive: true });
  const rows = Array.from({ length: ROWS }, (_, i) => `${i},${i % 100},${partition}\n`);
  writeFileSync(join(folder, `p=${partition}`, 'x.csv'), `id,a,b\n${rows.join('')}${more}`);
}

/** Makes the job, and has it run undisturbed. */
export async function makeWorld(): Promise<World> {
  const folder = makeFolder();
  const [input, older, other] = ['in', 'older', 'other'].map((name) => join(folder, name)) as [
    string,
    string,
    string,
  ];
  writeCsv(older, 1);
  writeCsv(older, 2);
  // A row that cannot be scored, and a record that is none.
  writeCsv(input, 1, `${ROWS},bad,1\n${ROWS + 1},1\n`);
  writeCsv(input, 2);
  writeCsv(input, 3);
  writeCsv(other, 1, `${ROWS},7,1\n`);
  writeCsv(other, 2);
  const job = (path: string) => ({
    name: 'case',
    input: { path, key: 'id' },
    model: { path: modelPath('small/linear') },
    features: ['a', 'b'],
    output: { path: 'out', keep: ['id'] },
    run: { workers: 2, batch_rows: 1 },
  });
  const jobFile = join(folder, 'job.yaml');
  const olderJobFile = join(folder, 'older.yaml');
  const otherJobFile = join(folder, 'other.yaml');
  writeFileSync(jobFile, JSON.stringify(job('in')));
  writeFileSync(olderJobFile, JSON.stringify(job('older')));
  writeFileSync(otherJobFile, JSON.stringify(job('other')));
  // What files hold is remembered only when they were changed more than two seconds ago.
  await sleep(2100);
  const bare = { folder, jobFile, olderJobFile, otherJobFile, template: join(folder, 'template') };
  const world = { ...bare, older: {}, wanted: {}, stored: { first: [], update: [] }, ms: 0 };
  const template: Victim = { world, start: 'first', folder, output: bare.template };
  await expectEnd(startRun(template, { job: olderJobFile }), 0);
  const first = makeVictim({ ...world }, 'first');
  const { ms } = await expectEnd(startRun(first), 0);
  const update = makeVictim(world, 'update');
  await expectEnd(startRun(update), 0);
  const wanted = publishedIn(first.output);
  expect(publishedIn(update.output)).toEqual(wanted);
  expect(Object.keys(wanted)).toHaveLength(6);
  const stored = { first: storedIn(first.output), update: storedIn(update.output) };
  for (const { folder: done } of [first, update]) rmSync(done, { recursive: true });
  return { ...bare, older: publishedIn(bare.template), wanted, stored, ms };
}

/** How long a run takes beside three others, as the attacks run. */
export async function busyMs(world: World): Promise<number> {
  const victims = [1, 2, 3, 4].map(() => makeVictim(world, 'first'));
  const ends = await Promise.all(victims.map((victim) => expectEnd(startRun(victim), 0)));
  for (const { folder } of victims) rmSync(folder, { recursive: true });
  return ends.reduce((sum, { ms }) => sum + ms, 0) / ends.length;
}

/** An output to attack; what is to be there before it is made ready first. */
export function makeVictim(
  world: World,
  start: Start,
  ready: (folder: string) => void = () => undefined,
): Victim {
  const folder = mkdtempSync(join(world.folder, 'victim-'));
  // One folder deeper than the rest: it may be a file system of its own.
  const output = join(folder, 'disk', 'out');
  mkdirSync(join(folder, 'disk'));
  ready(join(folder, 'disk'));
  if (start === 'update') execFileSync('cp', ['-a', world.template, output]);
  return { world, start, folder, output };
}

/** How a run is started; what is left out is as for a user. */
export interface HowToRun {
  readonly job?: string;
  /** What to do instead of a run: a command and its arguments. */
  readonly command?: readonly string[];
  readonly args?: readonly string[];
  /** The fault, for the preloaded file. */
  readonly fault?: Readonly<Record<string, unknown>>;
  /** What to start instead of Node; the rest follows as its arguments. */
  readonly through?: readonly string[];
  readonly env?: Readonly<Record<string, string>>;
}

/** Starts a run, as the head of a process group. */
export function startRun({ world, folder, output }: Victim, how: HowToRun = {}): Started {
  const { job = world.jobFile, command, args = [], fault, through = [], env = {} } = how;
  const started = performance.now();
  const node = [process.execPath, ...(fault === undefined ? [] : ['--import', PRELOAD])];
  // States of the input are jobs of their own here.
  const run = ['run', job, '--quiet', '--adopt', '--set', `output.path=${output}`];
  const scoreline = [join(ROOT, 'bin', 'scoreline.js'), ...(command ?? run)];
  const [program, ...rest] = [...through, ...node, ...scoreline, ...args];
  const child = spawn(program!, rest, {
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
    env: {
      ...process.env,
      ...env,
      [OF_CASE]: folder,
      ...(fault === undefined
        ? {}
        : { SCORELINE_FAULT: JSON.stringify({ under: output, ...fault }) }),
    },
  });
  const texts = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name]?.setEncoding('utf8').on('data', (text: string) => {
      texts[name] += text;
    });
  }
  const ended = new Promise<CommandResult>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', (exit) => resolve({ exit, ...texts, ms: performance.now() - started }));
  });
  return { child, ended };
}

/** Every process of a victim has this in its environment: so those that are left behind are found. */
const OF_CASE = 'SCORELINE_FAULT_CASE';

/** The processes of a victim that still run, oldest first. */
export function processesOf({ folder }: Pick<Victim, 'folder'>): number[] {
  const mark = `${OF_CASE}=${folder}\0`;
  const numbers = readdirSync('/proc').filter((name) => /^\d+$/.test(name));
  return numbers.map(Number).filter((pid) => {
    try {
      // One that has ended and was not waited for has no environment any more.
      return readFileSync(`/proc/${pid}/environ`, 'latin1').includes(mark);
    } catch {
      return false;
    }
  });
}

/** Waits until something holds. */
export async function until(what: string, holds: () => boolean, ms = 20_000): Promise<void> {
  const deadline = performance.now() + ms;
  while (!holds()) {
    if (performance.now() > deadline) throw new Error(`not within ${ms} ms: ${what}`);
    await sleep(5);
  }
}

/** Checks how a run ends: with nothing to say on success, one line on failure and one that names the job, and never with a stack. */
export async function expectEnd(run: Started, ...exits: (number | null)[]): Promise<CommandResult> {
  const result = await run.ended;
  expectLine(result, exits);
  return result;
}

/** Checks how a run has ended. */
export function expectLine(
  { exit, stderr }: CommandResult,
  exits: readonly (number | null)[],
): void {
  const quiet = exit === 0 || exit === 99 || exit === null;
  expect({ exit, stderr }).toEqual({
    exit: expect.toBeOneOf([...exits]),
    stderr: quiet
      ? ''
      : expect.stringMatching(/^scoreline: (?!bug)[^\n]+\n(scoreline: job case[^\n]+\n)?$/),
  });
}

/** The manifest and all published files, data and quarantine. */
export function publishedIn(output: string): Contents {
  const root = join(output, 'current');
  return Object.fromEntries(
    contentFiles(root)
      // What a person took back or let pass: no published content.
      .filter((name) => name !== 'held.json' && name !== 'overridden.json')
      .map((name) => [name, readFileSync(join(root, name), 'base64')]),
  );
}

/** The files of the store. */
export function storedIn(output: string): string[] {
  return listFiles(join(output, 'store'));
}

/** Checks that readers see one whole publication: the older one, the new one, or none where there was none. */
export function expectUntouched({ world, start, output }: Victim): 'before' | 'after' {
  const found = existsSync(join(output, 'current')) ? publishedIn(output) : {};
  if (canonical(found) === canonical(world.wanted)) return 'after';
  expect(found).toEqual(start === 'update' ? world.older : {});
  return 'before';
}

function canonical(contents: Contents): string {
  return JSON.stringify(Object.entries(contents).sort());
}

/**
 * Checks what must hold after whatever happened: a plain run ends well, what is published then is what an undisturbed run
 * publishes, byte for byte, the store holds what it would hold, no process is left, verify finds no damage, in the chain of
 * records neither, each snapshot has one record, and after `gc` nothing is in `tmp`.
 */
export async function expectRecovery(victim: Victim, othersToo = false): Promise<void> {
  await checkRecovery(victim, othersToo);
  rmSync(victim.folder, { recursive: true });
}

/** The same, with everything left in place. */
export async function checkRecovery(victim: Victim, othersToo = false): Promise<void> {
  const { world, start, output } = victim;
  // With one worker: the bytes must not depend on how many there are.
  await expectEnd(startRun(victim, { args: ['--workers', '1'] }), 0);
  const found = publishedIn(output);
  expect(Object.keys(found)).toEqual(Object.keys(world.wanted));
  for (const [name, content] of Object.entries(found))
    expect(content === world.wanted[name], `bytes of ${name}`).toBe(true);
  // Where another state of the input was scored too, the store has that as well.
  if (othersToo) expect(storedIn(output)).toEqual(expect.arrayContaining([...world.stored[start]]));
  else expect(storedIn(output)).toEqual(world.stored[start]);
  await checkSound(victim);
}

/** Checks that no process is left, that nothing is damaged, that each snapshot has one record, and that `gc` empties `tmp`. */
export async function checkSound(victim: Victim): Promise<void> {
  const { output } = victim;
  await until('no process is left', () => processesOf(victim).length === 0, 3000);
  const opened = await Output.find(output);
  const now = (): Date => new Date();
  expect((await verify(opened!, { all: true, repair: false, now })).damage).toEqual([]);
  expect(recordsBySnapshot(output)).toEqual(snapshotsOf(output).map((number) => [number, 1]));
  await gc(opened!, { keep: 10, dryRun: false, now });
  expect(readdirSync(join(output, 'tmp'))).toEqual([]);
}

function snapshotsOf(output: string): number[] {
  return readdirSync(join(output, 'snapshots')).map(Number);
}

/** How many records of the chain say that they published a snapshot, for each that is there. */
function recordsBySnapshot(output: string): [number, number][] {
  const records = listFiles(join(output, 'runs', 'chain')).map((name) =>
    JSON.parse(readFileSync(join(output, 'runs', 'chain', name), 'utf8')),
  );
  return snapshotsOf(output).map((number) => [
    number,
    records.filter(({ snapshot, manifest }) => snapshot === number && manifest !== null).length,
  ]);
}

/** A step without the keys in it: the same step of another task. */
export function shapeOf(step: string): string {
  return step
    .replace(/[0-9a-f]{64}/g, 'K')
    .replace(/(store\/\w+\/)[0-9a-f]{2}\b/g, '$1k')
    .replace(/p=\d/g, 'p=N');
}

/** Notes what became of an attack, for the page that sums them up. */
export function note(attack: string, outcome: string): void {
  const path = process.env.FAULTS_NOTES;
  if (path !== undefined) appendFileSync(path, `${JSON.stringify({ attack, outcome })}\n`);
}
