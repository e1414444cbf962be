/** Files of the input that are one file under several names: its rows are read once. */
import type { FileStamp } from '../base/hash.js';
import type { PartitionValue } from './partition.js';

/** A file as the file system knows it. */
interface StampedFile {
  readonly path: string;
  readonly stamp: FileStamp;
}

/** A name that is not read, because the file has another one that is. */
export interface Twin {
  readonly path: string;
  readonly readAs: string;
  /** That name is the one of another day: the file is no input of its own. */
  readonly otherDay?: true;
}

/**
 * Files without those that are another one of them by device and inode, be it through a link or a hard link. A file's own name
 * goes before a link, and a folder that gives columns before one that does not. Folders that give different values to a column
 * make different rows of one file: these stay.
 */
export function withoutTwins<File extends StampedFile>(
  files: readonly File[],
  options: {
    readonly isLink: (file: File) => boolean;
    readonly valuesOf: (file: File) => readonly PartitionValue[];
  },
): { readonly files: readonly File[]; readonly twins: readonly Twin[] } {
  const { isLink, valuesOf } = options;
  const byInode = new Map<string, File[]>();
  for (const file of files) {
    const { dev, ino } = file.stamp;
    const same = byInode.get(`${dev}:${ino}`);
    if (same === undefined) byInode.set(`${dev}:${ino}`, [file]);
    else same.push(file);
  }
  const twins = new Map<File, Twin>();
  for (const same of byInode.values()) {
    const read: File[] = [];
    const ranked = same.toSorted(
      (a, b) => Number(isLink(a)) - Number(isLink(b)) || valuesOf(b).length - valuesOf(a).length,
    );
    for (const file of ranked) {
      const other = read.find((one) => !differ(valuesOf(one), valuesOf(file)));
      if (other === undefined) read.push(file);
      else twins.set(file, { path: file.path, readAs: other.path });
    }
  }
  if (twins.size === 0) return { files, twins: [] };
  return {
    files: files.filter((file) => !twins.has(file)),
    twins: files.flatMap((file) => twins.get(file) ?? []),
  };
}

/** Whether two folders give different values to a column. */
function differ(a: readonly PartitionValue[], b: readonly PartitionValue[]): boolean {
  return a.some(({ name, value }) => b.some((one) => one.name === name && one.value !== value));
}
