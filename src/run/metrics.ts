/** Writes what a run did where Prometheus picks it up. */
import { open, readFile, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { z } from 'zod';
import { errnoOf, messageOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { writeFileWhole } from '../base/files.js';
import type { Job } from '../plan/job.js';
import { lastSuccessIn, metricsText } from '../report/metrics.js';
import { parseQuality } from '../report/quality-schema.js';
import type { RunReport } from '../report/report.js';
import { chainFile, chainNumbers, readIfThere } from './chain.js';
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
 * Checks that a file of metrics can be written, before the run that they are of. Throws `usage` where its path is wrong,
 * `environment` where the system forbids it.
 */
export async function checkMetricsPath(path: string): Promise<void> {
  const probe = `${path}.${process.pid}.probe.tmp`;
  try {
    if ((await stat(path).catch(() => undefined))?.isDirectory() === true)
      throw new ScorelineError('usage', `--metrics ${shown(path)}: is a folder; name a file`);
    await (await open(probe, 'wx')).close();
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR')
      throw new ScorelineError(
        'usage',
        `--metrics ${shown(path)}: there is no folder ${shown(dirname(path))}; make it, or name another file`,
      );
    throw systemError(error, `--metrics ${shown(path)}: cannot be written`);
  } finally {
    await rm(probe, { force: true }).catch(() => undefined);
  }
}

/**
 * Replaces the file of metrics by those of a run. Where this run was no success, the time of the last one is that of the
 * records or of the file before, whichever is later. Throws `environment`: what the run published stays.
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
  const isSuccess = exit === 0 || exit === 99;
  const text = metricsText({
    job: job.name,
    startedMs: started.getTime(),
    endedMs,
    exit,
    lastSuccess: isSuccess ? endedMs / 1000 : await lastSuccess(path, job),
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

/** When a run of a job last succeeded, in seconds since 1970; 0 where neither its records nor the file before tell of it. */
async function lastSuccess(path: string, job: EndedRun['job']): Promise<number> {
  // What cannot be read tells of no success.
  const former = await readFile(path, 'utf8').catch(() => '');
  const recorded = await recordedSuccess(job).catch(() => 0);
  return Math.max(recorded, lastSuccessIn(former, job.name));
}

const successSchema = z.looseObject({
  job: z.string(),
  outcome: z.enum(['published', 'unchanged']),
  receipt: z.looseObject({ ended: z.iso.datetime() }),
});

async function recordedSuccess({ name, output: { path } }: EndedRun['job']): Promise<number> {
  const output = await Output.find(path);
  if (output === undefined) return 0;
  for (const number of (await chainNumbers(output)).reverse()) {
    const text = await readIfThere(chainFile(output, number));
    const record = successSchema.safeParse(jsonOf(text)).data;
    // An act of a person has no job: only runs succeed.
    if (record?.job === name) return Date.parse(record.receipt.ended) / 1000;
  }
  return 0;
}

function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
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
