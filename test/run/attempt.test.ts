/** Rows that end a worker: found at a bounded cost, and never blamed for what is not their fault. */
import { describe, expect, test } from 'vitest';
import { type AttemptEvent, type AttemptOrder, attemptTask } from '../../src/run/attempt.js';
import type { AskAlone, Pool } from '../../src/run/pool.js';
import type { Output } from '../../src/run/store.js';
import { WorkerDied } from '../../src/run/worker-died.js';
import type { ProbeOrder, TaskOrder, TaskResult } from '../../src/worker/protocol.js';
import { Random } from '../random.js';

interface Case {
  readonly rows: number;
  /** Rows of the one batch that end a worker: all of `rows` from 0. */
  readonly deadly: readonly number[];
  readonly allowed?: number;
  /** Where in the task the batch begins. */
  readonly start?: number;
  /** How a worker ends over these rows of the batch; undefined when it does not. */
  readonly death?: (
    rows: readonly number[],
    alone: boolean,
    asked: number,
  ) => WorkerDied | undefined;
}

const BATCH_START = 1000;

/** Attempts a task of one batch in which some rows end the worker; counts what workers were asked. */
async function attempt({ rows, deadly, allowed = 10, start = BATCH_START, death }: Case) {
  const events: AttemptEvent[] = [];
  let probes = 0;
  let asked = 0;
  const crash = (): WorkerDied =>
    new WorkerDied('it was ended by SIGSEGV', 'died', {
      signal: 'SIGSEGV',
      batch: { rowStart: start, rows },
    });
  const dies =
    death ?? ((given) => (given.some((row) => deadly.includes(row)) ? crash() : undefined));
  const run = (order: TaskOrder, from: number, to: number, alone: boolean): void => {
    const lethal = order.lethal.map(({ row }) => row - start);
    const given = Array.from({ length: to - from }, (_, i) => from + i);
    const died = dies(
      given.filter((row) => !lethal.includes(row)),
      alone,
      asked++,
    );
    if (died !== undefined) throw died;
  };
  const score = async (order: TaskOrder, alone: boolean): Promise<TaskResult> => {
    run(order, 0, rows, alone);
    return { lethal: order.lethal } as unknown as TaskResult;
  };
  const ask = (async (kind: string, order: ProbeOrder) => {
    if (kind === 'score') return score(order, true);
    const { from, to, rowStart } = order.probe;
    expect(rowStart).toBe(start);
    if (to > from) probes++;
    run(order, from, to, true);
    return { row: start + from, place: `f row ${from}` };
  }) as unknown as AskAlone;
  const pool = {
    ask: (_kind: string, order: TaskOrder) => score(order, false),
    alone: (work: (each: AskAlone) => Promise<unknown>) => work(ask),
  } as unknown as Pool;
  const output = { touch: async () => false } as unknown as Output;
  const result = attemptTask(
    {
      name: 't#0',
      badRowsAllowed: allowed,
      model: { shownAs: 'm' },
      partKey: 'k',
    } as unknown as AttemptOrder,
    {
      output,
      temporary: '/nowhere',
      pool: () => pool,
      timeoutMs: 1000,
      onEvent: (e) => events.push(e),
    },
  );
  const settled = await result.then(
    (value) => ({ lethal: (value as unknown as TaskOrder).lethal, error: undefined }),
    (error: unknown) => ({ lethal: [], error }),
  );
  return { ...settled, probes, events };
}

const rowsOf = (lethal: TaskOrder['lethal']): number[] =>
  lethal.map(({ row }) => row - BATCH_START).sort((a, b) => a - b);

describe('a row that ends its worker', () => {
  test('is found wherever it stands, with at most 2 log2(n) + 2 more calls of the model', async () => {
    for (const rows of [1, 2, 3, 7, 16, 100, 1000, 16_384]) {
      for (const at of new Set([0, 1, Math.floor(rows / 2), rows - 1])) {
        if (at >= rows) continue;
        const { lethal, probes, error } = await attempt({ rows, deadly: [at] });
        expect(error).toBeUndefined();
        expect(rowsOf(lethal)).toEqual([at]);
        expect(probes).toBeLessThanOrEqual(2 * Math.log2(rows) + 3);
      }
    }
  });

  test('is found beside others, all of them and no more', async () => {
    const random = new Random(20_261_124);
    for (let round = 0; round < 50; round++) {
      const rows = random.whole(2, 500);
      const deadly = [0, 1, 2].map(() => random.whole(0, rows - 1));
      const good = rows - new Set(deadly).size;
      if (good === 0 || deadly.includes(rows - 1)) continue;
      const { lethal, error } = await attempt({ rows, deadly });
      expect(error).toBeUndefined();
      expect(rowsOf(lethal)).toEqual([...new Set(deadly)].sort((a, b) => a - b));
    }
  });

  test('is told, and told apart from one on which the model hangs', async () => {
    const batch = { rowStart: BATCH_START, rows: 8 };
    const { lethal, events } = await attempt({
      rows: 8,
      deadly: [],
      death: (given) =>
        given.includes(5) ? new WorkerDied('no sign of life', 'hung', { batch }) : undefined,
    });
    expect(lethal).toEqual([{ row: BATCH_START + 5, reason: 'model_hung' }]);
    expect(events).toEqual([
      { type: 'retry', task: 't#0', reason: 'no sign of life' },
      { type: 'search', task: 't#0', rows: 8, reason: 'no sign of life' },
      { type: 'lethal', task: 't#0', place: 'f row 5', reason: 'model_hung' },
    ]);
  });
});

describe('no row is blamed', () => {
  const batch = { rowStart: BATCH_START, rows: 64 };
  const killed = (how: Partial<WorkerDied> = {}): WorkerDied =>
    new WorkerDied('it was ended by SIGKILL', 'died', { signal: 'SIGKILL', batch, ...how });

  test('when the worker dies beside others only', async () => {
    const { lethal, error, probes } = await attempt({
      rows: 64,
      deadly: [],
      death: (_given, alone) => (alone ? undefined : killed()),
    });
    expect({ lethal, error, probes }).toEqual({ lethal: [], error: undefined, probes: 0 });
  });

  test('when a batch is too much at once and each row by itself is not', async () => {
    const { error } = await attempt({
      rows: 64,
      deadly: [],
      death: (given) => (given.length > 20 ? killed() : undefined),
    });
    expect(error).toMatchObject({
      code: 'environment',
      message: expect.stringMatching(
        /^task t#0: in a batch of 64 rows, but on no row by itself .*: the worker process died: it was ended by SIGKILL$/,
      ),
    });
  });

  test('when it ends its worker once and not a second time', async () => {
    let alone = 0;
    const { error } = await attempt({
      rows: 64,
      deadly: [],
      death: (given) =>
        given.includes(9) && (given.length > 1 || alone++ === 0) ? killed() : undefined,
    });
    expect(error).toMatchObject({ code: 'environment' });
  });

  test('when the worker dies while the model has nothing', async () => {
    const { error, probes } = await attempt({
      rows: 64,
      deadly: [],
      death: () => new WorkerDied('it exited with 3', 'died'),
    });
    expect(error).toMatchObject({
      code: 'environment',
      message: 'task t#0, tried alone at last: the worker process died: it exited with 3',
    });
    expect(probes).toBe(0);
  });

  test('when it is so with every row: the model is to blame, or the machine where it kills', async () => {
    const all = Array.from({ length: 64 }, (_, row) => row);
    const { error } = await attempt({ rows: 64, deadly: all, start: 0 });
    expect(error).toMatchObject({
      code: 'model',
      message: 'model m: ends its process on every row tried of task t#0: it was ended by SIGSEGV',
    });
    const { error: kills } = await attempt({
      rows: 64,
      deadly: [],
      start: 0,
      death: () => killed({ batch: { rowStart: 0, rows: 64 } }),
    });
    expect(kills).toMatchObject({ code: 'environment' });
  });
});

test('more rows than may be set aside end the run, with the first of them', async () => {
  const { error } = await attempt({ rows: 64, deadly: [1, 2, 3, 4], allowed: 3 });
  expect(error).toMatchObject({
    code: 'gate',
    message:
      'quarantine.max: the model ends its process on more rows than may be set aside (3); the first: f row 1: model_crashed',
  });
});
