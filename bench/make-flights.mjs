/**
 * Makes a large data set out of the flights of 2013: the year again and again, with fresh keys and a little noise.
 *
 *     node bench/make-flights.mjs [rows=4000000] [folder=out/bench/flights] [layout=months]
 *
 * The same arguments give the same rows. Repetition 0 is the year as it is; in the others `dep_delay` and `air_time` move by
 * up to five minutes, in quarters (exact in float32), as the hash of the key says. A month has files of at
 * most two row groups of at most 122,880 rows; they are made one at a time, so memory does not depend on their number. The other
 * layouts hold the same rows in one file: `million` in row groups of 1,048,576 rows, as pandas and pyarrow write by default, and
 * `single` in one row group.
 */
import { existsSync } from 'node:fs';
import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { DuckDBInstance } from '@duckdb/node-api';

/** Changes whenever equal arguments would give other data. */
const FORMAT = 1;
const GROUP_ROWS = 122_880;
const FILE_GROUPS = 2;
/** The rows of a row group where all rows are in one file. */
const ONE_FILE = { million: 1_048_576, single: Number.POSITIVE_INFINITY };
export const LAYOUTS = ['months', ...Object.keys(ONE_FILE)];
/** Its name starts with `_`: scoreline passes it over. */
const MARKER = '_generated.json';

const here = dirname(fileURLToPath(import.meta.url));
const fixtures = join(here, '../fixtures/flights');

/** Makes the data, unless the folder holds them already. Returns their size. */
export async function makeFlights(rows, folder, layout = 'months') {
  if (!LAYOUTS.includes(layout)) throw new Error(`layout: ${layout} is not one of ${LAYOUTS}`);
  const wanted = {
    format: FORMAT,
    rows,
    groupRows: GROUP_ROWS,
    fileGroups: FILE_GROUPS,
    ...(layout === 'months' ? {} : { layout }),
  };
  const known = await markerOf(folder);
  if (known !== undefined && JSON.stringify(known.made) === JSON.stringify(wanted)) {
    return { ...known.size, made: false };
  }
  if (known === undefined && existsSync(folder) && (await readdir(folder)).length > 0) {
    throw new Error(`${folder}: holds something else; name another folder`);
  }
  const partial = `${folder}.partial`;
  await rm(partial, { recursive: true, force: true });
  await rm(folder, { recursive: true, force: true });
  const size = await generate(rows, partial, layout);
  await writeFile(join(partial, MARKER), `${JSON.stringify({ made: wanted, size })}\n`);
  await rename(partial, folder);
  return { ...size, made: true };
}

async function markerOf(folder) {
  try {
    return JSON.parse(await readFile(join(folder, MARKER), 'utf8'));
  } catch {
    return undefined;
  }
}

async function generate(rows, folder, layout) {
  const instance = await DuckDBInstance.create(':memory:', {
    threads: '2',
    memory_limit: layout === 'months' ? '1GiB' : '4GiB',
    temp_directory: `${folder}.spill`,
  });
  const connection = await instance.connect();
  const query = async (sql) => (await connection.runAndReadAll(sql)).getRowObjectsJson();
  try {
    const [{ year }] = await query(
      `SELECT count(*)::INTEGER AS year FROM read_parquet('${sql(fixtures)}/*/*.parquet')`,
    );
    const whole = Math.floor(rows / year);
    await connection.run(yearTable(rows % year));
    const months = await query(
      'SELECT month, count(*)::INTEGER AS n, count(last_place)::INTEGER AS rest FROM year GROUP BY month ORDER BY month',
    );
    const columns = (await query('DESCRIBE year'))
      .map((column) => column.column_name)
      .filter((name) => !['month', 'place', 'last_place'].includes(name));
    let files = 0;
    for (const { month, n, rest } of months) {
      const target = join(folder, `month=${month}`);
      await mkdir(target, { recursive: true });
      const monthRows = whole * n + rest;
      const fileRows = GROUP_ROWS * FILE_GROUPS;
      for (let start = 0, index = 0; start < monthRows; start += fileRows, index++) {
        const end = Math.min(start + fileRows, monthRows);
        const path = join(target, `flights-${String(index).padStart(4, '0')}.parquet`);
        await connection.run(
          `COPY (${rangeSql({ month, n, whole, year, columns, start, end })}) TO '${sql(path)}' ` +
            `(FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE ${GROUP_ROWS})`,
        );
        files++;
      }
    }
    if (layout !== 'months') {
      files = 1;
      const groupRows = Math.min(rows, ONE_FILE[layout]);
      await joinMonths({ connection, folder, months, groupRows });
    }
    const [counts] = await query(
      'SELECT sum(row_group_num_rows)::BIGINT::VARCHAR AS rows, count(*)::INTEGER AS groups ' +
        `FROM (SELECT DISTINCT file_name, row_group_id, row_group_num_rows FROM parquet_metadata('${sql(folder)}/**/*.parquet'))`,
    );
    if (Number(counts.rows) !== rows) throw new Error(`${counts.rows} rows made, not ${rows}`);
    return { rows, files, rowGroups: counts.groups, bytes: await bytesBelow(folder) };
  } finally {
    connection.closeSync();
    instance.closeSync();
    await rm(`${folder}.spill`, { recursive: true, force: true });
  }
}

/** Puts the rows of all months into one file, which takes their places. */
async function joinMonths({ connection, folder, months, groupRows }) {
  const source = `read_parquet('${sql(folder)}/*/*.parquet', hive_partitioning = true, hive_types = {month: INTEGER})`;
  // Written as whole vectors of 2,048 rows.
  const rowGroupSize = Math.ceil(groupRows / 2048) * 2048;
  await connection.run(
    `COPY (FROM ${source}) TO '${sql(join(folder, 'flights.parquet'))}' (FORMAT parquet, COMPRESSION snappy, ROW_GROUP_SIZE ${rowGroupSize})`,
  );
  for (const { month } of months) await rm(join(folder, `month=${month}`), { recursive: true });
}

/** The year, each row with its place in its month and, for `rest` rows chosen by hash, in the last, partial repetition. */
function yearTable(rest) {
  return `
    CREATE TABLE year AS
    WITH drawn AS (
      SELECT *, row_number() OVER (ORDER BY hash(flight_id), flight_id) <= ${rest} AS again
      FROM read_parquet('${sql(fixtures)}/*/*.parquet', hive_partitioning = true, hive_types = {month: INTEGER})
    )
    SELECT * EXCLUDE (again),
      row_number() OVER (PARTITION BY month ORDER BY flight_id) - 1 AS place,
      CASE WHEN again THEN row_number() OVER (PARTITION BY month, again ORDER BY flight_id) - 1 END AS last_place
    FROM drawn`;
}

/** The rows `start` to `end` of a month: `whole` times its `n` rows, then those of the last repetition. */
function rangeSql({ month, n, whole, year, columns, start, end }) {
  const key = `y.flight_id + y.again * ${year}`;
  const noise = (salt) =>
    `CASE WHEN y.again = 0 THEN 0 ELSE (hash(${key}, ${salt}) % 41)::INTEGER / 4 - 5 END`;
  const changed = {
    flight_id: `(${key})::BIGINT`,
    dep_delay: `y.dep_delay + ${noise(1)}`,
    air_time: `greatest(1, y.air_time + ${noise(2)})`,
  };
  const select = columns.map((name) => {
    const value = changed[name] === undefined ? `y.${name}` : changed[name];
    // greatest() passes over NULL.
    const kept = name === 'air_time' ? `CASE WHEN y.air_time IS NOT NULL THEN ${value} END` : value;
    return `${kept} AS ${name}`;
  });
  const piece = (place, first, from, to) =>
    `SELECT range AS i, range // ${n} AS again, y.* FROM range(${from}, ${Math.max(from, to)}) ` +
    `JOIN year y ON y.month = ${month} AND y.${place} = range - ${first}`;
  const repeated = whole * n;
  return `
    SELECT ${select.join(', ')} FROM (
      ${piece('place', `(range // ${n}) * ${n}`, start, Math.min(end, repeated))}
      UNION ALL
      ${piece('last_place', repeated, Math.max(start, repeated), end)}
    ) y ORDER BY y.i`;
}

function sql(text) {
  return text.replaceAll("'", "''");
}

async function bytesBelow(folder) {
  let bytes = 0;
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile())
      bytes += (await stat(join(entry.parentPath ?? entry.path, entry.name))).size;
  }
  return bytes;
}

if (process.argv[1] !== undefined && resolve(process.argv[1]) === fileURLToPath(import.meta.url)) {
  const [rowsText = '4000000', folder = join(here, '../out/bench/flights'), layout] =
    process.argv.slice(2);
  const rows = Number(rowsText);
  if (!Number.isSafeInteger(rows) || rows < 1) {
    console.error(`rows: ${rowsText} is not a number of rows`);
    process.exit(2);
  }
  const { files, rowGroups, bytes, made } = await makeFlights(rows, resolve(folder), layout);
  const megabytes = (bytes / 1e6).toFixed(1);
  console.log(
    `${rows.toLocaleString('en-US')} rows, ${files} files, ${rowGroups} row groups, ${megabytes} MB${made ? '' : ' (already there)'}`,
  );
}
