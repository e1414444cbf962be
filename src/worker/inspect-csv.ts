/** Looks at a CSV file for a person, and proposes how a job file would say that it is written. */
import { basename } from 'node:path';
import { shown } from '../base/errors.js';
import { type CsvDialect, RFC_4180 } from '../plan/csv.js';
import { describeCsv, headOf } from './csv.js';
import { CsvScanner } from './csv-scan.js';
import type { Inspection } from './protocol.js';

/** How much of a file is looked at for a proposal. */
const HEAD_BYTES = 1 << 20;

/** Inspects a CSV file. Throws `input` when no dialect fits it. */
export async function inspectCsv(path: string): Promise<Inspection> {
  const head = await headOf({ path, absolute: path }, HEAD_BYTES);
  const { dialect, records } = proposeDialect(head, path);
  const answer = await describeCsv({ file: { path, absolute: path }, dialect });
  // describeCsv answers with an error only by throwing it.
  if ('error' in answer) throw new Error(answer.error.message);
  const { facts } = answer;
  const names = facts.schema.map(({ name }) => name);
  const types = names.map((_, column) => proposeType(records.map((record) => record[column])));
  const rejected = facts.csv?.rejected ?? 0;
  const yaml = proposal(path, dialect, names, types);
  const lines = [
    `${shown(path)}: CSV, ${facts.rows + rejected} records = ${facts.rows} good + ${rejected} set aside, sha256 ${facts.sha256}`,
    ...(facts.csv?.examples ?? []).map((example) => `  ${example}`),
    '',
    'columns',
    ...names.map((name, column) => {
      const first = records.slice(0, 3).map((record) => shown(record[column] ?? '', 20));
      return `  ${shown(name)}  ${types[column] ?? 'text'}  ${first.join(' | ')}`;
    }),
    '',
    'a proposal for the job file, from the first records alone: check it, above all the types',
    ...yaml.map((line) => `  ${line}`),
  ];
  return {
    kind: 'csv',
    lines,
    dialect,
    records: records.length,
    columns: names.map((name, column) => {
      const values = new Set(records.map((record) => record[column] ?? ''));
      const distinct = values.size === records.length && !values.has('');
      return { name, type: types[column], distinct };
    }),
    json: {
      kind: 'csv',
      path,
      sha256: facts.sha256,
      records: facts.rows + rejected,
      accepted: facts.rows,
      rejected,
      examples: facts.csv?.examples ?? [],
      columns: names.map((name, column) => ({ name, type: types[column] ?? 'VARCHAR' })),
      dialect,
      proposal: yaml,
    },
  };
}

const DELIMITERS = [',', ';', '\t', '|'];
/** A field in single quotes. In a file with double ones an apostrophe is one. */
const SINGLE_QUOTED = /(?:^|[,;\t|\n])'[^'\n]*'(?:[,;\t|\r\n]|$)/;

/** The dialect that leaves the fewest records aside and finds the most columns, and the first records in it. */
export function proposeDialect(
  head: Buffer,
  shownAs: string,
): { dialect: CsvDialect; records: string[][] } {
  let best: { dialect: CsvDialect; records: string[][]; cost: number } | undefined;
  let refusal: unknown;
  const text = head.toString('latin1');
  const quote = !text.includes('"') && SINGLE_QUOTED.test(text) ? "'" : '"';
  for (const delimiter of DELIMITERS) {
    const dialect = { ...RFC_4180, delimiter, quote };
    try {
      const tried = tryDialect(head, dialect, shownAs);
      if (best === undefined || tried.cost < best.cost) best = { dialect, ...tried };
    } catch (error) {
      refusal ??= error;
    }
  }
  if (best === undefined) throw refusal;
  const { dialect, records } = best;
  const [first = []] = records;
  // Names that are missing or given twice are said when the file is described.
  const isHeader = !first.some((name) => NUMBER.test(name));
  if (isHeader) return { dialect, records: records.slice(1) };
  return { dialect: { ...dialect, columns: first.map((_, index) => `c${index + 1}`) }, records };
}

/** The records in a dialect, the header among them, and what speaks against it: bad records, then few columns. */
function tryDialect(
  head: Buffer,
  dialect: CsvDialect,
  shownAs: string,
): { records: string[][]; cost: number } {
  const records: string[][] = [];
  const columns = Array.from({ length: firstWidth(head, dialect, shownAs) }, (_, index) =>
    String(index),
  );
  const scanner: CsvScanner = new CsvScanner({
    dialect: { ...dialect, columns },
    sink: {
      accept: (record) => {
        if (records.length < 1000) records.push(scanner.fieldsOf(Buffer.from(record)));
      },
      reject: () => undefined,
    },
    perRecord: true,
    shownAs,
  });
  scanner.push(head);
  scanner.end();
  const bad = scanner.rejected / Math.max(1, scanner.accepted + scanner.rejected);
  return { records, cost: bad + 1 / (1 + columns.length) };
}

/** The number of fields of the first record, be it a header or not. Throws `input` where it is no record. */
function firstWidth(head: Buffer, dialect: CsvDialect, shownAs: string): number {
  let width: number | undefined;
  const scanner: CsvScanner = new CsvScanner({
    dialect: { ...dialect, columns: ['0'] },
    sink: {
      accept: () => {
        width ??= 1;
      },
      reject: ({ reason }, record) => {
        const fields = reason === 'extra_fields' ? scanner.fieldsOf(Buffer.from(record)) : [];
        width ??= fields.length;
      },
    },
    perRecord: true,
    shownAs,
  });
  scanner.push(head);
  scanner.end();
  if (width !== undefined && width > 0) return width;
  // As a header it is refused, with the reason.
  const header = new CsvScanner({ dialect, sink: IGNORE, perRecord: true, shownAs });
  header.push(head);
  header.end();
  return header.names?.length ?? 0;
}

const IGNORE = { accept: () => undefined, reject: () => undefined };

const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:e[+-]?\d+)?$/i;
const TYPES: readonly (readonly [type: string, pattern: RegExp])[] = [
  // A number that begins with a zero is a code: as a number it would lose it.
  ['BIGINT', /^[+-]?(?:0|[1-9]\d{0,17})$/],
  ['DOUBLE', /^[+-]?(?:(?:0|[1-9]\d*)(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?$/i],
  ['BOOLEAN', /^(?:true|false)$/i],
  ['DATE', /^\d{4}-\d\d-\d\d$/],
  ['TIMESTAMP', /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?$/],
  [
    'TIMESTAMPTZ',
    /^\d{4}-\d\d-\d\d[ T]\d\d:\d\d(?::\d\d(?:\.\d{1,6})?)?(?:Z|[+-]\d\d(?::?\d\d)?)$/,
  ],
];

/** The type that all values of a column have; undefined for text. */
export function proposeType(values: readonly (string | undefined)[]): string | undefined {
  const given = values.filter((value) => value !== undefined && value !== '');
  if (given.length === 0) return undefined;
  return TYPES.find(([, pattern]) => given.every((value) => pattern.test(value ?? '')))?.[0];
}

/** The `input` section of a job file. JSON is YAML: names may hold anything. */
function proposal(
  path: string,
  dialect: CsvDialect,
  names: readonly string[],
  types: readonly (string | undefined)[],
): string[] {
  const text = (value: string): string =>
    /^[A-Za-z_][\w.-]*$/.test(value) && !/^(?:true|false|null|yes|no|on|off)$/i.test(value)
      ? value
      : JSON.stringify(value);
  const csv = [
    ...(dialect.delimiter === RFC_4180.delimiter
      ? []
      : [`delimiter: ${JSON.stringify(dialect.delimiter)}`]),
    ...(dialect.quote === RFC_4180.quote ? [] : [`quote: ${JSON.stringify(dialect.quote)}`]),
    ...(dialect.columns === undefined
      ? []
      : ['header: false', `columns: [${dialect.columns.map(text).join(', ')}]`]),
  ];
  const typed = names.flatMap((name, column) => {
    const type = types[column];
    return type === undefined ? [] : [`${text(name)}: ${type}`];
  });
  return [
    'input:',
    `  path: ${text(basename(path))}`,
    ...(csv.length === 0 ? [] : ['  csv:', ...csv.map((line) => `    ${line}`)]),
    ...(typed.length === 0 ? [] : ['  types:', ...typed.map((line) => `    ${line}`)]),
  ];
}
