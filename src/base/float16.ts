/** IEEE 754 half precision, held as its 16 bits: Node 20 has no array of such numbers. */

/** Not a number, as its bits. */
export const FLOAT16_NAN = 0x7e00;

/** From here on a number rounds to infinity: half way between the largest float16 and the next power of two. */
const OVERFLOW = 65_520;
/** Adding it to a smaller number that is not negative, and taking it away again, rounds to a whole number, ties to even. */
const TO_WHOLE = 2 ** 52;

/** What brings a number of exponent -14 to 15 (by exponent + 14) to one from 1024 to 2048, so that 11 bits are whole. */
const SCALES = Float64Array.from({ length: 30 }, (_, index) => 2 ** (24 - index));

const scratch = new Float64Array(1);
const words = new Uint32Array(scratch.buffer);

/** The bits of the float16 that is nearest to a number, ties to even: rounded once. */
export function float16Of(value: number): number {
  if (Number.isNaN(value)) return FLOAT16_NAN;
  const sign = value < 0 || Object.is(value, -0) ? 0x8000 : 0;
  const size = Math.abs(value);
  if (size >= OVERFLOW) return sign | 0x7c00;
  // A result that is rounded up to 2048, or 1024 for subnormal numbers, carries into the exponent, as it should.
  if (size < 2 ** -14) return sign | (size * 2 ** 24 + TO_WHOLE - TO_WHOLE);
  scratch[0] = size;
  const exponent = (words[1]! >>> 20) - 1023;
  const whole = size * SCALES[exponent + 14]! + TO_WHOLE - TO_WHOLE;
  return sign | (((exponent + 14) << 10) + whole);
}

/** The number that each of the 65,536 float16 is, by its bits. */
let numbers: Float32Array | undefined;

/** Float16 as numbers, by their bits; float32 holds every one of them. */
export function float16Numbers(): Float32Array {
  numbers ??= Float32Array.from({ length: 65_536 }, (_, bits) => {
    const exponent = (bits >> 10) & 31;
    const fraction = bits & 1023;
    const sign = bits >= 0x8000 ? -1 : 1;
    if (exponent === 31) return fraction === 0 ? sign * Number.POSITIVE_INFINITY : Number.NaN;
    return sign * (exponent === 0 ? fraction * 2 ** -24 : (1024 + fraction) * 2 ** (exponent - 25));
  });
  return numbers;
}
