/** Rows that end the worker, or keep it busy for ever: set aside, and everything else is scored as if they were not there. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import {
  contentFiles,
  type JobCase,
  listFiles,
  makeCase,
  modelPath,
  withoutClosing,
} from '../job-case.js';
import { query, writeParquet } from '../parquet.js';

/** -2**31 / i in whole numbers: 0 fails in the ordinary way, -1 ends the process with SIGFPE on x86. */
const CRASHES = {
  model: { path: modelPath('small/crashes') },
  features: ['i'],
  output: { path: 'out', keep: ['id'] },
  run: { workers: 2 },
};

const ROWS = 1_000_000;

/** What a run has logged of a type. */
function logged(job: JobCase, type: string): Record<string, unknown>[] {
  return listFiles(join(job.output, 'runs'))
    .filter((name) => name.endsWith('log.jsonl'))
    .flatMap((name) =>
      readFileSync(join(job.output, 'runs', name), 'utf8')
        .trim()
        .split('\n'),
    )
    .map((line) => JSON.parse(line) as Record<string, unknown>)
    .filter((event) => event.type === type);
}

async function crashCase(poison: string, sections = {}): Promise<JobCase> {
  const job = makeCase({ ...CRASHES, ...sections });
  await writeParquet(
    join(job.input, 'x.parquet'),
    `SELECT id, CASE ${poison} ELSE id % 50 + 1 END::INTEGER AS i FROM range(${ROWS}) t(id)`,
  );
  return job;
}

test.runIf(process.arch === 'x64')(
  'three that crash, in different places of a million, and one beside that merely fails, are set aside and no other',
  async () => {
    const places = [0, 500_000, 999_999];
    const job = await crashCase(`WHEN id IN (${places}) THEN -1 WHEN id = 500001 THEN 0`);
    const result = await job.run('--quiet');
    expect(result).toMatchObject({
      exit: 0,
      report: { ledger: { rows: ROWS, scored: ROWS - 4, quarantined: 4 } },
    });
    const aside = await query(
      `SELECT id, scoreline_row AS row, scoreline_reason AS reason FROM read_parquet(${job.published('quarantine')}) ORDER BY id`,
    );
    expect(aside).toEqual(
      [...places, 500_001]
        .sort((a, b) => a - b)
        .map((id) => ({
          id: String(id),
          row: String(id),
          reason: id === 500_001 ? 'model_failed' : 'model_crashed',
        })),
    );
    // SQL divides as the model does: what is not set aside is right, and all there.
    expect(
      await query(
        `SELECT count(*) AS rows, count(DISTINCT id) AS ids, count(*) FILTER (y <> CAST(-2147483648 // (id % 50 + 1) AS FLOAT)) AS wrong
         FROM read_parquet(${job.published()})`,
      ),
    ).toEqual([{ rows: String(ROWS - 4), ids: String(ROWS - 4), wrong: '0' }]);
    expect(logged(job, 'lethal').map(({ place }) => place)).toHaveLength(places.length);
  },
);

test.runIf(process.arch === 'x64')(
  'a file of nothing but such rows is the model’s fault',
  async () => {
    const job = await crashCase('WHEN true THEN -1');
    const result = await job.run('--quiet');
    expect(result.exit).toBe(5);
    expect(result.stderr).toMatch(
      /^scoreline: model .*crashes\.onnx: ends its process on every row tried of task \.#\d: it was ended by SIGFPE$/m,
    );
    expect(withoutClosing(result.stderr).trim().split('\n')).toHaveLength(1);
  },
);

test('one on which the model loops for ever is set aside, beside filtered rows and with its columns', async () => {
  const job = makeCase({
    model: { path: modelPath('small/slow') },
    features: ['x'],
    input: { path: 'in', where: 'x <> 3' },
    output: { path: 'out', keep: ['id'] },
    run: { workers: 2, batch_timeout: 1 },
  });
  await writeParquet(
    join(job.input, 'x.parquet'),
    'SELECT id, (CASE id WHEN 77 THEN 2000000 ELSE id END)::FLOAT AS x FROM range(200) t(id)',
  );
  const result = await job.run();
  expect(result).toMatchObject({
    exit: 0,
    report: { ledger: { rows: 200, scored: 198, quarantined: 1, filtered: 1 } },
  });
  expect(result.stderr).toMatch(/^x\.parquet row 77 is set aside: model_hung$/m);
  expect(
    await query(
      `SELECT id, x, scoreline_reason AS reason FROM read_parquet(${job.published('quarantine')})`,
    ),
  ).toEqual([{ id: '77', x: 2_000_000, reason: 'model_hung' }]);
});

test('the bytes are the same for any number of workers', async () => {
  const cases = await Promise.all(
    [1, 3].map((workers) => crashCase('WHEN id = 123456 THEN -1', { run: { workers } })),
  );
  const outputs: string[][] = [];
  for (const job of cases) {
    expect((await job.run('--quiet')).exit).toBe(0);
    const root = join(job.output, 'current');
    outputs.push(
      contentFiles(root).map((name) => readFileSync(join(root, name)).toString('base64')),
    );
  }
  expect(outputs[1]).toEqual(outputs[0]);
});
