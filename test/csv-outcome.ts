/** What a run made of CSV files, file by file, in the words of `fixtures/csv/truth.json`. */
import { join } from 'node:path';
import { type Ledger, sumLedgers } from '../src/plan/ledger.js';
import type { JobCase } from './job-case.js';
import { exactPath, query } from './parquet.js';
import { manifestOf } from './published.js';

/** A value as published: text, or a prediction as its own text. */
export type Cell = string | null;

/** A record that was set aside before it was a row. */
export interface RejectedRecord {
  readonly file: string;
  readonly line: number;
  readonly byte: number;
  readonly reason: string;
  readonly message: string;
  readonly record: string;
}

/** What was published for one unit. */
export interface UnitOutcome {
  readonly rows: Cell[][];
  readonly rejected: RejectedRecord[];
  /** By the first column of the file that names a row; reason; column. */
  readonly quarantined: Cell[][];
  readonly ledger: Ledger;
}

/** The outcome of every unit of the published snapshot; `identity` is the column that names a row set aside. */
export async function unitOutcomes(
  job: JobCase,
  identity: string,
): Promise<Map<string, UnitOutcome>> {
  const units = new Map<string, UnitOutcome>();
  for (const [unit, { inputs }] of Object.entries(manifestOf(job).units)) {
    units.set(unit, {
      rows: [],
      rejected: [],
      quarantined: [],
      ledger: sumLedgers(inputs.map(({ ledger }) => ledger)),
    });
  }
  const unitAt = (path: unknown): UnitOutcome => {
    const folders = String(path).split(/\/current\/(?:data|quarantine)\//)[1]!;
    return units.get(folders.split('/').slice(0, -1).join('/'))!;
  };
  for (const row of await readFiles(job, 'data', () => true, '*')) {
    const { filename, ...cells } = row;
    unitAt(filename).rows.push(Object.values(cells) as Cell[]);
  }
  const isRejected = (file: string): boolean => file.endsWith('rejected.parquet');
  const rejected = await readFiles(job, 'quarantine', isRejected, '*');
  for (const { filename, ...row } of rejected) {
    unitAt(filename).rejected.push({
      file: String(row.scoreline_file),
      line: Number(row.scoreline_line),
      byte: Number(row.scoreline_byte),
      reason: String(row.scoreline_reason),
      message: String(row.scoreline_message),
      record: String(row.scoreline_record),
    });
  }
  const aside = await readFiles(
    job,
    'quarantine',
    (file) => !isRejected(file),
    `"${identity}" AS identity, scoreline_reason, scoreline_column, filename`,
  );
  for (const { filename, ...row } of aside) {
    unitAt(filename).quarantined.push(Object.values(row) as Cell[]);
  }
  return units;
}

/** The rows of published files in order, every column as text, and the file of each. */
async function readFiles(
  job: JobCase,
  kind: 'data' | 'quarantine',
  wanted: (file: string) => boolean,
  select: string,
): Promise<Record<string, unknown>[]> {
  const folder = join(job.output, 'current', kind);
  const paths = job.files(kind).filter(wanted);
  if (paths.length === 0) return [];
  const list = paths.map((file) => exactPath(join(folder, file))).join(', ');
  // With a letter before them: a byte order mark at the beginning of a text would be lost on the way.
  const rows = await query(
    `SELECT '=' || COLUMNS(*)::VARCHAR FROM (SELECT ${select} FROM ` +
      `read_parquet([${list}], filename = true, hive_partitioning = false, union_by_name = true))`,
  );
  return rows.map((row) =>
    Object.fromEntries(
      Object.entries(row).map(([name, cell]) => [
        name,
        cell === null ? null : String(cell).slice(1),
      ]),
    ),
  );
}

/** The text of a record with runs of replacement characters as one: how many stand for wrong bytes is not fixed. */
export function sameReplacements(record: string): string {
  return record.replace(/\ufffd+/g, '\ufffd');
}
