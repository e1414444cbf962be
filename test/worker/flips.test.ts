/** What changed for the same key: joined by DuckDB, compared here with a count in plain JavaScript. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Database } from '../../src/base/duckdb.js';
import { type Flips, sumFlips } from '../../src/stats/flips.js';
import { compareByKey } from '../../src/worker/flips.js';
import type { FlipsOrder } from '../../src/worker/protocol.js';
import { failure } from '../failure.js';
import { literal, writeParquet } from '../parquet.js';
import { Random } from '../random.js';
import { makeFolder } from '../scoreline.js';

let database: Database;
let folder: string;
let files = 0;

beforeAll(async () => {
  folder = makeFolder();
  database = await Database.open({
    memoryLimitBytes: 2 ** 29,
    temporaryFolder: folder,
    allowedFolders: [folder],
  });
});

afterAll(() => database.close());

interface Row {
  readonly id: number;
  readonly label: string | null;
  readonly score: number | null;
}

/** Rows as a Parquet file. */
async function fileOf(rows: readonly Row[]): Promise<string> {
  const path = join(folder, `p=${files++} [1]*.parquet`);
  const values = rows.map(
    ({ id, label, score }) =>
      `(${id}, ${label === null ? 'NULL' : literal(label)}, ${score === null ? 'NULL' : `'${score}'`}::DOUBLE)`,
  );
  const from =
    rows.length === 0
      ? "(SELECT 1, '', 1.0::DOUBLE) t(id, label, score) WHERE false"
      : `(VALUES ${values.join(', ')}) t(id, label, score)`;
  await writeParquet(path, `SELECT id::BIGINT AS id, label::VARCHAR AS label, score FROM ${from}`);
  return path;
}

async function compare(
  before: readonly (readonly Row[])[],
  now: readonly (readonly Row[])[],
  order: Partial<FlipsOrder> = {},
): Promise<Flips> {
  return compareByKey(database, {
    key: 'id',
    columns: [
      { name: 'label', kind: 'label' },
      { name: 'score', kind: 'number' },
    ],
    before: await Promise.all(before.map(fileOf)),
    now: await Promise.all(now.map(fileOf)),
    csv: false,
    ...order,
  });
}

const row = (id: number, label: string | null, score: number | null): Row => ({ id, label, score });

describe('two sets of predictions', () => {
  test('are joined by key over all their files, and every change is counted', async () => {
    const random = new Random(7);
    const draw = (id: number): Row =>
      row(
        id,
        random.pick(['a', 'b', 'c', null]),
        random.pick([0, -0, 1, 2.5, Number.NaN, Number.POSITIVE_INFINITY, null, random.next()]),
      );
    for (let round = 0; round < 24; round++) {
      const ids = Array.from({ length: 200 }, (_, id) => id);
      const before = ids.filter(() => random.next() < 0.8).map(draw);
      // Other rows, the same rows in the same order (as another model gives them), and those in another order.
      const same = before.map(({ id }) => draw(id));
      const others = ids.filter(() => random.next() < 0.8).map(draw);
      const now = round % 4 === 1 ? same : round % 4 === 2 ? random.shuffled(same) : others;
      const got = await compare(
        [before.slice(0, 50), before.slice(50)],
        [now.slice(0, 120), now.slice(120), []],
      );
      const was = new Map(before.map((each) => [each.id, each]));
      const both = now.flatMap((each) => {
        const old = was.get(each.id);
        return old === undefined ? [] : [[old, each] as const];
      });
      expect(got.keys).toEqual({
        both: both.length,
        before: before.length - both.length,
        now: now.length - both.length,
      });
      const [labels, scores] = got.columns;
      expect(labels?.changed).toBe(both.filter(([old, each]) => old.label !== each.label).length);
      expect(labels?.pairs.reduce((sum, { keys }) => sum + keys, 0)).toBe(labels?.changed);
      for (const { before: from, now: to, keys } of labels?.pairs ?? []) {
        expect(keys).toBe(
          both.filter(([old, each]) => old.label === from && each.label === to).length,
        );
      }
      const differs = (a: number | null, b: number | null): boolean =>
        !(a === b || (Number.isNaN(a) && Number.isNaN(b)));
      expect(scores?.changed).toBe(both.filter(([a, b]) => differs(a.score, b.score)).length);
      const moves = both
        .filter(([a, b]) => a.score !== null && b.score !== null)
        .map(([a, b]) => b.score! - a.score!)
        .filter(Number.isFinite);
      expect(scores?.finite).toBe(moves.length);
      expect(scores?.sum).toBeCloseTo(
        moves.reduce((sum, move) => sum + move, 0),
        10,
      );
      expect(scores?.largest).toBe(Math.max(0, ...moves.map(Math.abs)));
    }
  });

  test('name the keys that moved most, what is no number first', async () => {
    const before = [row(1, 'a', 0), row(2, 'a', 0), row(3, 'a', 0), row(4, 'a', Number.NaN)];
    const now = [row(1, 'a', 1), row(2, 'b', -3), row(3, 'a', 0), row(4, 'a', 1)];
    const { columns } = await compare([before], [now]);
    expect(columns).toEqual([
      {
        name: 'label',
        kind: 'label',
        changed: 1,
        pairs: [{ before: 'a', now: 'b', keys: 1 }],
        sum: 0,
        finite: 0,
        largest: 0,
        movers: [{ key: '2', before: 'a', now: 'b' }],
      },
      {
        name: 'score',
        kind: 'number',
        changed: 3,
        pairs: [],
        sum: -2,
        finite: 3,
        largest: 3,
        movers: [
          { key: '4', before: 'nan', now: '1.0' },
          { key: '2', before: '0.0', now: '-3.0' },
          { key: '1', before: '0.0', now: '1.0' },
        ],
      },
    ]);
  });

  test('compare what both have: a column that one lacks is named, and no side may be empty of meaning', async () => {
    const other = join(folder, 'other.parquet');
    await writeParquet(other, "SELECT 1::INTEGER AS id, 'a' AS label");
    const flips = await compare([], [[row(1, 'b', 2)]], { before: [other] });
    expect(flips).toMatchObject({ keys: { both: 1 }, absent: ['score'] });
    expect(flips.columns.map(({ name, changed }) => [name, changed])).toEqual([['label', 1]]);
    expect(await compare([], [[row(1, 'b', 2)]])).toMatchObject({
      keys: { both: 0, before: 0, now: 1 },
      columns: [{ changed: 0 }, { changed: 0 }],
    });
  });

  test('are read as text where they were published as CSV', async () => {
    const [before, now] = ['before.csv', 'now.csv'].map((name) => join(folder, name));
    writeFileSync(before!, 'id,label,score\n1,a,0.5\n2,"b, c",\n');
    writeFileSync(now!, 'id,label,score\n1,a,0.75\n2,b,1\n');
    const flips = await compare([], [], { before: [before!], now: [now!], csv: true });
    expect(flips.columns).toMatchObject([
      { changed: 1, pairs: [{ before: 'b, c', now: 'b', keys: 1 }] },
      { changed: 2, finite: 1, sum: 0.25 },
    ]);
  });

  test('are refused when the key is not there, or not unique', async () => {
    const rows = [row(1, 'a', 1), row(1, 'a', 2)];
    expect(await failure(() => compare([rows], [rows]))).toMatchObject({
      code: 'input',
      message: 'predictions by key "id": a key stands there more than once',
    });
    expect(await failure(() => compare([rows], [rows], { key: 'nobody' }))).toMatchObject({
      code: 'input',
      message: expect.stringContaining('name it in output.keep'),
    });
  });
});

test('the flips of partitions add up to those of the whole, in whatever order they come', async () => {
  const random = new Random(11);
  const rows = (): Row[] =>
    Array.from({ length: 300 }, (_, id) =>
      row(id, random.pick(['x', 'y', 'z']), random.whole(0, 99)),
    );
  const [before, now] = [rows(), rows()];
  const part = (all: readonly Row[], third: number): Row[] =>
    all.filter(({ id }) => id % 3 === third);
  const parts: Flips[] = [];
  for (const i of [0, 1, 2]) parts.push(await compare([part(before, i)], [part(now, i)]));
  const whole = sumFlips([await compare([before], [now])]);
  expect(sumFlips(parts)).toMatchObject({ keys: whole.keys, absent: [] });
  const told = (flips: Flips) =>
    flips.columns.map(({ movers, ...column }) => [column, column.kind === 'number' && movers]);
  expect(told(sumFlips(parts))).toEqual(told(whole));
  expect(told(sumFlips([...parts].reverse()))).toEqual(told(whole));
});
