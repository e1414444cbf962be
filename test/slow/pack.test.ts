/** The package as users get it: packed, and installed into an empty folder without scripts. */
import { execFileSync } from 'node:child_process';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { FIXTURES, makeFolder, ROOT } from '../scoreline.js';

let folder = '';

function run(command: string, ...args: string[]): string {
  return execFileSync(command, args, {
    cwd: folder,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
  });
}

beforeAll(() => {
  folder = makeFolder();
  execFileSync('npm', ['pack', '--pack-destination', folder], { cwd: ROOT, stdio: 'ignore' });
  const [tarball] = readdirSync(folder).filter((name) => name.endsWith('.tgz'));
  writeFileSync(join(folder, 'package.json'), '{"private":true}');
  run(
    'npm',
    'install',
    '--ignore-scripts',
    '--no-audit',
    '--no-fund',
    join(folder, tarball ?? 'no tarball'),
  );
});

describe('the packed tarball', () => {
  it('scores a partition after an install without scripts', () => {
    const out = run(
      join(folder, 'node_modules/.bin/scoreline'),
      'score',
      join(FIXTURES, 'models/small/linear.onnx'),
      join(FIXTURES, 'flights/month=1'),
      '-o',
      'out',
      '--features',
      'day,hour',
    );
    expect(out).toContain('27,004 = 27,004 scored');
  });

  it('takes a new user from a model and data to a page on a run, by what it prints', () => {
    const rows = Array.from({ length: 500 }, (_, i) => `${i},${i * 0.5},${(i * 7) % 11}`);
    mkdirSync(join(folder, 'orders'));
    writeFileSync(join(folder, 'orders/today.csv'), ['order_id,a,b', ...rows].join('\n'));
    copyFileSync(join(FIXTURES, 'models/small/named.onnx'), join(folder, 'price.onnx'));
    // The commands that follow the first are those that the one before names.
    const typed = (line: string): string => run('npx', ...line.split(' '));
    const next = (text: string, word: string): string =>
      new RegExp(`^${word} +(scoreline .+)$`, 'm').exec(text)?.[1] ?? 'none';
    const init = typed('scoreline init price.onnx orders');
    expect(init).toContain('to score   500 rows in 1 partition\n');
    expect(typed(next(init, 'next'))).toContain('500 = 500 scored + 0 quarantined + 0 filtered');
    const page = typed(next(init, 'then')).trim();
    expect(readFileSync(page, 'utf8')).toMatch(/^<!doctype html>[\s\S]*500 rows/);
    expect(typed(next(init, 'next'))).toContain('nothing to do: 1 partition up to date, 500 rows');
  });

  it('holds the program, its pages and its licence, and neither tests nor fixtures', () => {
    const root = join(folder, 'node_modules/scoreline');
    expect(readdirSync(root).sort()).toEqual([
      'CHANGELOG.md',
      'LICENSE',
      'README.md',
      'bin',
      'dist',
      'docs',
      'package.json',
    ]);
    expect(readdirSync(join(root, 'docs')).sort()).toEqual(readdirSync(join(ROOT, 'docs')).sort());
  });

  it('can be imported as a library', () => {
    writeFileSync(
      join(folder, 'use.mjs'),
      "import { EXIT_CODES } from 'scoreline'; console.log(EXIT_CODES.gate.exit);",
    );
    expect(run(process.execPath, 'use.mjs').trim()).toBe('3');
  });
});
