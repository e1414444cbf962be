import { describe, expect, test } from 'vitest';
import type { TensorElement } from '../../src/base/onnx.js';
import {
  type Binding,
  type CastKind,
  type ColumnSource,
  castFor,
  castKind,
  columnProblems,
  columnsOfFile,
  unifiedType,
} from '../../src/plan/signature.js';
import { failure } from '../failure.js';

const INTEGERS = [
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
];
const FLOATS = ['FLOAT', 'DOUBLE'];

describe('a column feeds an input', () => {
  const NUMBERS: readonly TensorElement[] = [
    'int8',
    'uint8',
    'int16',
    'uint16',
    'int32',
    'uint32',
    'int64',
    'uint64',
    'float32',
    'float64',
  ];

  test.each(NUMBERS)('%s from any number or truth value', (element) => {
    for (const type of [...INTEGERS, ...FLOATS, 'BOOLEAN']) {
      expect([type, castKind(type, element)]).toEqual([type, 'native']);
    }
    for (const type of ['DECIMAL(18,3)', 'DECIMAL(38,0)', 'HUGEINT', 'UHUGEINT']) {
      expect([type, castKind(type, element)]).toEqual([type, 'sql']);
    }
  });

  test.each<[TensorElement, string, CastKind | undefined]>([
    ['bool', 'BOOLEAN', 'native'],
    ['bool', 'TINYINT', undefined],
    ['bool', 'DOUBLE', undefined],
    ['bool', 'DECIMAL(1,0)', undefined],
    ['bool', 'VARCHAR', undefined],
    ['utf8', 'VARCHAR', 'native'],
    ['utf8', "ENUM('a', 'b')", 'sql'],
    ['utf8', 'UUID', 'sql'],
    ['utf8', 'INTEGER', undefined],
    ['utf8', 'DATE', undefined],
    ['utf8', 'BLOB', undefined],
  ])('%s from %s: %s', (element, type, kind) => {
    expect(castKind(type, element)).toBe(kind);
  });

  test.each([
    'VARCHAR',
    'DATE',
    'TIME',
    'TIMESTAMP',
    'TIMESTAMP WITH TIME ZONE',
    'INTERVAL',
    'BLOB',
    'UUID',
    'BIT',
    'INTEGER[]',
    'DOUBLE[3]',
    'DECIMAL(18,3)[]',
    'STRUCT(a INTEGER)',
    'MAP(VARCHAR, INTEGER)',
    "ENUM('1')",
    'UNION(a INTEGER)',
    'HUGEINT[]',
    '"NULL"',
  ])('of numbers never from %s', (type) => {
    for (const element of NUMBERS) expect(castKind(type, element)).toBeUndefined();
  });

  test('from a partition by reading its text, unless the job gives it a type', () => {
    const text: ColumnSource = { name: 'm', type: 'VARCHAR', partition: true, written: true };
    for (const element of [...NUMBERS, 'bool'] as const)
      expect(castFor(text, element)).toBe('text');
    expect(castFor(text, 'utf8')).toBe('native');
    expect(castFor({ ...text, type: 'INTEGER' }, 'float32')).toBe('native');
    expect(castFor({ ...text, type: 'DATE' }, 'float32')).toBeUndefined();
    expect(castFor({ ...text, written: false }, 'float32')).toBeUndefined();
  });
});

describe('the columns of a file', () => {
  const schema = [
    { name: 'a', type: 'DOUBLE' },
    { name: 'B', type: 'VARCHAR' },
  ];

  test('are its own, then those of its folders, as text or as the job says', () => {
    const partition = [
      { name: 'm', value: '1' },
      { name: 'n', value: null },
    ];
    expect(
      columnsOfFile('f', schema, partition, [{ column: 'n', type: 'INTEGER' }], false),
    ).toEqual([
      { name: 'a', type: 'DOUBLE', partition: false, written: false },
      { name: 'B', type: 'VARCHAR', partition: false, written: false },
      { name: 'm', type: 'VARCHAR', partition: true, written: true },
      { name: 'n', type: 'INTEGER', partition: true, written: true },
    ]);
  });

  test('of a CSV file are text, or what the job says', () => {
    const types = [{ column: 'a', type: 'DOUBLE' }];
    expect(
      columnsOfFile(
        'f',
        [
          { name: 'a', type: 'VARCHAR' },
          { name: 'B', type: 'VARCHAR' },
        ],
        [],
        types,
        true,
      ),
    ).toEqual([
      { name: 'a', type: 'DOUBLE', partition: false, written: true },
      { name: 'B', type: 'VARCHAR', partition: false, written: true },
    ]);
  });

  test.each(['a', 'A', 'b'])('may not be hidden by one of its folder: %s', async (name) => {
    const error = await failure(() =>
      columnsOfFile('f\n', schema, [{ name, value: '1' }], [], false),
    );
    expect(error.code).toBe('input');
    expect(error.message).toBe(
      `f\\u{a}: column "${name === 'b' ? 'B' : 'a'}" is in the file and in its folder's name; rename one of them`,
    );
  });

  test('are held against a model: every one that is missing or does not fit, once', () => {
    const binding: Binding = {
      inputs: [
        { name: 'x', element: 'float32', rank: 2, columns: ['a', 'aa', 'B'] },
        { name: 'y', element: 'utf8', rank: 1, columns: ['a'] },
        { name: 'z', element: 'float32', rank: 1, columns: ['aa'] },
      ],
      outputs: [],
      fixedBatch: undefined,
    };
    expect(
      columnProblems(columnsOfFile('f', schema, [], [], false), binding, ['B', 'b', 'far']),
    ).toEqual([
      'has no column "aa" (did you mean "a"?)',
      'column "B" is VARCHAR, model input "x" expects float32',
      'column "a" is DOUBLE, model input "y" expects text',
      'has no column "b" (did you mean "B", "a"?)',
      'has no column "far"',
    ]);
  });

  test('of a folder named in another case are told apart from those that are not there', () => {
    const binding: Binding = { inputs: [], outputs: [], fixedBatch: undefined };
    const columns = columnsOfFile('f', schema, [{ name: 'P', value: '2' }], [], false);
    expect(columnProblems(columns, binding, ['p'])).toEqual([
      'has no column "p": its folder is named "P=…", which differs in case; rename the folder, or the column in the job',
    ]);
  });

  test('raise no problem when they fit', () => {
    const binding: Binding = {
      inputs: [{ name: 'x', element: 'float32', rank: 1, columns: ['a'] }],
      outputs: [],
      fixedBatch: undefined,
    };
    expect(columnProblems(columnsOfFile('f', schema, [], [], false), binding, ['B'])).toEqual([]);
  });
});

describe('the one type that holds two', () => {
  const ALL = [...INTEGERS, ...FLOATS];

  /** The least and the greatest whole number of an integer type. */
  function range(type: string): [bigint, bigint] {
    const bits = BigInt(8 << (INTEGERS.indexOf(type) & 3));
    return type.startsWith('U')
      ? [0n, 2n ** bits - 1n]
      : [-(2n ** (bits - 1n)), 2n ** (bits - 1n) - 1n];
  }

  test('is the type itself for twins, whatever it is', () => {
    for (const type of [...ALL, 'VARCHAR', 'DATE', 'STRUCT(a INTEGER)'])
      expect(unifiedType(type, type)).toBe(type);
  });

  test('does not depend on the order of the two', () => {
    for (const a of ALL) for (const b of ALL) expect(unifiedType(b, a)).toBe(unifiedType(a, b));
  });

  test('does not depend on the order of three, where every step has an answer', () => {
    const then = (a: string | undefined, b: string | undefined): string | undefined =>
      a === undefined || b === undefined ? undefined : unifiedType(a, b);
    for (const a of ALL) {
      for (const b of ALL) {
        for (const c of ALL) {
          const [left, right] = [then(unifiedType(a, b), c), then(a, unifiedType(b, c))];
          if (left !== undefined && right !== undefined) expect(left).toBe(right);
        }
      }
    }
  });

  test('is for integers the smallest signed or unsigned one with room for both, else none', () => {
    for (const a of INTEGERS) {
      for (const b of INTEGERS) {
        const fits = (type: string): boolean =>
          [a, b].every((one) => range(type)[0] <= range(one)[0] && range(type)[1] >= range(one)[1]);
        const smallest = INTEGERS.filter(fits).sort((x, y) =>
          Number(range(x)[1] - range(x)[0] - (range(y)[1] - range(y)[0])),
        )[0];
        expect([a, b, unifiedType(a, b)]).toEqual([a, b, smallest]);
      }
    }
  });

  test('is never narrower than a float, and DOUBLE for integers beside floats if it holds them all', () => {
    for (const float of FLOATS) {
      expect(unifiedType(float, 'DOUBLE')).toBe('DOUBLE');
      for (const integer of INTEGERS) {
        const held = range(integer).every(
          (value) => BigInt(Number(value)) === value && value <= 2n ** 53n,
        );
        expect([integer, unifiedType(integer, float)]).toEqual([
          integer,
          held ? 'DOUBLE' : undefined,
        ]);
      }
    }
  });

  test('is none for types that are not of a kind', () => {
    const others = [
      'VARCHAR',
      'BOOLEAN',
      'DATE',
      'TIMESTAMP',
      'DECIMAL(18,3)',
      'HUGEINT',
      'INTEGER[]',
      '',
    ];
    for (const other of others) {
      for (const type of [...ALL, ...others.filter((one) => one !== other)]) {
        expect([other, type, unifiedType(other, type)]).toEqual([other, type, undefined]);
      }
    }
  });
});
