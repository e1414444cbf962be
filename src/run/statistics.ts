/** The statistics of what was scored, put together from those of its tasks. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { errnoOf, shown, systemError } from '../base/errors.js';
import { sha256 } from '../base/hash.js';
import { type PartRecord, STATISTICS_FILE } from '../plan/ledger.js';
import type { UnitRecord } from '../plan/manifest.js';
import { mergeStatistics, type Statistics } from '../stats/column.js';
import { parseStatistics } from '../stats/parse.js';
import { damagedRecord, type Output } from './store.js';

/** The tasks of a unit, or some of them, and the model that scored them. */
export type UnitParts = Pick<UnitRecord, 'parts' | 'model'>;

/** The statistics of some units together; units without any are not counted. */
export interface UnitsStatistics {
  readonly statistics: Statistics;
  readonly units: number;
}

/** How many units are remembered: a backfill looks at the same few again and again. */
const REMEMBERED = 64;

/** Reads statistics from the store. */
export class StatisticsReader {
  private readonly output: Output;
  private readonly known = new Map<string, Promise<Statistics | undefined>>();

  constructor(output: Output) {
    this.output = output;
  }

  /** The statistics of a unit, its tasks in order; undefined where the store has not those of all of them. */
  ofUnit({ parts }: UnitParts): Promise<Statistics | undefined> {
    const id = parts.map(({ key }) => key).join();
    const read = this.known.get(id) ?? this.readUnit(parts);
    // The last one that was asked for stays longest.
    this.known.delete(id);
    this.known.set(id, read);
    const oldest = this.known.keys().next();
    if (this.known.size > REMEMBERED && oldest.done !== true) this.known.delete(oldest.value);
    return read;
  }

  /** The statistics of some units together, in their order; undefined where there are none of any. */
  async ofUnits(records: readonly UnitParts[]): Promise<UnitsStatistics | undefined> {
    let sum: Statistics | undefined;
    let units = 0;
    for (const record of records) {
      const own = await this.ofUnit(record);
      if (own === undefined) continue;
      units++;
      sum = sum === undefined ? own : mergeStatistics(sum, own);
    }
    return sum === undefined ? undefined : { statistics: sum, units };
  }

  private async readUnit(parts: readonly PartRecord[]): Promise<Statistics | undefined> {
    let sum: Statistics = { rows: 0, columns: [] };
    for (const part of parts) {
      const own = await this.readTask(part);
      if (own === undefined) return undefined;
      sum = mergeStatistics(sum, own);
    }
    return sum;
  }

  /** Of a task: its features beside its scores, the rest beside its part. */
  private async readTask({ key, scoreKey }: PartRecord): Promise<Statistics | undefined> {
    const scores = await this.output.readScores(scoreKey);
    const part = await this.output.readPart(key);
    if (scores === undefined || part === undefined) return undefined;
    const features = await readStatistics(
      this.output.scoreFolder(scoreKey),
      scores.files?.statistics,
    );
    const others = await readStatistics(this.output.partFolder(key), part.statistics);
    if (features === undefined || others === undefined) return undefined;
    return { rows: others.rows, columns: [...features.columns, ...others.columns] };
  }
}

/**
 * The statistics in a folder; undefined where its record names none, or they are of another version. Throws `environment` where
 * they are not what was recorded: gates would judge by wrong numbers.
 */
async function readStatistics(
  folder: string,
  digest: string | undefined,
): Promise<Statistics | undefined> {
  if (digest === undefined) return undefined;
  const path = join(folder, STATISTICS_FILE);
  const text = await readFile(path, 'utf8').catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT') throw damagedRecord(path);
    throw systemError(error, `cannot read ${shown(path)}`);
  });
  if (sha256(text) !== digest) throw damagedRecord(path);
  return parseStatistics(JSON.parse(text));
}
