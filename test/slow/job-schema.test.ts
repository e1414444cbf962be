/** The JSON Schema of the job file, judged by a validator that is not ours: it and the program agree on what a job file is. */
import { execFileSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { parse } from 'yaml';
import { jobFromObject } from '../../src/index.js';
import { ROOT, scoreline } from '../scoreline.js';

const VENV = join(ROOT, '.venv');
const PYTHON = join(VENV, 'bin', 'python');
const VALIDATE = `
import json, sys, jsonschema
schema, jobs = json.load(sys.stdin)
jsonschema.Draft202012Validator.check_schema(schema)
validator = jsonschema.Draft202012Validator(schema)
print(json.dumps([validator.is_valid(job) for job in jobs]))
`;

let schema: unknown;

beforeAll(async () => {
  if (!existsSync(PYTHON)) execFileSync('python3', ['-m', 'venv', VENV]);
  const requirements = join(ROOT, 'test/slow/requirements.txt');
  execFileSync(PYTHON, ['-m', 'pip', 'install', '--quiet', '-r', requirements]);
  schema = JSON.parse((await scoreline(['schema'])).stdout);
});

/** Whether the validator takes each of some jobs. */
function validated(jobs: readonly unknown[]): boolean[] {
  const input = JSON.stringify([schema, jobs]);
  return JSON.parse(
    execFileSync(PYTHON, ['-c', VALIDATE], { encoding: 'utf8', input }),
  ) as boolean[];
}

/** Whether the program takes a job. */
function taken(job: unknown): boolean {
  try {
    jobFromObject(job, { baseDir: ROOT });
    return true;
  } catch {
    return false;
  }
}

type Tree = Record<string, unknown>;

/** Jobs in which every key has a value, and every key that takes several kinds of value each of them. */
const FULL: Tree = {
  name: 'full',
  input: {
    path: 'data/{date:yyyy-MM-dd}/*.csv',
    key: 'id',
    where: 'a > 1',
    ready: '_SUCCESS',
    types: { a: 'INTEGER', b: 'decimal(10, 2)' },
    csv: { delimiter: ';', quote: "'", header: false, columns: ['id', 'a', 'b'], null: 'NA' },
  },
  model: { path: 'm.onnx', sha256: 'A'.repeat(64) },
  features: ['a', 'b'],
  output: {
    path: 'out',
    format: 'csv',
    compression: 'gzip',
    keep: ['id'],
    columns: { p: 'probabilities[yes]' },
    keep_snapshots: 'all',
  },
  quarantine: { max: '1.5%', non_finite: 'keep' },
  statistics: ['id'],
  sample_rows: 0,
  baseline: { 'same-weekday': 4 },
  gates: {
    rows: { min: 1, change: '30%' },
    nulls: { max_increase: 'history', columns: ['a'] },
    drift: {
      psi: { warn: 0.1, fail: 'history' },
      ks: 0.1,
      js: 'history',
      hellinger: { fail: 1 },
      wasserstein: { warn: 1 },
      chi_squared: 1,
      l_infinity: 1,
      columns: ['a'],
    },
    scores: { mean_change: 3, range: [0, 1] },
    flips: { max: '2%' },
    new_categories: { max: 0, columns: ['b'] },
  },
  canary: true,
  run: {
    workers: 2,
    device: 'cuda',
    engine: 'trees',
    batch_rows: 'auto',
    batch_timeout: 0.5,
    grace: 0,
  },
};
const ALTERNATIVES: readonly (readonly [path: string, value: unknown])[] = [
  ['features', { x: 'a' }],
  ['output.keep_snapshots', 3],
  ['quarantine.max', 7],
  ['baseline', 'previous'],
  ['baseline', { trailing: 7 }],
  ['baseline', { file: 'training.json' }],
  ['gates', {}],
  ['gates.scores.mean_change', '10%'],
  ['gates.scores.mean_change', 'history'],
  ['run.workers', 'auto'],
  ['run.batch_rows', 1024],
  ['input.types', {}],
];

/** A copy of a job with one value set. */
function withValue(job: Tree, path: string, value: unknown): Tree {
  const copy = structuredClone(job);
  const steps = path.split('.');
  const last = steps.pop() ?? '';
  let at: Tree = copy;
  for (const step of steps) at = at[step] as Tree;
  at[last] = value;
  return copy;
}

/** The paths of a job's keys, maps among them. */
function pathsOf(tree: Tree, above = ''): string[] {
  return Object.entries(tree).flatMap(([name, value]) => [
    above + name,
    ...(typeof value === 'object' && value !== null && !Array.isArray(value)
      ? pathsOf(value as Tree, `${above}${name}.`)
      : []),
  ]);
}

test('takes every job file of the project', () => {
  const pages = ['README.md', 'docs/first-steps.md', 'docs/job-file.md'].flatMap((page) =>
    [...readFileSync(join(ROOT, page), 'utf8').matchAll(/^```yaml\n(name:.*?)^```$/gms)].map(
      ([, text = '']) => text,
    ),
  );
  const files = ['jobs/flights.yaml', 'bench/flights.yaml'].map((file) =>
    readFileSync(join(ROOT, file), 'utf8'),
  );
  const jobs = [...files, ...pages].map((text) => parse(text) as unknown).filter(taken);
  expect(jobs.length).toBeGreaterThanOrEqual(5);
  expect(validated(jobs)).toEqual(jobs.map(() => true));
});

test('takes every key and every kind of value that the program takes', () => {
  const jobs = [FULL, ...ALTERNATIVES.map(([path, value]) => withValue(FULL, path, value))];
  expect(jobs.map(taken)).toEqual(jobs.map(() => true));
  expect(validated(jobs)).toEqual(jobs.map(() => true));
});

test('refuses an unknown key on every level, and a value of another kind under every key, as the program does', () => {
  const named = new Set(['input.types', 'output.columns']);
  const paths = pathsOf(FULL).filter((path) => !/^(?:input\.types|output\.columns)\./.test(path));
  const sections = paths.filter(
    (path) => !named.has(path) && Object.keys(at(FULL, path)).length > 0,
  );
  const wrong = [
    { ...FULL, features_: ['a'] },
    ...sections.map((path) => withValue(FULL, `${path}.zzz`, 1)),
    ...paths.flatMap((path) => [
      withValue(FULL, path, [[1]]),
      withValue(FULL, path, { zzz: { zzz: 1 } }),
      withValue(FULL, path, null),
    ]),
    withValue(FULL, 'input.path', 's3://bucket/data'),
    withValue(FULL, 'output.keep', ['id', 'id']),
    withValue(FULL, 'gates.drift.psi', {}),
    withValue(FULL, 'run.workers', 0),
    withValue(FULL, 'run.engine', 'tree'),
    ...['name', 'input', 'model', 'output'].map((key) => {
      const { [key]: _, ...rest } = FULL;
      return rest;
    }),
  ];
  expect(wrong.length).toBeGreaterThan(150);
  expect(wrong.filter(taken)).toEqual([]);
  const verdicts = validated(wrong);
  expect(wrong.filter((_, index) => verdicts[index])).toEqual([]);
});

/** The map at a path; an empty one where something else stands. */
function at(tree: Tree, path: string): Tree {
  const value = path.split('.').reduce<unknown>((inner, step) => (inner as Tree)[step], tree);
  return typeof value === 'object' && value !== null && !Array.isArray(value)
    ? (value as Tree)
    : {};
}
