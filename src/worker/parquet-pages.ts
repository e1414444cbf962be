/**
 * Looks at the pages of a Parquet file while it is hashed: their checksums, where the writer put them, and what their headers and
 * levels claim. DuckDB looks at none of the checksums, and reads levels that cannot be.
 */
import { crc32 } from '../base/crc32.js';
import { canHold, decompressStart, isCheap, isIntact } from '../base/decompress.js';
import { ScorelineError, shown } from '../base/errors.js';
import { HashingReader } from '../base/hash.js';
import { CutShort, Malformed, ThriftReader } from '../base/thrift.js';
import type { ColumnChunk, Footer } from './parquet-footer.js';
import { checkDefinition, checkRepetition } from './parquet-levels.js';

const DATA_PAGE = 0;
const DICTIONARY_PAGE = 2;
const DATA_PAGE_V2 = 3;
const RLE = 3;

/** What most headers of pages take; those with long statistics take more. */
const HEADER_BYTES = 256;
const HEADER_BYTES_MAX = HashingReader.maxBytes;
/** What most levels take when they are decompressed. */
const LEVEL_BYTES = 4096;
/** So many bytes parquet-mr may have left out of the size of a chunk. */
const SHORT_BYTES = 100;

interface PageHeader {
  type: number;
  uncompressed: number;
  compressed: number;
  crc: number | undefined;
  values: number;
  encoding: number;
  definitionEncoding: number;
  repetitionEncoding: number;
  nulls: number;
  rows: number;
  definitionBytes: number;
  repetitionBytes: number;
  isCompressed: boolean;
}

/** Checks all pages of a file; `path` names it in messages. Throws `input` for the first that cannot be right. */
export async function checkPages(
  reader: HashingReader,
  footer: Footer,
  path: string,
): Promise<void> {
  const chunks = footer.groups.flatMap(({ chunks, rows }, group) =>
    chunks.map((chunk) => ({ chunk, rows, group })),
  );
  // Files are read from the beginning to the end, whatever order the footer has.
  chunks.sort((a, b) => a.chunk.start - b.chunk.start);
  for (const { chunk, rows, group } of chunks) {
    if (chunk.encrypted) continue;
    const pages = new ChunkPages(reader, chunk, rows, footer);
    try {
      await pages.check();
    } catch (error) {
      if (!(error instanceof Malformed)) throw error;
      const place = `row group ${group}, column "${shown(chunk.leaf.name)}"`;
      throw new ScorelineError(
        'input',
        `${shown(path)}: ${place}: ${error.message}; the file is damaged: write it again`,
        { cause: error },
      );
    }
  }
}

/** The pages of a column in a row group, one after the other. */
class ChunkPages {
  private readonly reader: HashingReader;
  private readonly chunk: ColumnChunk;
  private readonly rows: number;
  /** Where its last page ends at most. */
  private readonly end: number;
  private position: number;
  private rowsSeen = 0;
  /** Whether the levels of all pages could be read. */
  private allRead = true;

  constructor(reader: HashingReader, chunk: ColumnChunk, rows: number, footer: Footer) {
    this.reader = reader;
    this.chunk = chunk;
    this.rows = rows;
    this.position = chunk.start;
    const slack = footer.shortSizes ? SHORT_BYTES : 0;
    this.end = Math.min(chunk.start + chunk.size + slack, footer.start);
  }

  async check(): Promise<void> {
    const { values } = this.chunk;
    let seen = 0;
    for (let page = 0; seen < values; page++) {
      try {
        seen += await this.page(seen === 0);
      } catch (error) {
        if (!(error instanceof Malformed)) throw error;
        throw new Malformed(`page ${page} ${error.message}`, { cause: error });
      }
    }
    if (seen !== values) throw new Malformed(`its pages have ${seen} values, its footer ${values}`);
    if (this.chunk.leaf.maxRepetition > 0 && this.allRead && this.rowsSeen !== this.rows)
      throw new Malformed(`its pages have ${this.rowsSeen} rows, its footer ${this.rows}`);
  }

  /** Checks the next page, and says how many values it has. */
  private async page(isFirst: boolean): Promise<number> {
    const header = await this.header();
    const { compressed, crc } = header;
    const start = this.position;
    if (compressed > this.end - start)
      throw new Malformed(`claims ${compressed} bytes, and ${this.end - start} are there`);
    const head = await this.bytes(start, Math.min(compressed, HashingReader.maxBytes));
    this.checkContent(header, head, isFirst);
    if (crc !== undefined) await this.checkCrc(start, compressed, crc);
    else if (!this.checksItself(header, head)) throw new Malformed('does not have its checksum');
    this.position = start + compressed;
    return header.type === DATA_PAGE || header.type === DATA_PAGE_V2 ? header.values : 0;
  }

  /** DuckDB does not look at the checksum that gzip has. */
  private checksItself(header: PageHeader, head: Buffer): boolean {
    const { type, compressed, uncompressed, isCompressed } = header;
    const levels = type === DATA_PAGE_V2 ? header.definitionBytes + header.repetitionBytes : 0;
    const isWhole = isCompressed && head.length === compressed && type in REQUIRED_BY_TYPE;
    return !isWhole || isIntact(this.chunk.codec, head.subarray(levels), uncompressed - levels);
  }

  private async bytes(position: number, length: number): Promise<Buffer> {
    return this.reader.lent(position, length) ?? (await this.reader.read(position, length));
  }

  private async header(): Promise<PageHeader> {
    const left = this.end - this.position;
    for (let length = HEADER_BYTES; ; length *= 16) {
      const bytes = await this.bytes(this.position, Math.min(length, HEADER_BYTES_MAX, left));
      try {
        const thrift = new ThriftReader(bytes);
        const header = headerOf(thrift);
        this.position += thrift.position;
        return header;
      } catch (error) {
        if (error instanceof CutShort && length < Math.min(HEADER_BYTES_MAX, left)) continue;
        if (!(error instanceof Malformed)) throw error;
        throw new Malformed('has no header that can be read', { cause: error });
      }
    }
  }

  private async checkCrc(start: number, length: number, expected: number): Promise<void> {
    let crc = 0;
    for (let at = 0; at < length; at += HashingReader.maxBytes) {
      const part = Math.min(HashingReader.maxBytes, length - at);
      crc = crc32(await this.bytes(start + at, part), crc);
    }
    if (crc !== expected >>> 0) throw new Malformed('does not have the checksum of its header');
  }

  /** Checks what the header says of the page's content; `head` is all of it but for very large pages. */
  private checkContent(header: PageHeader, head: Buffer, isFirst: boolean): void {
    const { type, uncompressed, compressed, values } = header;
    const { codec } = this.chunk;
    if (type === DICTIONARY_PAGE && !isFirst) throw new Malformed('is a dictionary behind data');
    if (type === DATA_PAGE || type === DICTIONARY_PAGE) {
      if (!canHold(codec, head, compressed, uncompressed))
        throw new Malformed(`cannot hold the ${uncompressed} bytes that it claims`);
      if (type === DATA_PAGE && values > 0) {
        if (this.looksAtLevels(header)) this.checkLevels(header, head, isFirst);
        else this.allRead = false;
      }
    } else if (type === DATA_PAGE_V2) {
      const { repetitionBytes, definitionBytes, isCompressed } = header;
      const levels = repetitionBytes + definitionBytes;
      if (levels > Math.min(compressed, uncompressed))
        throw new Malformed(`claims levels of ${levels} bytes, and has ${compressed}`);
      const body = head.subarray(levels);
      const held = uncompressed - levels;
      if (!canHold(isCompressed ? codec : 0, body, compressed - levels, held))
        throw new Malformed(`cannot hold the ${uncompressed} bytes that it claims`);
      if (levels > head.length) this.allRead = false;
      else if (values > 0) {
        this.repetition(head.subarray(0, repetitionBytes), values, isFirst);
        this.definition(head.subarray(repetitionBytes, levels), values);
      }
    }
  }

  /** Where levels cost much, those of lists are checked alone, and those that no checksum vouches for. */
  private looksAtLevels({ crc }: PageHeader): boolean {
    const { codec, leaf } = this.chunk;
    return isCheap(codec) || (crc === undefined && leaf.maxRepetition > 0);
  }

  /** The levels of a page of the first version: each with its length before it, compressed with the values. */
  private checkLevels(header: PageHeader, head: Buffer, isFirst: boolean): void {
    const { maxDefinition, maxRepetition } = this.chunk.leaf;
    const content = new Content(this.chunk.codec, head, header.uncompressed);
    let at = 0;
    for (const [max, encoding, check] of [
      [maxRepetition, header.repetitionEncoding, this.repetition],
      [maxDefinition, header.definitionEncoding, this.definition],
    ] as const) {
      if (max === 0) continue;
      const size = encoding === RLE ? content.part(at, 4) : undefined;
      const length = size && Buffer.from(size).readUInt32LE();
      if (length !== undefined && at + 4 + length > header.uncompressed)
        throw new Malformed(`claims levels of ${length} bytes, and has ${header.uncompressed}`);
      const levels = length === undefined ? undefined : content.part(at + 4, length);
      if (levels === undefined || length === undefined) {
        this.allRead = false;
        return;
      }
      check.call(this, levels, header.values, isFirst);
      at += 4 + length;
    }
  }

  private repetition(bytes: Uint8Array, values: number, isFirst: boolean): void {
    const { maxRepetition } = this.chunk.leaf;
    if (maxRepetition === 0) return;
    const { rows, startsRow } = checkRepetition(bytes, values, maxRepetition);
    if (isFirst && !startsRow) throw new Malformed('does not begin with a row');
    this.rowsSeen += rows;
  }

  private definition(bytes: Uint8Array, values: number): void {
    const { maxDefinition } = this.chunk.leaf;
    if (maxDefinition > 0) checkDefinition(bytes, values, maxDefinition);
  }
}

/** What a page holds, decompressed as far as it is wanted. */
class Content {
  private readonly codec: number;
  private readonly bytes: Uint8Array;
  private readonly size: number;
  private start: Uint8Array | undefined = new Uint8Array(0);

  constructor(codec: number, bytes: Uint8Array, size: number) {
    this.codec = codec;
    this.bytes = bytes;
    this.size = size;
  }

  /** A range of it; undefined where that cannot be told. */
  part(at: number, length: number): Uint8Array | undefined {
    const end = at + length;
    if (end > this.size) return undefined;
    if (this.start !== undefined && this.start.length < end) {
      const wanted = Math.min(this.size, Math.max(end, LEVEL_BYTES));
      this.start = decompressStart(this.codec, this.bytes, wanted);
    }
    return this.start === undefined || this.start.length < end
      ? undefined
      : this.start.subarray(at, end);
  }
}

function headerOf(thrift: ThriftReader): PageHeader {
  const header: PageHeader = {
    type: -1,
    uncompressed: -1,
    compressed: -1,
    crc: undefined,
    values: -1,
    encoding: -1,
    definitionEncoding: -1,
    repetitionEncoding: -1,
    nulls: -1,
    rows: -1,
    definitionBytes: -1,
    repetitionBytes: -1,
    isCompressed: true,
  };
  thrift.struct((field) => {
    if (field === 1) header.type = thrift.whole();
    else if (field === 2) header.uncompressed = thrift.whole();
    else if (field === 3) header.compressed = thrift.whole();
    else if (field === 4) header.crc = thrift.whole();
    else if (field === 5) thrift.struct((inner) => dataField(header, inner, thrift));
    else if (field === 7) thrift.struct((inner) => dictionaryField(header, inner, thrift));
    else if (field === 8) thrift.struct((inner) => dataFieldV2(header, inner, thrift));
    else return false;
    return true;
  });
  for (const field of [...REQUIRED, ...(REQUIRED_BY_TYPE[header.type] ?? [])]) {
    if (header[field] < 0 || header[field] > INT32_MAX)
      throw new Malformed(`it has no ${field} that can be`);
  }
  return header;
}

const INT32_MAX = 0x7fff_ffff;

type NumberField = {
  [Name in keyof PageHeader]: PageHeader[Name] extends number ? Name : never;
}[keyof PageHeader];

/** Fields that every page header has, and those that pages of a type have. */
const REQUIRED: readonly NumberField[] = ['type', 'uncompressed', 'compressed'];
const REQUIRED_BY_TYPE: Readonly<Record<number, readonly NumberField[]>> = {
  [DATA_PAGE]: ['values', 'encoding', 'definitionEncoding', 'repetitionEncoding'],
  [DICTIONARY_PAGE]: ['values', 'encoding'],
  [DATA_PAGE_V2]: ['values', 'nulls', 'rows', 'encoding', 'definitionBytes', 'repetitionBytes'],
};

function dataField(header: PageHeader, field: number, thrift: ThriftReader): boolean {
  if (field === 1) header.values = thrift.whole();
  else if (field === 2) header.encoding = thrift.whole();
  else if (field === 3) header.definitionEncoding = thrift.whole();
  else if (field === 4) header.repetitionEncoding = thrift.whole();
  else return false;
  return true;
}

function dictionaryField(header: PageHeader, field: number, thrift: ThriftReader): boolean {
  if (field === 1) header.values = thrift.whole();
  else if (field === 2) header.encoding = thrift.whole();
  else return false;
  return true;
}

function dataFieldV2(header: PageHeader, field: number, thrift: ThriftReader): boolean {
  if (field === 1) header.values = thrift.whole();
  else if (field === 2) header.nulls = thrift.whole();
  else if (field === 3) header.rows = thrift.whole();
  else if (field === 4) header.encoding = thrift.whole();
  else if (field === 5) header.definitionBytes = thrift.whole();
  else if (field === 6) header.repetitionBytes = thrift.whole();
  else if (field === 7) header.isCompressed = thrift.flag();
  else return false;
  return true;
}
