/**
 * The schema of the job file: what it may say, in the form that YAML has it. `job.ts` applies it and words the
 * messages; the error text of every schema here is what such a message says after "expected".
 */
import * as z from 'zod';
import { baselineSchema, gatesSchema } from './gate-schema.js';
import { inputSchema } from './input-schema.js';
import { isPlainMap, type JobPath, sayPath, sayValue } from './job-yaml.js';
import {
  always,
  autoOrBytes,
  autoOrWhole,
  column,
  columnList,
  oneOf,
  path,
  refuse,
  sayCase,
  section,
  text,
  whole,
} from './schema-parts.js';

const PARQUET_COMPRESSIONS = ['zstd', 'snappy', 'gzip', 'lz4', 'uncompressed'] as const;
const CSV_COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;
const COMPRESSIONS = [...PARQUET_COMPRESSIONS, 'none'] as const;

/** How many rows may be quarantined: a share of the planned rows but at least `minRows`, or a number of rows. */
export type JobLimit =
  | { readonly unit: 'share'; readonly share: number; readonly minRows: number }
  | { readonly unit: 'rows'; readonly rows: number };

/** A prediction column and the model output it shows: all of it, or the element of one class. */
export interface JobColumn {
  readonly name: string;
  readonly output: string;
  readonly element: string | undefined;
}

const DEVICES = ['auto', 'cpu', 'cuda', 'tensorrt', 'webgpu', 'dml', 'coreml', 'rocm', 'openvino'];
const MIN_QUARANTINE_ROWS = 10;
const MAX_TIMEOUT_SECONDS = 604_800;
/** How many snapshots are kept where nothing is said. */
export const KEEP_SNAPSHOTS = 10;
const MAX_GRACE_SECONDS = 3600;

const NAME = '1 to 64 letters, digits, ".", "_" or "-", beginning with a letter or a digit';
const SHA = 'a SHA-256 of 64 hexadecimal digits';
const FEATURES = 'a list of column names, or a map of model input to column name';
const COMPRESSION = `one of ${PARQUET_COMPRESSIONS.join(', ')} for parquet; ${CSV_COMPRESSIONS.join(', ')} for csv`;
const OUTPUT = 'a model output, or output[class]';
const LIMIT = 'a share of the rows such as 0.1%, or a whole number of rows';
const DEVICE = `auto or a device in lower-case letters and digits, such as ${DEVICES.slice(1).join(', ')}`;
const MAX_SNAPSHOTS = 1_000_000;
const SNAPSHOTS = `all or a whole number from 1 to ${MAX_SNAPSHOTS}`;
const MAX_SAMPLE_ROWS = 65_536;
const SAMPLE = `a whole number from 0 to ${MAX_SAMPLE_ROWS}`;
const GRACE = `a number of seconds from 0 to ${MAX_GRACE_SECONDS}`;
const SECONDS = `a number of seconds above 0 and at most ${MAX_TIMEOUT_SECONDS}`;

/** The schema of `output`. */
const outputSchema = section({
  path: path('a local folder').describe(
    'The folder to publish in, relative to the job file; scoreline owns it.',
  ),
  format: oneOf(['parquet', 'csv']).default('parquet').describe('The format of published files.'),
  compression: z
    .enum(COMPRESSIONS, { error: COMPRESSION })
    .optional()
    .describe(
      'The compression of published files: zstd, snappy, gzip, lz4 or uncompressed for Parquet; none, gzip or zstd for CSV.',
    ),
  keep: columnList('a list of column names')
    .default([])
    .describe('Input columns that are passed through with their types, beside the predictions.'),
  partition_columns: oneOf(['folders', 'files'])
    .default('folders')
    .describe(
      'Where kept columns of name=value folders are published: in the names of the folders, or in the files as well.',
    ),
  columns: z
    .record(column(), text(OUTPUT).transform(outputOf), {
      error: 'a map of prediction column to model output',
    })
    .default({})
    .describe('Prediction columns by name: a model output, or one class of it as output[class].'),
  empty_partitions: oneOf(['stage', 'publish'])
    .default('stage')
    .describe(
      'What becomes of a partition that loses all its rows: the run is staged, or publishes it without a row.',
    ),
  keep_snapshots: z
    .union([z.literal('all', { error: SNAPSHOTS }), whole(1, MAX_SNAPSHOTS, SNAPSHOTS)], {
      error: SNAPSHOTS,
    })
    .default(KEEP_SNAPSHOTS)
    .describe('How many snapshots stay after a publication, the newest ones.'),
})
  .superRefine(checkOutput, always)
  .describe('Where the predictions go, and in which form.');

/** The schema of a job file: it checks, fills in defaults and brings values to one form; paths stay as written. */
export const jobFileSchema = section({
  name: text(NAME)
    .regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$/, { error: NAME })
    .describe('The name of the job; published files and reports carry it.'),
  input: inputSchema,
  model: section({
    path: path('a local ONNX file').describe('The ONNX model, relative to the job file.'),
    sha256: z
      .string({ error: SHA })
      .regex(/^[0-9a-fA-F]{64}$/, { error: SHA })
      .toLowerCase()
      .optional()
      .describe('The SHA-256 that the model file must have.'),
    allow_random: z
      .boolean({ error: 'true or false' })
      .default(false)
      .describe('Whether the model may draw random numbers: its scores are others each time.'),
  }).describe('What scores.'),
  features: z
    .union(
      [
        columnList(FEATURES).min(1, { error: FEATURES }),
        z
          .record(text('the name of a model input'), column(), { error: FEATURES })
          .refine((map) => Object.keys(map).length > 0, { error: FEATURES })
          .meta({ minProperties: 1 }),
      ],
      { error: FEATURES },
    )
    .optional()
    .describe(
      'The columns that feed the model: a list in order for one matrix input, or a map of model input to column.',
    ),
  output: outputSchema,
  quarantine: section({
    max: z
      .union(
        [
          z
            .string()
            .regex(/^\d+(\.\d+)?%$/, { error: LIMIT })
            .refine((value) => Number.parseFloat(value) <= 100, { error: LIMIT }),
          whole(0, Number.MAX_SAFE_INTEGER, LIMIT),
        ],
        { error: LIMIT },
      )
      .transform(limitOf)
      .prefault('0.1%')
      .describe('How many rows may be set aside before the run stops: a share, or a number.'),
    non_finite: oneOf(['quarantine', 'keep'])
      .default('quarantine')
      .describe('What becomes of a row whose prediction is NaN or infinite.'),
  })
    .prefault({})
    .describe('Rows that cannot be scored.'),
  statistics: columnList('a list of column names')
    .default([])
    .describe('Columns of output.keep whose statistics are kept, too.'),
  sample_rows: whole(0, MAX_SAMPLE_ROWS, SAMPLE)
    .default(4096)
    .describe(
      'How many rows of each task are kept, to explain later why scores moved; 0 keeps none.',
    ),
  baseline: baselineSchema
    .default('auto')
    .describe('What is published that a run is compared with.'),
  gates: gatesSchema
    .optional()
    .describe('What must hold between scoring and publication; without it the defaults only warn.'),
  canary: z
    .boolean({ error: 'true or false' })
    .default(false)
    .describe('Whether one task of each partition is scored and judged before the others are.'),
  run: section({
    workers: autoOrWhole(1, 256)
      .default('auto')
      .describe('The number of worker processes; auto is one per usable core.'),
    memory: autoOrBytes(256e6)
      .default('auto')
      .describe(
        'The memory that all worker processes together may take, such as 4GB; auto is 80% of the machine or of its cgroup.',
      ),
    device: z
      .string({ error: DEVICE })
      .regex(/^[a-z][a-z0-9]*$/, { error: DEVICE })
      .meta({ examples: DEVICES })
      .default('auto')
      .describe('Where the model runs; a named device that is absent is an error.'),
    engine: oneOf(['auto', 'onnxruntime', 'trees'])
      .default('auto')
      .describe(
        "What runs the model; trees is scoreline's own engine for tree ensembles, whose scores are the same bits.",
      ),
    batch_rows: autoOrWhole(1, 1_048_576)
      .default('auto')
      .describe('The number of rows that the model gets at a time.'),
    batch_timeout: z
      .number({ error: SECONDS })
      .positive({ error: SECONDS })
      .max(MAX_TIMEOUT_SECONDS, { error: SECONDS })
      .default(300)
      .describe('The seconds after which a batch that has not ended is given up.'),
    grace: z
      .number({ error: GRACE })
      .nonnegative({ error: GRACE })
      .max(MAX_GRACE_SECONDS, { error: GRACE })
      .default(10)
      .describe('The seconds that running tasks have to end when the run is interrupted.'),
  })
    .prefault({})
    .describe('How the work is done; the predictions do not depend on it.'),
}).superRefine(checkBaseline, always);

/** One key of the job file. */
export interface JobKey {
  /** In dotted form: `run.workers`. */
  readonly key: string;
  /** One sentence. */
  readonly description: string;
}

/** Every key of the job file, in the order of the schema. */
export const JOB_KEYS: readonly JobKey[] = keysOf(jobFileSchema, []);

function keysOf(schema: z.ZodObject, above: JobPath): JobKey[] {
  return Object.entries(schema.shape).flatMap(([name, value]) => {
    const path = [...above, name];
    const inner = bare(value);
    if (inner instanceof z.ZodObject) return keysOf(inner, path);
    const description = z.globalRegistry.get(value)?.description ?? '';
    return [{ key: sayPath(path), description }];
  });
}

/** The schema of what stands at a path of the job file, without its default; undefined for an unknown key. */
export function schemaAt(path: JobPath): z.core.$ZodType | undefined {
  return path.reduce<z.core.$ZodType | undefined>(
    (schema, step) => schema && childOf(schema, step),
    jobFileSchema,
  );
}

function childOf(schema: z.core.$ZodType, step: PropertyKey): z.core.$ZodType | undefined {
  if (schema instanceof z.ZodObject) {
    return Object.hasOwn(schema.shape, step) ? bare(schema.shape[String(step)]) : undefined;
  }
  if (schema instanceof z.ZodRecord) return bare(schema.valueType);
  if (schema instanceof z.ZodArray) return typeof step === 'number' ? schema.element : undefined;
  if (schema instanceof z.ZodUnion) {
    return schema.options
      .map((option) => childOf(option, step))
      .find((child) => child !== undefined);
  }
  return undefined;
}

/** A schema without what is wrapped around it: defaults, what makes it optional, and transformations. */
function bare(schema: z.core.$ZodType): z.core.$ZodType {
  if (
    schema instanceof z.ZodOptional ||
    schema instanceof z.ZodDefault ||
    schema instanceof z.ZodPrefault
  ) {
    return bare(schema.unwrap());
  }
  return schema instanceof z.ZodPipe ? bare(schema.in) : schema;
}

/** Reads `output` or `output[class]`; the class is what stands in the last pair of brackets. */
function outputOf(
  written: string,
  issues: z.core.$RefinementCtx<string>,
): { output: string; element: string | undefined } {
  const [, output, element] = /^(.+)\[([^[\]]+)\]$/s.exec(written) ?? [];
  if (output !== undefined) return { output, element };
  if (!/[[\]]/.test(written)) return { output: written, element: undefined };
  issues.issues.push({ code: 'custom', message: OUTPUT, input: written });
  return z.NEVER;
}

function limitOf(written: string | number): JobLimit {
  if (typeof written === 'number') return { unit: 'rows', rows: written };
  const share = Number.parseFloat(written) / 100;
  // Who writes 0% wants none at all, not the ten rows that a small share of a small input would allow.
  if (share === 0) return { unit: 'rows', rows: 0 };
  return { unit: 'share', share, minRows: MIN_QUARANTINE_ROWS };
}

/** What `baseline` needs of `input`: without dates no day is the same day of the week as another, and nothing would be judged. */
function checkBaseline(job: unknown, issues: z.core.$RefinementCtx<unknown>): void {
  if (!isPlainMap(job) || !isPlainMap(job.baseline) || !isPlainMap(job.input)) return;
  const templates =
    String(job.input.path)
      .match(/\{date:[^{}]*\}/g)
      ?.join() ?? '';
  if (!('same-weekday' in job.baseline)) return;
  if (['yyyy', 'MM', 'dd'].every((part) => templates.includes(part))) return;
  refuse(
    issues,
    ['baseline', 'same-weekday'],
    'needs dates in input.path, such as {date:yyyy-MM-dd}; without dates use { trailing: 7 }',
  );
}

/** What holds between the keys of `output`: the compression fits the format, and no two columns share a name. */
function checkOutput(output: unknown, issues: z.core.$RefinementCtx<unknown>): void {
  if (!isPlainMap(output)) return;
  const { format, compression, keep, columns } = output;
  const fitting: readonly unknown[] = format === 'csv' ? CSV_COMPRESSIONS : PARQUET_COMPRESSIONS;
  const known = COMPRESSIONS.some((name) => name === compression);
  if ((format === 'csv' || format === 'parquet') && known && !fitting.includes(compression)) {
    const message = `${sayValue(compression)} does not fit the format ${format}; expected one of ${fitting.join(', ')}`;
    refuse(issues, ['compression'], message);
  }
  const taken = new Map<string, { name: string; where: string }>();
  for (const name of Array.isArray(keep) ? keep.map(String) : []) {
    taken.set(name.toLowerCase(), { name, where: 'output.keep' });
  }
  for (const name of Object.keys(columns ?? {})) {
    const before = taken.get(name.toLowerCase());
    if (before === undefined) {
      taken.set(name.toLowerCase(), { name, where: 'output.columns' });
      continue;
    }
    const message = `the name ${sayValue(name)} is taken by ${before.where}${sayCase(name, before.name)}`;
    refuse(issues, ['columns', name], message);
  }
}
