/** Damage of the store: what it keeps by key, compared with the records beside it. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { messageOf } from '../base/errors.js';
import { listFolder } from '../base/files.js';
import { SAMPLE_FILE, STATISTICS_FILE, type StoredFile } from '../plan/ledger.js';
import { parseScores } from '../plan/manifest.js';
import type { Checker, Found } from './checker.js';
import { readModelRecord } from './model-store.js';
import { type Output, STORE_KINDS, type StoreKind } from './store.js';

/** Damage of an entry of the store. */
export interface StoredDamage extends Found {
  readonly kind: StoreKind;
  readonly key: string;
}

/** Looks at every entry of the store. */
export async function storeDamage(checker: Checker): Promise<StoredDamage[]> {
  const { output } = checker;
  const damage: StoredDamage[] = [];
  for (const kind of STORE_KINDS) {
    for (const key of await output.storedKeys(kind)) {
      const found = await entryDamage(checker, kind, key);
      // gc may have taken it meanwhile.
      if (found.length === 0 || !(await output.has(kind, key))) continue;
      damage.push(...found.map((one) => ({ ...one, kind, key })));
    }
  }
  return damage;
}

async function entryDamage(checker: Checker, kind: StoreKind, key: string): Promise<Found[]> {
  const folder = checker.output.storeFolder(kind, key);
  const check = (name: string, file: Partial<StoredFile>): Promise<Found[]> =>
    checker.check(join(folder, name), file);
  const names = await listFolder(folder);
  try {
    if (kind === 'parts') {
      const stored = await checker.output.readPart(key);
      if (stored === undefined) return [checker.found(join(folder, 'part.json'), 'is missing')];
      const { part, statistics, sample } = stored;
      const data = names.find((name) => name.startsWith('data.')) ?? 'data';
      const bad =
        part.quarantine === null ? [] : await check('quarantine.parquet', part.quarantine);
      const counted =
        statistics === undefined ? [] : await check(STATISTICS_FILE, { sha256: statistics });
      const sampled = sample === undefined ? [] : await check(SAMPLE_FILE, { sha256: sample });
      return [...(await check(data, part.data)), ...bad, ...counted, ...sampled];
    }
    if (kind === 'csv') {
      const record = await checker.output.readCsv(key);
      if (record === undefined) return [checker.found(join(folder, 'csv.json'), 'is missing')];
      const { data = {}, rejected } = record;
      const bad = rejected === null ? [] : await check('rejected.parquet', rejected);
      return [...(await check('rows.parquet', data)), ...bad];
    }
    if (kind === 'models') {
      const record = await readModelRecord(checker.output, key);
      if (record === undefined) return [checker.found(join(folder, 'model.json'), 'is damaged')];
      const found = record.files.map(({ path, ...file }) => check(join('files', path), file));
      return (await Promise.all(found)).flat();
    }
    const record = parseScores(await readFile(join(folder, 'scores.json'), 'utf8'), key);
    if (record === undefined) return [checker.found(join(folder, 'scores.json'), 'is damaged')];
    const { scores, bad, statistics, sample } = record.files ?? {};
    const ofBad = bad == null ? [] : await check('bad.parquet', { sha256: bad });
    return [
      ...(await check('scores.parquet', scores === undefined ? {} : { sha256: scores })),
      ...ofBad,
      ...(statistics === undefined ? [] : await check(STATISTICS_FILE, { sha256: statistics })),
      ...(sample === undefined ? [] : await check(SAMPLE_FILE, { sha256: sample })),
    ];
  } catch (error) {
    return [checker.found(folder, messageOf(error))];
  }
}

/** Takes damaged entries out of the store. */
export async function removeStored(
  output: Output,
  damage: readonly StoredDamage[],
  temporary: string,
  repairs: Map<string, string>,
): Promise<void> {
  for (const { path, kind, key } of damage) {
    await output.takeAway(kind, key, temporary);
    repairs.set(path, 'removed from the store');
  }
}
