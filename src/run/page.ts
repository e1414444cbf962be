/** Finds the page on a run, and what a failed run says of itself. */
import { access } from 'node:fs/promises';
import { basename } from 'node:path';
import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import { listFolder } from '../base/files.js';
import type { Job } from '../plan/job.js';
import { type FailureNotes, failureNotes } from '../report/next-steps.js';
import type { RunReport } from '../report/report.js';
import { isRunId } from './history.js';
import { PAGE_FILE } from './run-page.js';
import { Output } from './store.js';

/** The page on a run; without one, on the last run that has one. Throws `usage` when there is none. */
export async function pagePath(
  output: Output,
  runId: string | undefined,
): Promise<{ readonly runId: string; readonly path: string }> {
  const runs = (await listFolder(output.path('runs'))).filter(isRunId);
  const wanted = runId === undefined ? runs.toReversed() : runs.filter((name) => name === runId);
  if (runId !== undefined && wanted.length === 0)
    throw new ScorelineError(
      'usage',
      `${shown(runId)}: no run of this name${didYouMean(runId, runs)}; "scoreline runs" lists them`,
    );
  for (const name of wanted) {
    const path = output.path('runs', name, PAGE_FILE);
    const isThere = await access(path).then(
      () => true,
      () => false,
    );
    if (isThere) return { runId: name, path };
  }
  throw new ScorelineError(
    'usage',
    runId === undefined
      ? `${shown(output.root)}: no run has a page yet`
      : `${shown(runId)}: has no page: it had nothing to do, did not end, or is what a person did`,
  );
}

/** What a run of a job that failed says besides its errors; `run` is undefined where it ended before it began. */
export async function notesOnFailure(
  { name, output: { path } }: Pick<Job, 'name' | 'output'>,
  run: RunReport | undefined,
): Promise<FailureNotes> {
  const output = await Output.find(path).catch(() => undefined);
  const page =
    run === undefined || output === undefined
      ? undefined
      : await pagePath(output, run.runId).catch(() => undefined);
  const staged = run?.staged == null ? undefined : basename(run.staged);
  return failureNotes({ job: name, output: path, run, staged, page: page?.path });
}
