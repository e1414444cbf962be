/** Progress where there is no terminal: lines. */
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { progressLines } from '../../src/cli/progress.js';

beforeEach(() => {
  vi.useFakeTimers();
});
afterEach(() => {
  vi.useRealTimers();
});

test('a line every five seconds, until it is stopped; each start begins anew', () => {
  const said: [string, object][] = [];
  const progress = progressLines((...line) => said.push(line));
  progress.start(100_000);
  vi.advanceTimersByTime(4_999);
  expect(said).toEqual([]);
  progress.add(10_000);
  vi.advanceTimersByTime(1);
  expect(said).toEqual([
    [
      '10 %, 10,000 of 100,000 rows, 2,000 rows/s, 45 s left',
      { done: 10_000, total: 100_000, rowsPerSecond: 2000 },
    ],
  ]);
  progress.start(2_000_000);
  vi.advanceTimersByTime(5_000);
  expect(said.at(-1)?.[0]).toBe('0 %, 0 of 2,000,000 rows, 0 rows/s');
  progress.add(20_000);
  vi.advanceTimersByTime(5_000);
  expect(said.at(-1)?.[0]).toBe('1 %, 20,000 of 2,000,000 rows, 2,000 rows/s, 17 min left');
  progress.start(0);
  vi.advanceTimersByTime(5_000);
  expect(said.at(-1)?.[0]).toBe('100 %, 0 of 0 rows, 0 rows/s');
  progress.stop();
  vi.advanceTimersByTime(60_000);
  expect(said).toHaveLength(4);
});
