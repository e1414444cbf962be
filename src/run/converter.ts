/** Has CSV files converted to Parquet when their rows are needed, each once. */
import { join } from 'node:path';
import { shown, systemError } from '../base/errors.js';
import { type FileStamp, stampOf } from '../base/hash.js';
import { csvKey } from '../plan/csv.js';
import type { DataFile, FileFacts } from '../plan/dataset.js';
import type { CsvRecord } from '../plan/ledger.js';
import { type Manifest, unitOf } from '../plan/manifest.js';
import type { TaskFile } from '../plan/plan.js';
import type { OrderFile } from '../worker/protocol.js';
import { askPatiently, type Pool } from './pool.js';
import type { Prepared } from './prepare.js';
import type { Output } from './store.js';
import { deathAsError, WorkerDied } from './worker-died.js';
import { duckdbBytes, memoryBytesOf } from './workers.js';

/** What converting needs. */
export interface ConvertTools {
  readonly output: Output;
  /** A folder of this run's own, on the file system of the output. */
  readonly temporary: string;
  readonly pool: () => Pool;
}

async function storedStamp(path: string): Promise<FileStamp> {
  try {
    return await stampOf(path);
  } catch (error) {
    throw systemError(error, `cannot read ${shown(path)}`);
  }
}

/** The CSV files of a run, converted as they are asked for. Parquet files are left as they are. */
export class Converter {
  private readonly prepared: Prepared;
  private readonly published: Manifest | undefined;
  private readonly tools: ConvertTools;
  private readonly started = new Map<string, Promise<void>>();
  readonly converted = new Map<string, CsvRecord>();

  constructor(prepared: Prepared, published: Manifest | undefined, tools: ConvertTools) {
    this.prepared = prepared;
    this.published = published;
    this.tools = tools;
  }

  /** A range of rows as a worker reads it: of a CSV file, from its rows in the store. */
  async orderFile({ file, facts, rowStart, rowEnd }: TaskFile): Promise<OrderFile> {
    const { path } = file;
    const own = { path, schema: facts.schema, fileRows: facts.rows, rowStart, rowEnd };
    const key = this.keyOf(file, facts);
    if (key === undefined) return { ...own, absolute: file.absolute, stamp: file.stamp };
    const started = this.started.get(path) ?? this.convert(file, facts, key);
    this.started.set(path, started);
    await started;
    const absolute = join(this.tools.output.csvFolder(key), 'rows.parquet');
    return { ...own, absolute, stored: true, stamp: await storedStamp(absolute) };
  }

  /** Makes the record of a CSV file known: from the store, from what is published, or by converting it. */
  async record(file: DataFile, facts: FileFacts): Promise<void> {
    const key = this.keyOf(file, facts);
    if (key === undefined) return;
    const published = unitOf(this.published, file.unit)?.rejected?.find(
      (rejected) => rejected.key === key,
    );
    if (published === undefined) await this.convert(file, facts, key);
    else this.converted.set(file.path, { key, rows: facts.rows, rejected: published.file });
  }

  private keyOf({ path }: DataFile, { sha256 }: FileFacts): string | undefined {
    const { csv } = this.prepared.scoring;
    return csv === undefined || sha256 === null ? undefined : csvKey(path, sha256, csv);
  }

  private async convert(file: DataFile, facts: FileFacts, key: string): Promise<void> {
    const { output, temporary, pool } = this.tools;
    const { csv } = this.prepared.scoring;
    if (csv === undefined || facts.csv === undefined)
      throw new Error(`${file.path} is no CSV file`);
    await output.touch('csv', key);
    let record = await output.readCsv(key);
    if (record === undefined) {
      const { path, absolute, stamp } = file;
      const workers = pool();
      const files = this.prepared.dataset.files.length;
      const threads = Math.max(1, Math.floor(workers.size / files));
      record = await askPatiently(workers, 'convert-csv', {
        file: { path, absolute, stamp },
        dialect: csv,
        key,
        columns: facts.schema.map(({ name }) => name),
        rows: facts.rows,
        facts: facts.csv,
        folder: output.csvFolder(key),
        temporaryFolder: join(temporary, `csv-${key}`),
        threads,
        memoryBytes: threads * duckdbBytes(memoryBytesOf(this.prepared.job), workers.size),
      }).catch((error: unknown) => {
        if (!(error instanceof WorkerDied) || error.how === 'closed') throw error;
        throw deathAsError(error, `converting ${shown(path)}`);
      });
    }
    this.converted.set(file.path, record);
  }
}
