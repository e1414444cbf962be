/** The help of every command: its examples are command lines that it takes, and it is whole. */
import type { Command } from 'commander';
import { describe, expect, test } from 'vitest';
import { EXAMPLES } from '../../src/cli/examples.js';
import { buildProgram } from '../../src/cli/main.js';
import { scoreline } from '../scoreline.js';

const program = buildProgram(() => undefined);
const found = (path: string): Command | undefined =>
  path
    .split(' ')
    .filter((name) => name !== '')
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

/** The path of a command, and those of all below it. */
function paths(command: Command, path = ''): string[] {
  return [
    path,
    ...command.commands.flatMap((below) => paths(below, `${path} ${below.name()}`.trim())),
  ];
}

/** The help of a command, on a terminal of so many columns. */
function helpOf(path: string, columns = 80): string {
  let text = '';
  const writeOut = (more: string): void => {
    text += more;
  };
  found(path)
    ?.configureOutput({ writeOut, getOutHelpWidth: () => columns })
    .outputHelp();
  return text;
}

describe('examples in the help', () => {
  test('are there for every command', () => {
    expect(Object.keys(EXAMPLES).toSorted()).toEqual(paths(program).toSorted());
    for (const path of paths(program))
      expect(helpOf(path)).toContain(`Examples:\n  scoreline ${path}`.trimEnd());
  });

  test.each(paths(program))(
    'are preceded by help that is whole and fits 60 columns: %s',
    (path) => {
      const lines = helpOf(path, 60).split('\n');
      // The line that shows how it is called stays whole.
      const help = lines.slice(1, lines.indexOf('Examples:'));
      expect(help.length).toBeGreaterThan(3);
      expect(help.filter((line) => line.length > 60)).toEqual([]);
      expect(help.join('\n')).not.toMatch(/\[\]|undefined/);
      const { registeredArguments = [], options = [] } = found(path) ?? {};
      for (const one of [...registeredArguments, ...options]) expect(one.description).not.toBe('');
    },
  );

  test.each(Object.entries(EXAMPLES).flatMap(([path, lines]) => lines.map((line) => [line, path])))(
    'scoreline %s',
    (line, path) => {
      expect(line.startsWith(path)).toBe(true);
      if (line.endsWith(' --help')) {
        expect(paths(program)).toContain(line.slice(0, -' --help'.length));
        return;
      }
      // Those of what only holds commands are commands of these.
      const below = paths(program).filter((one) => line === one || line.startsWith(`${one} `));
      const own = below.reduce(
        (longest, one) => (one.length > longest.length ? one : longest),
        path,
      );
      const command = found(own)!;
      const { operands, unknown } = command.parseOptions(wordsOf(line.slice(own.length)));
      expect(unknown).toEqual([]);
      const needed = command.registeredArguments.filter(({ required }) => required).length;
      expect(operands.length).toBeGreaterThanOrEqual(needed);
      expect(operands.length).toBeLessThanOrEqual(command.registeredArguments.length);
    },
  );
});

describe('wrong usage', () => {
  test.each([
    ['rum job.yaml', "unknown command 'rum' (Did you mean run?); see scoreline --help"],
    [
      'run job.yaml --shrad 0/8',
      "unknown option '--shrad' (Did you mean --shard?); see scoreline run --help",
    ],
    ['run', "missing required argument 'job'; see scoreline run --help"],
    [
      'baseline from x',
      "required option '--job <file>' not specified; see scoreline baseline from --help",
    ],
    [
      'run job.yaml \u001b[31m',
      "too many arguments for 'run'. Expected 1 argument but got 2; see scoreline run --help",
    ],
    ['run --\u001b[31m', "unknown option '--\\u{1b}[31m'; see scoreline run --help"],
    [
      'check x --format z',
      "option '--format <format>' argument 'z' is invalid. Allowed choices are text, github; see scoreline check --help",
    ],
  ])('is one line that says where to look: %j', async (line, message) => {
    const { exit, stdout, stderr } = await scoreline(line.split(' '));
    expect([exit, stdout, stderr]).toEqual([2, '', `scoreline: ${message}\n`]);
  });
});
