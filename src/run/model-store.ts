/** The models that scored what is published: kept, because why scores moved can only be told with both. */
import { readFile, stat } from 'node:fs/promises';
import { dirname, isAbsolute, join, relative } from 'node:path';
import * as z from 'zod';
import { errnoOf, ScorelineError, systemError } from '../base/errors.js';
import { copyWhole, createFile, createFolder, putFolderIfAbsent } from '../base/files.js';
import { canonicalJson, hashFile, sha256 } from '../base/hash.js';
import type { ModelFacts } from '../plan/signature.js';
import type { Output } from './store.js';

const recordSchema = z.strictObject({
  format: z.literal(1),
  key: z.string(),
  /** The model first, then its external data; paths are relative to the folder `files` beside this record. */
  files: z
    .array(z.strictObject({ path: z.string(), sha256: z.string(), bytes: z.int().nonnegative() }))
    .min(1),
});

/** What is recorded of a model that is kept. */
export type ModelRecord = z.infer<typeof recordSchema>;

/** The key of a model: its hash; with external data, that of all hashes. */
export function modelKey(hashes: readonly string[]): string {
  return hashes.length === 1 ? hashes[0]! : sha256(hashes.join('\n'));
}

/**
 * Keeps the model of a run in the store, unless it is there: a copy, because a file that is overwritten takes its links with it.
 * Throws `changed` when the model is no longer the one that was hashed, `environment` when it cannot be copied.
 */
export async function keepModel(
  output: Output,
  model: Pick<ModelFacts, 'sha256' | 'files'> & { readonly path: string; readonly shownAs: string },
  temporary: string,
): Promise<void> {
  const key = modelKey(model.sha256);
  if (await output.touch('models', key)) return;
  const root = dirname(model.path);
  const folder = join(temporary, `model-${key}`);
  const files: ModelRecord['files'] = [];
  for (const [index, { path }] of model.files.entries()) {
    const own = relative(root, path);
    // ONNX Runtime takes no external data from elsewhere.
    if (own.startsWith('..') || isAbsolute(own)) return;
    const target = join(folder, 'files', own);
    await createFolder(dirname(target));
    await copyWhole(path, target);
    const { sha256: digest } = await hashFile(target);
    if (digest !== model.sha256[index])
      throw new ScorelineError(
        'changed',
        `model ${model.shownAs}: changed during the run; run again`,
      );
    files.push({ path: own, sha256: digest, bytes: (await stat(target)).size });
  }
  await createFile(
    join(folder, 'model.json'),
    `${canonicalJson({ format: 1, key, files } satisfies ModelRecord)}\n`,
  );
  await putFolderIfAbsent(folder, output.storeFolder('models', key));
}

/** What is recorded of a model in the store; undefined when it is not there, or damaged. */
export async function readModelRecord(
  output: Output,
  key: string,
): Promise<ModelRecord | undefined> {
  try {
    const text = await readFile(join(output.storeFolder('models', key), 'model.json'), 'utf8');
    const record = recordSchema.safeParse(JSON.parse(text)).data;
    const digests = record?.files.map(({ sha256 }) => sha256) ?? [];
    return record?.key === key && modelKey(digests) === key ? record : undefined;
  } catch (error) {
    if (errnoOf(error) === 'ENOENT' || error instanceof SyntaxError) return undefined;
    throw systemError(error, `cannot read what is recorded of model ${key.slice(0, 8)}`);
  }
}

/** The path of a file of a model in the store. */
export function modelFile(output: Output, { key, files }: ModelRecord, index = 0): string {
  return join(output.storeFolder('models', key), 'files', files[index]!.path);
}
