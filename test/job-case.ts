/** A job in a folder of its own: its input in `in`, its output in `out`. */
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { availableParallelism, loadavg } from 'node:os';
import { join } from 'node:path';
import type { RunReport } from '../src/report/report.js';
import type { PlanReport } from '../src/run/plan-job.js';
import { exactPath } from './parquet.js';
import { type CommandResult, FIXTURES, makeFolder, scoreline } from './scoreline.js';

/** What a run did, and its report where there is one. */
export interface RunResult extends CommandResult {
  readonly report: RunReport;
}

/** A job, and what can be done with it. */
export interface JobCase {
  readonly folder: string;
  readonly input: string;
  readonly output: string;
  readonly jobFile: string;
  /** Replaces sections of the job file; those not given stay. */
  change(sections: Sections): void;
  run(...args: string[]): Promise<RunResult>;
  plan(...args: string[]): Promise<CommandResult & { report: PlanReport }>;
  /** The published files below `data` (or `quarantine`), relative to it. */
  files(kind?: 'data' | 'quarantine'): string[];
  /** The published files as an SQL list for `read_parquet`. */
  published(kind?: 'data' | 'quarantine'): string;
  manifest(): string;
}

/** The sections of a job file. */
export type Sections = Record<string, unknown>;

/** The path of a committed model. */
export function modelPath(name: string): string {
  return join(FIXTURES, 'models', `${name}.onnx`);
}

/** Makes a job that scores `in` with the model `linear` from the columns a and b, unless `sections` say otherwise. */
export function makeCase(sections: Sections = {}): JobCase {
  const folder = makeFolder();
  const input = join(folder, 'in');
  const output = join(folder, 'out');
  const jobFile = join(folder, 'job.yaml');
  mkdirSync(input);
  let job: Sections = {
    name: 'case',
    input: { path: 'in' },
    model: { path: modelPath('small/linear') },
    features: ['a', 'b'],
    output: { path: 'out' },
    run: { workers: 1 },
  };
  const change = (changes: Sections): void => {
    job = Object.fromEntries(
      Object.entries({ ...job, ...changes }).filter(([, value]) => value !== undefined),
    );
    // JSON is YAML.
    writeFileSync(jobFile, JSON.stringify(job, undefined, 2));
  };
  change(sections);
  const kindFolder = (kind: string): string => join(output, 'current', kind);
  const files = (kind = 'data'): string[] => listFiles(kindFolder(kind));
  return {
    folder,
    input,
    output,
    jobFile,
    change,
    files,
    run: async (...args) => withReport(await scoreline(['run', jobFile, '--json', ...args])),
    plan: async (...args) => withReport(await scoreline(['plan', jobFile, '--json', ...args])),
    published: (kind = 'data') =>
      `[${files(kind)
        .map((file) => exactPath(join(kindFolder(kind), file)))
        .join(', ')}]`,
    manifest: () => readFileSync(join(output, 'current', 'manifest.json'), 'utf8'),
  };
}

/** Adds what a command printed for machines. */
export function withReport<Report>(result: CommandResult): CommandResult & { report: Report } {
  return { ...result, report: result.stdout === '' ? undefined : JSON.parse(result.stdout) };
}

/** All files below a folder, relative to it, in order; none where it does not exist. */
export function listFiles(folder: string): string[] {
  if (!existsSync(folder)) return [];
  return (
    readdirSync(folder, { encoding: 'utf8', recursive: true })
      // A run that goes on may remove its temporary files meanwhile.
      .filter(
        (name) => statSync(join(folder, name), { throwIfNoEntry: false })?.isDirectory() === false,
      )
      .sort()
  );
}

/** What a failed run says, without the line about its job and page that `--quiet` adds for the mail of a failed night. */
export function withoutClosing(stderr: string): string {
  return stderr.replace(/^scoreline: job \S+, run [^\n]*\n$/m, '');
}

/** The files of a snapshot whose bytes follow from what was scored alone: the others name the run. */
export function contentFiles(snapshot: string): string[] {
  return listFiles(snapshot).filter((name) => name !== 'report.json' && name !== 'publisher.json');
}

/** What is published in an output: every file whose bytes follow from what was scored alone, and its content. */
export function publishedContents(output: string): Map<string, string> {
  const root = join(output, 'current');
  return new Map(
    contentFiles(root).map((name) => [name, readFileSync(join(root, name)).toString('base64')]),
  );
}

/** How long a command may take that is to take `ms` on a machine that does nothing else. */
export function allowedMs(ms: number): number {
  return ms * Math.max(1, (loadavg()[0] ?? 0) / availableParallelism());
}
