/** The levels of a Parquet page: which of its values are null, and where lists begin. */
import { Malformed } from '../base/thrift.js';

/** What the repetition levels of a page say. */
export interface Repetition {
  /** How many rows begin in the page. */
  readonly rows: number;
  /** Whether its first value begins one. */
  readonly startsRow: boolean;
}

/** How many bits a level up to `max` takes. */
export function levelBits(max: number): number {
  return max === 0 ? 0 : 32 - Math.clz32(max);
}

/**
 * Walks over `count` levels in Parquet's mix of runs and packed bits; each run is given to `seen`. Throws `Malformed` when there
 * are fewer of them, or one is greater than `max`.
 */
function walkLevels(
  bytes: Uint8Array,
  { count, max }: { readonly count: number; readonly max: number },
  seen?: (level: number, times: number) => void,
): void {
  const bits = levelBits(max);
  const mask = 2 ** bits - 1;
  // Where all numbers of so many bits are levels, packed ones need no look.
  const look = seen !== undefined || max !== mask;
  let at = 0;
  let left = count;
  while (left > 0) {
    let header = 0;
    for (let shift = 0; ; shift += 7) {
      const byte = bytes[at++];
      if (byte === undefined || shift > 28)
        throw new Malformed(`has levels for ${count - left} of ${count} values`);
      header += (byte & 0x7f) * 2 ** shift;
      if (byte < 0x80) break;
    }
    const length = Math.floor(header / 2);
    if (header % 2 === 0) {
      const size = Math.ceil(bits / 8);
      if (at + size > bytes.length)
        throw new Malformed(`has levels for ${count - left} of ${count} values`);
      const level = size === 1 ? bytes[at]! : bytes[at]! + 256 * bytes[at + 1]!;
      at += size;
      const times = Math.min(length, left);
      if (times > 0 && level > max) throw new Malformed(`has a level ${level} above ${max}`);
      if (times > 0) seen?.(level, times);
      left -= times;
      continue;
    }
    const packed = Math.min(length * 8, Math.floor(((bytes.length - at) * 8) / bits));
    const times = Math.min(packed, left);
    for (let i = 0; look && i < times; i++) {
      const bit = i * bits;
      const place = at + (bit >> 3);
      const word = bytes[place]! | ((bytes[place + 1] ?? 0) << 8) | ((bytes[place + 2] ?? 0) << 16);
      const level = (word >> (bit & 7)) & mask;
      if (level > max) throw new Malformed(`has a level ${level} above ${max}`);
      seen?.(level, 1);
    }
    if (times === 0) throw new Malformed(`has levels for ${count - left} of ${count} values`);
    left -= times;
    at += length * bits;
  }
}

/** Checks the definition levels of a page. Throws `Malformed`. */
export function checkDefinition(bytes: Uint8Array, count: number, max: number): void {
  walkLevels(bytes, { count, max });
}

/** Checks the repetition levels of a page. Throws `Malformed`. */
export function checkRepetition(bytes: Uint8Array, count: number, max: number): Repetition {
  let rows = 0;
  let first: number | undefined;
  walkLevels(bytes, { count, max }, (level, times) => {
    first ??= level;
    if (level === 0) rows += times;
  });
  return { rows, startsRow: (first ?? 0) === 0 };
}
