/** Constants of a filter that take much to compute, though each value is small: the worker that checks them ends, and the message says so. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { makeCase } from '../job-case.js';

test.each([
  ['memory', "damerau_levenshtein(repeat('ab', 5000), repeat('ba', 5000)) > 1"],
  ['time', `${'('.repeat(900)}1${' + a::INTEGER)'.repeat(900)} = 1`],
])('a filter that takes too much %s to compute is wrong usage', async (what, where) => {
  const job = makeCase({ input: { path: 'in', where, types: { a: 'FLOAT', b: 'FLOAT' } } });
  writeFileSync(join(job.input, 'part.csv'), 'a,b\n1,2\n');
  const { exit, stderr } = await job.plan();
  expect([exit, stderr]).toEqual([
    2,
    expect.stringMatching(
      new RegExp(`^scoreline: input\\.where: [^\\n]* \\(it took too much ${what}\\): [^\\n]*\\n$`),
    ),
  ]);
});
