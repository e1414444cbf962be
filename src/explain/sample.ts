/** A sample of scored rows: what it takes to explain later why scores moved. */
import type { TypedArray } from '../base/columns.js';
import type { ElementType } from '../base/elements.js';
import { float16Numbers } from '../base/float16.js';

/** Values of rows: `width` a row, row-major; float16 as its bits. */
export interface SampleColumn {
  readonly name: string;
  readonly element: ElementType | 'float16';
  readonly width: number;
  readonly values: TypedArray | readonly (string | null)[];
}

/** Hashes of rows are whole numbers below this. */
export const HASHES = 2 ** 53;

/**
 * The rows of least hash among some that were scored. A row's hash follows from its key, or its place, alone: so the sample of
 * many tasks is the union of theirs, cut to its least hashes, and samples of the same keys hold the same rows.
 */
export interface Sample {
  /** How many rows it is a sample of. */
  readonly rows: number;
  /** What was hashed: the column of keys, and how where that is not always the same; null: the places of rows. */
  readonly key: string | null;
  /** Rows with a greater hash are not in it; `HASHES` when all rows are. */
  readonly bound: number;
  /** In rising order. */
  readonly hashes: Float64Array;
  /** As the model saw them. */
  readonly features: readonly SampleColumn[];
  /** Kept columns of texts. */
  readonly kept: readonly SampleColumn[];
}

/** The rows at some places of a column. */
export function pickRows(column: SampleColumn, places: ArrayLike<number>): SampleColumn {
  const { values, width } = column;
  if (isTexts(values)) {
    const texts: (string | null)[] = [];
    for (let i = 0; i < places.length; i++) {
      for (let at = 0; at < width; at++) texts.push(values[places[i]! * width + at] ?? null);
    }
    return { ...column, values: texts };
  }
  const picked = sameKind(values, places.length * width);
  const rows = places instanceof Int32Array ? places : Int32Array.from(places);
  const bytesPerRow = values.BYTES_PER_ELEMENT * width;
  if (values.BYTES_PER_ELEMENT >= 4) {
    pickWords(viewAs(Uint32Array, values), viewAs(Uint32Array, picked), rows, bytesPerRow / 4);
  } else {
    pickWords(viewAs(Uint8Array, values), viewAs(Uint8Array, picked), rows, bytesPerRow);
  }
  return { ...column, values: picked };
}

/** The same memory as other elements. */
function viewAs<View extends Uint32Array | Uint8Array>(
  kind: { new (buffer: ArrayBufferLike, offset: number, length: number): View } & {
    readonly BYTES_PER_ELEMENT: number;
  },
  { buffer, byteOffset, byteLength }: TypedArray,
): View {
  return new kind(buffer, byteOffset, byteLength / kind.BYTES_PER_ELEMENT);
}

/** Copies rows of `width` words each. One kind of words for all kinds of numbers: the engine compiles it once. */
function pickWords<Words extends Uint32Array | Uint8Array>(
  from: Words,
  to: Words,
  rows: Int32Array,
  width: number,
): void {
  if (width === 1) {
    for (let i = 0; i < rows.length; i++) to[i] = from[rows[i]!]!;
    return;
  }
  let next = 0;
  for (let i = 0; i < rows.length; i++) {
    const start = rows[i]! * width;
    for (let at = 0; at < width; at++) to[next++] = from[start + at]!;
  }
}

function isTexts(values: SampleColumn['values']): values is readonly (string | null)[] {
  return Array.isArray(values);
}

/** An array of the same type. */
function sameKind(values: TypedArray, length: number): TypedArray {
  return new (values.constructor as new (length: number) => TypedArray)(length);
}

/** The rows of several columns of one name and type, one after the other. Undefined where they have no common type. */
export function joinColumns(columns: readonly SampleColumn[]): SampleColumn | undefined {
  const [first] = columns;
  if (first === undefined) return undefined;
  if (columns.some(({ element, width }) => element !== first.element || width !== first.width))
    return undefined;
  if (isTexts(first.values)) {
    return { ...first, values: columns.flatMap(({ values }) => [...(values as string[])]) };
  }
  const length = columns.reduce((sum, { values }) => sum + values.length, 0);
  const joined = sameKind(first.values, length);
  let at = 0;
  for (const { values } of columns) {
    joined.set(values as never, at);
    at += values.length;
  }
  return { ...first, values: joined };
}

/**
 * The sample of several sets of rows together, of at most `most` rows. Columns that one of them lacks, or has with another
 * type, are dropped; where keys were hashed in one and places in another, nothing is said of keys.
 */
export function mergeSamples(samples: readonly Sample[], most: number): Sample {
  const rows = samples.reduce((sum, sample) => sum + sample.rows, 0);
  const keys = new Set(samples.map(({ key }) => key));
  const key = keys.size === 1 ? [...keys][0]! : null;
  let bound = Math.min(HASHES, ...samples.map((sample) => sample.bound));
  const hashes = Float64Array.from(samples.flatMap((sample) => [...sample.hashes]));
  if (hashes.length > most) bound = Math.min(bound, leastBound(hashes, most));
  const places = [...hashes.keys()]
    .filter((place) => hashes[place]! <= bound)
    .sort((a, b) => hashes[a]! - hashes[b]! || a - b)
    .slice(0, most);
  const merged = (columnsOf: (sample: Sample) => readonly SampleColumn[]): SampleColumn[] => {
    const [first, ...others] = samples.map(columnsOf);
    return (first ?? []).flatMap((column) => {
      const same = others.map((columns) => columns.find(({ name }) => name === column.name));
      if (same.some((other) => other === undefined)) return [];
      const joined = joinColumns([column, ...(same as SampleColumn[])]);
      return joined === undefined ? [] : [pickRows(joined, places)];
    });
  };
  return {
    rows,
    key,
    bound,
    hashes: Float64Array.from(places, (place) => hashes[place]!),
    features: merged(({ features }) => features),
    kept: merged(({ kept }) => kept),
  };
}

/** The least number that `rows` of the hashes do not exceed; 0 of no rows. */
export function leastBound(hashes: Float64Array, rows: number): number {
  return hashes.slice().sort()[rows - 1] ?? 0;
}

/** The numbers of a column; NaN where a text is, or nothing. */
export function numbersOf({ element, values }: SampleColumn): Float64Array {
  if (isTexts(values)) return new Float64Array(values.length).fill(Number.NaN);
  if (element === 'float16') {
    const numbers = float16Numbers();
    return Float64Array.from(values as Uint16Array, (bits) => numbers[bits]!);
  }
  return Float64Array.from(values as ArrayLike<number | bigint>, Number);
}

/** A number for each row of a column of one value a row: the same for the same values. NaN where there is none. */
export function codesOf(column: SampleColumn, codes: Map<string, number>): Float64Array {
  const { values } = column;
  if (!isTexts(values)) return numbersOf(column);
  return Float64Array.from(values, (text) => {
    if (text === null) return Number.NaN;
    const known = codes.get(text) ?? codes.size;
    codes.set(text, known);
    return known;
  });
}

/** Whether two rows of columns of one type hold the same: a missing value is the same as another. */
export function isSameRow(
  a: Pick<SampleColumn, 'values' | 'width'>,
  rowOfA: number,
  b: Pick<SampleColumn, 'values'>,
  rowOfB: number,
): boolean {
  for (let at = 0; at < a.width; at++) {
    const [x, y] = [a.values[rowOfA * a.width + at], b.values[rowOfB * a.width + at]];
    if (x !== y && !(Number.isNaN(x) && Number.isNaN(y))) return false;
  }
  return true;
}

/**
 * The hash of a row from 64 bits that name it (its key, or its number in a file) and a number that tells files apart: 53 bits, two
 * words mixed and finished as MurmurHash3 (Appleby) does. Part of the format of samples.
 */
export function rowHash(low: number, high: number, salt: number): number {
  const a = finished(Math.imul(low ^ salt, 0xcc9e2d51) ^ finished(high ^ 0x9747b28c));
  const b = finished(Math.imul(high ^ a, 0x1b873593) ^ finished(low ^ 0x811c9dc5));
  return (a >>> 0) * 0x200000 + (b >>> 11);
}

function finished(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}
