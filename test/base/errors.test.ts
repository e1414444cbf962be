import { constants } from 'node:os';
import { describe, expect, test } from 'vitest';
import {
  assertNever,
  didYouMean,
  type ErrorCode,
  EXIT_CODES,
  errnoOf,
  exitCodeOf,
  firstLine,
  messageOf,
  nearNames,
  ScorelineError,
  settledError,
  shown,
  systemError,
} from '../../src/base/errors.js';
import { Random } from '../random.js';

describe('the exit codes', () => {
  test('are those that schedulers rely on', () => {
    const rows = Object.entries(EXIT_CODES).map(([code, { exit, retry }]) => [code, exit, retry]);
    expect(rows).toEqual([
      ['bug', 1, false],
      ['usage', 2, false],
      ['gate', 3, false],
      ['input', 4, false],
      ['model', 5, false],
      ['environment', 6, true],
      ['conflict', 7, true],
      ['changed', 8, true],
    ]);
  });

  test('have their meaning beside them', () => {
    expect(Object.values(EXIT_CODES).map(({ meaning }) => meaning)).toEqual([
      'a bug in scoreline',
      'wrong usage or invalid job file',
      expect.stringContaining('a gate failed, or rows are bad or lost'),
      'input refused: unreadable, wrong schema, none found',
      'model refused: unreadable, signature does not fit, device absent',
      'environment: disk full, permission, out of memory',
      'another run published overlapping partitions first',
      'an input file changed while it was read',
    ]);
  });

  test('follow from the error, and what is no error of ours is a bug', () => {
    for (const [code, { exit }] of Object.entries(EXIT_CODES)) {
      expect(exitCodeOf(new ScorelineError(code as ErrorCode, 'x'))).toBe(exit);
    }
    for (const other of [
      new Error('x'),
      new TypeError('x'),
      'x',
      undefined,
      null,
      { code: 'input' },
    ]) {
      expect(exitCodeOf(other)).toBe(1);
    }
  });
});

describe('a system error', () => {
  function errno(code: string): NodeJS.ErrnoException {
    return Object.assign(new Error(`${code}: some words, open '/secret/path'`), { code });
  }

  test.each([
    'ENOSPC',
    'EDQUOT',
    'EFBIG',
    'EACCES',
    'EPERM',
    'EROFS',
    'EIO',
    'EMFILE',
    'ENFILE',
    'ENOMEM',
    'ESTALE',
    'ETIMEDOUT',
    'EBUSY',
  ])('%s is the fault of the environment, whatever was being done', (code) => {
    const error = systemError(errno(code), 'cannot read x', 'input');
    expect([error.code, error.message]).toEqual(['environment', `cannot read x: ${code}`]);
  });

  test.each(['ENOENT', 'ENOTDIR', 'EISDIR', 'ELOOP', 'ENAMETOOLONG', 'EINVAL', 'EEXIST'])(
    '%s is the fault of what was asked for',
    (code) => {
      expect(systemError(errno(code), 'cannot read x', 'input').code).toBe('input');
      expect(systemError(errno(code), 'cannot read x', 'model').code).toBe('model');
      expect(systemError(errno(code), 'cannot write x').code).toBe('environment');
    },
  );

  test('for which Node has no name has that of the system', () => {
    const quota = Object.assign(new Error('Unknown system error -122, write'), {
      code: 'Unknown system error -122',
      errno: -constants.errno.EDQUOT,
    });
    expect(errnoOf(quota)).toBe('EDQUOT');
    expect(systemError(quota, 'cannot write x', 'input')).toMatchObject({
      code: 'environment',
      message: 'cannot write x: EDQUOT',
    });
  });

  test('keeps its cause', () => {
    const cause = errno('ENOSPC');
    expect(systemError(cause, 'cannot write x').cause).toBe(cause);
  });

  test('that is one of ours already stays what it is', () => {
    const error = new ScorelineError('changed', 'x changed');
    expect(systemError(error, 'cannot read x', 'input')).toBe(error);
  });

  test('without a code is told by its first line', () => {
    expect(systemError(new Error('one\ntwo'), 'cannot read x').message).toBe('cannot read x: one');
    expect(systemError('thrown text', 'cannot read x').message).toBe('cannot read x: thrown text');
  });

  test('has a code that is a text, or none', () => {
    expect(errnoOf(errno('ENOENT'))).toBe('ENOENT');
    for (const other of [
      { code: 'ENOENT' },
      Object.assign(new Error(), { code: 5 }),
      'ENOENT',
      null,
    ]) {
      expect(errnoOf(other)).toBeUndefined();
    }
  });
});

test('anything thrown has a message', () => {
  expect([new Error('a'), 'b', 3, undefined, null].map(messageOf)).toEqual([
    'a',
    'b',
    '3',
    'undefined',
    'null',
  ]);
  expect(firstLine('a\nb')).toBe('a');
  expect(firstLine('')).toBe('');
});

describe('text that is shown', () => {
  test.each([
    ['a colour', '\x1b[31mred', '\\u{1b}[31mred'],
    ['a window title', '\x1b]0;title\x07', '\\u{1b}]0;title\\u{7}'],
    ['a hyperlink', '\x1b]8;;http://x\x1b\\', '\\u{1b}]8;;http://x\\u{1b}\\'],
    ['a one-byte control sequence', '\u009b2J', '\\u{9b}2J'],
    ['line ends and tabs', 'a\r\n\tb', 'a\\u{d}\\u{a}\\u{9}b'],
    ['NUL, backspace and DEL', '\0\b\x7f', '\\u{0}\\u{8}\\u{7f}'],
    ['line and paragraph separators', '\u2028\u2029\u0085', '\\u{2028}\\u{2029}\\u{85}'],
    ['bidirectional overrides', 'a\u202eb\u202c', 'a\\u{202e}b\\u{202c}'],
    [
      'bidirectional isolates',
      '\u2066a\u2067\u2068\u2069',
      '\\u{2066}a\\u{2067}\\u{2068}\\u{2069}',
    ],
    ['bidirectional marks', '\u200ea\u200f\u061c', '\\u{200e}a\\u{200f}\\u{61c}'],
    ['lone surrogates', 'a\ud800b\udc00', 'a\\u{d800}b\\u{dc00}'],
    ['surrogates the wrong way round', '\ude00\ud83d', '\\u{de00}\\u{d83d}'],
  ])('has %s escaped', (_name, text, expected) => {
    expect(shown(text)).toBe(expected);
  });

  test('is otherwise as it was', () => {
    for (const text of [
      '',
      'plain',
      'größe',
      'שלום',
      '数据',
      '\u{1f600}',
      'a\\b',
      '"\'`<&>',
      ' ',
    ]) {
      expect(shown(text)).toBe(text);
    }
  });

  test('is cut where it is too long, between characters', () => {
    expect(shown('a'.repeat(200))).toBe('a'.repeat(200));
    expect(shown('a'.repeat(201))).toBe(`${'a'.repeat(200)}…`);
    expect(shown('abcdef', 3)).toBe('abc…');
    expect(shown('\u{1f600}\u{1f600}\u{1f600}', 3)).toBe('\u{1f600}\u{1f600}…');
    expect(shown('\x1b\x1b', 3)).toBe('\\u{1b}…');
  });

  test('holds nothing that steers a terminal, whatever it was, and is not much longer than allowed', () => {
    const random = new Random(3);
    const unsafe = /[\p{Cc}\p{Zl}\p{Zp}\p{Cs}\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/u;
    for (let trial = 0; trial < 5_000; trial++) {
      const units = Array.from({ length: random.whole(0, 40) }, () =>
        random.next() < 0.5 ? random.whole(0, 0xff) : random.whole(0, 0xffff),
      );
      const text = shown(String.fromCharCode(...units), 20);
      expect(unsafe.test(text)).toBe(false);
      expect(text.length).toBeLessThanOrEqual(20 + '\\u{ffff}…'.length);
    }
  });

  test('takes no longer for a very long text', () => {
    const started = performance.now();
    expect(shown('\x1b'.repeat(10_000_000)).length).toBeLessThan(220);
    expect(performance.now() - started).toBeLessThan(200);
  });
});

describe('near names', () => {
  const columns = ['dep_delay', 'arr_delay', 'carrier', 'month', 'day', 'Distance'];

  test('are those that a slip of the finger away', () => {
    expect(nearNames('dep_dely', columns)).toEqual(['dep_delay']);
    expect(nearNames('mnth', columns)).toEqual(['month']);
    expect(nearNames('dayy', columns)).toEqual(['day']);
  });

  test('come best first, the earlier of equals first, three at most', () => {
    expect(
      nearNames('column_1', ['column_24', 'column_3', 'column_2', 'column_12', 'column_1']),
    ).toEqual(['column_1', 'column_3', 'column_2']);
  });

  test('may differ in case', () => {
    expect(nearNames('distance', columns)).toEqual(['Distance']);
    expect(nearNames('MONTH', columns)).toEqual(['month']);
  });

  test('are not found where nothing is near', () => {
    expect(nearNames('income', columns)).toEqual([]);
    expect(nearNames('', columns)).toEqual([]);
    expect(nearNames('x', [])).toEqual([]);
    expect(nearNames('day', ['dbz'])).toEqual([]);
  });

  test('are said in words, escaped', () => {
    expect(didYouMean('mnth', columns)).toBe(' (did you mean "month"?)');
    expect(didYouMean('ab', ['a\x1b', 'aa'])).toBe(' (did you mean "a\\u{1b}", "aa"?)');
    expect(didYouMean('income', columns)).toBe('');
  });
});

describe('an error of code that has no words for it', () => {
  test.each([
    ['std::bad_alloc', undefined],
    ['Allocation failed - JavaScript heap out of memory', undefined],
    ['Array buffer allocation failed', undefined],
    ['Out of Memory Error: failed to pin block of size 256.0 KiB', undefined],
    ["EMFILE: too many open files, open '/x/dist/run/page.js'", 'EMFILE'],
    ['libduckdb.so: failed to map segment from shared object', 'ERR_DLOPEN_FAILED'],
    ['libx.so: cannot open shared object file: Too many open files', 'ERR_DLOPEN_FAILED'],
    ['ENOSPC: no space left on device, write', 'ENOSPC'],
  ])('is the fault of the machine where that refuses something: %s', (message, code) => {
    const error = Object.assign(new Error(message), code === undefined ? {} : { code });
    const settled = settledError(error) as ScorelineError;
    expect([settled.code, settled.cause, exitCodeOf(error)]).toEqual(['environment', error, 6]);
    expect(settled.message).toContain(message);
    expect(settled.message).not.toContain('\n');
  });

  test.each([new TypeError('x is not a function'), new RangeError('Invalid array length'), 'text'])(
    'is what it is otherwise: %s',
    (error) => {
      expect(settledError(error)).toBe(error);
      expect(exitCodeOf(error)).toBe(1);
    },
  );
});

test('a case that the types exclude is a bug', () => {
  expect(() => assertNever('surprise' as never)).toThrow('unexpected surprise');
});
