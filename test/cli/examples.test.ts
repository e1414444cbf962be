/** The examples that the help of a command ends with are command lines that it takes. */
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { EXAMPLES } from '../../src/cli/examples.js';
import { buildProgram } from '../../src/cli/main.js';

const program = buildProgram(() => undefined);
const found = (path: string): Command | undefined =>
  path
    .split(' ')
    .reduce<Command | undefined>(
      (above, name) => above?.commands.find((one) => one.name() === name),
      program,
    );

/** The words of a line, as a shell takes those without escapes; what follows a `>` is the shell's own. */
function wordsOf(line: string): string[] {
  const [command = ''] = line.split(' > ');
  return [...command.matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  );
}

/** The paths of commands that do something themselves. */
function paths(command: Command, above = ''): string[] {
  return command.commands.flatMap((below) => {
    const path = `${above} ${below.name()}`.trim();
    return below.commands.length > 0 ? paths(below, path) : [path];
  });
}

describe('examples in the help', () => {
  test('are there for every command', () => {
    expect(Object.keys(EXAMPLES).toSorted()).toEqual(paths(program).toSorted());
    for (const path of paths(program)) {
      let text = '';
      const command = found(path);
      command?.configureOutput({ writeOut: (more) => (text += more) }).outputHelp();
      expect(text).toContain(`Examples:\n  scoreline ${path}`);
    }
  });

  test('is preceded by help that fits a terminal of 60 columns', () => {
    for (const path of paths(program)) {
      let text = '';
      const writeOut = (more: string): void => {
        text += more;
      };
      found(path)
        ?.configureOutput({ writeOut, getOutHelpWidth: () => 60 })
        .outputHelp();
      const lines = text.split('\n');
      // The line that shows how it is called stays whole.
      const help = lines.slice(1, lines.indexOf('Examples:'));
      expect(help.length).toBeGreaterThan(3);
      expect(help.filter((line) => line.length > 60)).toEqual([]);
    }
  });

  test.each(Object.entries(EXAMPLES).flatMap(([path, lines]) => lines.map((line) => [line, path])))(
    'scoreline %s',
    (line, path) => {
      expect(line.startsWith(path)).toBe(true);
      const command = found(path)!;
      const { operands, unknown } = command.parseOptions(wordsOf(line.slice(path.length)));
      expect(unknown).toEqual([]);
      const needed = command.registeredArguments.filter(({ required }) => required).length;
      expect(operands.length).toBeGreaterThanOrEqual(needed);
      expect(operands.length).toBeLessThanOrEqual(command.registeredArguments.length);
    },
  );
});
