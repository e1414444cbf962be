import { describe, expect, test } from 'vitest';
import {
  beforeDate,
  dateInName,
  dateOfUnit,
  daysBefore,
  fillDate,
  hasDate,
  isSelected,
  selectionOf,
} from '../../src/plan/selection.js';
import { failure } from '../failure.js';

describe('dates', () => {
  test('of a range are all its days, over the ends of months and leap years', () => {
    const { dates } = selectionOf({ from: '2016-02-27', to: '2016-03-02' });
    expect(dates).toEqual(['2016-02-27', '2016-02-28', '2016-02-29', '2016-03-01', '2016-03-02']);
    expect(selectionOf({ date: '2013-06-01' }).dates).toEqual(['2013-06-01']);
    expect(selectionOf({ from: '2013-01-01', to: '2013-12-31' }).dates).toHaveLength(365);
    expect(selectionOf({}).dates).toBeUndefined();
  });

  test.each([
    [{ date: '2013-02-29' }, 'date 2013-02-29: expected a day'],
    [{ date: '2013-6-1' }, 'expected a day'],
    [{ date: '20130601' }, 'expected a day'],
    [{ date: '2013-06-01T00:00:00' }, 'expected a day'],
    [{ from: '2013-06-01' }, '--from and --to: a range needs both'],
    [{ from: '2013-06-02', to: '2013-06-01' }, '--to 2013-06-01: lies before --from 2013-06-02'],
    [{ date: '2013-06-01', to: '2013-06-01' }, '--date: does not go with'],
    [{ from: '1900-01-01', to: '2013-06-01' }, 'at most 36600 at once'],
    [{ partition: ['month'] }, '--partition month: expected name=value'],
  ])('%j is refused', async (options, words) => {
    const error = await failure(() => selectionOf(options));
    expect([error.code, error.message]).toEqual(['usage', expect.stringContaining(words)]);
  });
});

describe('a path with dates', () => {
  test('is filled with each part of the date, as often as it is named', () => {
    expect(fillDate('in/dt={date:yyyy-MM-dd}/*.csv', '2013-06-01')).toBe('in/dt=2013-06-01/*.csv');
    expect(fillDate('{date:yyyy}/{date:MM}/d{date:dd}_{date:yyyyMMdd}', '2013-06-01')).toBe(
      '2013/06/d01_20130601',
    );
    expect(fillDate('{a}/{date}', '2013-06-01')).toBe('{a}/{date}');
  });

  test.each(['{date:YYYY}', '{date:}', '{date:yyyy-MM-dd HH}', '{date:D}'])(
    'knows no %s',
    async (template) => {
      const error = await failure(() => fillDate(`in/${template}`, '2013-06-01'));
      expect([error.code, error.message]).toEqual(['usage', expect.stringContaining(template)]);
    },
  );

  test('names a day by the dates of its last name', () => {
    expect(dateInName('in/{date:yyyy}/x-{date:MM}{date:dd}.csv', '2013-06-01')).toBe('06-01');
    expect(dateInName('in/{date:yyyy-MM}.csv', '2013-06-01')).toBe('2013-06');
    expect(dateInName('in/{date:yyyy}/x.csv', '2013-06-01')).toBeUndefined();
  });

  test('is rooted above its first date', () => {
    expect(hasDate('in/x')).toBe(false);
    expect(beforeDate('in/dt={date:yyyy}/{date:MM}')).toBe('in');
    expect(beforeDate('{date:yyyy}.csv')).toBe('.');
    expect(beforeDate('/{date:yyyy}')).toBe('/');
    expect(beforeDate('/a/b/{date:yyyy}/c')).toBe('/a/b');
  });
});

test('partitions are wanted that have, for each column named, one of its values', () => {
  const { partitions } = selectionOf({ partition: ['m=1', 'm=2', 'c=a=b', 'n='] });
  const unit = (m: string, c: string) => [
    { name: 'm', value: m },
    { name: 'c', value: c },
    { name: 'n', value: null },
  ];
  expect(isSelected({ partitions }, unit('1', 'a=b'))).toBe(true);
  expect(isSelected({ partitions }, unit('2', 'a=b'))).toBe(true);
  expect(isSelected({ partitions }, unit('3', 'a=b'))).toBe(false);
  expect(isSelected({ partitions }, unit('1', 'a'))).toBe(false);
  expect(isSelected({ partitions }, [])).toBe(false);
});

describe('the date of a unit', () => {
  test.each([
    ['data/{date:yyyy-MM-dd}', '2013-06-01'],
    ['../data/{date:yyyy}/{date:MM}/{date:dd}', '2013/06/01'],
    ['data/dt={date:yyyy-MM-dd}', 'dt=2013-06-01'],
    ['data/dt={date:yyyy-MM-dd}', 'dt=2013-06-01/region=eu'],
    ['/data/y={date:yyyy}/m={date:MM}/d={date:dd}/*.parquet', 'y=2013/m=06/d=01/h=7'],
    ['data/{date:yyyyMMdd}.parquet', '20130601'],
    ['data/part-{date:yyyy-MM-dd}.csv', '2013-06-01'],
    ['data/{date:yyyy}/x-{date:MM}-{date:dd}.csv', '2013/06-01'],
    ['data/dt={date:yyyy-MM-dd}/f-{date:yyyyMMdd}.csv', 'dt=2013-06-01/20130601'],
    ['data/*/{date:yyyy-MM-dd}', '2013-06-01'],
    ['data/{date:dd.MM.yyyy}+', '01.06.2013+'],
  ])('below %s, %s, is the first of June', (path, unit) => {
    expect(dateOfUnit(path, unit)).toBe('2013-06-01');
  });

  test.each([
    ['data/{date:yyyy-MM}', '2013-06'],
    ['data/{date:yyyy-MM-dd}', 'x2013-06-01'],
    ['data/{date:yyyy-MM-dd}', '2013-06-011'],
    ['data/{date:yyyy-MM-dd}', '2013-02-30'],
    ['data/{date:dd.MM.yyyy}', '01x06x2013'],
    ['data/{date:yyyy}/{date:yyyy-MM-dd}', '2012/2013-06-01'],
    ['data', '2013-06-01'],
  ])('below %s is not known of %s', (path, unit) => {
    expect(dateOfUnit(path, unit)).toBeUndefined();
  });

  test('is that of its files, for every layout that is listed', () => {
    for (const path of ['a/{date:yyyyMMdd}', 'a/{date:yyyy}/{date:MM}-{date:dd}']) {
      const filled = fillDate(path, '2016-02-29').slice('a/'.length);
      expect(dateOfUnit(path, filled)).toBe('2016-02-29');
    }
    expect(daysBefore('2016-03-01', 1)).toBe('2016-02-29');
    expect(daysBefore('2013-01-07', 7)).toBe('2012-12-31');
  });
});
