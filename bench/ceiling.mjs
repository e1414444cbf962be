/**
 * The ceiling: how fast ONNX Runtime alone scores rows on this machine, with nothing around it.
 *
 *     node bench/ceiling.mjs [rows=4000000] [folder=out/bench/flights] [processes=2] [batch=best of 4096, 16384]
 *
 * Each process has one intra-op thread and 131,072 real rows in memory, row-major float32, as the model takes them, and
 * scores them again and again until it has done its share. Start-up, loading the model and the rows, and the search
 * for the better batch size are not counted; what is counted is the time of the slower process.
 */
import { fork } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';

const here = dirname(fileURLToPath(import.meta.url));
const self = fileURLToPath(import.meta.url);

export const MODEL = join(here, '../fixtures/models/flights.onnx');
const BATCHES = [4096, 16_384];
const DISTINCT_ROWS = 131_072;
/** Distinct rows come in blocks of neighbours, from files all over the data: what stands side by side stays so. */
const BLOCK_ROWS = 16_384;

/**
 * Measures the ceiling. The processes wait between rounds: `rounds` is called with a function that runs one and resolves
 * with its seconds, CPU seconds and rows a second; it may be called at any time, other measurements in between.
 */
export async function withCeiling({ rows, folder, processes = 2, batch }, rounds) {
  const children = Array.from({ length: processes }, (_, index) =>
    fork(self, ['--child'], {
      env: { ...process.env, CEILING: JSON.stringify({ index, processes, folder }) },
    }),
  );
  try {
    await Promise.all(children.map((child) => reply(child)));
    const best = batch ?? (await bestBatch(children));
    const share = Math.ceil(rows / processes);
    await rounds({
      batch: best,
      run: async () => {
        const { seconds, cpuSeconds } = await runAll(children, { rows: share, batch: best });
        return { seconds, cpuSeconds, rowsPerSecond: (share * processes) / seconds };
      },
    });
  } finally {
    for (const child of children) child.kill('SIGKILL');
  }
}

/** The better batch size: each in turn, twice, on the distinct rows; the faster of its two tries counts. */
async function bestBatch(children) {
  const seconds = new Map(BATCHES.map((batch) => [batch, Number.POSITIVE_INFINITY]));
  for (let round = 0; round < 2; round++) {
    for (const batch of BATCHES) {
      const tried = await runAll(children, { rows: DISTINCT_ROWS, batch });
      seconds.set(batch, Math.min(seconds.get(batch), tried.seconds));
    }
  }
  return BATCHES.reduce((a, b) => (seconds.get(b) < seconds.get(a) ? b : a));
}

/** Has all processes score `rows` rows each at the same time: the seconds of the slowest, the CPU seconds of all. */
async function runAll(children, order) {
  const answers = children.map((child) => reply(child));
  for (const child of children) child.send(order);
  const done = await Promise.all(answers);
  return {
    seconds: Math.max(...done.map(({ seconds }) => seconds)),
    cpuSeconds: done.reduce((sum, { cpuSeconds }) => sum + cpuSeconds, 0),
  };
}

function reply(child) {
  return new Promise((resolve, reject) => {
    const failed = (code) => reject(new Error(`a process of the ceiling ended with ${code}`));
    child.once('exit', failed);
    child.once('message', (message) => {
      child.off('exit', failed);
      resolve(message);
    });
  });
}

// In a child: -------------------------------------------------------------------------------------------------------

async function serve() {
  const { InferenceSession, Tensor } = await import('onnxruntime-node');
  const { index, processes, folder } = JSON.parse(process.env.CEILING);
  const session = await InferenceSession.create(MODEL, {
    executionProviders: ['cpu'],
    intraOpNumThreads: 1,
    interOpNumThreads: 1,
    executionMode: 'sequential',
    graphOptimizationLevel: 'all',
    logSeverityLevel: 3,
  });
  const features = featuresOfJob();
  const matrix = await loadRows({ folder, features, index, processes });
  const width = features.length;
  const [input] = session.inputNames;
  const run = async (from, to) => {
    const values = matrix.subarray(from * width, to * width);
    await session.run({ [input]: new Tensor('float32', values, [to - from, width]) });
  };
  await run(0, DISTINCT_ROWS);
  process.on('message', async ({ rows, batch }) => {
    const started = performance.now();
    const cpu = process.cpuUsage();
    for (let done = 0; done < rows; ) {
      const from = done % DISTINCT_ROWS;
      const size = Math.min(batch, rows - done, DISTINCT_ROWS - from);
      await run(from, from + size);
      done += size;
    }
    const seconds = (performance.now() - started) / 1000;
    const { user, system } = process.cpuUsage(cpu);
    process.send({ seconds, cpuSeconds: (user + system) / 1e6 });
  });
  process.on('disconnect', () => process.exit(0));
  process.send({ ready: true });
}

/** The features in the order of the benchmark's job. */
function featuresOfJob() {
  const job = readFileSync(join(here, 'flights.yaml'), 'utf8');
  const list = job.slice(job.indexOf('features:'), job.indexOf('output:'));
  return [...list.matchAll(/^ {2}- (\w+)$/gm)].map(([, name]) => name);
}

async function loadRows({ folder, features, index, processes }) {
  const { DuckDBInstance } = await import('@duckdb/node-api');
  const instance = await DuckDBInstance.create(':memory:', { threads: '1' });
  const connection = await instance.connect();
  const files = readdirSync(folder, { recursive: true })
    .filter((name) => name.endsWith('.parquet'))
    .sort();
  const blocks = DISTINCT_ROWS / BLOCK_ROWS;
  const matrix = new Float32Array(DISTINCT_ROWS * features.length);
  let at = 0;
  for (let block = 0; block < blocks; block++) {
    // Each process has blocks of its own, evenly spread over the files.
    const file =
      files[Math.floor(((block * processes + index) * files.length) / (blocks * processes))];
    const columns = features.map((name) => `CAST(${name} AS FLOAT)`).join(', ');
    const reader = await connection.runAndReadAll(
      `SELECT ${columns} FROM read_parquet('${join(folder, file).replaceAll("'", "''")}', hive_partitioning = true) ` +
        `WHERE file_row_number < ${BLOCK_ROWS}`,
    );
    for (const row of reader.getRows()) for (const value of row) matrix[at++] = value ?? Number.NaN;
  }
  // Small data sets may not fill the blocks: what is there is repeated.
  for (let i = at; i < matrix.length; i++) matrix[i] = matrix[i - at];
  connection.closeSync();
  instance.closeSync();
  return matrix;
}

if (process.argv[2] === '--child') {
  await serve();
} else if (process.argv[1] !== undefined && resolve(process.argv[1]) === self) {
  const [rows = '4000000', folder = join(here, '../out/bench/flights'), processes = '2', batch] =
    process.argv.slice(2);
  const options = {
    rows: Number(rows),
    folder: resolve(folder),
    processes: Number(processes),
    batch: batch === undefined ? undefined : Number(batch),
  };
  await withCeiling(options, async (ceiling) => {
    const { seconds, rowsPerSecond } = await ceiling.run();
    console.log(
      `${Math.round(rowsPerSecond).toLocaleString('en-US')} rows/s: ${Number(rows).toLocaleString('en-US')} rows in ` +
        `${seconds.toFixed(2)} s, ${processes} processes x 1 thread, batches of ${ceiling.batch}`,
    );
  });
}
