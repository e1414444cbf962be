/** A baseline in a file of its own: statistics under a name. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { ScorelineError, shown, systemError } from '../base/errors.js';
import { writeFileWhole } from '../base/files.js';
import { canonicalJson, isUnedited, sealed } from '../base/hash.js';
import { requireFile } from '../base/regular-file.js';
import type { Statistics } from '../stats/column.js';
import { encodeStatistics } from '../stats/encode.js';
import { parseStatistics } from '../stats/parse.js';
import { baselineRecords, supersededUnits } from './overridden.js';
import { latestSnapshot } from './snapshot.js';
import { StatisticsReader } from './statistics.js';
import type { Output } from './store.js';

/** Statistics to compare with, and what they are of. */
export interface Baseline {
  readonly label: string;
  /** How many partitions they are of: rows are compared by partition. */
  readonly units: number;
  readonly statistics: Statistics;
}

const fileSchema = z.strictObject({
  format: z.literal(1),
  kind: z.literal('scoreline baseline'),
  label: z.string(),
  units: z.int().positive(),
  statistics: z.json(),
  /** The digest of the rest; files of earlier versions have none. */
  digest: z.string().optional(),
});

/** A baseline as the text of a file. */
function baselineText({ label, units, statistics }: Baseline): string {
  const json = {
    format: 1,
    kind: 'scoreline baseline',
    label,
    units,
    statistics: encodeStatistics(statistics),
  };
  return `${canonicalJson(sealed(json))}\n`;
}

/** What was saved. */
export interface SavedBaseline {
  readonly label: string;
  readonly units: number;
  readonly rows: number;
}

/**
 * Saves the statistics of what is published as a baseline, without exceptions and what was before a new normal; `name` is what the
 * baseline is called, by itself the snapshot. Throws `input` when nothing is published or no statistics of it are kept,
 * `environment` when the file cannot be written.
 */
export async function saveBaseline(
  output: Output,
  file: string,
  name?: string,
): Promise<SavedBaseline> {
  const latest = await latestSnapshot(output);
  if (latest === undefined)
    throw new ScorelineError('input', `${shown(output.root)}: nothing is published yet`);
  const superseded = supersededUnits(latest);
  const records = [...baselineRecords(latest)].flatMap(([unit, record]) =>
    superseded.has(unit) ? [] : [record],
  );
  const found = await new StatisticsReader(output).ofUnits(records);
  if (found?.units !== records.length || found.units === 0)
    throw new ScorelineError(
      'input',
      `${shown(output.root)}: of ${records.length - (found?.units ?? 0)} of ${records.length} partitions no statistics are kept; run the job again`,
    );
  const label = name ?? `${latest.manifest.name}, snapshot ${latest.number}`;
  await writeFileWhole(file, baselineText({ ...found, label }));
  return { label, units: found.units, rows: found.statistics.rows };
}

/** Reads a baseline; `what` is how messages name the file. Throws `usage` when the file cannot be read, or holds none. */
export async function readBaseline(path: string, what: string): Promise<Baseline> {
  let text: string;
  await requireFile(path, what, 'usage');
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw systemError(error, `cannot read ${what}`, 'usage');
  }
  const file = fileSchema.safeParse(jsonOf(text)).data;
  const statistics = file && parseStatistics(file.statistics);
  if (file?.digest !== undefined && !isUnedited({ ...file, digest: file.digest }))
    throw new ScorelineError(
      'usage',
      `${what}: is damaged, or was edited; make it again with "scoreline baseline save"`,
    );
  if (statistics === undefined) {
    throw new ScorelineError(
      'usage',
      `${what}: is no baseline of this version; make it with "scoreline baseline save"`,
    );
  }
  return { label: file!.label, units: file!.units, statistics };
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
