/** Kept columns of folders, as every reader that knows Hive partitions reads them. */
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { beforeAll, expect, test } from 'vitest';
import { makeCase } from '../job-case.js';
import { writeParquet } from '../parquet.js';
import { pythonWith } from '../python.js';
import { ROOT } from '../scoreline.js';

let python = '';
beforeAll(() => {
  python = pythonWith('readers.txt');
});

/** What the folders are, the values that they give, and their names where these are written otherwise. */
type Folders = [what: string, values: (string | null)[], names?: string[]];
const FOLDERS: Folders[] = [
  ['numbers', ['3', '4']],
  ['numbers with zeros in front', ['03', '04']],
  ['dates', ['2024-03-01', '2024-03-02']],
  ['text', ['north', 'south']],
  ['escaped text', ['a b', 'c:d'], ['a%20b', 'c%3Ad']],
  ['null', ['north', null], ['north', '__HIVE_DEFAULT_PARTITION__']],
];

test.each(FOLDERS)(
  '%s come with the predictions of their own folders',
  async (what, values, written) => {
    const names = written ?? values.map(String);
    const job = makeCase({
      output: { path: 'out', keep: ['id', 'part'], columns: { y: 'y' } },
    });
    for (const [index, name] of names.entries())
      await writeParquet(
        join(job.input, `part=${name}`, 'x.parquet'),
        `SELECT ${index}::INTEGER AS id, ${index}::FLOAT AS a, 1::FLOAT AS b`,
      );
    expect((await job.run()).exit).toBe(0);
    // pandas cannot read a folder of null itself ("Cannot yet unify dictionaries with nulls").
    const readers = ['polars', 'duckdb', 'pyarrow', ...(values.includes(null) ? [] : ['pandas'])];
    const data = join(job.output, 'current/data');
    const args = [join(ROOT, 'test/slow/readers.py'), data, 'id,part', ...readers];
    const read: Record<string, (string | null)[][]> = JSON.parse(
      execFileSync(python, args, { encoding: 'utf8' }),
    );
    expect(Object.keys(read)).toEqual(readers);
    for (const rows of Object.values(read)) {
      // Whether 03 is a number is the reader's choice.
      const said = rows.map(([id, part]) => [id, part?.replace(/^0/, '').slice(0, 10) ?? null]);
      const expected = values.map((value, id) => [`${id}`, value?.replace(/^0/, '') ?? null]);
      expect([what, said]).toEqual([what, expected]);
    }
  },
);
