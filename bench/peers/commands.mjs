/** How what people use instead is called: a Python environment of pinned versions, and a command line for each. */
import { execFileSync } from 'node:child_process';
import { existsSync } from 'node:fs';
import os from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

export const root = fileURLToPath(new URL('../..', import.meta.url));

/** Makes the Python environment in a folder, or brings the one that is there up to the pinned versions; gives its interpreter. */
export function makePython(folder) {
  const venv = join(folder, 'peers-venv');
  const program = join(venv, 'bin/python');
  if (!existsSync(program)) execFileSync('python3', ['-m', 'venv', venv]);
  const list = join(root, 'bench/peers/requirements.txt');
  execFileSync(program, ['-m', 'pip', 'install', '--quiet', '-r', list], { stdio: 'inherit' });
  return program;
}

/** The command that scores a folder into another: scoreline, or the script of a peer, told what to do about what is there already. */
export function commandOf(name, { python, data, model, target, mode = [] }) {
  const cores = os.availableParallelism();
  if (name !== 'scoreline') {
    const script = join(root, `bench/peers/${name}.py`);
    return [python, [script, data, model, target, String(cores), ...mode]];
  }
  const set = [
    `input.path=${data}`,
    `model.path=${model}`,
    `output.path=${target}`,
    'run.engine=auto',
  ];
  const args = set.flatMap((one) => ['--set', one]);
  return [
    process.execPath,
    [join(root, 'bin/scoreline.js'), 'run', join(root, 'bench/flights.yaml'), '-q', ...args],
  ];
}

/** The environment of a peer: the processes that it starts find what its script imports, too. */
export function peerEnv() {
  return { ...process.env, PYTHONPATH: join(root, 'bench/peers') };
}
