/** Rows that were set aside: their file is input like any other, once what was wrong is mended. */
import { mkdirSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase, modelPath } from '../job-case.js';
import { exactPath, query, writeParquet } from '../parquet.js';

test('a quarantine file can be scored by itself once mended, to what its rows would have had', async () => {
  const sections = {
    model: { path: modelPath('small/ints') },
    features: { i: 'i', f: 'p' },
    input: { path: 'in', types: { p: 'DOUBLE' } },
    output: { path: 'out', keep: ['id', 'p'] },
  };
  const rows = (p: number, i: string): string =>
    `SELECT id, ${i} AS i, 'é "' || id AS note FROM range(${p}, ${p + 100}) t(id)`;
  const broken = makeCase(sections);
  const whole = makeCase(sections);
  for (const p of [1, 2]) {
    const bad = 'CASE WHEN id % 30 = 7 THEN NULL ELSE id END';
    await writeParquet(join(broken.input, `p=${p}`, 'x.parquet'), rows(p, bad));
    await writeParquet(join(whole.input, `p=${p}`, 'x.parquet'), rows(p, 'id'));
  }
  expect((await whole.run()).exit).toBe(0);
  expect(await broken.run()).toMatchObject({
    exit: 0,
    report: { ledger: { rows: 200, scored: 192, quarantined: 8 } },
  });
  const mended = makeCase(sections);
  const files = broken.files('quarantine');
  expect(files.map(dirname)).toEqual(['p=1', 'p=2']);
  for (const file of files) {
    const from = exactPath(join(broken.output, 'current', 'quarantine', file));
    mkdirSync(join(mended.input, dirname(file)));
    await writeParquet(
      join(mended.input, file),
      `SELECT * EXCLUDE (i), id AS i FROM read_parquet(${from}, hive_partitioning = false)`,
    );
  }
  expect(await mended.run()).toMatchObject({ exit: 0, report: { ledger: { scored: 8 } } });
  const scores = (job: typeof whole): string => `SELECT * FROM read_parquet(${job.published()})`;
  expect(
    await query(`(${scores(broken)} UNION ALL ${scores(mended)}) EXCEPT ALL ${scores(whole)}`),
  ).toEqual([]);
  expect(
    await query(`${scores(whole)} EXCEPT ALL (${scores(broken)} UNION ALL ${scores(mended)})`),
  ).toEqual([]);
  const [note] = await query(
    `SELECT note FROM read_parquet(${broken.published('quarantine')}) ORDER BY id LIMIT 1`,
  );
  expect(note).toEqual({ note: 'é "7' });
});
