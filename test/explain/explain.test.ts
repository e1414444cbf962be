/** Explanations whose numbers are known. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import type { Explained } from '../../src/explain/explain.js';
import { namedParts, sentenceOf } from '../../src/explain/sentence.js';
import { partsOf, walkCouples } from '../../src/explain/shapley.js';
import { Random } from '../random.js';
import { FIXTURES } from '../scoreline.js';
import {
  type Columns,
  changeOf,
  columnOf,
  explained,
  LINEAR,
  MEAN,
  modelOf,
  normals,
  sampleOf,
  shifted,
  sumOfAll,
} from './case.js';

const random = new Random(8);
const ROWS = 600;
const made = (rows = ROWS): Record<'a' | 'b' | 'c', number[]> => normals(random, rows);
const keys = Array.from({ length: ROWS }, (_, i) => i * 7919);
const partOf = (found: Explained, name: string): number =>
  changeOf(found).features.find(({ features }) => features.includes(name))?.change ?? 0;

describe('a linear model with one shifted feature', () => {
  const before = made();
  test('gives the exact part of that feature, where rows have keys', async () => {
    const now = sampleOf(shifted(before, 'a', 1.5), { keys });
    const found = await explained(
      { sample: sampleOf(before, { keys }), model: LINEAR },
      { sample: now, model: LINEAR },
    );
    expect(changeOf(found).features).toHaveLength(1);
    expect(partOf(found, 'a')).toBeCloseTo(3, 10);
    expect(changeOf(found).crossover.model.change).toBe(0);
    expect(sentenceOf(found, changeOf(found))).toMatch(
      /^Mean score rose by 3\.0 \(\S+ → \S+\): \+3\.0 from a\.$/,
    );
  });

  test('gives the difference of its means times its weight, where they have none', async () => {
    const other = shifted(made(), 'a', 1.5);
    const found = await explained(
      { sample: sampleOf(before), model: LINEAR },
      { sample: sampleOf(other), model: LINEAR },
    );
    const mean = (values: readonly unknown[]): number =>
      values.reduce((sum: number, value) => sum + Number(value), 0) / values.length;
    for (const [name, weight] of [
      ['a', 2],
      ['b', -1],
      ['c', 0.5],
    ] as const) {
      expect(partOf(found, name)).toBeCloseTo(
        weight * (mean(other[name]!) - mean(before[name])),
        8,
      );
    }
    expect(namedParts(found, changeOf(found))[0]!.name).toBe('a');
  });
});

test('a changed intercept is all model', async () => {
  const sample = sampleOf(made(), { keys });
  const higher = modelOf('higher', ['a', 'b', 'c'], (a, b, c) => 2 * a - b + 0.5 * c + 5);
  const found = await explained({ sample, model: LINEAR }, { sample, model: higher });
  expect(changeOf(found).crossover.rows.change).toBe(0);
  expect(changeOf(found).crossover.model.change).toBeCloseTo(2, 12);
  expect(sentenceOf(found, changeOf(found))).toMatch(
    /rose by 2\.0 .*: \+2\.0 from the new model\.$/,
  );
});

test('rows and model that both changed add up to the whole change, and share what they do together', async () => {
  const before = made();
  const now = shifted(before, 'a', 1);
  const steeper = modelOf('steeper', ['a', 'b', 'c'], (a, b, c) => 4 * a - b + 0.5 * c + 3);
  const found = await explained(
    { sample: sampleOf(before, { keys }), model: LINEAR },
    { sample: sampleOf(now, { keys }), model: steeper },
  );
  const { sampled, rows } = changeOf(found).crossover;
  expect(sumOfAll(found)).toBeCloseTo(sampled.now - sampled.before, 10);
  // As the old model sees it the shift adds 2, as the new one does 4.
  expect(rows.change).toBeCloseTo(3, 10);
});

test('an interaction is split evenly between the two that make it', async () => {
  const constant = (value: number): number[] => new Array(ROWS).fill(value);
  const both = modelOf('and', ['a', 'b', 'c'], (a, b) => 6 * a * b);
  const found = await explained(
    { sample: sampleOf({ a: constant(0), b: constant(0), c: made().c }, { keys }), model: both },
    { sample: sampleOf({ a: constant(1), b: constant(1), c: made().c }, { keys }), model: both },
  );
  // Both moved, neither varies: they are told apart, and each has half.
  expect(partOf(found, 'a')).toBeCloseTo(3, 10);
  expect(partOf(found, 'b')).toBeCloseTo(3, 10);
  expect(partOf(found, 'c')).toBeCloseTo(0, 10);
});

test('parts are brought to the change of all rows, and say by how much they may be off', async () => {
  const big = made(20_000);
  const other = shifted(made(20_000), 'a', 1);
  const mean = (columns: Columns, name: string): number =>
    columns[name]!.reduce((sum: number, value) => sum + Number(value), 0) / 20_000;
  const score = (columns: Columns): number =>
    2 * mean(columns, 'a') - mean(columns, 'b') + 0.5 * mean(columns, 'c') + 3;
  const cut = (columns: Columns): Columns =>
    Object.fromEntries(
      Object.entries(columns).map(([name, values]) => [name, values.slice(0, ROWS)]),
    );
  const higher = modelOf('higher', ['a', 'b', 'c'], (a, b, c) => 2 * a - b + 0.5 * c + 4 + 0.2 * b);
  const target = { ...MEAN, before: score(big), now: score(other) + 1 + 0.2 * mean(other, 'b') };
  // Of all rows: what they add, as the mean of both models has it.
  const truth = score(other) - score(big) + 0.1 * (mean(other, 'b') - mean(big, 'b'));
  const found = await explained(
    { sample: sampleOf(cut(big), { rows: 20_000 }), model: LINEAR },
    { sample: sampleOf(cut(other), { rows: 20_000 }), model: higher },
    [target],
  );
  const { total, rows, model } = changeOf(found).crossover;
  expect(total.change).toBe(target.now - target.before);
  expect(rows.change + model.change).toBeCloseTo(total.change, 10);
  expect(sumOfAll(found)).toBeCloseTo(total.change, 10);
  expect(Math.abs(rows.change - truth)).toBeLessThan(4 * rows.error);
  expect(Math.abs(model.change - (total.change - truth))).toBeLessThan(4 * model.error);
  // All rows together are known: only how they are split is not.
  expect(rows.error).toBeLessThan(0.05);
});

test('equals the interventional SHAP values of Python, as the mean over the new rows', async () => {
  const truth = JSON.parse(readFileSync(join(FIXTURES, 'explain', 'shap.json'), 'utf8'));
  const score = (row: readonly number[]): number => {
    let sum: number = truth.base;
    for (const { left, right, feature, threshold, value } of truth.trees) {
      let node = 0;
      while (left[node] >= 0)
        node = Math.fround(row[feature[node]]!) <= threshold[node] ? left[node] : right[node];
      sum += value[node];
    }
    return sum;
  };
  const couples = truth.now.flatMap((now: number[]) =>
    truth.before.map((before: number[]) => ({ before, now })),
  );
  const columns = (side: 'before' | 'now') =>
    [0, 1, 2, 3].map((i) =>
      columnOf(
        `x${i}`,
        couples.map((each: Record<string, number[]>) => each[side]![i]!),
      ),
    );
  const ends = (side: 'before' | 'now') => [
    Float64Array.from(couples, (each: Record<string, number[]>) => score(each[side]!)),
  ];
  const weights = new Float64Array(couples.length).fill(1 / couples.length);
  const contributions = await walkCouples({
    before: columns('before'),
    now: columns('now'),
    weights,
    players: [[0], [1], [2], [3]],
    models: [
      {
        weight: 1,
        before: ends('before'),
        now: ends('now'),
        score: async (mixed, rows) => [
          Float64Array.from({ length: rows }, (_, row) =>
            score(mixed.map(({ values }) => Number(values[row]))),
          ),
        ],
      },
    ],
    targets: 1,
    budget: Number.POSITIVE_INFINITY,
    random: () => 0,
  });
  const change = truth.mean_now - truth.mean_before;
  const parts = partsOf(contributions[0]!, weights, { change, copies: 1 });
  expect(parts).toHaveLength(4);
  for (const [i, part] of parts.entries()) expect(part.change).toBeCloseTo(truth.shap[i], 6);
});

describe('many features, of which orders are drawn', () => {
  const names = Array.from({ length: 12 }, (_, i) => `x${i}`);
  const score = (...x: number[]): number => x[0]! * x[1]! + Math.max(x[2]!, x[3]!) + x[4]!;
  const model = modelOf('mixed', names, score);
  const columns = (rows: number): Columns =>
    Object.fromEntries(
      names.map((name) => [name, Array.from({ length: rows }, () => made(1).a[0]!)]),
    );

  test('add up, and are within their errors of the truth', async () => {
    const before = columns(ROWS);
    const now = shifted(shifted(before, 'x0', 1), 'x1', 1);
    const found = await explained(
      { sample: sampleOf(before, { keys }), model },
      { sample: sampleOf(now, { keys }), model },
      [MEAN],
      40_000,
    );
    const { sampled } = changeOf(found).crossover;
    expect(sumOfAll(found)).toBeCloseTo(sampled.now - sampled.before, 10);
    expect(changeOf(found).features).toHaveLength(2);
  });

  test('leave those that did not move near 0, where rows have no keys', async () => {
    const found = await explained(
      { sample: sampleOf(columns(ROWS)), model },
      { sample: sampleOf(shifted(columns(ROWS), 'x4', 2)), model },
      [MEAN],
      100_000,
    );
    const { features } = changeOf(found);
    expect(features[0]!.features).toEqual(['x4']);
    expect(Math.abs(features[0]!.change - 2)).toBeLessThan(4 * features[0]!.error);
    for (const part of features.slice(1)) {
      expect(Math.abs(part.change), part.features[0]).toBeLessThan(4 * part.error + 1e-9);
      expect(part.error).toBeLessThan(0.2);
    }
    expect(found.scored).toBeLessThan(150_000);
  });
});
