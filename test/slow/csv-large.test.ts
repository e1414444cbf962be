/** CSV files that are too large to commit: wide, long and at the edges of buffers, made here with what they mean. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { type UnitOutcome, unitOutcomes } from '../csv-outcome.js';
import { type JobCase, makeCase, type Sections } from '../job-case.js';
import { writeParquet } from '../parquet.js';

const HEADER = 'id,a,b,t\n';

/** A record from its bytes, one character a byte. */
const bytes = (text: string): Buffer => Buffer.from(text, 'latin1');

/** A CSV file in the making, and what it means. */
class CsvFile {
  readonly rows: string[] = [];
  readonly rejected: (string | number)[][] = [];
  private readonly parts: Buffer[] = [];
  private size = 0;
  private line = 1;
  private next = 0;

  constructor(start = HEADER) {
    this.add(bytes(start));
  }

  get offset(): number {
    return this.size;
  }

  content(): Buffer {
    return Buffer.concat(this.parts);
  }

  /** The first three fields of the next record, from which its prediction is 32 times its number, plus 1. */
  get lead(): string {
    return `${this.next},${this.next},${this.next * 10},`;
  }

  /** Adds a good record: its last field as it stands in the file, and what that means. */
  good(field: string, text: string): void {
    this.rows.push(JSON.stringify([String(this.next), text, 32 * this.next + 1]));
    this.add(bytes(this.lead + field));
    this.next++;
  }

  /** Adds a record that is set aside; where a quote went wrong, each of its lines is. */
  bad(field: string, reason: string): void {
    this.badRecord(this.lead + field, reason);
    this.next++;
  }

  badRecord(record: string, reason: string): void {
    let offset = this.size;
    const lines = record.replace(/\n$/, '').split('\n');
    for (const [at, line] of (reason === 'text_after_quote' ? lines : [record]).entries()) {
      this.rejected.push([this.line + at, offset, reason]);
      offset += line.length + 1;
    }
    this.add(bytes(record));
  }

  private add(part: Buffer): void {
    this.parts.push(part);
    this.size += part.length;
    for (const byte of part) if (byte === 0x0a) this.line++;
  }
}

/** Scores files, each a unit of its own, and checks each against what it means. */
async function check(
  files: ReadonlyMap<string, CsvFile>,
  pack: (data: Buffer) => Buffer,
): Promise<void> {
  const job = makeCase({
    quarantine: { max: '100%' },
    output: { path: 'out', keep: ['id', 't'] },
  });
  for (const [path, file] of files) write(job, path, pack(file.content()));
  const { exit, stderr } = await job.run();
  expect([exit, stderr.match(/^scoreline: .*/m)?.[0]]).toEqual([0, undefined]);
  const units = await unitOutcomes(job, 'id');
  for (const [path, file] of files) {
    const unit = units.get(dirname(path))!;
    const found = rowsOf(unit);
    const wrong = file.rows.findIndex((row, at) => row !== found[at]);
    expect([path, wrong, found[wrong]]).toEqual([path, -1, undefined]);
    expect(found).toHaveLength(file.rows.length);
    const rejected = unit.rejected.map(({ line, byte, reason }) => [line, byte, reason]);
    expect([path, rejected]).toEqual([path, file.rejected]);
    expect(unit.ledger).toEqual({
      rows: file.rows.length + file.rejected.length,
      scored: file.rows.length,
      quarantined: file.rejected.length,
      filtered: 0,
    });
  }
}

function rowsOf(unit: UnitOutcome): string[] {
  return unit.rows.map((row) => JSON.stringify([...row.slice(0, -1), Number(row.at(-1))]));
}

function write(job: JobCase, path: string, data: Buffer | string): void {
  mkdirSync(dirname(join(job.input, path)), { recursive: true });
  writeFileSync(join(job.input, path), data);
}

const asIs = (data: Buffer): Buffer => data;

/** The last field of a defective record, and the reason. */
const DEFECTS: [field: string, reason: string][] = [
  ['x,y\n', 'extra_fields'],
  ['x"y\n', 'stray_quote'],
  ['"x"y\n', 'text_after_quote'],
  ['"x\n1,1,10,x\n"y\n', 'text_after_quote'],
  ['x\xff\n', 'invalid_utf8'],
  ['x\0\n', 'nul_byte'],
  ['x\ry\n', 'bare_cr'],
  ['"x\r\n",y\r\n', 'extra_fields'],
];

describe('one defect among 3,000 records', () => {
  test('is set aside wherever it stands, and every other record is scored', async () => {
    const files = new Map<string, CsvFile>();
    for (const place of [0, 1500, 2046, 2047, 2048, 2049, 2999]) {
      for (const [which, [field, reason]] of DEFECTS.entries()) {
        const file = new CsvFile();
        for (let at = 0; at < 3000; at++) {
          if (at === place) file.bad(field, reason);
          else file.good(`text ${at}\n`, `text ${at}`);
        }
        files.set(`${place}-${which}/x.csv`, file);
      }
    }
    await check(files, asIs);
  });

  test('a quote that is never closed rejects every line to the end', async () => {
    const file = new CsvFile();
    for (let at = 0; at < 2500; at++) file.good('x\n', 'x');
    file.badRecord('2500,2500,25000,"x\n', 'unterminated_quote');
    for (let at = 2501; at < 5000; at++) file.badRecord(`${at},1,1,x\n`, 'unterminated_quote');
    await check(new Map([['p/x.csv', file]]), asIs);
  });

  test('every record but one', async () => {
    const file = new CsvFile();
    for (let at = 0; at < 5000; at++) {
      if (at === 2500) file.good('x\n', 'x');
      else file.bad(...DEFECTS[at % 3]!);
    }
    await check(new Map([['p/x.csv', file]]), asIs);
  });
});

/** What stands before the edge of a buffer and after it, in the last field; and what it means: a text, or a reason. */
const EDGES: [before: string, after: string, text: string | undefined, reason?: string][] = [
  ['"p"', '"q"\n', 'p"q'],
  ['"p', '""q"\n', 'p"q'],
  ['"p""', 'q"\n', 'p"q'],
  ['"p""', '"\n', 'p"'],
  ['"p"', '\n', 'p'],
  ['"p"', '\r\n', 'p'],
  ['"p"\r', '\n', 'p'],
  ['p\r', '\n', 'p'],
  ['p', '\r\n', 'p'],
  ['p\r\n', '', 'p'],
  ['p\n', '', 'p'],
  ['', '"p"\n', 'p'],
  ['"', 'p"\n', 'p'],
  ['"', '"""\n', '"'],
  ['"p\r', '\nq"\n', 'p\r\nq'],
  ['"p\r', 'q"\n', 'p\rq'],
  ['"p', '\nq"\n', 'p\nq'],
  ['"p\n', '\nq"\n', 'p\n\nq'],
  ['"p,', ',q"\n', 'p,,q'],
  ['\xf0', '\x9f\x9b\xab\n', '🛫'],
  ['\xf0\x9f', '\x9b\xab\n', '🛫'],
  ['\xf0\x9f\x9b', '\xab\n', '🛫'],
  ['"\xc3', '\xa9"\n', 'é'],
  ['p\r', 'q\n', undefined, 'bare_cr'],
  ['p\r', '\r\n', undefined, 'bare_cr'],
  ['p', '"q\n', undefined, 'stray_quote'],
  ['p"', 'q\n', undefined, 'stray_quote'],
  ['"p"', 'q\n', undefined, 'text_after_quote'],
  ['"p"\r', 'q\n', undefined, 'text_after_quote'],
  ['"p\n', 'q" \n', undefined, 'text_after_quote'],
  ['p\0', 'q\n', undefined, 'nul_byte'],
  ['p', '\0q\n', undefined, 'nul_byte'],
  ['\xf0\x9f', 'q\n', undefined, 'invalid_utf8'],
  ['\xed', '\xa0\x80\n', undefined, 'invalid_utf8'],
  ['p,', 'q\n', undefined, 'extra_fields'],
];

/** A file with one of the edges at each multiple of `step` bytes, beginning with one of them. */
function edgesAt(step: number, first: number): CsvFile {
  const file = new CsvFile();
  for (const [at] of EDGES.entries()) {
    const [before, after, text, reason] = EDGES[(at + first) % EDGES.length]!;
    const edge = (at + 1) * step;
    while (edge - file.offset > 700) {
      const filler = 'f'.repeat(100 + ((file.offset * 7) % 97));
      file.good(`${filler}\n`, filler);
    }
    // The leads of this record and the next are as long as each other, or are made so by a second try.
    const room = edge - before.length - file.offset;
    const next = file.rows.length + file.rejected.length;
    const lead = nextLead(file);
    const filler = 'f'.repeat(room - file.lead.length - 1 - lead.length);
    file.good(`${filler}\n`, filler);
    expect([next, file.offset + file.lead.length + before.length]).toEqual([next, edge]);
    if (text !== undefined) file.good(before + after, text);
    else file.bad(before + after, reason!);
    if (after === '') file.badRecord('\n', 'blank_line');
  }
  // So that the last blank line stands between records.
  file.good('x\n', 'x');
  return file;
}

/** The lead that follows that of the next record. */
function nextLead(file: CsvFile): string {
  const next = Number(file.lead.split(',')[0]) + 1;
  return `${next},${next},${next * 10},`;
}

describe('at the edges of buffers', () => {
  test.each([
    [4096, 'plain'],
    [16_384, 'plain'],
    [65_536, 'plain'],
    [65_536, 'gzip'],
  ])('every %s bytes, %s: whatever is cut in two is read whole', async (step, how) => {
    const files = new Map<string, CsvFile>();
    // Multiples of 128 kB to 1 MB get another edge with each beginning.
    for (let first = 0; first < EDGES.length; first += step === 65_536 ? 5 : 1) {
      files.set(`${first}/x.csv${how === 'gzip' ? '.gz' : ''}`, edgesAt(step, first));
    }
    await check(files, how === 'gzip' ? (data) => gzipSync(data, { level: 1 }) : asIs);
  });
});

describe('long fields', () => {
  test('of 1 MB in quotes and 100 kB without are read whole', async () => {
    const file = new CsvFile();
    const long = 'é,"\r\n'.repeat(200_000);
    const raw = Buffer.from(long.replaceAll('"', '""')).toString('latin1');
    file.good('x\n', 'x');
    file.good(`"${raw}"\n`, long);
    file.good(`${'u'.repeat(100_000)}\n`, 'u'.repeat(100_000));
    file.good('"y"\n', 'y');
    await check(new Map([['p/x.csv', file]]), asIs);
  });

  test('of a rejected record are shown up to 4,096 bytes, never half a character', async () => {
    const job = makeCase({ quarantine: { max: '100%' }, output: { path: 'out', keep: ['id'] } });
    const long = '🛫'.repeat(300_000);
    write(job, 'x.csv', `${HEADER}1,1,10,x\n2,20,${long}\n3,3,30,x\n4,4,40,"${long}"x`);
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    const { rows, rejected } = (await unitOutcomes(job, 'id')).get('')!;
    expect(rows.map(([id]) => id)).toEqual(['1', '3']);
    expect(rejected.map(({ line, reason }) => [line, reason])).toEqual([
      [3, 'missing_fields'],
      [5, 'text_after_quote'],
    ]);
    for (const [at, start] of ['2,20,🛫', '4,4,40,"🛫'].entries()) {
      const { record } = rejected[at]!;
      expect(Buffer.byteLength(record)).toBeGreaterThan(4000);
      expect(Buffer.byteLength(record)).toBeLessThanOrEqual(4096);
      expect(record.startsWith(start)).toBe(true);
      expect(record).toMatch(/^[\d,"]+🛫+$/u);
    }
  });
});

describe('wide files', () => {
  test.each([1000, 2000, 4000])('%s columns: each value in its column', async (width) => {
    const names = [...Array(width).keys()].map((at) => `c${at}`);
    const job = makeCase({
      features: ['c1', `c${width - 2}`],
      quarantine: { max: '100%' },
      output: { path: 'out', keep: ['c0', 'c499', `c${width - 1}`] },
    });
    const lines = [...Array(40).keys()].map((i) => names.map((_, at) => i * width + at));
    lines[7]!.pop();
    lines[23]!.push(1);
    write(job, 'x.csv', `${[names, ...lines].map((line) => line.join(',')).join('\r\n')}\r\n`);
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    const { rows, rejected } = (await unitOutcomes(job, 'c0')).get('')!;
    const whole = [...Array(40).keys()].filter((i) => i !== 7 && i !== 23);
    expect(rows.map((row) => [...row.slice(0, 3), Number(row[3])])).toEqual(
      whole.map((i) => {
        const first = i * width;
        const y = 2 * (first + 1) + 3 * (first + width - 2) + 1;
        return [`${first}`, `${first + 499}`, `${first + width - 1}`, y];
      }),
    );
    expect(rejected.map(({ line, reason }) => [line, reason])).toEqual([
      [9, 'missing_fields'],
      [25, 'extra_fields'],
    ]);
  });
});

describe('a CSV file among Parquet files', () => {
  const SECTIONS: [string, Sections][] = [
    ['in one folder', {}],
    ['in a folder of its own', {}],
    ['with input.csv', { input: { path: 'in', csv: { delimiter: ',' } } }],
  ];
  test.each(SECTIONS)('%s: is refused, and one of each kind is named', async (where, sections) => {
    const job = makeCase(sections);
    const folder = where === 'in a folder of its own' ? 'p=1/' : '';
    write(job, `${folder}a.csv`, `${HEADER}1,1,10,x\n`);
    await writeParquet(join(job.input, 'b.parquet'), "SELECT 1 AS id, 1 AS a, 10 AS b, 'x' AS t");
    const { exit, stderr } = await job.run();
    expect(exit).toBe(4);
    expect(stderr).toContain('b.parquet');
    if (where !== 'with input.csv') expect(stderr).toContain(`${folder}a.csv`);
    expect(stderr.trimEnd().split('\n')).toHaveLength(1);
    expect(job.files()).toEqual([]);
  });
});

describe('many files', () => {
  test('in one folder: each record has its own file, line and offset', async () => {
    const job = makeCase({ quarantine: { max: '100%' }, output: { path: 'out', keep: ['id'] } });
    const name = (at: number): string => `${String(at).padStart(3, '0')}.csv`;
    for (let at = 0; at < 200; at++) {
      const lines = [`${at},1,10,x`, `${at}`, `${at + 1000},2,20,"y`, 'z"'];
      write(job, name(at), `${at % 2 === 0 ? '\ufeff' : ''}${HEADER}${lines.join('\n')}`);
    }
    expect(await job.run()).toMatchObject({ exit: 0, report: { error: null } });
    const { rows, rejected, ledger } = (await unitOutcomes(job, 'id')).get('')!;
    const all = [...Array(200).keys()];
    expect(rows.map(([id, y]) => [Number(id), Number(y)])).toEqual(
      all.flatMap((at) => [
        [at, 33],
        [at + 1000, 65],
      ]),
    );
    expect(rejected.map(({ file, line, byte }) => [file, line, byte])).toEqual(
      all.map((at) => [name(at), 3, 9 + `${at},1,10,x\n`.length + (at % 2 === 0 ? 3 : 0)]),
    );
    expect(ledger).toEqual({ rows: 600, scored: 400, quarantined: 200, filtered: 0 });
  });
});
