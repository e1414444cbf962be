/**
 * A cursor over the protobuf in an open file, for messages of which little is wanted: it reads through a window of fixed
 * size and steps over the rest, so that neither the size of a file nor a length that it claims decides how much memory
 * this takes. The only importer of the protobuf package.
 */
import { readSync } from 'node:fs';
import { BinaryReader, BinaryWriter, WireType } from '@bufbuild/protobuf/wire';

const WINDOW_BYTES = 256 * 1024;
/** What is read after a jump: after a tensor's data the next few fields are wanted, not the next tensor's data. */
const PEEK_BYTES = 4096;
/** Longer than any tag and its number or length. */
const HEADER_BYTES = 24;
/** The nesting at which protobuf's own parsers, and so ONNX Runtime, refuse a file. */
const DEPTH_MAX = 100;
/**
 * Bounds the memory and time that a hostile file costs: a message entered costs 128, a field 4, a text its length.
 * 100,000 nodes with three attributes each cost a quarter of it.
 */
const BUDGET = 256 * 1024 * 1024;

/** Why the bytes are not those of a model; becomes a `ScorelineError` that names the file. */
export class Malformed extends Error {
  /** The place where the outermost message announced more than the file has. */
  readonly announcedEnd: number | undefined;

  constructor(reason: string, options?: { cause?: unknown; announcedEnd?: number }) {
    super(reason, options);
    this.announcedEnd = options?.announcedEnd;
  }
}

/**
 * The fields of a message that are wanted, by number; a function in `bytes` gets the place where the field ends, and the
 * place of its tag; one in `each` gets every number of a repeated field, packed or not.
 */
export interface Wanted {
  readonly ints?: readonly number[];
  readonly texts?: readonly number[];
  readonly bytes?: Readonly<Record<number, (end: number, start: number) => void>>;
  readonly each?: Readonly<Record<number, (value: bigint) => void>>;
}

/** The numbers and texts that a message held, by field number; of one that is there twice the last, as in protobuf. */
export interface Scalars {
  readonly ints: Record<number, bigint>;
  readonly texts: Record<number, string>;
}

/** A cursor over the protobuf in an open file. A class because window and position change together. */
export class Cursor {
  readonly #fd: number;
  readonly #size: number;
  readonly #window = Buffer.alloc(WINDOW_BYTES);
  readonly #reader = new BinaryReader(this.#window);
  #windowStart = 0;
  #windowEnd = 0;
  #position = 0;
  #depth = -1;
  #budget = BUDGET;

  constructor(fd: number, size: number) {
    this.#fd = fd;
    this.#size = size;
  }

  /** Where the cursor stands: at the begin of a field's content, when a function of `Wanted` is called. */
  get position(): number {
    return this.#position;
  }

  /** Goes to a place where a message was seen to begin. */
  moveTo(position: number): void {
    this.#position = position;
  }

  /** The first bytes of the file, for guessing what it is. */
  head(): string {
    this.#load(PEEK_BYTES);
    return this.#window.toString('latin1', 0, Math.min(PEEK_BYTES, this.#windowEnd));
  }

  /** Walks the message that ends at `end`: reads what is wanted and steps over the rest. */
  message(end: number, wanted: Wanted): Scalars {
    this.#spend(128);
    if (++this.#depth > DEPTH_MAX) throw new Malformed(`nested deeper than ${DEPTH_MAX} levels`);
    const scalars: Scalars = { ints: {}, texts: {} };
    while (this.#position < end) {
      this.#spend(4);
      const start = this.#position;
      const [field, wire] = this.#read(end, () => this.#reader.tag());
      const isBytes = wire === WireType.LengthDelimited;
      const onBytes = isBytes ? wanted.bytes?.[field] : undefined;
      const onEach = wanted.each?.[field];
      if (onBytes) {
        const fieldEnd = this.#fieldEnd(end);
        onBytes(fieldEnd, start);
        this.#position = fieldEnd;
      } else if (onEach && (isBytes || wire === WireType.Varint)) {
        const valuesEnd = isBytes ? this.#fieldEnd(end) : this.#position + 1;
        while (this.#position < valuesEnd) {
          this.#spend(8);
          onEach(BigInt(this.#read(isBytes ? valuesEnd : end, () => this.#reader.int64())));
        }
      } else if (isBytes && wanted.texts?.includes(field)) {
        scalars.texts[field] = this.text(this.#fieldEnd(end));
      } else if (wire === WireType.Varint && wanted.ints?.includes(field)) {
        scalars.ints[field] = BigInt(this.#read(end, () => this.#reader.int64()));
      } else this.#skip(end, { field, wire });
    }
    this.#depth--;
    return scalars;
  }

  /** The text from here to `end`; one that is longer than the window is refused, or cut where the caller allows it. */
  text(end: number, options: { cut?: boolean } = {}): string {
    const length = end - this.#position;
    if (length >= WINDOW_BYTES && options.cut !== true) {
      throw new Malformed(`a name of ${length} bytes`);
    }
    const kept = Math.min(length, WINDOW_BYTES - 1);
    this.#spend(kept);
    this.#load(kept);
    const at = this.#position - this.#windowStart;
    this.#position = end;
    return `${this.#window.toString('utf8', at, at + kept)}${kept < length ? '…' : ''}`;
  }

  #spend(cost: number): void {
    this.#budget -= cost;
    if (this.#budget < 0) throw new Malformed('describes more parts and names than any model has');
  }

  /** Brings the next `need` bytes (fewer at the end of the file) into the window. */
  #load(need: number): void {
    const wantedEnd = Math.min(this.#position + need, this.#size);
    if (this.#position >= this.#windowStart && wantedEnd <= this.#windowEnd) return;
    const jumped = this.#position < this.#windowStart || this.#position > this.#windowEnd;
    const capacity = jumped ? Math.max(PEEK_BYTES, need) : WINDOW_BYTES;
    this.#windowStart = this.#position;
    this.#windowEnd = this.#position;
    const fileEnd = Math.min(this.#position + capacity, this.#size);
    while (this.#windowEnd < fileEnd) {
      const offset = this.#windowEnd - this.#windowStart;
      const length = fileEnd - this.#windowEnd;
      const got = readSync(this.#fd, this.#window, offset, length, this.#windowEnd);
      if (got === 0) throw new Malformed('became shorter while it was read');
      this.#windowEnd += got;
    }
  }

  /** Reads a tag or number here, with protobuf's reader; behind the end of the file the window holds anything. */
  #read<T>(end: number, read: () => T): T {
    this.#load(HEADER_BYTES);
    this.#reader.pos = this.#position - this.#windowStart;
    let value: T;
    try {
      value = read();
    } catch (error) {
      throw new Malformed(`no protobuf field at byte ${this.#position}`, { cause: error });
    }
    this.#advance(end, this.#reader.pos + this.#windowStart);
    return value;
  }

  /** Moves to `to`, which must lie within the message. */
  #advance(end: number, to: number): void {
    if (to > end) {
      const reason = `the field at byte ${this.#position} runs past its message`;
      throw new Malformed(reason, this.#depth === 0 ? { announcedEnd: to } : undefined);
    }
    this.#position = to;
  }

  /** Reads the length of a field, and gives the place where the field ends. */
  #fieldEnd(end: number): number {
    const length = this.#read(end, () => this.#reader.uint32());
    const start = this.#position;
    this.#advance(end, start + length);
    this.#position = start;
    return start + length;
  }

  /**
   * Steps over a field, and over those of the same number right behind it: ONNX is proto2 where Python writes it,
   * so each number in an attribute of a tree ensemble is a field of its own, millions of them.
   */
  #skip(end: number, { field, wire }: { field: number; wire: WireType }): void {
    const tag = (field << 3) | wire;
    for (;;) {
      this.#skipValue(end, wire);
      if (tag > 0x7f || this.#position >= end) return;
      this.#load(HEADER_BYTES);
      const at = this.#position - this.#windowStart;
      const limit = Math.min(end, this.#windowEnd) - this.#windowStart;
      const runEnd = endOfRun(this.#window, { at, limit, tag });
      this.#position += runEnd - at;
      if (this.#position >= end) return;
      this.#load(HEADER_BYTES);
      if (this.#window[this.#position - this.#windowStart] !== tag) return;
      this.#position++;
    }
  }

  #skipValue(end: number, wire: WireType): void {
    if (wire === WireType.Varint) this.#read(end, () => this.#reader.uint64());
    else if (wire === WireType.LengthDelimited) this.#position = this.#fieldEnd(end);
    else if (wire === WireType.Bit32) this.#advance(end, this.#position + 4);
    else if (wire === WireType.Bit64) this.#advance(end, this.#position + 8);
    else throw new Malformed(`a protobuf group at byte ${this.#position}`);
  }
}

/** A field that holds bytes or a message: its tag, its length and all of `content`. */
export function bytesField(field: number, ...content: readonly Uint8Array[]): Uint8Array {
  return new BinaryWriter()
    .tag(field, WireType.LengthDelimited)
    .bytes(Buffer.concat(content))
    .finish();
}

/** A field that holds a text. */
export function textField(field: number, text: string): Uint8Array {
  return bytesField(field, Buffer.from(text, 'utf8'));
}

/** A field that holds a number of at least 0. */
export function intField(field: number, value: number): Uint8Array {
  return new BinaryWriter().tag(field, WireType.Varint).uint32(value).finish();
}

/** The tag and the length of a message that follows. */
export function messageHeader(field: number, length: number): Uint8Array {
  return new BinaryWriter().tag(field, WireType.LengthDelimited).uint32(length).finish();
}

/** The end of the fields that start at `at`, bear the one-byte tag and end within `limit`. */
function endOfRun(bytes: Buffer, run: { at: number; limit: number; tag: number }): number {
  const { limit, tag } = run;
  const wire = tag & 7;
  let at = run.at;
  while (at < limit && bytes[at] === tag) {
    let next = at + 1;
    if (wire === WireType.Varint) {
      while (next < limit && bytes[next]! >= 0x80 && next - at < 10) next++;
      if (next >= limit || bytes[next]! >= 0x80) return at;
      next++;
    } else if (wire === WireType.Bit32) next += 4;
    else if (wire === WireType.Bit64) next += 8;
    else {
      if (next >= limit || bytes[next]! >= 0x80) return at;
      next += 1 + bytes[next]!;
    }
    if (next > limit) return at;
    at = next;
  }
  return at;
}
