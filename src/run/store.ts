/** The folder that scoreline owns: what was scored, by key, and the places for all the rest. */
import { readFileSync } from 'node:fs';
import { lstat, mkdir, readdir, readFile, rename, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { listFolder, listTree, makeFolder, removeLeftover } from '../base/files.js';
import { processSpace } from '../base/identity.js';
import type { CsvRecord, ScoresRecord } from '../plan/ledger.js';
import { parseCsvRecord, parseScores, parseStoredPart, type StoredPart } from '../plan/manifest.js';
import { MARKER, markerError, markerProblem, writeMarker } from './marker.js';

/** The folders of an output. */
const PLACES: readonly string[] = ['store', 'snapshots', 'runs', 'staged', 'tmp', 'cache'];

/** What the store holds. */
export const STORE_KINDS = ['parts', 'scores', 'csv', 'models'] as const;

/** A kind of what the store holds. */
export type StoreKind = (typeof STORE_KINDS)[number];

/** An output folder and the places in it. */
export class Output {
  readonly root: string;
  /** What is wrong with the file that says whose the folder is; undefined when nothing is. */
  readonly markerProblem: string | undefined;

  private constructor(root: string, problem?: string) {
    this.root = root;
    this.markerProblem = problem;
  }

  /**
   * The output at `root` if there is one. Throws `usage` when something else is there, and `environment` when the file is lost that
   * says whose the folder is, unless `evenUnmarked`.
   */
  static async find(
    root: string,
    { evenUnmarked = false }: { readonly evenUnmarked?: boolean } = {},
  ): Promise<Output | undefined> {
    let names: string[];
    try {
      names = await readdir(root);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return undefined;
      if (errnoOf(error) === 'ENOTDIR') {
        throw new ScorelineError('usage', `output.path ${shown(root)}: is a file; name a folder`);
      }
      throw systemError(error, `cannot read output.path ${shown(root)}`);
    }
    // A run that was killed at its first step leaves the marker under its temporary name.
    if (names.every((name) => name.startsWith(`${MARKER}.`))) return undefined;
    // One whose output was taken away leaves at most folders that it was about to put something into.
    if (names.every((name) => PLACES.includes(name)) && (await listTree(root)).length === 0)
      return undefined;
    const problem = await markerProblem(root, names);
    if (problem !== undefined && !evenUnmarked) throw markerError(root, problem);
    return new Output(root, problem);
  }

  /** The output at `root`, created if nothing is there. */
  static async open(root: string): Promise<Output> {
    const found = await Output.find(root);
    const output = found ?? new Output(root);
    if (found === undefined) {
      await makeFolder(root);
      await writeMarker(root);
    }
    for (const name of PLACES) {
      await makeFolder(join(root, name));
    }
    return output;
  }

  /** A place below the output. */
  path(...names: readonly string[]): string {
    return join(this.root, ...names);
  }

  /** Where what the store has of a kind under a key is, or is to be. */
  storeFolder(kind: StoreKind, key: string): string {
    return join(this.root, 'store', kind, key.slice(0, 2), key);
  }

  /** Where the scores of a key are, or are to be. */
  scoreFolder(key: string): string {
    return this.storeFolder('scores', key);
  }

  /** Where the part of a key is, or is to be. */
  partFolder(key: string): string {
    return this.storeFolder('parts', key);
  }

  /** Where the rows of a CSV file are, or are to be, as Parquet. */
  csvFolder(key: string): string {
    return this.storeFolder('csv', key);
  }

  /** What is recorded of a CSV file's rows, if the store has them. Throws `environment` when it is damaged. */
  async readCsv(key: string): Promise<CsvRecord | undefined> {
    return readRecord(
      join(this.csvFolder(key), 'csv.json'),
      key,
      parseCsvRecord,
      (record) => record.key,
    );
  }

  /** Marks what is under a key as in use, so that gc leaves it for a while; tells whether there is anything. */
  async touch(kind: StoreKind, key: string): Promise<boolean> {
    const now = new Date();
    try {
      await utimes(this.storeFolder(kind, key), now, now);
      return true;
    } catch (error) {
      // Where it may not be touched it may be used all the same: if gc takes it, it is made again.
      return errnoOf(error) !== 'ENOENT';
    }
  }

  /** The keys under which the store has something of a kind. */
  async storedKeys(kind: StoreKind): Promise<string[]> {
    const keys: string[] = [];
    for (const start of await listFolder(this.path('store', kind))) {
      if (!/^[0-9a-f]{2}$/.test(start)) continue;
      const names = await listFolder(this.path('store', kind, start));
      keys.push(...names.filter((name) => /^[0-9a-f]{64}$/.test(name) && name.startsWith(start)));
    }
    return keys;
  }

  /** Whether the store has something of a kind under a key. */
  async has(kind: StoreKind, key: string): Promise<boolean> {
    return (await listFolder(this.storeFolder(kind, key))).length > 0;
  }

  /** Whether the store has the scores of a key, with their statistics: what is visible is whole, though it may be damaged. */
  async hasScores(key: string): Promise<boolean> {
    try {
      const text = await readFile(join(this.scoreFolder(key), 'scores.json'), 'utf8');
      return parseScores(text, key)?.format !== 1;
    } catch (error) {
      // What cannot be read is there: who uses it says what is wrong with it.
      return errnoOf(error) !== 'ENOENT';
    }
  }

  /** Takes what is under a key out of the store in one step, and removes it. `temporary` is a folder of the caller's own. */
  async takeAway(kind: StoreKind, key: string, temporary: string): Promise<void> {
    const away = join(temporary, `${kind}-${key}`);
    try {
      await rename(this.storeFolder(kind, key), away);
    } catch (error) {
      if (errnoOf(error) === 'ENOENT') return;
      throw systemError(error, `cannot remove ${shown(this.storeFolder(kind, key))}`);
    }
    await removeLeftover(away);
  }

  /** The part of a key, if the store has it. Throws `environment` when it is damaged. */
  async readPart(key: string): Promise<StoredPart | undefined> {
    const path = join(this.partFolder(key), 'part.json');
    return readRecord(path, key, parseStoredPart, ({ part }) => part.key);
  }

  /** The record beside the scores of a key, if the store has them. Throws `environment` when it is damaged. */
  async readScores(key: string): Promise<ScoresRecord | undefined> {
    const path = join(this.scoreFolder(key), 'scores.json');
    return readRecord(
      path,
      key,
      (text) => parseScores(text, key),
      // Records of earlier versions do not say their key.
      (record) => record.key ?? key,
    );
  }

  /** A temporary folder of this process's own. */
  async makeTemporary(): Promise<string> {
    const path = join(this.root, 'tmp', temporaryName());
    for (const place of ['tmp', 'store']) await refuseLink(this.path(place));
    try {
      await mkdir(path);
    } catch (error) {
      throw systemError(error, `cannot create folder ${shown(path)}`);
    }
    return path;
  }

  /**
   * What processes that are gone have left in `tmp`. Of processes of other machines, of other containers, and of before a boot
   * nothing is known: what they have is left until nothing was made in it for seven days. `strangers`: there is such.
   */
  async leftovers(now: Date): Promise<{ readonly dead: string[]; readonly strangers: boolean }> {
    const dead: string[] = [];
    let strangers = false;
    const addOld = async (path: string): Promise<void> => {
      if (await isOlder(path, now.getTime() - OLD_MS)) dead.push(path);
    };
    for (const name of await listFolder(this.path('tmp'))) {
      const owner = ownerOf(name);
      if (owner === 'gone') dead.push(this.path('tmp', name));
      if (owner !== 'elsewhere') continue;
      strangers = true;
      await addOld(this.path('tmp', name));
    }
    // A process that was killed while it wrote a file here; earlier versions made the new link beside the old one, too.
    for (const name of await listFolder(this.root))
      if (/^(?:current|owner\.json)\.\d+\.[0-9a-z]+\.tmp$/.test(name))
        await addOld(this.path(name));
    return { dead, strangers };
  }

  /** Lends a temporary folder, and removes it afterwards. */
  async withTemporary<Result>(use: (temporary: string) => Promise<Result>): Promise<Result> {
    const temporary = await this.makeTemporary();
    try {
      return await use(temporary);
    } finally {
      await removeLeftover(temporary);
    }
  }
}

/** What is written below `tmp` is renamed into `store`, in one step: both have to be folders of the output itself. */
async function refuseLink(path: string): Promise<void> {
  const isLink = await lstat(path).then(
    (found) => found.isSymbolicLink(),
    () => false,
  );
  if (!isLink) return;
  throw new ScorelineError(
    'environment',
    `${shown(path)}: is a link; put the folder itself there, on the file system of the output`,
  );
}

/** A record of the store that says its own key; undefined when it is not there. */
async function readRecord<Parsed>(
  path: string,
  key: string,
  parse: (text: string) => Parsed | undefined,
  keyIn: (record: Parsed) => string,
): Promise<Parsed | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return undefined;
    throw systemError(error, `cannot read ${shown(path)}`);
  }
  const record = parse(text);
  if (record !== undefined && keyIn(record) === key) return record;
  throw damagedRecord(path);
}

/** The error about a file of the store that is not what was recorded. */
export function damagedRecord(path: string): ScorelineError {
  return new ScorelineError(
    'environment',
    `${shown(path)}: damaged; "scoreline verify --repair" removes it, then run again`,
  );
}

/** What nobody has used for so long is nobody's any more: no run goes on for so long without a new task. */
const OLD_MS = 7 * 24 * 60 * 60 * 1000;

const HERE = processSpace();

/** A name that tells whose a temporary folder is: where its process runs, its number, and when it started. */
export function temporaryName(): string {
  const unique = Math.random().toString(36).slice(2, 10);
  return `${HERE}-${process.pid}-${startOf(process.pid) ?? 'unknown'}-${unique}`;
}

/** What is known of the process that made a temporary folder; nothing where it is not of this machine and container. */
export type Owner = 'alive' | 'gone' | 'elsewhere';

/** What is known of the process that made a temporary folder of this name; undefined when scoreline makes no such names. */
export function ownerOf(name: string): Owner | undefined {
  const [, where, pid, started] = TEMPORARY_NAME.exec(name) ?? [];
  if (where === undefined) return undefined;
  if (where !== HERE) return 'elsewhere';
  const isSame =
    isAlive(Number(pid)) && (started === 'unknown' || startOf(Number(pid)) === started);
  return isSame ? 'alive' : 'gone';
}

/**
 * Whether nobody uses a temporary folder any more: its process is gone, or of a process that is unknown here nothing was made in
 * it for seven days. Throws `environment`.
 */
export async function isLeftBehind(path: string, name: string, now: Date): Promise<boolean> {
  const owner = ownerOf(name);
  return owner === undefined || owner === 'elsewhere'
    ? isOlder(path, now.getTime() - OLD_MS)
    : owner === 'gone';
}

const TEMPORARY_NAME = /^([0-9a-f]{12})-(\d+)-(\d+|unknown)-[0-9a-z]*$/;

/** Whether something was not changed since an instant, in ms since 1970; not so when it is gone. */
async function isOlder(path: string, thanMs: number): Promise<boolean> {
  try {
    return (await lstat(path)).mtimeMs < thanMs;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT') return false;
    throw systemError(error, `cannot look at ${shown(path)}`);
  }
}

/** When a process of this machine started, in clock ticks since boot; undefined when there is none. */
function startOf(pid: number): string | undefined {
  try {
    // The second field is the program's name in parentheses and may hold anything: fields are counted after it.
    const stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
    return stat.slice(stat.lastIndexOf(')') + 2).split(' ')[19];
  } catch {
    return undefined;
  }
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return errnoOf(error) === 'EPERM';
  }
}
