/** Python for the second opinion, in an environment of its own in the checkout. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './scoreline.js';

/** Installs the packages that a file of `test/slow` lists, and gives the path of a Python that has them. */
export function pythonWith(requirements: string): string {
  const folder = join(ROOT, '.venv');
  const python = join(folder, 'bin', 'python');
  if (!existsSync(python)) execFileSync('python3', ['-m', 'venv', folder]);
  const list = join(ROOT, 'test/slow', requirements);
  execFileSync(python, ['-m', 'pip', 'install', '--quiet', '-r', list], { stdio: 'inherit' });
  return python;
}
