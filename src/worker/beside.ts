/** What is kept of a task beside its scores, and beside its part: statistics, and a sample of its rows. */
import { join } from 'node:path';
import { createFile } from '../base/files.js';
import { canonicalJson, hashFile, sha256 } from '../base/hash.js';
import { SAMPLE_FILE, STATISTICS_FILE, type StoredFile } from '../plan/ledger.js';
import type { Statistics } from '../stats/column.js';
import { encodeStatistics } from '../stats/encode.js';

/** Statistics, and a sample as the bytes of its file where there is one. */
export interface KeptBeside {
  readonly statistics: Statistics;
  readonly sample: Uint8Array | undefined;
}

/** What is recorded of a file of the store: its digest and size, and how many rows it has. Throws the errors of the file system. */
export async function storedFile(path: string, rows: number): Promise<StoredFile> {
  const { sha256, stamp } = await hashFile(path);
  return { sha256, bytes: stamp.size, rows };
}

/** Writes both below a folder that is not visible yet; gives their digests. */
export async function writeBeside(
  folder: string,
  { statistics, sample }: KeptBeside,
): Promise<{ readonly statistics: string; readonly sample?: string }> {
  const text = `${canonicalJson(encodeStatistics(statistics))}\n`;
  await createFile(join(folder, STATISTICS_FILE), text);
  const digests = { statistics: sha256(text) };
  if (sample === undefined) return digests;
  await createFile(join(folder, SAMPLE_FILE), sample);
  return { ...digests, sample: sha256(sample) };
}
