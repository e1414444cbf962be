/** Who runs this program, where, and which version of it: for the records that are kept. */
import { readFileSync } from 'node:fs';
import os from 'node:os';

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

/** The version of scoreline, as its package says it. */
export function scorelineVersion(): string {
  const text = readFileSync(new URL('../../package.json', import.meta.url), 'utf8');
  return String((JSON.parse(text) as { version: unknown }).version);
}
