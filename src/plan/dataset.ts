/** The input of a job: which files there are, which partition each belongs to, and what is known of each. */
import { realpathSync, statSync } from 'node:fs';
import { basename, dirname, join, relative, resolve } from 'node:path';
import pLimit from 'p-limit';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { compareText, type FileStamp, stampOf } from '../base/hash.js';
import type { CsvFacts } from './csv.js';
import { foldersOf, matcherOf, reaches, splitGlob } from './globs.js';
import { type PartitionValue, partitionValues } from './partition.js';
import {
  beforeDate,
  dateInName,
  fillDate,
  hasDate,
  isSelected,
  type Selection,
} from './selection.js';
import { checkLink, type Entry, linkedFolder, type TableFolder, tableAbove, walk } from './walk.js';

/** A file to score. Paths are relative to the input's root, with `/` between folders. */
export interface DataFile {
  readonly path: string;
  readonly absolute: string;
  /** The folder that holds it: the unit of publication. The root is ''. */
  readonly unit: string;
  readonly stamp: FileStamp;
}

/** The files of a job, ordered by unit and path in code units. */
export interface Dataset {
  /** The folder that paths are relative to; links in it are resolved. */
  readonly root: string;
  readonly format: 'parquet' | 'csv';
  readonly files: readonly DataFile[];
  /** The partition columns of each unit. */
  readonly partitions: ReadonlyMap<string, readonly PartitionValue[]>;
  /** Units that lack the job's `ready` file. */
  readonly notReady: readonly string[];
  /** Dates for which there is nothing. */
  readonly missing: readonly string[];
  /** How many files of other kinds lie among the data and were passed over. */
  readonly ignored: number;
}

/** A column as a file's own schema declares it; the type is DuckDB's name for it. */
export interface SchemaColumn {
  readonly name: string;
  readonly type: string;
  /** Of Parquet's null type: nothing but nulls, which are of any type. */
  readonly nulls?: true;
}

/** What a worker found in a file's footer or, for CSV, in the file. */
export interface FileFacts {
  /** The SHA-256 of the content; null when it was not asked for. */
  readonly sha256: string | null;
  /** The rows that can be read: of a CSV file its good records. */
  readonly rows: number;
  readonly rowGroups: readonly { readonly rows: number; readonly bytes: number }[];
  readonly schema: readonly SchemaColumn[];
  /** undefined for Parquet. */
  readonly csv?: CsvFacts;
}

const PARQUET_FILE = /\.(?:parquet|parq|pq)$/i;
const CSV_FILE = /\.csv(?:\.gz|\.zst)?$/i;

/**
 * Lists the files of `path`: a file, a folder (all Parquet or CSV files below it) or a glob. Names that start with `_` or
 * `.` are passed over. Throws `input` when there is nothing, or files of both kinds; when a link leads to a folder, out of the
 * input or nowhere; and when files are those of a table, of which something else says which rows are current.
 */
export async function listDataset(options: {
  /** Absolute. */
  readonly path: string;
  /** The path as written, and the folder it starts from: only in it are `*`, `?` and `[` those of a glob. */
  readonly pathText: string;
  readonly baseDir: string;
  readonly ready: string | undefined;
  /** Whether the job says how its CSV files are written: then a file of any name that it points at is CSV. */
  readonly csv: boolean;
}): Promise<Dataset> {
  const { path, ready, csv } = options;
  const { root, matches } = await findFiles(options);
  const format = formatOf(
    matches.filter(({ data }) => data).map((match) => match.path),
    csv,
  );
  const units = new Map<string, string[]>();
  let ignored = 0;
  for (const file of matches) {
    if (!file.data) {
      ignored++;
      continue;
    }
    if (file.kind === 'link') checkLink(root, file.path);
    const unit = unitOf(file.path);
    const files = units.get(unit);
    if (files === undefined) units.set(unit, [file.path]);
    else files.push(file.path);
  }
  const notReady: string[] = [];
  const partitions = new Map<string, PartitionValue[]>();
  const paths: string[] = [];
  for (const unit of [...units.keys()].sort(compareText)) {
    if (ready !== undefined && !exists(join(root, unit, ready))) {
      notReady.push(unit);
      continue;
    }
    partitions.set(unit, partitionValues(unit));
    paths.push(...units.get(unit)!.sort(compareText));
  }
  if (paths.length === 0 && notReady.length === 0) throw nothingFound(path, ignored);
  const files = await stampAll(root, paths);
  return { root, format, files, partitions, notReady, missing: [], ignored };
}

/** There is no input at a path: for one of many dates that may be so. */
export class NothingFound extends ScorelineError {}

/**
 * Lists the input of several dates as one dataset, rooted in the folder above the first template of its path. Where a date is in
 * a file's name, each is a partition of its own. Dates without input are listed, or, unless `allowMissing`, refused. Throws `input`.
 */
export async function listDates(options: {
  readonly pathText: string;
  readonly baseDir: string;
  readonly ready: string | undefined;
  readonly csv: boolean;
  readonly dates: readonly string[];
  readonly allowMissing: boolean;
}): Promise<Dataset> {
  const { pathText, baseDir, dates } = options;
  const base = resolve(baseDir, beforeDate(pathText));
  const found: Dataset[] = [];
  const missing: string[] = [];
  for (const date of dates) {
    const filled = fillDate(pathText, date);
    const path = resolve(baseDir, filled);
    refuseLinkedFolders(base, folderOfInput({ path, pathText: filled, baseDir }));
    try {
      const dataset = await listDataset({ ...options, path, pathText: filled });
      const day = kindOf(path) === 'folder' ? undefined : dateInName(pathText, date);
      found.push(day === undefined ? dataset : asPartition(dataset, day));
    } catch (error) {
      if (!(error instanceof NothingFound)) throw error;
      missing.push(date);
    }
  }
  if (missing.length > 0 && (!options.allowMissing || found.length === 0)) {
    const names = missing.length > 5 ? `${missing.slice(0, 5).join(', ')}, …` : missing.join(', ');
    throw new ScorelineError(
      'input',
      `input.path ${shown(pathText)}: nothing for ${missing.length} of ${dates.length} dates: ${names}; --allow-missing scores the others`,
    );
  }
  return merged(resolveLinks(base), found, missing);
}

/**
 * A dataset whose units lie in one folder more: files of several days in one folder would be one partition, and publishing one
 * day would replace the others.
 */
function asPartition(dataset: Dataset, day: string): Dataset {
  const inDay = (unit: string): string => (unit === '' ? day : `${unit}/${day}`);
  return {
    ...dataset,
    files: dataset.files.map((file) => ({ ...file, unit: inDay(file.unit) })),
    partitions: new Map([...dataset.partitions].map(([unit, values]) => [inDay(unit), values])),
    notReady: dataset.notReady.map(inDay),
  };
}

/** Refuses a link among the folders between that of all dates and that of one: a day would be published under another name. */
function refuseLinkedFolders(base: string, folder: string): void {
  const way = relative(base, folder);
  if (way === '' || way.startsWith('..') || kindOf(folder) !== 'folder') return;
  const root = resolveLinks(base);
  for (const place of [...foldersOf(way), way])
    if (resolveLinks(join(base, place)) !== join(root, place)) throw linkedFolder(place);
}

/** Datasets below a folder as one. */
function merged(root: string, datasets: readonly Dataset[], missing: readonly string[]): Dataset {
  const files = new Map<string, DataFile>();
  const partitions = new Map<string, readonly PartitionValue[]>();
  const notReady = new Set<string>();
  const format = datasets[0]?.format ?? 'parquet';
  for (const dataset of datasets) {
    const way = relative(root, dataset.root);
    if (way === '..' || way.startsWith('../')) {
      throw new ScorelineError(
        'input',
        `input.path: ${shown(dataset.root)} is a link that leads out of ${shown(root)}`,
      );
    }
    if (dataset.format !== format)
      throw new ScorelineError('input', 'input.path: some dates are CSV and others Parquet');
    const below = (path: string): string =>
      way === '' ? path : path === '' ? way : `${way}/${path}`;
    // The folders between may give columns, too.
    for (const unit of dataset.partitions.keys())
      partitions.set(below(unit), partitionValues(below(unit)));
    for (const unit of dataset.notReady) notReady.add(below(unit));
    for (const file of dataset.files) {
      files.set(below(file.path), { ...file, path: below(file.path), unit: below(file.unit) });
    }
  }
  return {
    root,
    format,
    files: [...files.values()].sort(
      (a, b) => compareText(a.unit, b.unit) || compareText(a.path, b.path),
    ),
    partitions: new Map([...partitions].sort(([a], [b]) => compareText(a, b))),
    notReady: [...notReady].sort(compareText),
    missing,
    ignored: datasets.reduce((sum, { ignored }) => sum + ignored, 0),
  };
}

/** No unit of the input is selected: `dataset` is what is left then. */
export class NothingSelected extends ScorelineError {
  readonly dataset: Dataset;

  constructor(message: string, dataset: Dataset) {
    super('input', message);
    this.dataset = dataset;
  }
}

/** The units of a dataset that a selection wants. Throws `NothingSelected` when it wants none of them. */
export function selectUnits(dataset: Dataset, selection: Selection): Dataset {
  if (selection.partitions.length === 0) return dataset;
  const partitions = new Map(
    [...dataset.partitions].filter(([, values]) => isSelected(selection, values)),
  );
  const selected: Dataset = {
    ...dataset,
    files: dataset.files.filter(({ unit }) => partitions.has(unit)),
    partitions,
    notReady: dataset.notReady.filter((unit) => isSelected(selection, partitionValues(unit))),
  };
  if (partitions.size === 0) {
    const wanted = selection.partitions.map(({ name, value }) => `${name}=${value}`).join(', ');
    const units = [...dataset.partitions.keys()];
    const some = units.slice(0, 3).map((unit) => shown(unit === '' ? '.' : unit));
    throw new NothingSelected(
      `--partition ${shown(wanted)}: no partition of the input; it has ${some.join(', ')}${units.length > 3 ? ', …' : ''}`,
      selected,
    );
  }
  return selected;
}

/** The one format of a job's files. Throws `input` when both are there. */
function formatOf(paths: readonly string[], csv: boolean): 'parquet' | 'csv' {
  const parquet = paths.find((path) => (csv ? PARQUET_FILE.test(path) : !CSV_FILE.test(path)));
  const text = paths.find((path) => (csv ? !PARQUET_FILE.test(path) : CSV_FILE.test(path)));
  if (parquet !== undefined && text !== undefined) {
    throw new ScorelineError(
      'input',
      `input.path: ${shown(text)} is CSV and ${shown(parquet)} is Parquet; give each kind a job of its own, or name one kind with a glob`,
    );
  }
  return text === undefined ? 'parquet' : 'csv';
}

function nothingFound(path: string, ignored: number): NothingFound {
  const others = ignored > 0 ? ` (${ignored} other files are there)` : '';
  return new NothingFound(
    'input',
    `input.path ${shown(path)}: no .parquet or .csv file found${others}`,
  );
}

function isDataFile(path: string): boolean {
  return PARQUET_FILE.test(path) || CSV_FILE.test(path);
}

/** The unit of a file: its folder relative to the root. */
function unitOf(path: string): string {
  const folder = dirname(path);
  return folder === '.' ? '' : folder;
}

async function stampAll(root: string, paths: readonly string[]): Promise<DataFile[]> {
  const limit = pLimit(64);
  return limit.map(paths, async (path) => {
    const absolute = join(root, path);
    try {
      return { path, absolute, unit: unitOf(path), stamp: await stampOf(absolute) };
    } catch (error) {
      throw systemError(error, `cannot read ${shown(path)}`, 'input');
    }
  });
}

interface Match extends Entry {
  /** Whether it is to be scored; else it only lies there. */
  readonly data: boolean;
}

/** The folder that a path or glob is rooted in, and what lies below it. */
async function findFiles(options: {
  readonly path: string;
  readonly pathText: string;
  readonly baseDir: string;
}): Promise<{ root: string; matches: Match[] }> {
  const { path, pathText, baseDir } = options;
  const kind = kindOf(path);
  if (kind === 'file') {
    const real = resolveLinks(path);
    return {
      root: dirname(real),
      matches: [{ path: basename(real), kind: 'file', data: true }],
    };
  }
  if (kind === 'folder') {
    const root = resolveLinks(path);
    const { entries, tables } = await walk(root);
    const matches = entries.map((entry) => ({ ...entry, data: isDataFile(entry.path) }));
    refuseOtherFolders(root, { matches, tables });
    return { root, matches };
  }
  const { base, glob } = splitGlob(pathText);
  if (glob === '') {
    throw new NothingFound('input', `input.path ${shown(path)}: no such file or folder`);
  }
  const folder = resolve(baseDir, base);
  if (kindOf(folder) !== 'folder') {
    throw new NothingFound('input', `input.path ${shown(pathText)}: no folder ${shown(folder)}`);
  }
  const root = resolveLinks(folder);
  const isMatch = matcherOf(glob);
  const { entries, tables } = await walk(root);
  const matches = entries.flatMap((entry): Match[] => {
    if (entry.kind === 'folder-link')
      return reaches(glob, entry.path) ? [{ ...entry, data: false }] : [];
    if (isMatch(entry.path)) return [{ ...entry, data: true }];
    const inFolder = foldersOf(entry.path).some((name) => isMatch(name));
    return inFolder ? [{ ...entry, data: isDataFile(entry.path) }] : [];
  });
  refuseOtherFolders(root, { matches, tables });
  return { root, matches };
}

/** Refuses what would be passed over in silence, or read though it is not current: linked folders, and tables. Throws `input`. */
function refuseOtherFolders(
  root: string,
  {
    matches,
    tables,
  }: { readonly matches: readonly Match[]; readonly tables: readonly TableFolder[] },
): void {
  const link = matches.find(({ kind }) => kind === 'folder-link');
  if (link !== undefined) checkLink(root, link.path);
  const above = tableAbove(root);
  const found = tables.find(({ folder }) =>
    matches.some(({ path, data }) => data && (folder === '' || path.startsWith(`${folder}/`))),
  );
  const table = found === undefined ? above : { ...found, folder: join(root, found.folder) };
  if (table === undefined) return;
  throw new ScorelineError(
    'input',
    `input.path: ${shown(table.folder)} belongs to a table (${table.format}), whose files alone do not say which rows are current; export the table's current rows to Parquet and score those, or name a single file of it`,
  );
}

/** The folder that files which a path finds lie below, links in it as they are; of a path with dates the one above these. */
export function folderOfInput(options: {
  readonly path: string;
  readonly pathText: string;
  readonly baseDir: string;
}): string {
  const { path, pathText, baseDir } = options;
  if (hasDate(pathText)) return resolve(baseDir, beforeDate(pathText));
  const kind = kindOf(path);
  if (kind !== 'absent') return kind === 'file' ? dirname(path) : path;
  return resolve(baseDir, splitGlob(pathText).base);
}

/**
 * Whether a path or glob can mean what lies in a folder, which is inside of what it is rooted in: a file never does, a glob only
 * where it goes as deep, or means a folder that the other is or lies in. `below` is that folder, relative to the root.
 */
export function reachesInto(options: { path: string; pathText: string }, below: string): boolean {
  const kind = kindOf(options.path);
  if (kind !== 'absent') return kind === 'folder';
  return reaches(splitGlob(options.pathText).glob, below);
}

function kindOf(path: string): 'file' | 'folder' | 'absent' {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ENAMETOOLONG') return 'absent';
    throw systemError(error, `cannot read ${shown(path)}`, 'input');
  }
}

function resolveLinks(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (error) {
    throw systemError(error, `cannot read ${shown(folder)}`, 'input');
  }
}

function exists(path: string): boolean {
  return kindOf(path) !== 'absent';
}
