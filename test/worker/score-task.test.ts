/** One attempt at a task, with the real DuckDB and the real ONNX Runtime. */
import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { stampOf } from '../../src/base/hash.js';
import { Session } from '../../src/base/onnx.js';
import type { TaskOrder } from '../../src/worker/protocol.js';
import { scoreTask } from '../../src/worker/score-task.js';
import { modelPath } from '../job-case.js';
import { ELEMENT, node, number, tensor, writeModel } from '../onnx.js';
import { exactPath, query, writeParquet } from '../parquet.js';
import { makeFolder } from '../scoreline.js';

const KEY = 'ab'.repeat(32);

async function attempt(onBatch: (path: string) => void, change: Partial<TaskOrder> = {}) {
  const folder = makeFolder();
  const path = join(folder, 'x.parquet');
  const rows = change.rows ?? 8;
  await writeParquet(
    path,
    `SELECT i::FLOAT AS a, 1::FLOAT AS b, i::VARCHAR AS t FROM range(${rows}) t(i)`,
    { rowGroupSize: 400_000 },
  );
  const plain: TaskOrder = {
    name: '.#0',
    files: [
      {
        path: 'x.parquet',
        absolute: path,
        stamp: await stampOf(path),
        schema: [
          { name: 'a', type: 'FLOAT' },
          { name: 'b', type: 'FLOAT' },
          { name: 't', type: 'VARCHAR' },
        ],
        fileRows: rows,
        rowStart: 0,
        rowEnd: rows,
      },
    ],
    rows,
    partition: [],
    model: { path: modelPath('small/linear'), shownAs: 'linear', device: 'cpu', files: [] },
    scoring: {
      model: [],
      device: 'cpu',
      batchRows: 4,
      fixedBatch: undefined,
      where: undefined,
      types: [],
      inputs: [{ name: 'x', element: 'float32', rank: 2, columns: ['a', 'b'] }],
      outputs: ['y'],
      nonFinite: 'quarantine',
      csv: undefined,
    },
    inFolders: [],
    publishing: {
      keep: [],
      columns: [{ column: 'y', output: 'y', element: 'float32', width: 1, index: undefined }],
      format: 'parquet',
      compression: 'snappy',
    },
    engine: 'onnxruntime',
    scoreKey: KEY,
    partKey: KEY,
    scoreFolder: join(folder, 'store', 'scores', 'ab', KEY),
    partFolder: join(folder, 'store', 'parts', 'ab', KEY),
    haveScores: false,
    temporaryFolder: join(folder, 'tmp'),
    badRowsAllowed: 10,
    lethal: [],
    probeBatch: false,
  };
  const order: TaskOrder = { ...plain, ...change };
  const database = await Database.open({
    memoryLimitBytes: 2 ** 28,
    temporaryFolder: folder,
    allowedFolders: [folder],
  });
  const session = await Session.open(order.model.path, 'model', 'cpu');
  try {
    const result = await scoreTask(order, {
      database,
      session: async () => session,
      trees: () => Promise.reject(new Error('not asked for')),
      onProgress: () => onBatch(path),
    }).catch((error: unknown) => error);
    return { order, result };
  } finally {
    await session.close();
    database.close();
  }
}

it('an attempt leaves its scores and its part in the store', async () => {
  const { order, result } = await attempt(() => undefined);
  expect(result).toMatchObject({ part: { ledger: { rows: 8, scored: 8 } } });
  expect([existsSync(order.scoreFolder), existsSync(order.partFolder)]).toEqual([true, true]);
});

it('an attempt whose file is written to meanwhile leaves nothing under the key of what it was', async () => {
  let touched = false;
  const { order, result } = await attempt((path) => {
    if (!touched) writeFileSync(path, 'other content', { flag: 'a' });
    touched = true;
  });
  expect(result).toMatchObject({ code: 'changed' });
  expect([existsSync(order.scoreFolder), existsSync(order.partFolder)]).toEqual([false, false]);
});

it('a streamed task of more rows than an appender holds has all its rows, each with its own score', async () => {
  const rows = 300_000;
  // A text as the number that it says.
  const model = writeModel({
    inputs: [tensor('t', 'string', ['N', 1])],
    outputs: [tensor('y', 'float', ['N', 1])],
    nodes: [node('Cast', ['t'], ['y'], number('to', ELEMENT.float))],
  });
  const { order, result } = await attempt(() => undefined, {
    rows,
    model: { path: model, shownAs: 'model', device: 'cpu', files: [] },
    scoring: {
      model: [],
      device: 'cpu',
      batchRows: 16_384,
      fixedBatch: undefined,
      where: undefined,
      types: [],
      inputs: [{ name: 't', element: 'utf8', rank: 2, columns: ['t'] }],
      outputs: ['y'],
      nonFinite: 'quarantine',
      csv: undefined,
    },
  });
  expect(result).toMatchObject({ part: { ledger: { rows, scored: rows } } });
  const [found] = await query(
    `SELECT count(*)::INTEGER AS rows, count_if(o0 <> file_row_number)::INTEGER AS wrong FROM read_parquet(${exactPath(join(order.scoreFolder, 'scores.parquet'))})`,
  );
  expect(found).toEqual({ rows, wrong: 0 });
});
