/**
 * `npm run test:faults`: every attack, not only the share of `.ci/run`; writes what was done and what came of it into
 * docs/reliability.md. Arguments go to vitest (`-t 'full disk'`): then the page is left as it is. FAULTS_SEED is the seed.
 */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { createRequire } from 'node:module';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

const root = fileURLToPath(new URL('../..', import.meta.url));
const require = createRequire(import.meta.url);
const folder = mkdtempSync(join(os.tmpdir(), 'faults-'));
const report = join(folder, 'report.json');
const notes = join(folder, 'notes.jsonl');
writeFileSync(notes, '');
const args = process.argv.slice(2);
const started = performance.now();

const { status } = spawnSync(
  process.execPath,
  [
    join(require.resolve('vitest/package.json'), '../vitest.mjs'),
    ...['run', '--config', 'vitest.faults.config.ts'],
    ...['--reporter=default', '--reporter=json', `--outputFile=${report}`],
    ...args,
  ],
  { cwd: root, stdio: 'inherit', env: { ...process.env, FAULTS: 'all', FAULTS_NOTES: notes } },
);
if (args.length === 0) writePage();
rmSync(folder, { recursive: true });
process.exitCode = status ?? 1;

/** Puts the result in place of the last one. */
function writePage() {
  const page = join(root, 'docs', 'reliability.md');
  const text = readFileSync(page, 'utf8');
  const [before] = text.split('<!-- written by npm run test:faults -->');
  const lines = [about(), '', ...attackTable(), '', ...outcomeTable()];
  writeFileSync(page, `${before}<!-- written by npm run test:faults -->\n\n${lines.join('\n')}\n`);
}

function about() {
  const { version } = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8'));
  const of = (name) => require(`${name}/package.json`).version;
  const said = (command, ...rest) => {
    try {
      return execFileSync(command, rest, { encoding: 'utf8', cwd: root }).split('\n', 1)[0].trim();
    } catch {
      return 'unknown';
    }
  };
  const minutes = Math.round((performance.now() - started) / 60_000);
  return [
    `${new Date().toISOString().slice(0, 10)}, scoreline ${version} at commit ${said('git', 'rev-parse', '--short=10', 'HEAD')}, in ${minutes} minutes.`,
    `Node ${process.version}, DuckDB ${of('@duckdb/node-api')}, onnxruntime-node ${of('onnxruntime-node')}, Linux ${os.release()} (${os.arch()}), ${os.availableParallelism()} cores,`,
    `${said('stat', '-f', '-c', '%T', os.tmpdir())}, ${said('strace', '-V').replace(' -- version', '')}; seed ${process.env.FAULTS_SEED ?? 20130601}.`,
  ].join('\n');
}

/** One row for each group of attacks. */
function attackTable() {
  const groups = new Map();
  for (const { assertionResults } of JSON.parse(readFileSync(report, 'utf8')).testResults) {
    for (const { ancestorTitles, title, status: how } of assertionResults) {
      const name = ancestorTitles[0] ?? title;
      const sums = groups.get(name) ?? { passed: 0, failed: 0, skipped: 0 };
      sums[how === 'passed' || how === 'failed' ? how : 'skipped']++;
      groups.set(name, sums);
    }
  }
  const rows = [...groups].map(
    ([name, { passed, failed, skipped }]) => `| ${name} | ${passed} | ${failed} | ${skipped} |`,
  );
  return ['| attack | as promised | not | skipped |', '|---|---|---|---|', ...rows];
}

/** How the runs under attack ended, and which publication readers saw then. */
function outcomeTable() {
  const counts = new Map();
  for (const line of readFileSync(notes, 'utf8').split('\n')) {
    if (line === '') continue;
    const { attack, outcome } = JSON.parse(line);
    const outcomes = counts.get(attack) ?? new Map();
    outcomes.set(outcome, (outcomes.get(outcome) ?? 0) + 1);
    counts.set(attack, outcomes);
  }
  const rows = [...counts].sort().map(([attack, outcomes]) => {
    const texts = [...outcomes]
      .sort()
      .map(([outcome, n]) => (attack === 'listed' ? outcome : `${n} × ${outcome}`));
    return `| ${attack} | ${texts.join('; ')} |`;
  });
  return ['| attack | how the run ended, and what was published then |', '|---|---|', ...rows];
}
