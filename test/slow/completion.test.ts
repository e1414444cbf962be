/** The scripts by which zsh and fish complete command lines, in these shells. */
import { execFileSync, spawnSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { makeFolder, ROOT, scoreline } from '../scoreline.js';

const has = (shell: string): boolean => spawnSync(shell, ['--version']).status === 0;

async function scriptOf(shell: string): Promise<string> {
  const path = join(makeFolder(), `completion.${shell}`);
  writeFileSync(path, (await scoreline(['completion', shell])).stdout);
  return path;
}

describe.skipIf(!has('fish'))('completion in fish (skipped where fish is not installed)', () => {
  test.each([
    ['scoreline ru', ['run', 'runs']],
    ['scoreline run --de', ['--device']],
    ['scoreline check job.yaml --format ', ['text', 'github']],
    ['scoreline baseline sa', ['save']],
  ])('of "%s" is %j', async (line, found) => {
    const script = await scriptOf('fish');
    const command = 'source $argv[1]; complete -C $argv[2]';
    const text = execFileSync('fish', ['--no-config', '-c', command, script, line], {
      encoding: 'utf8',
      cwd: ROOT,
    });
    const words = text.split('\n').map((one) => one.split('\t')[0]);
    expect(words.filter((word) => word !== '').toSorted()).toEqual(found.toSorted());
  });
});

describe.skipIf(!has('zsh'))('completion in zsh (skipped where zsh is not installed)', () => {
  test.each([
    [['scoreline', 'ru'], /^init run .*\bruns\b/],
    [['scoreline', 'run', '--de'], /--device/],
    [['scoreline', 'check', 'x', '--format', ''], /text github/],
  ])('of %j offers %s', async (words, offered) => {
    const script = await scriptOf('zsh');
    // What is offered is what the function gives to compadd.
    const command = [
      'compdef() { :; }',
      'compadd() { shift; print -r -- "$@"; }',
      '_files() { print files; }',
      'source $1',
      'shift',
      'words=("$@")',
      'CURRENT=$#',
      'PREFIX=$words[-1]',
      '_scoreline',
    ].join('\n');
    const text = execFileSync('zsh', ['-f', '-c', command, 'zsh', script, ...words], {
      encoding: 'utf8',
    });
    expect(text).toMatch(offered);
  });
});
