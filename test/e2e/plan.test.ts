/** What `plan` says before and after each kind of change, and that a run then does what it said. */
import { cpSync, rmSync, utimesSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import { listFiles, makeCase, modelPath } from '../job-case.js';
import { columns, writeParquet } from '../parquet.js';
import { scoreline } from '../scoreline.js';

const ROWS = 'SELECT i AS id, i::FLOAT AS a, (i / 4)::FLOAT AS b FROM range';
const job = makeCase({ output: { path: 'out', keep: ['id'] } });
const fileOf = (partition: number): string => join(job.input, `p=${partition}`, 'rows.parquet');

/** Why each partition is to be done, and how much of it. */
async function plan(...args: string[]): Promise<Record<string, [string | null, number | null]>> {
  const { exit, stderr, report } = await job.plan(...args);
  expect({ exit, stderr }).toEqual({ exit: 0, stderr: '' });
  const toDo = report.units.map((unit) => unit.toDo);
  const sum = toDo.reduce<number>((all, one) => all + (one ?? 0), 0);
  expect(report.toDo).toBe(toDo.includes(null) ? null : sum);
  return Object.fromEntries(report.units.map(({ unit, why, toDo }) => [unit, [why, toDo]]));
}

beforeAll(async () => {
  await writeParquet(fileOf(1), `${ROWS}(5) t(i)`);
  await writeParquet(fileOf(2), `${ROWS}(7) t(i)`);
  // What a file holds is remembered only when it was written more than two seconds ago.
  await sleep(2100);
});

describe('a plan', () => {
  test('says new before the first run, and writes nothing', async () => {
    expect(await plan('--hash')).toEqual({ 'p=1': ['new', 1], 'p=2': ['new', 1] });
    expect(await plan()).toEqual({ 'p=1': ['new', null], 'p=2': ['new', null] });
    expect(listFiles(job.output)).toEqual([]);
  });

  test('says up to date after a run', async () => {
    expect((await job.run()).report.outcome).toBe('published');
    expect(await plan()).toEqual({ 'p=1': [null, 0], 'p=2': [null, 0] });
    const text = await scoreline(['plan', job.jobFile]);
    expect(text.stdout).toMatch(/^partition +files +rows +tasks +to do +why\n/);
    expect(text.stdout).toMatch(/\np=2 +1 +7 +1 +0 +up to date\n/);
    expect(text.stdout).toContain('2 partitions, 12 rows, 2 tasks; 0 partitions to do; ');
  });

  test('leaves open what a touched file holds, and finds it up to date once it is hashed', async () => {
    utimesSync(fileOf(1), new Date(2020, 1, 1), new Date(2020, 1, 1));
    expect(await plan()).toEqual({ 'p=1': ['not hashed yet', null], 'p=2': [null, 0] });
    expect(await plan('--hash')).toEqual({ 'p=1': [null, 0], 'p=2': [null, 0] });
    expect((await job.run()).report).toMatchObject({ outcome: 'unchanged', snapshot: 1 });
  });

  test('names changed input, and the run scores that partition alone', async () => {
    await writeParquet(fileOf(2), `${ROWS}(9) t(i)`);
    expect(await plan('--hash')).toEqual({ 'p=1': [null, 0], 'p=2': ['input changed', 1] });
    expect((await job.run()).report).toMatchObject({
      outcome: 'published',
      snapshot: 2,
      tasks: { scored: 1, reused: 1 },
      rowsThisRun: 9,
      ledger: { rows: 14, scored: 14 },
    });
    const rows = await columns(`SELECT * FROM read_parquet(${job.published()})`);
    expect(rows.y).toHaveLength(14);
  });

  test('names input that is gone, and the run keeps what was published of it', async () => {
    const aside = join(job.folder, 'aside');
    cpSync(join(job.input, 'p=1'), aside, { recursive: true });
    rmSync(join(job.input, 'p=1'), { recursive: true });
    const { report } = await job.plan('--hash');
    expect(report.vanished).toEqual(['p=1']);
    expect((await job.run()).report).toMatchObject({ outcome: 'unchanged', snapshot: 2 });
    expect(job.files()).toEqual(['p=1/case-00000.parquet', 'p=2/case-00000.parquet']);
    cpSync(aside, join(job.input, 'p=1'), { recursive: true });
  });

  test('says which keys of the job changed', async () => {
    job.change({ input: { path: 'in', where: 'a < 3' } });
    expect(await plan('--hash')).toMatchObject({ 'p=1': ['job changed (input.where)', 1] });
    job.change({
      input: { path: 'in' },
      output: { path: 'out', keep: [], compression: 'snappy' },
    });
    const why = 'job changed (output.keep, output.compression)';
    expect(await plan('--hash')).toEqual({ 'p=1': [why, 1], 'p=2': [why, 1] });
  });

  test('is followed without inference where only the form of the output changed', async () => {
    const scores = listFiles(join(job.output, 'store', 'scores'));
    job.change({
      output: { path: 'out', keep: ['id', 'b'], columns: { 'a "score"': 'y' } },
    });
    const { report } = await job.run();
    expect(report).toMatchObject({ outcome: 'published', snapshot: 3, times: { infer: 0 } });
    expect(listFiles(join(job.output, 'store', 'scores'))).toEqual(scores);
    const rows = await columns(`SELECT * FROM read_parquet(${job.published()})`);
    expect(Object.keys(rows)).toEqual(['id', 'b', 'a "score"', 'p']);
    expect(rows['a "score"']).toEqual(
      rows.id!.map((id, i) => 2 * Number(id) + 3 * Number(rows.b![i]) + 1),
    );
  });

  test('names a changed model', async () => {
    job.change({
      model: { path: modelPath('small/named') },
      features: { a: 'a', b: 'b' },
      output: { path: 'out', keep: ['id', 'b'] },
    });
    const why = (await plan('--hash'))['p=1']?.[0];
    expect(why).toMatch(/^model changed, job changed \(features, output\.columns\b/);
  });
});
