/** Folders that several make at once, as workers do on a fresh output. */
import { readdirSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createFolder } from '../../src/base/files.js';
import { makeFolder } from '../scoreline.js';

test('folders made at once below one that is not there yet are all made', async () => {
  for (let round = 0; round < 100; round++) {
    const root = join(makeFolder(), 'parts');
    const names = Array.from({ length: 32 }, (_, i) => String(i).padStart(2, '0'));
    const made = names.map(async (name, i) => {
      // Each begins a little later than the one before, so that some meet the others half-way.
      for (let turn = 0; turn < i; turn++) await new Promise(setImmediate);
      await createFolder(join(root, name));
    });
    await Promise.all(made);
    expect(readdirSync(root).sort()).toEqual(names);
  }
});
