/**
 * Two nights, and what a reader finds: a job that is run again, killed in its second night, and run once more.
 *
 *     node bench/nights.mjs [--rows 1000000] [--folder out/bench] [--only scoreline,multiprocess,spark,mlflow,ray_append,ray_overwrite]
 *
 * The first night scores all rows. The same command again, with nothing new, is the second measurement. Then the model is another (the
 * same trees, another file), and the job is killed with all its processes when it has run for three fifths of the time that the first
 * night took. What is below the output then, a reader finds in the morning: files that cannot be read, rows, rows that are there more than
 * once, and rows that are missing. Last, the same command once more. Writes the table of docs/comparison.md between its marks.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, readdir, rm, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { makeFlights } from './make-flights.mjs';
import { commandOf, makePython, peerEnv, root } from './peers/commands.mjs';

const TOOLS = {
  scoreline: { title: 'scoreline', script: 'scoreline' },
  multiprocess: {
    title: 'multiprocessing + ONNX Runtime, a file for a file',
    script: 'multiprocess',
  },
  spark: { title: 'PySpark, `overwrite`', script: 'spark', mode: ['overwrite'] },
  mlflow: { title: 'MLflow, UDF of Spark, `overwrite`', script: 'mlflow_udf', mode: ['overwrite'] },
  ray_append: { title: 'Ray Data, `append` (its default)', script: 'ray_data', mode: ['append'] },
  ray_overwrite: { title: 'Ray Data, `overwrite`', script: 'ray_data', mode: ['overwrite'] },
};
const MARK = ['<!-- nights: written by bench/nights.mjs -->', '<!-- nights: end -->'];
const KILLED_AT = 0.6;
/** What a killed job's helpers may take to notice. */
const AFTERMATH_MS = 5000;

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '1000000' },
    folder: { type: 'string', default: join(root, 'out/bench') },
    only: { type: 'string', default: Object.keys(TOOLS).join(',') },
  },
});
const folder = resolve(options.folder);
const rows = Number(options.rows);
const data = join(folder, `flights-${rows}`);
await mkdir(folder, { recursive: true });
await makeFlights(rows, data);
const python = makePython(folder);
const models = await twoModels();
const connection = await (await DuckDBInstance.create(':memory:')).connect();
const table = [
  '| | the same again, nothing new | killed in the second night: a reader finds | then run once more |',
  '|---|---|---|---|',
];
for (const name of options.only.split(',')) {
  const { title, script, mode } = TOOLS[name];
  const target = join(folder, `night-${name}`);
  await rm(target, { recursive: true, force: true });
  const night = (model) => commandOf(script, { python, data, model, target, mode });
  const first = await whole(night(models[0]));
  const again = await whole(night(models[0]));
  const after = await look(target);
  await killed(night(models[1]), KILLED_AT * first);
  const morning = await look(target);
  const last = await whole(night(models[1]));
  const end = await look(target);
  table.push(
    `| ${title} | ${seconds(again)} (first ${seconds(first)}); ${said(after)} | ${said(morning)} | ${seconds(last)}; ${said(end)} |`,
  );
  console.log(table.at(-1));
}
await report();

/** The model, and the same with another description: other bytes, the same trees. */
async function twoModels() {
  const model = join(root, 'fixtures/models/flights.onnx');
  const other = join(folder, 'flights-second.onnx');
  // Field 6 of a ModelProto is its doc_string; of a field that comes twice the last one counts.
  const text = Buffer.from('the second night');
  await writeFile(
    other,
    Buffer.concat([readFileSync(model), Buffer.from([0x32, text.length]), text]),
  );
  return [model, other];
}

/** Runs a command to its end; gives the milliseconds. */
async function whole([program, args]) {
  const started = performance.now();
  const child = spawn(program, args, { env: peerEnv(), stdio: ['ignore', 'ignore', 'pipe'] });
  let said = '';
  child.stderr.on('data', (text) => {
    said += text;
  });
  const code = await new Promise((done) => child.once('close', done));
  if (code !== 0) throw new Error(`${args[0]}: ended with ${code}: ${said.slice(-2000)}`);
  return performance.now() - started;
}

/** Runs a command and kills it, with everything that it started, after some milliseconds. */
async function killed([program, args], ms) {
  const child = spawn(program, args, { env: peerEnv(), stdio: 'ignore' });
  const ended = new Promise((done) => child.once('exit', done));
  await sleep(ms);
  if (child.exitCode !== null) throw new Error(`${args[0]}: was done before it was killed`);
  for (const pid of family(child.pid)) {
    try {
      process.kill(pid, 'SIGKILL');
    } catch {
      // It is gone already.
    }
  }
  await ended;
  await sleep(AFTERMATH_MS);
}

/** A process and all below it. */
function family(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    try {
      const stat = readFileSync(`/proc/${name}/stat`, 'utf8');
      parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
    } catch {
      // It ended meanwhile.
    }
  }
  const found = [pid];
  for (const one of found)
    for (const [child, parent] of parents) if (parent === one) found.push(child);
  return found;
}

/** What a reader of Parquet finds below an output; as readers do, it passes over names that begin with `_` or `.`. */
async function look(target) {
  const shown = target.endsWith('night-scoreline') ? join(target, 'current/data') : target;
  const names = await readdir(shown, { recursive: true }).catch(() => []);
  const files = names.filter(
    (name) => name.endsWith('.parquet') && !name.split('/').some((part) => /^[_.]/.test(part)),
  );
  const good = [];
  for (const name of files) {
    const path = join(shown, name);
    const isRead = await connection.run(`SELECT count(*) FROM read_parquet('${path}')`).then(
      () => true,
      () => false,
    );
    if (isRead) good.push(path);
  }
  const found = { broken: files.length - good.length, rows: 0, distinct: 0 };
  if (good.length === 0) return found;
  const list = good.map((path) => `'${path}'`).join(', ');
  const reader = await connection.runAndReadAll(
    `SELECT count(*)::INTEGER AS n, count(DISTINCT flight_id)::INTEGER AS d FROM read_parquet([${list}])`,
  );
  const [{ n, d }] = reader.getRowObjectsJson();
  return { ...found, rows: n, distinct: d };
}

function said({ broken, rows: found, distinct }) {
  const parts = [];
  if (found === rows && distinct === rows) parts.push('all rows, once');
  else if (found === 0) parts.push('**no rows**');
  else parts.push(`${found.toLocaleString('en')} rows`);
  if (found > distinct) parts.push(`**${(found - distinct).toLocaleString('en')} too many**`);
  if (distinct < rows && found > 0)
    parts.push(`**${(rows - distinct).toLocaleString('en')} missing**`);
  if (broken > 0)
    parts.push(`**${broken} ${broken === 1 ? 'file' : 'files'} that cannot be read**`);
  return parts.join(', ');
}

function seconds(ms) {
  return `${(ms / 1000).toFixed(1)} s`;
}

async function report() {
  const text = [
    `${new Date().toISOString().slice(0, 10)}: ${rows.toLocaleString('en')} rows.`,
    '',
    ...table,
  ].join('\n');
  const page = join(root, 'docs/comparison.md');
  const [before, rest] = readFileSync(page, 'utf8').split(MARK[0]);
  const after = rest?.split(MARK[1])[1];
  if (after === undefined) throw new Error(`${page}: no marks`);
  await writeFile(page, `${before}${MARK[0]}\n\n${text}\n\n${MARK[1]}${after}`);
}
