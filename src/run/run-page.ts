/** What is kept beside the record of a run: its report on what was scored, and the page. */
import { writeFileWhole } from '../base/files.js';
import { sha256 } from '../base/hash.js';
import type { TaskEvent } from '../report/page-run.js';
import { type QualityReport, reportText } from '../report/quality-schema.js';
import type { FileDigests, RunReport } from '../report/report.js';
import { REPORT_FILE } from './snapshot.js';
import type { Output } from './store.js';

/** The name of the page in a run's folder. */
export const PAGE_FILE = 'report.html';

/**
 * Keeps the report of a run and, where there was something to do, the page in its folder; returns their digests. Throws
 * `environment`.
 */
export async function keepPage(
  output: Output,
  run: RunReport,
  quality: QualityReport,
  tasks: readonly TaskEvent[],
): Promise<FileDigests> {
  const { runId, outcome, error } = run;
  const own = { ...quality, outcome, error };
  const texts = new Map([[REPORT_FILE, reportText(own)]]);
  if (outcome !== 'unchanged') {
    // Loaded when it is needed: charts take longer to load than a run that has nothing to do.
    const { runPage } = await import('../report/page.js');
    texts.set(PAGE_FILE, runPage({ run, quality: own, tasks }));
  }
  for (const [name, text] of texts) await writeFileWhole(output.path('runs', runId, name), text);
  return Object.fromEntries([...texts].map(([name, text]) => [name, sha256(text)]));
}
