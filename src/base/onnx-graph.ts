/**
 * The graph of an ONNX model as far as it has to be understood to run a part of it: nodes, their attributes, small
 * initializers. Structure is read through the cursor of `protobuf`; the attributes of a node, which may hold millions of numbers, are
 * brought into memory one at a time, when they are asked for, and decoded into typed arrays.
 *
 * Field numbers are those of `onnx/onnx.proto3`, as in `onnx-file`.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Cursor, Malformed } from './protobuf.js';

/** The bytes of a message in the file. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** A node of the main graph. The domain 'ai.onnx' is written as its other name, ''. */
export interface GraphNode {
  readonly domain: string;
  readonly op: string;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
  /** The encoded attributes, each for `attributeName` and the functions that decode one. Read from the file anew at each call. */
  readonly attributes: () => Iterable<Uint8Array>;
}

/** The main graph of a model. */
export interface OnnxGraph {
  readonly nodes: readonly GraphNode[];
  /** The inputs by name, each with its TensorProto.DataType, 0 where it is no tensor; older models list initializers among them. */
  readonly inputs: ReadonlyMap<string, number>;
  readonly outputs: readonly string[];
  /** The encoded tensors by name. */
  readonly initializers: ReadonlyMap<string, () => Uint8Array>;
  /** The version of each operator set. */
  readonly opsets: ReadonlyMap<string, number>;
}

/** Opens a model for as long as `use` runs. Throws `Malformed`, and the errors of the file system. */
export function withOnnxGraph<Result>(path: string, use: (graph: OnnxGraph) => Result): Result {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    return use(readModel(fd, new Cursor(fd, size), size));
  } finally {
    closeSync(fd);
  }
}

function readModel(fd: number, cursor: Cursor, size: number): OnnxGraph {
  const graphs: Omit<OnnxGraph, 'opsets'>[] = [];
  const opsets = new Map<string, number>();
  cursor.message(size, {
    bytes: {
      7: (end) => graphs.push(readGraph(fd, cursor, end)),
      8: (end) => {
        const { texts, ints } = cursor.message(end, { texts: [1], ints: [2] });
        opsets.set(domainOf(texts[1]), Number(ints[2] ?? 0));
      },
    },
  });
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) throw new Malformed(`${graphs.length} graphs`);
  return { ...graph, opsets };
}

function domainOf(text: string | undefined): string {
  return text === undefined || text === 'ai.onnx' ? '' : text;
}

function readGraph(fd: number, cursor: Cursor, end: number): Omit<OnnxGraph, 'opsets'> {
  const nodes: GraphNode[] = [];
  const inputs = new Map<string, number>();
  const outputs: string[] = [];
  const initializers = new Map<string, () => Uint8Array>();
  cursor.message(end, {
    bytes: {
      1: (e) => nodes.push(readNode(fd, cursor, e)),
      5: (e) => {
        const range = { start: cursor.position, end: e };
        const name = cursor.message(e, { texts: [8] }).texts[8] ?? '';
        initializers.set(name, () => load(fd, range));
      },
      11: (e) => readInput(cursor, e, inputs),
      12: (e) => outputs.push(cursor.message(e, { texts: [1] }).texts[1] ?? ''),
    },
  });
  return { nodes, inputs, outputs, initializers };
}

function readInput(cursor: Cursor, end: number, inputs: Map<string, number>): void {
  let element = 0;
  const tensor = (e: number): void => {
    element = Number(cursor.message(e, { ints: [1] }).ints[1] ?? 0);
  };
  const type = (e: number): void => void cursor.message(e, { bytes: { 1: tensor } });
  const { texts } = cursor.message(end, { texts: [1], bytes: { 2: type } });
  inputs.set(texts[1] ?? '', element);
}

function readNode(fd: number, cursor: Cursor, end: number): GraphNode {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const ranges: Range[] = [];
  const { texts } = cursor.message(end, {
    texts: [4, 7],
    bytes: {
      1: (e) => inputs.push(cursor.text(e)),
      2: (e) => outputs.push(cursor.text(e)),
      5: (e) => ranges.push({ start: cursor.position, end: e }),
    },
  });
  return {
    domain: domainOf(texts[7]),
    op: texts[4] ?? '',
    inputs,
    outputs,
    attributes: function* () {
      for (const range of ranges) yield load(fd, range);
    },
  };
}

function load(fd: number, { start, end }: Range): Uint8Array {
  const bytes = new Uint8Array(end - start);
  let done = 0;
  while (done < bytes.length) {
    const got = readSync(fd, bytes, done, bytes.length - done, start + done);
    if (got === 0) throw new Malformed('became shorter while it was read');
    done += got;
  }
  return bytes;
}
