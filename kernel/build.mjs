/**
 * Makes dist/trees/kernel.wasm of the AssemblyScript beside it. That takes seconds, so what was made is kept below node_modules by
 * the content that it follows from: source, compiler and options.
 */
import { createHash } from 'node:crypto';
import { copyFileSync, mkdirSync, readdirSync, readFileSync, renameSync, statSync } from 'node:fs';
import { createRequire } from 'node:module';
import { fileURLToPath } from 'node:url';

const OPTIONS = [
  '-O3',
  '--converge',
  '--noAssert',
  '--enable',
  'simd',
  '--runtime',
  'stub',
  '--importMemory',
  // Below lies the kernel's scratch space, from here up to the program the table of exp: see layout.ts.
  '--memoryBase',
  '126976',
];

const folder = fileURLToPath(new URL('.', import.meta.url));
const root = fileURLToPath(new URL('..', import.meta.url));
const { version } = createRequire(import.meta.url)('assemblyscript/package.json');
const hash = createHash('sha256').update(JSON.stringify([version, OPTIONS]));
for (const name of readdirSync(folder).sort()) {
  if (name.endsWith('.ts')) hash.update(`\0${name}\0`).update(readFileSync(`${folder}${name}`));
}
const cache = `${root}node_modules/.cache/scoreline`;
const kept = `${cache}/kernel-${hash.digest('hex')}.wasm`;
if (!statSync(kept, { throwIfNoEntry: false })) {
  const { main } = await import('assemblyscript/asc');
  mkdirSync(cache, { recursive: true });
  const temporary = `${kept}.${process.pid}`;
  const args = ['kernel.ts', '--baseDir', folder, '--outFile', temporary, ...OPTIONS];
  const { error, stderr } = await main(args);
  if (error) throw new Error(`the kernel does not compile: ${stderr.toString()}`, { cause: error });
  renameSync(temporary, kept);
}
mkdirSync(`${root}dist/trees`, { recursive: true });
copyFileSync(kept, `${root}dist/trees/kernel.wasm`);
