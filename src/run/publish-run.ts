/** The end of a run: what it made is judged, and published or staged. */
import { ScorelineError, shown } from '../base/errors.js';
import { cappedLines } from '../report/quality.js';
import { type QualityReport, reportText } from '../report/quality-schema.js';
import { GatesFailed, type Review, type ReviewScope, review } from './gate.js';
import { typesApart } from './published-columns.js';
import { type Publication, publish, type Snapshot } from './snapshot.js';
import { stage } from './staged.js';

/** A run that ended in the staging area: `cause` is the gate's error. */
export class Staged extends Error {
  readonly folder: string;

  constructor(folder: string, cause: ScorelineError) {
    super(cause.message, { cause });
    this.folder = folder;
  }
}

/** What the end of a run needs. */
export interface PublishScope extends ReviewScope {
  readonly temporary: string;
  /** What the run was planned on. */
  readonly base: Snapshot | undefined;
  /** Why too many rows were set aside; undefined when they were not. */
  readonly tooMany: string | undefined;
  /** Told what was judged, each time, and how many ms it took. */
  readonly onReport: (report: QualityReport, ms: number) => void;
}

/**
 * Publishes, unless gates stand against it, too many rows were set aside, or columns would have types of their own beside what
 * stays published; undefined when that would change nothing. Throws `Staged`, and what `publish` throws.
 */
export async function publishOrStage(
  scope: PublishScope,
  publication: Publication,
): Promise<Snapshot | undefined> {
  const { output, base, temporary, tooMany } = scope;
  if (tooMany !== undefined) {
    const found = await judge(scope, publication, base);
    throw await staged(scope, publication, found, [tooMany]);
  }
  const reviewed: Publication = {
    ...publication,
    review: async (latest) => {
      const found = await judge(scope, publication, latest);
      if (found.against.length > 0) throw new GatesFailed(found);
      return reportText(found.report);
    },
  };
  try {
    return await publish(output, reviewed, base, temporary);
  } catch (error) {
    if (!(error instanceof GatesFailed)) throw error;
    throw await staged(scope, publication, error.review);
  }
}

async function judge(
  scope: PublishScope,
  publication: Publication,
  latest: Snapshot | undefined,
): Promise<Review> {
  const started = performance.now();
  const found = await review(scope, publication, latest);
  scope.onReport(found.report, performance.now() - started);
  return { ...found, against: [...found.against, ...typesApart(publication, latest)] };
}

/** Stages a publication: the reasons are those given, and what stands against it. */
async function staged(
  { output, base, temporary, runId }: PublishScope,
  publication: Publication,
  { report, against, judged }: Review,
  reasons: readonly string[] = [],
): Promise<Staged> {
  const all = [...reasons, ...against];
  const how = { runId, reason: all.join('\n'), gates: against, judged, report, temporary };
  const folder = await stage(output, publication, base, how);
  const shownReasons = cappedLines(all).join('\n');
  return new Staged(
    folder,
    new ScorelineError('gate', `${shownReasons}; staged in ${shown(folder)}`),
  );
}
