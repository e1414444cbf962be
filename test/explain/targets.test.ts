/** What there is to explain, from statistics. */
import { expect, test } from 'vitest';
import { targetsOf } from '../../src/explain/targets.js';
import { CategoryBuilder } from '../../src/stats/category.js';
import type { Statistics } from '../../src/stats/column.js';
import { NumericBuilder } from '../../src/stats/numeric-builder.js';

function statisticsOf(scores: readonly number[], labels: readonly string[]): Statistics {
  const numbers = new NumericBuilder('other');
  numbers.add(Float64Array.from(scores), { rows: scores.length });
  const texts = new CategoryBuilder();
  texts.add(labels);
  return {
    rows: scores.length,
    columns: [
      { name: 'score', role: 'output', sketch: numbers.finish() },
      { name: 'label', role: 'output', sketch: texts.finish() },
      { name: 'label', role: 'feature', sketch: numbers.finish() },
    ],
  };
}

test('means, quantiles, and the labels whose share changed most', () => {
  const labels = ['a', 'a', 'b', 'c'];
  const targets = targetsOf(
    [
      { name: 'score', kind: 'number' },
      { name: 'label', kind: 'label' },
      { name: 'absent', kind: 'number' },
    ],
    {
      before: statisticsOf([1, 2, 3, 4], labels),
      now: statisticsOf([2, 2, 5, 9], ['c', 'c', 'c', 'a']),
    },
    [0.5],
  );
  expect(targets).toEqual([
    { column: 'score', measure: 'mean', share: null, label: null, before: 2.5, now: 4.5 },
    { column: 'score', measure: 'quantile', share: 0.5, label: null, before: 2, now: 2 },
    { column: 'label', measure: 'rate', share: null, label: 'c', before: 0.25, now: 0.75 },
    { column: 'label', measure: 'rate', share: null, label: 'a', before: 0.5, now: 0.25 },
    { column: 'label', measure: 'rate', share: null, label: 'b', before: 0.25, now: 0 },
  ]);
});

test('of two labels one is enough', () => {
  const targets = targetsOf([{ name: 'label', kind: 'label' }], {
    before: statisticsOf([1, 1], ['no', 'yes']),
    now: statisticsOf([1, 1], ['no', 'no']),
  });
  expect(targets).toHaveLength(1);
  expect(targets[0]).toMatchObject({ label: 'no', before: 0.5, now: 1 });
});
