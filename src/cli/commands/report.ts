/** `scoreline report`: the page on a run. */
import { spawn } from 'node:child_process';
import type { Command } from 'commander';
import { withOutputOptions } from '../options.js';
import type { TerminalOptions } from '../terminal.js';
import { withOutput } from '../with-output.js';

interface ReportOptions extends TerminalOptions {
  readonly open?: boolean;
}

/** Adds the command. */
export function addReport(program: Command, exit: (code: number) => void): void {
  withOutputOptions(
    program
      .command('report <output> [run]')
      .summary('show where the page on a run is')
      .description(
        'Prints the path of the page on a run: one file that needs no network and no script. Without a run, the last one that did something.',
      )
      .option('--open', 'open it in the browser'),
  ).action(async (folder: string, run: string | undefined, options: ReportOptions) => {
    exit(
      await withOutput(folder, options, async (output, terminal) => {
        const { pagePath } = await import('../../index.js');
        const found = await pagePath(output, run);
        terminal.result([found.path], found);
        if (options.open === true && !(await openPage(found.path)))
          terminal.say('no program opens it here: open the file in a browser');
        return 0;
      }),
    );
  });
}

/** Hands a file to the desktop; tells whether there is a program that does that. */
function openPage(path: string): Promise<boolean> {
  const program = { darwin: 'open', win32: 'explorer' }[process.platform as 'darwin'] ?? 'xdg-open';
  return new Promise((resolve) => {
    const child = spawn(program, [path], { stdio: 'ignore', detached: true });
    child.once('error', () => resolve(false));
    child.once('spawn', () => {
      child.unref();
      resolve(true);
    });
  });
}
