/** What the commands about an output folder share. */
import { resolve } from 'node:path';
import { ScorelineError, shown } from '../base/errors.js';
import type { Output } from '../index.js';
import { Terminal, type TerminalOptions } from './terminal.js';

/**
 * Does something with the output at `folder`, which must be one, with `evenUnmarked` even where the file is lost that says so; returns
 * the exit code.
 */
export async function withOutput(
  folder: string,
  options: TerminalOptions,
  act: (output: Output, terminal: Terminal) => Promise<number>,
  how: { readonly evenUnmarked?: boolean } = {},
): Promise<number> {
  const terminal = new Terminal(options);
  await terminal.open();
  try {
    const { Output } = await import('../index.js');
    const output = await Output.find(resolve(folder), how);
    if (output === undefined)
      throw new ScorelineError('input', `${shown(folder)}: no scoreline output there`);
    return await act(output, terminal);
  } catch (error) {
    return terminal.fail(error);
  }
}
