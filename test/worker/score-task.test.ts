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
import { writeParquet } from '../parquet.js';
import { makeFolder } from '../scoreline.js';

const KEY = 'ab'.repeat(32);

async function attempt(onBatch: (path: string) => void) {
  const folder = makeFolder();
  const path = join(folder, 'x.parquet');
  await writeParquet(path, 'SELECT i::FLOAT AS a, 1::FLOAT AS b FROM range(8) t(i)');
  const order: TaskOrder = {
    name: '.#0',
    files: [
      {
        path: 'x.parquet',
        absolute: path,
        stamp: await stampOf(path),
        schema: ['a', 'b'].map((name) => ({ name, type: 'FLOAT' })),
        fileRows: 8,
        rowStart: 0,
        rowEnd: 8,
      },
    ],
    rows: 8,
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
  const database = await Database.open({
    memoryLimitBytes: 2 ** 28,
    temporaryFolder: folder,
    allowedFolders: [folder],
  });
  const session = await Session.open(order.model.path, 'linear', 'cpu');
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
