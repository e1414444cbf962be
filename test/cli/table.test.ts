/** Tables and lines, on terminals that are wide enough and on those that are not. */
import { describe, expect, test } from 'vitest';
import { fitted, table } from '../../src/cli/table.js';

const ROWS = [
  ['name', 'rows', 'left', 'note'],
  ['a', '1,000', '', 'nothing of interest has been seen in it'],
  ['bcd', '10', '', ''],
];
const of = (width?: number): string[] => table(ROWS, [0, 3], width);

describe('a table', () => {
  const WHOLE = [
    'name   rows  left  note',
    'a     1,000        nothing of interest has been seen in it',
    'bcd      10',
  ];

  test('is as wide as its cells where there is room, and where there is no terminal', () => {
    expect(of()).toEqual(WHOLE);
    expect(of(58)).toEqual(WHOLE);
  });

  test('wraps its last column, and leaves out what holds nothing, where there is less', () => {
    expect(of(57)).toEqual([
      'name   rows  note',
      'a     1,000  nothing of interest has been seen in it',
      'bcd      10',
    ]);
    expect(of(40)).toEqual([
      'name   rows  note',
      'a     1,000  nothing of interest has',
      '             been seen in it',
      'bcd      10',
    ]);
  });

  test('goes on below, where that is not enough; a row with nothing there does not', () => {
    expect(of(30)).toEqual([
      'name   rows',
      '  note',
      'a     1,000',
      '  nothing of interest has been',
      '  seen in it',
      'bcd      10',
    ]);
    expect(
      table(
        [
          ['one', 'two', 'three'],
          ['11', '22', '33'],
        ],
        [],
        9,
      ),
    ).toEqual(['one  two', '  three', ' 11   22', '     33']);
  });

  test('breaks no word', () => {
    const name = 'x'.repeat(30);
    expect(
      table(
        [
          ['name', 'n'],
          [name, '1'],
          ['b', '2'],
        ],
        [0],
        20,
      ),
    ).toEqual(['name', '  n', name, '  1', 'b', '  2']);
  });

  test('may have no rows', () => {
    expect(table([], [], 10)).toEqual([]);
    expect(table([['very-long', 'head']], [], 10)).toEqual(['very-long', '  head']);
  });
});

describe('lines', () => {
  const LINES = [
    'time       0.89 s, 30,477 rows/s, 2 workers on cpu',
    'what to do  free disk or memory, mend it',
    '12 partitions, 336,776 rows, 12 tasks',
    '  - indented by two, and long enough',
    'published  /a/path/that/is/longer/than/that (snapshot 1)',
    'features:    # columns, in the order of the matrix',
    '',
  ];

  test('stay as they are where there is room', () => {
    expect(fitted(LINES, Number.POSITIVE_INFINITY)).toEqual(LINES);
    expect(fitted(LINES, 60)).toEqual(LINES);
  });

  test('go on beside their label, or indented; paths and what is to be copied stay whole', () => {
    expect(fitted(LINES, 30)).toEqual([
      'time       0.89 s, 30,477',
      '           rows/s, 2 workers',
      '           on cpu',
      'what to do  free disk or',
      '            memory, mend it',
      '12 partitions, 336,776 rows,',
      '  12 tasks',
      '  - indented by two, and long',
      '    enough',
      'published  /a/path/that/is/longer/than/that',
      '           (snapshot 1)',
      'features:    # columns, in the order of the matrix',
      '',
    ]);
  });
});
