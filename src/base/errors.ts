/**
 * Errors that a user can meet, and the one table that maps them to exit codes.
 *
 * A `ScorelineError` is for what a user can mend; anything else that is thrown is a bug (exit 1).
 */
import { constants } from 'node:os';

/** What went wrong, in the words of the exit-code table. */
export type ErrorCode =
  | 'bug'
  | 'usage'
  | 'gate'
  | 'input'
  | 'model'
  | 'environment'
  | 'conflict'
  | 'changed';

/** One row of the exit-code table: an interface that schedulers rely on. */
export interface ExitCodeRow {
  readonly exit: number;
  readonly meaning: string;
  /** Whether the same command may succeed when it is tried again. */
  readonly retry: boolean;
  readonly whatToDo: string;
}

const RUN_AGAIN = 'run again: the same command does what is missing';
const MORE_MEMORY = `${RUN_AGAIN}; where memory ran out, with more of it or with fewer --workers`;

/** The exit code of every error code; the documentation's tables are tested against it. */
export const EXIT_CODES: Readonly<Record<ErrorCode, ExitCodeRow>> = {
  bug: {
    exit: 1,
    meaning: 'a bug in scoreline',
    retry: false,
    whatToDo: 'report it: the message and the stack are on stderr',
  },
  usage: {
    exit: 2,
    meaning: 'wrong usage or invalid job file',
    retry: false,
    whatToDo: 'mend the command or the job file',
  },
  gate: {
    exit: 3,
    meaning:
      'a gate failed, or rows are bad or lost: staged, or stopped early, not published; or the content was reverted',
    retry: false,
    whatToDo:
      'look at what was staged, then publish or discard it; where too many bad rows stopped the run early nothing is staged: look at the rows in the folder that the message names, then mend the input or raise quarantine.max; what was reverted comes back with run --because, or when data, model or job change',
  },
  input: {
    exit: 4,
    meaning: 'input refused: unreadable, wrong schema, none found',
    retry: false,
    whatToDo:
      'mend or remove the files that the message names; what could be scored is kept, and published with --keep-going',
  },
  model: {
    exit: 5,
    meaning: 'model refused: unreadable, signature does not fit, device absent',
    retry: false,
    whatToDo: 'mend the model, or name one that is there',
  },
  environment: {
    exit: 6,
    meaning: 'environment: disk full, permission, out of memory',
    retry: true,
    whatToDo: 'free disk or memory, mend permissions or damage; run again',
  },
  conflict: {
    exit: 7,
    meaning: 'another run published overlapping partitions first',
    retry: true,
    whatToDo: RUN_AGAIN,
  },
  changed: {
    exit: 8,
    meaning: 'an input file changed while it was read',
    retry: true,
    whatToDo: RUN_AGAIN,
  },
};

/** Every exit code that a scheduler can see, those that follow from no error among them. */
export const EXITS: readonly ExitCodeRow[] = [
  { exit: 0, meaning: 'published, or already up to date', retry: false, whatToDo: 'nothing' },
  ...Object.values(EXIT_CODES),
  {
    exit: 99,
    meaning: 'already up to date, with --skip-unchanged',
    retry: false,
    whatToDo: 'nothing: Airflow marks the task as skipped with skip_on_exit_code=99',
  },
  { exit: 130, meaning: 'interrupted (SIGINT)', retry: true, whatToDo: RUN_AGAIN },
  ...[133, 134].map((exit) => ({
    exit,
    meaning: `ended by its own runtime (${exit === 133 ? 'SIGTRAP' : 'SIGABRT'}), most often because memory ran out`,
    retry: true,
    whatToDo: MORE_MEMORY,
  })),
  {
    exit: 137,
    meaning: 'killed from outside (SIGKILL), most often because memory ran out',
    retry: true,
    whatToDo: MORE_MEMORY,
  },
  { exit: 143, meaning: 'interrupted (SIGTERM)', retry: true, whatToDo: RUN_AGAIN },
];

/** An error that the user can mend: one line that says what, where and what to do. */
export class ScorelineError extends Error {
  override readonly name = 'ScorelineError';
  readonly code: ErrorCode;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(message, options);
    this.code = code;
  }
}

/** The exit code for anything that was thrown; what is not a `ScorelineError` is a bug. */
export function exitCodeOf(error: unknown): number {
  const settled = settledError(error);
  return EXIT_CODES[settled instanceof ScorelineError ? settled.code : 'bug'].exit;
}

const ENVIRONMENT_ERRNO = new Set([
  'ENOSPC',
  'EDQUOT',
  'EFBIG',
  'EACCES',
  'EPERM',
  'EROFS',
  'EIO',
  'EMFILE',
  'ENFILE',
  'ENOMEM',
  'ENOTCONN',
  'ESTALE',
  'ETIMEDOUT',
  'EBUSY',
]);

/** The errno name of a Node system error ('ENOSPC' …), or undefined for every other value. */
export function errnoOf(error: unknown): string | undefined {
  if (!(error instanceof Error) || !('code' in error)) return undefined;
  // libuv has no name for some that the system has, EDQUOT among them.
  if ('errno' in error && String(error.code).startsWith('Unknown system error'))
    return ERRNO_NAMES.get(-Number(error.errno)) ?? String(error.code);
  return typeof error.code === 'string' ? error.code : undefined;
}

const ERRNO_NAMES: ReadonlyMap<number, string> = new Map(
  Object.entries(constants.errno).map(([name, number]) => [number, name]),
);

/**
 * Turns a system error met while doing `what` (for instance "cannot write out/x") into a `ScorelineError`:
 * an errno that tells of the machine is `environment`, everything else gets `otherwise`.
 */
export function systemError(
  error: unknown,
  what: string,
  otherwise: ErrorCode = 'environment',
): ScorelineError {
  if (error instanceof ScorelineError) return error;
  const errno = errnoOf(error);
  const code = errno !== undefined && ENVIRONMENT_ERRNO.has(errno) ? 'environment' : otherwise;
  return new ScorelineError(code, `${what}: ${errno ?? firstLine(messageOf(error))}`, {
    cause: error,
  });
}

/**
 * The error itself, or an `environment` error in its place where the machine is to blame: it refused memory, descriptors or
 * a file to code that had no words of its own for that.
 */
export function settledError(error: unknown): unknown {
  if (error instanceof ScorelineError) return error;
  const said = shown(firstLine(messageOf(error)));
  const errno = errnoOf(error);
  const problem = isOutOfMemory(error)
    ? `out of memory (${said}): give scoreline more memory, or fewer run.workers`
    : lacksDescriptors(error)
      ? `too many files are open (${said}): raise the limit, for instance with "ulimit -n 1024"`
      : errno !== undefined && ENVIRONMENT_ERRNO.has(errno)
        ? said
        : undefined;
  return problem === undefined
    ? error
    : new ScorelineError('environment', problem, { cause: error });
}

/** Whether an error says that no more files may be open. */
function lacksDescriptors(error: unknown): boolean {
  const errno = errnoOf(error);
  return errno === 'EMFILE' || errno === 'ENFILE' || /Too many open files/.test(messageOf(error));
}

/** Whether the last words of a process say that the machine refused it memory or descriptors. */
export function saysStarved(text: string): boolean {
  return OUT_OF_MEMORY.test(text) || /\bE[MN]FILE\b|Too many open files/.test(text);
}

/** Whether an error, of whatever part of the program, says that memory ran out. */
export function isOutOfMemory(error: unknown): boolean {
  return OUT_OF_MEMORY.test(messageOf(error)) || errnoOf(error) === 'ENOMEM';
}

/** What DuckDB, the C++ library, ONNX Runtime and V8 say where they get no memory. */
const OUT_OF_MEMORY =
  /Out of Memory Error|bad_alloc|\b[Aa]llocation fail|Failed to allocate memory|[Cc]annot allocate memory|failed to map segment|ERR_WORKER_OUT_OF_MEMORY|[Oo]ut of memory|\bprocess OOM\b/;

/** The message of anything that was thrown. */
export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** The first line of a text that may have many. */
export function firstLine(text: string): string {
  return text.split('\n', 1)[0] ?? '';
}

/**
 * Text that came from data (names, cell values, messages of libraries), made safe to show on a terminal and in a
 * log: control characters and bidirectional overrides become escapes, and what is longer than `max` is cut.
 */
export function shown(text: string, max = 200): string {
  let safe = '';
  for (const character of text) {
    if (safe.length >= max) return `${safe}…`;
    const point = character.codePointAt(0) ?? 0;
    safe += isUnsafe(point) ? `\\u{${point.toString(16)}}` : character;
  }
  return safe;
}

/** Control characters (C0, DEL, C1), line separators, and the bidirectional formatting characters. */
function isUnsafe(point: number): boolean {
  return (
    point < 0x20 ||
    (point >= 0x7f && point <= 0x9f) ||
    point === 0x2028 ||
    point === 0x2029 ||
    point === 0x200e ||
    point === 0x200f ||
    point === 0x061c ||
    (point >= 0x202a && point <= 0x202e) ||
    (point >= 0x2066 && point <= 0x2069) ||
    (point >= 0xd800 && point <= 0xdfff)
  );
}

/** The known names nearest to a mistyped one, best first, at most three: for "did you mean". */
export function nearNames(name: string, known: readonly string[]): string[] {
  const wanted = name.toLowerCase();
  const limit = Math.max(1, Math.floor(name.length / 3));
  return known
    .map((candidate) => ({ candidate, distance: editDistance(wanted, candidate.toLowerCase()) }))
    .filter(({ distance }) => distance <= limit)
    .sort((a, b) => a.distance - b.distance)
    .slice(0, 3)
    .map(({ candidate }) => candidate);
}

/** The words " (did you mean …?)" for the nearest known names, or nothing when none is near. */
export function didYouMean(name: string, known: readonly string[]): string {
  const near = nearNames(name, known);
  return near.length > 0 ? ` (did you mean ${near.map((n) => `"${shown(n)}"`).join(', ')}?)` : '';
}

/** Levenshtein distance, row by row. */
function editDistance(a: string, b: string): number {
  let previous = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const current = [i];
    for (let j = 1; j <= b.length; j++) {
      const substitution = previous[j - 1]! + (a[i - 1] === b[j - 1] ? 0 : 1);
      current.push(Math.min(substitution, previous[j]! + 1, current[j - 1]! + 1));
    }
    previous = current;
  }
  return previous[b.length]!;
}

/** Marks a case that the types exclude. */
export function assertNever(value: never): never {
  throw new TypeError(`unexpected ${String(value)}`);
}

/** A word as it is typed in a shell. */
export function shellWord(text: string): string {
  return /^[\w./,:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}
