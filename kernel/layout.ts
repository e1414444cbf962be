/**
 * Where the kernel keeps what. Addresses below `PROGRAM` are its own scratch space, at constants, so that they cost no
 * instruction; the program (see src/trees/program.ts, which writes it) lies from `PROGRAM` on and says where all else is.
 */

/** Rows that are scored at a time: a block. */
export const ROWS: u32 = 512;
/** A plane holds one bit for each row of a block, as four vectors of 128 bits. */
export const PLANE: u32 = 64;

/** The leaf values of the tree at hand: at 0, so that four times the index of a leaf is its address. */
export const LEAVES: u32 = 0;
export const LEAVES_BYTES: u32 = 65536;
/** The leaf that each row of the block reached: bytes or 16-bit numbers. */
export const INDEX: u32 = 65536;
/** The bits of the index of 128 rows, before they are transposed: 16 vectors, and as many above them that are never used. */
export const BITS: u32 = 66560;
/** Where planes meet that are a power of two apart: 18 vectors. */
export const CARRY: u32 = 67072;
/** Planes of "the low half of the byte is at least j", j < 16; and of the high half, j <= 16. */
export const LOW: u32 = 67392;
export const HIGH: u32 = 68416;
/** The same of whole bytes, for features with more than 254 thresholds: j < 256, and j <= 256. */
export const LOW_BYTE: u32 = 69504;
export const HIGH_BYTE: u32 = 85888;

/** The program's header: numbers of 32 bits. */
export const PROGRAM: u32 = 131072;

// @ts-ignore: decorator
@inline export function field(at: u32, index: u32): u32 {
  return load<u32>(at + index * 4);
}
