import { beforeAll, describe, expect, test } from 'vitest';
import type { ElementType } from '../../src/base/elements.js';
import type { InputBinding } from '../../src/plan/signature.js';
import type { OrderFile } from '../../src/worker/protocol.js';
import { failure } from '../failure.js';
import { cast, featuresOf, fileOf, nearest } from '../feature-case.js';
import { Random } from '../random.js';

type Case = readonly [
  type: string,
  element: ElementType,
  good: Readonly<Record<string, unknown>>,
  failed: readonly string[],
];

describe('to whole numbers', () => {
  test.each<Case>([
    [
      'BIGINT',
      'int32',
      { '2147483647': 2147483647, '-2147483648': -2147483648 },
      ['2147483648', '-2147483649'],
    ],
    ['BIGINT', 'int8', { '127': 127, '-128': -128 }, ['128', '-129']],
    ['INTEGER', 'uint8', { '0': 0, '255': 255 }, ['-1', '256']],
    ['INTEGER', 'uint64', { '5': 5n }, ['-1']],
    ['INTEGER', 'int64', { '-5': -5n }, []],
    ['UBIGINT', 'int64', { '9223372036854775807': 9223372036854775807n }, ['9223372036854775808']],
    ['BIGINT', 'uint64', { '9223372036854775807': 9223372036854775807n }, ['-1']],
    ['UINTEGER', 'int16', { '32767': 32767 }, ['32768']],
    ['BOOLEAN', 'int64', { true: 1n, false: 0n }, []],
    ['BOOLEAN', 'uint8', { true: 1, false: 0 }, []],
    [
      'DOUBLE',
      'int32',
      { '2.0': 2, "'-0.0'": 0, '-2147483648.0': -2147483648 },
      ['2.5', '-0.1', '2147483648.0', "'NaN'", "'Infinity'", "'-Infinity'", '1e300'],
    ],
    [
      'DOUBLE',
      'int64',
      { '9007199254740993.0': 9007199254740992n, '-9223372036854775808.0': -9223372036854775808n },
      ['9223372036854775808.0', '0.5'],
    ],
    ['FLOAT', 'uint64', { '16777216': 16777216n }, ['-1', '0.5', '18446744073709551616']],
    ['DECIMAL(18,3)', 'int32', { '2.000': 2, '-7': -7 }, ['3000000000']],
    [
      'DECIMAL(38,0)',
      'int64',
      { '9223372036854775807': 9223372036854775807n },
      ['9223372036854775808'],
    ],
  ])(
    '%s to %s: what fits is kept, what does not is put aside',
    async (type, element, good, failed) => {
      const literals = [...Object.keys(good), ...failed, 'NULL'];
      const { values, bad, lossy } = await cast(literals, type, element);
      expect(values.slice(0, Object.keys(good).length)).toEqual(Object.values(good));
      const reasons = [...failed.map(() => 'cast_failed'), 'null_value'];
      expect(bad).toEqual(
        Object.fromEntries(reasons.map((reason, i) => [i + Object.keys(good).length, reason])),
      );
      expect(lossy).toBe(0);
    },
  );

  test.each([
    ['DECIMAL(18,3)', 'int32'],
    ['DECIMAL(38,10)', 'int64'],
    ['DECIMAL(4,1)', 'uint8'],
  ] as const)('a fraction has no place, as in a double: %s to %s', async (type, element) => {
    const { bad } = await cast(['2.5', '2.7', '0.1', '3'], type, element);
    expect(bad).toEqual({ 0: 'cast_failed', 1: 'cast_failed', 2: 'cast_failed' });
  });
});

describe('wide numbers to floats', () => {
  test.each([
    ['DECIMAL(9,4)', 9, 4],
    ['DECIMAL(15,2)', 15, 2],
    ['DECIMAL(16,16)', 16, 16],
    ['DECIMAL(18,2)', 18, 2],
    ['DECIMAL(18,0)', 18, 0],
    ['DECIMAL(38,2)', 25, 2],
    ['DECIMAL(38,9)', 30, 9],
    ['DECIMAL(38,18)', 38, 18],
    ['DECIMAL(38,38)', 38, 38],
  ] as const)(
    '%s becomes the nearest double, and that the nearest float',
    async (type, most, scale) => {
      const random = new Random(most * 100 + scale);
      const texts = Array.from({ length: 3000 }, (_, i) => {
        const digits = Array.from({ length: random.whole(1, most) }, () => random.whole(0, 9));
        const text = digits.join('').padStart(scale + 1, '0');
        const sign = i % 2 === 1 ? '-' : '';
        return sign + (scale > 0 ? `${text.slice(0, -scale)}.${text.slice(-scale)}` : text);
      });
      // Of text, JavaScript finds the nearest; no type has -0.
      const doubles = texts.map((text) => Number(text) + 0);
      const literals = texts.map((text) => `'${text}'`);
      expect((await cast(literals, type, 'float64')).values).toEqual(doubles);
      expect((await cast(literals, type, 'float32')).values).toEqual(doubles.map(Math.fround));
    },
  );

  test('decimals: those that do not come back are counted', async () => {
    const literals = ['0.5', '0.1', '16777217', '16777216', '-2.25', 'NULL'];
    const { values, bad, lossy } = await cast(literals, 'DECIMAL(18,3)', 'float32');
    expect(values).toEqual([0.5, Math.fround(0.1), 2 ** 24, 2 ** 24, -2.25, Number.NaN]);
    expect(bad).toEqual({});
    expect(lossy).toBe(1);
  });
});

describe('text', () => {
  const input: InputBinding = { name: 'in', element: 'utf8', rank: 1, columns: ['x'] };

  test('is carried as it is; NULL is put aside', async () => {
    const { values, bad, lossy } = await cast(
      ["'größe'", "''", 'NULL', "'\u{1f600}'"],
      'VARCHAR',
      'utf8',
    );
    expect(values).toEqual(['größe', '', '', '\u{1f600}']);
    expect([bad, lossy]).toEqual([{ 2: 'null_value' }, 0]);
  });

  test('comes of enumerations and UUIDs too', async () => {
    const sql = "SELECT unnest(['b', 'a', NULL])::ENUM('a', 'b') AS x";
    expect((await featuresOf([await fileOf(sql)], [input])).columns).toEqual([['b', 'a', '']]);
    const uuid = '6f9619ff-8b86-d011-b42d-00cf4fc964ff';
    const { values } = await cast([`'${uuid}'`], 'UUID', 'utf8');
    expect(values).toEqual([uuid]);
  });

  test('of a file is never read as a number', async () => {
    const file = await fileOf("SELECT '5' AS x");
    const number: InputBinding = { ...input, element: 'float32' };
    const error = await failure(() => featuresOf([file], [number]));
    expect([error.code, error.message]).toEqual([
      'input',
      `${file.path}: column "x" is VARCHAR, model input "in" expects float32`,
    ]);
  });
});

describe('a partition value', () => {
  let file: OrderFile;

  beforeAll(async () => {
    file = await fileOf('SELECT 1 AS a FROM range(2)');
  });

  async function partition(value: string | null, element: ElementType, type?: string) {
    const input: InputBinding = { name: 'in', element, rank: 1, columns: ['p'] };
    const { columns, bad, lossy } = await featuresOf([file], [input], {
      partition: [{ name: 'p', value }],
      types: type === undefined ? [] : [{ column: 'p', type }],
    });
    const reasons = new Set(bad.map(({ reason }) => reason));
    expect(bad.length).toBe(reasons.size * 2);
    expect(columns[0]![0]).toEqual(columns[0]![1]);
    return { value: columns[0]![0], reason: [...reasons][0], lossy: lossy.p ?? 0 };
  }

  test.each<[string, ElementType, unknown, number]>([
    ['07', 'int32', 7, 0],
    ['-7', 'int64', -7n, 0],
    ['2013', 'float32', 2013, 0],
    ['16777217', 'float32', 2 ** 24, 2],
    ['0.1', 'float32', Math.fround(0.1), 2],
    ['0.1', 'float64', 0.1, 0],
    ['1e3', 'float64', 1000, 0],
    ['true', 'bool', 1, 0],
    ['false', 'bool', 0, 0],
    ['1', 'bool', 1, 0],
    ["it's; --", 'utf8', "it's; --", 0],
  ])('%j is read as %s', async (value, element, expected, lossy) => {
    expect(await partition(value, element)).toEqual({ value: expected, reason: undefined, lossy });
  });

  test.each<[string, ElementType]>([
    ['abc', 'float32'],
    ['', 'float32'],
    ['300', 'uint8'],
    ['-1', 'uint8'],
    ['2013-01-01', 'int32'],
    ['maybe', 'bool'],
    ['2.7', 'int32'],
    ['0.5', 'int64'],
  ])('%j cannot be read as %s: its rows are put aside', async (value, element) => {
    expect((await partition(value, element)).reason).toBe('cast_failed');
  });

  test('that is missing is NaN in floats and puts rows aside elsewhere', async () => {
    expect(await partition(null, 'float32')).toEqual({
      value: Number.NaN,
      reason: undefined,
      lossy: 0,
    });
    for (const element of ['int32', 'bool', 'utf8'] as const) {
      expect((await partition(null, element)).reason).toBe('null_value');
    }
  });

  test('has a type that holds it, or its rows are not scored as something else', async () => {
    for (const value of ['2.7', '300', 'abc']) {
      const outcome = await partition(value, 'uint8', 'UTINYINT').catch(() => ({
        reason: 'refused',
      }));
      expect(['cast_failed', 'refused']).toContain(outcome.reason);
    }
  });

  /** No Parquet file has these types as DuckDB reads it: here a folder's value stands for what another source may have. */
  test.each(['HUGEINT', 'UHUGEINT'])(
    'of type %s is the nearest float, and counted if it changed',
    async (type) => {
      const numbers = [
        0n,
        1n,
        2n ** 24n + 1n,
        2n ** 53n,
        2n ** 53n + 1n,
        2n ** 100n,
        2n ** 100n + 1n,
      ];
      numbers.push(type === 'HUGEINT' ? 2n ** 127n - 1n : 2n ** 128n - 1n);
      for (const number of numbers) {
        const value = nearest(number, 53);
        const lossy = BigInt(value) === number ? 0 : 2;
        expect(await partition(String(number), 'float64', type)).toEqual({
          value,
          reason: undefined,
          lossy,
        });
      }
    },
  );

  test.each<[string, string, ElementType, unknown]>([
    ['HUGEINT', '9223372036854775807', 'int64', 2n ** 63n - 1n],
    ['HUGEINT', '9223372036854775808', 'int64', 'cast_failed'],
    ['HUGEINT', '-9223372036854775809', 'int64', 'cast_failed'],
    ['HUGEINT', '18446744073709551615', 'uint64', 2n ** 64n - 1n],
    ['HUGEINT', '-1', 'uint64', 'cast_failed'],
    ['UHUGEINT', '340282366920938463463374607431768211455', 'int32', 'cast_failed'],
    ['UHUGEINT', '7', 'int32', 7],
  ])('of type %s: %s to %s', async (type, text, element, expected) => {
    const { value, reason, lossy } = await partition(text, element, type);
    expect([reason ?? value, lossy]).toEqual([expected, 0]);
  });

  test('has the type that the job gives it', async () => {
    expect(await partition('7', 'float32', 'INTEGER')).toMatchObject({
      value: 7,
      reason: undefined,
    });
    expect((await partition('16777217', 'float32', 'INTEGER')).lossy).toBe(2);
    expect(await partition(null, 'float32', 'INTEGER')).toMatchObject({ value: Number.NaN });
  });
});

describe('features', () => {
  const matrix = (element: ElementType, ...columns: string[]): InputBinding => ({
    name: `in-${element}`,
    element,
    rank: 2,
    columns,
  });

  test('come in the order of inputs and their columns, whatever the order in the file', async () => {
    const file = await fileOf("SELECT 1 AS a, 2.5::DOUBLE AS b, 'x' AS c, true AS d");
    const inputs = [
      matrix('float32', 'b', 'a', 'd', 'a'),
      matrix('utf8', 'c'),
      matrix('bool', 'd'),
    ];
    const { columns } = await featuresOf([file], inputs);
    expect(columns).toEqual([[2.5], [1], [1], [1], ['x'], [1]]);
  });

  test('name the first column to blame for a row, once a row, in order', async () => {
    const file = await fileOf(
      'SELECT * FROM (VALUES (1, 300, 0), (NULL, 300, 1), (2, 2, NULL), (3, 3, 3)) t(a, b, c)',
    );
    const { bad } = await featuresOf([file], [matrix('int64', 'a'), matrix('uint8', 'b', 'c')]);
    expect(bad).toEqual([
      { row: 0, reason: 'cast_failed', column: 'b' },
      { row: 1, reason: 'null_value', column: 'a' },
      { row: 2, reason: 'null_value', column: 'c' },
    ]);
  });

  test('are counted over batches, and rows keep their place', async () => {
    const file = await fileOf(
      'SELECT 16777216 + i AS x, CASE WHEN i <> 77 THEN i END AS y FROM range(100) t(i)',
    );
    const inputs = [matrix('float32', 'x'), matrix('int64', 'y')];
    const { columns, bad, lossy } = await featuresOf([file], inputs, { batchRows: 7 });
    expect(columns[0]).toHaveLength(100);
    expect(bad).toEqual([{ row: 77, reason: 'null_value', column: 'y' }]);
    expect(lossy).toEqual({ x: 50 });
  });

  test('of files of other types are read by each file as it is: 2.7 does not become 3', async () => {
    const order = [
      await fileOf('SELECT 1::INTEGER AS x'),
      await fileOf('SELECT 2.7::DOUBLE AS x'),
      await fileOf('SELECT 3::TINYINT AS x'),
      await fileOf('SELECT 0.1::DECIMAL(4,1) AS x'),
    ];
    const { columns } = await featuresOf(order, [matrix('float64', 'x')]);
    expect(columns).toEqual([[1, 2.7, 3, 0.1]]);
  });

  test('may have any name a column can have', async () => {
    const names = [
      'a"b',
      "it's",
      'two\nlines',
      'SELECT',
      'f0',
      'f1',
      '数据',
      'x; DROP TABLE y; --',
    ];
    const select = names.map((name, i) => `${i} AS "${name.replaceAll('"', '""')}"`).join(', ');
    const { columns } = await featuresOf(
      [await fileOf(`SELECT ${select}`)],
      [matrix('float32', ...names.toReversed())],
    );
    expect(columns).toEqual(names.map((_, i) => [names.length - 1 - i]));
  });

  test('that a file lacks or has in another type are told at once', async () => {
    const file = await fileOf("SELECT 'x' AS a, DATE '2013-01-01' AS day");
    const error = await failure(() => featuresOf([file], [matrix('float32', 'a', 'dday', 'day')]));
    expect(error.message.split('\n')).toEqual([
      `${file.path}: column "a" is VARCHAR, model input "in-float32" expects float32`,
      `${file.path}: has no column "dday" (did you mean "day"?)`,
      `${file.path}: column "day" is DATE, model input "in-float32" expects float32`,
    ]);
  });

  test('may be none: then only rows are counted', async () => {
    expect(await featuresOf([await fileOf('SELECT 1 AS a FROM range(5)')], [])).toEqual({
      columns: [],
      bad: [],
      lossy: {},
    });
  });
});
