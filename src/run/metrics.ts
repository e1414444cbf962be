/** Writes what a run did where Prometheus picks it up. */
import { readFile } from 'node:fs/promises';
import { messageOf, ScorelineError } from '../base/errors.js';
import { writeFileWhole } from '../base/files.js';
import type { Job } from '../plan/job.js';
import { lastSuccessIn, metricsText } from '../report/metrics.js';
import { parseQuality } from '../report/quality-schema.js';
import type { RunReport } from '../report/report.js';
import { REPORT_FILE } from './snapshot.js';
import { Output } from './store.js';

/** A run that ended, and where to write its metrics. */
export interface EndedRun {
  readonly path: string;
  readonly job: Pick<Job, 'name' | 'output'>;
  readonly started: Date;
  readonly ended: Date;
  /** As the process will end. */
  readonly exit: number;
  /** Undefined where the run ended before it began. */
  readonly run: RunReport | undefined;
}

/**
 * Replaces the file of metrics by those of a run. The time of the last success stays that of the file before where this
 * run was none. Throws `environment`: what the run published stays.
 */
export async function writeMetrics({
  path,
  job,
  started,
  ended,
  exit,
  run,
}: EndedRun): Promise<void> {
  const endedMs = ended.getTime();
  // What cannot be read tells of no success.
  const former = await readFile(path, 'utf8').catch(() => '');
  const text = metricsText({
    job: job.name,
    startedMs: started.getTime(),
    endedMs,
    exit,
    lastSuccess: exit === 0 || exit === 99 ? endedMs / 1000 : lastSuccessIn(former, job.name),
    run,
    quality: run && (await keptQuality(job.output.path, run.runId)),
  });
  try {
    await writeFileWhole(path, text);
  } catch (error) {
    throw new ScorelineError(
      'environment',
      `--metrics: ${messageOf(error)}; the run itself ended with ${exit}`,
      { cause: error },
    );
  }
}

/** What a run judged, as it keeps it beside its record; undefined where it could not be kept. */
async function keptQuality(
  folder: string,
  runId: string,
): Promise<ReturnType<typeof parseQuality>> {
  const output = await Output.find(folder).catch(() => undefined);
  if (output === undefined) return undefined;
  const path = output.path('runs', runId, REPORT_FILE);
  return parseQuality(await readFile(path, 'utf8').catch(() => ''));
}
