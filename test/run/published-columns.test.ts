import { describe, expect, test } from 'vitest';
import type { UnitRecord } from '../../src/plan/manifest.js';
import { columnNotes, typesApart } from '../../src/run/published-columns.js';
import type { Base, Publication } from '../../src/run/snapshot.js';

type Kept = readonly (readonly [name: string, type: string])[];

/** A unit with these kept columns and predictions; undefined: a record of before they, or their types, were kept. */
function unitOf(
  keep: Kept | undefined,
  predictions: readonly string[] = ['score'],
  types?: string[],
): UnitRecord {
  const job = {
    ...(keep && { 'output.keep': JSON.stringify(keep) }),
    'output.columns': JSON.stringify(predictions.map((name) => [name, 'out', null])),
  };
  return { inputs: [], model: [], parts: partsOf(3), job, ...(types && { types }) };
}

/** The part of a unit with so many rows. */
function partsOf(scored: number): UnitRecord['parts'] {
  const ledger = { rows: scored, scored, quarantined: 0, filtered: 0 };
  return [
    {
      key: '',
      scoreKey: '',
      ledger,
      data: { sha256: '', bytes: 0, rows: scored },
      quarantine: null,
    },
  ];
}

function withoutRows(unit: UnitRecord): UnitRecord {
  return { ...unit, parts: partsOf(0) };
}

/** A unit whose input has a column of Parquet's null type. */
function withNulls(unit: UnitRecord): UnitRecord {
  return { ...unit, job: { ...unit.job, 'null columns': '["k"]' } };
}

type Units = Readonly<Record<string, UnitRecord>>;

function publicationOf(units: Units, removals: readonly string[] = []): Publication {
  const records = new Map(Object.entries(units));
  return { name: 'flights', extension: 'parquet', units: records, removals };
}

function baseOf(units: Units): Base {
  return { number: 1, manifest: { format: 1, name: 'flights', extension: 'parquet', units } };
}

const INTEGER = unitOf([['k', 'INTEGER']]);
const BIGINT = unitOf([['k', 'BIGINT']]);
const TEXT = unitOf([['k', 'VARCHAR']]);

describe('a kept column that would be published with types of its own', () => {
  test('is told with both types, and a partition of each', () => {
    expect(
      typesApart(
        publicationOf({ 'd=3': TEXT, 'd=4': TEXT }),
        baseOf({ 'd=1': BIGINT, 'd=2': BIGINT }),
      ),
    ).toEqual([
      'output.keep "k": is VARCHAR in d=3 and BIGINT in d=1, which stays published, so that what reads both fails or reads other values; no type holds both: mend the data, or publish it with --because',
    ]);
  });

  test('is told also where one type is the wider, where the name differs in case, and of a flat input', () => {
    const [line] = typesApart(
      publicationOf({ b: unitOf([['K', 'BIGINT']]) }),
      baseOf({ '': INTEGER }),
    );
    expect(line).toMatch(
      /^output\.keep "K": is BIGINT in b and INTEGER in \., which stays .*; score both again in one run, as BIGINT, or publish/,
    );
  });

  test('is told of the first partition that has values', () => {
    const lines = typesApart(
      publicationOf({ b: withoutRows(TEXT), c: withNulls(TEXT), d: TEXT, e: withNulls(TEXT) }),
      baseOf({ a: BIGINT }),
    );
    expect(lines).toEqual([
      expect.stringMatching(/^output\.keep "k": is VARCHAR in d and BIGINT in a, /),
    ]);
  });

  test('is told of every column, once', () => {
    const before = unitOf([
      ['a', 'DATE'],
      ['b', 'DATE'],
      ['c', 'DATE'],
    ]);
    const now = unitOf([
      ['c', 'TIME'],
      ['b', 'DATE'],
      ['a', 'TIME'],
    ]);
    const lines = typesApart(publicationOf({ y: now, z: now }), baseOf({ w: before, x: before }));
    expect(lines.map((line) => line.slice(0, 16))).toEqual([
      'output.keep "c":',
      'output.keep "a":',
    ]);
  });

  test.each<[string, Publication, Base | undefined]>([
    ['nothing is published', publicationOf({ a: TEXT }), undefined],
    [
      'all that is published is replaced',
      publicationOf({ a: TEXT, b: TEXT }),
      baseOf({ a: BIGINT }),
    ],
    ['what had the other type goes', publicationOf({ b: TEXT }, ['a']), baseOf({ a: BIGINT })],
    ['a column is in none of the others', publicationOf({ b: TEXT }), baseOf({ a: unitOf([]) })],
    [
      'the types of the others were not recorded',
      publicationOf({ b: TEXT }),
      baseOf({ a: unitOf(undefined) }),
    ],
    [
      'the record of the others is none',
      publicationOf({ b: TEXT }),
      baseOf({ a: { ...TEXT, job: { 'output.keep': '[7' } } }),
    ],
    ['the same is published again', publicationOf({ b: TEXT }), baseOf({ a: BIGINT, b: TEXT })],
    [
      'both types are published already',
      publicationOf({ c: TEXT }),
      baseOf({ a: BIGINT, b: TEXT }),
    ],
    ['there is nothing to publish', publicationOf({}), baseOf({ a: BIGINT })],
    ['it has no rows', publicationOf({ b: withoutRows(TEXT) }), baseOf({ a: BIGINT })],
    ['the others have no rows', publicationOf({ b: TEXT }), baseOf({ a: withoutRows(BIGINT) })],
    ['it is of nulls alone', publicationOf({ b: withNulls(TEXT) }), baseOf({ a: BIGINT })],
    ['the others are of nulls alone', publicationOf({ b: TEXT }), baseOf({ a: withNulls(BIGINT) })],
  ])('is none where %s', (_when, publication, base) => {
    expect(typesApart(publication, base)).toEqual([]);
  });
});

describe('a prediction that would be published with a type of its own', () => {
  const predicted = (...types: string[]): UnitRecord => unitOf([], ['label', 'score'], types);

  test('is told with both types, and a partition of each', () => {
    const lines = typesApart(
      publicationOf({ 'd=3': predicted('VARCHAR', 'FLOAT') }),
      baseOf({ 'd=1': predicted('BIGINT', 'FLOAT') }),
    );
    expect(lines).toEqual([
      'prediction "label": is VARCHAR in d=3 and BIGINT in d=1, which stays published, so that what reads both fails or reads other values; score all with one model, or publish it with --because',
    ]);
  });

  test('is told where it was a kept column', () => {
    const [line] = typesApart(
      publicationOf({ b: predicted('BIGINT', 'FLOAT') }),
      baseOf({ a: unitOf([['Score', 'DOUBLE']], ['label'], ['BIGINT']) }),
    );
    expect(line).toMatch(/^prediction "score": is FLOAT in b and DOUBLE in a, /);
  });

  test('is passed over where a record does not say its type', () => {
    const before = unitOf([], ['label', 'score']);
    const now = predicted('VARCHAR', 'FLOAT');
    expect(typesApart(publicationOf({ b: now }), baseOf({ a: before }))).toEqual([]);
    expect(typesApart(publicationOf({ b: before }), baseOf({ a: now }))).toEqual([]);
  });
});

describe('columns that only some partitions have', () => {
  test('are noted: those that are new, and those that are gone', () => {
    const before = unitOf(
      [
        ['k', 'DATE'],
        ['m', 'DATE'],
      ],
      ['score', 'label'],
    );
    const now = unitOf(
      [
        ['m', 'DATE'],
        ['n', 'DATE'],
      ],
      ['score', 'p'],
    );
    expect(columnNotes(publicationOf({ b: now }), baseOf({ a: before }))).toEqual([
      'columns that partitions which stay published do not have: n, p',
      'columns that only partitions which stay published have: k, label',
    ]);
  });

  test.each<[string, Publication, Base | undefined]>([
    ['nothing is published', publicationOf({ a: BIGINT }), undefined],
    ['all that is published is replaced', publicationOf({ a: unitOf([]) }), baseOf({ a: BIGINT })],
    [
      'some of the published lack and some have it',
      publicationOf({ c: BIGINT, d: unitOf([]) }),
      baseOf({ a: BIGINT, b: unitOf([]) }),
    ],
    ['the columns are the same', publicationOf({ b: TEXT }), baseOf({ a: TEXT })],
    [
      'the columns of the others were not recorded',
      publicationOf({ b: TEXT }),
      baseOf({ a: unitOf(undefined) }),
    ],
  ])('are not noted where %s', (_when, publication, base) => {
    expect(columnNotes(publication, base)).toEqual([]);
  });
});
