/** The scanner of CSV, by itself: what it takes for a record, what not, and that chunks make no difference. */
import { describe, expect, test } from 'vitest';
import { type CsvDialect, RFC_4180 } from '../../src/plan/csv.js';
import { CsvScanner } from '../../src/worker/csv-scan.js';
import { failure } from '../failure.js';
import { Random } from '../random.js';

interface Scanned {
  readonly names: readonly string[] | undefined;
  /** The good records, as their fields. */
  readonly records: string[][];
  /** `line:byte reason` of the others. */
  readonly rejected: string[];
  readonly counts: readonly [accepted: number, rejected: number];
  readonly isPlain: boolean;
}

/** Scans a file that comes in chunks of the given sizes, then the rest at once. */
function scan(
  file: string | Buffer,
  dialect: Partial<CsvDialect> = {},
  chunks: readonly number[] = [],
): Scanned {
  const bytes = Buffer.from(file);
  const records: string[][] = [];
  const rejected: string[] = [];
  const scanner: CsvScanner = new CsvScanner({
    dialect: { ...RFC_4180, ...dialect },
    sink: {
      accept: (record) => records.push(scanner.fieldsOf(Buffer.from(record))),
      reject: ({ line, byte, reason }) => rejected.push(`${line}:${byte} ${reason}`),
    },
    perRecord: true,
    shownAs: 'x.csv',
  });
  let at = 0;
  for (const size of [...chunks, bytes.length]) {
    scanner.push(bytes.subarray(at, at + size));
    at = Math.min(bytes.length, at + size);
  }
  scanner.end();
  const { names, accepted, rejected: bad, isPlain } = scanner;
  return { names, records, rejected, counts: [accepted, bad], isPlain };
}

describe('records', () => {
  test('end with LF or CRLF, the last with either or neither', () => {
    const rows = [
      ['1', '2'],
      ['3', '4'],
    ];
    for (const text of ['a,b\n1,2\n3,4\n', 'a,b\n1,2\n3,4', 'a,b\r\n1,2\r\n3,4\r\n']) {
      const isPlain = !text.includes('\r');
      expect(scan(text)).toMatchObject({ names: ['a', 'b'], records: rows, isPlain });
    }
    expect(scan('a,b\r\n1,2\n3,4')).toMatchObject({ records: rows, isPlain: false });
  });

  test('hold quotes, delimiters and line ends in quoted fields', () => {
    const text = 'a,b\n"1,""x""\r\n\n",\n"",""""\n';
    expect(scan(text).records).toEqual([
      ['1,"x"\r\n\n', ''],
      ['', '"'],
    ]);
  });

  test('keep spaces, and characters that only look like line ends', () => {
    expect(scan('a,b\n 1 ,\u2028\u0085\ufeff\n').records).toEqual([[' 1 ', '\u2028\u0085\ufeff']]);
  });

  test('are delimited and quoted as the dialect says', () => {
    expect(scan("a;b\n';';''''\n", { delimiter: ';', quote: "'" }).records).toEqual([[';', "'"]]);
    expect(scan('a\tb\n"1\t2"\n', { delimiter: '\t', quote: '' }).records).toEqual([['"1', '2"']]);
    expect(scan('1,2\n', { columns: ['x', 'y'] })).toMatchObject({
      names: ['x', 'y'],
      records: [['1', '2']],
    });
  });

  test('follow a byte order mark, whose bytes count', () => {
    expect(scan('\ufeffa,b\n1\n')).toMatchObject({
      names: ['a', 'b'],
      rejected: ['2:7 missing_fields'],
      isPlain: false,
    });
  });
});

describe('what is no record', () => {
  test.each<[reason: string, file: string | Buffer, rejected: string[], records: string[][]]>([
    ['missing_fields', 'a,b\n1\n2,3\n', ['2:4 missing_fields'], [['2', '3']]],
    ['extra_fields', 'a,b\n1,2,3\n', ['2:4 extra_fields'], []],
    [
      'a blank line',
      'a,b\n1,2\n\n\r\n3,4\n',
      ['3:8 blank_line', '4:9 blank_line'],
      [
        ['1', '2'],
        ['3', '4'],
      ],
    ],
    ['blank lines at the end', 'a,b\n1,2\n\n\r\n', [], [['1', '2']]],
    ['a blank line of one column', 'a\n1\n\n2\n', ['3:4 blank_line'], [['1'], ['2']]],
    ['stray_quote', 'a,b\n1,x"y\n', ['2:4 stray_quote'], []],
    ['bare_cr', 'a,b\n1,2\r3,4\n', ['2:4 bare_cr'], []],
    ['a bare CR at the end', 'a,b\n1,2\r', ['2:4 bare_cr'], []],
    ['nul_byte', 'a,b\n1,\0\n2,3\n', ['2:4 nul_byte'], [['2', '3']]],
    ['invalid_utf8', Buffer.from([97, 10, 0xc3, 10, 49, 10]), ['2:2 invalid_utf8'], [['1']]],
    ['NUL before bare CR and count', 'a,b\n\0\r1\n', ['2:4 nul_byte'], []],
    ['text_after_quote', 'a,b\n"1"x,2\n3,4\n', ['2:4 text_after_quote'], [['3', '4']]],
    [
      'text_after_quote, lines after the quote was opened',
      'a,b\n"1\n2,"x",3\n4,5\n',
      ['2:4 text_after_quote', '3:7 text_after_quote'],
      [['4', '5']],
    ],
    [
      'unterminated_quote',
      'a,b\n1,2\n"3\r\n4,5\n6',
      ['3:8 unterminated_quote', '4:12 unterminated_quote', '5:16 unterminated_quote'],
      [['1', '2']],
    ],
  ])('%s', (_reason, file, rejected, records) => {
    const scanned = scan(file);
    expect(scanned).toMatchObject({ rejected, records });
    expect(scanned.counts).toEqual([records.length, rejected.length]);
  });

  test('are none where they are the header again, however it is written', () => {
    const again = ['id,v', '"id",v', ' id ,v', 'ID,V', '\ufeffid,v'];
    const { records, rejected } = scan(['id,v', '1,a', ...again, 'id,w', 'v,v'].join('\n'));
    expect(records).toEqual([
      ['1', 'a'],
      ['id', 'w'],
      ['v', 'v'],
    ]);
    expect(rejected.map((text) => text.replace(/:\d+/, ''))).toEqual(
      again.map((_, index) => `${index + 3} repeated_header`),
    );
  });

  test('of one column are the header again where they are its name to the letter', () => {
    const { records, rejected } = scan('word\nWord\nword\n word\n');
    expect([records, rejected]).toEqual([[['Word'], [' word']], ['3:10 repeated_header']]);
  });

  test('are refused with the file where they are a header in another order', async () => {
    const error = await failure(() => scan('id,v\n1,a\nv,id\n'));
    expect(error).toMatchObject({
      code: 'input',
      message:
        'x.csv: byte 9: has a second header, with the columns in another order; split the file there',
    });
    const given = scan('id,v\nv,id\n', { columns: ['id', 'v'] });
    expect(given.records).toEqual([
      ['id', 'v'],
      ['v', 'id'],
    ]);
  });

  test('lines are those of the file, also after quoted line ends', () => {
    expect(scan('"a\nb",c\n"x\n\ny",1\nz\n').rejected).toEqual(['6:17 missing_fields']);
  });
});

describe('a file is refused', () => {
  test.each([
    ['without a record', '', 'no header'],
    ['with a blank first line', '\na,b\n', 'no header'],
    ['with a name twice', 'a,b,a\n', 'column "a" is given twice'],
    ['with a name in two cases', 'a,b,A\n', 'given twice (as "a"'],
    ['without a name', 'a,,b\n', 'column 2 has no name'],
    ['with a header that is not closed', '"a,b\n1,2\n', 'never closed'],
    ['with a header that goes wrong', '"a"b,c\n', 'closing quote'],
    ['with a NUL in the header', 'a,\0\n', 'NUL'],
  ])('%s', async (_what, text, words) => {
    const error = await failure(() => scan(text));
    expect([error.code, error.message]).toEqual(['input', expect.stringContaining(words)]);
    expect(error.message).toMatch(/^x\.csv: /);
  });

  test.each([
    ['UTF-16', Buffer.from('\ufeffa,b\n', 'utf16le')],
    ['UTF-32', Buffer.from([0xff, 0xfe, 0, 0, 97, 0, 0, 0])],
  ])('in %s', async (name, bytes) => {
    expect((await failure(() => scan(bytes))).message).toContain(`is ${name}, not UTF-8`);
  });
});

describe('at random', () => {
  const SPECIAL = ['"', ',', '\n', '\r\n', '\r', '', 'é', '\u{1f600}', ' ', '0', 'x'];

  test('what was written as RFC 4180 says is read back, in whatever chunks it comes', () => {
    const random = new Random(11);
    for (let trial = 0; trial < 300; trial++) {
      const width = random.whole(2, 5);
      const rows = Array.from({ length: random.whole(0, 8) }, () =>
        Array.from({ length: width }, () =>
          Array.from({ length: random.whole(0, 4) }, () => random.pick(SPECIAL)).join(''),
        ),
      );
      const written = rows.map((row) =>
        row
          .map((field) =>
            /[",\r\n]/.test(field) || random.next() < 0.2
              ? `"${field.replaceAll('"', '""')}"`
              : field,
          )
          .join(','),
      );
      const header = Array.from({ length: width }, (_, index) => `c${index}`).join(',');
      const text = [header, ...written, ''].join(random.pick(['\n', '\r\n']));
      const chunks = Array.from({ length: 6 }, () => random.whole(0, 9));
      const scanned = scan(text, {}, chunks);
      expect([scanned.records, scanned.rejected]).toEqual([rows, []]);
    }
  });

  test('garbage gives the same in whatever chunks it comes, and every byte is accounted for', () => {
    const random = new Random(12);
    const pieces = [...SPECIAL, '"', '\n', ',', '\0'].map((piece) => Buffer.from(piece));
    pieces.push(Buffer.from([0xff]));
    for (let trial = 0; trial < 500; trial++) {
      const body = Array.from({ length: random.whole(0, 40) }, () => random.pick(pieces));
      const file = Buffer.concat([Buffer.from('a,b\n'), ...body]);
      const whole = scan(file);
      const chunks = Array.from({ length: 8 }, () => random.whole(0, 6));
      expect(scan(file, {}, chunks)).toEqual(whole);
      expect(scan(file, {}, new Array(file.length).fill(1))).toEqual(whole);
      expect(lengthOf(file)).toBe(file.length);
    }
  });

  /** The bytes of the header, the records handed out, their line ends, and the blank lines at the end. */
  function lengthOf(file: Buffer): number {
    let length = 0;
    const count = (bytes: Uint8Array): void => {
      length += bytes.length;
    };
    const scanner = new CsvScanner({
      dialect: RFC_4180,
      sink: { accept: count, reject: (_place, bytes) => count(bytes) },
      perRecord: true,
      shownAs: 'x.csv',
    });
    scanner.push(file);
    scanner.end();
    // What is handed out has lost its line ends: they, and nothing else, may be missing.
    const lost = file.length - length;
    const ends = file.filter((byte) => byte === 10 || byte === 13).length + 'a,b'.length;
    expect(lost).toBeLessThanOrEqual(ends);
    return length + lost;
  }
});
