/** Who runs this program, where, and which version of it: for the records that are kept, and the names of temporary folders. */
import { readFileSync, readlinkSync } from 'node:fs';
import os from 'node:os';
import { sha256 } from './hash.js';

/** The user and the machine. What the system does not say is null: a container may run a user without a name. */
export interface Identity {
  readonly user: string | null;
  readonly uid: number | null;
  readonly host: string;
}

/** Who runs this process, and on which machine. Never throws. */
export function identity(): Identity {
  const uid = process.getuid?.() ?? null;
  try {
    return { user: os.userInfo().username, uid, host: os.hostname() };
  } catch {
    // No entry for this user id.
    return { user: null, uid, host: os.hostname() };
  }
}

/**
 * Tells where process numbers mean the same processes: the machine by its name, its boot, and on Linux the namespace of
 * processes, for two containers may have the name and the boot in common. A machine that was booted anew is another one.
 */
export function processSpace(): string {
  const boot = orNothing(() => readFileSync('/proc/sys/kernel/random/boot_id', 'utf8').trim());
  const namespace = orNothing(() => readlinkSync('/proc/self/ns/pid'));
  return sha256([os.hostname(), boot, namespace].join('\n')).slice(0, 12);
}

/** What the system says; nothing where it does not, as on other systems than Linux. */
function orNothing(ask: () => string): string {
  try {
    return ask();
  } catch {
    return '';
  }
}

/** The version of scoreline, as its package says it. */
export function scorelineVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}
