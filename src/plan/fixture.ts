/** `fixture.json`: what a check compares with, and what it was recorded from. */
import * as z from 'zod';

const digest = z.string().regex(/^[0-9a-f]{64}$/);
const count = z.int().nonnegative();

const recordedSchema = z
  .strictObject({
    expected: digest.describe('The SHA-256 of the expected rows.'),
    rows: z.strictObject({ rows: count, scored: count, quarantined: count, filtered: count }),
    model: z
      .array(digest)
      .describe('The SHA-256 of the model file, then those of its external data.'),
    input: digest.describe('The SHA-256 of lines as sha256sum prints them for the input files.'),
    job: z
      .record(z.string(), z.string())
      .describe('What of the job settles scores and predictions, by key.'),
    versions: z.record(z.string(), z.string()),
  })
  .describe('What was scored when the expected rows were recorded.');

const selectionSchema = z.strictObject({
  date: z.string().optional(),
  from: z.string().optional(),
  to: z.string().optional(),
  allow_missing: z.literal(true).optional(),
  partition: z.array(z.string()).optional(),
});

/** The schema of `fixture.json`. */
export const fixtureSchema = z.strictObject({
  format: z.literal(1),
  input: z
    .string()
    .min(1)
    .optional()
    .describe('Read instead of input.path; relative to this file.'),
  selection: selectionSchema.optional().describe('Which part of the input, as options of a run.'),
  expected: z
    .string()
    .min(1)
    .default('expected.parquet')
    .describe('The Parquet file of the expected rows, relative to this file.'),
  columns: z
    .array(z.string().min(1))
    .min(1)
    .optional()
    .describe('The columns of it that are compared; without it, all but the key.'),
  tolerances: z
    .record(z.string(), z.string())
    .default({})
    .describe('By column, or "*" for all others: exact, absolute:1e-6, relative:1e-5, ulp:4.'),
  recorded: recordedSchema.optional(),
});

/** What `fixture.json` says. */
export type Fixture = z.infer<typeof fixtureSchema>;

/** What was scored when expected rows were recorded. */
export type Recorded = z.infer<typeof recordedSchema>;

/** The column of expected rows that names the partition of a row, where there is more than one. */
export const PARTITION_COLUMN = 'scoreline_partition';
/** The column of expected rows that says why a row is set aside; null for one that is scored. */
export const REASON_COLUMN = 'scoreline_reason';
