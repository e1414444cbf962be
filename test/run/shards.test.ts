/** How the tasks of a plan are dealt to shards. */
import { describe, expect, test } from 'vitest';
import type { Task } from '../../src/plan/plan.js';
import { tasksOfShard } from '../../src/run/score.js';
import { Random } from '../random.js';

const tasksOf = (rows: readonly number[]): Task[] => rows.map((count) => ({ rows: count }) as Task);
const deal = (tasks: readonly Task[], count: number): Task[][] =>
  Array.from({ length: count }, (_, index) => tasksOfShard(tasks, { index, count }));
const rowsOf = (tasks: readonly Task[]): number => tasks.reduce((sum, { rows }) => sum + rows, 0);

describe('shards', () => {
  test.each([1, 2, 3, 7, 16, 100])(
    'of any plan have each task once, in its order, and %i of them differ by no more rows than the longest task has',
    (count) => {
      const random = new Random(count);
      for (let plan = 0; plan < 20; plan++) {
        const length = Math.floor(random.next() * 60);
        const tasks = tasksOf(
          Array.from({ length }, () => 1 + Math.floor(random.next() ** 4 * 131_072)),
        );
        const shards = deal(tasks, count);
        expect(new Set(shards.flat())).toEqual(new Set(tasks));
        expect(shards.flat()).toHaveLength(length);
        for (const shard of shards)
          expect(shard.map((task) => tasks.indexOf(task))).toEqual(
            shard.map((task) => tasks.indexOf(task)).toSorted((a, b) => a - b),
          );
        const rows = shards.map(rowsOf);
        const longest = Math.max(0, ...tasks.map((task) => task.rows));
        expect(Math.max(...rows) - Math.min(...rows)).toBeLessThanOrEqual(longest);
      }
    },
  );

  test('balance rows, not tasks', () => {
    const tasks = tasksOf([10, 10, 10, 60, 10, 10, 10]);
    expect(deal(tasks, 2).map(rowsOf)).toEqual([60, 60]);
  });

  test('follow from the plan alone: tasks of the same length are dealt in its order', () => {
    const tasks = tasksOf([5, 5, 5, 5]);
    const shards = deal(tasks, 2).map((shard) => shard.map((task) => tasks.indexOf(task)));
    expect(shards).toEqual([
      [0, 2],
      [1, 3],
    ]);
  });
});
