/**
 * A reader of Thrift's compact protocol, in which Parquet writes footers and page headers. It allocates nothing that the bytes
 * alone claim: a list cannot be longer than what is left of them, and structs nest only so deep.
 */

/** Why bytes are not what they should be. */
export class Malformed extends Error {}

/** The bytes end within what is read: more of them may be there. */
export class CutShort extends Malformed {}

/** The types of the compact protocol. */
const STOP = 0;
const TRUE = 1;
const FALSE = 2;
const BYTE = 3;
const I16 = 4;
const I32 = 5;
const I64 = 6;
const DOUBLE = 7;
const BINARY = 8;
const LIST = 9;
const SET = 10;
const MAP = 11;
const STRUCT = 12;
const UUID = 13;

/** How many bytes a field takes that always takes as many: a truth value is told by its type. */
const FIXED_SIZES: ReadonlyMap<number, number> = new Map([
  [TRUE, 0],
  [FALSE, 0],
  [BYTE, 1],
  [DOUBLE, 8],
  [UUID, 16],
]);

const DEPTH_MAX = 32;
/** A number of 64 bits takes ten bytes of seven bits. */
const VARINT_BYTES_MAX = 10;

/** Reads a wanted field, or returns false to skip it. */
export type FieldReader = (field: number, reader: ThriftReader) => boolean;

/** A cursor over bytes. A class because its position and the field's type change together. */
export class ThriftReader {
  private readonly bytes: Uint8Array;
  private type = STRUCT;
  private depth = 0;
  /** The place of the next byte. */
  position: number;

  constructor(bytes: Uint8Array, position = 0) {
    this.bytes = bytes;
    this.position = position;
  }

  /** Reads a struct, field by field. Throws `Malformed`. */
  struct(read: FieldReader): void {
    this.expect(STRUCT);
    if (++this.depth > DEPTH_MAX) throw new Malformed('structs nest too deep');
    let field = 0;
    for (;;) {
      const byte = this.byte();
      const type = byte & 0x0f;
      if (type === STOP) break;
      field = byte >> 4 === 0 ? this.signed() : field + (byte >> 4);
      this.type = type;
      if (!read(field, this)) this.skip(type);
    }
    this.depth--;
  }

  /** Reads a list, calling `read` for each element. Throws `Malformed`. */
  list(read: (reader: ThriftReader) => void): void {
    this.expect(LIST);
    const { type, size } = this.listHeader();
    for (let i = 0; i < size; i++) {
      this.type = type;
      read(this);
    }
  }

  /** Reads a whole number; beyond 2^53 only its size is right. */
  whole(): number {
    if (this.type !== I16 && this.type !== I32 && this.type !== I64)
      throw new Malformed('a field has another type than it should');
    return this.signed();
  }

  /** Reads a truth value. */
  flag(): boolean {
    if (this.type !== TRUE && this.type !== FALSE)
      throw new Malformed('a field has another type than it should');
    return this.type === TRUE;
  }

  /** Reads a text. */
  text(): string {
    this.expect(BINARY);
    const start = this.binary();
    return new TextDecoder().decode(this.bytes.subarray(start, this.position));
  }

  private expect(type: number): void {
    if (this.type !== type) throw new Malformed('a field has another type than it should');
  }

  private listHeader(): { type: number; size: number } {
    const byte = this.byte();
    const size = byte >> 4 === 15 ? this.varint() : byte >> 4;
    // Each element takes a byte at least.
    if (size > this.left()) throw new CutShort('a list is longer than what it lies in');
    return { type: byte & 0x0f, size };
  }

  private skip(type: number): void {
    const size = FIXED_SIZES.get(type);
    if (size !== undefined) this.advance(size);
    else if (type === I16 || type === I32 || type === I64) this.varint();
    else if (type === BINARY) this.binary();
    else if (type === LIST || type === SET) this.skipList();
    else if (type === MAP) this.skipMap();
    else if (type === STRUCT) {
      this.type = STRUCT;
      this.struct(() => false);
    } else throw new Malformed('a field has a type that does not exist');
  }

  private skipList(): void {
    const { type, size } = this.listHeader();
    for (let i = 0; i < size; i++) this.skipElement(type);
  }

  private skipMap(): void {
    const size = this.varint();
    if (size === 0) return;
    if (size > this.left()) throw new CutShort('a map is longer than what it lies in');
    const types = this.byte();
    for (let i = 0; i < size; i++) {
      this.skipElement(types >> 4);
      this.skipElement(types & 0x0f);
    }
  }

  /** A truth value takes a byte among elements, and none as a field. */
  private skipElement(type: number): void {
    if (++this.depth > DEPTH_MAX) throw new Malformed('lists nest too deep');
    if (type === TRUE || type === FALSE) this.advance(1);
    else this.skip(type);
    this.depth--;
  }

  private binary(): number {
    const size = this.varint();
    const start = this.position;
    this.advance(size);
    return start;
  }

  private left(): number {
    return this.bytes.length - this.position;
  }

  private advance(size: number): void {
    if (size > this.left()) throw new CutShort('it ends within a value');
    this.position += size;
  }

  private byte(): number {
    const byte = this.bytes[this.position];
    if (byte === undefined) throw new CutShort('it ends within a value');
    this.position++;
    return byte;
  }

  private varint(): number {
    let value = 0;
    let scale = 1;
    for (let i = 0; i < VARINT_BYTES_MAX; i++) {
      const byte = this.byte();
      value += (byte & 0x7f) * scale;
      if (byte < 0x80) return value;
      scale *= 128;
    }
    throw new Malformed('a number is too long');
  }

  private signed(): number {
    const value = this.varint();
    return value % 2 === 0 ? value / 2 : -(value + 1) / 2;
  }
}
