/** The schema of `input`, and of how CSV files are written. */
import * as z from 'zod';
import { isPlainMap } from './job-yaml.js';
import {
  always,
  checkDistinct,
  column,
  columnList,
  path,
  refuse,
  section,
  text,
} from './schema-parts.js';

const SQL_TYPES = [
  'BOOLEAN',
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
  'FLOAT',
  'DOUBLE',
  'VARCHAR',
  'DATE',
  'TIMESTAMP',
  'TIMESTAMPTZ',
];

const FILES = 'a pattern of file names, without a folder, such as "*.tsv"';
const READY = 'the name of a file, without a folder';
const TYPE = `one of ${SQL_TYPES.join(', ')}, or "DECIMAL(p,s)" in quotes with 1 <= p <= 38 and s <= p`;
const DELIMITER = 'one character of ASCII that is no letter, digit, double quote or line end';
const QUOTE = 'one character of ASCII that is no letter or digit, or "" where nothing is quoted';

/** The schema of `input.csv`. */
const csvSchema = section({
  delimiter: z
    .string({ error: DELIMITER })
    .refine(isDelimiter, { error: DELIMITER })
    .default(',')
    .describe('The character between fields.'),
  quote: z
    .string({ error: QUOTE })
    .regex(/^[!-/:-@[-`{-~]?$/, { error: QUOTE })
    .default('"')
    .describe(
      'The character around fields that hold special ones, doubled where it is one of them.',
    ),
  header: z
    .boolean({ error: 'true or false' })
    .default(true)
    .describe('Whether the first record of each file holds the names of its columns.'),
  columns: columnList('a list of column names')
    .min(1, { error: 'a list of column names' })
    .optional()
    .describe('The names of the columns, in order, where the files have no header.'),
  null: z
    .string({ error: 'a text' })
    .refine((value) => !/[\0\r\n]/.test(value), { error: 'a text on one line' })
    .default('')
    .describe('What stands, unquoted, in a field without a value.'),
}).superRefine(checkCsv, always);

/** The schema of `input`. */
export const inputSchema = section({
  path: path('a local file, folder or glob').describe(
    'The file, folder or glob to score, relative to the job file; names that begin with _ or . are ignored.',
  ),
  files: text(FILES)
    .regex(/^[^/]+$/, { error: FILES })
    .optional()
    .describe(
      'A pattern of the names of the files to read, such as *.tsv; without it those of Parquet and CSV files.',
    ),
  key: column()
    .optional()
    .describe('The column that names a row; checked unique within a partition folder.'),
  where: text('an SQL condition')
    .optional()
    .describe('An SQL condition; rows that do not meet it are counted as filtered, not scored.'),
  ready: text(READY)
    .regex(/^(?!\.{1,2}$)[^/\\]+$/, { error: READY })
    .optional()
    .describe('A file that says a folder is complete; a folder without it is not there yet.'),
  types: z
    .record(column(), z.string({ error: TYPE }).meta({ examples: SQL_TYPES }).transform(sqlType), {
      error: 'a map of column name to SQL type',
    })
    .superRefine(checkDistinct, always)
    .default({})
    .describe(
      'SQL types of columns that folders or CSV files give, which are text otherwise, by column name.',
    ),
  checksums: z
    .boolean({ error: 'true or false' })
    .default(true)
    .describe('Whether to check the pages of Parquet files: their checksums, sizes and levels.'),
  csv: csvSchema
    .optional()
    .describe('How CSV files are written; without it as RFC 4180 says, with a header.'),
}).describe('What to score.');

/** A column type in upper case without spaces. */
function sqlType(written: string, issues: z.core.$RefinementCtx<string>): string {
  const type = written.toUpperCase().replace(/\s+/g, '');
  if (SQL_TYPES.includes(type)) return type;
  const [, precision, scale] = /^DECIMAL\((\d{1,2}),(\d{1,2})\)$/.exec(type) ?? [];
  const [p, s] = [Number(precision), Number(scale)];
  if (p >= 1 && p <= 38 && s <= p) return `DECIMAL(${p},${s})`;
  issues.issues.push({ code: 'custom', message: TYPE, input: written });
  return z.NEVER;
}

function isDelimiter(text: string): boolean {
  const code = text.charCodeAt(0);
  return text.length === 1 && code > 0 && code < 128 && !/[A-Za-z0-9"\r\n]/.test(text);
}

/** What holds between the keys of `input.csv`. */
function checkCsv(csv: unknown, issues: z.core.$RefinementCtx<unknown>): void {
  if (!isPlainMap(csv)) return;
  const { delimiter, quote, header, columns } = csv;
  if (typeof delimiter === 'string' && delimiter === (quote ?? '"'))
    refuse(issues, ['delimiter'], 'is the quote, too');
  if (header === false && columns === undefined)
    refuse(
      issues,
      ['header'],
      'files without a header need the names of their columns: give columns',
    );
  if (header !== false && columns !== undefined)
    refuse(
      issues,
      ['columns'],
      'the header names the columns: say header: false where there is none',
    );
}
