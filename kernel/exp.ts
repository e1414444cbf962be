/**
 * e to the power of a 32-bit float, with the bits of the C library's expf: the method and constants of ARM's
 * optimized-routines (MIT, or Apache-2.0 with LLVM exception; Copyright (c) 2017-2018, Arm Limited), which glibc from 2.27 on
 * and musl use. In 64-bit floats: 2^(k/32) from a table, times a cubic.
 */

/** The bits of 2^(i/32), less i << 47, so that adding k << 47 gives 2^(k/32) for every k. */
const TABLE = memory.data<u64>([
  0x3ff0000000000000, 0x3fefd9b0d3158574, 0x3fefb5586cf9890f, 0x3fef9301d0125b51,
  0x3fef72b83c7d517b, 0x3fef54873168b9aa, 0x3fef387a6e756238, 0x3fef1e9df51fdee1,
  0x3fef06fe0a31b715, 0x3feef1a7373aa9cb, 0x3feedea64c123422, 0x3feece086061892d,
  0x3feebfdad5362a27, 0x3feeb42b569d4f82, 0x3feeab07dd485429, 0x3feea47eb03a5585,
  0x3feea09e667f3bcd, 0x3fee9f75e8ec5f74, 0x3feea11473eb0187, 0x3feea589994cce13,
  0x3feeace5422aa0db, 0x3feeb737b0cdc5e5, 0x3feec49182a3f090, 0x3feed503b23e255d,
  0x3feee89f995ad3ad, 0x3feeff76f2fb5e47, 0x3fef199bdd85529c, 0x3fef3720dcef9069,
  0x3fef5818dcfba487, 0x3fef7c97337b9b5f, 0x3fefa4afa2a490da, 0x3fefd0765b6e4540,
]);

const LN2_INVERSE_32: f64 = 46.16624130844683; // 0x1.71547652b82fep+5
const SHIFT: f64 = 6755399441055744; // 0x1.8p52
const C0: f64 = 1.6938359250920212e-6; // 0x1.c6af84b912394p-5 / 32768
const C1: f64 = 0.00023459809789509004; // 0x1.ebfce50fac4f3p-3 / 1024
const C2: f64 = 0.021660849396613134; // 0x1.62e42ff0c52d6p-1 / 32

/**
 * Where the C library is compiled with fused multiply-add, as for every CPU of today, of all 2^32 floats two give another
 * result, compared one by one with glibc 2.36. Within a logistic neither can show.
 */
export function expFused(x: f32): f32 {
  if (x == <f32>-63.09946060180664) return <f32>3.946866735154823e-28;
  if (x == <f32>32.564632415771484) return <f32>138880149880832.0;
  return exp(x);
}

// @ts-ignore: decorator
@inline export function exp(x: f32): f32 {
  if (!(x >= <f32>-103.97207641601562)) return x != x ? x : 0;
  if (x > <f32>88.72283172607422) return Infinity;
  const z = LN2_INVERSE_32 * <f64>x;
  const shifted = z + SHIFT;
  const k = reinterpret<u64>(shifted);
  const r = z - (shifted - SHIFT);
  const scale = reinterpret<f64>(load<u64>(TABLE + (<u32>(k & 31) << 3)) + (k << 47));
  const r2 = r * r;
  return <f32>(((C0 * r + C1) * r2 + (C2 * r + 1)) * scale);
}
