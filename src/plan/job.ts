/**
 * The job file, and the one way to read it: text in, a checked `Job` out. Every error is a line that names the file,
 * the line, the key, the value and what is allowed.
 */
import { dirname, resolve } from 'node:path';
import * as z from 'zod';
import { didYouMean, nearNames, ScorelineError, shown, systemError } from '../base/errors.js';
import { readFileOrPipe } from '../base/regular-file.js';
import type { CsvDialect } from './csv.js';
import type { JobBaseline, JobGates } from './gate-schema.js';
import { JOB_KEYS, type JobColumn, type JobLimit, jobFileSchema, schemaAt } from './job-schema.js';
import {
  isPlainMap,
  type JobPath,
  MAX_YAML_BYTES,
  readYaml,
  sayKey,
  sayPath,
  sayValue,
  setOwn,
} from './job-yaml.js';
import { bytesOf } from './schema-parts.js';

export {
  JOB_KEYS,
  type JobColumn,
  type JobLimit,
  jobFileSchema,
} from './job-schema.js';

/** A job as the rest of the program sees it: every default filled in, every path absolute. */
export interface Job {
  /** The absolute path of the job file; undefined for a job that was put together from arguments. */
  readonly file: string | undefined;
  /** The absolute folder that relative paths of the job start from. */
  readonly baseDir: string;
  /** The job as it is written, with what the command line set: `jobFromObject` makes the same job of it. */
  readonly source: unknown;
  readonly name: string;
  readonly input: {
    /** Absolute; a glob keeps its special characters. */
    readonly path: string;
    /** `path` as written: only here `*`, `?` and `[` are surely those of a glob and not of a folder above. */
    readonly pathText: string;
    readonly key: string | undefined;
    readonly where: string | undefined;
    /** A glob of the names of the files to read; without it those of Parquet and CSV files. */
    readonly files: string | undefined;
    readonly ready: string | undefined;
    /** By column name; SQL types in upper case without spaces. */
    readonly types: readonly { readonly column: string; readonly type: string }[];
    /** Whether to check the pages of Parquet files. */
    readonly checksums: boolean;
    /** How CSV files are written; undefined where the job does not say, which means RFC 4180 with a header. */
    readonly csv: CsvDialect | undefined;
  };
  readonly model: {
    readonly path: string;
    readonly sha256: string | undefined;
    /** Whether it may draw random numbers. */
    readonly allowRandom: boolean;
  };
  readonly features: JobFeatures;
  readonly output: {
    readonly path: string;
    readonly format: 'parquet' | 'csv';
    readonly compression: JobCompression;
    readonly keep: readonly string[];
    readonly partitionColumns: 'folders' | 'files';
    /** In the order of the job file (names that are whole numbers first); empty: every output under its own name. */
    readonly columns: readonly JobColumn[];
    /** How many snapshots stay after a publication; Infinity for all. */
    readonly keepSnapshots: number;
    /** What becomes of a partition that loses all its rows. */
    readonly emptyPartitions: 'stage' | 'publish';
  };
  readonly quarantine: { readonly max: JobLimit; readonly nonFinite: 'quarantine' | 'keep' };
  /** Kept columns of which statistics are made besides those that gates name. */
  readonly statistics: readonly string[];
  /** How many rows of each task are kept as a sample; 0 for none. */
  readonly sampleRows: number;
  /** What is published that a run is compared with; a file by its absolute path. */
  readonly baseline: JobBaseline;
  /** Undefined where the job says nothing of gates. */
  readonly gates: JobGates | undefined;
  /** Whether the first task of each unit is judged before the others are scored. */
  readonly canary: boolean;
  readonly run: {
    readonly workers: number | 'auto';
    /** What all worker processes together may take; undefined for a share of the machine. */
    readonly memoryBytes: number | undefined;
    readonly device: string;
    readonly engine: 'auto' | 'onnxruntime' | 'trees';
    readonly batchRows: number | 'auto';
    readonly batchTimeoutMs: number;
    /** How long tasks may go on when the run is interrupted. */
    readonly graceMs: number;
  };
}

/** How the files of an output are compressed: one of those that fit its format. */
export type JobCompression = 'zstd' | 'snappy' | 'gzip' | 'lz4' | 'uncompressed' | 'none';

/** The columns that feed the model: those named as its inputs, a list for one matrix, or a map by input name. */
export type JobFeatures =
  | { readonly by: 'name' }
  | { readonly by: 'list'; readonly columns: readonly string[] }
  | {
      readonly by: 'map';
      readonly inputs: readonly { readonly input: string; readonly column: string }[];
    };

/** Not more messages than a person reads. */
const MAX_MESSAGES = 50;

/** The line that messages about `--set` are sorted by: they come after those about the file. */
const AFTER_THE_FILE = Number.POSITIVE_INFINITY;

/** Reads and checks a job file; `overrides` are the texts of `--set key.path=value`, of which the last wins. */
export async function loadJob(file: string, overrides: readonly string[]): Promise<Job> {
  return parseJob(await readText(file), { file, overrides });
}

/** Checks the text of a job file; `file` is how messages name it, and relative paths start from its folder. */
export function parseJob(
  text: string,
  { file, overrides }: { readonly file: string; readonly overrides: readonly string[] },
): Job {
  const yaml = readYaml(text);
  const at = (line: number) => `${shown(file)}:${line}: `;
  const root = yaml.value;
  if (yaml.problems.length > 0) {
    throw invalid(yaml.problems.map(({ line, message }) => ({ line, said: at(line) + message })));
  }
  if (!isPlainMap(root)) {
    const line = yaml.lineOf([]);
    const found = root === null ? 'the file is empty' : `${sayValue(root)} is not a job`;
    const keys = Object.keys(jobFileSchema.shape).join(', ');
    throw invalid([{ line, said: `${at(line)}${found}; expected a map of keys (${keys})` }]);
  }
  const { settings, complaints } = applyOverrides(root, overrides);
  const settingOf = (path: JobPath) =>
    settings.findLast((s) => s.path.every((step, i) => step === path[i]));
  const checked = check(root, (path) => {
    const setting = settingOf(path);
    return setting === undefined
      ? yaml.sourceOf(path)
      : setting.sourceOf(path.slice(setting.path.length));
  });
  if ('job' in checked && complaints.length === 0) {
    const place = { file: resolve(file), baseDir: dirname(resolve(file)) };
    return toJob(checked.job, place, root);
  }
  const findings = 'job' in checked ? [] : checked.findings;
  const messages = findings.map(({ path, said }) => {
    const setting = settingOf(path);
    if (setting !== undefined) return { line: AFTER_THE_FILE, said: `${setting.name}: ${said}` };
    const line = yaml.lineOf(path);
    return { line, said: at(line) + said };
  });
  throw invalid([...messages, ...complaints.map((said) => ({ line: AFTER_THE_FILE, said }))]);
}

/** Checks a job that was put together from arguments; messages name the key only. */
export function jobFromObject(value: unknown, { baseDir }: { readonly baseDir: string }): Job {
  const checked = check(value, () => undefined);
  if ('job' in checked) {
    return toJob(checked.job, { file: undefined, baseDir: resolve(baseDir) }, value);
  }
  throw invalid(checked.findings.map(({ said }) => ({ line: 1, said })));
}

/** One error for all messages, by line. */
function invalid(messages: readonly { readonly line: number; readonly said: string }[]): Error {
  const sorted = messages.toSorted((a, b) => (a.line === b.line ? 0 : a.line - b.line));
  const lines = [...new Set(sorted.map(({ said }) => said))];
  const more = lines.length - MAX_MESSAGES;
  const told = more > 0 ? [...lines.slice(0, MAX_MESSAGES), `… and ${more} more errors`] : lines;
  return new ScorelineError('usage', told.join('\n'));
}

/** The text of a file that may be a pipe; never more than a job file can hold. */
async function readText(file: string): Promise<string> {
  const what = `cannot read job file ${shown(file)}`;
  let bytes: Buffer;
  try {
    bytes = await readFileOrPipe(file, MAX_YAML_BYTES + 1, {
      what: `job file ${shown(file)}`,
      code: 'usage',
    });
  } catch (error) {
    throw systemError(error, what, 'usage');
  }
  if (bytes.length > MAX_YAML_BYTES) {
    throw new ScorelineError('usage', `${what}: it is larger than ${MAX_YAML_BYTES} bytes`);
  }
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch (error) {
    throw new ScorelineError('usage', `${what}: it is not UTF-8 text`, { cause: error });
  }
}

type CheckedJob = z.output<typeof jobFileSchema>;

/** Something wrong with a value: where, and the words for it. */
interface Finding {
  readonly path: JobPath;
  readonly said: string;
}

/** A number or truth value as it is written in a text. */
type SourceOf = (path: JobPath) => string | undefined;

/** Applies the schema. */
function check(value: unknown, sourceOf: SourceOf): { job: CheckedJob } | { findings: Finding[] } {
  const reserved = reservedKeys(value, []);
  const result = jobFileSchema.safeParse(value);
  if (result.success && reserved.length === 0) return { job: result.data };
  const issues = result.success ? [] : result.error.issues;
  return {
    findings: [
      ...reserved,
      ...issues.flatMap((issue) => findingsOf(issue, { root: value, sourceOf }, [])),
    ],
  };
}

/** The schema library drops the key `__proto__` without a word; nobody's column may vanish so. */
function reservedKeys(value: unknown, path: JobPath): Finding[] {
  if (typeof value !== 'object' || value === null || path.length > 8) return [];
  return Object.entries(value).flatMap(([key, inner]) => {
    const here = [...path, key];
    if (key !== '__proto__') return reservedKeys(inner, here);
    return [{ path: here, said: `${sayPath(here)}: the name __proto__ is not allowed as a key` }];
  });
}

/** The words for an issue of the schema. */
function findingsOf(
  issue: z.core.$ZodIssue,
  text: { readonly root: unknown; readonly sourceOf: SourceOf },
  above: JobPath,
): Finding[] {
  const path = [...above, ...issue.path];
  if (issue.code === 'unrecognized_keys') {
    return issue.keys.map((key) => ({ path: [...path, key], said: sayUnknown([...path, key]) }));
  }
  if (issue.code === 'invalid_union') {
    // An alternative of the right kind: only what is inside it is wrong.
    const near = issue.errors.find((inner) => inner.every((one) => one.path.length > 0));
    if (near !== undefined) return near.flatMap((inner) => findingsOf(inner, text, path));
  }
  const key = path.length > 0 ? `${sayPath(path)}: ` : '';
  if (issue.code === 'custom' && issue.params?.whole === true) {
    return [{ path, said: key + issue.message }];
  }
  if (issue.code === 'invalid_key') {
    const expected = issue.issues[0]?.message ?? 'another name';
    return [{ path, said: `${key}this name is not allowed; expected ${expected}` }];
  }
  const value = valueAt(text.root, path);
  if (value === undefined) return [{ path, said: `${key}is missing; expected ${issue.message}` }];
  const source = typeof value === 'string' ? undefined : text.sourceOf(path);
  const written = source === undefined ? sayValue(value) : shown(source, 80);
  const hint = hintFor(issue, { value, source }, path);
  return [{ path, said: `${key}${written} is not allowed; expected ${issue.message}${hint}` }];
}

/** What may have been meant by a value that is not allowed. */
function hintFor(
  issue: z.core.$ZodIssue,
  { value, source }: { readonly value: unknown; readonly source: string | undefined },
  path: JobPath,
): string {
  if (issue.code === 'invalid_type' && issue.expected === 'string' && typeof value !== 'object') {
    return `; in quotes it is text: ${sayValue(source ?? String(value))}`;
  }
  if (typeof value !== 'string' || value.length > 60) return '';
  const schema = schemaAt(path);
  const examples = schema && z.globalRegistry.get(schema)?.examples;
  const options = issue.code === 'invalid_value' ? issue.values : examples;
  return didYouMean(value, Array.isArray(options) ? options.map(String) : []);
}

/** The words for a key that the schema does not know. */
function sayUnknown(path: JobPath): string {
  const [parent, name] = [path.slice(0, -1), String(path.at(-1))];
  const schema = schemaAt(parent);
  const siblings = schema instanceof z.ZodObject ? Object.keys(schema.shape) : [];
  if (name.length <= 60) {
    const near = nearNames(name, siblings).map((sibling) => sayKey([...parent, sibling]));
    const elsewhere = JOB_KEYS.filter(({ key }) => key.endsWith(`.${name}`)).map(({ key }) =>
      sayKey([key]),
    );
    const meant = (near.length > 0 ? near : elsewhere).join(', ');
    if (meant !== '') return `unknown key ${sayKey(path)} (did you mean ${meant}?)`;
  }
  return `unknown key ${sayKey(path)}${siblings.length > 0 ? `; expected one of ${siblings.join(', ')}` : ''}`;
}

/** The value at a path, undefined where there is none. */
function valueAt(root: unknown, path: JobPath): unknown {
  return path.reduce<unknown>(
    (value, step) =>
      typeof value === 'object' && value !== null && Object.hasOwn(value, step)
        ? Reflect.get(value, step)
        : undefined,
    root,
  );
}

/** A `--set` that was applied, for the messages about what it set. */
interface Setting {
  readonly path: JobPath;
  readonly name: string;
  readonly sourceOf: SourceOf;
}

/** Sets the values of `--set key.path=value` in `root`, one after the other. */
function applyOverrides(
  root: Record<string, unknown>,
  overrides: readonly string[],
): { settings: Setting[]; complaints: string[] } {
  const settings: Setting[] = [];
  const complaints: string[] = [];
  for (const override of overrides) {
    const name = `--set ${shown(override, 100)}`;
    const equals = override.indexOf('=');
    if (equals < 0) {
      complaints.push(`${name}: expected key=value, for instance run.workers=2`);
      continue;
    }
    const path = overridePath(override.slice(0, equals).trim());
    const text = override.slice(equals + 1);
    const problem = setAt(root, path, text);
    const sourceOf = (within: JobPath) => readYaml(text).sourceOf(within);
    if (problem === undefined) settings.push({ path, name, sourceOf });
    else complaints.push(`${name}: ${problem}`);
  }
  return { settings, complaints };
}

/** The steps of a dotted key: as far as the schema knows it, and in a map of names the whole rest is one name. */
function overridePath(dotted: string): string[] {
  const steps = dotted.split('.');
  for (let length = 1; length < steps.length; length++) {
    const path = steps.slice(0, length);
    const schema = schemaAt(path);
    if (schema === undefined) return path;
    if (!(schema instanceof z.ZodObject)) return [...path, steps.slice(length).join('.')];
  }
  return steps;
}

/** Sets one value; the answer is what is wrong with it, if anything. */
function setAt(
  root: Record<string, unknown>,
  path: readonly string[],
  text: string,
): string | undefined {
  const schema = schemaAt(path);
  if (schema === undefined) return sayUnknown(path);
  const yaml = readYaml(text);
  const isQuoted = /^(["']).*\1$/s.test(text) && typeof yaml.value === 'string';
  // A key that takes text takes it as written: a glob may begin with *, and SQL may look like YAML.
  const isText = schema instanceof z.ZodString && !isQuoted;
  if (!isText && yaml.problems[0] !== undefined) return yaml.problems[0].message;
  let map = root;
  for (const [index, step] of path.slice(0, -1).entries()) {
    const inner = valueAt(map, [step]) ?? {};
    if (!isPlainMap(inner)) {
      const above = sayPath(path.slice(0, index + 1));
      return `${above} is ${sayValue(inner)} in the job file; set ${above} as a whole`;
    }
    setOwn(map, step, inner);
    map = inner;
  }
  setOwn(map, path.at(-1) ?? '', isText ? text : yaml.value);
  return undefined;
}

/** The checked values under the names that the rest of the program uses. */
function toJob(
  checked: CheckedJob,
  { file, baseDir }: Pick<Job, 'file' | 'baseDir'>,
  source: unknown,
): Job {
  const { input, model, output, quarantine, baseline, run } = checked;
  const types = Object.entries(input.types).map(([column, type]) => ({ column, type }));
  const columns = Object.entries(output.columns).map(([name, shows]) => ({ name, ...shows }));
  return {
    file,
    baseDir,
    source,
    name: checked.name,
    input: {
      path: resolve(baseDir, input.path),
      pathText: input.path,
      key: input.key,
      where: input.where,
      files: input.files,
      ready: input.ready,
      types: types.sort((a, b) => (a.column < b.column ? -1 : 1)),
      checksums: input.checksums,
      csv: input.csv && {
        delimiter: input.csv.delimiter,
        quote: input.csv.quote,
        columns: input.csv.columns,
        null: input.csv.null,
      },
    },
    model: {
      path: resolve(baseDir, model.path),
      sha256: model.sha256,
      allowRandom: model.allow_random,
    },
    features: featuresOf(checked.features),
    output: {
      path: resolve(baseDir, output.path),
      format: output.format,
      compression: output.compression ?? (output.format === 'csv' ? 'none' : 'zstd'),
      keep: output.keep,
      partitionColumns: output.partition_columns,
      columns,
      emptyPartitions: output.empty_partitions,
      keepSnapshots:
        output.keep_snapshots === 'all' ? Number.POSITIVE_INFINITY : output.keep_snapshots,
    },
    quarantine: { max: quarantine.max, nonFinite: quarantine.non_finite },
    statistics: checked.statistics,
    sampleRows: checked.sample_rows,
    baseline:
      typeof baseline === 'object' && 'file' in baseline
        ? { file: resolve(baseDir, baseline.file) }
        : baseline,
    gates: checked.gates,
    canary: checked.canary,
    run: {
      workers: run.workers,
      memoryBytes: bytesOf(run.memory),
      device: run.device,
      engine: run.engine,
      batchRows: run.batch_rows,
      batchTimeoutMs: Math.max(1, Math.round(run.batch_timeout * 1000)),
      graceMs: Math.round(run.grace * 1000),
    },
  };
}

function featuresOf(features: CheckedJob['features']): JobFeatures {
  if (features === undefined) return { by: 'name' };
  if (Array.isArray(features)) return { by: 'list', columns: features };
  const inputs = Object.entries(features).map(([input, column]) => ({ input, column }));
  return { by: 'map', inputs: inputs.sort((a, b) => (a.input < b.input ? -1 : 1)) };
}
