/** A baseline of data that was never published, such as what a model was trained on: scored as the job says, into nowhere. */
import { join, resolve } from 'node:path';
import { ScorelineError } from '../base/errors.js';
import type { Job } from '../plan/job.js';
import { type SavedBaseline, saveBaseline } from './baseline-file.js';
import { gateColumns } from './gate-columns.js';
import { RunFailed, type RunOptions, runJob } from './run.js';
import { withScratch } from './scratch.js';
import { Output } from './store.js';

/**
 * Scores data with a job's model and saves the statistics in a file; the scores are thrown away. Of kept columns only those are
 * read whose statistics the job asks for. Throws `RunFailed`, and what saving throws.
 */
export async function baselineFrom(
  job: Job,
  { data, file }: { readonly data: string; readonly file: string },
  options: Pick<RunOptions, 'selection' | 'now' | 'onEvent' | 'signal'>,
): Promise<SavedBaseline> {
  return withScratch('baseline', options.now(), async (folder) => {
    try {
      const scratch = join(folder, 'out');
      await runJob(jobFor(job, data, scratch), options);
      return await saveBaseline(await Output.open(scratch), file, `${data}, as ${job.name} has it`);
    } catch (error) {
      if (!(error instanceof RunFailed) || error.report.outcome !== 'staged') throw error;
      // What is staged goes with the folder: only why it was is of use.
      const [why] = error.message.split('; staged in ');
      throw new ScorelineError('gate', `${why ?? ''}; no baseline was made`, { cause: error });
    }
  });
}

/** The job with other data and an output of its own; it judges nothing, and does not look for keys. */
function jobFor(job: Job, data: string, scratch: string): Job {
  const wanted = [...job.statistics, ...gateColumns(job)];
  const keep = job.output.keep.filter((name) => wanted.includes(name));
  return {
    ...job,
    baseDir: process.cwd(),
    input: { ...job.input, path: resolve(data), pathText: data, key: undefined, ready: undefined },
    output: { ...job.output, path: scratch, keep, keepSnapshots: 1 },
    statistics: keep,
    sampleRows: 0,
    baseline: 'auto',
    gates: {},
    canary: false,
  };
}
