/** What lies below a folder of the input; and what is no plain folder of files there: links, and tables of other systems. */
import { type Dirent, existsSync, readdirSync, realpathSync, statSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { basename, dirname, extname, join } from 'node:path';
import { ScorelineError, shown, systemError } from '../base/errors.js';

/** A file below a folder, or a link. */
export interface Entry {
  /** Relative to the folder that was walked, with `/` between folders. */
  readonly path: string;
  /** A `folder-link` leads to a folder, or leads nowhere and is named as folders are. */
  readonly kind: 'file' | 'link' | 'folder-link';
}

/** A folder of a table format: its files hold rows that are current and rows that are not, and other files say which. */
export interface TableFolder {
  /** Relative to the folder that was walked; '' is that folder itself. */
  readonly folder: string;
  readonly format: string;
}

/** What lies below a folder. */
export interface Walk {
  readonly entries: readonly Entry[];
  readonly tables: readonly TableFolder[];
}

const DELTA = 'Delta Lake';
const HUDI = 'Apache Hudi';
const ICEBERG = 'Apache Iceberg';
/** The names that catalogs and tables without one give to the metadata of a version, compressed or not. */
const ICEBERG_METADATA = /^(?:v\d+|\d+-[0-9a-f-]{36})(?:\.gz)?\.metadata\.json(?:\.gz)?$/i;

/** Walks all folders below `root`, except those whose names start with `_` or `.`. Throws `input`, `environment`. */
export async function walk(root: string): Promise<Walk> {
  const entries: Entry[] = [];
  const tables: TableFolder[] = [];
  const visit = async (folder: string): Promise<void> => {
    const listed = await list(root, folder);
    const format = formatIn(listed);
    if (format !== undefined) tables.push({ folder, format });
    if (basename(folder) === 'metadata' && hasIcebergMetadata(listed.map(({ name }) => name)))
      tables.push({ folder: folder.slice(0, -'/metadata'.length), format: ICEBERG });
    for (const entry of listed) {
      if (entry.name.startsWith('_') || entry.name.startsWith('.')) continue;
      const path = folder === '' ? entry.name : `${folder}/${entry.name}`;
      if (entry.isDirectory()) await visit(path);
      else if (entry.isSymbolicLink())
        entries.push({ path, kind: isFolderLink(join(root, path)) ? 'folder-link' : 'link' });
      // Also a named pipe or a device: where its name is that of data, it is refused by name.
      else entries.push({ path, kind: 'file' });
    }
  };
  await visit('');
  return { entries, tables };
}

async function list(root: string, folder: string): Promise<Dirent[]> {
  try {
    return await readdir(join(root, folder), { withFileTypes: true });
  } catch (error) {
    throw systemError(error, `cannot list ${shown(folder === '' ? root : folder)}`, 'input');
  }
}

/** The format of the table that a folder is or is part of, by what lies in it. */
function formatIn(listed: readonly Dirent[]): string | undefined {
  for (const { name } of listed) {
    if (name === '_delta_log') return DELTA;
    // Partitions of Hudi have a file of their own, `.hoodie_partition_metadata`.
    if (name.startsWith('.hoodie')) return HUDI;
  }
  return undefined;
}

function hasIcebergMetadata(names: readonly string[]): boolean {
  return names.some((name) => ICEBERG_METADATA.test(name));
}

/**
 * The table that a folder is a part of, by the folders above it, as far up as partitions (`name=value`) and Iceberg's `data` go:
 * its absolute path; undefined where it is part of none.
 */
export function tableAbove(root: string): TableFolder | undefined {
  for (let below = root; ; below = dirname(below)) {
    const name = basename(below);
    if (!name.includes('=') && name !== 'data') return undefined;
    const folder = dirname(below);
    if (existsSync(join(folder, '_delta_log'))) return { folder, format: DELTA };
    if (existsSync(join(folder, '.hoodie'))) return { folder, format: HUDI };
    if (hasIcebergMetadata(namesIn(join(folder, 'metadata')))) return { folder, format: ICEBERG };
  }
}

function namesIn(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    // Most folders have none; and what may not be looked at is no part of the input.
    return [];
  }
}

/** Whether a link leads to a folder. One that leads nowhere is taken for what its name says: that of a folder has no extension. */
function isFolderLink(path: string): boolean {
  try {
    return statSync(path).isDirectory();
  } catch {
    return basename(path).includes('=') || extname(path) === '';
  }
}

/** The refusal of a link to a folder: rows would be read twice, or from where the job does not say. */
export function linkedFolder(path: string): ScorelineError {
  return new ScorelineError(
    'input',
    `${shown(path)}: is a link to a folder, which is not followed; put the folder itself there, or begin the link's name with "_" to leave it out`,
  );
}

/** Refuses a link that leads nowhere, to a folder, or out of the input: a job stays within its paths. Throws `input`, `environment`. */
export function checkLink(root: string, path: string): void {
  let target: string;
  let isFolder: boolean;
  try {
    target = realpathSync(join(root, path));
    isFolder = statSync(target).isDirectory();
  } catch (error) {
    throw systemError(error, `${shown(path)}: is a link that leads nowhere`, 'input');
  }
  if (isFolder) throw linkedFolder(path);
  if (!target.startsWith(root.endsWith('/') ? root : `${root}/`)) {
    throw new ScorelineError(
      'input',
      `${shown(path)}: is a link to a file outside the input; name the folder of the files themselves`,
    );
  }
}
