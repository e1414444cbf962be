/**
 * The engine for tree ensembles beside ONNX Runtime, each on one thread, in turns: rows in a second of CPU time, from columns in memory
 * to scores in memory. CPU time, because whatever else runs then counts for less. Every round also compares the bits of both.
 *
 *     npm run -s build && node bench/trees.mjs [--rounds 7]
 */
import { createRequire } from 'node:module';
import { cpus } from 'node:os';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { compileTrees, startUnit } from '../dist/trees/engine.js';
import { madeUpColumns } from '../dist/trees/made-up.js';

const ort = createRequire(import.meta.url)('onnxruntime-node');

const { values: options } = parseArgs({ options: { rounds: { type: 'string', default: '7' } } });
const MODELS = ['flights', 'flights-binary'];
/** What a run gives ONNX Runtime at a time, and the trees: they take what a task holds. */
const ROWS = 16_384;
const TREES_ROWS = 8 * ROWS;

/** Rows that reach many leaves: each feature takes the model's own thresholds and the floats beside them, 2 % are missing. */
function drawColumns(program, width) {
  const drawn = madeUpColumns(program);
  return Array.from({ length: width }, (_, feature) => {
    const values = drawn[program.features.indexOf(feature)] ?? [0];
    return Float32Array.from({ length: TREES_ROWS }, () =>
      Math.random() < 0.02 ? Number.NaN : values[Math.floor(Math.random() * values.length)],
    );
  });
}

function feedOf(columns) {
  const matrix = new Float32Array(ROWS * columns.length);
  for (const [feature, column] of columns.entries()) {
    for (let row = 0; row < ROWS; row++) matrix[row * columns.length + feature] = column[row];
  }
  return new ort.Tensor('float32', matrix, [ROWS, columns.length]);
}

async function sessionOf(path) {
  return ort.InferenceSession.create(path, { intraOpNumThreads: 1, interOpNumThreads: 1 });
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];
const thousands = (values) => {
  const of = (value) => Math.round(value / 1000).toLocaleString('en-US');
  return `${of(median(values))} (${of(Math.min(...values))}–${of(Math.max(...values))})`;
};

/** Milliseconds of CPU time, of all threads. */
function cpuMs() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1000;
}

async function compare(name) {
  const path = fileURLToPath(new URL(`../fixtures/models/${name}.onnx`, import.meta.url));
  const started = cpuMs();
  const model = compileTrees(path);
  if (typeof model === 'string') throw new Error(`${name}: ${model}`);
  const compileMs = cpuMs() - started;
  const trees = startUnit(model.units[0]);
  const { program, features, outputs } = trees.unit;
  const session = await sessionOf(path);
  const width = session.inputMetadata[0].shape[1];
  const columns = drawColumns(program, width);
  const [value] = [...outputs].find(([, { kind }]) => kind === 'scores');
  const [wanted] = [...model.outputs].find(([, each]) => each === value);
  const feed = { [features.columns[0].value]: feedOf(columns) };
  const asked = columns.map((values) => ({ values, stride: 1, offset: 0 }));
  const scores = new Float32Array(TREES_ROWS * program.finish.width);
  const request = { rows: TREES_ROWS, wanted: [value], allocate: () => scores };
  const figures = { runtime: [], trees: [], ratio: [] };
  for (let round = -1; round < Number(options.rounds); round++) {
    const first = cpuMs();
    const expected = (await session.run(feed, [wanted]))[wanted].data;
    const second = cpuMs();
    trees.score((feature) => asked[feature], request);
    const third = cpuMs();
    for (let i = 0; i < expected.length; i++) {
      if (!Object.is(expected[i], scores[i])) throw new Error(`${name}: value ${i} differs`);
    }
    if (round < 0) continue;
    figures.runtime.push((1000 * ROWS) / (second - first));
    figures.trees.push((1000 * TREES_ROWS) / (third - second));
    figures.ratio.push(figures.trees.at(-1) / figures.runtime.at(-1));
  }
  const { trees: count, leaves } = model;
  const ratio = `${median(figures.ratio).toFixed(1)} (${Math.min(...figures.ratio).toFixed(1)}–${Math.max(...figures.ratio).toFixed(1)})`;
  return [
    name,
    `${count} × ${leaves / count}`,
    thousands(figures.runtime),
    thousands(figures.trees),
    ratio,
    `${compileMs.toFixed(0)}`,
  ];
}

console.log(`${cpus()[0].model}, Node ${process.versions.node}, ${options.rounds} rounds\n`);
console.log(
  '| model | trees × leaves | ONNX Runtime, 1,000 rows/CPU s | trees, 1,000 rows/CPU s | ratio | ms to compile |',
);
console.log('|---|---|---|---|---|---|');
for (const name of MODELS) console.log(`| ${(await compare(name)).join(' | ')} |`);
