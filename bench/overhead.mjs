/**
 * What reliability costs: a run that has nothing to do, and what share of a large run goes into hashing, flushing and the store.
 *
 *     node bench/overhead.mjs [--rows 4000000] [--rounds 3] [--folder out/bench]
 *
 * Runs of 12 partitions and of 10,000 files that are up to date, from the start of the process to its end. Then the job of
 * `npm run bench`, into an empty output, with a clock around each call that hashes, flushes or handles files (see
 * overhead-clock.mjs). The share is that of the wall: the mean of what the workers spend, and all of the publication, during which
 * nobody else works. Beside the wall of what is up to date stand the CPU seconds, which other programs on the machine
 * hardly change. Writes <folder>/overhead.json; exits with 1 when a target is missed.
 */
import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { link, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { makeFlights } from './make-flights.mjs';

// A machine's own list of certificates, which Node reads at its start for 50 ms, says nothing of what is measured.
delete process.env.NODE_EXTRA_CA_CERTS;

const TARGETS = { unitsMs: 400, filesMs: 2000, share: 0.03 };
const FILES = 10_000;
/** The kernel counts CPU time in these: USER_HZ, 100 a second on every Linux there is. */
const TICKS = 100;
/** What a file holds is remembered only when it was changed more than two seconds ago. */
const SETTLED_MS = 2100;

const here = dirname(fileURLToPath(import.meta.url));
const bin = join(here, '../bin/scoreline.js');
const job = join(here, 'flights.yaml');
const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '4000000' },
    rounds: { type: 'string', default: '3' },
    folder: { type: 'string', default: join(here, '../out/bench') },
  },
});
const folder = resolve(options.folder);
await mkdir(folder, { recursive: true });
const scratch = await mkdtemp(join(os.tmpdir(), 'overhead-'));
try {
  const units = await upToDate('12 partitions', await twelveUnits(), TARGETS.unitsMs);
  const files = await upToDate('10,000 files', await manyFiles(), TARGETS.filesMs);
  const shares = await costOfSafety();
  const result = { units, files, shares, targets: TARGETS };
  await writeFile(join(folder, 'overhead.json'), `${JSON.stringify(result, undefined, 2)}\n`);
  const share = median(shares.map((round) => round.share));
  if (units.median > TARGETS.unitsMs || files.median > TARGETS.filesMs || share > TARGETS.share)
    process.exitCode = 1;
} finally {
  await rm(scratch, { recursive: true });
}

/** One run; the wall is that from its spawning to its end. */
async function run({ input, output, jobFile = job, node = [], env = {} }) {
  const cpuBefore = childSeconds();
  const started = performance.now();
  const set = ['--set', `input.path=${input}`, '--set', `output.path=${output}`];
  const child = spawn(process.execPath, [...node, bin, 'run', jobFile, '--json', ...set], {
    stdio: ['ignore', 'pipe', 'inherit'],
    env: { ...process.env, ...env },
  });
  let stdout = '';
  child.stdout.setEncoding('utf8').on('data', (text) => {
    stdout += text;
  });
  const code = await new Promise((done) => child.once('close', done));
  const ms = performance.now() - started;
  if (code !== 0) throw new Error(`scoreline ended with ${code}`);
  return { ms, cpuSeconds: childSeconds() - cpuBefore, report: JSON.parse(stdout) };
}

/** The CPU seconds of the processes that this one has started and that are gone, and of those below them. */
function childSeconds() {
  const stat = readFileSync('/proc/self/stat', 'utf8');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS;
}

async function twelveUnits() {
  const input = join(scratch, 'units');
  await makeFlights(336_776, input);
  return { input, jobFile: job };
}

/** The same few flights under 10,000 names. */
async function manyFiles() {
  const input = join(scratch, 'files');
  const small = join(scratch, 'small');
  await makeFlights(1000, small);
  const [month] = (await readdir(small)).filter((name) => name.startsWith('month='));
  const [one] = await readdir(join(small, month));
  for (let i = 0; i < FILES; i++) {
    const unit = join(input, `month=${(i % 2) + 1}`);
    if (i < 2) await mkdir(unit, { recursive: true });
    await link(join(small, month, one), join(unit, `${i}.parquet`));
  }
  // The keys are the same in all of the files.
  const jobFile = join(scratch, 'files.yaml');
  const text = await readFile(job, 'utf8');
  await writeFile(
    jobFile,
    text.replace(/^ +key:.*\n/m, '').replace('../fixtures', join(here, '../fixtures')),
  );
  return { input, jobFile };
}

async function upToDate(what, { input, jobFile }, targetMs) {
  const output = join(scratch, 'scored');
  await rm(output, { recursive: true, force: true });
  await sleep(SETTLED_MS);
  await run({ input, output, jobFile });
  const times = [];
  const cpu = [];
  for (let round = 0; round < 9; round++) {
    const { ms, cpuSeconds, report } = await run({ input, output, jobFile });
    if (report.outcome !== 'unchanged') throw new Error(`${what}: ${report.outcome}`);
    times.push(ms);
    cpu.push(cpuSeconds);
  }
  const result = {
    median: median(times),
    least: Math.min(...times),
    most: Math.max(...times),
    cpuSeconds: median(cpu),
  };
  console.log(
    `up to date, ${what}: ${Math.round(result.median)} ms (${Math.round(result.least)}–${Math.round(result.most)}), CPU ${result.cpuSeconds.toFixed(2)} s; target below ${targetMs} ms`,
  );
  return result;
}

async function costOfSafety() {
  const input = join(folder, 'flights');
  await makeFlights(Number(options.rows), input);
  const rounds = [];
  for (let round = 1; round <= Number(options.rounds); round++) {
    const clocks = await mkdtemp(join(scratch, 'clock-'));
    const output = join(folder, 'scored');
    await rm(output, { recursive: true, force: true });
    const { ms, report } = await run({
      input,
      output,
      node: ['--import', join(here, 'overhead-clock.mjs')],
      env: { OVERHEAD_CLOCK: clocks },
    });
    const processes = await Promise.all(
      (await readdir(clocks)).map(async (name) => JSON.parse(await readFile(join(clocks, name)))),
    );
    const [parent] = processes.filter(({ role }) => role === 'parent');
    const workers = processes.filter(({ role }) => role === 'worker');
    const mean = (of) => workers.reduce((sum, one) => sum + of(one), 0) / workers.length;
    const { publish } = report.times;
    const share = (publish + mean(({ spent }) => spent)) / ms;
    rounds.push({ ms, share, publish, parent, workers });
    const kinds = ['hash', 'flush', 'store'].map(
      (kind) => `${kind} ${Math.round(mean(({ sums }) => sums[kind]))}`,
    );
    console.log(
      `round ${round}: ${(ms / 1000).toFixed(1)} s, of it ${(100 * share).toFixed(2)} % hashing, flushing and the store: ms of a worker ${kinds.join(', ')}, of the publication ${Math.round(publish)}`,
    );
  }
  console.log(
    `median ${(100 * median(rounds.map(({ share }) => share))).toFixed(2)} %; target below ${100 * TARGETS.share} %`,
  );
  return rounds;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  return sorted[sorted.length >> 1];
}
