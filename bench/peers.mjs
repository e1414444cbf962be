/**
 * `npm run bench:peers`: the whole job, Parquet to Parquet, beside what people use instead, in one run on the same data.
 *
 *     node bench/peers.mjs [--rows 4000000] [--rounds 3] [--folder out/bench] [--only multiprocess,compiled,spark,ray_data,mlflow_udf]
 *
 * Rounds take turns. A peer reads the same files, scores with the same model (lleaves with the same trees) in as many processes of one thread as there are cores,
 * and writes keys and predictions; it keeps no ledger and no statistics, and publishes nothing. What each gives is compared
 * with what scoreline published, row by row. The Python environment, of pinned versions, is made in the folder. Writes
 * the table and the chart of docs/performance.md between its marks.
 */
import { execFileSync, spawn } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { join, resolve } from 'node:path';
import { parseArgs } from 'node:util';
import { DuckDBInstance } from '@duckdb/node-api';
import { makeFlights } from './make-flights.mjs';
import { commandOf, makePython, peerEnv, root } from './peers/commands.mjs';

// A machine's own list of certificates, which Node reads at its start for 50 ms, says nothing of what is measured.
delete process.env.NODE_EXTRA_CA_CERTS;

/** The peers: how they are called, whose version is shown, and how many times faster scoreline is to be, where that is said. */
const PEERS = {
  multiprocess: { name: 'multiprocessing + ONNX Runtime', of: 'onnxruntime', target: 8 },
  compiled: { name: 'multiprocessing + lleaves', of: 'lleaves', target: 3.5 },
  spark: { name: 'PySpark, mapInArrow', of: 'pyspark', target: 15 },
  ray_data: { name: 'Ray Data', of: 'ray', target: 15 },
  mlflow_udf: { name: 'MLflow, UDF of Spark', of: 'mlflow-skinny' },
};
const MARK = ['<!-- peers: written by npm run bench:peers -->', '<!-- peers: end -->'];
/** What lleaves adds up in float64, ONNX Runtime in float32. */
const MAX_APART = 0.01;

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '4000000' },
    rounds: { type: 'string', default: '3' },
    folder: { type: 'string', default: join(root, 'out/bench') },
    only: { type: 'string', default: Object.keys(PEERS).join(',') },
  },
});
const folder = resolve(options.folder);
const rows = Number(options.rows);
const names = options.only.split(',');
const data = join(folder, 'flights');
const model = join(root, 'fixtures/models/flights.onnx');
const trained = join(folder, 'flights-model');

await mkdir(folder, { recursive: true });
await makeFlights(rows, data);
const python = makePython(folder);
if (names.includes('compiled') && !existsSync(`${trained}.lleaves`))
  execFileSync(
    python,
    [join(root, 'bench/peers/train.py'), join(root, 'fixtures/flights'), trained],
    { stdio: 'inherit' },
  );

const seconds = new Map([['scoreline', []], ...names.map((name) => [name, []])]);
for (let round = 1; round <= Number(options.rounds); round++) {
  for (const name of seconds.keys()) {
    const target = join(folder, `peer-${name}`);
    await rm(target, { recursive: true, force: true });
    seconds.get(name).push(
      await timed(
        ...commandOf(name, {
          python,
          data,
          model: name === 'compiled' ? trained : model,
          target,
        }),
      ),
    );
    console.log(`round ${round}  ${name.padEnd(14)} ${seconds.get(name).at(-1).toFixed(2)} s`);
  }
}
const apart = new Map();
for (const name of names) apart.set(name, await compare(join(folder, `peer-${name}`)));
await report();

/** The seconds from the start of a process to its end. */
function timed(program, args) {
  const started = performance.now();
  return new Promise((done, failed) => {
    const child = spawn(program, args, { env: peerEnv(), stdio: ['ignore', 'ignore', 'pipe'] });
    let said = '';
    child.stderr.on('data', (text) => {
      said += text;
    });
    child.on('error', failed);
    child.on('close', (code) => {
      if (code === 0) done((performance.now() - started) / 1000);
      else failed(new Error(`${args[0]}: ended with ${code}: ${said.slice(-2000)}`));
    });
  });
}

/** The largest difference between what a peer and what scoreline gave for a row. Throws where rows differ. */
async function compare(target) {
  const connection = await (await DuckDBInstance.create(':memory:')).connect();
  const ours = `read_parquet('${folder}/peer-scoreline/current/data/**/*.parquet')`;
  const theirs = `read_parquet('${target}/*.parquet')`;
  const reader = await connection.runAndReadAll(
    `SELECT count(*)::INTEGER AS n, max(abs(o.delay_minutes - t.delay_minutes))::DOUBLE AS apart,
       count(*) FILTER (o.carrier IS DISTINCT FROM t.carrier)::INTEGER AS other,
       (SELECT count(*) FROM ${theirs})::INTEGER AS theirs
     FROM ${ours} o JOIN ${theirs} t USING (flight_id)`,
  );
  const [found] = reader.getRowObjectsJson();
  const { n, apart: most, other } = found;
  if (n !== rows || found.theirs !== rows || other !== 0 || !(most <= MAX_APART))
    throw new Error(`${target}: not the same rows: ${JSON.stringify(found)}`);
  return most;
}

function median(list) {
  return list.toSorted((a, b) => a - b)[list.length >> 1];
}

async function report() {
  const ours = median(seconds.get('scoreline'));
  const freeze = execFileSync(python, ['-m', 'pip', 'freeze'], { encoding: 'utf8' });
  const version = (name) => freeze.match(new RegExp(`^${name}==(.*)$`, 'm'))?.[1] ?? '';
  const range = (list) => `${Math.min(...list).toFixed(1)} to ${Math.max(...list).toFixed(1)}`;
  const line = (name, list, more) => {
    const wall = median(list);
    return `| ${name} | ${wall.toFixed(1)} s (${range(list)}) | ${Math.round(rows / wall).toLocaleString('en')} | ${more} |`;
  };
  const own = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')).version;
  const table = [
    '| | wall, median (range) | rows/s | scoreline is faster by | target | outputs apart by |',
    '|---|---|---|---|---|---|',
    line(`scoreline ${own}`, seconds.get('scoreline'), '– | – | –'),
    ...names.map((name) => {
      const { name: title, of, target } = PEERS[name];
      const times = median(seconds.get(name)) / ours;
      return line(
        `${title} ${version(of)}`,
        seconds.get(name),
        `${times.toFixed(1)} × | ${target === undefined ? '–' : `${target} ×`} | ${apart.get(name).toPrecision(2)}`,
      );
    }),
  ];
  const longest = Math.max(...[...seconds.values()].map(median));
  const chart = [...seconds].map(([name, list]) => {
    const wall = median(list);
    return `${name.padEnd(13)} ${'█'.repeat(Math.max(1, Math.round((50 * wall) / longest)))} ${wall.toFixed(1)} s`;
  });
  const about = `${new Date().toISOString().slice(0, 10)}: ${rows.toLocaleString('en')} rows, ${options.rounds} rounds in turn; ${os.cpus()[0].model}, ${os.availableParallelism()} cores, Node ${process.version}.`;
  const text = [about, '', ...table, '', '```text', ...chart, '```'].join('\n');
  console.log(text);
  const page = join(root, 'docs/performance.md');
  const [before, rest] = readFileSync(page, 'utf8').split(MARK[0]);
  const after = rest?.split(MARK[1])[1];
  if (after === undefined) throw new Error(`${page}: no marks`);
  await writeFile(page, `${before}${MARK[0]}\n\n${text}\n\n${MARK[1]}${after}`);
}
