/** The order in which tasks are handed out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';

test('tasks are scored longest first, those of a length in the order of the plan', async () => {
  const job = makeCase();
  const rows = Array.from({ length: 24 }, (_, i) => 10 + ((i * 7) % 12));
  for (const [index, count] of rows.entries()) {
    const unit = `p=${String(index).padStart(2, '0')}`;
    await writeParquet(
      join(job.input, unit, 'x.parquet'),
      `SELECT i::FLOAT AS a, 2::FLOAT AS b FROM range(${count}) t(i)`,
    );
  }
  const { exit, report } = await job.run();
  expect(exit).toBe(0);
  const log = readFileSync(join(job.output, 'runs', report.runId, 'log.jsonl'), 'utf8');
  const scored = log
    .trimEnd()
    .split('\n')
    .map((line): { type: string; task: string } => JSON.parse(line))
    .flatMap(({ type, task }) => (type === 'task' ? [Number(task.slice(2, 4))] : []));
  const wanted = [...rows.keys()].sort((a, b) => rows[b]! - rows[a]! || a - b);
  // The next one waits while one is scored, so that neighbours may change places.
  const places = scored.map((task, place) => Math.abs(wanted.indexOf(task) - place));
  expect(places).toHaveLength(rows.length);
  expect(Math.max(...places)).toBeLessThanOrEqual(2);
});
