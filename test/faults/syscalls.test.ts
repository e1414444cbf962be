/** System calls on paths in the output that fail, those of DuckDB's native code among them: listed first, then one after the other. */
import { describe, expect, test } from 'vitest';
import { Random } from '../random.js';
import {
  ALL,
  expectLine,
  expectRecovery,
  expectUntouched,
  makeVictim,
  makeWorld,
  note,
  SEED,
  type Start,
} from './fault-case.js';
import { CALL_ERRORS, type Call, listCalls, runWithFault, whyNoStrace } from './strace.js';

/** In `.ci/run`: drawn, the same number of each kind as far as there are so many. */
const SHARE = 120;

const noStrace = whyNoStrace();
const random = new Random(SEED);
console.log(
  noStrace === undefined ? `seed of the faults: ${SEED} (FAULTS_SEED)` : `skipped: ${noStrace}`,
);
const world = await makeWorld();
const calls: Record<Start, readonly Call[]> = { first: [], update: [] };
if (noStrace === undefined) {
  for (const start of ['first', 'update'] as const) {
    const listed = await listCalls(makeVictim(world, start));
    expect(listed.run).toMatchObject({ exit: 0, stderr: '' });
    calls[start] = listed.calls;
  }
}

interface Attack {
  readonly n: number;
  readonly start: Start;
  readonly call: Call;
  readonly error: string;
}

const kindOf = ({ name }: Call): number =>
  CALL_ERRORS.findIndex(([kinds]) => kinds.split(' ').includes(name));

/** Every call onto an older publication, and those into a new output that are not among them. */
function everyCall(): { start: Start; call: Call }[] {
  const known = new Set(calls.update.map(({ name, path, index }) => `${name} ${path} ${index}`));
  return [
    ...calls.update.map((call) => ({ start: 'update' as const, call })),
    ...calls.first
      .filter(({ name, path, index }) => !known.has(`${name} ${path} ${index}`))
      .filter(({ path }) => !/^tmp\/@T@-\w+\/snapshot-/.test(path))
      .map((call) => ({ start: 'first' as const, call })),
  ];
}

function attacks(): Attack[] {
  const every = random.shuffled(everyCall());
  const queues = CALL_ERRORS.map((_, kind) => every.filter(({ call }) => kindOf(call) === kind));
  const chosen = ALL ? every : [];
  while (chosen.length < Math.min(SHARE, every.length)) {
    for (const queue of queues) chosen.push(...queue.splice(0, 1));
  }
  return chosen.slice(0, ALL ? undefined : SHARE).map(({ start, call }, i) => {
    const error = random.pick(CALL_ERRORS[kindOf(call)]![1]);
    return { n: i + 1, start, call, error };
  });
}

describe.skipIf(noStrace !== undefined)('system calls on the output', () => {
  test('are listed: of every kind, of Node and of DuckDB', () => {
    const missing = CALL_ERRORS.map(([kinds]) => kinds).filter(
      (_, kind) => !calls.first.some((call) => kindOf(call) === kind),
    );
    // DuckDB may set a file's length or not; all else is there.
    expect(missing.filter((kinds) => !kinds.startsWith('ftruncate'))).toEqual([]);
    const native = calls.first.filter(
      ({ name, path }) => /write/.test(name) && path.endsWith('.parquet'),
    );
    expect(native.length).toBeGreaterThan(5);
    note('system calls listed', `${calls.first.length} system calls into a new output`);
    note('system calls listed', `${calls.update.length} system calls onto an older publication`);
  });
});

/** How many faults did not come about, because the run did not come to that call this time. */
let missed = 0;

describe.skipIf(noStrace !== undefined)('a system call that fails', { concurrent: true }, () => {
  test.each(noStrace === undefined ? attacks() : [])(
    '$n: $error from $call.name of $call.path ($call.index), $start',
    async ({ start, call, error }) => {
      const victim = makeVictim(world, start);
      const { run, hit } = await runWithFault(victim, { call, what: error });
      if (!hit) missed++;
      // What fails is said in one line, unless the run could do without it.
      expectLine(run, hit ? [6, 0] : [0]);
      const seen = expectUntouched(victim);
      if (run.exit === 0) expect(seen).toBe('after');
      note(`fault in ${call.name}`, hit ? `exit ${run.exit}, ${seen}` : 'not met');
      await expectRecovery(victim);
    },
  );
});

test.skipIf(noStrace !== undefined)('nearly every fault came about', () => {
  expect(missed).toBeLessThan(0.05 * attacks().length + 1);
});
