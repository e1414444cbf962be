/** Builds `dist` once before the tests: they fork what users run. */
import { execFileSync } from 'node:child_process';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';

export function setup(): void {
  const root = new URL('..', import.meta.url).pathname;
  const manifest = createRequire(import.meta.url).resolve('typescript/package.json');
  execFileSync(process.execPath, [join(dirname(manifest), 'bin', 'tsc'), '-p', root], {
    stdio: 'inherit',
  });
  execFileSync(process.execPath, [join(root, 'kernel', 'build.mjs')], { stdio: 'inherit' });
}
