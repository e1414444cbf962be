import { beforeAll, describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import type { DataFile, FileFacts } from '../../src/plan/dataset.js';
import {
  batchRowsFor,
  makePlan,
  type PublishingConfig,
  type ScoringConfig,
  TASK_BYTES,
  TASK_ROWS,
  type Task,
  taskName,
  type UnitPlan,
} from '../../src/plan/plan.js';
import { Random } from '../random.js';

const SCORING: ScoringConfig = {
  model: ['m'.repeat(64), 'd'.repeat(64)],
  device: 'cpu',
  batchRows: 16_384,
  fixedBatch: undefined,
  where: 'cancelled = false',
  types: [{ column: 'month', type: 'INTEGER' }],
  inputs: [
    { name: 'x', element: 'float32', rank: 2, columns: ['a', 'b'] },
    { name: 'y', element: 'int64', rank: 1, columns: ['c'] },
  ],
  outputs: ['label', 'probabilities'],
  nonFinite: 'quarantine',
};

const PUBLISHING: PublishingConfig = {
  keep: [
    { name: 'id', type: 'BIGINT' },
    { name: 'carrier', type: 'VARCHAR' },
  ],
  columns: [
    { column: 'p', output: 'probabilities', element: 'float32', width: 2, index: 1 },
    { column: 'label', output: 'label', element: 'int64', width: 1, index: undefined },
  ],
  format: 'parquet',
  compression: 'zstd',
};

const STAMP = { dev: '1', ino: '2', size: 3, mtimeNs: '4', ctimeNs: '5' };

interface Input {
  readonly file: DataFile;
  readonly facts: FileFacts;
}

/** A file with row groups of so many rows, of 100 bytes each if nothing else is said. */
function input(path: string, groups: readonly number[], bytes?: readonly number[]): Input {
  const slash = path.lastIndexOf('/');
  return {
    file: {
      path,
      absolute: `/data/${path}`,
      unit: slash < 0 ? '' : path.slice(0, slash),
      stamp: STAMP,
    },
    facts: {
      sha256: sha256(`content of ${path}`),
      rows: groups.reduce((sum, rows) => sum + rows, 0),
      rowGroups: groups.map((rows, i) => ({ rows, bytes: bytes?.[i] ?? rows * 100 })),
      schema: [{ name: 'a', type: 'DOUBLE' }],
    },
  };
}

function plan(inputs: readonly Input[], scoring = SCORING, publishing = PUBLISHING): UnitPlan[] {
  return makePlan(
    inputs.map(({ file }) => file),
    new Map(inputs.map(({ file, facts }) => [file.path, facts])),
    scoring,
    publishing,
  );
}

function tasksOf(inputs: readonly Input[], scoring = SCORING, publishing = PUBLISHING): Task[] {
  return plan(inputs, scoring, publishing).flatMap(({ tasks }) => tasks);
}

/** The row ranges of tasks as texts. */
function ranges(tasks: readonly Task[]): string[][] {
  return tasks.map(({ files }) =>
    files.map(({ file, rowStart, rowEnd }) => `${file.path} ${rowStart}-${rowEnd}`),
  );
}

describe('tasks', () => {
  test('cut a large file at row groups, none above the limit of rows', () => {
    const tasks = tasksOf([input('a', [60_000, 60_000, 60_000, 20_000, 50_000, 60_000])]);
    expect(ranges(tasks)).toEqual([['a 0-120000'], ['a 120000-250000'], ['a 250000-310000']]);
    expect(tasks.map(({ rows }) => rows)).toEqual([120_000, 130_000, 60_000]);
    expect(tasks.map(({ index }) => index)).toEqual([0, 1, 2]);
  });

  test('hold exactly the limit of rows, but not one more', () => {
    expect(ranges(tasksOf([input('a', [TASK_ROWS - 1, 1])]))).toEqual([[`a 0-${TASK_ROWS}`]]);
    expect(ranges(tasksOf([input('a', [TASK_ROWS, 1])]))).toEqual([
      [`a 0-${TASK_ROWS}`],
      [`a ${TASK_ROWS}-${TASK_ROWS + 1}`],
    ]);
  });

  test('keep a larger row group whole, however large it is', () => {
    expect(ranges(tasksOf([input('a', [10_000_000])]))).toEqual([['a 0-10000000']]);
    expect(ranges(tasksOf([input('a', [5, 10_000_000, 7])]))).toEqual([
      ['a 0-5'],
      ['a 5-10000005'],
      ['a 10000005-10000012'],
    ]);
  });

  test('are cut by bytes where rows are wide', () => {
    const half = TASK_BYTES / 2;
    expect(ranges(tasksOf([input('a', [10, 10, 10], [half, half, 1])]))).toEqual([
      ['a 0-20'],
      ['a 20-30'],
    ]);
    expect(ranges(tasksOf([input('a', [10, 10], [TASK_BYTES * 3, 1])]))).toEqual([
      ['a 0-10'],
      ['a 10-20'],
    ]);
  });

  test('skip over row groups without rows', () => {
    expect(ranges(tasksOf([input('a', [0, 3, 0, TASK_ROWS, 0])]))).toEqual([
      ['a 0-3'],
      [`a 3-${TASK_ROWS + 3}`],
    ]);
  });

  test('are none for empty files, which stay in their unit', () => {
    const [unit, ...others] = plan([input('u/a', []), input('u/b', [5]), input('u/c', [0, 0])]);
    expect(others).toEqual([]);
    expect(ranges(unit!.tasks)).toEqual([['u/b 0-5']]);
    expect(unit!.files.map(({ file }) => file.path)).toEqual(['u/a', 'u/b', 'u/c']);
    expect(plan([input('u/a', [])])).toMatchObject([{ unit: 'u', tasks: [] }]);
  });

  test('never mix units, and come in the order of the files', () => {
    const units = plan([
      input('b', [1]),
      input('m=1/a', [2]),
      input('m=1/b', [3]),
      input('m=2/a', [4]),
    ]);
    expect(units.map(({ unit }) => unit)).toEqual(['', 'm=1', 'm=2']);
    expect(units.map(({ tasks }) => ranges(tasks))).toEqual([
      [['b 0-1']],
      [['m=1/a 0-2', 'm=1/b 0-3']],
      [['m=2/a 0-4']],
    ]);
    expect(units.flatMap(({ tasks }) => tasks.map(taskName))).toEqual(['.#0', 'm=1#0', 'm=2#0']);
  });

  test('keep the order of files around a large one', () => {
    const large = input('b', [100_000, 100_000]);
    expect(ranges(tasksOf([input('a', [1]), large, input('c', [2]), input('d', [3])]))).toEqual([
      ['a 0-1'],
      ['b 0-100000'],
      ['b 100000-200000'],
      ['c 0-2', 'd 0-3'],
    ]);
  });

  test('leave out files of which nothing is known', () => {
    const [a, b] = [input('a', [1]), input('b', [2])];
    const units = makePlan([a.file, b.file], new Map([['b', b.facts]]), SCORING, PUBLISHING);
    expect(units.map(({ tasks }) => ranges(tasks))).toEqual([[['b 0-2']]]);
  });

  test('cover every row once, in order, in whole row groups, within the limits', () => {
    const random = new Random(4);
    for (let trial = 0; trial < 300; trial++) {
      const inputs = Array.from({ length: random.whole(1, 40) }, (_, i) => {
        const groups = Array.from({ length: random.whole(0, 5) }, () =>
          random.pick([0, 1, random.whole(1, 3_000), random.whole(1, 200_000)]),
        );
        const bytes = groups.map((rows) => rows * random.pick([8, 200, 20_000]));
        return input(`file-${i}`, groups, bytes);
      });
      checkCover(inputs, tasksOf(inputs));
    }
  });

  function checkCover(inputs: readonly Input[], tasks: readonly Task[]): void {
    const edges = new Map(
      inputs.map(({ file, facts }) => {
        let sum = 0;
        return [file.path, [0, ...facts.rowGroups.map(({ rows }) => (sum += rows))]];
      }),
    );
    const joined: string[] = [];
    for (const task of tasks) {
      let bytes = 0;
      let groups = 0;
      for (const { file, facts, rowStart, rowEnd } of task.files) {
        expect(rowEnd).toBeGreaterThan(rowStart);
        expect(edges.get(file.path)).toEqual(expect.arrayContaining([rowStart, rowEnd]));
        const [path, start] = [`${file.path} `, String(rowStart)];
        const last = joined.at(-1);
        if (last?.startsWith(path) && last.endsWith(`-${start}`)) {
          joined[joined.length - 1] = last.replace(/-\d+$/, `-${rowEnd}`);
        } else joined.push(`${path}${start}-${rowEnd}`);
        let at = 0;
        for (const group of facts.rowGroups) {
          if (at >= rowStart && at + group.rows <= rowEnd && group.rows > 0) {
            groups++;
            bytes += group.bytes;
          }
          at += group.rows;
        }
      }
      expect(task.rows).toBe(task.files.reduce((sum, f) => sum + f.rowEnd - f.rowStart, 0));
      if (groups > 1) {
        expect(task.rows).toBeLessThanOrEqual(TASK_ROWS);
        expect(bytes).toBeLessThanOrEqual(TASK_BYTES);
      }
    }
    expect(joined).toEqual(
      inputs
        .filter(({ facts }) => facts.rows > 0)
        .map(({ file, facts }) => `${file.path} 0-${facts.rows}`),
    );
  }
});

describe('small files', () => {
  test('are packed, many to a task, within the limits', () => {
    const tasks = tasksOf(Array.from({ length: 2_000 }, (_, i) => input(`f${i}`, [1_000])));
    expect(tasks.length).toBeGreaterThanOrEqual(2_000_000 / TASK_ROWS);
    expect(tasks.length).toBeLessThan((3 * 2_000_000) / TASK_ROWS);
    for (const { rows } of tasks) expect(rows).toBeLessThanOrEqual(TASK_ROWS);
  });

  test('are never so many in a task that opening them takes all its time', () => {
    const tasks = tasksOf(Array.from({ length: 10_000 }, (_, i) => input(`f${i}`, [1])));
    expect(Math.max(...tasks.map(({ files }) => files.length))).toBeLessThanOrEqual(512);
    expect(tasks.length).toBeLessThan(100);
  });

  test('are packed by their names and sizes alone, not by their content', () => {
    const random = new Random(5);
    const inputs = Array.from({ length: 500 }, (_, i) => input(`f${i}`, [random.whole(1, 9_000)]));
    const others = inputs.map(({ file, facts }) => ({
      file,
      facts: { ...facts, sha256: sha256(`other ${file.path}`) },
    }));
    expect(ranges(tasksOf(others))).toEqual(ranges(tasksOf(inputs)));
  });

  /**
   * One file of 2,000 comes or goes, 200 times over. What is stated here was measured: nearly always one or two tasks
   * are new, and never more than a few of the dozens to hundreds.
   */
  describe.each([
    ['of 1,000 rows (some 25 tasks)', 1_000],
    ['of 10,000 rows (some 240 tasks)', 10_000],
  ])('%s', (_name, rows) => {
    const random = new Random(rows);
    const costs = { added: [] as number[], removed: [] as number[] };
    let tasks = 0;

    beforeAll(() => {
      for (let trial = 0; trial < 200; trial++) {
        const all = Array.from({ length: 2_000 }, (_, i) => {
          const number = random.whole(0, 1e9);
          const size = random.whole(rows / 2, (3 * rows) / 2);
          // What a file holds does not matter here, and to hash it takes long.
          const facts = {
            sha256: '0'.repeat(64),
            rows: size,
            rowGroups: [{ rows: size, bytes: 1 }],
          };
          const file = { path: `part-${i}-${number}`, absolute: '', unit: '', stamp: STAMP };
          return { file, facts: { ...facts, schema: [] } };
        });
        const gone = random.whole(0, all.length - 1);
        const less = all.filter((_, i) => i !== gone);
        const keys = (inputs: readonly Input[]) =>
          new Set(tasksOf(inputs).map(({ partKey }) => partKey));
        const [whole, part] = [keys(all), keys(less)];
        tasks += whole.size / 200;
        costs.added.push([...whole].filter((key) => !part.has(key)).length);
        costs.removed.push([...part].filter((key) => !whole.has(key)).length);
      }
    });

    test.each(['added', 'removed'] as const)('one %s leaves almost all tasks', (what) => {
      const sorted = costs[what].toSorted((a, b) => a - b);
      const mean = sorted.reduce((sum, cost) => sum + cost, 0) / sorted.length;
      if (process.env.SHOW_COSTS) console.log(what, rows, tasks, mean, sorted[180], sorted[199]);
      expect(tasks).toBeGreaterThan(20);
      expect(mean).toBeLessThan(1.6);
      expect(sorted[180]).toBeLessThanOrEqual(2);
      expect(sorted[199]).toBeLessThanOrEqual(4);
    });
  });

  test('a file that is written anew changes its own task alone', () => {
    const inputs = Array.from({ length: 2_000 }, (_, i) => input(`f${i}`, [1_000]));
    const changed = inputs.with(1_234, {
      ...inputs[1_234]!,
      facts: { ...inputs[1_234]!.facts, sha256: sha256('new') },
    });
    const [before, after] = [tasksOf(inputs), tasksOf(changed)];
    const moved = after.filter(({ scoreKey }, i) => scoreKey !== before[i]!.scoreKey);
    expect(moved).toHaveLength(1);
    expect(moved[0]!.files.map(({ file }) => file.path)).toContain('f1234');
  });
});

describe('keys', () => {
  const BASE = [input('m=1/a', [100_000, 100_000]), input('m=2/b', [5])];
  const [FIRST, SECOND, OTHER] = tasksOf(BASE) as [Task, Task, Task];

  test('are SHA-256, and no two tasks share one', () => {
    const keys = [FIRST, SECOND, OTHER].flatMap(({ scoreKey, partKey }) => [scoreKey, partKey]);
    for (const key of keys) expect(key).toMatch(/^[0-9a-f]{64}$/);
    expect(new Set(keys).size).toBe(6);
  });

  test('are the same for the same plan, made again', () => {
    expect(tasksOf(structuredClone(BASE), structuredClone(SCORING))).toEqual(tasksOf(BASE));
  });

  /** Every way in which one ingredient of a score may differ. */
  const SCORINGS: readonly (readonly [string, Partial<ScoringConfig>])[] = [
    ['the model', { model: ['n'.repeat(64), 'd'.repeat(64)] }],
    ['its external data', { model: ['m'.repeat(64), 'e'.repeat(64)] }],
    ['no external data', { model: ['m'.repeat(64)] }],
    ['the order of the model and its data', { model: SCORING.model.toReversed() }],
    ['the device', { device: 'cuda' }],
    ['the size of a batch', { batchRows: 1_024 }],
    ['the filter', { where: 'cancelled = true' }],
    ['no filter', { where: undefined }],
    ['an empty filter', { where: '' }],
    ['the type of a column', { types: [{ column: 'month', type: 'BIGINT' }] }],
    ['the column of a type', { types: [{ column: 'day', type: 'INTEGER' }] }],
    ['no types', { types: [] }],
    ['the order of features', { inputs: [{ ...SCORING.inputs[0]!, columns: ['b', 'a'] }] }],
    ['the features', { inputs: [{ ...SCORING.inputs[0]!, columns: ['a,b'] }] }],
    ['one input less', { inputs: SCORING.inputs.slice(0, 1) }],
    ['the order of inputs', { inputs: SCORING.inputs.toReversed() }],
    ['the name of an input', { inputs: [{ ...SCORING.inputs[0]!, name: 'z' }] }],
    ['the element type of an input', { inputs: [{ ...SCORING.inputs[0]!, element: 'float64' }] }],
    ['the rank of an input', { inputs: [{ ...SCORING.inputs[0]!, rank: 1 }] }],
    ['the outputs', { outputs: ['label'] }],
    ['the order of outputs', { outputs: ['probabilities', 'label'] }],
    ['what becomes of scores that are not finite', { nonFinite: 'keep' }],
  ];

  test.each(SCORINGS)('of scores and part change with %s', (_name, change) => {
    const [task] = tasksOf(BASE, { ...SCORING, ...change });
    expect(task!.scoreKey).not.toBe(FIRST.scoreKey);
    expect(task!.partKey).not.toBe(FIRST.partKey);
  });

  const [P, LABEL] = PUBLISHING.columns as [
    PublishingConfig['columns'][number],
    PublishingConfig['columns'][number],
  ];

  /** Every way in which one ingredient of a part may differ while its scores are the same. */
  const PUBLISHINGS: readonly (readonly [string, Partial<PublishingConfig>])[] = [
    ['the kept columns', { keep: [{ name: 'id', type: 'BIGINT' }] }],
    ['the order of kept columns', { keep: PUBLISHING.keep.toReversed() }],
    ['the type of a kept column', { keep: [{ name: 'id', type: 'INTEGER' }, PUBLISHING.keep[1]!] }],
    ['the name of a kept column', { keep: [{ name: 'ID', type: 'BIGINT' }, PUBLISHING.keep[1]!] }],
    ['no kept columns', { keep: [] }],
    ['the name of a prediction', { columns: [{ ...P, column: 'q' }, LABEL] }],
    ['the output of a prediction', { columns: [{ ...P, output: 'label' }, LABEL] }],
    ['the class of a prediction', { columns: [{ ...P, index: 0 }, LABEL] }],
    ['all classes of a prediction', { columns: [{ ...P, index: undefined }, LABEL] }],
    ['the order of predictions', { columns: [LABEL, P] }],
    ['one prediction less', { columns: [P] }],
    ['the format', { format: 'csv' }],
    ['the compression', { compression: 'snappy' }],
  ];

  test.each(PUBLISHINGS)('of the part, not of the scores, change with %s', (_name, change) => {
    const [task] = tasksOf(BASE, SCORING, { ...PUBLISHING, ...change });
    expect(task!.scoreKey).toBe(FIRST.scoreKey);
    expect(task!.partKey).not.toBe(FIRST.partKey);
  });

  test('differ among all these changes', () => {
    const keys = [
      ...SCORINGS.map(([, change]) => tasksOf(BASE, { ...SCORING, ...change })[0]!.partKey),
      ...PUBLISHINGS.map(
        ([, change]) => tasksOf(BASE, SCORING, { ...PUBLISHING, ...change })[0]!.partKey,
      ),
    ];
    expect(new Set(keys).size).toBe(SCORINGS.length + PUBLISHINGS.length);
  });

  test('change with content, path and range', () => {
    const [{ file, facts }] = BASE as [Input];
    const first = (path: string, changed: Partial<FileFacts>): string | undefined => {
      const renamed = { ...file, path };
      return tasksOf([{ file: renamed, facts: { ...facts, ...changed } }])[0]!.scoreKey;
    };
    expect(first(file.path, {})).toBe(FIRST.scoreKey);
    const others = [
      first(file.path, { sha256: sha256('other') }),
      first('m=1/b', {}),
      first('m=3/a', {}),
      first(file.path, { rowGroups: [{ rows: 200_000, bytes: 1 }] }),
      first(file.path, {
        rowGroups: [
          { rows: 90_000, bytes: 1 },
          { rows: 110_000, bytes: 1 },
        ],
      }),
    ];
    expect(new Set([FIRST.scoreKey, ...others]).size).toBe(6);
  });

  test('change with the order and the number of files of a task', () => {
    const [a, b, c] = [input('a', [1]), input('b', [2]), input('c', [3])];
    const keys = [[a, b, c], [a, c, b], [a, b], [a]].map((inputs) => tasksOf(inputs)[0]!.scoreKey);
    expect(new Set(keys).size).toBe(4);
  });

  test('do not change with the root, with where or when files were written, or with other units', () => {
    const moved = BASE.map(({ file, facts }) => ({
      file: {
        ...file,
        absolute: `/elsewhere/${file.path}`,
        stamp: { dev: '9', ino: '9', size: 9, mtimeNs: '9', ctimeNs: '9' },
      },
      facts,
    }));
    const keys = (tasks: readonly Task[]) => tasks.map((t) => [t.scoreKey, t.partKey]);
    expect(keys(tasksOf(moved))).toEqual(keys([FIRST, SECOND, OTHER]));
    expect(keys(tasksOf([...moved, input('m=3/c', [7])])).slice(0, 3)).toEqual(
      keys([FIRST, SECOND, OTHER]),
    );
  });

  test('are not known while the content of a file of the task is not', () => {
    const [a, b] = [input('u/a', [1]), input('u/b', [200_000])];
    const tasks = tasksOf([{ file: a.file, facts: { ...a.facts, sha256: null } }, b]);
    expect(tasks[0]).toMatchObject({ scoreKey: undefined, partKey: undefined });
    expect(tasks[1]!.partKey).toMatch(/^[0-9a-f]{64}$/);
  });

  test('stay what they are from version to version, else everything is scored again', () => {
    expect([FIRST.scoreKey, FIRST.partKey]).toEqual(PINNED);
  });

  /** Change these only together with a format number in the plan. */
  const PINNED = [
    '31008bdf38546e73bc96313eaba036382c8fa7426194beba333c98053c7ab9f2',
    '1c5cdca12717cf21e658f44fe911081f1ad82e8dcd6651cb6de6052654f2f5e7',
  ];
});

test('ten thousand files are planned in under three seconds', () => {
  const inputs = Array.from({ length: 10_000 }, (_, i) =>
    input(`day=${i % 365}/part-${i}`, [5_000, 5_000, 2_000]),
  );
  const started = performance.now();
  const units = plan(inputs);
  expect(performance.now() - started).toBeLessThan(3_000);
  expect(units).toHaveLength(365);
});

describe('the size of a batch', () => {
  const auto = { wanted: 'auto', fixed: undefined, rowwise: true, bytesPerRow: 48 } as const;

  test('is large for models whose rows are cheap, smaller for others', () => {
    expect(batchRowsFor(auto)).toBe(16_384);
    expect(batchRowsFor({ ...auto, rowwise: false })).toBe(1_024);
  });

  test('is what the job says, and before that what the model insists on', () => {
    expect(batchRowsFor({ ...auto, wanted: 100 })).toBe(100);
    expect(batchRowsFor({ ...auto, wanted: 100, fixed: 8 })).toBe(8);
  });

  test('shrinks where rows are wide, down to one', () => {
    expect(batchRowsFor({ ...auto, bytesPerRow: 2_048 })).toBe(16_384);
    expect(batchRowsFor({ ...auto, bytesPerRow: 2_049 })).toBe(8_192);
    expect(batchRowsFor({ ...auto, bytesPerRow: 2 ** 30 })).toBe(1);
  });
});
