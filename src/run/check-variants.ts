/** Scores a fixture in ways that must not change its scores, and says which do. */
import { realpathSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { messageOf, ScorelineError } from '../base/errors.js';
import { createFolder } from '../base/files.js';
import { csvKey, RFC_4180 } from '../plan/csv.js';
import type { DataFile, Dataset } from '../plan/dataset.js';
import { folderOfInput } from '../plan/find.js';
import type { Job } from '../plan/job.js';
import { unitOf } from '../plan/manifest.js';
import type { CheckedVariant } from '../report/check.js';
import { plural } from '../report/report.js';
import { isEqual } from '../stats/checked.js';
import { type CheckScope, compareRows, type ScoredFixture, scoreFixture } from './check-score.js';
import { selectionOfFixture } from './fixture-file.js';
import { askPatiently } from './pool.js';
import { listInput } from './prepare.js';
import { openWorkers, wantedWorkers } from './workers.js';

/** One row of so many loses a value where nulls are put in. */
const ONE_OF = 5;

/** Something done to a job, or to its input, that must not change scores. */
interface Variant {
  readonly name: string;
  readonly job: () => Promise<Job>;
  /** One row of so many is touched: only the others must stay the same. */
  readonly except?: number;
  /** What is to be known of the run. */
  readonly note?: (scored: ScoredFixture) => string;
}

/** Each variant of a fixture, compared with what the job gives without it. Throws when the machine is at fault. */
export async function checkVariants(
  scope: CheckScope,
  base: ScoredFixture,
  onVariant: (name: string) => void,
): Promise<CheckedVariant[]> {
  const variants: CheckedVariant[] = [];
  for (const variant of variantsOf(scope, base)) {
    onVariant(variant.name);
    variants.push(await checkVariant(variant, scope, { base, index: variants.length }));
  }
  return variants;
}

function variantsOf(scope: CheckScope, base: ScoredFixture): Variant[] {
  const { job } = scope;
  const withRun = (changes: Partial<Job['run']>) => async (): Promise<Job> => ({
    ...job,
    run: { ...job.run, ...changes },
  });
  const workers = wantedWorkers(job) === 1 ? 2 : 1;
  const before = base.report.ledger.quarantined;
  return [
    { name: 'one row at a time', job: withRun({ batchRows: 1 }) },
    { name: 'batches of 7 rows', job: withRun({ batchRows: 7 }) },
    { name: 'batches of 1,000 rows', job: withRun({ batchRows: 1000 }) },
    { name: plural(workers, 'worker'), job: withRun({ workers }) },
    { name: 'rows in another order', job: () => disturbed(scope, base, []) },
    {
      name: 'nulls in one row of five, the others',
      job: () => disturbed(scope, base, featuresOf(base)),
      except: ONE_OF,
      note: ({ report }) => {
        const { ledger, setAside } = report;
        const more = ledger.quarantined - before;
        const why = setAside.reasons.map(({ reason }) => reason).join(', ');
        return more <= 0
          ? 'the rows with nulls are scored'
          : `of the rows with nulls ${plural(more, 'row')} set aside (${why})`;
      },
    },
  ];
}

async function checkVariant(
  { name, job, except, note }: Variant,
  scope: CheckScope,
  { base, index }: { readonly base: ScoredFixture; readonly index: number },
): Promise<CheckedVariant> {
  try {
    const scored = await scoreFixture(scope, await job(), `variant-${index}`);
    const checked = await compareRows(scope, base.side, scored.side, {
      columns: undefined,
      except,
    });
    const verdict = isEqual(checked) ? 'equal' : 'different';
    return { name, verdict, checked, note: note?.(scored) ?? null };
  } catch (error) {
    const isMachine = !(error instanceof ScorelineError) || error.code === 'environment';
    if (isMachine || scope.tools.signal?.aborted === true) throw error;
    return { name, verdict: 'failed', checked: null, note: messageOf(error) };
  }
}

/** The columns that feed the model. */
function featuresOf({ snapshot }: ScoredFixture): string[] {
  const [first] = Object.values(snapshot.manifest.units);
  const inputs = JSON.parse(String(first?.job.features ?? '[]')) as [string, string[]][];
  return [...new Set(inputs.flatMap(([, columns]) => columns))];
}

/** The job on copies of its input files, under the same paths in a folder that goes away. */
async function disturbed(
  { job, folder, found, key }: CheckScope,
  base: ScoredFixture,
  nulls: readonly string[],
): Promise<Job> {
  const dataset = await listInput(job, selectionOfFixture(found.fixture));
  const mirror = join(folder, nulls.length === 0 ? 'reordered' : 'nulls');
  const root = folderOfInput({ ...job.input, baseDir: job.baseDir });
  const pool = openWorkers({
    job,
    allowedFolders: [dataset.root, folder],
    temporary: folder,
    onProgress: () => undefined,
    onFewer: () => undefined,
  });
  try {
    await Promise.all(
      dataset.files.map(async (file) => {
        const to = join(mirror, pathInInput(file, { dataset, root, job }));
        await createFolder(dirname(to));
        await askPatiently(pool, 'disturb', {
          from: readableOf(file, { job, base, dataset }),
          ...{ to, key, nulls, oneOf: ONE_OF },
          csv: dataset.format === 'csv',
          shownAs: file.path,
          keyType: job.input.types.find(({ column }) => column === key)?.type,
        });
      }),
    );
  } finally {
    await pool.close();
  }
  const { input } = job;
  const isAbsolute = input.pathText.startsWith('/');
  // In a glob the folders above, which scoreline has made, stand for themselves.
  const literal = mirror.replace(/[*?[\\]/g, '\\$&');
  return {
    ...job,
    baseDir: join(mirror, job.baseDir),
    input: {
      ...input,
      path: join(mirror, input.path),
      pathText: isAbsolute ? literal + input.pathText : input.pathText,
      ready: undefined,
      csv: input.csv === undefined ? undefined : RFC_4180,
    },
  };
}

/** Where a job finds a file: links on the way to it are not followed in the copy. */
function pathInInput(
  file: DataFile,
  { dataset, root, job }: { readonly dataset: Dataset; readonly root: string; readonly job: Job },
): string {
  const isOne = dataset.files.length === 1 && realpathSync(root) !== dataset.root;
  return isOne ? job.input.path : join(root, relative(dataset.root, file.absolute));
}

/** A file as Parquet: of CSV the rows that the job has read. */
function readableOf(
  { path, absolute, unit }: DataFile,
  {
    job,
    base,
    dataset,
  }: { readonly job: Job; readonly base: ScoredFixture; readonly dataset: Dataset },
): string {
  if (dataset.format === 'parquet') return absolute;
  const { snapshot, output } = base;
  const input = unitOf(snapshot.manifest, unit)?.inputs.find((one) => one.path === path);
  if (input === undefined) throw new Error(`${path} was not scored`);
  return join(
    output.csvFolder(csvKey(path, input.sha256, job.input.csv ?? RFC_4180)),
    'rows.parquet',
  );
}
