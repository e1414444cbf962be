/** Which file may import which: the layout of `src/`, held by a test. */
import { readdirSync, readFileSync } from 'node:fs';
import { join, posix } from 'node:path';
import { describe, expect, test } from 'vitest';
import { ROOT } from './scoreline.js';

/** The reading order of `src/`: a file imports only files above it. To add a file is to choose its place here. */
const ORDER = `
  base/errors.ts
  base/regular-file.ts
  base/grouped.ts
  base/hash.ts
  base/files.ts
  base/zstd.ts
  base/crc32.ts
  base/decompress.ts
  base/thrift.ts
  base/machine.ts
  base/watch-report.ts
  base/identity.ts
  base/locale.ts
  base/elements.ts
  base/float16.ts
  base/duckdb.ts
  base/columns.ts
  base/protobuf.ts
  base/onnx-random.ts
  base/onnx-file.ts
  base/onnx-graph.ts
  base/onnx-part.ts
  base/onnx-attribute.ts
  base/onnx-tensor.ts
  base/onnx-rewrite.ts
  base/onnx.ts

  plan/job-yaml.ts
  plan/schema-parts.ts
  plan/gate-schema.ts
  plan/input-schema.ts
  plan/job-schema.ts
  plan/job-json-schema.ts
  plan/csv.ts
  plan/job.ts
  plan/expression-size.ts
  plan/expressions.ts
  plan/selection.ts
  plan/globs.ts
  plan/partition.ts
  plan/walk.ts
  plan/find.ts
  plan/twins.ts
  plan/other-days.ts
  plan/dataset.ts
  plan/predictions.ts
  plan/signature.ts
  plan/null-columns.ts
  plan/proposal.ts
  plan/date-template.ts
  plan/draft.ts
  plan/draft-text.ts
  plan/plan.ts
  plan/engine.ts
  plan/ledger.ts
  plan/manifest.ts
  plan/fixture.ts

  stats/buckets.ts
  stats/moments.ts
  stats/numeric.ts
  stats/counter.ts
  stats/running.ts
  stats/numeric-builder.ts
  stats/category.ts
  stats/column.ts
  stats/varints.ts
  stats/encode.ts
  stats/parse.ts
  stats/significance.ts
  stats/bins.ts
  stats/distances.ts
  stats/histogram.ts
  stats/drift.ts
  stats/baseline.ts
  stats/history.ts
  stats/gate-settings.ts
  stats/judge.ts
  stats/gates.ts
  stats/gate-line.ts
  stats/flips.ts
  stats/tolerance.ts
  stats/checked.ts

  explain/random.ts
  explain/sample.ts
  explain/sample-file.ts
  explain/pairs.ts
  explain/targets.ts
  explain/crossover.ts
  explain/shapley.ts
  explain/players.ts
  explain/where.ts
  explain/nearest.ts
  explain/features.ts
  explain/explain.ts
  explain/sentence.ts

  report/report.ts
  report/next-steps.ts
  report/status.ts
  report/explanation-schema.ts
  report/explanation.ts
  report/quality-schema.ts
  report/quality.ts
  report/metrics.ts
  report/comparison.ts
  report/html.ts
  report/words.ts
  report/check.ts
  report/check-ci.ts
  report/style.ts
  report/charts.ts
  report/page-columns.ts
  report/page-judged.ts
  report/page-run.ts
  report/page-why.ts
  report/page.ts
  report/check-page.ts
  report/trend.ts

  trees/floats.ts
  trees/ensemble.ts
  trees/ensemble5.ts
  trees/conditions.ts
  trees/shapes.ts
  trees/buckets.ts
  trees/finish.ts
  trees/program.ts
  trees/kernel.ts
  trees/views.ts
  trees/cut.ts
  trees/merge.ts
  trees/fill.ts
  trees/labels.ts
  trees/engine.ts
  trees/made-up.ts
  trees/exp-probe.ts

  worker/protocol.ts
  worker/quarantine.ts
  worker/text-cast.ts
  worker/read.ts
  worker/open-sizes.ts
  worker/casts.ts
  worker/features.ts
  worker/trees-load.ts
  worker/model-run.ts
  worker/trees.ts
  worker/bisect.ts
  worker/infer.ts
  worker/trial.ts
  worker/parquet-schema.ts
  worker/parquet-footer.ts
  worker/parquet-levels.ts
  worker/parquet-pages.ts
  worker/expression.ts
  worker/describe.ts
  worker/csv-header.ts
  worker/csv-scan.ts
  worker/beside.ts
  worker/csv.ts
  worker/inspect-csv.ts
  worker/inspect.ts
  worker/score-table.ts
  worker/part.ts
  worker/statistics.ts
  worker/sample.ts
  worker/scoring.ts
  worker/score-task.ts
  worker/trees-check.ts
  worker/probe.ts
  worker/flips.ts
  worker/explain.ts
  worker/compare.ts
  worker/check-columns.ts
  worker/check.ts
  worker/disturb.ts
  worker/watchdog.ts
  worker/main.ts

  run/marker.ts
  run/store.ts
  run/scratch.ts
  run/model-store.ts
  run/chain.ts
  run/held.ts
  run/overridden.ts
  run/damage-marks.ts
  run/snapshot.ts
  run/mend.ts
  run/kept-jobs.ts
  run/owner.ts
  run/free-output.ts
  run/run-page.ts
  run/unrecorded.ts
  run/history.ts
  run/chain-damage.ts
  run/staged.ts
  run/revert.ts
  run/checker.ts
  run/store-damage.ts
  run/snapshot-damage.ts
  run/verify.ts
  run/gc.ts
  run/worker-died.ts
  run/pool.ts
  run/workers.ts
  run/description-cache.ts
  run/describe.ts
  run/expression.ts
  run/gate-columns.ts
  run/kept-columns.ts
  run/prepare.ts
  run/statistics.ts
  run/baseline.ts
  run/baseline-file.ts
  run/history-values.ts
  run/flips.ts
  run/explain.ts
  run/row-losses.ts
  run/gate-report.ts
  run/gate.ts
  run/published-columns.ts
  run/publish-run.ts
  run/vanished.ts
  run/audit.ts
  run/attempt.ts
  run/engine.ts
  run/converter.ts
  run/score.ts
  run/kept-quarantine.ts
  run/run-log.ts
  run/run-report.ts
  run/run.ts
  run/metrics.ts
  run/rescore.ts
  run/page.ts
  run/status.ts
  run/trend.ts
  run/compare.ts
  run/fixture-file.ts
  run/check-score.ts
  run/check-variants.ts
  run/check.ts
  run/check-files.ts
  run/baseline-from.ts
  run/plan-job.ts
  run/inspect.ts
  run/survey.ts
  run/init.ts

  index.ts

  cli/table.ts
  cli/progress.ts
  cli/terminal.ts
  cli/options.ts
  cli/ask.ts
  cli/with-output.ts
  cli/with-run.ts
  cli/run-and-report.ts
  cli/commands/baseline.ts
  cli/examples.ts
  cli/help.ts
  cli/completion-scripts.ts
  cli/commands/completion.ts
  cli/commands/compare.ts
  cli/commands/check.ts
  cli/commands/current.ts
  cli/commands/doctor.ts
  cli/commands/explain-exit.ts
  cli/commands/gc.ts
  cli/commands/init.ts
  cli/commands/inspect.ts
  cli/commands/plan.ts
  cli/commands/publish.ts
  cli/commands/report.ts
  cli/commands/revert.ts
  cli/commands/run.ts
  cli/commands/runs.ts
  cli/commands/schema.ts
  cli/commands/score.ts
  cli/commands/status.ts
  cli/commands/verify.ts
  cli/main.ts
`
  .trim()
  .split(/\s+/);

/** Each native package, and the one file that may name it. */
const NATIVE: readonly (readonly [name: RegExp, importer: string])[] = [
  [/^@duckdb\//, 'base/duckdb.ts'],
  [/^apache-arrow(?:\/|$)/, 'base/columns.ts'],
  [/^onnxruntime-(?:node|common)(?:\/|$)/, 'base/onnx.ts'],
  [/^@bufbuild\/protobuf(?:\/|$)/, 'base/protobuf.ts'],
];

/** What must not be loaded in the parent process: it runs no native code. */
const CHILD_ONLY = ['base/duckdb.ts', 'base/columns.ts', 'base/onnx.ts'];
const PARENT_SIDE = /^(?:index\.ts|plan\/|stats\/|explain\/|report\/|run\/|cli\/)/;

interface Import {
  readonly specifier: string;
  /**
   * Whether nothing is loaded when the program runs. `import { type A }` is not such: with `verbatimModuleSyntax`
   * the braces become empty and the file is loaded all the same.
   */
  readonly typeOnly: boolean;
}

function importsOf(text: string): Import[] {
  const found: Import[] = [];
  for (const [, type, specifier] of text.matchAll(
    /^(?:import|export)\b(\s+type\b(?!\s*,|\s+from\b))?[^'";]*?\bfrom\s*['"]([^'"]+)['"]/gm,
  )) {
    found.push({ specifier: specifier!, typeOnly: type !== undefined });
  }
  for (const [, specifier] of text.matchAll(/^import\s*['"]([^'"]+)['"]/gm)) {
    found.push({ specifier: specifier!, typeOnly: false });
  }
  for (const [, specifier] of text.matchAll(/(?<!\btypeof )\bimport\(\s*(?:['"]([^'"]+)['"])?/g)) {
    found.push({ specifier: specifier ?? '(computed)', typeOnly: false });
  }
  for (const [, specifier] of text.matchAll(
    /\b(?:createR|r)equire(?:\([^()]*\))?\(\s*['"]([^'"]+)['"]/g,
  )) {
    found.push({ specifier: specifier!, typeOnly: false });
  }
  return found;
}

/** Everything that is wrong with some files (path below `src/` to text), one line each. */
function problemsOf(files: ReadonlyMap<string, string>, order: readonly string[]): string[] {
  const problems: string[] = [];
  const place = new Map(order.map((file, index) => [file, index]));
  if (place.size !== order.length) problems.push('the list names a file twice');
  for (const file of files.keys()) if (!place.has(file)) problems.push(`${file}: not in the list`);
  for (const file of order) if (!files.has(file)) problems.push(`${file}: no such file`);
  const loads = new Map<string, string[]>();
  for (const [file, text] of files) {
    const loaded: string[] = [];
    loads.set(file, loaded);
    for (const [, quoted] of text.matchAll(/['"]([@\w/.-]+)['"]/g)) {
      for (const [name, importer] of NATIVE) {
        if (name.test(quoted!) && file !== importer) {
          problems.push(`${file}: names ${quoted}, which only ${importer} may`);
        }
      }
    }
    for (const { specifier, typeOnly } of importsOf(text)) {
      if (specifier === '(computed)') problems.push(`${file}: imports what only a run can tell`);
      if (!specifier.startsWith('.')) continue;
      const target = posix.join(posix.dirname(file), specifier).replace(/\.js$/, '.ts');
      if (!typeOnly) loaded.push(target);
      problems.push(...stepProblems(file, target, place));
    }
  }
  for (const file of files.keys()) {
    if (!PARENT_SIDE.test(file)) continue;
    const way = wayTo(file, loads, (target) => CHILD_ONLY.includes(target));
    if (way !== undefined) problems.push(`${file}: the parent loads ${way.join(' > ')}`);
  }
  return problems;
}

function stepProblems(file: string, target: string, place: ReadonlyMap<string, number>): string[] {
  const problems: string[] = [];
  const refuse = (why: string): void => void problems.push(`${file}: imports ${target}, ${why}`);
  const at = place.get(target);
  if (at === undefined) refuse('which is not in the list');
  else if (at >= (place.get(file) ?? -1)) refuse('which is not above it');
  const folder = file.split('/')[0];
  const into = target.split('/')[0];
  // How errors and numbers are said needs no API, and loads nothing.
  const isWords = ['base/errors.ts', 'base/grouped.ts'].includes(target);
  if (folder === 'cli' && into !== 'cli' && target !== 'index.ts' && !isWords) {
    refuse('but the command line uses the public API alone');
  }
  if (folder === 'run' && into === 'worker' && target !== 'worker/protocol.ts') {
    refuse('but the parent shares the protocol with its workers and nothing else');
  }
  if (folder === 'worker' && into === 'run') refuse('but a worker knows nothing of its parent');
  return problems;
}

/** The shortest way over loading imports from a file to one that is looked for. */
function wayTo(
  start: string,
  loads: ReadonlyMap<string, readonly string[]>,
  isWanted: (file: string) => boolean,
): string[] | undefined {
  const seen = new Set([start]);
  let ways = [[start]];
  while (ways.length > 0) {
    const longer: string[][] = [];
    for (const way of ways) {
      for (const next of loads.get(way.at(-1)!) ?? []) {
        if (isWanted(next)) return [...way, next];
        if (seen.has(next)) continue;
        seen.add(next);
        longer.push([...way, next]);
      }
    }
    ways = longer;
  }
  return undefined;
}

function sourceFiles(): Map<string, string> {
  const src = join(ROOT, 'src');
  const names = readdirSync(src, { recursive: true, encoding: 'utf8' });
  return new Map(
    names
      .filter((name) => name.endsWith('.ts'))
      .map((name) => [name.replaceAll('\\', '/'), readFileSync(join(src, name), 'utf8')]),
  );
}

test('the source holds every rule of the layout', () => {
  const files = sourceFiles();
  expect(files.size).toBeGreaterThan(40);
  expect(problemsOf(files, ORDER)).toEqual([]);
});

test('the checker sees the imports that the source is known to have', () => {
  const files = sourceFiles();
  const all = [...files].flatMap(([file, text]) =>
    importsOf(text).map(
      ({ specifier, typeOnly }) => `${file} ${typeOnly ? 'type ' : ''}${specifier}`,
    ),
  );
  expect(all).toContain('plan/signature.ts type ../base/onnx.js');
  expect(all).toContain('worker/main.ts ../base/duckdb.js');
  expect(all).toContain('base/columns.ts type apache-arrow');
  expect(all).toContain('base/columns.ts apache-arrow/Arrow.es2015.min');
  expect(all).toContain('cli/commands/score.ts ../../index.js');
  const relative = [...files.values()].join('\n').match(/from '\.{1,2}\//g)?.length ?? 0;
  expect(
    all.filter((line) => line.includes(' .') || line.includes(' type .')).length,
  ).toBeGreaterThan(relative - 1);
});

describe('the checker reports', () => {
  /** A small program that breaks no rule. */
  const SOUND = {
    'base/errors.ts': '',
    'base/duckdb.ts': "import { x } from '@duckdb/node-api';\nimport { y } from './errors.js';",
    'base/columns.ts': "import { Utf8 } from 'apache-arrow';",
    'base/onnx.ts': "import type { C } from './columns.js';\nimport { T } from 'onnxruntime-node';",
    'plan/plan.ts':
      "import type { C } from '../base/onnx.js';\nexport type { X } from '../base/columns.js';",
    'worker/protocol.ts': "import type { P } from '../plan/plan.js';",
    'worker/main.ts': "import {\n  x,\n  type Y,\n} from '../base/duckdb.js';",
    'run/run.ts': "import { type A, b } from '../worker/protocol.js';",
    'index.ts': "export { run } from './run/run.js';",
    'cli/main.ts':
      "import { y } from '../base/errors.js';\nconst { run } = await import('../index.js');",
  };
  const order = Object.keys(SOUND);
  const problems = (changes: Record<string, string>): string[] =>
    problemsOf(new Map(Object.entries({ ...SOUND, ...changes })), order);

  test('nothing in a sound program', () => {
    expect(problems({})).toEqual([]);
  });

  test('a file that the list lacks, and one that is only in the list', () => {
    expect(problems({ 'run/extra.ts': '' })).toEqual(['run/extra.ts: not in the list']);
    expect(problemsOf(new Map(Object.entries(SOUND)), [...order, 'run/gone.ts'])).toEqual([
      'run/gone.ts: no such file',
    ]);
    expect(problemsOf(new Map(Object.entries(SOUND)), [...order, 'index.ts'])).toContain(
      'the list names a file twice',
    );
  });

  test.each([
    ['a downward import', "import { a } from '../plan/plan.js';"],
    ['a downward import of types', "import type { A } from '../plan/plan.js';"],
    ['a downward import over many lines', "import {\n  a,\n  type B,\n} from '../plan/plan.js';"],
    ['a downward re-export', "export { a } from '../plan/plan.js';"],
    ['a downward import for its effects', "import '../plan/plan.js';"],
    ['a downward dynamic import', "const { a } = await import('../plan/plan.js');"],
    ['a namespace import', "import * as plan from '../plan/plan.js';"],
    ['a file that is required', "createRequire(import.meta.url)('../plan/plan.js');"],
  ])('%s', (_name, text) => {
    expect(problems({ 'base/errors.ts': text })).toEqual([
      'base/errors.ts: imports plan/plan.ts, which is not above it',
    ]);
  });

  test('an import of itself and of a file that does not exist', () => {
    expect(problems({ 'base/errors.ts': "import { a } from './errors.js';" })).toEqual([
      'base/errors.ts: imports base/errors.ts, which is not above it',
    ]);
    expect(problems({ 'base/errors.ts': "import { a } from './nowhere.js';" })).toEqual([
      'base/errors.ts: imports base/nowhere.ts, which is not in the list',
    ]);
  });

  test('a dynamic import whose target is computed', () => {
    expect(problems({ 'index.ts': 'await import(name);' })).toEqual([
      'index.ts: imports what only a run can tell',
    ]);
  });

  test.each([
    ["import { DuckDBInstance } from '@duckdb/node-api';", '@duckdb/node-api', 'base/duckdb.ts'],
    ["import type { Data } from 'apache-arrow';", 'apache-arrow', 'base/columns.ts'],
    ["const ort = require('onnxruntime-node');", 'onnxruntime-node', 'base/onnx.ts'],
    ["import { W } from '@bufbuild/protobuf/wire';", '@bufbuild/protobuf/wire', 'base/protobuf.ts'],
  ])('a second importer of a native package: %s', (text, name, importer) => {
    expect(problems({ 'worker/protocol.ts': text })).toEqual([
      `worker/protocol.ts: names ${name}, which only ${importer} may`,
    ]);
  });

  test('a command that reaches past the public API', () => {
    expect(problems({ 'cli/main.ts': "import { r } from '../run/run.js';" })).toEqual([
      'cli/main.ts: imports run/run.ts, but the command line uses the public API alone',
    ]);
  });

  test('a parent that imports more of its workers than the protocol, even if only types', () => {
    expect(problems({ 'run/run.ts': "import type { W } from '../worker/main.js';" })).toEqual([
      'run/run.ts: imports worker/main.ts, but the parent shares the protocol with its workers and nothing else',
    ]);
  });

  test('a worker that imports its parent', () => {
    expect(problems({ 'worker/main.ts': "import type { R } from '../run/run.js';" })).toContain(
      'worker/main.ts: imports run/run.ts, but a worker knows nothing of its parent',
    );
  });

  test('native code that the parent loads through other files', () => {
    const found = problems({ 'plan/plan.ts': "import { shape } from '../base/onnx.js';" });
    expect(found).toContain('plan/plan.ts: the parent loads plan/plan.ts > base/onnx.ts');
    const protocol = problems({ 'worker/protocol.ts': "import { q } from '../base/duckdb.js';" });
    expect(protocol).toContain(
      'index.ts: the parent loads index.ts > run/run.ts > worker/protocol.ts > base/duckdb.ts',
    );
  });

  test('an import of inline types as one that loads its file', () => {
    const found = problems({ 'plan/plan.ts': "import { type C } from '../base/columns.js';" });
    expect(found).toContain('plan/plan.ts: the parent loads plan/plan.ts > base/columns.ts');
  });
});
