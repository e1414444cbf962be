/** Looks at files and models on behalf of the parent, which opens none itself. */
import { stat } from 'node:fs/promises';
import { basename } from 'node:path';
import { type Database, duckdbError, isFatal } from '../base/duckdb.js';
import { ScorelineError, shown } from '../base/errors.js';
import { type HashingReader, hashFile, stampOf, stampText } from '../base/hash.js';
import { devices, type Session, type TensorSpec } from '../base/onnx.js';
import { externalDataFiles, type OnnxFile, readOnnxFile } from '../base/onnx-file.js';
import type { ModelFacts } from '../plan/signature.js';
import { type Footer, readFooter } from './parquet-footer.js';
import { checkPages } from './parquet-pages.js';
import { parquetSchemas } from './parquet-schema.js';
import {
  type CheckKey,
  type DescribeFiles,
  type DescribeModel,
  type FileAnswer,
  type FileRef,
  type ModelRef,
  toWire,
} from './protocol.js';
import { checkUnchanged, failedSql, segmentSql, segmentsOf, unifyColumns } from './read.js';
import { describeTrees } from './trees.js';
import type { LoadedTrees } from './trees-load.js';
import { trial } from './trial.js';

/** Hashes and loads a model, runs it once on made-up rows, and says what it takes and gives. Throws `model`. */
export async function describeModel(
  ask: DescribeModel,
  { openSession, openTrees }: ModelTools,
  onTrial: () => void,
): Promise<ModelFacts> {
  const file = await readOnnxFile(ask.path);
  const paths = [ask.path, ...(await externalDataFiles(ask.path, file))];
  const sha256: string[] = [];
  let bytes = 0;
  for (const path of paths) {
    sha256.push((await hashFile(path)).sha256);
    bytes += (await stat(path)).size;
  }
  const { session, note } = await openOnBest(ask, openSession);
  return {
    sha256,
    files: await Promise.all(paths.map(async (path) => ({ path, stamp: await stampOf(path) }))),
    bytes,
    device: session.device,
    deviceNote: note,
    inputs: session.inputs.map((spec) =>
      isShapeless(file, spec) ? { ...spec, shapeless: true } : spec,
    ),
    defaults: file.inputs
      .filter(
        ({ name, optional }) => optional && !session.inputs.some((spec) => spec.name === name),
      )
      .map(({ name }) => name),
    outputs: await trial(session, ask.columns, onTrial),
    random: file.random,
    rowwise: isRowwise(file),
    trees: describeTrees(await openTrees(ask.path)),
  };
}

function isShapeless(file: OnnxFile, { name, element }: TensorSpec): boolean {
  const declared = file.inputs.find((input) => input.name === name);
  return element !== undefined && declared?.shape === null;
}

/** What a worker lends to look at a model with. */
export interface ModelTools {
  readonly openSession: OpenSession;
  readonly openTrees: (path: string) => Promise<LoadedTrees | string>;
}

/** Loads a model, or hands out the one that is loaded. */
export type OpenSession = (model: ModelRef) => Promise<Session>;

/** Opens a model on the device asked for, or for `auto` on a GPU that works, else on the CPU, and says why. */
async function openOnBest(
  { path, shownAs, device }: DescribeModel,
  openSession: OpenSession,
): Promise<{ session: Session; note: string | undefined }> {
  const open = (on: string): Promise<Session> => openSession({ path, shownAs, device: on });
  if (device !== 'auto') return { session: await open(device), note: undefined };
  const cuda = devices().find(({ name }) => name === 'cuda');
  if (cuda === undefined || cuda.unusable !== undefined) {
    return { session: await open('cpu'), note: undefined };
  }
  try {
    return { session: await open('cuda'), note: undefined };
  } catch (error) {
    const session = await open('cpu');
    return {
      session,
      note: `cuda is not usable, cpu is used: ${error instanceof Error ? error.message : error}`,
    };
  }
}

/** Operators outside `ai.onnx.ml` that cost little a row: a graph of these alone takes large batches. */
const CHEAP_OPERATORS = new Set(
  (
    'Abs Add And ArgMax ArgMin Cast Clip Concat Constant ConstantOfShape Div Equal Exp Expand Flatten Floor Gather ' +
    'Greater GreaterOrEqual Identity IsInf IsNaN Less LessOrEqual Log Max Min Mul Neg Not Or Pow Reciprocal Relu ' +
    'Reshape Round Shape Sigmoid Sign Slice Softmax Split Sqrt Squeeze Sub Sum TopK Transpose Unsqueeze Where'
  ).split(' '),
);

function isRowwise(file: OnnxFile): boolean {
  return file.ops.every(
    ({ domain, op }) => domain === 'ai.onnx.ml' || (domain === '' && CHEAP_OPERATORS.has(op)),
  );
}

/** Describes files: all at once, and one by one where that fails, so that each bad one is named. */
export async function describeFiles(
  open: () => Promise<Database>,
  reopen: () => Promise<void>,
  ask: DescribeFiles,
): Promise<FileAnswer[]> {
  const { files } = ask;
  try {
    return await describeTogether(await open(), ask);
  } catch (error) {
    if (isFatal(error)) await reopen();
    const [only] = files;
    if (files.length === 1 && only !== undefined) {
      const refused = duckdbError(error, shown(only.path), 'input');
      return [{ path: only.path, error: toWire(withoutPath(refused, only)) }];
    }
  }
  const answers: FileAnswer[] = [];
  for (const file of files)
    answers.push(...(await describeFiles(open, reopen, { ...ask, files: [file] })));
  return answers;
}

/** DuckDB names the file by its whole path: once is enough. */
function withoutPath(error: ScorelineError, file: FileRef): ScorelineError {
  const message = error.message
    .replaceAll(file.absolute, file.path)
    .replace(/^(.*?): (?:Invalid Input|IO) Error: /, '$1: ');
  return new ScorelineError(error.code, message, { cause: error });
}

async function describeTogether(
  database: Database,
  { files, hash, checksums }: DescribeFiles,
): Promise<FileAnswer[]> {
  const before = await Promise.all(files.map(({ absolute }) => stampOf(absolute)));
  // First: what a damaged footer claims could take all memory that DuckDB has.
  const footers: Footer[] = [];
  for (const { path, absolute } of files) footers.push(await readFooter(path, absolute));
  const schemas = await parquetSchemas(database, files);
  const answers: FileAnswer[] = [];
  for (const [index, file] of files.entries()) {
    const stamp = before[index]!;
    const footer = footers[index]!;
    const schema = schemas.get(file.absolute);
    if (schema === undefined) throw new ScorelineError('input', `${shown(file.path)}: not read`);
    const look = checksums
      ? (reader: HashingReader) => checkPages(reader, footer, file.path)
      : undefined;
    const sha256 = hash ? await hashUnchanged(file, stampText(stamp), look) : null;
    const rowGroups = footer.groups.map(({ rows, bytes }) => ({ rows, bytes }));
    answers.push({
      path: file.path,
      stamp,
      facts: { sha256, rows: footer.rows, rowGroups, schema },
    });
  }
  return answers;
}

async function hashUnchanged(
  { path, absolute }: FileRef,
  stamp: string,
  look: ((reader: HashingReader) => Promise<void>) | undefined,
): Promise<string> {
  const hashed = await hashFile(absolute, look);
  if (stampText(hashed.stamp) !== stamp) {
    throw new ScorelineError('changed', `${shown(path)}: changed while it was read; run again`);
  }
  return hashed.sha256;
}

/** Checks that no two rows of a unit that pass the filter have the same key, and that none lacks one. Throws `input`. */
export async function checkKeyUnique(database: Database, ask: CheckKey): Promise<void> {
  const { unit, key, files, partition, scoring } = ask;
  const name = `"${key.replaceAll('"', '""')}"`;
  const segments = segmentsOf({
    files,
    partition,
    types: scoring.types,
    csv: scoring.csv !== undefined,
  });
  const where =
    scoring.where === undefined
      ? 'true'
      : `coalesce(CAST((\n${scoring.where}\n) AS BOOLEAN), false)`;
  const source = segments
    .map((segment) => {
      // Rows that are set aside for what stands in them are not published, so their keys do not count.
      const failed = failedSql(segment);
      const passes = failed === undefined ? where : `(${where} AND NOT (${failed}))`;
      return segmentSql(segment, [`${name} AS key`, `${passes} AS passes`]);
    })
    .join(' UNION ALL ');
  const rows = `(SELECT key FROM (${source}) WHERE passes)`;
  const subject = `partition ${shown(unit === '' ? '.' : unit)}: input.key "${shown(key)}"`;
  if (unifyColumns(segments).get(key) === undefined) {
    const types = new Set(segments.map(({ columns }) => columns.find((c) => c.name === key)?.type));
    throw new ScorelineError(
      'input',
      `${subject} has different types in its files: ${[...types].join(', ')}`,
    );
  }
  try {
    // Keys that rise are unique: most are written in order, and that is seen in one pass without keeping any.
    const [totals] = await database.rows(
      'SELECT count(*) AS n, count(key) AS given, count(*) FILTER (key <= previous) AS falls ' +
        `FROM (SELECT key, lag(key) OVER () AS previous FROM ${rows})`,
    );
    const nulls = Number(totals?.n) - Number(totals?.given);
    if (nulls > 0) throw new ScorelineError('input', `${subject} is null in ${nulls} rows`);
    let unique = Number(totals?.falls) === 0;
    if (!unique) {
      const [counted] = await database.rows(
        `SELECT count(*) = count(DISTINCT key) AS is_unique FROM ${rows}`,
      );
      unique = counted?.is_unique === true;
    }
    await checkUnchanged(files);
    if (unique) return;
    const twins = await database.rows(
      // Grouped as keys: 0 and -0 are one, and two as text.
      `SELECT min(key::VARCHAR) AS text, count(*) AS n FROM ${rows} GROUP BY key HAVING n > 1 ORDER BY n DESC, text LIMIT 3`,
    );
    const examples = twins
      .map((twin) => `${shown(String(twin.text), 40)} (${twin.n} times)`)
      .join(', ');
    throw new ScorelineError('input', `${subject} is not unique: ${examples}`);
  } catch (error) {
    throw duckdbError(error, subject, 'input');
  }
}

/** The name to show for a model's path. */
export function shownModel(path: string): string {
  return shown(basename(path));
}
