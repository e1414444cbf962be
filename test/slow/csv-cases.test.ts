/**
 * Every file of `fixtures/csv`, each named after its defect or feature, through the command line: the rows, the records
 * set aside, the ledger or the error that `truth.json` says. Files whose jobs are alike share a run, a folder each.
 */
import { cpSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import pLimit from 'p-limit';
import { beforeAll, describe, expect, test } from 'vitest';
import { type Cell, sameReplacements, type UnitOutcome, unitOutcomes } from '../csv-outcome.js';
import {
  type JobCase,
  listFiles,
  makeCase,
  modelPath,
  type RunResult,
  type Sections,
} from '../job-case.js';
import { FIXTURES } from '../scoreline.js';

/** What a case means; `fixtures/README.md` explains each key. */
interface Truth {
  readonly job?: Sections;
  readonly alone?: true;
  readonly rows?: readonly (string | number | null)[][];
  readonly rejected?: readonly (string | number)[][];
  readonly quarantined?: readonly Cell[][];
  readonly filtered?: number;
  readonly exit?: number;
  readonly error?: string;
}

const FOLDER = join(FIXTURES, 'csv');
const TRUTH = JSON.parse(readFileSync(join(FOLDER, 'truth.json'), 'utf8')) as Record<string, Truth>;
const NAMES = Object.keys(TRUTH);

/** A run, and what it made of each case in it, by the name of the case. */
interface CaseRun {
  readonly job: JobCase;
  readonly alone: boolean;
  readonly result: RunResult;
  readonly outcomes: ReadonlyMap<string, readonly UnitOutcome[]>;
}

const runs = new Map<string, Promise<CaseRun>>();
/** Two at a time: a run is mostly one busy process after the other. */
const limit = pLimit(2);

beforeAll(async () => {
  const groups = new Map<string, string[]>();
  for (const name of NAMES) {
    const { alone, job, error } = TRUTH[name]!;
    const key = alone ? name : JSON.stringify([error !== undefined, job ?? {}]);
    groups.set(key, [...(groups.get(key) ?? []), name]);
  }
  for (const names of groups.values()) {
    const run = limit(() => runGroup(names));
    for (const name of names)
      runs.set(
        name,
        run.then((found) => found.get(name)!),
      );
  }
  await Promise.allSettled(runs.values());
});

/** The run of each case of a group; where some make it fail that should not, the others get another without them. */
async function runGroup(names: readonly string[]): Promise<Map<string, CaseRun>> {
  const run = await runCases(names);
  const blamed = names.filter((name) => linesOf(run, name).length > 0);
  const all = new Map(names.map((name) => [name, run]));
  const isWanted = TRUTH[names[0]!]!.error !== undefined;
  if (run.result.exit === 0 || isWanted || blamed.length === 0 || blamed.length === names.length)
    return all;
  const others = await runGroup(names.filter((name) => !blamed.includes(name)));
  return new Map([...all, ...others]);
}

/** Scores cases whose jobs are alike: one alone lies in the input itself, of several each has a folder there. */
async function runCases(
  names: readonly string[],
  alone = TRUTH[names[0]!]!.alone === true,
): Promise<CaseRun> {
  const { job: changes = {} } = TRUTH[names[0]!]!;
  const job = makeCase({ quarantine: { max: '100%' }, ...sectionsOf(changes) });
  for (const name of names) {
    const isFolder = isFolderCase(name);
    const target = join(job.input, ...(alone ? [] : [name]), ...(isFolder ? [] : [name]));
    cpSync(join(FOLDER, name), target, { recursive: true });
  }
  const result = await job.run();
  if (result.exit !== 0) return { job, alone, result, outcomes: new Map() };
  const units = await unitOutcomes(job, identityOf(names[0]!));
  const outcomes = alone
    ? new Map([[names[0]!, [...units.values()]]])
    : new Map([...units].map(([unit, outcome]) => [unit, [outcome]]));
  return { job, alone, result, outcomes };
}

function isFolderCase(name: string): boolean {
  return statSync(join(FOLDER, name)).isDirectory();
}

/** The sections of a job as `makeCase` takes them: the paths of models are those of the fixtures. */
function sectionsOf(job: Sections): Sections {
  const sections: Sections = { output: { path: 'out', keep: ['id', 't'] }, ...job };
  const model = job.model as { path: string } | undefined;
  return model === undefined ? sections : { ...sections, model: { path: modelPath(model.path) } };
}

/** The column that names the rows of a case. */
function identityOf(name: string): string {
  const output = TRUTH[name]!.job?.output as { keep: string[] } | undefined;
  return output?.keep.includes('id') === false ? output.keep[0]! : 'id';
}

/** The run of a case; one of its own where the run that it shares says nothing of it. */
async function runOf(name: string): Promise<CaseRun> {
  const run = await runs.get(name)!;
  if (run.alone || run.outcomes.has(name) || linesOf(run, name).length > 0) return run;
  return runCases([name], true);
}

/** What a run said of a case: all of it, or in a run that is shared the lines that begin with its file. */
function linesOf({ alone, result }: CaseRun, name: string): string[] {
  const lines = result.stderr.trimEnd().split('\n');
  return alone ? lines : lines.filter((line) => line.startsWith(`scoreline: ${name}/`));
}

test('every file has its truth, and every truth its file', () => {
  const files = readdirSync(FOLDER).filter((name) => !name.endsWith('.json'));
  expect(files.sort()).toEqual([...NAMES].sort());
  expect(NAMES.length).toBeGreaterThanOrEqual(280);
});

describe('is read as its truth says', () => {
  test.each(NAMES.filter((name) => TRUTH[name]!.error === undefined))('%s', async (name) => {
    const { alone, result, outcomes } = await runOf(name);
    const truth = TRUTH[name]!;
    expect([result.exit, result.stderr.match(/^scoreline: .*/m)?.[0]]).toEqual([0, undefined]);
    const units = outcomes.get(name)!;
    const isFolder = isFolderCase(name);

    const rows = units.flatMap((unit) => unit.rows);
    const wanted = truth.rows!;
    expect(rows.map((row, at) => row.map((cell, i) => like(cell, wanted[at]?.[i])))).toEqual(
      wanted,
    );

    const rejected = units.flatMap((unit) => unit.rejected);
    const place = alone ? '' : `${name}/`;
    expect(
      rejected.map(({ file, line, byte, reason, record }) => [
        file,
        line,
        byte,
        reason,
        sameReplacements(record),
      ]),
    ).toEqual(
      (truth.rejected ?? []).map((record) => {
        const [file, ...rest] = isFolder ? record : [name, ...record];
        return [`${place}${file}`, ...rest.slice(0, 3), sameReplacements(String(rest[3]))];
      }),
    );
    for (const { message } of rejected) expect(message).toMatch(/^.{5,300}$/);

    const aside = units.flatMap((unit) => unit.quarantined);
    const wantedAside = truth.quarantined ?? [];
    expect(aside.map((row, at) => row.map((cell, i) => oneOf(cell, wantedAside[at]?.[i])))).toEqual(
      wantedAside,
    );

    const counts = {
      rows: wanted.length + rejected.length + wantedAside.length + (truth.filtered ?? 0),
      scored: wanted.length,
      quarantined: rejected.length + wantedAside.length,
      filtered: truth.filtered ?? 0,
    };
    const sum = (key: keyof typeof counts): number =>
      units.reduce((total, { ledger }) => total + ledger[key], 0);
    expect({
      rows: sum('rows'),
      scored: sum('scored'),
      quarantined: sum('quarantined'),
      filtered: sum('filtered'),
    }).toEqual(counts);
    if (alone) expect(result.report.ledger).toEqual(counts);
  });
});

describe('is refused as its truth says', () => {
  test.each(NAMES.filter((name) => TRUTH[name]!.error !== undefined))('%s', async (name) => {
    const run = await runOf(name);
    const { job, result } = run;
    const { exit, error } = TRUTH[name]!;
    const lines = linesOf(run, name);
    expect(lines.join('\n')).toContain(error);
    expect(result.exit).toBe(exit);
    expect([...job.files(), ...job.files('quarantine')]).toEqual([]);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: nothing that a terminal would act on
    expect(lines.join('')).not.toMatch(/[\x00-\x1f\x7f]/);
    // Of columns that are missing, each has a line.
    if (!error!.includes('has no column')) expect(lines).toHaveLength(1);
    if (exit === 4 && !/^is (?:not unique|null)/.test(error!)) {
      const files = isFolderCase(name) ? listFiles(join(FOLDER, name)) : [name];
      for (const line of lines) expect(files.some((file) => line.includes(`${file}: `))).toBe(true);
    }
  });
});

/** A text as the kind of value that is wanted there: predictions are numbers. */
function like(cell: Cell, wanted: unknown): unknown {
  if (typeof wanted !== 'number' || cell === null) return cell;
  // The shortest text of a float32 is not that of the same number as a double.
  return Math.fround(Number(cell)) === wanted ? wanted : Number(cell);
}

/** What is wanted, where a text is one of the words between its bars. */
function oneOf(cell: Cell, wanted: Cell | undefined): Cell {
  return cell !== null && wanted?.split('|').includes(cell) ? wanted : cell;
}

/** A file of random bytes from an alphabet that bites: text in Latin-1, one character a byte. */
interface RandomFile {
  readonly text: string;
  readonly rows: readonly Cell[][];
  readonly rejected: readonly (string | number)[][];
}

describe('random files', () => {
  const files = JSON.parse(readFileSync(join(FOLDER, 'random.json'), 'utf8')) as RandomFile[];
  const parts = [0, 1, 2].map((part) => [part * 50, part * 50 + 49] as const);

  test.each(parts)('%s to %s are read as a reader of the rules alone reads them', async (...to) => {
    const job = makeCase({
      model: { path: modelPath('small/strings') },
      features: { s: 'p' },
      quarantine: { max: '100%' },
      output: { path: 'out', keep: ['t', 'u'] },
      run: { workers: 2 },
    });
    const some = [...files.entries()].slice(to[0], to[1] + 1);
    for (const [at, { text }] of some) {
      mkdirSync(join(job.input, `p=${at}`));
      writeFileSync(join(job.input, `p=${at}`, 'x.csv'), `t,u\n${text}`, 'latin1');
    }
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    const units = await unitOutcomes(job, 't');
    const found = some.map(([at, { text }]) => {
      const unit = units.get(`p=${at}`)!;
      const rejected = unit.rejected.map(({ line, byte, reason, record }) => [
        ...[line, byte, reason],
        sameReplacements(record),
      ]);
      return { at, text, rows: unit.rows, rejected, ledger: unit.ledger };
    });
    expect(found).toEqual(
      some.map(([at, { text, rows, rejected }]) => ({
        at,
        text,
        rows: rows.map((row) => [...row, String(at)]),
        rejected: rejected.map((one) => [...one.slice(0, 3), sameReplacements(String(one[3]))]),
        ledger: {
          rows: rows.length + rejected.length,
          scored: rows.length,
          quarantined: rejected.length,
          filtered: 0,
        },
      })),
    );
  });

  test('are all of them', () => {
    expect(files).toHaveLength(150);
  });
});
