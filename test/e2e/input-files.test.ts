/** Which files of the input a run reads, and what it says of the others. */
import { copyFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';

const ROWS = 'SELECT i::FLOAT AS a, 1::FLOAT AS b FROM range(5) t(i)';

test('a link beside its file adds no rows, and run and plan say so', async () => {
  const job = makeCase();
  await writeParquet(join(job.input, '2024-01-02.parquet'), ROWS);
  symlinkSync('2024-01-02.parquet', join(job.input, 'latest.parquet'));
  const note =
    'read once, under another name of the same file: latest.parquet (2024-01-02.parquet)';
  expect((await job.plan()).report.notes).toEqual([note]);
  const { exit, report } = await job.run();
  expect([exit, report.ledger.rows, report.notes]).toEqual([0, 5, [note]]);
});

test('Parquet under another name is refused, and read where input.files says so', async () => {
  const job = makeCase();
  await writeParquet(join(job.input, 'a.parquet'), ROWS);
  copyFileSync(join(job.input, 'a.parquet'), join(job.input, '000000_0'));
  const refused = await job.run();
  expect([refused.exit, refused.stderr]).toEqual([
    4,
    expect.stringContaining('000000_0: is Parquet, but its name does not end in .parquet'),
  ]);
  const all = await job.run('--set', 'input.files=*');
  expect([all.exit, all.report.ledger.rows]).toEqual([0, 10]);
});

test('files of tabs are read by input.files and input.csv', async () => {
  const job = makeCase({ input: { path: 'in', files: '*.tsv', csv: { delimiter: '\t' } } });
  writeFileSync(join(job.input, 'a.tsv'), 'a\tb\n1\t2\n3\t4\n');
  writeFileSync(join(job.input, 'b.csv.bz2'), 'BZh9');
  const { exit, report } = await job.run();
  expect([exit, report.ledger.scored, report.notes]).toEqual([
    0,
    2,
    ['passed over, by their names no data: b.csv.bz2'],
  ]);
});
