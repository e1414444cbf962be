/** Parquet files with damage: refused by exit code 4 in a line that names file, row group and column. */
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { readFooter } from '../../src/worker/parquet-footer.js';
import { makeCase } from '../job-case.js';
import { varint, withFooter } from '../parquet-damage.js';
import { FIXTURES } from '../scoreline.js';

const FILE = join(FIXTURES, 'parquet', 'v1-snappy.parquet');

test('a flipped bit is refused, unless the job says not to look', async () => {
  const job = makeCase();
  const flipped = readFileSync(FILE);
  flipped[200]! ^= 4;
  writeFileSync(join(job.input, 'x.parquet'), flipped);
  expect(await job.run('--quiet')).toMatchObject({
    exit: 4,
    stderr: expect.stringMatching(
      /^scoreline: x\.parquet: row group 0, column "a": page \d does not have the checksum of its header; the file is damaged: write it again$/m,
    ),
  });
  const off = await job.run(
    '--quiet',
    '--set',
    'input.checksums=false',
    '--set',
    'quarantine.max=100%',
  );
  expect(off).toMatchObject({ exit: 0, report: { ledger: { rows: 600 } } });
});

test('a footer that claims 1 TiB, or 2^30 row groups, is the fault of the file', async () => {
  const job = makeCase();
  const whole = readFileSync(FILE);
  const footer = await readFooter('x', FILE);
  const { size } = footer.groups[1]!.chunks[3]!;
  const groups = (header: Buffer): Buffer =>
    Buffer.concat([varint(600), Buffer.from([0x19]), header]);
  const many = Buffer.concat([Buffer.from([0xfc]), varint(2n ** 30n, false)]);
  for (const damaged of [
    withFooter(whole, varint(size), varint(2n ** 40n)),
    withFooter(whole, groups(Buffer.from([0x2c])), groups(many)),
  ]) {
    writeFileSync(join(job.input, 'x.parquet'), damaged);
    const { exit, stderr } = await job.run('--quiet');
    expect({ exit, stderr }).toEqual({
      exit: 4,
      stderr: expect.stringMatching(
        /^scoreline: x\.parquet: .*; the file is damaged: write it again$/m,
      ),
    });
  }
});
