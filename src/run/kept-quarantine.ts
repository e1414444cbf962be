/** The rows set aside by a run that they stopped: their files, kept beside its record. */
import { join } from 'node:path';
import { createFolder, linkFile } from '../base/files.js';
import { partFileName } from '../plan/manifest.js';
import type { Converted } from './audit.js';
import type { Prepared } from './prepare.js';
import { keyOf, type Scored } from './score.js';
import type { Output } from './store.js';

/**
 * Links the quarantine files of all that was scored below `runs/<run id>/quarantine`, laid out as in a snapshot. Returns the folder;
 * undefined where no file was written. Throws `environment`.
 */
export async function keepQuarantine(
  output: Output,
  runId: string,
  prepared: Prepared,
  { parts, converted }: Pick<Scored, 'parts'> & { readonly converted: Converted },
): Promise<string | undefined> {
  const folder = output.path('runs', runId, 'quarantine');
  const { name } = prepared.job;
  let kept = 0;
  const keep = async (unit: string, source: string, target: string): Promise<void> => {
    await createFolder(join(folder, unit));
    await linkFile(source, join(folder, unit, target));
    kept++;
  };
  for (const { unit, tasks, files } of prepared.units) {
    for (const [index, task] of tasks.entries()) {
      const part = parts.get(keyOf(task))?.part;
      if (part === undefined || part.quarantine === null) continue;
      const source = join(output.partFolder(part.key), 'quarantine.parquet');
      await keep(unit, source, partFileName(name, index, 'parquet'));
    }
    const records = files.flatMap(({ file }) => converted.get(file.path) ?? []);
    const rejected = records.filter((record) => record.rejected !== null);
    for (const [index, { key }] of rejected.entries()) {
      const source = join(output.csvFolder(key), 'rejected.parquet');
      await keep(unit, source, partFileName(name, index, 'rejected.parquet'));
    }
  }
  return kept === 0 ? undefined : folder;
}
