/** What a path or glob of the input finds: which files are data, by their names and by how they begin. */
import { constants, realpathSync, statSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname, join, resolve } from 'node:path';
import pLimit from 'p-limit';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { foldersOf, matcherOf, reaches, splitGlob } from './globs.js';
import { beforeDate, hasDate } from './selection.js';
import { checkLink, type Entry, type TableFolder, tableAbove, walk } from './walk.js';

const PARQUET_FILE = /\.(?:parquet|parq|pq)$/i;
const CSV_FILE = /\.csv(?:\.gz|\.zst)?$/i;

/** There is no input at a path: for one of many dates that may be so. */
export class NothingFound extends ScorelineError {}

function formatInName(path: string): 'parquet' | 'csv' | undefined {
  if (PARQUET_FILE.test(path)) return 'parquet';
  return CSV_FILE.test(path) ? 'csv' : undefined;
}

/** Which paths are those of data, by their names: those that `files` means, else those of Parquet and CSV. */
export function isDataFile(files: string | undefined): (path: string) => boolean {
  if (files === undefined) return (path) => formatInName(path) !== undefined;
  const { base, glob } = splitGlob(files);
  const isMatch = glob === '' ? (name: string) => name === base : matcherOf(glob);
  return (path) => isMatch(basename(path));
}

/** How Parquet files begin, and those whose footer is encrypted. */
const PARQUET_STARTS: readonly string[] = ['PAR1', 'PARE'];

/** The first four bytes of a file as text; '' for what has fewer, cannot be read or is not a file. */
async function startOf(path: string): Promise<string> {
  try {
    // A named pipe would keep a process that opens it otherwise waiting.
    const file = await open(path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) return '';
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return buffer.toString('latin1', 0, bytesRead);
    } finally {
      await file.close();
    }
  } catch {
    // Whoever reads the file says what is wrong with it; of one that is passed over the name is told.
    return '';
  }
}

async function startsOf(root: string, paths: readonly string[]): Promise<Map<string, string>> {
  const limit = pLimit(64);
  const starts = await limit.map(paths, (path) => startOf(join(root, path)));
  return new Map(paths.map((path, index) => [path, starts[index]!]));
}

/** The first names of a list, for a line. */
export function firstOf(paths: readonly string[], count = 3): string {
  const names = paths.slice(0, count).map((path) => shown(path));
  return `${names.join(', ')}${paths.length > count ? `, … (${paths.length} in all)` : ''}`;
}

/** Refuses Parquet among files that would be passed over because of their names: its rows would be lost. Throws `input`. */
export async function refuseUnnamed(root: string, passedOver: readonly string[]): Promise<void> {
  const starts = await startsOf(root, passedOver);
  const found = passedOver.filter((path) => PARQUET_STARTS.includes(starts.get(path)!));
  if (found.length === 0) return;
  const [are, names] = found.length === 1 ? ['is', 'its name does'] : ['are', 'their names do'];
  throw new ScorelineError(
    'input',
    `${firstOf(found)}: ${are} Parquet, but ${names} not end in .parquet, .parq or .pq; set input.files to a pattern of the names to read ("*" reads all), or begin a name with "_" to leave the file out`,
  );
}

/**
 * The one format of a job's files: their names say it, else how they begin; `csv`: whether the job says how its CSV files are
 * written. Throws `input` when both are there, or a file is neither.
 */
export async function formatOf(
  root: string,
  paths: readonly string[],
  csv: boolean,
): Promise<'parquet' | 'csv'> {
  const unnamed = paths.filter((path) => formatInName(path) === undefined);
  const starts = await startsOf(root, unnamed);
  const formatFor = (path: string): 'parquet' | 'csv' => {
    const named = formatInName(path);
    if (named !== undefined) return named;
    const start = starts.get(path)!;
    if (PARQUET_STARTS.includes(start)) return 'parquet';
    if (csv || start === '') return csv ? 'csv' : 'parquet';
    throw new ScorelineError(
      'input',
      `${shown(path)}: is not Parquet; if it is CSV, say under input.csv how it is written, such as { delimiter: "\\t" }`,
    );
  };
  const formats = new Map<'parquet' | 'csv', string>();
  for (const path of paths) {
    const format = formatFor(path);
    if (!formats.has(format)) formats.set(format, path);
  }
  const parquet = formats.get('parquet');
  const text = formats.get('csv');
  if (parquet !== undefined && text !== undefined) {
    throw new ScorelineError(
      'input',
      `input.path: ${shown(text)} is CSV and ${shown(parquet)} is Parquet; give each kind a job of its own, or name one kind with a glob`,
    );
  }
  return text === undefined ? 'parquet' : 'csv';
}

/** An entry that the input reaches. */
export interface Match extends Entry {
  /** Whether it is to be scored; else it only lies there. */
  readonly data: boolean;
}

/**
 * The folder that a path or glob is rooted in, and what lies below it. `files` is a glob of names: without it the names that say
 * Parquet or CSV are data. Throws `input`.
 */
export async function findFiles(options: {
  readonly path: string;
  readonly pathText: string;
  readonly baseDir: string;
  readonly files: string | undefined;
}): Promise<{ root: string; matches: Match[] }> {
  const { path, pathText, baseDir } = options;
  const isData = isDataFile(options.files);
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
    const matches = entries.map((entry) => ({ ...entry, data: isData(entry.path) }));
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
    if (isMatch(entry.path))
      return [{ ...entry, data: options.files === undefined || isData(entry.path) }];
    const inFolder = foldersOf(entry.path).some((name) => isMatch(name));
    return inFolder ? [{ ...entry, data: isData(entry.path) }] : [];
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

/** What lies at a path. Throws `input`, `environment`. */
export function kindOf(path: string): 'file' | 'folder' | 'absent' {
  try {
    return statSync(path).isDirectory() ? 'folder' : 'file';
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR' || errno === 'ENAMETOOLONG') return 'absent';
    throw systemError(error, `cannot read ${shown(path)}`, 'input');
  }
}

/** A folder with the links in its path resolved. Throws `input`, `environment`. */
export function resolveLinks(folder: string): string {
  try {
    return realpathSync(folder);
  } catch (error) {
    throw systemError(error, `cannot read ${shown(folder)}`, 'input');
  }
}

/** Whether anything lies at a path. Throws `input`, `environment`. */
export function exists(path: string): boolean {
  return kindOf(path) !== 'absent';
}
