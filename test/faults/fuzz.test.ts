/**
 * Every file that is read back, changed: a flipped bit, half of it, nothing of it, another file of its kind in its place, and what
 * an earlier version wrote. `verify` names it, no command ends with a bug, no wrong hash is recorded, and repair and a run mend it.
 */
import { execFileSync } from 'node:child_process';
import {
  chmodSync,
  existsSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { join, relative } from 'node:path';
import { describe, expect, test } from 'vitest';
import { listFiles } from '../job-case.js';
import { Random } from '../random.js';
import { ROOT } from '../scoreline.js';
import {
  ALL,
  expectEnd,
  makeVictim,
  makeWorld,
  note,
  publishedIn,
  SEED,
  startRun,
  type Victim,
} from './fault-case.js';

// The built program, in this process: a command that has nothing to score takes no time.
const api = (await import(join(ROOT, 'dist', 'index.js'))) as typeof import('../../src/index.js');
const now = (): Date => new Date();

const random = new Random(SEED);
console.log(`seed of the fuzz: ${SEED} (FAULTS_SEED)`);
const world = await makeWorld();

/** An output with one of everything: two publications, a revert that holds one back, a run that is staged, a baseline. */
const template = makeVictim(world, 'update');
await expectEnd(startRun(template), 0);
await startRun(template, {
  args: ['--set', 'gates.rows.min=1000000', '--set', 'output.columns={z: y}'],
}).ended;
expect(readdirSync(join(template.output, 'staged'))).toHaveLength(1);
const baseline = join(template.folder, 'baseline.json');
await expectEnd(
  startRun(template, { command: ['baseline', 'save', template.output, baseline] }),
  0,
);

const names = listFiles(template.output);

/** A file's kind: its path without keys, numbers and ids. */
function kindOf(name: string): string {
  return name
    .replace(/[0-9a-f]{64}/g, 'K')
    .replace(/(store\/\w+\/)[0-9a-f]{2}\b/, '$1k')
    .replace(/\d{8}T[\d.]+Z-\w+/, 'R')
    .replace(/\b\d{6}\b/, 'N')
    .replace(/p=\d/, 'p=N');
}

const kinds = new Map<string, string[]>();
for (const name of names) kinds.set(kindOf(name), [...(kinds.get(kindOf(name)) ?? []), name]);

type Change = 'flipped' | 'cut short' | 'empty' | 'swapped';
const CHANGES: readonly Change[] = ['flipped', 'cut short', 'empty', 'swapped'];

/** What `verify` does not look at: the page in the docs lists it. */
const NOT_LOOKED_AT = /^(?:cache\/|runs\/R\/log\.jsonl$|runs\/index\.html$)/;

interface Attack {
  readonly kind: string;
  readonly name: string;
  readonly change: Change;
  /** Where a bit is flipped, as a share of the file, and which one. */
  readonly at: number;
  readonly bit: number;
}

const attacks = [...kinds].flatMap(([kind, own]) =>
  CHANGES.flatMap((change): Attack[] => {
    if (change === 'swapped' && new Set(own.map(contentOf)).size < 2) return [];
    const chosen = ALL ? own : [random.pick(own)];
    return chosen.map((name) => {
      return { kind, name, change, at: random.next(), bit: random.whole(0, 6) };
    });
  }),
);

function contentOf(name: string): string {
  return readFileSync(join(template.output, name), 'latin1');
}

/** A copy of an output; hard links stay links among each other. */
function copyOf({ output }: Victim): Victim {
  const victim = makeVictim(world, 'first');
  execFileSync('cp', ['-a', output, victim.output]);
  return victim;
}

/** Writes into a file in place: so other names of it are damaged too, as on a faulty disk. */
function overwrite(path: string, content: Buffer | string): void {
  chmodSync(path, 0o644);
  writeFileSync(path, content);
}

function damage({ output }: Victim, { name, kind, change, at, bit }: Attack): void {
  const path = join(output, name);
  const bytes = readFileSync(path);
  if (change === 'flipped') {
    bytes[Math.floor(at * bytes.length)]! ^= 1 << bit;
    overwrite(path, bytes);
  }
  if (change === 'cut short') overwrite(path, bytes.subarray(0, bytes.length >> 1));
  if (change === 'empty') overwrite(path, '');
  if (change === 'swapped') {
    const other = kinds.get(kind)!.find((one) => contentOf(one) !== contentOf(name))!;
    const theirs = readFileSync(join(output, other));
    for (const [place, content] of [
      [path, theirs],
      [join(output, other), bytes],
    ] as const) {
      rmSync(place);
      writeFileSync(place, content);
    }
  }
}

/** What a command comes to: its exit code. A bug, or a message without a subject, fails the test. */
async function exitOf(command: () => Promise<unknown>): Promise<number> {
  try {
    await command();
    return 0;
  } catch (error) {
    // A run that failed says why as its cause.
    const cause = error instanceof api.RunFailed ? error.cause : error;
    const exit = api.exitCodeOf(cause);
    const { message, stack } = cause as Error;
    expect(exit, `${message}\n${stack}`).not.toBe(1);
    expect(message).toMatch(/^\S[^\n]*: \S/);
    return exit;
  }
}

async function jobFor({ output }: Victim) {
  return api.loadJob(world.jobFile, [`output.path=${output}`]);
}

async function runPlain(victim: Victim): Promise<number> {
  const job = await jobFor(victim);
  return exitOf(() => api.runJob(job, { now, onEvent: () => undefined }));
}

/** Looks at the output with every command that only reads. */
async function readAll(victim: Victim): Promise<void> {
  const { output } = victim;
  const job = await jobFor(victim);
  await exitOf(async () => api.planJob(job, { hash: true, now }));
  const opened = async () => (await api.Output.find(output))!;
  await exitOf(async () => api.readHistory(await opened()));
  await exitOf(async () => api.pagePath(await opened(), undefined));
  await exitOf(async () => api.currentPath(await opened()));
  await exitOf(async () => api.gc(await opened(), { keep: 10, dryRun: true, now }));
}

async function verifyOutput({ output }: Victim, options: { repair?: boolean; because?: string }) {
  const opened = await api.Output.find(output, { evenUnmarked: true });
  return api.verify(opened!, { now, all: true, repair: false, ...options });
}

/** What the inputs were, as the records and the manifest of an output say. */
function hashesIn(output: string): string[] {
  const chain = listFiles(join(output, 'runs', 'chain'));
  const text = chain.map((name) => readFileSync(join(output, 'runs', 'chain', name), 'utf8'));
  const receipts = text.flatMap((one) => [...one.matchAll(/"sha256": "([0-9a-f]{64})"/g)]);
  return receipts.map(([, hash]) => hash!);
}

const inputsHash = hashesIn(template.output);

/** Does something with the JSON of every file of a name below a folder of the store. */
function editRecords(
  victim: Victim,
  name: string,
  edit: (record: Record<string, unknown>) => void,
) {
  for (const path of listFiles(victim.output).filter((one) => one.endsWith(`/${name}`))) {
    const record = JSON.parse(readFileSync(join(victim.output, path), 'utf8'));
    edit(record);
    overwrite(join(victim.output, path), JSON.stringify(record));
  }
}

test('records of earlier versions, without digests and keys, are read as before', async () => {
  const victim = copyOf(template);
  for (const name of ['part.json', 'scores.json', 'csv.json', 'staged.json', 'held.json'])
    editRecords(victim, name, (record) => {
      for (const key of ['digest', 'manifest', 'report']) delete record[key];
      if (name === 'scores.json') delete record.key;
    });
  expect((await verifyOutput(victim, {})).damage).toEqual([]);
  expect(await runPlain(victim)).toBe(0);
  expect(publishedIn(victim.output)).toEqual(world.wanted);
});

test('the scores of one task in the place of another are named, and no part is made of them', async () => {
  const victim = copyOf(template);
  const scores = join(victim.output, 'store', 'scores');
  const [one, other] = listFiles(scores)
    .filter((name) => name.endsWith('scores.json'))
    .map((name) => join(scores, name, '..')) as [string, string];
  renameSync(one, `${one}.away`);
  renameSync(other, one);
  renameSync(`${one}.away`, other);
  rmSync(join(victim.output, 'store', 'parts'), { recursive: true });
  const { damage: found } = await verifyOutput(victim, {});
  const named = [one, other].map((folder) => relative(victim.output, join(folder, 'scores.json')));
  expect(found.map(({ path }) => path)).toEqual(expect.arrayContaining(named));
  expect(await runPlain(victim)).toBe(6);
  await verifyOutput(victim, { repair: true });
  expect(await runPlain(victim)).toBe(0);
  expect(publishedIn(victim.output)).toEqual(world.wanted);
});

test.each([
  ['missing', undefined],
  ['empty', ''],
  ['cut short', '{"form'],
] as const)(
  'scoreline.json that is %s is named, and restored by verify --repair',
  async (_name, text) => {
    const { output, ...rest } = copyOf(template);
    const victim = { ...rest, output };
    const path = join(output, 'scoreline.json');
    rmSync(path);
    if (text !== undefined) writeFileSync(path, text);
    const refused = await startRun(victim).ended;
    expect([refused.exit, refused.stderr]).toEqual([
      6,
      expect.stringMatching(
        /scoreline\.json: is \w+; "scoreline verify \S+ --repair" restores it\n/,
      ),
    ]);
    const { exit } = await startRun(victim, { command: ['verify', output] }).ended;
    expect([exit, existsSync(path)]).toEqual([6, text !== undefined]);
    await expectEnd(startRun(victim, { command: ['verify', output, '--repair'] }), 0);
    await expectEnd(startRun(victim), 0);
    expect(publishedIn(output)).toEqual(world.wanted);
    expect((await verifyOutput(victim, {})).damage).toEqual([]);
  },
);

describe.concurrent('a file that is read back', () => {
  test.each(attacks)('$name: $change', async (attack) => {
    const victim = copyOf(template);
    damage(victim, attack);
    await readAll(victim);
    const before = await verifyOutput(victim, {});
    if (!NOT_LOOKED_AT.test(attack.kind))
      expect(before.damage.length, 'verify names it').toBeGreaterThan(0);
    else expect(before.damage).toEqual([]);
    await runPlain(victim);
    await exitOf(() => verifyOutput(victim, { repair: true, because: 'tried' }));
    const last = await runPlain(victim);
    // A manifest that is lost, or what is held: a revert publishes what was before, and the next run what is new.
    if (last !== 0) {
      const opened = await api.Output.find(victim.output);
      expect(await exitOf(() => api.revert(opened!, undefined, { now, because: 'tried' }))).toBe(0);
      const job = await jobFor(victim);
      const how = { now, onEvent: () => undefined, because: 'tried' };
      expect(await exitOf(() => api.runJob(job, how))).toBe(0);
    }
    expect(publishedIn(victim.output)).toEqual(world.wanted);
    const hashes = hashesIn(victim.output);
    expect(
      hashes.filter((hash) => !inputsHash.includes(hash)),
      'a wrong hash',
    ).toEqual([]);
    note('a file that is read back', attack.change);
    rmSync(victim.folder, { recursive: true });
  });
});
