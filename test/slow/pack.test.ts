/** The package as users get it: packed, and installed into an empty folder without scripts. */
import { execFileSync } from 'node:child_process';
import { readdirSync, writeFileSync } from 'node:fs';
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

  it('holds the program and its licence, and neither tests nor fixtures', () => {
    const names = readdirSync(join(folder, 'node_modules/scoreline')).sort();
    expect(names).toEqual(['CHANGELOG.md', 'LICENSE', 'README.md', 'bin', 'dist', 'package.json']);
  });

  it('can be imported as a library', () => {
    writeFileSync(
      join(folder, 'use.mjs'),
      "import { EXIT_CODES } from 'scoreline'; console.log(EXIT_CODES.gate.exit);",
    );
    expect(run(process.execPath, 'use.mjs').trim()).toBe('3');
  });
});
