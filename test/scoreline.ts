/** Runs the command line as a user would: the built program, in a process of its own. */
import { spawn } from 'node:child_process';
import { mkdtempSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The project's folder. */
export const ROOT = new URL('..', import.meta.url).pathname.replace(/\/$/, '');

/** The committed fixtures. */
export const FIXTURES = join(ROOT, 'fixtures');

/** What a command did. */
export interface CommandResult {
  readonly exit: number | null;
  readonly stdout: string;
  readonly stderr: string;
  readonly ms: number;
}

/** Runs `scoreline` with arguments and waits for its end. */
export function scoreline(
  args: readonly string[],
  options: { cwd?: string; env?: Record<string, string>; program?: string } = {},
): Promise<CommandResult> {
  const started = performance.now();
  return new Promise((resolve, reject) => {
    const child = spawn(
      process.execPath,
      [join(options.program ?? ROOT, 'bin', 'scoreline.js'), ...args],
      {
        cwd: options.cwd ?? ROOT,
        env: { ...process.env, ...options.env },
        stdio: ['ignore', 'pipe', 'pipe'],
        // One that hangs must not outlive its test for long.
        timeout: 60_000,
        killSignal: 'SIGKILL',
      },
    );
    let stdout = '';
    let stderr = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      stdout += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text;
    });
    child.on('error', reject);
    child.on('close', (exit) => resolve({ exit, stdout, stderr, ms: performance.now() - started }));
  });
}

/** A new empty folder. */
export function makeFolder(): string {
  return mkdtempSync(join(tmpdir(), 'case-'));
}
