/** Whole numbers in few bytes: seven bits a byte, the lowest first, the eighth set but in the last (LEB128), as base64. */

/** Writes whole numbers from 0 to 2^53 − 1. */
export function packWholes(values: ArrayLike<number>): string {
  const bytes: number[] = [];
  for (let i = 0; i < values.length; i++) {
    let left = values[i]!;
    // Bit operations end at 32 bits.
    for (; left >= 128; left = Math.floor(left / 128)) bytes.push((left % 128) + 128);
    bytes.push(left);
  }
  return Buffer.from(bytes).toString('base64');
}

/** Reads what `packWholes` wrote; undefined for anything else. */
export function unpackWholes(packed: string): number[] | undefined {
  const bytes = Buffer.from(packed, 'base64');
  if (bytes.toString('base64') !== packed) return undefined;
  const values: number[] = [];
  let value = 0;
  let scale = 1;
  for (const byte of bytes) {
    value += (byte & 127) * scale;
    if (value > Number.MAX_SAFE_INTEGER) return undefined;
    if (byte >= 128) scale *= 128;
    else {
      values.push(value);
      value = 0;
      scale = 1;
    }
  }
  return scale === 1 ? values : undefined;
}
