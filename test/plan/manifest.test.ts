import { describe, expect, test } from 'vitest';
import { sealed } from '../../src/base/hash.js';
import {
  balances,
  dataExtension,
  dataFileName,
  type PartRecord,
  sumLedgers,
} from '../../src/plan/ledger.js';
import {
  type Manifest,
  manifestText,
  parseCsvRecord,
  parseManifest,
  parseScores,
  parseStoredPart,
  partFileName,
  type UnitRecord,
} from '../../src/plan/manifest.js';
import { failure } from '../failure.js';

const digest = (letter: string): string => letter.repeat(64);

const KEY = 'd'.repeat(64);
const LEDGER = { rows: 10, scored: 7, quarantined: 2, filtered: 1 };

const PART: PartRecord = {
  key: digest('a'),
  scoreKey: digest('b'),
  ledger: LEDGER,
  data: { sha256: digest('c'), bytes: 100, rows: 7 },
  quarantine: { sha256: digest('d'), bytes: 50, rows: 2 },
};

const UNIT: UnitRecord = {
  inputs: [{ path: 'month=1/a.parquet', sha256: digest('e'), ledger: LEDGER }],
  model: [digest('f')],
  job: { 'input.where': 'a > 1', features: '["a"]' },
  parts: [PART, { ...PART, quarantine: null }],
};

const MANIFEST: Manifest = {
  format: 1,
  name: 'flights',
  extension: 'parquet',
  units: { 'month=1': UNIT, 'month=2': { ...UNIT, parts: [] } },
};

/** The manifest with changes, as its text. */
function textOf(changes: Record<string, unknown>): string {
  return JSON.stringify({ ...MANIFEST, ...changes });
}

describe('a manifest', () => {
  test('can be read back from its text', () => {
    expect(parseManifest(manifestText(MANIFEST), 'manifest.json')).toEqual(MANIFEST);
  });

  test('has the same bytes for the same content, whatever the order in which it was built', () => {
    const { units, ...rest } = MANIFEST;
    const other: Manifest = {
      units: Object.fromEntries(Object.entries(units).reverse()),
      ...rest,
    };
    expect(manifestText(other)).toBe(manifestText(MANIFEST));
    expect(manifestText(MANIFEST)).toMatch(/^\{"extension":.*\}\n$/);
  });

  test('may hold units of any name that a folder can have', () => {
    const names = [
      '',
      'month=1/day=2',
      'with space',
      '数据',
      'a..b',
      '...',
      'back\\slash',
      'x\ny',
      'constructor',
      'toString',
    ];
    const manifest = { ...MANIFEST, units: Object.fromEntries(names.map((name) => [name, UNIT])) };
    const read = parseManifest(manifestText(manifest), 'm');
    expect(Object.keys(read.units).sort()).toEqual(names.toSorted());
  });

  test.each(['../x', '..', '.', '/etc', 'a/../../b', 'a//b', 'a/', '/', 'a/.', './a', 'a\0b'])(
    'with a unit that is no folder below the output is damaged: %j',
    async (unit) => {
      const text = textOf({ units: { [unit]: UNIT } });
      const error = await failure(() => parseManifest(text, 'snapshots/000001/manifest.json'));
      expect(error.code).toBe('environment');
      expect(error.message).toMatch(/^snapshots\/000001\/manifest\.json: damaged manifest; /);
      expect(error.message).not.toContain('\n');
    },
  );

  test.each<[string, string]>([
    ['no text', ''],
    ['no JSON', '{'],
    ['cut short', manifestText(MANIFEST).slice(0, -20)],
    ['another value', '[]'],
    ['null', 'null'],
    ['another format', textOf({ format: 2 })],
    ['no format', textOf({ format: undefined })],
    ['a key too many', textOf({ clock: 1 })],
    ['a name that is a path', textOf({ name: '../x' })],
    ['a name with a folder', textOf({ name: 'a/b' })],
    ['an empty name', textOf({ name: '' })],
    ['an unknown extension', textOf({ extension: 'exe' })],
    ['an extension that is a path', textOf({ extension: 'x/../../y' })],
    [
      'a key that is a path',
      textOf({ units: { a: { ...UNIT, parts: [{ ...PART, key: '../../x' }] } } }),
    ],
    [
      'a key in capitals',
      textOf({ units: { a: { ...UNIT, parts: [{ ...PART, key: digest('A') }] } } }),
    ],
    [
      'a negative count',
      textOf({ units: { a: { ...UNIT, parts: [{ ...PART, ledger: { ...LEDGER, rows: -1 } }] } } }),
    ],
    [
      'half a row',
      textOf({ units: { a: { ...UNIT, parts: [{ ...PART, ledger: { ...LEDGER, rows: 0.5 } }] } } }),
    ],
    ['a unit without parts', textOf({ units: { a: { ...UNIT, parts: undefined } } })],
  ])('that is %s is damaged', async (_name, text) => {
    expect((await failure(() => parseManifest(text, 'm'))).code).toBe('environment');
  });

  test('that is damaged has its path escaped where it is told', async () => {
    const error = await failure(() => parseManifest('', '\x1b[31m'));
    expect(error.message.startsWith('\\u{1b}[31m: damaged manifest')).toBe(true);
  });
});

describe('what is recorded beside a part', () => {
  const inputs = [{ path: 'a.parquet', ledger: LEDGER }];

  test('can be read back', () => {
    expect(parseStoredPart(JSON.stringify({ part: PART, inputs }))).toEqual({ part: PART, inputs });
  });

  test.each<[string, unknown]>([
    ['no inputs', { part: PART }],
    ['no part', { inputs }],
    ['a key too many', { part: PART, inputs, more: 1 }],
    ['a ledger without rows', { part: { ...PART, ledger: {} }, inputs }],
    ['another value', 1],
  ])('is damaged when it has %s', (_name, value) => {
    expect(parseStoredPart(JSON.stringify(value))).toBeUndefined();
  });

  test('is damaged when it is no JSON', () => {
    expect(parseStoredPart('')).toBeUndefined();
    expect(parseStoredPart(JSON.stringify({ part: PART, inputs }).slice(1))).toBeUndefined();
  });
});

test('what is recorded beside scores can be read back, and is damaged when it cannot', () => {
  const scores = {
    format: 1,
    inputs: [{ path: 'a', ledger: LEDGER }],
    lossyCasts: [{ column: 'x', values: 3 }],
  };
  expect(parseScores(JSON.stringify(scores), KEY)).toEqual(scores);
  const counted = {
    ...scores,
    format: 2,
    files: { scores: 'a'.repeat(64), bad: null, statistics: 'b'.repeat(64) },
  };
  expect(parseScores(JSON.stringify(counted), KEY)).toEqual(counted);
  expect(parseScores(JSON.stringify({ ...scores, format: 3 }), KEY)).toBeUndefined();
  expect(parseScores('{', KEY)).toBeUndefined();
  const bound = { ...counted, key: KEY };
  expect(parseScores(JSON.stringify(bound), KEY)).toEqual(bound);
  expect(parseScores(JSON.stringify(bound), 'c'.repeat(64))).toBeUndefined();
});

test('a record that holds the digest of the rest of it is damaged when anything in it was changed', () => {
  const records = [
    [parseStoredPart, { part: PART, inputs: [] }],
    [
      (text: string) => parseScores(text, KEY),
      { format: 2, inputs: [], lossyCasts: [{ column: 'x', values: 3 }] },
    ],
    [parseCsvRecord, { key: 'a'.repeat(64), rows: 3, rejected: null }],
  ] as const;
  for (const [parse, record] of records) {
    const text = JSON.stringify(sealed(record));
    expect(parse(text)).toEqual(record);
    for (const { index } of text.matchAll(/\d/g)) {
      const digit = (Number(text[index]) + 1) % 10;
      expect(parse(`${text.slice(0, index)}${digit}${text.slice(index + 1)}`)).toBeUndefined();
    }
  }
});

describe('a ledger', () => {
  test('is the sum of others', () => {
    expect(sumLedgers([])).toEqual({ rows: 0, scored: 0, quarantined: 0, filtered: 0 });
    expect(
      sumLedgers([LEDGER, LEDGER, { rows: 5, scored: 5, quarantined: 0, filtered: 0 }]),
    ).toEqual({
      rows: 25,
      scored: 19,
      quarantined: 4,
      filtered: 2,
    });
  });

  test('balances when every row is somewhere', () => {
    expect(balances(LEDGER)).toBe(true);
    expect(balances({ ...LEDGER, rows: 11 })).toBe(false);
    expect(balances({ ...LEDGER, filtered: 0 })).toBe(false);
  });
});

test('files are named by job, place and format', () => {
  expect(partFileName('flights', 0, 'parquet')).toBe('flights-00000.parquet');
  expect(partFileName('flights', 123_456, 'csv.gz')).toBe('flights-123456.csv.gz');
  expect(dataExtension({ format: 'parquet', compression: 'gzip' })).toBe('parquet');
  expect(dataExtension({ format: 'csv', compression: 'none' })).toBe('csv');
  expect(dataExtension({ format: 'csv', compression: 'gzip' })).toBe('csv.gz');
  expect(dataExtension({ format: 'csv', compression: 'zstd' })).toBe('csv.zst');
  expect(dataFileName('csv.zst')).toBe('data.csv.zst');
});
