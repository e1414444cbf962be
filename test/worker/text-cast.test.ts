/** Text as times: what a type would drop or guess is no value of it. */
import { expect, test } from 'vitest';
import { readTextSql } from '../../src/worker/text-cast.js';
import { literal, query } from '../parquet.js';

async function read(text: string, type: string): Promise<unknown> {
  const [row] = await query(
    `SELECT CAST(${readTextSql('t', type)} AS VARCHAR) AS value FROM (SELECT ${literal(text)} AS t)`,
  );
  return row?.value;
}

const NO_TIMESTAMP = [
  '+00',
  '+02',
  '-05:00',
  '+0530',
  '+99',
  '+02:75',
  ' Europe/Paris',
  ' UTC',
  'x',
];

test.each<[text: string, expected: string | null]>([
  ['2020-01-01', '2020-01-01 00:00:00'],
  ['2020-01-01 00:00', '2020-01-01 00:00:00'],
  ['2020-01-01T23:59:59.123456', '2020-01-01 23:59:59.123456'],
  ['2020-01-01 00:00:00Z', '2020-01-01 00:00:00'],
  ['2020-01-01T00:00:00.5Z', '2020-01-01 00:00:00.5'],
  ['2020-01-01Z', null],
  ...NO_TIMESTAMP.map((offset) => [`2020-01-01 00:00:00${offset}`, null] satisfies [string, null]),
  ['2020-01-01 00:00:00.1234567', null],
  ['2020-02-30 00:00:00', null],
])('a TIMESTAMP has no offset but that of UTC, which it would drop: %s', async (text, expected) => {
  expect(await read(text, 'TIMESTAMP')).toBe(expected);
});

test.each([
  ['2020-01-01 00:00:00Z', '2020-01-01 00:00:00+00'],
  ['2020-01-01T00:00+02', '2019-12-31 22:00:00+00'],
  ['2020-01-01 00:00:00-05:00', '2020-01-01 05:00:00+00'],
  ['2020-01-01 00:00:00.5+0530', '2019-12-31 18:30:00.5+00'],
  ['2020-01-01 00:00:00+14:00', '2019-12-31 10:00:00+00'],
  ['2020-01-01 00:00:00-15:59', '2020-01-01 15:59:00+00'],
  ['2020-01-01T00:00Z', '2020-01-01 00:00:00+00'],
  ['2020-01-01 00:00:00', null],
  ['2020-01-01 00:00', null],
  ['2020-01-01', null],
  ['2020-01-01+02', null],
  ['2020-01-01 00:00:00+16', null],
  ['2020-01-01 00:00:00+99', null],
  ['2020-01-01 00:00:00+02:75', null],
  ['2020-01-01 00:00:00 Europe/Paris', null],
])(
  'a TIMESTAMPTZ has an offset that there can be, and is that moment: %s',
  async (text, expected) => {
    expect(await read(text, 'TIMESTAMPTZ')).toBe(expected);
  },
);

test.each([
  ['2020-01-31', '2020-01-31'],
  ['2020-01-31 00:00:00', null],
  ['2020-01-31x', null],
  ['2020-01-31+02', null],
  ['2020-02-30', null],
])('a DATE is a day alone: %s', async (text, expected) => {
  expect(await read(text, 'DATE')).toBe(expected);
});
