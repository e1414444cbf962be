/** Explanations whose answers are known. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explainChanges } from '../../src/explain/explain.js';
import { namedParts, sentenceOf, verdictOf } from '../../src/explain/sentence.js';
import { partsOf, walkCouples } from '../../src/explain/shapley.js';
import type { Target } from '../../src/explain/targets.js';
import { Random } from '../random.js';
import { FIXTURES } from '../scoreline.js';
import { type Columns, columnOf, explained, MEAN, modelOf, sampleOf } from './case.js';

const random = new Random(8);
const ROWS = 600;
const normal = (): number =>
  Math.sqrt(-2 * Math.log(1 - random.next())) * Math.cos(2 * Math.PI * random.next());
const made = (rows = ROWS): Record<'a' | 'b' | 'c', number[]> => {
  const column = () => Array.from({ length: rows }, normal);
  return { a: column(), b: column(), c: column() };
};
const keys = Array.from({ length: ROWS }, (_, i) => i * 7919);
const linear = modelOf('linear', ['a', 'b', 'c'], (a, b, c) => 2 * a - b + 0.5 * c + 3);
const shifted = (columns: Columns, name: string, by: number): Columns => ({
  ...columns,
  [name]: columns[name]!.map((value) => Number(value) + by),
});
const changeOf = (found: Awaited<ReturnType<typeof explained>>) => found.changes[0]!;
const partOf = (found: Awaited<ReturnType<typeof explained>>, name: string): number =>
  changeOf(found).features.find(({ features }) => features.includes(name))?.change ?? 0;
const sumOfAll = (found: Awaited<ReturnType<typeof explained>>): number =>
  changeOf(found).features.reduce((sum, { change }) => sum + change, 0) +
  changeOf(found).crossover.model.change;

describe('a linear model with one shifted feature', () => {
  const before = made();
  test('gives the exact part of that feature, where rows have keys', async () => {
    const now = sampleOf(shifted(before, 'a', 1.5), { keys });
    const found = await explained(
      { sample: sampleOf(before, { keys }), model: linear },
      { sample: now, model: linear },
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
      { sample: sampleOf(before), model: linear },
      { sample: sampleOf(other), model: linear },
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
  const found = await explained({ sample, model: linear }, { sample, model: higher });
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
    { sample: sampleOf(before, { keys }), model: linear },
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
    { sample: sampleOf(cut(big), { rows: 20_000 }), model: linear },
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
    Object.fromEntries(names.map((name) => [name, Array.from({ length: rows }, normal)]));

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

test('features that move together and cannot be told apart are named together', async () => {
  const { a, b } = made();
  const before = { a, twin: a.map((value) => 3 * value + 1), b };
  const other = made();
  const now = {
    a: other.a.map((value) => value + 1),
    twin: other.a.map((value) => 3 * value + 4),
    b: other.b,
  };
  const model = modelOf('twins', ['a', 'twin', 'b'], (x, twin, y) => x + twin + y);
  const found = await explained(
    { sample: sampleOf(before), model },
    { sample: sampleOf(now), model },
  );
  expect([...changeOf(found).features[0]!.features].sort()).toEqual(['a', 'twin']);
  expect(sentenceOf(found, changeOf(found))).toContain('(which move together)');
  // One that moved alone is known.
  const alone = await explained(
    { sample: sampleOf(before), model },
    {
      sample: sampleOf({
        ...now,
        twin: other.a.map((value) => 3 * value + 1),
        a: other.a.map((v) => v + 1),
      }),
      model,
    },
  );
  expect(changeOf(alone).features[0]!.features).toEqual(['a']);
});

describe('what of the values is the cause is said', () => {
  const model = modelOf('holes', ['a', 'b'], (a, b) => (Number.isNaN(a) ? 5 : a) + b);
  test('nulls', async () => {
    const before = made();
    const now = { a: before.a.map((value, i) => (i % 5 === 0 ? null : value)), b: before.b };
    const found = await explained(
      { sample: sampleOf({ a: before.a, b: before.b }, { keys }), model },
      { sample: sampleOf(now, { keys }), model },
    );
    expect(changeOf(found).features[0]!.cause).toMatchObject({
      kind: 'nulls',
      before: 0,
      now: 0.2,
    });
    expect(sentenceOf(found, changeOf(found))).toContain('from nulls in a (0 % → 20 %)');
  });

  test('a category that was not there, and one that is gone', async () => {
    const texts = (some: readonly string[]): string[] =>
      Array.from({ length: ROWS }, (_, i) => some[i % some.length]!);
    const scorer = {
      id: 'texts',
      inputs: ['carrier'],
      score: async (columns: readonly { values: unknown }[], rows: number) => {
        const values = columns[0]!.values as string[];
        const worth: Record<string, number> = { AA: 1, UA: 2, ZZ: 9, EV: -7 };
        return new Map([
          ['score', Float64Array.from({ length: rows }, (_, i) => worth[values[i]!]!)],
        ]);
      },
    };
    const old = sampleOf({ carrier: texts(['AA', 'UA']) });
    const added = await explained(
      { sample: old, model: scorer },
      { sample: sampleOf({ carrier: texts(['AA', 'UA', 'AA', 'ZZ']) }), model: scorer },
    );
    expect(changeOf(added).features[0]!.cause).toMatchObject({
      kind: 'new',
      value: 'ZZ',
      now: 0.25,
    });
    const gone = await explained(
      { sample: sampleOf({ carrier: texts(['AA', 'UA', 'AA', 'EV']) }), model: scorer },
      { sample: old, model: scorer },
    );
    expect(changeOf(gone).features[0]!.cause).toMatchObject({
      kind: 'gone',
      value: 'EV',
      before: 0.25,
    });
    expect(sentenceOf(gone, changeOf(gone))).toContain('from carrier "EV", gone (25 % → 0 %)');
  });
});

describe('with keys', () => {
  test('rows that came, went and changed have their shares, which add up', async () => {
    const columns = made(900);
    const part = (from: number, to: number, by: number): Columns =>
      Object.fromEntries(
        Object.entries(columns).map(([name, values]) => [
          name,
          values.slice(from, to).map((value) => (name === 'a' ? value + by : value)),
        ]),
      );
    const keysOf = (from: number, to: number): number[] =>
      Array.from({ length: to - from }, (_, i) => (from + i) * 10);
    const found = await explained(
      { sample: sampleOf(part(0, 600, 0), { keys: keysOf(0, 600) }), model: linear },
      { sample: sampleOf(part(100, 800, 1), { keys: keysOf(100, 800) }), model: linear },
    );
    const { keys: parts, crossover } = changeOf(found);
    expect(parts?.went.share).toBeCloseTo(100 / 600, 12);
    expect(parts?.came.share).toBeCloseTo(200 / 700, 12);
    expect(parts?.changed).toMatchObject({ share: 1 });
    expect(parts!.changed.change).toBeCloseTo(2, 10);
    expect(parts!.went.change + parts!.came.change + parts!.changed.change).toBeCloseTo(
      crossover.total.change,
      10,
    );
    expect(sumOfAll(found)).toBeCloseTo(crossover.total.change, 10);
  });

  test('the category in which the change is stands first', async () => {
    const before = made();
    const region = Array.from({ length: ROWS }, (_, i) => ['north', 'south', 'west'][i % 3]!);
    const now = { ...before, a: before.a.map((value, i) => (i % 3 === 1 ? value + 3 : value)) };
    const found = await explained(
      { sample: sampleOf(before, { keys, kept: { region } }), model: linear },
      { sample: sampleOf(now, { keys, kept: { region } }), model: linear },
    );
    const { segments, crossover } = changeOf(found);
    expect(segments[0]).toMatchObject({ column: 'region', category: 'south' });
    expect(segments[0]!.change).toBeCloseTo(2, 1);
    expect(segments.reduce((sum, { change }) => sum + change, 0)).toBeCloseTo(
      crossover.total.change,
      10,
    );
  });
});

describe('what cannot be told is not told', () => {
  test('two samples of the same are too little to tell apart, or the same', async () => {
    const one = made();
    const same = await explained(
      { sample: sampleOf(one, { keys }), model: linear },
      { sample: sampleOf(one, { keys }), model: linear },
    );
    expect(verdictOf(same, changeOf(same))).toBe('nothing');
    expect(sentenceOf(same, changeOf(same))).toMatch(
      /^Nothing moved: Mean score is \S+ as before\.$/,
    );
    let alarms = 0;
    for (let i = 0; i < 20; i++) {
      const found = await explained(
        { sample: sampleOf(made()), model: linear },
        { sample: sampleOf(made()), model: linear },
        [MEAN],
        20_000,
      );
      if (verdictOf(found, changeOf(found)) !== 'unclear') alarms++;
    }
    expect(alarms).toBe(0);
  });

  test('changes that cancel each other are seen', async () => {
    const before = made();
    const now = shifted(before, 'a', 1);
    const lower = modelOf('lower', ['a', 'b', 'c'], (a, b, c) => 2 * a - b + 0.5 * c + 1.001);
    const found = await explained(
      { sample: sampleOf(before, { keys }), model: linear },
      { sample: sampleOf(now, { keys }), model: lower },
    );
    expect(verdictOf(found, changeOf(found))).toBe('offset');
    expect(sentenceOf(found, changeOf(found))).toMatch(
      /hardly moved .* cancel each other: \+2\.0 from a, −2\.0 from the new model\.$/,
    );
  });

  test('models that take other columns leave one order, or say why not', async () => {
    const before = made();
    const { a, b } = before;
    const fewer = modelOf('fewer', ['a', 'b'], (x, y) => 2 * x - y + 4);
    const oneWay = await explained(
      { sample: sampleOf(before, { keys }), model: linear },
      { sample: sampleOf({ a, b }, { keys }), model: fewer },
    );
    expect(oneWay.orders).toBe('model-first');
    expect(sumOfAll(oneWay)).toBeCloseTo(changeOf(oneWay).crossover.total.change, 10);
    const { c } = before;
    const other = modelOf('other', ['z'], (z) => z);
    const none = await explainChanges(
      { sample: sampleOf({ a, b, c }), model: linear },
      { sample: sampleOf({ z: a }), model: other },
      { targets: [MEAN], budget: () => 1e5, clock: () => 0 },
    );
    expect(none).toMatch(/different columns/);
  });
});

test('quantiles and shares of labels are split too', async () => {
  const before = made();
  const now = shifted(before, 'a', 1);
  const model = {
    id: 'labels',
    inputs: ['a', 'b', 'c'],
    score: async (columns: readonly { values: unknown }[], rows: number) => {
      const a = columns[0]!.values as Float64Array;
      const labels = Array.from({ length: rows }, (_, i) => (a[i]! > 1 ? 'late' : 'fine'));
      return new Map<string, Float64Array | string[]>([
        ['score', Float64Array.from({ length: rows }, (_, i) => a[i]!)],
        ['label', labels],
      ]);
    },
  };
  const targets: Target[] = [
    { ...MEAN, measure: 'quantile', share: 0.5 },
    { ...MEAN, column: 'label', measure: 'rate', label: 'late' },
  ];
  const found = await explained(
    { sample: sampleOf(before, { keys }), model },
    { sample: sampleOf(now, { keys }), model },
    targets,
  );
  const [median, rate] = found.changes;
  expect(median!.crossover.rows.change).toBeCloseTo(1, 10);
  const late = (by: number): number => before.a.filter((value) => value + by > 1).length / ROWS;
  expect(rate!.crossover.total.change).toBeCloseTo(late(1) - late(0), 10);
  expect(rate!.features[0]!.features).toEqual(['a']);
  expect(sentenceOf(found, rate!)).toMatch(
    /^Share of label "late" rose by \d+ points \(\d+ % → \d+ %\): \+\d+ from a\.$/,
  );
});
