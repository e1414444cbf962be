/** Writes the page on all runs of an output. */
import { access, readFile } from 'node:fs/promises';
import { writeFileWhole } from '../base/files.js';
import { parseQuality } from '../report/quality-schema.js';
import { readHistory } from './history.js';
import { PAGE_FILE } from './run-page.js';
import { latestSnapshot, REPORT_FILE } from './snapshot.js';
import type { Output } from './store.js';

/** More runs are too many to look at. */
const MOST_RUNS = 1000;

/** Writes the page beside the runs that it links to, and says where. Throws `environment`. */
export async function writeTrend(output: Output): Promise<{ readonly path: string }> {
  const { trendPage } = await import('../report/trend.js');
  const history = (await readHistory(output)).slice(-MOST_RUNS);
  const runs = await Promise.all(
    history.map(async (entry) => {
      const report = output.path('runs', entry.runId, REPORT_FILE);
      const page = output.path('runs', entry.runId, PAGE_FILE);
      return {
        ...entry,
        quality: parseQuality(await readFile(report, 'utf8').catch(() => '')),
        hasPage: await access(page).then(
          () => true,
          () => false,
        ),
      };
    }),
  );
  const name = (await latestSnapshot(output))?.manifest.name ?? runs[0]?.quality?.job ?? '';
  const path = output.path('runs', 'index.html');
  await writeFileWhole(path, trendPage(name, runs));
  return { path };
}
