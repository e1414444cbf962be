/** What changed for the same key between what is published and what is to be. */
import { join } from 'node:path';
import { ScorelineError } from '../base/errors.js';
import { dataExtension, dataFileName } from '../plan/ledger.js';
import { publishedFiles, type UnitRecord, unitOf } from '../plan/manifest.js';
import { type FlipColumn, type Flips, sumFlips } from '../stats/flips.js';
import { isKeyKept, isLabel } from './gate-columns.js';
import { askPatiently, type Pool } from './pool.js';
import type { Prepared } from './prepare.js';
import type { Snapshot } from './snapshot.js';
import type { Output } from './store.js';

/**
 * The flips of the units that were published before and change, all together; undefined where rows have no published key,
 * nothing was published, or what was published cannot be compared.
 */
export async function flipsOf(
  news: ReadonlyMap<string, UnitRecord>,
  latest: Snapshot | undefined,
  {
    prepared,
    output,
    pool,
  }: { readonly prepared: Prepared; readonly output: Output; readonly pool: () => Pool },
): Promise<Flips | undefined> {
  const { job, publishing } = prepared;
  const extension = dataExtension(job.output);
  if (!isKeyKept(job) || latest === undefined || latest.manifest.extension !== extension)
    return undefined;
  const columns = publishing.columns
    .filter(({ width, index }) => width === 1 || index !== undefined)
    .map((binding): FlipColumn => {
      return { name: binding.column, kind: isLabel(binding) ? 'label' : 'number' };
    });
  const changed = [...news].filter(
    ([unit, { parts }]) =>
      parts.length > 0 && (unitOf(latest.manifest, unit)?.parts.length ?? 0) > 0,
  );
  if (changed.length === 0) return undefined;
  // Not the rows set aside: they have keys, too, but no predictions.
  const data = dataFileName(extension);
  const files = publishedFiles(latest.manifest).filter(({ name }) => name === data);
  const asked = changed.map(([unit, { parts }]) =>
    askPatiently(pool(), 'flips', {
      key: job.input.key!,
      columns,
      before: files
        .filter((file) => file.unit === unit)
        .map(({ path }) => join(latest.folder, path)),
      now: parts.map(({ key }) => join(output.partFolder(key), data)),
      csv: extension !== 'parquet',
    }),
  );
  try {
    return sumFlips(await Promise.all(asked));
  } catch (error) {
    await Promise.allSettled(asked);
    // Published without the key, or taken by gc meanwhile: there is nothing to compare with.
    if (error instanceof ScorelineError && error.code === 'input') return undefined;
    throw error;
  }
}

/** Labels as the gate on flips takes them: the column of which the largest share has changed. */
export function labelFlips(
  flips: Flips | undefined,
): { readonly compared: number; readonly changed: number } | undefined {
  const labels = flips?.columns.filter(({ kind }) => kind === 'label') ?? [];
  if (flips === undefined || labels.length === 0) return undefined;
  return { compared: flips.keys.both, changed: Math.max(...labels.map(({ changed }) => changed)) };
}
