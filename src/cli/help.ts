/** What help says besides summaries, descriptions and options, and how wrong usage is answered. */
import type { Command } from 'commander';
import { shown } from '../base/errors.js';
import { EXAMPLES } from './examples.js';

/** What the arguments of commands are, by their names, where that alone does not say it behind the command's path. */
const ARGUMENTS: Readonly<Record<string, string>> = {
  baseline: 'the side to compare with',
  code: 'the exit code',
  current: 'the side that is compared',
  data: 'Parquet or CSV: a file, a folder or a quoted glob',
  'baseline save file': 'where to save them',
  'doctor folder': 'a folder on the disk that counts; without it this one',
  'inspect file': 'an ONNX model, a Parquet or a CSV file',
  job: 'the job file',
  model: 'an ONNX file',
  output: 'the folder that a job publishes in (output.path)',
  run: 'the id of a run, as "scoreline runs" lists it',
  shell: 'the shell',
};

/** Completes the help of a program and of all commands below it, and makes wrong usage one line on stderr. */
export function withHelp(command: Command, path: readonly string[] = []): void {
  const name = ['scoreline', ...path].join(' ');
  for (const argument of command.registeredArguments)
    argument.description ||=
      ARGUMENTS[[...path, argument.name()].join(' ')] ?? ARGUMENTS[argument.name()] ?? '';
  const examples = (EXAMPLES[path.join(' ')] ?? []).map((line) => `  scoreline ${line}`);
  command.addHelpText('after', `\nExamples:\n${examples.join('\n')}`).configureOutput({
    outputError: (text, write) => {
      const problem = text
        .replace(/^error: /, '')
        .trim()
        .replaceAll('\n', ' ')
        .replace(/\.$/, '');
      write(`scoreline: ${shown(problem, 400)}; see ${name} --help\n`);
    },
  });
  for (const below of command.commands) withHelp(below, [...path, below.name()]);
}
