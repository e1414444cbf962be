/**
 * Arrow record batches: the shape in which rows move between the stages. The only importer of apache-arrow.
 *
 * Booleans are held as Uint8 (one byte a row, 0 or 1), as DuckDB and ONNX Runtime hold them; all other columns have
 * the Arrow type of their name. A validity bitmap has one bit a row, least significant first, 1 = not null.
 */
import { createRequire } from 'node:module';
import type { Data, DataType, RecordBatch, Utf8 } from 'apache-arrow';
import { bytesOfElement, type ElementType } from './elements.js';

export type { RecordBatch } from 'apache-arrow';

// The package's own build in one file: it loads in 12 ms, where its many modules take 70 ms.
const arrow: typeof import('apache-arrow') = createRequire(import.meta.url)(
  'apache-arrow/Arrow.es2015.min',
);

/** The typed array of a column of fixed-size elements. */
export type TypedArray =
  | Int8Array
  | Uint8Array
  | Int16Array
  | Uint16Array
  | Int32Array
  | Uint32Array
  | BigInt64Array
  | BigUint64Array
  | Float32Array
  | Float64Array;

const ARROW_TYPES: Readonly<Record<ElementType, () => DataType>> = {
  bool: () => new arrow.Uint8(),
  int8: () => new arrow.Int8(),
  uint8: () => new arrow.Uint8(),
  int16: () => new arrow.Int16(),
  uint16: () => new arrow.Uint16(),
  int32: () => new arrow.Int32(),
  uint32: () => new arrow.Uint32(),
  int64: () => new arrow.Int64(),
  uint64: () => new arrow.Uint64(),
  float32: () => new arrow.Float32(),
  float64: () => new arrow.Float64(),
  utf8: () => new arrow.Utf8(),
};

/** A view of bytes as elements; `utf8` has none. The bytes must be aligned to the element's size. */
export function viewOf(element: ElementType, bytes: Uint8Array): TypedArray {
  const { buffer, byteOffset } = bytes;
  const length = bytes.byteLength / (bytesOfElement(element) || 1);
  switch (element) {
    case 'bool':
    case 'uint8':
      return new Uint8Array(buffer, byteOffset, length);
    case 'int8':
      return new Int8Array(buffer, byteOffset, length);
    case 'int16':
      return new Int16Array(buffer, byteOffset, length);
    case 'uint16':
      return new Uint16Array(buffer, byteOffset, length);
    case 'int32':
      return new Int32Array(buffer, byteOffset, length);
    case 'uint32':
      return new Uint32Array(buffer, byteOffset, length);
    case 'int64':
      return new BigInt64Array(buffer, byteOffset, length);
    case 'uint64':
      return new BigUint64Array(buffer, byteOffset, length);
    case 'float32':
      return new Float32Array(buffer, byteOffset, length);
    case 'float64':
      return new Float64Array(buffer, byteOffset, length);
    case 'utf8':
      throw new TypeError('text has no typed array');
  }
}

/** A new array of `length` elements, all 0; `utf8` has none. */
export function newArray(element: ElementType, length: number): TypedArray {
  return viewOf(element, new Uint8Array(length * bytesOfElement(element)));
}

/**
 * Lends the arrays of one batch again for the next. V8 counts large arrays as pressure: making new ones for each batch
 * led to a full collection every second task, which took 4 % of all CPU.
 */
export class Arena {
  private readonly buffers: ArrayBuffer[] = [];
  private next = 0;

  /** Takes back everything that was lent. */
  reset(): void {
    this.next = 0;
  }

  /** An array of `length` elements that hold anything; `utf8` has none. It is lent until the next `reset`. */
  array(element: ElementType, length: number): TypedArray {
    const bytes = length * bytesOfElement(element);
    const index = this.next++;
    let buffer = this.buffers[index];
    if (buffer === undefined || buffer.byteLength < bytes) {
      buffer = new ArrayBuffer(bytes);
      this.buffers[index] = buffer;
    }
    return viewOf(element, new Uint8Array(buffer, 0, bytes));
  }
}

/** Whether bit `row` of a bitmap is set; an absent bitmap has all bits set. */
export function isValid(validity: Uint8Array | undefined, row: number): boolean {
  return validity === undefined || (validity[row >> 3]! & (1 << (row & 7))) !== 0;
}

/** A bitmap of `rows` bits, all set. */
export function allValid(rows: number): Uint8Array {
  return new Uint8Array((rows + 7) >> 3).fill(0xff);
}

/** Marks a row of a bitmap as null. */
export function setNull(validity: Uint8Array, row: number): void {
  validity[row >> 3]! &= ~(1 << (row & 7));
}

/** One column of a record batch, as the stages read it. */
export interface Column {
  readonly element: ElementType;
  /** `rows` elements, or the texts of a text column (null where there is none). */
  readonly values: TypedArray | (string | null)[];
  readonly validity: Uint8Array | undefined;
  /** Of a column of lists: `width` elements a row, `rows` times as many values, and which of them are not null. */
  readonly list?: { readonly width: number; readonly validity: Uint8Array | undefined };
}

/** Rows of a column as they are read: elements (`width` a row, for lists) or texts, null where there is none. */
export interface ColumnRows {
  readonly values: Uint8Array | readonly (string | null)[];
  readonly validity: Uint8Array | undefined;
  /** Which elements of lists are not null. */
  readonly items?: Uint8Array | undefined;
}

/** Collects bits of validity; undefined as long as all are set. */
class BitmapBuilder {
  private readonly capacity: number;
  private bits: Uint8Array | undefined;

  constructor(capacity: number) {
    this.capacity = capacity;
  }

  /** Appends the bits `start` to `end` of a bitmap behind the first `length`. */
  append(validity: Uint8Array, start: number, end: number, length: number): void {
    for (let bit = start; bit < end; bit++) {
      if ((bit & 7) === 0 && bit + 8 <= end && validity[bit >> 3] === 0xff) {
        bit += 7;
      } else if (!isValid(validity, bit)) {
        this.setNull(length + bit - start);
      }
    }
  }

  /** Marks one place as null. */
  setNull(at: number): void {
    this.bits ??= allValid(this.capacity);
    setNull(this.bits, at);
  }

  /** The bits so far; the builder starts anew. */
  finish(): Uint8Array | undefined {
    const { bits } = this;
    this.bits = undefined;
    return bits;
  }
}

/** Collects the rows of one column until a batch is full. A finished column of numbers is lent until more are appended. */
export class ColumnBuilder {
  readonly element: ElementType;
  /** The elements a row, of a column of lists. */
  readonly list: number | undefined;
  private readonly width: number;
  private readonly bytesPerRow: number;
  private length = 0;
  private readonly bytes: Uint8Array;
  private texts: (string | null)[] = [];
  private readonly validity: BitmapBuilder;
  private readonly items: BitmapBuilder;

  constructor(element: ElementType, capacity: number, list?: number) {
    this.element = element;
    this.list = list;
    this.width = list ?? 1;
    this.bytesPerRow = bytesOfElement(element) * this.width;
    this.bytes = new Uint8Array(capacity * this.bytesPerRow);
    this.validity = new BitmapBuilder(capacity);
    this.items = new BitmapBuilder(capacity * this.width);
  }

  /** Appends the rows `rowStart` to `rowEnd`. */
  append({ values, validity, items }: ColumnRows, rowStart: number, rowEnd: number): void {
    const { width } = this;
    if (values instanceof Uint8Array) {
      const size = this.bytesPerRow;
      this.bytes.set(values.subarray(rowStart * size, rowEnd * size), this.length * size);
    } else {
      // A text that is not there says so itself.
      const nulls = this.list === undefined ? this.validity : this.items;
      for (let at = rowStart * width; at < rowEnd * width; at++) {
        const text = values[at] ?? null;
        if (text === null) nulls.setNull(this.texts.length);
        this.texts.push(text);
      }
    }
    if (validity !== undefined) this.validity.append(validity, rowStart, rowEnd, this.length);
    if (items !== undefined) {
      this.items.append(items, rowStart * width, rowEnd * width, this.length * width);
    }
    this.length += rowEnd - rowStart;
  }

  /** The rows so far as a column; the builder starts anew. */
  finish(): Column {
    const { element, length, width, list } = this;
    const values =
      element === 'utf8'
        ? this.texts
        : viewOf(element, this.bytes.subarray(0, length * this.bytesPerRow));
    const column = { element, values, validity: this.validity.finish() };
    const items = this.items.finish();
    this.length = 0;
    this.texts = [];
    return list === undefined ? column : { ...column, list: { width, validity: items } };
  }
}

/** A record batch of named columns that all have `rows` rows; numbers are not copied. */
export function recordBatchOf(
  names: readonly string[],
  columns: readonly Column[],
  rows: number,
): RecordBatch {
  const children = columns.map((column) => arrowData(column, rows));
  const fields = columns.map(
    (_, index) => new arrow.Field(names[index]!, children[index]!.type, true),
  );
  const data = arrow.makeData({
    type: new arrow.Struct(fields),
    length: rows,
    nullCount: 0,
    children,
  });
  return new arrow.RecordBatch(new arrow.Schema(fields), data);
}

function arrowData({ list, ...column }: Column, rows: number): Data {
  if (list !== undefined) {
    const { width, validity: items } = list;
    const child = arrowData({ ...column, validity: items }, rows * width);
    const nulls =
      column.validity === undefined ? { nullCount: 0 } : { nullBitmap: column.validity };
    const type = new arrow.FixedSizeList(width, new arrow.Field('item', child.type, true));
    return arrow.makeData({ type, length: rows, child, ...nulls });
  }
  const { element, values, validity } = column;
  if (Array.isArray(values)) return textData(values, validity, rows);
  const nulls = validity === undefined ? { nullCount: 0 } : { nullBitmap: validity };
  // makeData is typed per Arrow type; the pairing of element, type and array is that of ARROW_TYPES and viewOf.
  return arrow.makeData({
    type: ARROW_TYPES[element](),
    length: rows,
    data: values,
    ...nulls,
  } as never);
}

function textData(
  texts: readonly (string | null)[],
  validity: Uint8Array | undefined,
  rows: number,
): Data<Utf8> {
  const joined = Buffer.from(texts.map((text) => text ?? '').join(''), 'utf8');
  const valueOffsets = new Int32Array(rows + 1);
  for (let row = 0; row < rows; row++) {
    valueOffsets[row + 1] = valueOffsets[row]! + Buffer.byteLength(texts[row] ?? '', 'utf8');
  }
  const nulls = validity === undefined ? { nullCount: 0 } : { nullBitmap: validity };
  return arrow.makeData({
    type: new arrow.Utf8(),
    length: rows,
    valueOffsets,
    data: joined,
    ...nulls,
  });
}

/** The data of a column, without the vector that `getChildAt` would make each time. */
function childOf(batch: RecordBatch, index: number): Data {
  const data = batch.data.children[index];
  if (data === undefined) throw new RangeError(`record batch has no column ${index}`);
  return data;
}

/** Column `index` of a record batch, whose element type the caller knows; numbers are not copied. */
export function columnOf(batch: RecordBatch, index: number, element: ElementType): Column {
  const data = childOf(batch, index);
  const validity = data.nullCount > 0 ? data.nullBitmap : undefined;
  if (!arrow.DataType.isFixedSizeList(data.type)) {
    return { element, values: valuesOf(data, element), validity };
  }
  const child = data.children[0]!;
  const items = child.nullCount > 0 ? child.nullBitmap : undefined;
  const list = { width: data.type.listSize, validity: items };
  return { element, values: valuesOf(child, element), validity, list };
}

/** The texts of some rows of a column of texts, or of lists of them: the others are not decoded. */
export function textsAt(
  batch: RecordBatch,
  index: number,
  rows: ArrayLike<number>,
): { readonly texts: (string | null)[]; readonly width: number } {
  const data = childOf(batch, index);
  const isList = arrow.DataType.isFixedSizeList(data.type);
  const width = isList ? (data.type as { listSize: number }).listSize : 1;
  const textAt = textsOf(isList ? data.children[0]! : data);
  const texts: (string | null)[] = [];
  for (let i = 0; i < rows.length; i++) {
    for (let at = 0; at < width; at++) texts.push(textAt(rows[i]! * width + at));
  }
  return { texts, width };
}

function valuesOf(data: Data, element: ElementType): Column['values'] {
  if (element !== 'utf8') return data.values as TypedArray;
  const textAt = textsOf(data);
  return Array.from({ length: data.length }, (_, at) => textAt(at));
}

/** Decodes the texts of a column by their place; Arrow's own decoder drops a U+FEFF that a text begins with. */
function textsOf(data: Data): (at: number) => string | null {
  const { values, valueOffsets } = data as Data<Utf8>;
  const bytes = Buffer.from(values.buffer, values.byteOffset, values.byteLength);
  const validity = data.nullCount > 0 ? data.nullBitmap : undefined;
  return (at) =>
    isValid(validity, at) ? bytes.toString('utf8', valueOffsets[at]!, valueOffsets[at + 1]!) : null;
}
