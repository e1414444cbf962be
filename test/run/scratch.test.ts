import { existsSync, mkdirSync, readdirSync, utimesSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { processSpace } from '../../src/base/identity.js';
import { withScratch } from '../../src/run/scratch.js';
import { temporaryName } from '../../src/run/store.js';

const NOW = new Date();
const WEEK_MS = 8 * 24 * 60 * 60 * 1000;

function folderNamed(name: string, old = false): string {
  const path = join(tmpdir(), name);
  mkdirSync(path);
  writeFileSync(join(path, 'x'), '');
  const then = new Date(NOW.getTime() - WEEK_MS);
  if (old) utimesSync(path, then, then);
  return path;
}

test('a folder is lent, and goes when it is given back or its use fails', async () => {
  let lent = '';
  await withScratch('check', NOW, async (folder) => {
    lent = folder;
    expect(readdirSync(folder)).toEqual([]);
  });
  expect(existsSync(lent)).toBe(false);
  const failed = withScratch('check', NOW, async (folder) => {
    lent = folder;
    throw new Error('stop');
  });
  await expect(failed).rejects.toThrow('stop');
  expect(existsSync(lent)).toBe(false);
});

test('folders of killed processes are removed, and those that somebody may use stay', async () => {
  const gone = [
    folderNamed(`scoreline-check-${processSpace()}-4194304000-1-a`),
    folderNamed(`scoreline-baseline-${processSpace()}-4194304000-1-b`),
    // Of another machine, or of an earlier version.
    folderNamed('scoreline-check-0123456789ab-1-1-c', true),
    folderNamed('scoreline-check-aB3dEf', true),
  ];
  const used = [
    folderNamed(`scoreline-check-${temporaryName()}`),
    folderNamed('scoreline-check-0123456789ab-1-1-d'),
    folderNamed('scoreline-check-xyz123'),
    folderNamed('scoreline-other', true),
  ];
  await withScratch('check', NOW, async () => {});
  expect(gone.filter((path) => existsSync(path))).toEqual([]);
  expect(used.filter((path) => existsSync(path))).toEqual(used);
});
