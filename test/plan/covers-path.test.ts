import { describe, expect, test } from 'vitest';
import { coversPath } from '../../src/plan/globs.js';

describe('a path or glob covers a file', () => {
  test.each([
    ['dt=1', 'dt=1/x.csv', true],
    ['dt=1', 'dt=1/deep/x.csv', true],
    ['dt=1', 'dt=10/x.csv', false],
    ['dt=1', 'other/dt=1/x.csv', false],
    ['a.csv', 'a.csv', true],
    ['a.csv', 'b.csv', false],
    ['2013/06/*.csv', '2013/06/x.csv', true],
    ['2013/06/*.csv', '2013/07/x.csv', false],
    ['2013/06/*.csv', '2013/06/deep/x.csv', false],
    ['2013/06/*', '2013/06/deep/x.csv', true],
    ['sales-0601-*.csv', 'sales-0601-a.csv', true],
    ['sales-0601-*.csv', 'sales-0602-a.csv', false],
    ['[x]', '[x]/a.csv', true],
    ['a+(b)*', 'ab/a.csv', false],
  ])('%s %s: %s', (text, path, covers) => {
    expect(coversPath(text, path)).toBe(covers);
  });
});
