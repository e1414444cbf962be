/** `scoreline inspect`: what a model or a data file holds. */
import type { Command } from 'commander';
import { withOutputOptions } from '../options.js';
import { Terminal, type TerminalOptions } from '../terminal.js';

/** Adds the command. */
export function addInspect(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('inspect <file>')
      .summary('show what a model or a data file holds')
      .description(
        'Shows the inputs, outputs, opsets and metadata of an ONNX model, the schema, row groups and encodings of a Parquet file, or the columns of a CSV file and how a job would read it.',
      ),
  ).action(async (file: string, options: TerminalOptions) => {
    const terminal = new Terminal(options);
    await terminal.open();
    try {
      const { inspectFile } = await import('../../index.js');
      const { lines, json } = await inspectFile(file);
      terminal.result(lines, json);
      exit(0);
    } catch (error) {
      exit(terminal.fail(error));
    }
  });
}
