/** What gates measured in earlier runs, to learn limits from. */
import { readFile } from 'node:fs/promises';
import { listFolder } from '../base/files.js';
import { parseQuality } from '../report/quality-schema.js';
import { isRunId } from './history.js';
import type { Output } from './store.js';

/** How many publications are looked at, and how many runs for them. */
const MOST_PUBLICATIONS = 30;
const MOST_RUNS = 300;

/** By gate and column: what the last runs measured that published something, the last first. */
export type EarlierValues = (gate: string, column: string | null) => readonly number[];

/** Reads the reports of the last runs. One that cannot be read teaches nothing. */
export async function earlierValues(output: Output): Promise<EarlierValues> {
  const names = (await listFolder(output.path('runs'))).filter(isRunId);
  const values = new Map<string, number[]>();
  let publications = 0;
  for (const name of names.reverse().slice(0, MOST_RUNS)) {
    if (publications === MOST_PUBLICATIONS) break;
    const text = await readFile(output.path('runs', name, 'report.json'), 'utf8').catch(() => '');
    const report = parseQuality(text);
    if (report?.outcome !== 'published') continue;
    publications++;
    for (const { gate, findings } of report.gates) {
      for (const { column, measured } of findings) {
        if (typeof measured !== 'number') continue;
        const key = JSON.stringify([gate, column]);
        const known = values.get(key);
        if (known === undefined) values.set(key, [measured]);
        else known.push(measured);
      }
    }
  }
  return (gate, column) => values.get(JSON.stringify([gate, column])) ?? [];
}
