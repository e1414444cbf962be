/** Finds the page on a run. */
import { access } from 'node:fs/promises';
import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import { listFolder } from '../base/files.js';
import { isRunId } from './history.js';
import { PAGE_FILE } from './run-page.js';
import type { Output } from './store.js';

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
