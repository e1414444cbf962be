/**
 * Decodes ONNX tensors of a few types, from bytes in memory into typed arrays. Field numbers are those of TensorProto in
 * `onnx/onnx.proto3`; what does not fit is `Malformed`.
 */
import { bigVarint, fieldsOf, smallVarint, VARINT, varintEnd } from './onnx-attribute.js';
import { Malformed } from './protobuf.js';

/** The number of 32-bit floats in TensorProto.DataType. */
export const FLOAT = 1;
/** The number of 64-bit floats. */
export const DOUBLE = 11;
/** The numbers of whole numbers, and of texts. */
export const INT64 = 7;
export const INT32 = 6;
export const TEXT = 8;
const UINT8 = 2;

const DIMENSIONS = 1;
const DATA_TYPE = 2;
const FLOAT_DATA = 4;
const INT32_DATA = 5;
const INT64_DATA = 7;
const RAW_DATA = 9;
const DOUBLE_DATA = 10;
const DATA_LOCATION = 14;

/** The values of a tensor, whatever its shape; undefined where its type is another, or the values are in a file of their own. */
export type Tensor = Float32Array | Float64Array | Uint8Array | BigInt64Array;

/** How a type is stored: in `raw` bytes an element, or in a field of its own. */
interface Storage {
  readonly bytes: number;
  readonly field: number;
  readonly view: (bytes: ArrayBuffer) => Tensor;
}

const STORAGE = new Map<number, Storage>([
  [FLOAT, { bytes: 4, field: FLOAT_DATA, view: (bytes) => new Float32Array(bytes) }],
  [DOUBLE, { bytes: 8, field: DOUBLE_DATA, view: (bytes) => new Float64Array(bytes) }],
  [UINT8, { bytes: 1, field: INT32_DATA, view: (bytes) => new Uint8Array(bytes) }],
  [INT64, { bytes: 8, field: INT64_DATA, view: (bytes) => new BigInt64Array(bytes) }],
]);

/**
 * The values of a tensor; undefined where this does not know its type, they lie in another file, or it has another number of
 * dimensions than those asked for. Throws `Malformed`.
 */
export function tensorOf(
  bytes: Uint8Array,
  asked: { readonly dimensions?: readonly number[] } = {},
): Tensor | undefined {
  let type = 0;
  let size = 1;
  let dimensions = 0;
  let external = false;
  const parts: { readonly field: number; readonly bytes: Uint8Array }[] = [];
  for (const { number, wire, start, end } of fieldsOf(bytes)) {
    if (number === DIMENSIONS) {
      for (let at = start; at < end; ) {
        const next = varintEnd(bytes, at);
        size *= smallVarint(bytes, at, next);
        dimensions++;
        at = next;
      }
    } else if (number === DATA_TYPE && wire === VARINT) type = smallVarint(bytes, start, end);
    else if (number === DATA_LOCATION && wire === VARINT)
      external = smallVarint(bytes, start, end) !== 0;
    else parts.push({ field: number, bytes: bytes.subarray(start, end) });
  }
  const storage = STORAGE.get(type);
  if (storage === undefined || external) return undefined;
  if (asked.dimensions?.includes(dimensions) === false) return undefined;
  const raw = parts.filter(({ field }) => field === RAW_DATA);
  const own = parts.filter(({ field }) => field === storage.field);
  const written = raw.length > 0 ? undefined : VARINTS.get(type);
  const values =
    written === undefined
      ? (raw.length > 0 ? raw : own).map((part) => part.bytes)
      : own.map(({ bytes: numbers }) => written(numbers));
  // A copy, because views need alignment.
  const joined = Buffer.concat(values);
  if (joined.length !== size * storage.bytes)
    throw new Malformed(`a tensor of ${size} elements has ${joined.length} bytes`);
  return storage.view(new Uint8Array(joined).buffer);
}

/** How numbers of variable length become elements, of the types that are written so. */
const VARINTS = new Map<number, (bytes: Uint8Array) => Uint8Array>([
  [UINT8, smallNumbers],
  [INT64, longNumbers],
]);

function longNumbers(bytes: Uint8Array): Uint8Array {
  const numbers: bigint[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = varintEnd(bytes, at);
    numbers.push(bigVarint(bytes, at, next));
    at = next;
  }
  return new Uint8Array(BigInt64Array.from(numbers).buffer);
}

/** Numbers of variable length that fit in a byte. */
function smallNumbers(bytes: Uint8Array): Uint8Array {
  const numbers: number[] = [];
  for (let at = 0; at < bytes.length; ) {
    const next = varintEnd(bytes, at);
    const value = smallVarint(bytes, at, next);
    if (value > 255) throw new Malformed('a number beyond 8 bits in a tensor of bytes');
    numbers.push(value);
    at = next;
  }
  return Uint8Array.from(numbers);
}
