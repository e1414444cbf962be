/** Options that several commands share. */
import { type Command, InvalidArgumentError, Option } from 'commander';
import type { TerminalOptions } from './terminal.js';

/** The options of every command that prints something. */
export function withOutputOptions(command: Command): Command {
  return command
    .option('--json', 'print the result as JSON on stdout')
    .option('-q, --quiet', 'print nothing but errors')
    .option('-v, --verbose', 'print the causes of errors')
    .addOption(
      new Option('--log-format <format>', 'how stderr is written')
        .choices(['text', 'json'])
        .default('text'),
    );
}

/** The options of every command that reads a job file. */
export function withJobOptions(command: Command): Command {
  return command
    .option('--set <key=value>', 'override a value of the job file (repeatable)', collect)
    .option('--workers <n>', 'worker processes; auto: one for each core')
    .option('--device <name>', 'where the model runs: auto, cpu, cuda, …')
    .option('--batch-rows <n>', 'rows that the model gets at once, or auto');
}

/** The options that select a part of a job's input. */
export function withSelectionOptions(command: Command): Command {
  return command
    .option('--date <date>', 'the day that fills {date:…} in input.path, as 2013-06-01')
    .option('--from <date>', 'the first day of a range')
    .option('--to <date>', 'its last day')
    .option('--allow-missing', 'report days without input, do not refuse them')
    .option('--partition <name=value>', 'only partitions with this value (repeatable)', collect);
}

/** The option of commands that score and publish: what they did, for the textfile collector of the node exporter. */
export function withMetricsOption(command: Command): Command {
  return command.option(
    '--metrics <file>',
    'write what came of it as Prometheus metrics, also when it failed',
    metricsFile,
  );
}

function metricsFile(path: string): string {
  if (path.endsWith('.prom')) return path;
  throw new InvalidArgumentError('the node exporter reads only files that end with .prom');
}

/** The reason of `--because`: what is kept in the history says something. */
export function reasonOf(text: string): string {
  if (text.trim() !== '') return text;
  throw new InvalidArgumentError('expected a reason');
}

/** A share as `i/n`, counted from 0. */
export function shardOf(text: string): { index: number; count: number } {
  const [, index, count] = /^(\d{1,4})\/(\d{1,4})$/.exec(text) ?? [];
  if (count === undefined || Number(index) >= Number(count))
    throw new InvalidArgumentError('expected i/n with i from 0 to n - 1, such as 0/8');
  return { index: Number(index), count: Number(count) };
}

/** What `withJobOptions` parses to. */
export interface JobOptions extends TerminalOptions {
  readonly set?: readonly string[];
  readonly workers?: string;
  readonly device?: string;
  readonly batchRows?: string;
}

/** The overrides of a job file, those of the short options last. */
export function overridesOf({ set = [], workers, device, batchRows }: JobOptions): string[] {
  const overrides = [...set];
  if (workers !== undefined) overrides.push(`run.workers=${workers}`);
  if (device !== undefined) overrides.push(`run.device=${device}`);
  if (batchRows !== undefined) overrides.push(`run.batch_rows=${batchRows}`);
  return overrides;
}

/** Collects a repeatable option. */
export function collect(value: string, previous: readonly string[] = []): string[] {
  return [...previous, value];
}

/** A list written with commas. */
export function commaList(value: string): string[] {
  const names = value.split(',').map((name) => name.trim());
  if (names.some((name) => name === ''))
    throw new InvalidArgumentError('expected names separated by commas');
  return names;
}
