/** A folder as the examples have it at /srv/scoreline: two jobs, their input, and `scoreline` on the path. */
import { execFileSync, spawnSync } from 'node:child_process';
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { contentFiles, modelPath } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { makeFolder, ROOT } from '../scoreline.js';

/** What a command of a scheduler did. */
export interface Ran {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
}

/** The place where a scheduler works. */
export interface Site {
  readonly folder: string;
  /** Runs a program there, with `scoreline` on its path and nothing on its standard input. */
  run(program: string, args: readonly string[], env?: Readonly<Record<string, string>>): Ran;
  /** The published bytes of `flights`, by path. */
  published(): Record<string, string>;
}

/** How many partitions the job `flights` has: they differ in their rows. */
export const PARTITIONS = 5;

/** Yesterday, as `date` says it. */
export function yesterday(): string {
  return execFileSync('date', ['-d', 'yesterday', '+%F'], { encoding: 'utf8' }).trim();
}

/** Makes one. */
export async function makeSite(): Promise<Site> {
  const folder = makeFolder();
  for (const name of ['jobs', 'logs', 'bin', 'in/days'])
    mkdirSync(join(folder, name), { recursive: true });
  const program = `#!/bin/sh\nexec "${process.execPath}" "${ROOT}/bin/scoreline.js" "$@"\n`;
  writeFileSync(join(folder, 'bin/scoreline'), program, { mode: 0o755 });
  const job = (name: string, path: string): void => {
    const text = {
      name,
      input: { path },
      model: { path: modelPath('small/linear') },
      features: ['a', 'b'],
      output: { path: `../out/${name}` },
    };
    writeFileSync(join(folder, `jobs/${name}.yaml`), JSON.stringify(text));
  };
  job('flights', '../in/flights');
  job('daily', '../in/days/{date:yyyy-MM-dd}.parquet');
  const rows = (count: number): string =>
    `SELECT i::FLOAT AS a, (2 * i)::FLOAT AS b FROM range(${count}) AS r(i)`;
  for (let part = 1; part <= PARTITIONS; part++)
    await writeParquet(join(folder, `in/flights/part=${part}/x.parquet`), rows(part * 100));
  await writeParquet(join(folder, `in/days/${yesterday()}.parquet`), rows(10));
  const path = `${join(folder, 'bin')}${delimiter}${process.env.PATH}`;
  return {
    folder,
    run: (program, args, env = {}) => {
      const { status, stdout, stderr, error } = spawnSync(program, args, {
        cwd: folder,
        encoding: 'utf8',
        env: { ...process.env, PATH: path, ...env },
        stdio: ['ignore', 'pipe', 'pipe'],
      });
      if (error !== undefined) throw error;
      return { exit: status, stdout, stderr };
    },
    published: () => {
      const current = join(folder, 'out/flights/current');
      const names = contentFiles(current);
      return Object.fromEntries(
        names.map((name) => [name, readFileSync(join(current, name)).toString('base64')]),
      );
    },
  };
}
