/** Which part of a job's input a command means: dates that fill its path, and partitions. Pure. */
import { ScorelineError, shown } from '../base/errors.js';

/** What the command line says of the input. */
export interface Selection {
  /** Dates as `yyyy-MM-dd`, in order; undefined where none was given. */
  readonly dates: readonly string[] | undefined;
  /** Whether a date without input is only reported. */
  readonly allowMissing: boolean;
  /** Partition values: a unit must have one of those given for each column. */
  readonly partitions: readonly { readonly name: string; readonly value: string }[];
}

/** All of the input. */
export const EVERYTHING: Selection = { dates: undefined, allowMissing: false, partitions: [] };

/** The options of a command that select. */
export interface SelectionOptions {
  readonly date?: string | undefined;
  readonly from?: string | undefined;
  readonly to?: string | undefined;
  readonly allowMissing?: boolean | undefined;
  readonly partition?: readonly string[] | undefined;
}

/** A selection from the options of a command. Throws `usage`. */
export function selectionOf(options: SelectionOptions): Selection {
  const { date, from, to } = options;
  if (date !== undefined && (from !== undefined || to !== undefined))
    throw new ScorelineError(
      'usage',
      '--date: does not go with --from and --to; give one or the other',
    );
  if ((from === undefined) !== (to === undefined))
    throw new ScorelineError('usage', '--from and --to: a range needs both');
  const partitions = partitionsOf('--partition', options.partition ?? []);
  const first = date ?? from;
  const last = date ?? to;
  return {
    dates: first === undefined || last === undefined ? undefined : datesBetween(first, last),
    allowMissing: options.allowMissing === true,
    partitions,
  };
}

/** Partition values as an option has them. Throws `usage`, and then says what was expected. */
export function partitionsOf(
  option: string,
  texts: readonly string[],
  expected = 'name=value',
): Selection['partitions'] {
  return texts.map((text) => {
    const equals = text.indexOf('=');
    if (equals <= 0)
      throw new ScorelineError('usage', `${option} ${shown(text)}: expected ${expected}`);
    return { name: text.slice(0, equals), value: text.slice(equals + 1) };
  });
}

const DAY_MS = 86_400_000;
const MAX_DATES = 36_600;

/** The dates from one to another, both included. Throws `usage` for what is no date, and for a range backwards. */
function datesBetween(from: string, to: string): string[] {
  const [first, last] = [timeOf(from), timeOf(to)];
  if (last < first)
    throw new ScorelineError('usage', `--to ${shown(to)}: lies before --from ${shown(from)}`);
  const count = (last - first) / DAY_MS + 1;
  if (count > MAX_DATES)
    throw new ScorelineError(
      'usage',
      `--from and --to: ${count} days; at most ${MAX_DATES} at once`,
    );
  return Array.from({ length: count }, (_, day) => isoDate(first + day * DAY_MS));
}

function timeOf(date: string): number {
  if (!isDate(date))
    throw new ScorelineError('usage', `date ${shown(date)}: expected a day as 2013-06-01`);
  return Date.parse(`${date}T00:00:00Z`);
}

function isDate(text: string): boolean {
  const time = /^\d{4}-\d\d-\d\d$/.test(text) ? Date.parse(`${text}T00:00:00Z`) : Number.NaN;
  // 2013-02-30 parses in some engines, as a day of March.
  return !Number.isNaN(time) && isoDate(time) === text;
}

/** The day so many days before a date. */
export function daysBefore(date: string, days: number): string {
  return isoDate(timeOf(date) - days * DAY_MS);
}

function isoDate(time: number): string {
  return new Date(time).toISOString().slice(0, 10);
}

const TEMPLATE = /\{date:([^{}]*)\}/g;

/** Whether a path is to be filled with a date. */
export function hasDate(path: string): boolean {
  return path.search(TEMPLATE) >= 0;
}

/** A path with its templates filled: of a format, `yyyy`, `MM` and `dd` are replaced. Throws `usage` for other letters. */
export function fillDate(path: string, date: string): string {
  const [year = '', month = '', day = ''] = date.split('-');
  return path.replace(TEMPLATE, (template, format: string) => {
    const filled = format.replaceAll('yyyy', year).replaceAll('MM', month).replaceAll('dd', day);
    if (format === '' || /[A-Za-z]/.test(filled)) {
      throw new ScorelineError(
        'usage',
        `input.path: ${shown(template)}: a date is written with yyyy, MM and dd, as in {date:yyyy-MM-dd}`,
      );
    }
    return filled;
  });
}

/** The dates in the last name of a path, filled: undefined where there is none. */
export function dateInName(path: string, date: string): string | undefined {
  const templates = path.split('/').at(-1)?.match(TEMPLATE);
  return templates?.map((template) => fillDate(template, date)).join('-');
}

/** The part of a path before the first folder that a date is in. */
export function beforeDate(path: string): string {
  const names = path.split('/');
  const first = names.findIndex((name) => hasDate(name));
  const base = names.slice(0, first).join('/');
  return base === '' ? (path.startsWith('/') ? '/' : '.') : base;
}

/** The date of a unit of a job whose path has dates; undefined where its folders do not say it whole. */
export function dateOfUnit(path: string, unit: string): string | undefined {
  const names = path.split('/');
  const dated = names.slice(names.findIndex((name) => hasDate(name)));
  const inName = dated.at(-1)?.match(TEMPLATE)?.join('-');
  // The last name is that of a folder, or of files: then what stands for them is the date alone.
  const layouts = [dated, ...(inName === undefined ? [] : [[...dated.slice(0, -1), inName]])];
  for (const layout of layouts) {
    for (let length = layout.length; length > 0; length--) {
      const date = matchDate(layout.slice(0, length).join('/'), unit);
      if (date !== undefined) return date;
    }
  }
  return undefined;
}

const DATE_PART = { yyyy: '\\d{4}', MM: '\\d\\d', dd: '\\d\\d' } as const;

/** The date in a unit that begins as a path with templates says. */
function matchDate(path: string, unit: string): string | undefined {
  const parts: (keyof typeof DATE_PART)[] = [];
  const pattern = path.replace(
    /\{date:([^{}]*)\}|\*+|[^{*]+|\{/g,
    (text, format: string | undefined) => {
      if (format === undefined) return /^\*+$/.test(text) ? '[^/]*' : escapeRegExp(text);
      return escapeRegExp(format).replace(/yyyy|MM|dd/g, (part) => {
        parts.push(part as keyof typeof DATE_PART);
        return `(${DATE_PART[part as keyof typeof DATE_PART]})`;
      });
    },
  );
  const found = new RegExp(`^${pattern}(?:/|$)`).exec(unit)?.slice(1);
  if (found === undefined) return undefined;
  const said = (part: keyof typeof DATE_PART): string | undefined => found[parts.indexOf(part)];
  const date = `${said('yyyy')}-${said('MM')}-${said('dd')}`;
  // What is filled twice has to say the same both times.
  const agrees = found.every((text, i) => text === said(parts[i]!));
  return agrees && isDate(date) ? date : undefined;
}

function escapeRegExp(text: string): string {
  return text.replace(/[\\^$.*+?()[\]{}|/-]/g, '\\$&');
}

/** The rest of that path, from the first folder that a date is in. */
export function belowDate(path: string): string {
  const names = path.split('/');
  return names.slice(names.findIndex((name) => hasDate(name))).join('/');
}

/** Whether a selection wants a unit with these partition values: of each column that it names, one of the values. */
export function isSelected(
  { partitions }: Pick<Selection, 'partitions'>,
  unit: readonly { readonly name: string; readonly value: string | null }[],
): boolean {
  return partitions.every(({ name }) =>
    unit.some(
      (own) =>
        own.name === name &&
        partitions.some((wanted) => wanted.name === name && wanted.value === (own.value ?? '')),
    ),
  );
}
