/**
 * Finds the records of a CSV file by RFC 4180 to the letter: nothing is guessed, and what is no record is named with
 * its line, byte and reason. Pure: bytes in, calls of a sink out.
 */
import { isUtf8 } from 'node:buffer';
import { ScorelineError, shown } from '../base/errors.js';
import type { CsvDialect } from '../plan/csv.js';
import { HeaderMatcher } from './csv-header.js';

/** What is wrong with a record. Of several defects the first in this order is named. */
export const REJECT_REASONS = {
  text_after_quote: 'something stands between a closing quote and the next delimiter',
  unterminated_quote: 'a quote is opened and never closed',
  nul_byte: 'contains a NUL byte',
  invalid_utf8: 'is not UTF-8',
  bare_cr: 'contains a carriage return that ends no line',
  stray_quote: 'contains a quote in a field that is not quoted',
  blank_line: 'is a blank line between records',
  missing_fields: 'has fewer fields than the header',
  extra_fields: 'has more fields than the header',
  repeated_header: 'repeats the header, as where one file was appended to another',
} as const;

/** A reason to set a record aside. */
export type RejectReason = keyof typeof REJECT_REASONS;

/** Where a record that was set aside begins: its line from 1, its byte from 0, both in the uncompressed file. */
export interface RejectPlace {
  readonly line: number;
  readonly byte: number;
  readonly reason: RejectReason;
}

/** Takes what a scanner finds, in order. The bytes are lent for the call. */
export interface CsvSink {
  /** Good records: with `perRecord` one without its line end, else any number as they stand in the file. */
  accept(bytes: Buffer): void;
  /** A record that is none, without its line end. */
  reject(place: RejectPlace, bytes: Buffer): void;
}

/** The longest record, in bytes: more is no table. DuckDB needs 16 times as much to read it. */
const MAX_RECORD_BYTES = 16 * 2 ** 20;

const LF = 10;
const CR = 13;

/** What a byte is outside of quotes: data is 0, a delimiter 1, so that their sum counts fields. */
const DELIMITER = 1;
const LINE_END = 2;
const RETURN = 3;
const QUOTE = 4;

/** How looking for the end of a record ended. */
type End = 'found' | 'need-more' | 'text-after-quote';

/** Scans one file. Throws `input` where the file as a whole cannot be read. */
export class CsvScanner {
  /** Good records and bad ones so far, the header not counted. */
  accepted = 0;
  rejected = 0;
  /** The names of the columns, once the header has been read. */
  names: readonly string[] | undefined;
  /** The length of the longest good record, in bytes. */
  longest = 0;

  private readonly delimiter: number;
  private readonly quote: number;
  /** What each byte is outside of quotes. */
  private readonly kinds = new Uint8Array(256);
  private readonly sink: CsvSink;
  private readonly perRecord: boolean;
  private readonly shownAs: string;
  private readonly namesGiven: boolean;
  /** Made from the names, once they are known. */
  private matcher: HeaderMatcher | undefined;
  /** Whether a record ended with CRLF, and whether there was a byte order mark. */
  private hasCrlf = false;
  private hasMark = false;
  private pending: Buffer = Buffer.alloc(0);
  /** Where `pending` begins in the file, and the line that begins there. */
  private offset = 0;
  private line = 1;
  /** Blank lines that are records only if another record follows. */
  private blanks: { line: number; byte: number }[] = [];
  /** From here on every line is suspect: a quote was opened that nothing closes. */
  private suspect = false;

  // What `endOf` found out about the record that it looked at.
  private recordEnd = 0;
  private contentEnd = 0;
  private fields = 0;
  private quoted = false;
  private bareCr = false;
  private strayQuote = false;
  private badAt = 0;

  constructor(options: {
    readonly dialect: CsvDialect;
    readonly sink: CsvSink;
    readonly perRecord: boolean;
    /** Names the file in messages. */
    readonly shownAs: string;
  }) {
    const { delimiter, quote, columns } = options.dialect;
    this.delimiter = delimiter.charCodeAt(0);
    // No byte has this value: nothing is a quote.
    this.quote = quote === '' ? -1 : quote.charCodeAt(0);
    this.kinds[LF] = LINE_END;
    this.kinds[CR] = RETURN;
    this.kinds[this.delimiter] = DELIMITER;
    if (this.quote >= 0) this.kinds[this.quote] = QUOTE;
    this.sink = options.sink;
    this.perRecord = options.perRecord;
    this.shownAs = options.shownAs;
    this.names = columns;
    this.namesGiven = columns !== undefined;
  }

  /** Whether the good records stand in the file with LF as their line end and nothing else around them. */
  get isPlain(): boolean {
    return !this.hasCrlf && !this.hasMark && this.blanks.length === 0;
  }

  /** Takes the next bytes of the file. */
  push(chunk: Buffer): void {
    if (this.pending.length === 0) this.pending = chunk;
    else this.pending = Buffer.concat([this.pending, chunk]);
    this.scan(false);
  }

  /** Ends the file. Throws `input` when there was no header. */
  end(): void {
    this.scan(true);
    if (this.names === undefined) throw this.refused('no header: the file holds no record');
  }

  /** Scans what is pending; what may go on in the next chunk stays. */
  private scan(final: boolean): void {
    const bytes = this.pending;
    let at = 0;
    if (this.offset === 0) at = this.byteOrderMark(bytes, final);
    if (at < 0) return;
    if (this.names === undefined) at = this.header(bytes, at, final);
    if (this.names !== undefined) at = this.records(bytes, at, final);
    this.offset += at;
    this.pending = bytes.subarray(at);
    if (this.pending.length > MAX_RECORD_BYTES) {
      if (this.quoted) {
        this.suspect = true;
        this.scan(final);
      } else throw this.refused(`line ${this.line}: no line end within ${MAX_RECORD_BYTES} bytes`);
    }
  }

  /** The length of the UTF-8 byte order mark; -1 while too little is there to tell. */
  private byteOrderMark(bytes: Buffer, final: boolean): number {
    if (bytes.length < 4 && !final) return -1;
    const [a, b, c, d] = bytes;
    if (a === 0xef && b === 0xbb && c === 0xbf) {
      this.hasMark = true;
      return 3;
    }
    const utf32 =
      (a === 0xff && b === 0xfe && c === 0 && d === 0) ||
      (a === 0 && b === 0 && c === 0xfe && d === 0xff);
    if (utf32) throw this.refused('is UTF-32, not UTF-8; convert it');
    if ((a === 0xff && b === 0xfe) || (a === 0xfe && b === 0xff))
      throw this.refused('is UTF-16, not UTF-8; convert it');
    return 0;
  }

  /** Reads the header; returns where the records begin. */
  private header(bytes: Buffer, start: number, final: boolean): number {
    // Nothing of the file: a header that is not there is told from one that is not complete.
    if (start >= bytes.length) return 0;
    const end = this.endOf(bytes, start, final);
    if (end === 'need-more') {
      if (!final) return 0;
      throw this.refused(`header: ${REJECT_REASONS.unterminated_quote}`);
    }
    if (end === 'text-after-quote')
      throw this.refused(`header: ${REJECT_REASONS.text_after_quote}`);
    const record = bytes.subarray(start, this.contentEnd);
    const reason = this.reasonOf(record);
    if (record.length === 0) throw this.refused('no header: its first line is blank');
    if (reason !== undefined) throw this.refused(`header: ${REJECT_REASONS[reason]}`);
    this.names = this.checkedNames(record);
    this.noteLineEnd();
    this.line += linesIn(bytes, start, this.recordEnd);
    return this.recordEnd;
  }

  private checkedNames(record: Buffer): string[] {
    const names = this.fieldsOf(record);
    const seen = new Map<string, string>();
    for (const [index, name] of names.entries()) {
      if (name === '') throw this.refused(`header: column ${index + 1} has no name`);
      const twin = seen.get(name.toLowerCase());
      if (twin !== undefined) {
        const as = twin === name ? '' : ` (as "${shown(twin)}"; upper and lower case are the same)`;
        throw this.refused(`header: column "${shown(name)}" is given twice${as}`);
      }
      seen.set(name.toLowerCase(), name);
    }
    return names;
  }

  /** The fields of a record that is known to be good. */
  fieldsOf(bytes: Buffer): string[] {
    const record = bytes.toString('utf8');
    const delimiter = String.fromCharCode(this.delimiter);
    const quote = this.quote < 0 ? undefined : String.fromCharCode(this.quote);
    const fields: string[] = [];
    let at = 0;
    for (;;) {
      let end: number;
      if (quote !== undefined && record[at] === quote) {
        let close = at + 1;
        for (;;) {
          close = record.indexOf(quote, close);
          if (record[close + 1] !== quote) break;
          close += 2;
        }
        fields.push(record.slice(at + 1, close).replaceAll(quote + quote, quote));
        end = close + 1;
      } else {
        const next = record.indexOf(delimiter, at);
        end = next < 0 ? record.length : next;
        fields.push(record.slice(at, end));
      }
      if (end >= record.length) return fields;
      at = end + 1;
    }
  }

  /** Scans records from `start` on; returns where the first begins that is not complete. */
  private records(bytes: Buffer, start: number, final: boolean): number {
    const found: Found[] = [];
    let at = start;
    while (at < bytes.length) {
      if (this.suspect) {
        at = this.suspectLine(bytes, at, final);
        if (at < 0) return -at - 1;
        continue;
      }
      const end = this.endOf(bytes, at, final);
      if (end === 'need-more' && !final) break;
      if (end === 'found') {
        found.push({
          start: at,
          contentEnd: this.contentEnd,
          end: this.recordEnd,
          // Only a quote holds line ends within a record.
          lines: this.quoted
            ? linesIn(bytes, at, this.recordEnd)
            : Number(this.recordEnd > this.contentEnd),
          reason: this.structure(at) ?? this.repeatedHeader(bytes, at),
        });
        this.noteLineEnd();
        at = this.recordEnd;
        continue;
      }
      if (end === 'text-after-quote') {
        const lineEnd = bytes.indexOf(LF, this.badAt);
        if (lineEnd < 0 && !final && bytes.length - at <= MAX_RECORD_BYTES) break;
        this.flush(bytes, found);
        at = this.rejectLines(
          bytes,
          at,
          lineEnd < 0 ? bytes.length : lineEnd + 1,
          'text_after_quote',
        );
      } else {
        this.flush(bytes, found);
        at = this.rejectLines(bytes, at, bytes.length, 'unterminated_quote');
      }
    }
    this.flush(bytes, found);
    return at;
  }

  /**
   * Finds the end of the record that begins at `start`, and what is wrong with its structure. `NeedMore`: it does not end
   * within the bytes; at the end of the file that means a quote that was never closed.
   */
  private endOf(bytes: Buffer, start: number, final: boolean): End {
    const { delimiter, quote, kinds } = this;
    const length = bytes.length;
    let at = start;
    let fields = 1;
    this.quoted = false;
    this.bareCr = false;
    this.strayQuote = false;
    for (;;) {
      // No branch here depends on where a field ends: a processor cannot guess that.
      let kind = 0;
      for (; at < length; at++) {
        kind = kinds[bytes[at]!]!;
        if (kind > DELIMITER) break;
        fields += kind;
      }
      if (at >= length) {
        if (!final) return 'need-more';
        this.contentEnd = length;
        this.recordEnd = length;
        break;
      }
      if (kind === LINE_END) {
        this.contentEnd = at;
        this.recordEnd = at + 1;
        break;
      }
      if (kind === RETURN) {
        if (at + 1 >= length && !final) return 'need-more';
        if (bytes[at + 1] === LF) {
          this.contentEnd = at;
          this.recordEnd = at + 2;
          break;
        }
        this.bareCr = true;
        at++;
        continue;
      }
      if (at > start && bytes[at - 1] !== delimiter) {
        this.strayQuote = true;
        at++;
        continue;
      }
      this.quoted = true;
      at++;
      for (;;) {
        while (at < length && bytes[at] !== quote) at++;
        if (at >= length) return 'need-more';
        at++;
        if (at >= length && !final) return 'need-more';
        if (bytes[at] !== quote) break;
        at++;
      }
      if (at >= length) continue;
      const next = bytes[at]!;
      if (next === CR && at + 1 >= length && !final) return 'need-more';
      if (next !== delimiter && next !== LF && !(next === CR && bytes[at + 1] === LF)) {
        this.badAt = at;
        return 'text-after-quote';
      }
    }
    this.fields = fields;
    return 'found';
  }

  /** What is wrong with the structure of the record that `endOf` found. */
  private structure(start: number): RejectReason | undefined {
    if (this.bareCr) return 'bare_cr';
    if (this.strayQuote) return 'stray_quote';
    if (this.contentEnd === start) return 'blank_line';
    const expected = this.names?.length ?? this.fields;
    if (this.fields < expected) return 'missing_fields';
    return this.fields > expected ? 'extra_fields' : undefined;
  }

  /** Whether the record that `endOf` found is a header again. Throws `input` for one with its columns in another order. */
  private repeatedHeader(bytes: Buffer, start: number): RejectReason | undefined {
    // Where the job gives the names, it says that no record is a header.
    if (this.namesGiven) return undefined;
    this.matcher ??= new HeaderMatcher(this.names ?? [], this.quote);
    if (!this.matcher.mayBe(bytes, start, this.contentEnd)) return undefined;
    const match = this.matcher.match(this.fieldsOf(bytes.subarray(start, this.contentEnd)));
    if (match !== 'reordered') return match === 'same' ? 'repeated_header' : undefined;
    const place = `byte ${this.offset + start}`;
    throw this.refused(
      `${place}: has a second header, with the columns in another order; split the file there`,
    );
  }

  private reasonOf(record: Buffer): RejectReason | undefined {
    return (
      charactersOf(record) ??
      (this.bareCr ? 'bare_cr' : this.strayQuote ? 'stray_quote' : undefined)
    );
  }

  private noteLineEnd(): void {
    if (this.recordEnd - this.contentEnd === 2) this.hasCrlf = true;
  }

  /** Hands records to the sink: good ones that stand together in one call. */
  private flush(bytes: Buffer, records: Found[]): void {
    const first = records[0];
    if (first === undefined) return;
    const all = bytes.subarray(first.start, records.at(-1)!.end);
    const clean = all.indexOf(0) < 0 && isUtf8(all);
    let from = -1;
    const acceptUpTo = (end: number): void => {
      if (from >= 0) this.sink.accept(bytes.subarray(from, end));
      from = -1;
    };
    for (const { start, contentEnd, lines, reason: structure } of records) {
      const reason = clean
        ? structure
        : (charactersOf(bytes.subarray(start, contentEnd)) ?? structure);
      if (reason === 'blank_line') {
        acceptUpTo(start);
        this.blanks.push({ line: this.line, byte: this.offset + start });
      } else {
        if (this.blanks.length > 0) this.rejectBlanks();
        if (reason === undefined) {
          this.accepted++;
          if (contentEnd - start > this.longest) this.longest = contentEnd - start;
          if (this.perRecord) this.sink.accept(bytes.subarray(start, contentEnd));
          else if (from < 0) from = start;
        } else {
          acceptUpTo(start);
          this.reject(bytes, start, contentEnd, reason);
        }
      }
      this.line += lines;
    }
    acceptUpTo(first.start + all.length);
    records.length = 0;
  }

  private rejectBlanks(): void {
    const blanks = this.blanks;
    this.blanks = [];
    for (const place of blanks) {
      this.rejected++;
      this.sink.reject({ ...place, reason: 'blank_line' }, Buffer.alloc(0));
    }
  }

  private reject(bytes: Buffer, start: number, end: number, reason: RejectReason): void {
    this.rejected++;
    const place = { line: this.line, byte: this.offset + start, reason };
    this.sink.reject(place, bytes.subarray(start, end));
  }

  /** Sets every line from `start` to `end` aside: a quote went wrong in them, so none can be trusted. */
  private rejectLines(bytes: Buffer, start: number, end: number, reason: RejectReason): number {
    if (this.blanks.length > 0) this.rejectBlanks();
    for (let at = start; at < end; ) {
      const lf = bytes.indexOf(LF, at);
      const next = lf < 0 || lf >= end ? end : lf + 1;
      let contentEnd = lf < 0 || lf >= end ? end : lf;
      if (contentEnd < next && contentEnd > at && bytes[contentEnd - 1] === CR) contentEnd--;
      this.reject(bytes, at, contentEnd, reason);
      this.line++;
      at = next;
    }
    return end;
  }

  /** Sets the next line aside; a negative answer is -1 - `at`: the line does not end within the bytes. */
  private suspectLine(bytes: Buffer, at: number, final: boolean): number {
    const lf = bytes.indexOf(LF, at);
    if (lf < 0 && !final && bytes.length - at <= MAX_RECORD_BYTES) return -1 - at;
    return this.rejectLines(bytes, at, lf < 0 ? bytes.length : lf + 1, 'unterminated_quote');
  }

  private refused(problem: string): ScorelineError {
    return new ScorelineError('input', `${this.shownAs}: ${problem}`);
  }
}

/** A record that has an end, not yet checked for its characters: that is done for many at once. */
interface Found {
  readonly start: number;
  readonly contentEnd: number;
  readonly end: number;
  readonly lines: number;
  readonly reason: RejectReason | undefined;
}

function charactersOf(record: Buffer): RejectReason | undefined {
  if (record.indexOf(0) >= 0) return 'nul_byte';
  return isUtf8(record) ? undefined : 'invalid_utf8';
}

/** How many lines end within a range of bytes. */
function linesIn(bytes: Buffer, start: number, end: number): number {
  let lines = 0;
  for (let at = bytes.indexOf(LF, start); at >= 0 && at < end; at = bytes.indexOf(LF, at + 1)) {
    lines++;
  }
  return lines;
}
