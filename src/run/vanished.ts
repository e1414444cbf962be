/** Published units whose input is there no longer. */
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { type Dataset, NothingSelected } from '../plan/dataset.js';
import { coversPath } from '../plan/globs.js';
import type { Job } from '../plan/job.js';
import type { Manifest, UnitRecord } from '../plan/manifest.js';
import { partitionValues } from '../plan/partition.js';
import { belowDate, fillDate, isSelected, type Selection } from '../plan/selection.js';
import { listInput } from './prepare.js';

/**
 * The units that are published, that a selection means, and whose input is gone: in order of their names. A unit that waits for
 * its `ready` file has not vanished. The listing says only what is there: without it, nothing has vanished.
 */
export function vanishedUnits(
  published: Manifest | undefined,
  dataset: Dataset,
  job: Job,
  selection: Selection,
): string[] {
  const there = new Set([...dataset.partitions.keys(), ...dataset.notReady]);
  const ways = selection.dates?.map((date) => fillDate(belowDate(job.input.pathText), date));
  return Object.entries(published?.units ?? {})
    .filter(
      ([unit, record]) =>
        !there.has(unit) &&
        isMeant(unit, record, selection, ways) &&
        !waits(record, dataset.root, job.input.ready),
    )
    .map(([unit]) => unit);
}

/** Whether a selection means a unit, as its record tells: its folders' values, and where its files were. */
function isMeant(
  unit: string,
  { inputs }: UnitRecord,
  selection: Selection,
  ways: readonly string[] | undefined,
): boolean {
  if (!isSelected(selection, partitionValues(unit))) return false;
  if (ways === undefined) return true;
  return inputs.every(({ path }) => ways.some((way) => coversPath(way, path)));
}

/** Whether the folder of a unit is there without the file that says that it is whole: it is being written. */
function waits({ inputs }: UnitRecord, root: string, ready: string | undefined): boolean {
  const [first] = inputs;
  if (ready === undefined || first === undefined) return false;
  const folder = join(root, dirname(first.path));
  return existsSync(folder) && !existsSync(join(folder, ready));
}

/**
 * Lists what a run means of a job's input. With `prune` that may be nothing, if a published unit of the selection has vanished
 * while others are there. Throws as `listInput` does.
 */
export async function listOrVanished(
  job: Job,
  selection: Selection,
  { prune, published }: { readonly prune: boolean; readonly published: Manifest | undefined },
): Promise<Dataset> {
  try {
    return await listInput(job, selection);
  } catch (error) {
    if (!prune || !(error instanceof NothingSelected)) throw error;
    if (vanishedUnits(published, error.dataset, job, selection).length === 0) throw error;
    return error.dataset;
  }
}
