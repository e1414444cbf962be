/** What is kept of a file's pages between runs: whether they were checked. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { FIXTURES } from '../scoreline.js';

test('pages that a run did not check are checked by a later one that is to', async () => {
  const job = makeCase({ quarantine: { max: '100%' } });
  const path = join(job.input, 'x.parquet');
  const flipped = readFileSync(join(FIXTURES, 'parquet', 'v1-snappy.parquet'));
  flipped[200]! ^= 4;
  writeFileSync(path, flipped);
  // What is known of a file is kept once it is two seconds old.
  await sleep(2100);
  const cache = (): string => readFileSync(join(job.output, 'cache/descriptions.json'), 'utf8');
  const off = ['--quiet', '--set', 'input.checksums=false'];
  expect(await job.run(...off)).toMatchObject({ exit: 0, report: { ledger: { rows: 600 } } });
  expect(cache()).toContain('x.parquet');
  expect(await job.run('--quiet')).toMatchObject({
    exit: 4,
    stderr: expect.stringContaining('checksum'),
  });
  expect(await job.run(...off)).toMatchObject({ exit: 0, report: { outcome: 'unchanged' } });
  flipped[200]! ^= 4;
  writeFileSync(path, flipped);
  await sleep(2100);
  expect(await job.run('--quiet')).toMatchObject({ exit: 0 });
  expect(cache()).toContain('"checked":true');
  expect(await job.run(...off)).toMatchObject({ exit: 0, report: { outcome: 'unchanged' } });
});
