/** The kernel: WebAssembly made of kernel/*.ts, in memory that holds one program. */
import { readFileSync } from 'node:fs';
import type { Floats, Precision } from './floats.js';
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
  readonly finish: Finisher;
  readonly finishDoubles: Finisher;
  readonly finishToDoubles: Finisher;
}

type Finisher = (
  scores: number,
  count: number,
  rows: number,
  bases: number,
  divisor: number,
  how: number,
  outputs: number,
) => void;

/** A program that can be run. Its arrays are the kernel's own memory: they hold until the next block. */
export interface Kernel {
  /** The columns of a block, one for each of the program's features: to be filled before `run`. */
  readonly inputs: readonly Floats[];
  /** Of each column of scores `BLOCK_ROWS` values, base values included. */
  readonly scores: readonly Floats[];
  /** Finished rows, row-major. */
  readonly outputs: Floats;
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
  const { score, finish, finishDoubles, finishToDoubles } = instance.exports as Exports;
  new Uint8Array(memory.buffer).set(program.image, PROGRAM_START);
  const { scores, bases, outputs } = program;
  const { columns, divisor, how, width } = program.finish;
  const floats = (precision: Precision, address: number, length: number): Floats =>
    precision === 'float64'
      ? new Float64Array(memory.buffer, address, length)
      : new Float32Array(memory.buffer, address, length);
  const { precision } = program;
  const block = BLOCK_ROWS * (precision === 'float64' ? 8 : 4);
  const column = (start: number, index: number): Floats =>
    floats(precision, start + index * block, BLOCK_ROWS);
  const toDoubles = program.output === 'float64' ? finishToDoubles : finishDoubles;
  const finisher = precision === 'float64' ? toDoubles : finish;
  return {
    inputs: program.features.map((_, i) => column(program.inputs, i)),
    scores: columns.map((_, i) => column(scores, i)),
    outputs: floats(program.output, outputs, BLOCK_ROWS * width),
    run: (rows) => {
      score();
      finisher(scores, columns.length, rows, bases, divisor, how, outputs);
    },
  };
}
