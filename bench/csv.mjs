/**
 * What reading CSV costs: scoreline's scan and conversion beside DuckDB's own strict read of the same file to Parquet.
 *
 *     node bench/csv.mjs [--rows 1000000] [--rounds 5] [--folder out/bench]
 *
 * 20 columns: numbers, whole numbers, dates, texts with quotes and delimiters. Both write the same Parquet with the same
 * threads; rounds alternate, and the CPU seconds stand beside the wall, which other programs change. scoreline reads the file
 * once more than DuckDB: to hash it, to find every record that is none, and to name its line and byte. Exits with 1 when the
 * target is missed.
 */
import { mkdirSync, rmSync, statSync } from 'node:fs';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { Database } from '../dist/base/duckdb.js';
import { convertCsv, describeCsv } from '../dist/worker/csv.js';

const TARGET = 1.5;

const here = dirname(fileURLToPath(import.meta.url));
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    rounds: { type: 'string', default: '5' },
    folder: { type: 'string', default: join(here, '../out/bench') },
  },
});
const rows = Number(options.rows);
const folder = resolve(options.folder, 'csv');
const absolute = join(folder, 'in.csv');
const threads = os.availableParallelism();
const dialect = { delimiter: ',', quote: '"', columns: undefined, null: '' };

rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
const instance = await DuckDBInstance.create(':memory:', { threads: String(threads) });
const connection = await instance.connect();
await connection.run(
  `COPY (SELECT ${columns().join(', ')} FROM range(${rows}) t(i)) TO '${absolute}' (HEADER)`,
);
const megabytes = (statSync(absolute).size / 1e6).toFixed(0);
console.log(`${rows} rows x ${columns().length} columns, ${megabytes} MB, ${threads} threads\n`);
console.log('round     scoreline                  DuckDB                     ratio  CPU ratio');
const ratios = [];
for (let round = 1; round <= Number(options.rounds); round++) {
  const theirs = await measured(duckdb);
  const ours = await measured(scoreline);
  const ratio = ours.wall / theirs.wall;
  const cpuRatio = ours.cpu / theirs.cpu;
  ratios.push({ ratio, cpuRatio });
  console.log(
    `${String(round).padEnd(8)}  ${timeText(ours)}  ${timeText(theirs)}  ${ratio.toFixed(2)}   ${cpuRatio.toFixed(2)}`,
  );
}
const middle = median(ratios.map(({ ratio }) => ratio));
const middleCpu = median(ratios.map(({ cpuRatio }) => cpuRatio));
console.log(
  `median${' '.repeat(58)}${middle.toFixed(2)}   ${middleCpu.toFixed(2)}   (target at most ${TARGET})`,
);
process.exit(middle > TARGET ? 1 : 0);

function columns() {
  const words = "['alpha', 'beta, with comma', 'gamma \"quoted\"', 'delta']";
  return [
    'i AS id',
    ...Array.from(
      { length: 8 },
      (_, n) => `round(hash(i * 8 + ${n}) % 1000000 / 1000, 3) AS f${n}`,
    ),
    ...Array.from({ length: 6 }, (_, n) => `hash(i * 6 + ${n}) % 100000 AS n${n}`),
    ...Array.from(
      { length: 4 },
      (_, n) => `${words}[1 + (hash(i * 4 + ${n}) % 4)::INTEGER] AS t${n}`,
    ),
    "DATE '2013-01-01' + (i % 365)::INTEGER AS d",
  ];
}

/** DuckDB by itself: all text, strict, nothing guessed. */
async function duckdb() {
  const types = columns().map((column) => `'${column.split(' AS ')[1]}': 'VARCHAR'`);
  await connection.run(
    `COPY (SELECT * FROM read_csv('${absolute}', auto_detect = false, header = true, delim = ',', quote = '"', escape = '"', ` +
      `strict_mode = true, columns = {${types.join(', ')}})) TO '${join(folder, 'duckdb.parquet')}' ` +
      '(FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE 122880)',
  );
}

/** What a run does with a CSV file before its first row is scored. */
async function scoreline() {
  const file = { path: 'in.csv', absolute };
  const { stamp, facts } = await describeCsv({ file, dialect });
  if (facts.rows !== rows) throw new Error(`${facts.rows} rows found, not ${rows}`);
  const target = join(folder, 'store');
  rmSync(target, { recursive: true, force: true });
  const setup = {
    memoryLimitBytes: 2 ** 30,
    temporaryFolder: join(folder, 'spill'),
    allowedFolders: [folder],
  };
  await convertCsv(
    {
      file: { ...file, stamp },
      dialect,
      key: 'bench',
      columns: facts.schema.map(({ name }) => name),
      rows: facts.rows,
      facts: facts.csv,
      folder: target,
      temporaryFolder: join(folder, 'tmp'),
      threads,
      memoryBytes: 2 ** 30,
    },
    setup,
    () => Database.open(setup),
  );
}

async function measured(run) {
  const cpu = process.cpuUsage();
  const started = performance.now();
  await run();
  const { user, system } = process.cpuUsage(cpu);
  return { wall: (performance.now() - started) / 1000, cpu: (user + system) / 1e6 };
}

function timeText({ wall, cpu }) {
  return `${wall.toFixed(2)} s, CPU ${cpu.toFixed(2)} s`.padEnd(25);
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[Math.floor(sorted.length / 2)];
}
