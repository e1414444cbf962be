/**
 * Whose an output is: the job that publishes there, and its input. Another job would replace or mix what is published, night
 * after night, so it is refused unless a person says that it takes the output over.
 */
import { existsSync } from 'node:fs';
import { relative } from 'node:path';
import { z } from 'zod';
import { ScorelineError, shown } from '../base/errors.js';
import { listFolder, resolved, writeFileWhole } from '../base/files.js';
import { canonicalJson, isUnedited, sealed } from '../base/hash.js';
import { folderOfInput } from '../plan/find.js';
import type { Job } from '../plan/job.js';
import { readIfThere } from './chain.js';
import { jobOfKept, keptJobs } from './kept-jobs.js';
import { latestSnapshot } from './snapshot.js';
import type { Output } from './store.js';

/** The name of the file that says whose an output is. */
export const OWNER_FILE = 'owner.json';

/** A place by its path, and as seen from the output: that one stays when both are moved together. */
const placeSchema = z.strictObject({ absolute: z.string(), fromOutput: z.string() });

type Place = z.infer<typeof placeSchema>;

const ownerSchema = z.strictObject({
  format: z.literal(1),
  job: z.string(),
  /** `input.path` as the job has it. */
  text: z.string(),
  /** The path or glob of the input, and the folder above its first special character. */
  input: placeSchema,
  root: placeSchema,
  /** The job file; null for a job without one. */
  file: placeSchema.nullable(),
});

const sealedSchema = ownerSchema.extend({ digest: z.string() });

/** The job that an output belongs to. */
type Owner = z.infer<typeof ownerSchema>;

/** What of a job tells it from others. */
export type Claimant = Pick<Job, 'name' | 'file' | 'baseDir'> & {
  readonly input: Pick<Job['input'], 'path' | 'pathText'>;
};

function ownerOf({ name, file, baseDir, input }: Claimant, output: string): Owner {
  const place = (path: string): Place => ({
    absolute: path,
    fromOutput: relative(output, path),
  });
  return {
    format: 1,
    job: name,
    text: input.pathText,
    input: place(input.path),
    root: place(folderOfInput({ ...input, baseDir })),
    file: file === undefined ? null : place(file),
  };
}

/**
 * Makes an output a job's own. Throws `usage` when another job has published or staged something there, unless `adopt`. An output
 * of which nothing is published or staged has no owner yet.
 */
export async function claimOutput(output: Output, job: Job, adopt = false): Promise<void> {
  const own = ownerOf(job, output.root);
  const marked = await markOf(output);
  if (!adopt) await refuseOther(output, own, marked ?? (await recordedOwner(output)));
  if (marked === undefined || canonicalJson(marked) !== canonicalJson(own))
    await writeFileWhole(output.path(OWNER_FILE), `${canonicalJson(sealed(own))}\n`);
}

/** Whether a job may publish in an output. Throws `usage` when another job has published or staged something there. */
export async function checkOwner(output: Output, job: Claimant): Promise<void> {
  const owner = (await markOf(output)) ?? (await recordedOwner(output));
  await refuseOther(output, ownerOf(job, output.root), owner);
}

async function refuseOther(
  output: Output,
  own: Owner,
  owner: Pick<Owner, 'job'> | Owner | undefined,
): Promise<void> {
  if (owner === undefined || isSame(owner, own) || !(await isUsed(output))) return;
  const [theirs, ours] = 'text' in owner ? differenceOf(owner, own) : [owner.job, own.job];
  throw new ScorelineError(
    'usage',
    `output.path ${shown(output.root)}: belongs to job ${theirs}, and this is job ${ours}, which would replace what that one published; give each job an output.path of its own, or take this one over with --adopt`,
  );
}

function differenceOf(owner: Owner, own: Owner): [string, string] {
  const [theirs, ours] =
    owner.input.absolute === own.input.absolute
      ? [owner.file?.absolute, own.file?.absolute]
      : [owner.input.absolute, own.input.absolute];
  const said = (job: string, place = ''): string => `"${job}" (${shown(place)})`;
  return [said(owner.job, theirs), said(own.job, ours)];
}

/**
 * Whether two jobs are one: the name is the same, and so is the input, or the job file with an input of the same root, which was
 * edited then. A job whose former input is gone and whose path reads as before was moved.
 */
function isSame(owner: Pick<Owner, 'job'> | Owner, own: Owner): boolean {
  if (owner.job !== own.job) return false;
  if (!('text' in owner) || isSamePlace(owner.input, own.input)) return true;
  if (owner.text === own.text && !existsSync(owner.root.absolute)) return true;
  return isSamePlace(owner.root, own.root) && isSamePlace(owner.file, own.file);
}

function isSamePlace(a: Place | null, b: Place | null): boolean {
  if (a === null || b === null) return false;
  return (
    a.absolute === b.absolute ||
    a.fromOutput === b.fromOutput ||
    resolved(a.absolute) === resolved(b.absolute)
  );
}

/** Whether anything is published or staged in an output. */
async function isUsed(output: Output): Promise<boolean> {
  if ((await listFolder(output.path('snapshots'))).length > 0) return true;
  return (await listFolder(output.path('staged'))).length > 0;
}

/** The owner as the output says it; undefined where it does not, or the file is damaged: the records say it then. */
async function markOf(output: Output): Promise<Owner | undefined> {
  try {
    const { digest, ...owner } = sealedSchema.parse(
      JSON.parse((await readIfThere(output.path(OWNER_FILE))) ?? ''),
    );
    return isUnedited({ ...owner, digest }) ? owner : undefined;
  } catch {
    return undefined;
  }
}

/** Tells whether an output has a file that says whose it is, and that file is damaged. */
export async function isOwnerDamaged(output: Output): Promise<boolean> {
  return existsSync(output.path(OWNER_FILE)) && (await markOf(output)) === undefined;
}

/** The job of the newest record; of one that cannot be read, and without records, the name that is published. */
async function recordedOwner(output: Output): Promise<Pick<Owner, 'job'> | Owner | undefined> {
  for await (const { text } of keptJobs(output)) {
    try {
      const job = jobOfKept(text);
      return ownerOf(job, job.output.path);
    } catch {
      // A job of an earlier version, or an input that cannot be looked at.
      break;
    }
  }
  const latest = await latestSnapshot(output).catch(() => undefined);
  return latest === undefined ? undefined : { job: latest.manifest.name };
}
