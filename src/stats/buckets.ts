/**
 * The buckets into which numbers are counted when there are too many different ones: a bfloat16 each, the top 16 bits
 * of the number as float32. A bucket is at most 1/128 of its numbers wide, so its middle is within 0.4 % of each.
 *
 * Buckets are numbered in the order of their numbers, 0 to 65,535. A double is rounded to float32 first; finite ones beyond
 * the range of float32 are counted in the outermost finite bucket, and those nearer to 0 than its smallest in that of 0.
 */

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** The bits of the largest finite float32. */
const LARGEST = 0x7f7fffff;

/** The 16 bits of a bucket: sign and size are one order in its number. */
export function bitsOfOrder(bucket: number): number {
  return bucket >= 0x8000 ? bucket - 0x8000 : 0xffff - bucket;
}

/** The 16 bits of a finite number's bucket. A negative zero is a zero. */
export function bucketBits(value: number): number {
  float[0] = value;
  const all = bits[0]!;
  if ((all & 0x7f800000) === 0x7f800000) return ((all & 0x80000000) | LARGEST) >>> 16;
  return all === 0x80000000 ? 0 : all >>> 16;
}

/** The bucket of a finite number. */
export function bucketOf(value: number): number {
  const top = bucketBits(value);
  return top >= 0x8000 ? 0xffff - top : top + 0x8000;
}

/** The numbers between which those of a bucket lie; the one nearer to 0 belongs to it. */
export function bucketEdges(bucket: number): readonly [low: number, high: number] {
  return bucket >= 0x8000
    ? [floatOf(bucket - 0x8000), floatOf(bucket - 0x7fff)]
    : [-floatOf(0x8000 - bucket), -floatOf(0x7fff - bucket)];
}

/** What stands for the numbers of a bucket: its middle, and 0 for that of 0. */
export function bucketMiddle(bucket: number): number {
  if (bucket === 0x8000) return 0;
  const [low, high] = bucketEdges(bucket);
  return low / 2 + high / 2;
}

function floatOf(top: number): number {
  // Where the numbers of the outermost bucket would end.
  if (top === 0x7f80) return 2 ** 128;
  bits[0] = top << 16;
  return float[0]!;
}
