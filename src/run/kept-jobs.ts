/** The jobs that an output was scored with, as its records keep them. */
import { z } from 'zod';
import { sha256 } from '../base/hash.js';
import { type Job, jobFromObject } from '../plan/job.js';
import { chainFile, chainNumbers, jobFile, readIfThere } from './chain.js';
import type { Output } from './store.js';

/** How many records are looked at for jobs, the newest first. */
const MAX_RECORDS = 1000;

/** A job as a record names it. */
export interface KeptJob {
  /** What `runs/jobs/` keeps. */
  readonly text: string;
  /** The folder that the paths of its input are relative to. */
  readonly root: string;
}

const receiptSchema = z.looseObject({
  outcome: z.enum(['published', 'partial', 'unchanged', 'scored', 'staged']),
  receipt: z.looseObject({
    job: z.string().regex(/^[0-9a-f]{64}$/),
    inputs: z.looseObject({ root: z.string() }),
  }),
});

/** The jobs that the output was scored with, each once, that of the newest record first. */
export async function* keptJobs(output: Output): AsyncGenerator<KeptJob, void, undefined> {
  const seen = new Set<string>();
  for (const number of (await chainNumbers(output)).slice(-MAX_RECORDS).reverse()) {
    const record = receiptSchema.safeParse(jsonOf(await readIfThere(chainFile(output, number))));
    if (!record.success) continue;
    const { job, inputs } = record.data.receipt;
    const id = JSON.stringify([job, inputs.root]);
    if (seen.has(id)) continue;
    seen.add(id);
    const text = await readIfThere(jobFile(output, job));
    if (text !== undefined && sha256(text) === job) yield { text, root: inputs.root };
  }
}

const keptSchema = z.strictObject({
  file: z.string().nullable(),
  baseDir: z.string(),
  job: z.unknown(),
});

/** Reads a kept job. Throws where this version cannot read it. */
export function jobOfKept(text: string): Job {
  const kept = keptSchema.parse(JSON.parse(text));
  return { ...jobFromObject(kept.job, kept), file: kept.file ?? undefined };
}

function jsonOf(text: string | undefined): unknown {
  try {
    return text === undefined ? undefined : JSON.parse(text);
  } catch {
    return undefined;
  }
}
