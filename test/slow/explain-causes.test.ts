/** Causes that are planted into the flights: the explanation names them first. */
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { explainChanges } from '../../src/explain/explain.js';
import type { ExplainedModel } from '../../src/explain/features.js';
import { HASHES, type Sample, type SampleColumn } from '../../src/explain/sample.js';
import { namedParts, sentenceOf, verdictOf } from '../../src/explain/sentence.js';
import { compileTrees, startUnit } from '../../src/trees/engine.js';
import { Random } from '../random.js';
import { FIXTURES } from '../scoreline.js';
import { readMonth } from '../stats/flights.js';

const CASES = 100;
const MOST = 4096;
/** A planted cause has to move the mean so many standard errors of all rows: others nobody could name. */
const SHOWS = 6;
const FEATURES = [
  ...['month', 'day', 'weekday', 'hour', 'minute', 'dep_delay', 'distance', 'air_time'],
  ...['carrier_code', 'origin_code', 'dest_code', 'sched_arr_time'],
];
const MOVABLE = ['dep_delay', 'air_time', 'distance', 'hour', 'dest_code', 'sched_arr_time'];

type Rows = ReadonlyMap<string, Float32Array>;

const compiled = compileTrees(join(FIXTURES, 'models', 'flights.onnx'));
if (typeof compiled === 'string') throw new Error(compiled);
const trees = startUnit(compiled.units[0]!);
const [output] = compiled.outputs.values();

function scoresOf(rows: Rows): Float64Array {
  const columns = FEATURES.map((name) => ({ values: rows.get(name)!, stride: 1, offset: 0 }));
  const length = columns[0]!.values.length;
  const scored = trees.score((feature) => columns[feature]!, {
    rows: length,
    wanted: [output!],
    allocate: (_, size) => new Float32Array(size),
  });
  return Float64Array.from(scored.get(output!)!.values as Float32Array);
}

/** A model made of the flights' own: `other` is what it says instead. */
const modelOf = (id: string, other: (score: number) => number): ExplainedModel => ({
  id,
  inputs: FEATURES,
  score: async (columns) => {
    const rows = new Map(columns.map(({ name, values }) => [name, values as Float32Array]));
    return new Map([['delay', scoresOf(rows).map(other)]]);
  },
});

const OLD = modelOf('old', (score) => score);

/** What is planted: where the explanation has to look, and how rows or model become others. */
interface Cause {
  readonly kind: string;
  readonly named: readonly string[];
  readonly rows: (rows: Rows, random: Random) => Rows;
  readonly model: ExplainedModel;
}

const KINDS = [
  'shifted',
  'scaled',
  'nulled',
  'permuted',
  'capped',
  'category',
  'model',
  'two',
] as const;

function plant(kind: (typeof KINDS)[number], random: Random): Cause {
  const feature = random.pick(
    kind === 'category' ? ['carrier_code', 'dest_code', 'origin_code'] : MOVABLE,
  );
  const same = { model: OLD, named: [feature], kind: `${kind} ${feature}` };
  const each = (change: (value: number, random: Random) => number): Cause => ({
    ...same,
    rows: (rows, own) =>
      new Map(rows).set(
        feature,
        rows.get(feature)!.map((value) => change(value, own)),
      ),
  });
  const strength = random.next();
  switch (kind) {
    case 'shifted':
      return each((value) => value + 1 + strength * 0.3 * Math.abs(value) + 10 * strength);
    case 'scaled':
      return each((value) => value * (1.2 + strength));
    case 'nulled':
      return each((value, own) => (own.next() < 0.1 + 0.5 * strength ? Number.NaN : value));
    case 'permuted':
      return {
        ...same,
        rows: (rows, own) =>
          new Map(rows).set(feature, Float32Array.from(own.shuffled([...rows.get(feature)!]))),
      };
    case 'capped':
      return {
        ...same,
        rows: (rows) => {
          const values = rows.get(feature)!;
          const sorted = values.filter((value) => !Number.isNaN(value)).sort();
          const cap = sorted[Math.floor(sorted.length * (0.4 + 0.5 * strength))]!;
          return new Map(rows).set(
            feature,
            values.map((value) => Math.min(value, cap)),
          );
        },
      };
    case 'category':
      // One of them is recorded as another that was not there.
      return {
        ...same,
        rows: (rows, own) => {
          const values = rows.get(feature)!;
          const gone = values[own.whole(0, values.length - 1)];
          return new Map(rows).set(
            feature,
            values.map((value) => (value === gone ? 200 : value)),
          );
        },
      };
    case 'model':
      return {
        kind,
        named: ['the new model'],
        rows: (rows) => rows,
        model: modelOf('new', (score) => (0.8 + 0.4 * strength) * score + 6 * (strength - 0.5)),
      };
    case 'two': {
      const [a, b] = [plant(random.pick(['shifted', 'capped']), random), plant('model', random)];
      return {
        kind: `${a.kind} and model`,
        named: [...a.named, ...b.named],
        rows: a.rows,
        model: b.model,
      };
    }
  }
}

function pick(rows: Rows, places: readonly number[]): Rows {
  return new Map(
    [...rows].map(([name, values]) => [name, Float32Array.from(places, (i) => values[i]!)]),
  );
}

function sampleOf(rows: Rows, keyed: boolean): Sample {
  const all = rows.get('day')!.length;
  const size = Math.min(MOST, all);
  const places = Array.from({ length: size }, (_, i) => i);
  const own = pick(rows, places);
  return {
    rows: all,
    key: keyed ? 'flight_id' : null,
    bound: size === all ? HASHES : size * 1000,
    hashes: Float64Array.from(places, (i) => i * 1000),
    features: FEATURES.map((name): SampleColumn => {
      return { name, element: 'float32', width: 1, values: own.get(name)! };
    }),
    kept: [],
  };
}

const meanOf = (values: Float64Array): number =>
  values.reduce((sum, value) => sum + value, 0) / values.length;

/** The standard error of the difference of two means: of the same rows, or of different ones. */
function errorOf(a: Float64Array, b: Float64Array, isPaired: boolean): number {
  const spread = (values: Float64Array): number => {
    const mean = meanOf(values);
    return values.reduce((sum, value) => sum + (value - mean) ** 2, 0) / values.length ** 2;
  };
  return Math.sqrt(isPaired ? spread(a.map((value, i) => value - b[i]!)) : spread(a) + spread(b));
}

interface Told {
  readonly kind: string;
  readonly right: boolean;
  readonly sentence: string;
}

/** Plants a cause into rows of a month, and has it explained; undefined when it does not show. */
async function tell(
  month: Rows,
  { kind, keyed, seed }: { kind: (typeof KINDS)[number]; keyed: boolean; seed: number },
): Promise<Told | undefined> {
  const random = new Random(seed);
  const rows = month.get('day')!.length;
  const order = random.shuffled([...Array(rows).keys()]);
  const half = Math.floor(rows / 2);
  const before = pick(month, keyed ? order : order.slice(0, half));
  const base = pick(month, keyed ? order : order.slice(half, 2 * half));
  const cause = plant(kind, random);
  const now = cause.rows(base, random);
  const columns = FEATURES.map((name): SampleColumn => {
    return { name, element: 'float32', width: 1, values: now.get(name)! };
  });
  const scores = (await cause.model.score(columns, rows)).get('delay') as Float64Array;
  const without = scoresOf(base);
  const effect = Math.abs(meanOf(scores) - meanOf(without));
  if (effect <= SHOWS * errorOf(without, scores, keyed)) return undefined;
  const whole = { before: meanOf(scoresOf(before)), now: meanOf(scores) };
  const found = await explainChanges(
    { sample: sampleOf(before, keyed), model: OLD },
    { sample: sampleOf(now, keyed), model: cause.model },
    {
      targets: [{ column: 'delay', measure: 'mean', share: null, label: null, ...whole }],
      budget: () => 400_000,
      clock: () => 0,
    },
  );
  if (typeof found === 'string') throw new Error(found);
  const [change] = found.changes;
  const first = namedParts(found, change!)[0]?.name ?? '';
  const isNamed = cause.named.some((name) => first.split(/[ ,]/).includes(name) || first === name);
  return {
    kind: cause.kind,
    right: isNamed && ['moved', 'offset'].includes(verdictOf(found, change!)),
    sentence: sentenceOf(found, change!),
  };
}

describe(`of ${CASES / 2} causes that are planted into the flights`, () => {
  test.each([
    ['the same keys', true],
    ['other rows', false],
  ])('at least 95 of 100 are named first: %s', async (_name, keyed) => {
    const random = new Random(keyed ? 4 : 5);
    const months = new Map<number, Rows>();
    const told: Told[] = [];
    let drawn = 0;
    for (; told.length < CASES / 2 && drawn < 20 * CASES; drawn++) {
      const month = random.whole(1, 12);
      const { numbers, rows } = months.has(month)
        ? { numbers: months.get(month)!, rows: 0 }
        : await readMonth(month);
      if (!months.has(month))
        months.set(month, new Map(numbers).set('month', new Float32Array(rows).fill(month)));
      const kind = KINDS[drawn % KINDS.length]!;
      const one = await tell(months.get(month)!, { kind, keyed, seed: random.whole(1, 1e9) });
      if (one !== undefined) told.push(one);
    }
    expect(told).toHaveLength(CASES / 2);
    const wrong = told.filter(({ right }) => !right);
    const said = wrong.map(({ kind, sentence }) => `${kind}: ${sentence}`).join('\n');
    expect(wrong.length, said).toBeLessThanOrEqual(0.05 * told.length);
  });
});
