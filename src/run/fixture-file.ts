/** Where a job's fixture is, and `fixture.json` in it. */
import { readFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { writeFileWhole } from '../base/files.js';
import { type Fixture, fixtureSchema } from '../plan/fixture.js';
import type { Job } from '../plan/job.js';
import { type Selection, selectionOf } from '../plan/selection.js';
import { parseTolerance, TOLERANCE_FORM, type Tolerance } from '../stats/tolerance.js';

/** A fixture as it was found. */
export interface FoundFixture {
  /** Absolute. */
  readonly folder: string;
  readonly file: string;
  /** Whether there is a `fixture.json`: without one the defaults hold. */
  readonly isThere: boolean;
  readonly fixture: Fixture;
}

/** The folder of a job's fixture: `fixtures/NAME` beside the job file, unless another is named. */
export function fixtureFolder(job: Job, named: string | undefined): string {
  return named === undefined ? join(job.baseDir, 'fixtures', job.name) : resolve(named);
}

/** Reads a fixture; where there is none, its defaults. Throws `usage` for one that is not as it should be. */
export async function readFixture(folder: string): Promise<FoundFixture> {
  const file = join(folder, 'fixture.json');
  const text = await readFile(file, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') return undefined;
    throw systemError(error, `cannot read ${shown(file)}`);
  });
  if (text === undefined)
    return { folder, file, isThere: false, fixture: fixtureSchema.parse({ format: 1 }) };
  const parsed = fixtureSchema.safeParse(jsonOf(text));
  if (!parsed.success) {
    const [issue] = parsed.error.issues;
    const path = issue?.path.join('.') ?? '';
    const said = `${path === '' ? '' : `${shown(path)}: `}${shown(issue?.message ?? 'not JSON')}`;
    throw new ScorelineError('usage', `${shown(file)}: ${said}`);
  }
  const found = { folder, file, isThere: true, fixture: parsed.data };
  tolerancesOf(found);
  return found;
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** Which part of the input a fixture means. Throws `usage`. */
export function selectionOfFixture({ selection }: Fixture): Selection {
  const { allow_missing: allowMissing, ...options } = selection ?? {};
  return selectionOf({ ...options, allowMissing });
}

/** Writes `fixture.json`. */
export async function writeFixture(file: string, fixture: Fixture): Promise<void> {
  await writeFileWhole(file, `${JSON.stringify(fixture, undefined, 2)}\n`);
}

/** The tolerances of a fixture. Throws `usage` for one that is not written as it should be. */
export function tolerancesOf({
  file,
  fixture,
}: Pick<FoundFixture, 'file' | 'fixture'>): { column: string; tolerance: Tolerance }[] {
  return Object.entries(fixture.tolerances).map(([column, text]) => {
    const tolerance = parseTolerance(text);
    if (tolerance === undefined)
      throw new ScorelineError(
        'usage',
        `${shown(file)}: tolerances.${shown(column)}: ${shown(text, 60)} is none; expected ${TOLERANCE_FORM}`,
      );
    return { column, tolerance };
  });
}

/** Tolerances from options such as `score=relative:1e-6`. Throws `usage`. */
export function tolerancesOfOptions(texts: readonly string[]): Record<string, string> {
  return Object.fromEntries(
    texts.map((text) => {
      const equals = text.lastIndexOf('=');
      const [column, tolerance] = [text.slice(0, equals), text.slice(equals + 1)];
      if (equals <= 0 || parseTolerance(tolerance) === undefined)
        throw new ScorelineError(
          'usage',
          `--tolerance ${shown(text)}: expected COLUMN=TOLERANCE, where * is every column and a tolerance is ${TOLERANCE_FORM}`,
        );
      return [column, tolerance];
    }),
  );
}
