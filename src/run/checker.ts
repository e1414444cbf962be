/** Compares files with what was recorded of them. */
import { lstat } from 'node:fs/promises';
import { relative } from 'node:path';
import { errnoOf, messageOf } from '../base/errors.js';
import { hashFile, stampText } from '../base/hash.js';
import type { StoredFile } from '../plan/ledger.js';
import type { Output } from './store.js';

/** Something that is not what it was. */
export interface Damage {
  /** Relative to the output. */
  readonly path: string;
  readonly problem: string;
  /** What was done about it; null when it is still so. */
  readonly repair: string | null;
}

/** Damage before anything is done about it. */
export type Found = Omit<Damage, 'repair'>;

/** Compares files with their digests; each content is read once, whatever its names. */
export class Checker {
  readonly output: Output;
  private readonly known = new Map<string, string>();
  files = 0;
  bytes = 0;

  constructor(output: Output) {
    this.output = output;
  }

  /** What is wrong with a file; nothing when it is what it was. */
  async check(path: string, { sha256, bytes }: Partial<StoredFile>): Promise<Found[]> {
    const problem = await this.problemOf(path, sha256, bytes);
    return problem === undefined ? [] : [this.found(path, problem)];
  }

  found(path: string, problem: string): Found {
    return { path: relative(this.output.root, path), problem };
  }

  private async problemOf(
    path: string,
    digest: string | undefined,
    bytes: number | undefined,
  ): Promise<string | undefined> {
    this.files++;
    try {
      const stat = await lstat(path, { bigint: true });
      if (!stat.isFile()) return 'is no file';
      const size = Number(stat.size);
      if (bytes !== undefined && size !== bytes) return `has ${size} bytes, not ${bytes}`;
      if (digest === undefined) return undefined;
      const inode = `${stat.dev}:${stat.ino}:${stat.size}:${stat.mtimeNs}:${stat.ctimeNs}`;
      let found = this.known.get(inode);
      if (found === undefined) {
        const hashed = await hashFile(path);
        found = hashed.sha256;
        this.known.set(stampText(hashed.stamp), found);
        this.bytes += size;
      }
      return found === digest ? undefined : 'its content has changed';
    } catch (error) {
      return errnoOf(error) === 'ENOENT' ? 'is missing' : messageOf(error);
    }
  }
}
