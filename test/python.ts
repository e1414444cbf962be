/** Python with the packages of `test/slow/requirements.txt`, in an environment of the tests' own. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import { join } from 'node:path';
import { ROOT } from './scoreline.js';

const VENV = join(ROOT, '.venv');

/** The path of the interpreter; makes the environment where it is not there. */
export function python(): string {
  const program = join(VENV, 'bin', 'python');
  if (!existsSync(program)) execFileSync('python3', ['-m', 'venv', VENV]);
  const requirements = join(ROOT, 'test/slow/requirements.txt');
  execFileSync(program, ['-m', 'pip', 'install', '--quiet', '-r', requirements], {
    stdio: 'inherit',
  });
  return program;
}
