/**
 * The benchmark: scoreline from process start to publication, beside what ONNX Runtime alone can do on this machine.
 *
 *     node bench/run.mjs [--rows 4000000] [--rounds 3] [--folder out/bench] [--layout months|million|single]
 *     node bench/run.mjs --memory 4000000,20000000 [--layout …]
 *
 * `--layout` says how the rows lie in files: see bench/make-flights.mjs.
 *
 * Rounds of scoreline, once with each engine, and of the ceiling take turns, so that all meet the same machine; each of scoreline
 * is compared with the two of the ceiling around it. Beside the wall stand the CPU seconds, which other programs on the machine hardly change, and what share of
 * the machine those others took: a round with more than 5 % of that is marked, for its wall says little. A last round
 * of scoreline that is not timed samples the memory of its processes: adding up the pages of each (PSS) every 20 ms costs
 * time that the rows should not pay for. `--memory` runs that round alone, for several sizes. Writes <folder>/result.json
 * or memory.json; exits with 1 when a target is missed.
 */
import { spawn } from 'node:child_process';
import { readdirSync, readFileSync } from 'node:fs';
import { mkdir, rm, writeFile } from 'node:fs/promises';
import os from 'node:os';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';
import { withCeiling } from './ceiling.mjs';
import { makeFlights } from './make-flights.mjs';

// A machine's own list of certificates, which Node reads at its start for 50 ms, says nothing of what is measured.
delete process.env.NODE_EXTRA_CA_CERTS;

const TARGETS = { ratio: 0.85, peakBytes: 1.2e9, memorySpread: 0.1 };
const SAMPLE_MS = 20;
const MAX_OTHERS = 0.05;
/** What the job scores with: the engine that a run takes unless it is told otherwise, and the one that the ceiling has. */
const ENGINES = ['auto', 'onnxruntime'];
/** The kernel counts CPU time in these: USER_HZ, 100 a second on every Linux there is. */
const TICKS = 100;

const here = dirname(fileURLToPath(import.meta.url));
const bin = join(here, '../bin/scoreline.js');
const job = join(here, 'flights.yaml');

const { values: options } = parseArgs({
  options: {
    rows: { type: 'string', default: '4000000' },
    rounds: { type: 'string', default: '3' },
    folder: { type: 'string', default: join(here, '../out/bench') },
    memory: { type: 'string' },
    layout: { type: 'string', default: 'months' },
  },
});
const folder = resolve(options.folder);
await mkdir(folder, { recursive: true });
const missed = options.memory === undefined ? await speed() : await memory();
for (const target of missed) console.log(`missed: ${target}`);
process.exitCode = missed.length > 0 ? 1 : 0;

/** Rounds of scoreline, with either engine, and of the ceiling in turn, then one that samples memory. */
async function speed() {
  const rows = count(options.rows);
  const rounds = count(options.rounds);
  const data = await dataOf(rows);
  const workers = os.availableParallelism();
  console.log(`${machine()}; ${describe(data)}\n`);
  console.log(
    'round      engine       scoreline                     ceiling                       ratio   CPU ratio',
  );
  const results = [];
  let batch;
  await withCeiling({ rows, folder: data.folder, processes: workers }, async (ceiling) => {
    batch = ceiling.batch;
    let before = await measured(() => ceiling.run());
    for (let round = 1; round <= rounds; round++) {
      for (const engine of ENGINES) {
        const run = await measured(() => scoreline(data, { engine }));
        const after = await measured(() => ceiling.run());
        const result = { engine, scoreline: run, ceiling: after, ...compare(run, before, after) };
        results.push(result);
        console.log(line(String(round), result));
        before = after;
      }
    }
  });
  const middles = ENGINES.map((engine) => {
    const own = results.filter((result) => result.engine === engine);
    return {
      engine,
      scoreline: middleOf(own.map(({ scoreline: run }) => run)),
      ceiling: middleOf(own.map(({ ceiling }) => ceiling)),
      ratio: median(own.map(({ ratio }) => ratio)),
      cpuRatio: median(own.map(({ cpuRatio }) => cpuRatio)),
    };
  });
  for (const middle of middles)
    console.log(`${line('median', middle)}   (target ${TARGETS.ratio})`);
  if (results.some(({ disturbed }) => disturbed))
    console.log(
      '* other programs took more than 5 % of the machine: the wall says little, the CPU ratio more',
    );
  console.log(`\nceiling    ${workers} processes x 1 thread, batches of ${batch}`);
  const peaks = [];
  for (const { engine, scoreline: run } of middles) {
    console.log(`\n${engine}`);
    for (const text of whereLines(run.report, run.seconds)) console.log(text);
    const { memory: peak } = await scoreline(data, { engine, sample: true });
    peaks.push(peak);
    console.log(`memory     ${memoryText(peak)}   (target below ${megabytes(TARGETS.peakBytes)})`);
  }
  await save('result.json', {
    machine: machine(),
    data,
    batch,
    targets: TARGETS,
    results,
    middles,
    memory: peaks,
  });
  return [
    ...middles
      .filter(({ ratio }) => ratio < TARGETS.ratio)
      .map(({ engine, ratio }) => `ratio of ${engine} ${ratio.toFixed(3)} < ${TARGETS.ratio}`),
    ...peaks.flatMap(peakMissed),
  ];
}

/** A round of scoreline beside the rounds of the ceiling before and after it. */
function compare(run, before, after) {
  const mean = (of) => (of(before) + of(after)) / 2;
  return {
    ratio: mean(({ seconds }) => seconds) / run.seconds,
    cpuRatio: mean(({ cpuSeconds }) => cpuSeconds) / run.cpuSeconds,
    disturbed: [run, before, after].some(({ others }) => others > MAX_OTHERS),
  };
}

function line(name, { engine, scoreline: run, ceiling, ratio, cpuRatio, disturbed }) {
  const start = `${name}${disturbed ? ' *' : ''}`.padEnd(9);
  return `${start}  ${engine.padEnd(11)}  ${speedText(run)}  ${speedText(ceiling)}  ${ratio.toFixed(3)}   ${cpuRatio.toFixed(3)}`;
}

/** Measures something and adds `others`: the share of the machine that was busy, but not with it. */
async function measured(measure) {
  const before = busySeconds();
  const started = performance.now();
  const result = await measure();
  const capacity = ((performance.now() - started) / 1000) * os.cpus().length;
  return { ...result, others: Math.max(0, busySeconds() - before - result.cpuSeconds) / capacity };
}

/** The CPU seconds that the machine has spent on anything, and those that its host kept for others. */
function busySeconds() {
  const [, ...ticks] = readFileSync('/proc/stat', 'utf8')
    .split('\n', 1)[0]
    .split(/\s+/)
    .map(Number);
  const [user, nice, system, , , irq, softirq, steal] = ticks;
  return (user + nice + system + irq + softirq + steal) / TICKS;
}

/** The CPU seconds of the processes that this one has started and that are gone, and of those below them. */
function childSeconds() {
  const stat = readProc('self', 'stat');
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  return (Number(fields[13]) + Number(fields[14])) / TICKS;
}

/** Peak memory for several sizes of input. */
async function memory() {
  const sizes = options.memory.split(',').map(count);
  const results = [];
  console.log(machine());
  for (const rows of sizes) {
    const data = await dataOf(rows);
    const run = await scoreline(data, { engine: 'auto', sample: true });
    results.push({ data, memory: run.memory, seconds: run.seconds });
    console.log(
      `${rows.toLocaleString('en-US').padStart(11)} rows: ${memoryText(run.memory)}, ${run.seconds.toFixed(1)} s`,
    );
  }
  const peaks = results.map(({ memory: { pss } }) => pss);
  const spread = Math.max(...peaks) / Math.min(...peaks) - 1;
  console.log(
    `spread     ${(100 * spread).toFixed(1)} %   (target within ${100 * TARGETS.memorySpread} %)`,
  );
  await save('memory.json', { machine: machine(), targets: TARGETS, results, spread });
  return [
    ...(spread > TARGETS.memorySpread
      ? [`peak memory differs by ${(100 * spread).toFixed(1)} %`]
      : []),
    ...results.flatMap((result) => peakMissed(result.memory)),
  ];
}

async function dataOf(rows) {
  const { layout } = options;
  // Layouts and sizes other than the usual ones have folders of their own, so that these need not be made again.
  const name = [
    'flights',
    ...(rows === count(options.rows) ? [] : [rows]),
    ...(layout === 'months' ? [] : [layout]),
  ].join('-');
  const at = join(folder, name);
  const size = await makeFlights(rows, at, layout);
  // What was written a moment ago is read from the disk's cache, as on every later round.
  return { folder: at, rows, files: size.files, rowGroups: size.rowGroups, bytes: size.bytes };
}

/** One run into a fresh output; the wall is that from its spawning to its end. */
async function scoreline(data, { engine, sample = false }) {
  const output = join(folder, 'scored');
  await rm(output, { recursive: true, force: true });
  const args = [
    'run',
    job,
    '--json',
    '--set',
    `input.path=${data.folder}`,
    '--set',
    `output.path=${output}`,
    '--set',
    `run.engine=${engine}`,
  ];
  const cpuBefore = childSeconds();
  const started = performance.now();
  const child = spawn(process.execPath, [bin, ...args], { stdio: ['ignore', 'pipe', 'pipe'] });
  const sampler = sample ? sampleMemory(child.pid) : undefined;
  const texts = { stdout: '', stderr: '' };
  for (const stream of ['stdout', 'stderr']) {
    child[stream].setEncoding('utf8').on('data', (text) => {
      texts[stream] += text;
    });
  }
  const code = await new Promise((done, failed) => {
    child.once('error', failed);
    child.once('close', done);
  });
  const seconds = (performance.now() - started) / 1000;
  const cpuSeconds = childSeconds() - cpuBefore;
  const peak = sampler?.stop();
  if (code !== 0) throw new Error(`scoreline ended with ${code}: ${texts.stderr}`);
  const report = JSON.parse(texts.stdout);
  if (report.outcome !== 'published' || report.ledger.scored !== data.rows) {
    throw new Error(`not all rows were scored: ${JSON.stringify(report.ledger)}`);
  }
  const result = { seconds, cpuSeconds, rowsPerSecond: data.rows / seconds, report };
  return peak === undefined
    ? result
    : { ...result, memory: { ...peak, reported: report.peakBytes } };
}

/** Samples the memory of a process and those below it: the highest sums of PSS (shared pages once) and of RSS. */
function sampleMemory(pid) {
  const peak = { pss: 0, rss: 0, processes: 0, samples: 0 };
  let family = [pid];
  const look = () => {
    // New processes come only at the start and when one dies: looking for them every tenth time will do.
    if (peak.samples % 10 === 0) family = withDescendants(pid);
    let pss = 0;
    let rss = 0;
    for (const member of family) {
      const rollup = readProc(member, 'smaps_rollup');
      pss += 1024 * Number(rollup.match(/^Pss:\s+(\d+)/m)?.[1] ?? 0);
      rss += 1024 * Number(rollup.match(/^Rss:\s+(\d+)/m)?.[1] ?? 0);
    }
    peak.samples++;
    peak.pss = Math.max(peak.pss, pss);
    peak.rss = Math.max(peak.rss, rss);
    peak.processes = Math.max(peak.processes, family.length);
  };
  const timer = setInterval(look, SAMPLE_MS);
  return {
    stop: () => {
      clearInterval(timer);
      return peak;
    },
  };
}

function withDescendants(pid) {
  const parents = new Map();
  for (const name of readdirSync('/proc')) {
    if (!/^\d+$/.test(name)) continue;
    // The program's name is in parentheses and may hold anything: fields are counted after it.
    const stat = readProc(name, 'stat');
    parents.set(Number(name), Number(stat.slice(stat.lastIndexOf(')') + 2).split(' ')[1]));
  }
  const family = [pid];
  for (const member of family) {
    for (const [child, parent] of parents) if (parent === member) family.push(child);
  }
  return family;
}

/** A file of a process; empty when the process is gone. */
function readProc(pid, name) {
  try {
    return readFileSync(`/proc/${pid}/${name}`, 'utf8');
  } catch {
    return '';
  }
}

/** Where the time went: of the wall, and of the time of all workers. */
function whereLines({ times, workers }, seconds) {
  const outside = 1000 * seconds - times.wall;
  const during = times.wall - times.describe - times.judge - times.publish;
  const work = times.read + times.prepare + times.infer + times.write;
  const idle = workers * during - work;
  const share = (ms) => `${Math.round(ms)} ms (${((100 * ms) / (workers * during)).toFixed(1)} %)`;
  return [
    `wall       ${Math.round(1000 * seconds)} ms = start and end ${Math.round(outside)} + describe ${Math.round(times.describe)} + ` +
      `score ${Math.round(during)} + judge ${Math.round(times.judge)} + publish ${Math.round(times.publish)}`,
    `score      ${workers} workers: infer ${share(times.infer)}, read ${share(times.read)}, prepare ${share(times.prepare)}, ` +
      `write ${share(times.write)}, other and idle ${share(idle)}`,
  ];
}

function peakMissed({ pss }) {
  return pss < TARGETS.peakBytes ? [] : [`peak memory ${megabytes(pss)}`];
}

function memoryText({ pss, rss, reported, samples }) {
  return `peak ${megabytes(pss)} PSS, ${megabytes(rss)} RSS (${samples} samples); scoreline itself says ${megabytes(reported)}`;
}

function speedText({ seconds, cpuSeconds, rowsPerSecond }) {
  const rate = Math.round(rowsPerSecond).toLocaleString('en-US').padStart(7);
  return `${rate}/s ${seconds.toFixed(2).padStart(5)} s, CPU ${cpuSeconds.toFixed(2).padStart(5)}`;
}

function machine() {
  const [cpu] = os.cpus();
  return `${cpu?.model ?? os.arch()}, ${os.availableParallelism()} cores, ${Math.round(os.totalmem() / 2 ** 30)} GiB, Node ${process.version}`;
}

function describe({ rows, files, rowGroups, bytes }) {
  return `${rows.toLocaleString('en-US')} rows in ${files} files, ${rowGroups} row groups, ${megabytes(bytes)}`;
}

function megabytes(bytes) {
  return `${Math.round(bytes / 1e6).toLocaleString('en-US')} MB`;
}

function median(values) {
  const sorted = [...values].sort((a, b) => a - b);
  const half = sorted.length >> 1;
  return sorted.length % 2 === 1 ? sorted[half] : (sorted[half - 1] + sorted[half]) / 2;
}

/** The run whose time is the median (the faster of the two in the middle). */
function middleOf(runs) {
  return [...runs].sort((a, b) => a.seconds - b.seconds)[(runs.length - 1) >> 1];
}

function count(text) {
  const value = Number(text);
  if (!Number.isSafeInteger(value) || value < 1) throw new Error(`${text}: not a count`);
  return value;
}

async function save(name, result) {
  await writeFile(join(folder, name), `${JSON.stringify(result, undefined, 2)}\n`);
}
