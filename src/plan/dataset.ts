/** The input of a job: which files there are, which partition each belongs to, and what is known of each. */
import { dirname, join, relative, resolve } from 'node:path';
import pLimit from 'p-limit';
import { ScorelineError, shown, systemError } from '../base/errors.js';
import { compareText, type FileStamp, stampOf } from '../base/hash.js';
import { requireFile } from '../base/regular-file.js';
import type { CsvFacts } from './csv.js';
import {
  exists,
  findFiles,
  firstOf,
  folderOfInput,
  formatOf,
  kindOf,
  NothingFound,
  refuseUnnamed,
  resolveLinks,
} from './find.js';
import { foldersOf } from './globs.js';
import { type OtherDayOf, otherDays } from './other-days.js';
import { type PartitionValue, partitionValues } from './partition.js';
import { beforeDate, dateInName, fillDate, isSelected, type Selection } from './selection.js';
import { type Twin, withoutTwins } from './twins.js';
import { checkLink, linkedFolder } from './walk.js';

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
  /** Files among the data that were passed over, because their names are not those of data. */
  readonly passedOver: readonly string[];
  /** Names of files that are read under another name. */
  readonly twins: readonly Twin[];
}

/** What a listing did not read, in words. */
export function listingNotes({ passedOver, twins }: Dataset): string[] {
  const notes: string[] = [];
  if (passedOver.length > 0)
    notes.push(`passed over, by their names no data: ${firstOf(passedOver)}`);
  const noteOn = (what: string, names: readonly Twin[]): void => {
    const texts = names.map(({ path, readAs }) => `${path} (${readAs})`);
    if (texts.length > 0) notes.push(`${what}: ${firstOf(texts)}`);
  };
  noteOn(
    'read once, under another name of the same file',
    twins.filter(({ otherDay }) => otherDay === undefined),
  );
  noteOn(
    "not read, because each is another day's file under a second name",
    twins.filter(({ otherDay }) => otherDay === true),
  );
  return notes;
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

/**
 * Lists the files of `path`: a file, a folder (all Parquet or CSV files below it) or a glob. Names that start with `_` or
 * `.` are passed over, and a file with several names is listed once. Throws `input` when there is nothing, or files of both
 * kinds; when Parquet has a name that does not say so; when a link leads to a folder, out of the input or nowhere; and when files
 * are those of a table, of which something else says which rows are current.
 */
export async function listDataset(options: {
  /** Absolute. */
  readonly path: string;
  /** The path as written, and the folder it starts from: only in it are `*`, `?` and `[` those of a glob. */
  readonly pathText: string;
  readonly baseDir: string;
  /** A glob of the names to read; without it those of Parquet and CSV files. */
  readonly files?: string | undefined;
  readonly ready: string | undefined;
  /** Whether the job says how its CSV files are written: then a file of any name that it points at is CSV. */
  readonly csv: boolean;
}): Promise<Dataset> {
  const { path, ready, csv } = options;
  const { root, matches } = await findFiles({ ...options, files: options.files });
  const format = await formatOf(
    root,
    matches.filter(({ data }) => data).map((match) => match.path),
    csv,
  );
  const isReady = readiness(root, ready);
  const passedOver = matches.filter(({ data }) => !data).map((match) => match.path);
  // Files of a folder that is not ready may still be written.
  if (options.files === undefined)
    await refuseUnnamed(
      root,
      passedOver.filter((file) => isReady(unitOf(file))),
    );
  const links = new Set<string>();
  const units = new Map<string, string[]>();
  for (const file of matches) {
    if (!file.data) continue;
    if (file.kind === 'link') {
      checkLink(root, file.path);
      links.add(file.path);
    }
    const unit = unitOf(file.path);
    const files = units.get(unit);
    if (files === undefined) units.set(unit, [file.path]);
    else files.push(file.path);
  }
  const named = [...units.keys()].sort(compareText);
  const notReady = named.filter((unit) => !isReady(unit));
  const complete = named.filter(isReady);
  if (named.length === 0) throw nothingFound(path, passedOver);
  const values = new Map(complete.map((unit) => [unit, partitionValues(unit)]));
  const listed = await stampAll(
    root,
    complete.flatMap((unit) => units.get(unit)!.sort(compareText)),
  );
  const { files, twins } = withoutTwins(listed, {
    isLink: (file) => links.has(file.path),
    valuesOf: ({ unit }) => values.get(unit)!,
  });
  const read = new Set(files.map(({ unit }) => unit));
  const partitions = new Map([...values].filter(([unit]) => read.has(unit)));
  return { root, format, files, partitions, notReady, missing: [], passedOver, twins };
}

/** Whether a unit has the file that says so. */
function readiness(root: string, ready: string | undefined): (unit: string) => boolean {
  const known = new Map<string, boolean>();
  return (unit) => {
    const is = known.get(unit) ?? (ready === undefined || exists(join(root, unit, ready)));
    known.set(unit, is);
    return is;
  };
}

/**
 * Lists the input of several dates as one dataset, rooted in the folder above the first template of its path. Where a date is in
 * a file's name, each is a partition of its own. Dates without input are listed, or, unless `allowMissing`, refused. Throws `input`.
 */
export async function listDates(options: {
  readonly pathText: string;
  readonly baseDir: string;
  readonly files?: string | undefined;
  readonly ready: string | undefined;
  readonly csv: boolean;
  readonly dates: readonly string[];
  readonly allowMissing: boolean;
}): Promise<Dataset> {
  const { pathText, baseDir, dates } = options;
  const base = resolve(baseDir, beforeDate(pathText));
  const found: Dataset[] = [];
  const missing: string[] = [];
  const ofOtherDays: Twin[] = [];
  const root = exists(base) ? resolveLinks(base) : base;
  const otherDayOf = otherDays(root, options);
  for (const date of dates) {
    const filled = fillDate(pathText, date);
    const path = resolve(baseDir, filled);
    refuseLinkedFolders(base, folderOfInput({ path, pathText: filled, baseDir }));
    try {
      const dataset = await listDataset({ ...options, path, pathText: filled });
      const kind = kindOf(path);
      const day = kind === 'folder' ? undefined : dateInName(pathText, date);
      if (day === undefined) {
        found.push(dataset);
        continue;
      }
      // A file that is a link has been listed as what it leads to.
      const nameOf = (file: DataFile): string =>
        kind === 'file' ? relative(base, path) : relative(root, join(dataset.root, file.path));
      const { own, others } = await ownOfDay(dataset, nameOf, otherDayOf);
      ofOtherDays.push(...others);
      if (own === undefined) missing.push(date);
      else found.push(asPartition(own, day));
    } catch (error) {
      if (!(error instanceof NothingFound)) throw error;
      missing.push(date);
    }
  }
  if (missing.length > 0 && (!options.allowMissing || found.length === 0)) {
    const names = missing.length > 5 ? `${missing.slice(0, 5).join(', ')}, …` : missing.join(', ');
    const twins = ofOtherDays.map(({ path, readAs }) => `${path} is ${readAs} under a second name`);
    const why = twins.length > 0 ? ` (${firstOf(twins)})` : '';
    const remedy =
      found.length > 0 ? '--allow-missing scores the others' : 'check the path and the dates';
    throw new ScorelineError(
      'input',
      `input.path ${shown(pathText)}: nothing for ${missing.length} of ${dates.length} dates: ${names}${why}; ${remedy}`,
    );
  }
  const all = merged(root, found, missing);
  return { ...all, twins: [...all.twins, ...ofOtherDays] };
}

/** What of the dataset of a day is its own: not the files that are another day's under a further name. */
async function ownOfDay(
  dataset: Dataset,
  nameOf: (file: DataFile) => string,
  otherDayOf: OtherDayOf,
): Promise<{ readonly own: Dataset | undefined; readonly others: readonly Twin[] }> {
  const others: Twin[] = [];
  const files: DataFile[] = [];
  for (const file of dataset.files) {
    const other = await otherDayOf(nameOf(file));
    if (other === undefined) files.push(file);
    else others.push(other);
  }
  if (others.length === 0) return { own: dataset, others };
  if (files.length === 0 && dataset.notReady.length === 0) return { own: undefined, others };
  const read = new Set(files.map(({ unit }) => unit));
  const partitions = new Map([...dataset.partitions].filter(([unit]) => read.has(unit)));
  return { own: { ...dataset, files, partitions }, others };
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
  const passedOver = new Set<string>();
  const twins: Twin[] = [];
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
    for (const path of dataset.passedOver) passedOver.add(below(path));
    for (const { path, readAs } of dataset.twins)
      twins.push({ path: below(path), readAs: below(readAs) });
    for (const file of dataset.files) {
      const [path, unit] = [below(file.path), below(file.unit)];
      // Links of two days may lead to one file.
      files.set(`${unit}\0${path}`, { ...file, path, unit });
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
    passedOver: [...passedOver].sort(compareText),
    twins,
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

function nothingFound(path: string, passedOver: readonly string[]): NothingFound {
  const others =
    passedOver.length > 0
      ? `, but ${firstOf(passedOver)}; set input.files to a pattern of the names to read`
      : '';
  return new NothingFound(
    'input',
    `input.path ${shown(path)}: no .parquet or .csv file found${others}`,
  );
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
    await requireFile(absolute, shown(path), 'input');
    try {
      return { path, absolute, unit: unitOf(path), stamp: await stampOf(absolute) };
    } catch (error) {
      throw systemError(error, `cannot read ${shown(path)}`, 'input');
    }
  });
}
