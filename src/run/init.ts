/** The first job file for a model and data: both are looked at through workers, and what follows is written down. */
import { existsSync } from 'node:fs';
import { lstat, readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { basename, dirname, isAbsolute, join, relative, resolve } from 'node:path';
import { didYouMean, errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { makeFolder, writeFileWhole } from '../base/files.js';
import { usableCores } from '../base/machine.js';
import { type Dataset, listDataset } from '../plan/dataset.js';
import { dateTemplate } from '../plan/date-template.js';
import { type Draft, draftJob } from '../plan/draft.js';
import { type JobText, jobNameOf, jobText } from '../plan/draft-text.js';
import { reachesInto } from '../plan/find.js';
import { type Job, parseJob } from '../plan/job.js';
import { JOB_SCHEMA_TITLE, jobJsonSchema } from '../plan/job-json-schema.js';
import { hasDate } from '../plan/selection.js';
import { plural } from '../report/report.js';
import { freeOutput } from './free-output.js';
import { inspectWith } from './inspect.js';
import { planJob } from './plan-job.js';
import { Pool } from './pool.js';
import { type Survey, surveyData } from './survey.js';
import { defaultMemoryBytes, duckdbBytes } from './workers.js';

/** The name of the schema that is written beside a job file. */
const SCHEMA_FILE = 'scoreline.schema.json';
/** CSV files of more bytes than this are not read to the end to say what a run would do. */
const CSV_BYTES = 2 ** 28;

/** What a draft is made of, as a command line has it: paths start from the folder `cwd`. */
export interface InitRequest {
  readonly model: string;
  readonly data: string;
  /** The job file that is to be written. */
  readonly file: string;
  /** Whether a file that is there may be replaced. */
  readonly force: boolean;
  readonly cwd: string;
  readonly now: () => Date;
}

/** A job that was drafted, before anybody was asked. */
export interface DraftedJob {
  /** All that is to be written but the output. */
  readonly text: Omit<JobText, 'output'>;
  /** Where it would publish, as seen from `cwd`. */
  readonly output: string;
  /** The columns that a key may be chosen from. */
  readonly columns: readonly string[];
  /** Whether to find out what a run would do. */
  readonly plan: boolean;
}

/** What a person chose instead of what was drafted; a key of null is none. */
export interface InitAnswers {
  readonly output?: string | undefined;
  readonly key?: string | null | undefined;
}

/** A job file that was written. */
export interface WrittenJob {
  readonly file: string;
  readonly schema: string;
  /** How the columns of the features were found; `open` where a person has to name them. */
  readonly features: Draft['features']['by'];
  readonly key: string | null;
  readonly output: string;
  /** What a run would score; null where that is not known. */
  readonly rows: number | null;
  readonly partitions: number | null;
  /** What keeps the job from running as it is. */
  readonly problems: readonly string[];
}

/** Looks at a model and data, and drafts a job. Throws `usage` when there is such a file, `input` and `model`. */
export async function draftFor(request: InitRequest): Promise<DraftedJob> {
  const { model, data, file, cwd } = request;
  await refuseExisting(request);
  if (hasDate(data)) {
    throw new ScorelineError(
      'usage',
      `data ${shown(data)}: name the folder or files that are there; the job file then proposes {date:…}`,
    );
  }
  // By its name, before the other one is looked at as data.
  const kind = /\.(?:(parquet|parq|pq)|[ct]sv(?:\.gz|\.zst)?)$/i.exec(model);
  if (kind !== null) throw notTheModel(model, kind[1] === undefined ? 'CSV' : 'Parquet');
  const input = { path: resolve(cwd, data), pathText: data, baseDir: cwd };
  const csv = /\.tsv(?:\.gz|\.zst)?$/i.test(data);
  const dataset = await listDataset({ ...input, ready: undefined, csv });
  const absolute = resolve(cwd, model);
  const pool = poolFor([dataset.root, dirname(absolute)]);
  try {
    const look = await inspectWith(pool, absolute, model);
    if (look.kind !== 'model') throw notTheModel(model, look.kind === 'csv' ? 'CSV' : 'Parquet');
    const nowNs = (): bigint => BigInt(request.now().getTime()) * 1_000_000n;
    const survey = await surveyData(dataset, pool, nowNs);
    const { facts, metadata } = look;
    const drafted = draftJob({ model: facts, metadata, ...survey });
    const { name, output } = await freeOutput(
      { name: jobNameOf(model), file: resolve(cwd, file), baseDir: cwd, input },
      (named) => outputFor(named, dataset, input),
      cwd,
    );
    const bytes = dataset.files.reduce((sum, { stamp }) => sum + stamp.size, 0);
    return {
      text: {
        name,
        from: `${basename(model)} and ${data}`,
        schema: SCHEMA_FILE,
        model: seenFrom(file, model, cwd),
        input: inputText(dataset, survey, drafted, request),
        looked: survey.looked,
        chosen: false,
        draft: drafted,
      },
      output,
      columns: survey.columns.filter(({ partition }) => !partition).map(({ name }) => name),
      plan: dataset.format === 'parquet' || bytes <= CSV_BYTES,
    };
  } finally {
    await pool.close();
  }
}

function notTheModel(path: string, kind: string): ScorelineError {
  const what = `${shown(path)}: is ${kind}, not a model`;
  return new ScorelineError('model', `${what}; the model comes first, then the data`);
}

/**
 * Writes a drafted job and the schema beside it: so editors find it offline, in every checkout, whatever is installed where. Then
 * says what a run would do. Throws `usage` for an answer that cannot be, `environment`.
 */
export async function writeDraft(
  drafted: DraftedJob,
  request: InitRequest,
  answers: InitAnswers,
): Promise<WrittenJob> {
  const { file, cwd } = request;
  await refuseExisting(request);
  const chosen = withAnswers(drafted, answers);
  const absolute = resolve(cwd, file);
  const output = seenFrom(file, answers.output ?? drafted.output, cwd);
  const content = jobText({ ...chosen, output });
  // Read as a run reads it, before anything is written.
  const job = parseJob(content, { file: absolute, overrides: [] });
  await makeFolder(dirname(absolute));
  const schema = join(dirname(file), SCHEMA_FILE);
  await writeSchema(resolve(cwd, schema), schema, request);
  await writeFileWhole(absolute, content);
  const { draft, looked } = chosen;
  const key = looked.all || chosen.chosen ? (draft.key ?? null) : null;
  const features = draft.features.by;
  const written = { file, schema, features, key, output: answers.output ?? drafted.output };
  return { ...written, ...(await whatARunDoes(job, drafted.plan, request.now)) };
}

async function whatARunDoes(
  job: Job,
  plan: boolean,
  now: () => Date,
): Promise<Pick<WrittenJob, 'rows' | 'partitions' | 'problems'>> {
  if (!plan) return { rows: null, partitions: null, problems: [] };
  try {
    const { units, refused } = await planJob(job, { hash: false, now });
    const rows = units.reduce((sum, unit) => sum + unit.rows, 0);
    return { rows, partitions: units.length, problems: refused };
  } catch (error) {
    if (!(error instanceof ScorelineError)) throw error;
    return { rows: null, partitions: null, problems: error.message.split('\n') };
  }
}

function withAnswers({ text, columns }: DraftedJob, { key }: InitAnswers): Omit<JobText, 'output'> {
  if (key === undefined || key === text.draft.key) return text;
  if (key !== null && !columns.includes(key)) {
    const meant = didYouMean(key, columns);
    throw new ScorelineError('usage', `key "${shown(key)}": the data has no such column${meant}`);
  }
  return { ...text, chosen: true, draft: { ...text.draft, key: key ?? undefined } };
}

/** Nothing of a person's is replaced unasked. */
async function refuseExisting({ file, force, cwd }: InitRequest): Promise<void> {
  if (force) return;
  try {
    await lstat(resolve(cwd, file));
  } catch (error) {
    if (['ENOENT', 'ENOTDIR'].includes(errnoOf(error) ?? '')) return;
    throw systemError(error, `cannot look at ${shown(file)}`);
  }
  throw new ScorelineError(
    'usage',
    `${shown(file)}: is there already; --force replaces it, -o writes another`,
  );
}

async function writeSchema(path: string, named: string, { force }: InitRequest): Promise<void> {
  const before = await readFile(path, 'utf8').catch(() => undefined);
  if (before !== undefined && !force && !before.includes(`"title": "${JOB_SCHEMA_TITLE}"`)) {
    throw new ScorelineError(
      'usage',
      `${shown(named)}: is there already, and no schema of scoreline's; --force replaces it`,
    );
  }
  await writeFileWhole(path, `${JSON.stringify(jobJsonSchema(), undefined, 2)}\n`);
}

function poolFor(allowedFolders: readonly string[]): Pool {
  return new Pool({
    size: usableCores(),
    timeoutMs: 300_000,
    memoryBytes: defaultMemoryBytes(),
    setupFor: (_worker, workers) => ({
      memoryLimitBytes: duckdbBytes(defaultMemoryBytes(), workers),
      temporaryFolder: tmpdir(),
      allowedFolders,
    }),
    onProgress: () => undefined,
  });
}

/** A path that starts from `cwd`, as a job file names it; in a `glob` the folders above it stand for themselves. */
function seenFrom(file: string, path: string, cwd: string, glob = false): string {
  if (isAbsolute(path)) return path;
  const way = relative(dirname(resolve(cwd, file)), cwd);
  const above = glob ? way.replace(/[*?[\\]/g, '\\$&') : way;
  return `${above === '' ? '' : `${above}/`}${path.replace(/^(?:\.\/)+(?=.)/, '')}`;
}

function inputText(
  dataset: Dataset,
  survey: Survey,
  { keep, key }: Draft,
  { data, file, cwd }: InitRequest,
): JobText['input'] {
  const kinds = { csv: 'CSV', parquet: 'Parquet' } as const;
  const dates = dateTemplate(dataset.files.map(({ path }) => path));
  const names = data.split('/');
  const first = names.findIndex((name) => /[*?[]/.test(name));
  // What is there by its whole name is no glob, whatever is in it.
  const special = existsSync(resolve(cwd, data)) ? -1 : first;
  const isFile = dataset.files.length === 1 && dataset.files[0]?.path === names.at(-1);
  const above = special >= 0 ? names.slice(0, special) : isFile ? names.slice(0, -1) : names;
  const root = above.join('/');
  const dated = root === '' ? dates?.path : `${root.replace(/\/+$/, '')}/${dates?.path}`;
  return {
    path: seenFrom(file, data, cwd, special >= 0),
    found: `${plural(dataset.files.length, `${kinds[dataset.format]} file`)} in ${plural(dataset.partitions.size, 'partition')}`,
    dates: dates && { ...dates, path: seenFrom(file, dated ?? '', cwd) },
    csv: survey.csv,
    types: survey.types.filter(({ column }) => column !== key && keep.includes(column)),
  };
}

/** Where a job publishes: outside its input, or where the input is passed over. */
function outputFor(
  name: string,
  { root }: Dataset,
  input: { readonly path: string; readonly pathText: string; readonly baseDir: string },
): string {
  const output = join('out', name);
  const below = relative(root, resolve(input.baseDir, output));
  const outside = below.startsWith('..') || isAbsolute(below);
  return outside || !reachesInto(input, below) ? output : `_${output}`;
}
