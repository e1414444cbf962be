/** What a run tells as it happens, kept in its folder. */
import { appendFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeSubfolder } from '../base/files.js';
import type { ScoreEvent } from './score.js';

/** Hands on what a run tells, and writes all but its progress to the log in its folder. Throws `environment`. */
export async function logged(
  onEvent: (event: ScoreEvent) => void,
  folder: string,
  now: () => Date,
): Promise<(event: ScoreEvent) => void> {
  await makeSubfolder(folder);
  const path = join(folder, 'log.jsonl');
  return (event) => {
    onEvent(event);
    if (event.type === 'progress') return;
    const line = `${JSON.stringify({ time: now().toISOString(), ...event })}\n`;
    try {
      appendFileSync(path, line);
    } catch {
      // A run can do without its log. Where there is no room for it, there is none for what the run cannot do without.
    }
  };
}
