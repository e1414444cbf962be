#!/usr/bin/env node
import { writeSync } from 'node:fs';

let lost;
// A reader that has seen enough (`scoreline plan job.yaml | head`) is no failure; a full disk is one, though what was done stays.
process.stdout.on('error', (error) => {
  if (error.code === 'EPIPE' || lost !== undefined) return;
  lost = error;
  process.stderr.write(
    `scoreline: cannot write to stdout: ${error.code}; what the command did stays, its output is cut off\n`,
  );
});
// Nothing could tell of it.
process.stderr.on('error', () => undefined);
process.on('exit', (code) => {
  if (lost !== undefined && (code === 0 || code === 99)) process.exitCode = 6;
});

const program = new URL('../dist/cli/main.js', import.meta.url);

/** A program that cannot be loaded has no terminal yet, and no descriptor may be left for one. */
function failToStart(error) {
  if (error?.code === 'ERR_MODULE_NOT_FOUND' && error.url === program.href) {
    writeSync(
      2,
      'scoreline: the program is not built: run "npm ci && npm run build" in its folder\n',
    );
    process.exit(2);
  }
  const starved =
    /^E[MN]FILE$|^ENOMEM$/.test(error?.code) || /Too many open files/.test(error?.message);
  if (!starved) throw error;
  writeSync(
    2,
    `scoreline: cannot start: ${error.code}: raise the limits of the process, for instance with "ulimit -n 1024"\n`,
  );
  process.exit(6);
}

const { main } = await import(program.href).catch(failToStart);
process.exitCode = await main(process.argv.slice(2));
