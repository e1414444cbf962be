/** The kernel: WebAssembly made of kernel/*.ts, in memory that holds one program. */
import { readFileSync } from 'node:fs';
import { BLOCK_ROWS, PROGRAM_START, type Program } from './program.js';

// Node has it, but only TypeScript's library for browsers says so.
declare namespace WebAssembly {
  class Module {
    constructor(bytes: Uint8Array);
  }
  class Memory {
    constructor(size: { initial: number; maximum: number });
    readonly buffer: ArrayBuffer;
  }
  class Instance {
    constructor(module: Module, imports: { env: { memory: Memory } });
    readonly exports: unknown;
  }
}

interface Exports {
  readonly score: () => void;
  readonly finish: (
    scores: number,
    count: number,
    rows: number,
    bases: number,
    divisor: number,
    how: number,
    outputs: number,
  ) => void;
}

/** A program that can be run. Its arrays are the kernel's own memory: they hold until the next block. */
export interface Kernel {
  /** The columns of a block, one for each of the program's features: to be filled before `run`. */
  readonly inputs: readonly Float32Array[];
  /** Of each column of scores `BLOCK_ROWS` values, base values included. */
  readonly scores: readonly Float32Array[];
  /** Finished rows, row-major. */
  readonly outputs: Float32Array;
  /** Scores the first `rows` rows of the block. */
  readonly run: (rows: number) => void;
}

/** Where the build puts it, seen from the source and from what is built of it. */
const KERNEL = new URL('../../dist/trees/kernel.wasm', import.meta.url);

let compiled: WebAssembly.Module | undefined;

/** Loads a program. Throws what `WebAssembly` throws where it is not to be had: without SIMD, or without the memory. */
export function startKernel(program: Program): Kernel {
  compiled ??= new WebAssembly.Module(readFileSync(KERNEL));
  const pages = Math.ceil(program.memoryBytes / 65_536);
  const memory = new WebAssembly.Memory({ initial: pages, maximum: pages });
  const instance = new WebAssembly.Instance(compiled, { env: { memory } });
  // The kernel's own source says what it exports.
  const { score, finish } = instance.exports as Exports;
  new Uint8Array(memory.buffer).set(program.image, PROGRAM_START);
  const { scores, bases, outputs } = program;
  const { columns, divisor, how, width } = program.finish;
  const floats = (address: number, length: number): Float32Array =>
    new Float32Array(memory.buffer, address, length);
  const block = BLOCK_ROWS * 4;
  return {
    inputs: program.features.map((_, i) => floats(program.inputs + i * block, BLOCK_ROWS)),
    scores: columns.map((_, i) => floats(scores + i * block, BLOCK_ROWS)),
    outputs: floats(outputs, BLOCK_ROWS * width),
    run: (rows) => {
      score();
      finish(scores, columns.length, rows, bases, divisor, how, outputs);
    },
  };
}
