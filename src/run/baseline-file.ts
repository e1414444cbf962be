/** A baseline in a file of its own: statistics under a name. */
import { readFile } from 'node:fs/promises';
import * as z from 'zod';
import { ScorelineError, shown, systemError } from '../base/errors.js';
import { canonicalJson, type Json } from '../base/hash.js';
import type { Statistics } from '../stats/column.js';
import { encodeStatistics } from '../stats/encode.js';
import { parseStatistics } from '../stats/parse.js';

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
});

/** A baseline as the text of a file. */
export function baselineText({ label, units, statistics }: Baseline): string {
  const json: Json = {
    format: 1,
    kind: 'scoreline baseline',
    label,
    units,
    statistics: encodeStatistics(statistics),
  };
  return `${canonicalJson(json)}\n`;
}

/** Reads a baseline. Throws `usage` when the file cannot be read, or holds none. */
export async function readBaseline(path: string): Promise<Baseline> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    throw systemError(error, `baseline.file: cannot read ${shown(path)}`, 'usage');
  }
  const file = fileSchema.safeParse(jsonOf(text)).data;
  const statistics = file && parseStatistics(file.statistics);
  if (statistics === undefined) {
    throw new ScorelineError(
      'usage',
      `baseline.file ${shown(path)}: is no baseline of this version; make it with "scoreline baseline save"`,
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
