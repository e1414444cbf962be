/** The end of a run: what it made is judged, and published or staged. */
import { ScorelineError, shown } from '../base/errors.js';
import { cappedLines } from '../report/quality.js';
import { type QualityReport, reportText } from '../report/quality-schema.js';
import { GatesFailed, type Review, type ReviewScope, review } from './gate.js';
import { typesApart } from './published-columns.js';
import { newsOf, type Publication, publish, type Snapshot } from './snapshot.js';
import { removeReplaced, stage } from './staged.js';

/** A run that ended in the staging area, or some partitions of it: `cause` is the gate's error. */
export class Staged extends Error {
  readonly folder: string;
  /** What it published of the partitions that pass. */
  readonly published: Snapshot | undefined;

  constructor(folder: string, cause: ScorelineError, published?: Snapshot) {
    super(cause.message, { cause });
    this.folder = folder;
    this.published = published;
  }
}

/** What the end of a run needs. */
export interface PublishScope extends ReviewScope {
  readonly temporary: string;
  /** What the run was planned on. */
  readonly base: Snapshot | undefined;
  /** Whether the partitions that pass are published when others fail. */
  readonly publishPassing: boolean;
  /** Told what was judged, each time, and how many ms it took. */
  readonly onReport: (report: QualityReport, ms: number) => void;
  /** Told which runs had something staged that this one has replaced. */
  readonly onReplaced: (runIds: readonly string[]) => void;
}

/**
 * Publishes, unless gates stand against it, too many rows were set aside, or columns would have types of their own beside what
 * stays published; undefined when that would change nothing. With `publishPassing`, partitions that pass are published and only the
 * others staged. Throws `Staged`, and what `publish` throws.
 */
export async function publishOrStage(
  scope: PublishScope,
  publication: Publication,
): Promise<Snapshot | undefined> {
  const clear = async (kept?: string): Promise<void> => {
    const { output, runId, temporary } = scope;
    const covers = new Set([...publication.units.keys(), ...(publication.removals ?? [])]);
    scope.onReplaced(await removeReplaced(output, { runId, covers, kept, temporary }));
  };
  try {
    const published = await publishAll(scope, publication);
    await clear();
    return published;
  } catch (error) {
    if (error instanceof Staged) await clear(error.folder);
    throw error;
  }
}

async function publishAll(
  scope: PublishScope,
  publication: Publication,
): Promise<Snapshot | undefined> {
  const { output, base, temporary, tooMany } = scope;
  if (tooMany !== undefined) {
    const found = await judge(scope, publication, base);
    throw await staged(scope, publication, found, [tooMany]);
  }
  let passing = publication;
  let found: Review | undefined;
  for (;;) {
    try {
      const published = await publish(output, reviewed(scope, passing), base, temporary);
      if (found === undefined) return published;
      // What fails is the news: a run that ends just before this stages it the next time.
      throw await staged(scope, without(publication, passing.units), found, [], published);
    } catch (error) {
      if (!(error instanceof GatesFailed)) throw error;
      found ??= error.review;
      const next = scope.publishPassing ? passingOf(passing, error.review) : undefined;
      if (next === undefined) throw await staged(scope, publication, found);
      const changes = newsOf(next, base).size + (next.removals?.length ?? 0);
      if (changes === 0) throw await staged(scope, without(publication, next.units), found);
      passing = next;
    }
  }
}

/** A publication that is judged whenever it is put on top of another snapshot. */
function reviewed(scope: PublishScope, publication: Publication): Publication {
  return {
    ...publication,
    review: async (latest) => {
      const found = await judge(scope, publication, latest);
      if (found.against.length > 0) throw new GatesFailed(found);
      return reportText(found.report);
    },
  };
}

/** What of a publication passes by itself; undefined where no gate fails for single partitions. */
function passingOf(publication: Publication, { judged }: Review): Publication | undefined {
  const failed = new Set(
    judged.flatMap(({ unit, failed: hasFailed }) => (hasFailed ? [unit] : [])),
  );
  if (failed.size === 0) return undefined;
  const units = new Map([...publication.units].filter(([unit]) => !failed.has(unit)));
  return { ...publication, units };
}

/** A publication without some of its units; it drops nothing. */
function without(publication: Publication, others: Publication['units']): Publication {
  const units = new Map([...publication.units].filter(([unit]) => !others.has(unit)));
  return { ...publication, units, removals: [] };
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
  { output, base, temporary, runId, onReport }: PublishScope,
  publication: Publication,
  { report, against, judged }: Review,
  reasons: readonly string[] = [],
  published?: Snapshot,
): Promise<Staged> {
  // The partitions that were published were judged last; the run is about all of them.
  onReport(report, 0);
  const all = [...reasons, ...against];
  const own = judged.filter(({ unit }) => publication.units.has(unit));
  const how = { runId, reason: all.join('\n'), gates: against, judged: own, report, temporary };
  const folder = await stage(output, publication, base, how);
  const where =
    published === undefined ? '' : `; what passes is published as snapshot ${published.number}`;
  const message = `${cappedLines(all).join('\n')}; staged in ${shown(folder)}${where}`;
  return new Staged(folder, new ScorelineError('gate', message), published);
}
