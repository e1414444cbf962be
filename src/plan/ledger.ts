/** Where the rows of a task, a part or a run went, and what is kept of them. Light: workers import it too. */

/** rows = scored + quarantined + filtered, always. */
export interface Ledger {
  readonly rows: number;
  readonly scored: number;
  readonly quarantined: number;
  readonly filtered: number;
}

/** The ledger of one input file, by its path relative to the input's root. */
export interface InputLedger {
  readonly path: string;
  readonly ledger: Ledger;
}

/** A file of a part: its content's digest, size and rows. */
export interface StoredFile {
  readonly sha256: string;
  readonly bytes: number;
  readonly rows: number;
}

/** One task's contribution to a snapshot. */
export interface PartRecord {
  /** The part key. */
  readonly key: string;
  readonly scoreKey: string;
  readonly ledger: Ledger;
  /** The rows that are published. */
  readonly data: StoredFile;
  /** The rows set aside; null when there are none. */
  readonly quarantine: StoredFile | null;
}

/** What is recorded beside the rows of a CSV file in the store. */
export interface CsvRecord {
  readonly key: string;
  readonly rows: number;
  /** The file of the rows; not kept by earlier versions. */
  readonly data?: StoredFile | undefined;
  /** The records that were set aside; null when there are none. */
  readonly rejected: StoredFile | null;
}

/** What is recorded beside the scores of a task. */
export interface ScoresRecord {
  /** 1: without statistics. */
  readonly format: 1 | 2;
  /** The score key; records of earlier versions lack it. */
  readonly key?: string | undefined;
  readonly inputs: readonly InputLedger[];
  /** By feature column: how many values a cast has changed. */
  readonly lossyCasts: readonly { readonly column: string; readonly values: number }[];
  /** The digests of the files beside it. */
  readonly files?:
    | {
        readonly scores: string;
        readonly bad: string | null;
        readonly statistics?: string | undefined;
        readonly sample?: string | undefined;
      }
    | undefined;
}

/** The name of the statistics beside scores, and beside a part. */
export const STATISTICS_FILE = 'statistics.json';
/** The name of the sample beside scores, and beside a part. */
export const SAMPLE_FILE = 'sample.bin';

/** The sum of ledgers. */
export function sumLedgers(ledgers: readonly Ledger[]): Ledger {
  const sum = { rows: 0, scored: 0, quarantined: 0, filtered: 0 };
  for (const ledger of ledgers) {
    sum.rows += ledger.rows;
    sum.scored += ledger.scored;
    sum.quarantined += ledger.quarantined;
    sum.filtered += ledger.filtered;
  }
  return sum;
}

/** Whether a ledger adds up. */
export function balances(ledger: Ledger): boolean {
  return ledger.rows === ledger.scored + ledger.quarantined + ledger.filtered;
}

/** How the names of published files end. */
export type DataExtension = 'parquet' | 'csv' | 'csv.gz' | 'csv.zst';

/** How the names of published files end, from the format and compression of a job. */
export function dataExtension(output: {
  readonly format: 'parquet' | 'csv';
  readonly compression: string;
}): DataExtension {
  if (output.format === 'parquet') return 'parquet';
  return output.compression === 'gzip'
    ? 'csv.gz'
    : output.compression === 'zstd'
      ? 'csv.zst'
      : 'csv';
}

/** The name of a part's data in the store. */
export function dataFileName(extension: DataExtension): string {
  return `data.${extension}`;
}
