import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import { RFC_4180 } from '../../src/plan/csv.js';
import type { DataFile, FileFacts } from '../../src/plan/dataset.js';
import {
  makePlan,
  type PublishingConfig,
  type ScoringConfig,
  type Task,
  type UnitPlan,
} from '../../src/plan/plan.js';

const SCORING: ScoringConfig = {
  model: ['m'.repeat(64), 'd'.repeat(64)],
  device: 'cpu',
  batchRows: 16_384,
  fixedBatch: undefined,
  where: 'cancelled = false',
  csv: undefined,
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
    ['CSV', { csv: RFC_4180 }],
    ['the delimiter of CSV', { csv: { ...RFC_4180, delimiter: ';' } }],
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

  test('have a case here for each of their ingredients', () => {
    const tried = new Set(
      [...SCORINGS, ...PUBLISHINGS].flatMap(([, change]) => Object.keys(change)),
    );
    const all = [...Object.keys(SCORING), ...Object.keys(PUBLISHING)];
    // The batch that a model insists on is its batch size: `batchRows` says it.
    expect(all.filter((key) => !tried.has(key))).toEqual(['fixedBatch']);
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
    '1187f41ea9e50d31acf49b02dcfb4eab014f377dd2368ad635618785156efca4',
    'a7088ce61972ee8cfd9a4fd931914af3ba66d43b5b6e4ef3b2b1cdff30cab96d',
  ];
});
