/** What explanations say of causes, of places, and of what cannot be told. */
import { describe, expect, test } from 'vitest';
import { explainChanges } from '../../src/explain/explain.js';
import { sentenceOf, verdictOf } from '../../src/explain/sentence.js';
import type { Target } from '../../src/explain/targets.js';
import { Random } from '../random.js';
import {
  type Columns,
  changeOf,
  explained,
  LINEAR,
  MEAN,
  modelOf,
  normals,
  sampleOf,
  shifted,
  sumOfAll,
} from './case.js';

const random = new Random(9);
const ROWS = 600;
const made = (rows = ROWS): Record<'a' | 'b' | 'c', number[]> => normals(random, rows);
const keys = Array.from({ length: ROWS }, (_, i) => i * 7919);

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

test('a category that all rows have is a whole share, a rare one has two digits', async () => {
  const model = modelOf('month', ['m'], (m) => 3 * m);
  const column = (value: number): number[] => new Array(ROWS).fill(value);
  const found = await explained(
    { sample: sampleOf({ m: column(1) }), model },
    { sample: sampleOf({ m: column(7) }), model },
  );
  expect(sentenceOf(found, changeOf(found))).toBe(
    'Mean score rose by 18.0 (3.0 → 21.0): +18.0 from m "7", new (0 % → 100 %).',
  );
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
      { sample: sampleOf(part(0, 600, 0), { keys: keysOf(0, 600) }), model: LINEAR },
      { sample: sampleOf(part(100, 800, 1), { keys: keysOf(100, 800) }), model: LINEAR },
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
      { sample: sampleOf(before, { keys, kept: { region } }), model: LINEAR },
      { sample: sampleOf(now, { keys, kept: { region } }), model: LINEAR },
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
      { sample: sampleOf(one, { keys }), model: LINEAR },
      { sample: sampleOf(one, { keys }), model: LINEAR },
    );
    expect(verdictOf(same, changeOf(same))).toBe('nothing');
    expect(sentenceOf(same, changeOf(same))).toMatch(
      /^Nothing moved: Mean score is −?\d{1,4}(?:\.\d{1,4})? as before\.$/,
    );
    let alarms = 0;
    for (let i = 0; i < 20; i++) {
      const found = await explained(
        { sample: sampleOf(made()), model: LINEAR },
        { sample: sampleOf(made()), model: LINEAR },
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
      { sample: sampleOf(before, { keys }), model: LINEAR },
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
      { sample: sampleOf(before, { keys }), model: LINEAR },
      { sample: sampleOf({ a, b }, { keys }), model: fewer },
    );
    expect(oneWay.orders).toBe('model-first');
    expect(sumOfAll(oneWay)).toBeCloseTo(changeOf(oneWay).crossover.total.change, 10);
    const { c } = before;
    const other = modelOf('other', ['z'], (z) => z);
    const none = await explainChanges(
      { sample: sampleOf({ a, b, c }), model: LINEAR },
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
    /^Share of label "late" rose by [\d.]+ points \([\d.]+ % → [\d.]+ %\): \+[\d.]+ from a\.$/,
  );
});
