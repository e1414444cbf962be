/** The main job on the same flights as CSV: every prediction of the year is that of the Parquet files. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { listFiles, type RunResult, withReport } from '../job-case.js';
import { literal, query } from '../parquet.js';
import { FIXTURES, makeFolder, ROOT, scoreline } from '../scoreline.js';

const folder = makeFolder();

function run(output: string, ...args: string[]): Promise<RunResult> {
  const job = join(ROOT, 'jobs', 'flights.yaml');
  return scoreline(['run', job, '--json', '--set', `output.path=${output}`, ...args]).then(
    withReport<RunResult['report']>,
  );
}

function published(output: string): string {
  const root = join(output, 'current', 'data');
  return `[${listFiles(root)
    .map((file) => literal(join(root, file)))
    .join(', ')}]`;
}

test('a year of flights as CSV gives the predictions of the same year in Parquet, for all rows', async () => {
  const csv = join(folder, 'csv');
  for (let month = 1; month <= 12; month++) {
    const name = `month=${month}`;
    mkdirSync(join(csv, name), { recursive: true });
    await query(
      `COPY (SELECT * FROM read_parquet('${FIXTURES}/flights/${name}/flights.parquet', hive_partitioning = false)) TO ${literal(join(csv, name, 'flights.csv'))} (FORMAT csv, HEADER)`,
    );
  }
  const [parquet, text] = [join(folder, 'from-parquet'), join(folder, 'from-csv')];
  expect((await run(parquet)).exit).toBe(0);
  const types = 'input.types={ cancelled: BOOLEAN, flight_id: BIGINT }';
  const { exit, report } = await run(text, '--set', `input.path=${csv}`, '--set', types);
  expect([exit, report.ledger]).toEqual([
    0,
    { rows: 336_776, scored: 328_521, quarantined: 0, filtered: 8_255 },
  ]);
  const [compared] = await query(
    'SELECT count(*)::INTEGER AS n, count(*) FILTER (a.delay_minutes IS NOT DISTINCT FROM b.delay_minutes ' +
      'AND a.carrier IS NOT DISTINCT FROM b.carrier)::INTEGER AS same ' +
      `FROM read_parquet(${published(parquet)}, hive_partitioning = true) a ` +
      `FULL JOIN read_parquet(${published(text)}, hive_partitioning = true) b USING (month, flight_id)`,
  );
  expect(compared).toEqual({ n: 328_521, same: 328_521 });
});
