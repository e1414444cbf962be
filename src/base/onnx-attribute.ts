/**
 * Decodes the attributes of ONNX nodes from bytes in memory into typed arrays: millions of numbers in
 * fractions of a second. Every read is held to the end of the bytes; what does not fit is `Malformed`.
 *
 * Field numbers are those of AttributeProto and TensorProto in `onnx/onnx.proto3`.
 */
import { Malformed } from './protobuf.js';

/** Wire types. */
export const VARINT = 0;
const BIT64 = 1;
const BYTES = 2;
const BIT32 = 5;

/** One field of a message: what its content is follows from the wire type. */
interface Field {
  readonly number: number;
  readonly wire: number;
  /** Where its content begins and ends; a number of variable length, too. */
  readonly start: number;
  readonly end: number;
}

const NAME = 1;
const INT = 3;
const TEXT = 4;
const TENSOR = 5;
const FLOATS = 7;
const INTS = 8;
const TEXTS = 9;

/** Where the number of variable length at `at` ends. */
export function varintEnd(bytes: Uint8Array, at: number): number {
  for (let end = at; end < at + 10 && end < bytes.length; end++) {
    if (bytes[end]! < 0x80) return end + 1;
  }
  throw new Malformed('a number without an end in an attribute');
}

/** A number below 2^53, as tags and lengths are. */
export function smallVarint(bytes: Uint8Array, start: number, end: number): number {
  let value = 0;
  for (let at = end - 1; at >= start; at--) value = value * 128 + (bytes[at]! & 0x7f);
  return value;
}

/** The fields of a message, each held to the end of its bytes. */
export function* fieldsOf(bytes: Uint8Array): Generator<Field> {
  let at = 0;
  while (at < bytes.length) {
    const tagEnd = varintEnd(bytes, at);
    const tag = smallVarint(bytes, at, tagEnd);
    const number = Math.floor(tag / 8);
    const wire = tag % 8;
    let start = tagEnd;
    let end: number;
    if (wire === VARINT) end = varintEnd(bytes, start);
    else if (wire === BIT32) end = start + 4;
    else if (wire === BIT64) end = start + 8;
    else if (wire === BYTES) {
      const length = varintEnd(bytes, start);
      end = length + smallVarint(bytes, start, length);
      start = length;
    } else throw new Malformed('a protobuf group in an attribute');
    if (end > bytes.length) throw new Malformed('a field that runs past its attribute');
    yield { number, wire, start, end };
    at = end;
  }
}

function textOf(bytes: Uint8Array, { start, end }: Field): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset + start, end - start).toString('utf8');
}

/** The name of an encoded attribute. */
export function attributeName(bytes: Uint8Array): string {
  // It comes first wherever attributes are written, so that the numbers behind it are not passed through.
  for (const field of fieldsOf(bytes)) {
    if (field.number === NAME && field.wire === BYTES) return textOf(bytes, field);
  }
  return '';
}

/** The one text of an attribute; '' where it has none. */
export function attributeText(bytes: Uint8Array): string {
  let text = '';
  for (const field of fieldsOf(bytes)) {
    if (field.number === TEXT && field.wire === BYTES) text = textOf(bytes, field);
  }
  return text;
}

/** The encoded tensor of an attribute, for `tensorOf`; undefined where it has none. */
export function attributeTensor(bytes: Uint8Array): Uint8Array | undefined {
  let tensor: Uint8Array | undefined;
  for (const { number, wire, start, end } of fieldsOf(bytes)) {
    if (number === TENSOR && wire === BYTES) tensor = bytes.subarray(start, end);
  }
  return tensor;
}

/** The one whole number of an attribute; undefined where it has none. */
export function attributeInt(bytes: Uint8Array): bigint | undefined {
  let value: bigint | undefined;
  for (const { number, wire, start, end } of fieldsOf(bytes)) {
    if (number === INT && wire === VARINT) value = bigVarint(bytes, start, end);
  }
  return value;
}

/** A number of variable length of 64 bits, with its sign. */
export function bigVarint(bytes: Uint8Array, start: number, end: number): bigint {
  let value = 0n;
  for (let at = end - 1; at >= start; at--) value = (value << 7n) | BigInt(bytes[at]! & 0x7f);
  return BigInt.asIntN(64, value);
}

/** How many values a repeated field can hold at most: one a byte where they are packed, else one for each tag. */
function roomFor(bytes: Uint8Array, smallest: number): number {
  return Math.floor(bytes.length / smallest) + 1;
}

/** The whole numbers of an attribute that are to fit in 32 bits. Throws `Malformed` where one does not. */
export function attributeInts(bytes: Uint8Array): Int32Array {
  const values = new Int32Array(roomFor(bytes, 1));
  let count = 0;
  const take = (from: number, to: number, tag: number): number => {
    let at = from;
    while (at < to) {
      const first = bytes[at]!;
      if (first < 0x80) {
        values[count++] = first;
        at++;
      } else {
        const end = varintEnd(bytes, at);
        const value = smallVarint(bytes, at, end);
        // A negative number is written in ten bytes, as 2^64 less its amount: too coarse for this, but -1 and its like.
        const signed = end - at === 10 ? Number(bigVarint(bytes, at, end)) : value;
        if (signed !== (signed | 0)) throw new Malformed('a number beyond 32 bits in an attribute');
        values[count++] = signed;
        at = end;
      }
      if (tag === 0) continue;
      if (at >= to || bytes[at] !== tag) return at;
      at++;
      if (at >= to) throw new Malformed('a number without an end in an attribute');
    }
    return at;
  };
  forRepeated(bytes, INTS, { wire: VARINT, take });
  return values.subarray(0, count);
}

/** The whole numbers of an attribute, of 64 bits. */
export function attributeBigInts(bytes: Uint8Array): bigint[] {
  const values: bigint[] = [];
  for (const { number, wire, start, end } of fieldsOf(bytes)) {
    if (number !== INTS) continue;
    if (wire === VARINT) values.push(bigVarint(bytes, start, end));
    for (let at = start; wire === BYTES && at < end; ) {
      const next = varintEnd(bytes, at);
      values.push(bigVarint(bytes, at, next));
      at = next;
    }
  }
  return values;
}

/** The floats of an attribute, with their bits. */
export function attributeFloats(bytes: Uint8Array): Float32Array {
  const values = new Uint32Array(roomFor(bytes, 4));
  let count = 0;
  const take = (from: number, to: number, tag: number): number => {
    let at = from;
    while (at < to) {
      if (at + 4 > to) throw new Malformed('a number without an end in an attribute');
      values[count++] =
        bytes[at]! | (bytes[at + 1]! << 8) | (bytes[at + 2]! << 16) | (bytes[at + 3]! << 24);
      at += 4;
      if (tag === 0) continue;
      if (at >= to || bytes[at] !== tag) return at;
      at++;
      if (at >= to) throw new Malformed('a number without an end in an attribute');
    }
    return at;
  };
  forRepeated(bytes, FLOATS, { wire: BIT32, take });
  return new Float32Array(values.buffer, 0, count);
}

/** The texts of an attribute. */
export function attributeTexts(bytes: Uint8Array): string[] {
  const texts: string[] = [];
  for (const field of fieldsOf(bytes)) {
    if (field.number === TEXTS && field.wire === BYTES) texts.push(textOf(bytes, field));
  }
  return texts;
}

/** The texts of an attribute that holds one of a few again and again, as their places among these; 255 for any other. */
export function attributeChoices(bytes: Uint8Array, choices: readonly string[]): Uint8Array {
  const known = choices.map((choice) => Buffer.from(choice, 'utf8'));
  const values = new Uint8Array(roomFor(bytes, 2));
  let count = 0;
  const take = (from: number, to: number): number => {
    let at = from;
    for (;;) {
      const lengthEnd = varintEnd(bytes, at);
      const end = lengthEnd + smallVarint(bytes, at, lengthEnd);
      if (end > to) throw new Malformed('a text that runs past its attribute');
      const length = end - lengthEnd;
      let found = 255;
      for (let choice = 0; choice < known.length && found === 255; choice++) {
        const text = known[choice]!;
        let same = text.length === length;
        for (let i = length - 1; same && i >= 0; i--) same = bytes[lengthEnd + i] === text[i];
        if (same) found = choice;
      }
      values[count++] = found;
      at = end;
      if (at >= to || bytes[at] !== ((TEXTS << 3) | BYTES)) return at;
      at++;
      if (at >= to) throw new Malformed('a text without an end in an attribute');
    }
  };
  forRepeated(bytes, TEXTS, { wire: BYTES, take });
  return values.subarray(0, count);
}

/**
 * Walks the fields of an attribute and hands runs of a repeated field to `take`, as (start of the first value, end of what may be
 * read, tag between values), which gives where the run ends; the tag is 0 for packed numbers. Python writes every number as a
 * field of its own: they are not to cost a call each.
 */
function forRepeated(
  bytes: Uint8Array,
  number: number,
  { wire, take }: { wire: number; take: (from: number, to: number, tag: number) => number },
): void {
  const tag = (number << 3) | wire;
  const packed = wire === BYTES ? -1 : (number << 3) | BYTES;
  let at = 0;
  while (at < bytes.length) {
    if (bytes[at] === tag) {
      if (at + 1 >= bytes.length) throw new Malformed('a field without an end in an attribute');
      at = take(at + 1, bytes.length, tag);
      continue;
    }
    const [field] = fieldsOf(bytes.subarray(at));
    if (field === undefined) return;
    if (bytes[at] === packed) take(at + field.start, at + field.end, 0);
    at += field.end;
  }
}
