/** The script by which bash completes command lines, in bash. */
import { execFileSync } from 'node:child_process';
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, test } from 'vitest';
import { makeFolder, scoreline } from '../scoreline.js';

describe('completion in bash', () => {
  const folder = makeFolder();
  const script = join(folder, 'completion.bash');
  beforeAll(async () => {
    const { exit, stdout, stderr } = await scoreline(['completion', 'bash']);
    expect([exit, stderr]).toEqual([0, '']);
    writeFileSync(script, stdout);
  });

  const complete = (...words: string[]): string[] => {
    const lines = [
      `source ${script}`,
      'shift',
      'COMP_WORDS=("$@")',
      'COMP_CWORD=$(($# - 1))',
      '_scoreline',
      `printf '%s\\n' "\${COMPREPLY[@]}"`,
    ];
    const args = ['--norc', '-c', lines.join('\n'), 'bash', '-', 'scoreline', ...words];
    const text = execFileSync('bash', args, { encoding: 'utf8', cwd: folder });
    return text.split('\n').filter((line) => line !== '');
  };

  test.each([
    [['ru'], ['run', 'runs']],
    [['run', '--de'], ['--device']],
    [
      ['check', 'job.yaml', '--format', ''],
      ['text', 'github'],
    ],
    [['run', 'job.yaml', '--log-format', 'j'], ['json']],
    [
      ['baseline', ''],
      ['save', 'from'],
    ],
    [['baseline', 'save', 'out', '--js'], ['--json']],
    [['completion', 'f'], ['fish']],
    [['nonsense', '--de'], []],
    // Then bash completes names of files.
    [['run', 'jo'], []],
  ])('of %j is %j', (words, found) => {
    expect(complete(...words)).toEqual(found);
  });

  test('runs nothing that a user has typed', () => {
    const hostile = '$(touch pwned)`touch pwned`;touch pwned';
    expect(complete('run', hostile, '--de')).toEqual(['--device']);
    expect(complete(hostile)).toEqual([]);
    expect(execFileSync('ls', [folder], { encoding: 'utf8' })).toBe('completion.bash\n');
  });

  test('knows every command and option of the program', async () => {
    const { stdout: help } = await scoreline(['--help']);
    const names = [...(help.split('Examples:')[0] ?? '').matchAll(/^ {2}([a-z][a-z-]*)\b/gm)].map(
      ([, name]) => name,
    );
    expect(complete('')).toEqual(names.filter((name) => name !== 'help'));
    const { stdout: run } = await scoreline(['run', '--help']);
    const options = [...run.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, name]) => name);
    expect(complete('run', '--')).toEqual(options);
  });
});
