/** The JSON Schema of the job file, for editors: what they complete, explain and mark as wrong. */
import * as z from 'zod';
import { jobFileSchema } from './job-schema.js';

/** The title by which a file is known to hold this schema. */
export const JOB_SCHEMA_TITLE = 'scoreline job file';

/**
 * The JSON Schema (draft 2020-12) of what a job file may say. It refuses no file that `loadJob` takes; what holds between keys,
 * and what a name must be, `loadJob` alone knows.
 */
export function jobJsonSchema(): unknown {
  const schema = z.toJSONSchema(jobFileSchema, { io: 'input' });
  return {
    ...schema,
    title: JOB_SCHEMA_TITLE,
    description: 'What to score, with which model, and where to publish.',
  };
}
