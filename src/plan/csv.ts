/** CSV as input: how its files are written, and what is known of one. Light: the parent and workers import it. */
import { type Json, keyOf } from '../base/hash.js';

/** How the CSV files of a job are written. Declared, never guessed; the defaults are those of RFC 4180. */
export interface CsvDialect {
  /** One ASCII character between fields. */
  readonly delimiter: string;
  /** One ASCII character around fields that hold special ones; empty where nothing is quoted. */
  readonly quote: string;
  /** The names of the columns where the files have no header; undefined where they have one. */
  readonly columns: readonly string[] | undefined;
  /** What an unquoted field holds that has no value. */
  readonly null: string;
}

/** The dialect of RFC 4180, with a header. */
export const RFC_4180: CsvDialect = { delimiter: ',', quote: '"', columns: undefined, null: '' };

/** What a scan of a CSV file found, besides its good records. */
export interface CsvFacts {
  /** Records that were set aside, and the first of them. */
  readonly rejected: number;
  readonly examples: readonly string[];
  /** Whether DuckDB may read the file as it is; else a clean copy is made of it first. */
  readonly plain: boolean;
  /** The longest good record, in bytes. */
  readonly longest: number;
}

/** A CSV file as its first records show it. */
export interface CsvLook {
  readonly dialect: CsvDialect;
  /** `type` is undefined for text; `distinct`: each of those records has a value of its own there. */
  readonly columns: readonly {
    readonly name: string;
    readonly type: string | undefined;
    readonly distinct: boolean;
  }[];
  /** How many records were looked at. */
  readonly records: number;
}

/** Changes whenever the same file would be read as other rows. */
const CSV_FORMAT = 2;

/** The key of a CSV file's rows in the store: its content and how it is read, and its path, which its bad records name. */
export function csvKey(path: string, sha256: string, dialect: CsvDialect): string {
  return keyOf({ format: CSV_FORMAT, path, sha256, dialect: dialectJson(dialect) });
}

/** A dialect as part of a key. */
export function dialectJson({ delimiter, quote, columns, null: nullText }: CsvDialect): Json {
  return { delimiter, quote, columns: columns ?? null, null: nullText };
}

/** The row groups that a CSV file is written in, once it is Parquet. */
export const CSV_GROUP_ROWS = 122_880;

/**
 * The row groups of a CSV file for the plan: of fixed size, so that tasks follow from the rows alone, with `bytes` of text
 * shared out among them.
 */
export function csvRowGroups(rows: number, bytes: number): { rows: number; bytes: number }[] {
  const groups = [];
  for (let start = 0; start < rows; start += CSV_GROUP_ROWS) {
    const size = Math.min(CSV_GROUP_ROWS, rows - start);
    groups.push({ rows: size, bytes: Math.round((bytes * size) / rows) });
  }
  return groups;
}
