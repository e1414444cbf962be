/** The JSON Schema of the job file, as it is documented and as editors get it. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { JOB_KEYS } from '../src/plan/job.js';
import { jobJsonSchema } from '../src/plan/job-json-schema.js';
import { ROOT, scoreline } from './scoreline.js';

interface Schema {
  readonly description?: string;
  readonly default?: unknown;
  readonly enum?: readonly string[];
  readonly properties?: Readonly<Record<string, Schema>>;
  readonly anyOf?: readonly Schema[];
}

const SCHEMA = jobJsonSchema() as Schema;

/** Every key at every level, by its dotted name. */
function keysOf(schema: Schema, above: string): [key: string, schema: Schema][] {
  const inner = [schema, ...(schema.anyOf ?? [])];
  return inner.flatMap(({ properties = {} }) =>
    Object.entries(properties).flatMap(([name, child]): [string, Schema][] => [
      [above + name, child],
      ...keysOf(child, `${above}${name}.`),
    ]),
  );
}

test('docs/job.schema.json is what the command prints', async () => {
  const documented = readFileSync(join(ROOT, 'docs', 'job.schema.json'), 'utf8');
  const { exit, stdout } = await scoreline(['schema']);
  expect(exit).toBe(0);
  expect(documented).toBe(stdout);
});

test('every key is explained in a sentence', () => {
  const keys = keysOf(SCHEMA, '');
  expect(keys.map(([key]) => key)).toEqual(
    expect.arrayContaining([...JOB_KEYS.map(({ key }) => key), 'gates.drift.psi.warn', 'run']),
  );
  const silent = keys.filter(([, { description = '' }]) => !/^[A-Z].*\.$/.test(description));
  expect(silent).toEqual([]);
});

/** The rows of the table of keys: type, default and meaning by key. */
const ROWS = new Map(
  [
    ...readFileSync(join(ROOT, 'docs', 'job-file.md'), 'utf8').matchAll(
      /^\| `([^`]+)` \| (.*?) \| (.*?) \| (.*?) \|$/gm,
    ),
  ].map(([, key = '', type = '', fallback = '', meaning = '']) => [
    key,
    { type, fallback, meaning },
  ]),
);
const DOCUMENTED = keysOf(SCHEMA, '').filter(([key]) => ROWS.has(key));

test('the page names the default of every key', () => {
  const wrong = DOCUMENTED.filter(([key, { default: value }]) => {
    const cell = ROWS.get(key)?.fallback ?? '';
    if (value === undefined) return /^`(?!\{)/.test(cell) && !['output.compression'].includes(key);
    const said = typeof value === 'object' ? JSON.stringify(value) : String(value);
    return !cell.includes(`\`${said === '' ? '""' : said}\``);
  });
  // A limit is a share here and a percentage in the file: its default is in no schema of what is written.
  expect(wrong.map(([key]) => key)).toEqual(['gates.nulls.max_increase', 'gates.flips.max']);
});

test('the page names every word that a key takes', () => {
  const choices = DOCUMENTED.flatMap(([key, { enum: own = [], anyOf = [] }]) =>
    [...own, ...anyOf.flatMap((option) => option.enum ?? [])].map((word) => ({ key, word })),
  );
  expect(choices).toContainEqual({ key: 'output.compression', word: 'snappy' });
  expect(choices).toContainEqual({ key: 'run.engine', word: 'trees' });
  expect(choices.filter(({ key, word }) => !ROWS.get(key)?.type.includes(`\`${word}\``))).toEqual(
    [],
  );
});
