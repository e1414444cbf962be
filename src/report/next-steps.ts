/** What a person can type next, and what a failed run says of itself. Pure. */
import { shellWord, shown } from '../base/errors.js';
import type { RunReport } from './report.js';

/** The commands that decide about something staged. */
export interface Decisions {
  readonly publish: string;
  readonly discard: string;
}

/** The commands that decide about what a run staged in an output; where a gate failed, they say what the data are to later runs. */
export function decisionsOn(output: string, runId: string, hasFailed: boolean): Decisions {
  const about = `${shellWord(output)} ${shellWord(runId)}`;
  return {
    publish: `scoreline publish ${about} --because '…'${hasFailed ? ' --exception' : ''}`,
    discard: `scoreline discard ${about} --because '…'`,
  };
}

/** What stands behind the errors of a run in a mail or a log. */
export interface FailureNotes {
  readonly lines: readonly string[];
  readonly fields: Readonly<Record<string, string>>;
}

/**
 * What a run that failed says besides its errors: whose it is, where its page is and, where something is staged, which commands
 * decide about that.
 */
export function failureNotes(of: {
  readonly job: string;
  /** The folder of the output. */
  readonly output: string;
  /** Undefined where the run ended before it began. */
  readonly run: Pick<RunReport, 'runId' | 'outcome' | 'verdict'> | undefined;
  /** The name of what is staged: that of this run, or of an earlier one that staged the same. */
  readonly staged: string | undefined;
  readonly page: string | undefined;
}): FailureNotes {
  const { job, output, run, staged, page } = of;
  const named = `job ${shown(job)}${run === undefined ? '' : `, run ${run.runId}`}`;
  const where = page === undefined ? '' : `; page: ${shown(page, 1000)}`;
  const line = `${named}: ${run === undefined ? 'failed' : OUTCOMES[run.outcome]}${where}`;
  const fields = {
    job,
    ...(run !== undefined && { run: run.runId }),
    ...(page !== undefined && { page }),
  };
  if (staged === undefined) return { lines: [line], fields };
  const hasFailed = run?.verdict === 'fail';
  const decisions = decisionsOn(output, staged, hasFailed);
  const { publish, discard } = decisions;
  const toPublish = `to publish it${hasFailed ? ' (--exception or --new-normal)' : ''}`;
  return {
    lines: [line, `${toPublish}: ${publish}`, `to drop it: ${discard}`],
    fields: { ...fields, ...decisions },
  };
}

const OUTCOMES: Readonly<Record<RunReport['outcome'], string>> = {
  published: 'published, then failed',
  partial: 'published in part',
  unchanged: 'nothing to do',
  scored: 'scored',
  staged: 'staged, not published',
  failed: 'failed',
};
