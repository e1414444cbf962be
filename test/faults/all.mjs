/**
 * `npm run test:faults`: every attack, not only the share of `.ci/run`; writes what was done and what came of it into
 * docs/reliability.md, a section for each suite. Arguments are names of suites (`kills together`): then only they run, and
 * the other sections stay as they are. `--from FOLDER` takes the report.json and notes.jsonl of a run of
 * commit `--commit ID` instead of running. FAULTS_SEED is the seed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import { basename, join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { parseArgs } from 'node:util';

/** The suites, in the order of the page, and what their notes are about. */
const SUITES = {
  steps: /^steps listed|^kill at a step, /,
  acts: /^kill at a step of an act/,
  checks: /^steps of checks|^kill at a step of a check/,
  kills: /^kill of/,
  together: /^four at once/,
  syscalls: /^system calls|^fault in/,
  machine: /^(full disk|read-only|limit of|vanished|unreadable)/,
  damage: /^(half of|the cache)/,
  fuzz: /^a file that is read back/,
};

/** What stands before the results in the page. */
const MARK = '<!-- written by npm run test:faults -->';

const root = fileURLToPath(new URL('../..', import.meta.url));
const page = join(root, 'docs', 'reliability.md');
const require = createRequire(import.meta.url);
const { values: options, positionals } = parseArgs({
  allowPositionals: true,
  options: { from: { type: 'string' }, commit: { type: 'string' } },
});
for (const name of positionals.length > 0 ? positionals : Object.keys(SUITES)) {
  if (!(name in SUITES)) throw new Error(`${name}: no suite; they are ${Object.keys(SUITES)}`);
  if (options.from !== undefined) write(name, options.from);
  else runSuite(name);
}

function runSuite(name) {
  const folder = mkdtempSync(join(os.tmpdir(), 'faults-'));
  const notes = join(folder, 'notes.jsonl');
  writeFileSync(notes, '');
  const { status } = spawnSync(
    process.execPath,
    [
      join(require.resolve('vitest/package.json'), '../vitest.mjs'),
      ...['run', '--config', 'vitest.faults.config.ts', `test/faults/${name}.test.ts`],
      ...['--reporter=default', '--reporter=json', `--outputFile=${join(folder, 'report.json')}`],
    ],
    { cwd: root, stdio: 'inherit', env: { ...process.env, FAULTS: 'all', FAULTS_NOTES: notes } },
  );
  write(name, folder);
  rmSync(folder, { recursive: true });
  if (status !== 0) process.exitCode = 1;
}

/** Puts the result of a suite in place of its last one. */
function write(name, folder) {
  const { testResults } = JSON.parse(readFileSync(join(folder, 'report.json'), 'utf8'));
  const result = testResults.find((one) => basename(one.name) === `${name}.test.ts`);
  if (result === undefined) throw new Error(`${name}: no result`);
  const notes = readFileSync(join(folder, 'notes.jsonl'), 'utf8').split('\n').filter(Boolean);
  const about = notes
    .map((line) => JSON.parse(line))
    .filter(({ attack }) => SUITES[name].test(attack));
  const section = [
    `### ${name}`,
    '',
    versions(result),
    '',
    ...groupTable(result),
    '',
    ...outcomeTable(about),
  ];
  const [before, after = ''] = readFileSync(page, 'utf8').split(MARK);
  const others = new Map(
    after.split(/^(?=### )/m).map((text) => [text.match(/^### (\w+)/)?.[1], text]),
  );
  others.set(name, `${section.join('\n')}\n`);
  const texts = Object.keys(SUITES).flatMap((suite) => others.get(suite)?.trim() ?? []);
  writeFileSync(page, `${before}${MARK}\n\n${texts.join('\n\n')}\n`);
}

function versions({ startTime, endTime }) {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const of = (name) => require(`${name}/package.json`).version;
  const said = (command, ...args) => {
    try {
      return execFileSync(command, args, { encoding: 'utf8', cwd: root }).split('\n', 1)[0].trim();
    } catch {
      return 'unknown';
    }
  };
  const commit = options.commit ?? said('git', 'rev-parse', '--short=10', 'HEAD');
  return [
    `${new Date(startTime).toISOString().slice(0, 10)}, ${Math.round((endTime - startTime) / 60_000)} minutes; scoreline ${version} at commit ${commit}, Node ${process.version},`,
    `DuckDB ${of('@duckdb/node-api')}, onnxruntime-node ${of('onnxruntime-node')}; Linux ${os.release().split('-')[0]} ${os.arch()}, ${os.availableParallelism()} cores, ${said('stat', '-f', '-c', '%T', os.tmpdir())},`,
    `${said('strace', '-V').replace(' -- version', '')}; seed ${process.env.FAULTS_SEED ?? 20130601}.`,
  ].join(' ');
}

/** One row for each group of attacks. */
function groupTable({ assertionResults }) {
  const groups = new Map();
  for (const { ancestorTitles, title, status } of assertionResults) {
    const name = ancestorTitles[0] ?? title;
    const sums = groups.get(name) ?? { passed: 0, failed: 0, skipped: 0 };
    sums[status === 'passed' || status === 'failed' ? status : 'skipped']++;
    groups.set(name, sums);
  }
  const rows = [...groups].map(
    ([name, { passed, failed, skipped }]) => `| ${name} | ${passed} | ${failed} | ${skipped} |`,
  );
  return ['| attack | as promised | not | skipped |', '|---|---|---|---|', ...rows];
}

/** How the runs under attack ended, and which publication readers saw then. */
function outcomeTable(notes) {
  const counts = new Map();
  for (const { attack, outcome } of notes) {
    const outcomes = counts.get(attack) ?? new Map();
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    counts.set(attack, outcomes);
  }
  const rows = [...counts].sort().map(([attack, outcomes]) => {
    const texts = [...outcomes]
      .sort()
      .map(([outcome, n]) => (n === 1 ? outcome : `${outcome}: ${n}`));
    return `| ${attack} | ${texts.join('; ')} |`;
  });
  return ['| attack | how the run ended, and what was published then |', '|---|---|', ...rows];
}
