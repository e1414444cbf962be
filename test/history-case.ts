/** A job's input of one column that matters, and what a person does with its output. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { type JobCase, withReport } from './job-case.js';
import { type CommandResult, scoreline } from './scoreline.js';

/** Writes a CSV file of a job's input, one row for each value of `a`. */
export function write(job: JobCase, name: string, values: readonly (number | string)[]): void {
  mkdirSync(join(job.input, name, '..'), { recursive: true });
  writeFileSync(join(job.input, name), `a,b\n${values.map((a) => `${a},1\n`).join('')}`);
}

/** A command about a job's output, and what it printed for machines. */
export async function command(
  job: JobCase,
  name: string,
  ...args: string[]
): Promise<CommandResult & { report: unknown }> {
  return withReport<unknown>(await scoreline([name, job.output, '--json', ...args]));
}
