/**
 * Samples as they are stored: the SHA-256 of what follows, which is deflated: a JSON header (its length in four bytes before it)
 * that says what columns there are, then their values, bytes of one place together so that they pack well.
 */
import { createHash } from 'node:crypto';
import { constants, deflateRawSync, inflateRawSync } from 'node:zlib';
import type { TypedArray } from '../base/columns.js';
import { bytesOfElement } from '../base/elements.js';
import type { OutputBinding } from '../plan/predictions.js';
import type { InputBinding } from '../plan/signature.js';
import { HASHES, type Sample, type SampleColumn } from './sample.js';

/** The number of the format: others are not read. */
const FORMAT = 1;

/** What is kept beside the scores of a task: the sampled rows as the model saw them, and what it said. */
export interface ScoredSample extends Omit<Sample, 'kept'> {
  /** The place of each row in the task. */
  readonly places: Uint32Array;
  /** How features are the model's inputs, and the batch size that it insists on. */
  readonly inputs: readonly InputBinding[];
  readonly fixedBatch: number | null;
  /** The model's outputs, by their names. */
  readonly outputs: readonly SampleColumn[];
}

/** What is kept beside the part of a task, of the same rows in the same order. */
export interface PublishedSample {
  /** How outputs are prediction columns. */
  readonly columns: readonly OutputBinding[];
  /** Kept columns of texts. */
  readonly kept: readonly SampleColumn[];
  /** The keys as texts; null where rows have none. */
  readonly keys: SampleColumn | null;
}

/** A sample beside scores as the bytes of its file: the same sample is the same bytes. */
export function encodeScored(sample: ScoredSample): Uint8Array {
  const { rows, key, bound, inputs, fixedBatch, hashes, places, features, outputs } = sample;
  const own: readonly SampleColumn[] = [
    { name: '', element: 'float64', width: 1, values: hashes },
    { name: '', element: 'uint32', width: 1, values: places },
  ];
  const meta = { kind: 'scored', rows, key, bound, inputs, fixedBatch, features: features.length };
  return encode(meta, hashes.length, [...own, ...features, ...outputs]);
}

/**
 * Reads a sample beside scores, of it the rows up to the hash `most`, and counts all of its rows; undefined when the bytes are
 * none.
 */
export function decodeScored(
  bytes: Uint8Array,
  most = HASHES,
): (ScoredSample & { readonly count: number }) | undefined {
  const found = decode(bytes, 'scored');
  if (found === undefined) return undefined;
  const { meta, columns } = found;
  const { rows, key, bound, inputs, fixedBatch, features } = meta as unknown as Omit<
    ScoredSample,
    'features'
  > & { readonly features: number };
  const hashes = columns[0]!(found.rows).values as Float64Array;
  const past = hashes.findIndex((hash) => hash > most);
  const count = past < 0 ? hashes.length : past;
  const [places, ...rest] = columns.slice(1).map((column) => column(count));
  return {
    rows,
    key,
    bound: Math.min(bound, most),
    inputs,
    fixedBatch,
    count: hashes.length,
    hashes: hashes.slice(0, count),
    places: places!.values as Uint32Array,
    features: rest.slice(0, features),
    outputs: rest.slice(features),
  };
}

/** A sample beside a part as the bytes of its file; `rows` counts its rows. */
export function encodePublished(
  { columns, kept, keys }: PublishedSample,
  rows: number,
): Uint8Array {
  const meta = { kind: 'published', columns, keyed: keys !== null };
  return encode(meta, rows, [...kept, ...(keys === null ? [] : [keys])]);
}

/** Reads a sample beside a part, of it the first `most` rows; undefined when the bytes are none. */
export function decodePublished(
  bytes: Uint8Array,
  most = Number.POSITIVE_INFINITY,
): (Omit<PublishedSample, 'keys'> & { readonly rows: number }) | undefined {
  const found = decode(bytes, 'published');
  if (found === undefined) return undefined;
  const { meta, columns, rows } = found;
  const kept = meta.keyed === true ? columns.slice(0, -1) : columns;
  return {
    rows,
    columns: meta.columns as readonly OutputBinding[],
    kept: kept.map((column) => column(Math.min(rows, most))),
  };
}

/** The keys of a sample beside a part, as texts; undefined when the bytes are none, or rows have none. */
export function decodeKeys(bytes: Uint8Array): SampleColumn | undefined {
  const found = decode(bytes, 'published');
  return found?.meta.keyed === true ? found.columns.at(-1)!(found.rows) : undefined;
}

type Meta = { readonly [key: string]: unknown };

function encode(meta: Meta, rows: number, columns: readonly SampleColumn[]): Uint8Array {
  const packed = columns.map(({ values }) =>
    Array.isArray(values)
      ? Buffer.from(JSON.stringify(values), 'utf8')
      : shuffleBytes(values as TypedArray),
  );
  const described = columns.map(({ name, element, width }, i) => {
    return { name, element, width, bytes: packed[i]!.length };
  });
  const header = Buffer.from(JSON.stringify({ format: FORMAT, ...meta, count: rows, described }));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(header.length);
  const deflated = deflateRawSync(Buffer.concat([length, header, ...packed]), {
    level: 1,
    // Bytes of one place next to each other repeat, or not at all: to look for more takes three times as long.
    strategy: constants.Z_RLE,
  });
  return Buffer.concat([digestOf(deflated), deflated]);
}

function digestOf(bytes: Uint8Array): Buffer {
  return createHash('sha256').update(bytes).digest();
}

const DIGEST_BYTES = 32;

function decode(
  bytes: Uint8Array,
  kind: string,
): { meta: Meta; columns: ((rows: number) => SampleColumn)[]; rows: number } | undefined {
  const deflated = bytes.subarray(DIGEST_BYTES);
  // With the digest it is what was written: only its format is in question.
  if (!digestOf(deflated).equals(bytes.subarray(0, DIGEST_BYTES))) return undefined;
  const raw = inflateRawSync(deflated);
  const end = 4 + raw.readUInt32LE(0);
  const meta: Meta = JSON.parse(raw.toString('utf8', 4, end));
  if (meta.format !== FORMAT || meta.kind !== kind) return undefined;
  const rows = Number(meta.count);
  let at = end;
  const columns = (meta.described as readonly Described[]).map((column) => {
    const own = raw.subarray(at, at + column.bytes);
    at += column.bytes;
    return (first: number): SampleColumn => readColumn(column, own, first);
  });
  return { meta, columns, rows };
}

interface Described {
  readonly name: string;
  readonly element: SampleColumn['element'];
  readonly width: number;
  readonly bytes: number;
}

/** The first rows of a column. */
function readColumn({ name, element, width }: Described, own: Buffer, rows: number): SampleColumn {
  const values =
    element === 'utf8'
      ? (JSON.parse(own.toString('utf8')) as (string | null)[]).slice(0, rows * width)
      : unshuffled(element, own, rows * width);
  return { name, element, width, values };
}

/** The bytes of numbers: first the lowest of each, then the next. */
function shuffleBytes(values: TypedArray): Buffer {
  const source = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const width = values.BYTES_PER_ELEMENT;
  const target = Buffer.alloc(source.length);
  for (let i = 0, at = 0; i < values.length; i++) {
    for (let byte = 0; byte < width; byte++) target[byte * values.length + i] = source[at++]!;
  }
  return target;
}

/** The first `count` numbers. */
function unshuffled(element: SampleColumn['element'], packed: Buffer, count: number): TypedArray {
  const width = element === 'float16' ? 2 : bytesOfElement(element);
  const length = packed.length / width;
  const bytes = new Uint8Array(count * width);
  for (let i = 0, at = 0; i < count; i++) {
    for (let byte = 0; byte < width; byte++) bytes[at++] = packed[byte * length + i]!;
  }
  return new ARRAYS[element as keyof typeof ARRAYS](bytes.buffer);
}

const ARRAYS = {
  bool: Uint8Array,
  int8: Int8Array,
  uint8: Uint8Array,
  int16: Int16Array,
  uint16: Uint16Array,
  float16: Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  float32: Float32Array,
  float64: Float64Array,
} as const;
