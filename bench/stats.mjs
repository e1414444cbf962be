/**
 * What the statistics of a value cost, in CPU time: the columns of a task of 122,880 rows, again and again, beside a plain
 * sum of the same values in the same run.
 *
 *     npm run -s build && node bench/stats.mjs
 */
import { NumericBuilder } from '../dist/stats/numeric-builder.js';

const ROWS = 122_880;
const BATCH = 16_384;
const ROUNDS = 7;

const COLUMNS = {
  'a constant': () => 7,
  'one of 24': () => Math.floor(Math.random() * 24),
  'one of 1,100': () => Math.floor(Math.random() * 1100),
  'one of 420, 2 % missing': () =>
    Math.random() < 0.02 ? Number.NaN : Math.floor(Math.random() * 420),
  continuous: () => Math.random() * 300 - 30,
  'continuous, wide': () => Math.exp(Math.random() * 20 - 10),
};

function sum(values) {
  let total = 0;
  for (let i = 0; i < values.length; i++) total += values[i];
  return total;
}

function count(values, kind) {
  const builder = new NumericBuilder(kind);
  for (let start = 0; start < ROWS; start += BATCH) {
    const batch = values.subarray(start, start + BATCH);
    builder.add(batch, { rows: batch.length });
  }
  return builder.finish();
}

/** CPU nanoseconds a value. */
function cost(work) {
  const before = process.cpuUsage();
  for (let i = 0; i < 8; i++) work();
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / (8 * ROWS);
}

const median = (values) => values.toSorted((a, b) => a - b)[values.length >> 1];

for (const [kind, array] of [
  ['float32', Float32Array],
  ['other', Float64Array],
]) {
  const columns = Object.entries(COLUMNS).map(([name, draw]) => ({
    name,
    values: array.from({ length: ROWS }, draw),
    sums: [],
    counts: [],
  }));
  for (let round = -1; round < ROUNDS; round++) {
    for (const { values, sums, counts } of columns) {
      const figures = [cost(() => sum(values)), cost(() => count(values, kind))];
      // The first round warms up.
      if (round < 0) continue;
      sums.push(figures[0]);
      counts.push(figures[1]);
    }
  }
  for (const { name, sums, counts } of columns) {
    console.log(
      `${array.name.padEnd(13)} ${name.padEnd(25)} statistics ${median(counts).toFixed(1)} ns a value; a sum ${median(sums).toFixed(1)} ns`,
    );
  }
}
