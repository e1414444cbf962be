/** Dated files of the input that are the file of another day under a further name: they are read as that day's alone. */
import { lstat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import pLimit from 'p-limit';
import { compareText, type FileStamp, stampOf } from '../base/hash.js';
import { isDataFile } from './find.js';
import { partitionValues } from './partition.js';
import { dateOfUnit } from './selection.js';
import { type Twin, withoutTwins } from './twins.js';
import { walk } from './walk.js';

/** Looks a path below the input up: the name that its file is read under, where that is the name of another day. */
export type OtherDayOf = (path: string) => Promise<Twin | undefined>;

/**
 * Which day a file with names of several days belongs to, whatever days are selected: to the one whose name is no link, else to
 * the first. The folders are only looked through when a file has several names. Throws `input`, `environment`.
 */
export function otherDays(
  root: string,
  { pathText, files }: { readonly pathText: string; readonly files?: string | undefined },
): OtherDayOf {
  let known: Promise<ReadonlyMap<string, Twin>> | undefined;
  return async (path) => {
    const own = await lstat(join(root, path));
    if (!own.isSymbolicLink() && own.nlink === 1) return undefined;
    known ??= findOtherDays(root, pathText, files);
    return (await known).get(path);
  };
}

async function findOtherDays(
  root: string,
  pathText: string,
  files: string | undefined,
): Promise<ReadonlyMap<string, Twin>> {
  const isData = isDataFile(files);
  const { entries } = await walk(root);
  const dated = entries.filter(
    ({ path, kind }) =>
      kind !== 'folder-link' &&
      dateOfUnit(pathText, path) !== undefined &&
      (files === undefined || isData(path)),
  );
  const limit = pLimit(64);
  const found = await limit.map(dated, async ({ path, kind }) => {
    const stamp = await stampIfThere(join(root, path));
    return stamp === undefined ? [] : [{ path, stamp, isLink: kind === 'link' }];
  });
  const { twins } = withoutTwins(
    found.flat().sort((a, b) => compareText(a.path, b.path)),
    {
      isLink: ({ isLink }) => isLink,
      valuesOf: ({ path }) => partitionValues(dirname(path)),
    },
  );
  const day = (path: string): string | undefined => dateOfUnit(pathText, path);
  return new Map(
    twins
      .filter(({ path, readAs }) => day(path) !== day(readAs))
      .map((twin) => [twin.path, { ...twin, otherDay: true }]),
  );
}

/** undefined for a link that leads nowhere: whoever reads its day says so. */
async function stampIfThere(path: string): Promise<FileStamp | undefined> {
  try {
    return await stampOf(path);
  } catch {
    return undefined;
  }
}
