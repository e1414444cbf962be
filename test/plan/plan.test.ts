import { describe, expect, test } from 'vitest';
import { compareText } from '../../src/base/hash.js';
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
  model: ['m'.repeat(64)],
  device: 'cpu',
  batchRows: 1024,
  fixedBatch: undefined,
  where: 'a > 1',
  types: [{ column: 'month', type: 'INTEGER' }],
  inputs: [{ name: 'x', element: 'float32', rank: 2, columns: ['a', 'b'] }],
  outputs: ['y'],
  nonFinite: 'quarantine',
  csv: undefined,
};

const PUBLISHING: PublishingConfig = {
  keep: [{ name: 'id', type: 'BIGINT' }],
  columns: [{ column: 'score', output: 'y', element: 'float32', width: 2, index: 1 }],
  format: 'parquet',
  compression: 'zstd',
};

/** A file as a test describes it: its row groups as [rows, bytes]. */
interface Given {
  readonly path: string;
  readonly groups: readonly (readonly [rows: number, bytes: number])[];
  /** Any text will do; the path when it is not given. */
  readonly sha256?: string | null;
}

function dataFile(path: string, root = '/data'): DataFile {
  const slash = path.lastIndexOf('/');
  const stamp = { dev: '1', ino: root, size: 1, mtimeNs: root, ctimeNs: root };
  return { path, absolute: `${root}/${path}`, unit: slash < 0 ? '' : path.slice(0, slash), stamp };
}

function factsOf({ path, groups, sha256: content = path }: Given): FileFacts {
  return {
    sha256: content,
    rows: groups.reduce((sum, [rows]) => sum + rows, 0),
    rowGroups: groups.map(([rows, bytes]) => ({ rows, bytes })),
    schema: [{ name: 'a', type: 'DOUBLE' }],
  };
}

function plan(
  given: readonly Given[],
  options: { scoring?: ScoringConfig; publishing?: PublishingConfig; root?: string } = {},
): UnitPlan[] {
  return makePlan(
    given.map(({ path }) => dataFile(path, options.root)),
    new Map(given.map((one) => [one.path, factsOf(one)])),
    options.scoring ?? SCORING,
    options.publishing ?? PUBLISHING,
  );
}

/** The tasks of files of one unit. */
function tasksOf(given: readonly Given[]): readonly Task[] {
  return plan(given).flatMap(({ tasks }) => tasks);
}

/** What a task reads: `path[rowStart, rowEnd)` of each file. */
function ranges(tasks: readonly Task[]): string[][] {
  return tasks.map(({ files }) =>
    files.map(({ file, rowStart, rowEnd }) => `${file.path}[${rowStart},${rowEnd})`),
  );
}

/** The rows at which a task may begin or end: where row groups do, and within large ones between batches. */
function edgesOf({ rowGroups }: FileFacts): number[] {
  const edges = [0];
  for (const { rows } of rowGroups) {
    const start = edges.at(-1)!;
    if (rows > TASK_ROWS)
      for (let at = SCORING.batchRows; at < rows; at += SCORING.batchRows) edges.push(start + at);
    edges.push(start + rows);
  }
  return edges;
}

function small(count: number, rows = 100, bytes = 1000): Given[] {
  return Array.from({ length: count }, (_, i) => ({
    path: `f-${String(i).padStart(5, '0')}.parquet`,
    groups: [[rows, bytes]],
  }));
}

describe('tasks', () => {
  test('are whole row groups, as many as fit into 128 Ki rows', () => {
    const groups = [60_000, 60_000, 20_000, 100_000, 31_072, 1].map((rows) => [rows, 10] as const);
    expect(ranges(tasksOf([{ path: 'a.parquet', groups }]))).toEqual([
      ['a.parquet[0,120000)'],
      ['a.parquet[120000,240000)'],
      ['a.parquet[240000,271073)'],
    ]);
  });

  test('hold exactly 128 Ki rows at most', () => {
    expect(TASK_ROWS).toBe(131_072);
    const half = TASK_ROWS / 2;
    const fits = [half, half, half].map((rows) => [rows, 1] as const);
    expect(tasksOf([{ path: 'a', groups: fits }]).map(({ rows }) => rows)).toEqual([
      TASK_ROWS,
      half,
    ]);
    const over = [half, half + 1, half].map((rows) => [rows, 1] as const);
    expect(tasksOf([{ path: 'a', groups: over }]).map(({ rows }) => rows)).toEqual([
      half,
      half + 1,
      half,
    ]);
  });

  test('hold at most 256 MiB before compression', () => {
    const half = TASK_BYTES / 2;
    const groups = [half, half, half + 1, half].map((bytes) => [10, bytes] as const);
    expect(tasksOf([{ path: 'a', groups }]).map(({ rows }) => rows)).toEqual([20, 10, 10]);
  });

  test('leave a row group whole that has more bytes than any task', () => {
    const groups = [
      [10, 1],
      [5, TASK_BYTES * 3],
      [10, 1],
    ] as const;
    expect(ranges(tasksOf([{ path: 'a', groups }]))).toEqual([
      ['a[0,10)'],
      ['a[10,15)'],
      ['a[15,25)'],
    ]);
  });

  test.each([
    ['half a task more', TASK_ROWS * 1.5, 2],
    ['one row more', TASK_ROWS + 1, 2],
    ["pyarrow's default", 1_048_576, 4],
    ['eight million', 8_000_000, 4],
  ])('cut a row group of more rows into at most 4, between batches: %s', (_name, rows, count) => {
    const groups = [
      [10, 1],
      [rows, TASK_BYTES * 9],
      [10, 1],
    ] as const;
    const tasks = tasksOf([{ path: 'a', groups }]);
    const own = tasks.slice(1, -1);
    expect(own).toHaveLength(count);
    expect(own.every((task) => task.rows <= Math.ceil(rows / count) + SCORING.batchRows)).toBe(
      true,
    );
    // The row groups around it are tasks of their own, as they were when it was one.
    expect(ranges(tasks).at(0)).toEqual(['a[0,10)']);
    expect(ranges(tasks).at(-1)).toEqual([`a[${rows + 10},${rows + 20})`]);
    let next = 10;
    for (const { files } of own) {
      expect(files[0]).toMatchObject({ rowStart: next });
      expect((next - 10) % SCORING.batchRows).toBe(0);
      next = files[0]!.rowEnd;
    }
    expect(next).toBe(rows + 10);
  });

  test('have whole batches of a row group that is cut, however large these are', () => {
    const cuts = (batchRows: number): number[] =>
      plan([{ path: 'a', groups: [[1_000_000, 1]] }], {
        scoring: { ...SCORING, batchRows },
      }).flatMap(({ tasks }) => tasks.map(({ rows }) => rows));
    expect(cuts(16_384)).toEqual([262_144, 262_144, 262_144, 213_568]);
    expect(cuts(1000)).toEqual(Array(4).fill(250_000));
    expect(cuts(300_000)).toEqual([300_000, 300_000, 300_000, 100_000]);
    expect(cuts(2_000_000)).toEqual([1_000_000]);
  });

  test('have no empty files unless all are, and row groups without rows change nothing', () => {
    const nothing = [
      { path: 'm=1/a', groups: [] },
      { path: 'm=1/b', groups: [[0, 0]] },
    ] as const;
    // One task, so that what is published has the columns.
    expect(ranges(tasksOf(nothing))).toEqual([['m=1/a[0,0)']]);
    const empty: Given = { path: 'b', groups: [[0, 0]] };
    expect(
      ranges(tasksOf([{ path: 'a', groups: [[1, 1]] }, empty, { path: 'c', groups: [[2, 1]] }])),
    ) //
      .toEqual([['a[0,1)', 'c[0,2)']]);
    const groups = [
      [0, 0],
      [TASK_ROWS, 1],
      [0, 0],
      [7, 1],
      [0, 0],
    ] as const;
    expect(ranges(tasksOf([{ path: 'a', groups }]))).toEqual([
      ['a[0,131072)'],
      ['a[131072,131079)'],
    ]);
  });

  test('pack the small files of a folder, in order, within every limit', () => {
    for (const [files, sizes] of [
      [small(700, 1, 1), 'many files'],
      [small(100, 5_000, 10), 'many rows'],
      [small(100, 5, TASK_BYTES / 10), 'many bytes'],
    ] as const) {
      const tasks = tasksOf(files);
      expect(tasks.length, sizes).toBeGreaterThan(1);
      expect(ranges(tasks).flat(), sizes).toEqual(
        files.map(({ path, groups }) => `${path}[0,${groups[0]![0]})`),
      );
      for (const task of tasks) {
        expect(task.files.length).toBeLessThanOrEqual(512);
        expect(task.rows).toBeLessThanOrEqual(TASK_ROWS);
        const bytes = task.files.reduce((sum, { facts }) => sum + facts.rowGroups[0]!.bytes, 0);
        expect(bytes).toBeLessThanOrEqual(TASK_BYTES);
      }
    }
    expect(tasksOf(small(512, 1, 1))).toHaveLength(1);
  });

  test('never mix folders, and number themselves within theirs', () => {
    const units = plan([
      { path: 'm=1/a', groups: [[1, 1]] },
      { path: 'm=1/b', groups: [[1, 1]] },
      {
        path: 'm=2/a',
        groups: [
          [TASK_ROWS, 1],
          [1, 1],
        ],
      },
    ]); //
    expect(units.map(({ unit, tasks }) => [unit, tasks.map(taskName)])).toEqual([
      ['m=1', ['m=1#0']],
      ['m=2', ['m=2#0', 'm=2#1']],
    ]);
    expect(taskName({ unit: '', index: 3 })).toBe('.#3');
  });

  const sumRows = (given: readonly Given[]): number =>
    given.reduce((sum, one) => sum + factsOf(one).rows, 0);

  test('cover every row of random files once, in order, in whole row groups but for those that are cut', () => {
    const random = new Random(7);
    for (let trial = 0; trial < 100; trial++) {
      const given = Array.from(
        { length: random.whole(1, 60) },
        (_, i): Given => ({
          path: `f${String(i).padStart(3, '0')}`,
          groups: Array.from({ length: random.whole(0, 4) }, () => [
            random.whole(0, random.pick([10, 50_000, 200_000])),
            random.whole(0, random.pick([1000, TASK_BYTES])),
          ]),
        }),
      );
      const next = new Map<string, number>();
      let last = '';
      for (const { files } of tasksOf(given)) {
        for (const { file, facts, rowStart, rowEnd } of files) {
          expect(compareText(last, file.path)).toBeLessThanOrEqual(0);
          const isSomething = rowEnd > rowStart || sumRows(given) === 0;
          expect([rowStart, isSomething]).toEqual([next.get(file.path) ?? 0, true]);
          expect(edgesOf(facts)).toEqual(expect.arrayContaining([rowStart, rowEnd]));
          next.set(file.path, rowEnd);
          last = file.path;
        }
      }
      for (const one of given) expect(next.get(one.path) ?? 0).toBe(factsOf(one).rows);
    }
  });
});

describe('one file more or less among 2,000', () => {
  /** How many tasks of the larger and of the smaller folder are not in the other one: over 50 seeded trials. */
  function changes(sizes: (random: Random) => readonly [number, number]): [number, number][] {
    const random = new Random(11);
    return Array.from({ length: 50 }, () => {
      const all = Array.from(
        { length: 2000 },
        (): Given => ({
          path: `part-${Math.floor(random.next() * 1e12).toString(36)}.parquet`,
          groups: [sizes(random)],
        }),
      ).sort((a, b) => compareText(a.path, b.path));
      const without = all.toSpliced(random.whole(0, all.length - 1), 1);
      const [more, fewer] = [tasksOf(all), tasksOf(without)].map(
        (tasks) => new Set(tasks.map(({ scoreKey }) => scoreKey)),
      ) as [Set<string>, Set<string>];
      return [
        [...more].filter((key) => !fewer.has(key)).length,
        [...fewer].filter((key) => !more.has(key)).length,
      ];
    });
  }

  test.each([
    ['of about 1,000 rows', (random: Random) => [random.whole(1, 2000), 1000] as const],
    ['of about 30,000 rows', (random: Random) => [random.whole(1, 60_000), 1000] as const],
    [
      'of few rows and many bytes',
      (random: Random) => [9, random.whole(1, TASK_BYTES / 8)] as const,
    ],
    ['of one row', () => [1, 10] as const],
  ])('%s changes its own task, seldom one beside it, never more than six', (_name, sizes) => {
    const found = changes(sizes);
    const counts = found.map(([added, removed]) => Math.max(added, removed));
    const mean = counts.reduce((sum, count) => sum + count, 0) / counts.length;
    expect(Math.min(...counts)).toBeGreaterThanOrEqual(1);
    expect(Math.max(...counts)).toBeLessThanOrEqual(6);
    expect(mean).toBeLessThan(1.5);
  });
  test('a file that is written anew changes its own task alone', () => {
    const given = small(2000, 1000);
    const changed = given.with(1234, { ...given[1234]!, sha256: 'new' });
    const [before, after] = [tasksOf(given), tasksOf(changed)];
    expect(ranges(after)).toEqual(ranges(before));
    const moved = after.filter(({ scoreKey }, i) => scoreKey !== before[i]!.scoreKey);
    expect(moved).toHaveLength(1);
    expect(moved[0]!.files.map(({ file }) => file.path)).toContain(given[1234]!.path);
  });
});

test('files of which nothing is known are left out', () => {
  const units = makePlan([dataFile('m=1/a'), dataFile('m=2/a')], new Map(), SCORING, PUBLISHING);
  expect(units).toEqual([]);
});

test.each([
  ['in one folder', (i: number) => `part-${String(i).padStart(5, '0')}.parquet`],
  ['in a folder each', (i: number) => `d=${String(i).padStart(5, '0')}/a.parquet`],
])('ten thousand files %s are planned within three seconds', (_name, path) => {
  const given = Array.from(
    { length: 10_000 },
    (_, i): Given => ({ path: path(i), groups: [[900, 9]] }),
  );
  const started = performance.now();
  const units = plan(given);
  expect(performance.now() - started).toBeLessThan(3000);
  expect(units.flatMap(({ tasks }) => tasks).reduce((sum, { rows }) => sum + rows, 0)).toBe(9e6);
});

test('a batch is what the model or the job says, else large for cheap rows and smaller for wide ones', () => {
  const auto = { wanted: 'auto', fixed: undefined, rowwise: true, bytesPerRow: 48 } as const;
  expect(batchRowsFor(auto)).toBe(16_384);
  expect(batchRowsFor({ ...auto, rowwise: false })).toBe(1024);
  expect(batchRowsFor({ ...auto, wanted: 77 })).toBe(77);
  expect(batchRowsFor({ ...auto, wanted: 77, fixed: 4 })).toBe(4);
  expect(batchRowsFor({ ...auto, bytesPerRow: 2048 })).toBe(16_384);
  expect(batchRowsFor({ ...auto, bytesPerRow: 2049 })).toBe(8192);
  expect(batchRowsFor({ ...auto, bytesPerRow: 2 ** 30 })).toBe(1);
});
