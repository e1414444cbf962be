/** The file that says that a folder is scoreline's own. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { z } from 'zod';
import { errnoOf, ScorelineError, shown, systemError } from '../base/errors.js';
import { listFolder, writeFileWhole } from '../base/files.js';
import { isUnedited } from '../base/hash.js';
import { parseManifest } from '../plan/manifest.js';

/** The name of the file. */
export const MARKER = 'scoreline.json';

const FORMAT = 1;

const markerSchema = z.looseObject({ format: z.number() });

/** Writes the file into a folder that becomes scoreline's. */
export async function writeMarker(root: string): Promise<void> {
  await writeFileWhole(join(root, MARKER), `${JSON.stringify({ format: FORMAT })}\n`);
}

/**
 * Tells what is wrong with the file in a folder of some names; undefined when nothing is. Throws `usage` when the folder is not
 * scoreline's, as far as one can tell, or another version's.
 */
export async function markerProblem(
  root: string,
  names: readonly string[],
): Promise<'is missing' | 'is damaged' | undefined> {
  if (!names.includes(MARKER)) {
    if (await isEvident(root)) return 'is missing';
    throw new ScorelineError(
      'usage',
      `output.path ${shown(root)}: holds something else (${shown([...names].sort()[0]!, 40)} …); name a folder of scoreline's own`,
    );
  }
  const text = await readFile(join(root, MARKER), 'utf8').catch((error: unknown) => {
    throw systemError(error, `cannot read ${shown(join(root, MARKER))}`);
  });
  const marker = markerSchema.safeParse(jsonOf(text));
  if (marker.data?.format === FORMAT) return undefined;
  if (!marker.success && (await isEvident(root))) return 'is damaged';
  throw new ScorelineError(
    'usage',
    `output.path ${shown(root)}: made by another version of scoreline (${MARKER} does not say format ${FORMAT})`,
  );
}

/** The error about an output without its file, for commands that do not restore it. */
export function markerError(root: string, problem: string): ScorelineError {
  return new ScorelineError(
    'environment',
    `${shown(join(root, MARKER))}: ${problem}; "scoreline verify ${shown(root)} --repair" restores it`,
  );
}

/** Whether the rest of a folder says that it is scoreline's: an unedited record, or a manifest. */
async function isEvident(root: string): Promise<boolean> {
  const chain = join(root, 'runs', 'chain');
  for (const thousand of (await namesIn(chain)).reverse())
    for (const number of (await namesIn(join(chain, thousand))).reverse())
      if (await isRecord(join(chain, thousand, number, 'record.json'))) return true;
  const snapshots = join(root, 'snapshots');
  for (const number of (await namesIn(snapshots)).reverse())
    if (await isManifest(join(snapshots, number, 'manifest.json'))) return true;
  return false;
}

/** The names in a folder; none where there is no such folder. */
async function namesIn(path: string): Promise<string[]> {
  return listFolder(path).catch((error: unknown) => {
    if (error instanceof ScorelineError && errnoOf(error.cause) === 'ENOTDIR') return [];
    throw error;
  });
}

const recordSchema = z.looseObject({ runId: z.string(), digest: z.string() });

async function isRecord(path: string): Promise<boolean> {
  const record = recordSchema.safeParse(jsonOf(await readFile(path, 'utf8').catch(() => '')));
  return record.success && isUnedited(record.data);
}

async function isManifest(path: string): Promise<boolean> {
  try {
    parseManifest(await readFile(path, 'utf8'), path);
    return true;
  } catch {
    return false;
  }
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}
