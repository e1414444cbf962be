/**
 * The graph of an ONNX model as far as it has to be understood to run a part of it: nodes, their attributes, small
 * initializers. Structure is read through the cursor of `protobuf`; the attributes of a node, which may hold millions of numbers, are
 * brought into memory one at a time, when they are asked for, and decoded into typed arrays.
 *
 * Field numbers are those of `onnx/onnx.proto3`, as in `onnx-file`.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { Cursor, intField, Malformed } from './protobuf.js';

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
  /** What the graphs within it (branches, loops) may take from outside; and whether there is a tree ensemble in one. */
  readonly captures: readonly string[];
  readonly hidesTrees: boolean;
  /** The encoded attributes, each for `attributeName` and the functions that decode one. Read from the file anew at each call. */
  readonly attributes: () => Iterable<Uint8Array>;
  /** The whole node, encoded. */
  readonly encoded: () => Uint8Array;
}

/** What a graph says of an input. */
export interface GraphInput {
  /** Its TensorProto.DataType, 0 where it is no tensor. */
  readonly element: number;
  /** Its dimensions, of which those without a fixed size are null; undefined where none are declared. */
  readonly shape: readonly (number | null)[] | undefined;
}

/** The main graph of a model. */
export interface OnnxGraph {
  readonly nodes: readonly GraphNode[];
  /** The inputs by name; older models list initializers among them. */
  readonly inputs: ReadonlyMap<string, GraphInput>;
  readonly outputs: readonly string[];
  /** The encoded tensors by name. */
  readonly initializers: ReadonlyMap<string, () => Uint8Array>;
  /** The version of each operator set. */
  readonly opsets: ReadonlyMap<string, number>;
  /** Whether there is a tree ensemble in one of the model's own functions. */
  readonly functionsHideTrees: boolean;
  /** What a part of the model has to say again. */
  readonly declared: Declared;
}

/** Encoded messages of a model, without their tags but for `model`, for those that write a part of it. */
export interface Declared {
  readonly inputs: ReadonlyMap<string, () => Uint8Array>;
  readonly outputs: ReadonlyMap<string, () => Uint8Array>;
  readonly values: ReadonlyMap<string, () => Uint8Array>;
  readonly sparse: ReadonlyMap<string, () => Uint8Array>;
  /** All fields of the model but its graph and what training needs. */
  readonly model: () => Uint8Array[];
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

/** The fields of ModelProto that a part of it has as well, besides the version of the format (1) and the operator sets (8): metadata and functions. */
const MODEL_FIELDS = [14, 25];
const FORMAT_VERSION = 1;

type MainGraph = Omit<OnnxGraph, 'opsets' | 'functionsHideTrees'>;

function readModel(fd: number, cursor: Cursor, size: number): OnnxGraph {
  const graphs: MainGraph[] = [];
  const opsets = new Map<string, number>();
  const rest: Range[] = [];
  const keep = (end: number, start: number): void => void rest.push({ start, end });
  const inFunctions: Inner = { captures: new Set(), hidesTrees: false };
  const opset = (end: number, start: number): void => {
    keep(end, start);
    const { texts, ints } = cursor.message(end, { texts: [1], ints: [2] });
    opsets.set(domainOf(texts[1]), Number(ints[2] ?? 0));
  };
  const { ints } = cursor.message(size, {
    ints: [FORMAT_VERSION],
    bytes: {
      ...Object.fromEntries(MODEL_FIELDS.map((field) => [field, keep])),
      7: (end) => graphs.push(readGraph(fd, cursor, end)),
      8: opset,
      25: (end, start) => {
        keep(end, start);
        cursor.message(end, { bytes: { 7: (e) => readInnerNode(cursor, e, inFunctions) } });
      },
    },
  });
  const [graph] = graphs;
  if (graph === undefined || graphs.length > 1) throw new Malformed(`${graphs.length} graphs`);
  const version = Number(ints[FORMAT_VERSION] ?? 0);
  const model = (): Uint8Array[] => [
    intField(FORMAT_VERSION, version > 0 && version < 2 ** 31 ? version : 0),
    ...rest.map((range) => load(fd, range)),
  ];
  const { hidesTrees: functionsHideTrees } = inFunctions;
  return { ...graph, opsets, functionsHideTrees, declared: { ...graph.declared, model } };
}

function domainOf(text: string | undefined): string {
  return text === undefined || text === 'ai.onnx' ? '' : text;
}

function readGraph(fd: number, cursor: Cursor, end: number): MainGraph {
  const nodes: GraphNode[] = [];
  const inputs = new Map<string, GraphInput>();
  const outputs: string[] = [];
  const initializers = new Map<string, () => Uint8Array>();
  const declared = {
    inputs: new Map<string, () => Uint8Array>(),
    outputs: new Map<string, () => Uint8Array>(),
    values: new Map<string, () => Uint8Array>(),
    sparse: new Map<string, () => Uint8Array>(),
    model: (): Uint8Array[] => [],
  };
  /** Keeps where a message stands under its name, which is in field `field`. */
  const named = (to: Map<string, () => Uint8Array>, field = 1) => {
    return (e: number): string => {
      const range = { start: cursor.position, end: e };
      const name = cursor.message(e, { texts: [field] }).texts[field] ?? '';
      to.set(name, () => load(fd, range));
      cursor.moveTo(range.start);
      return name;
    };
  };
  const sparse = (e: number): void => {
    const range = { start: cursor.position, end: e };
    let name = '';
    const values = (inner: number): void => {
      name = cursor.message(inner, { texts: [8] }).texts[8] ?? '';
    };
    cursor.message(e, { bytes: { 1: values } });
    declared.sparse.set(name, () => load(fd, range));
  };
  const keepInput = named(declared.inputs);
  const keepOutput = named(declared.outputs);
  cursor.message(end, {
    bytes: {
      1: (e) => nodes.push(readNode(fd, cursor, e)),
      5: named(initializers, 8),
      11: (e) => void inputs.set(keepInput(e), readInput(cursor, e)),
      12: (e) => outputs.push(keepOutput(e)),
      13: named(declared.values),
      15: sparse,
    },
  });
  return { nodes, inputs, outputs, initializers, declared };
}

function readInput(cursor: Cursor, end: number): GraphInput {
  let element = 0;
  let shape: (number | null)[] | undefined;
  const dimension = (e: number): void => {
    const { ints } = cursor.message(e, { ints: [1] });
    shape!.push(ints[1] === undefined ? null : Number(ints[1]));
  };
  const dimensions = (e: number): void => {
    shape = [];
    cursor.message(e, { bytes: { 1: dimension } });
  };
  const tensor = (e: number): void => {
    element = Number(cursor.message(e, { ints: [1], bytes: { 2: dimensions } }).ints[1] ?? 0);
  };
  const type = (e: number): void => void cursor.message(e, { bytes: { 1: tensor } });
  cursor.message(end, { bytes: { 2: type } });
  return { element, shape };
}

function readNode(fd: number, cursor: Cursor, end: number): GraphNode {
  const whole = { start: cursor.position, end };
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
  const op = texts[4] ?? '';
  const inner: Inner = { captures: new Set(), hidesTrees: false };
  // The attributes of an ensemble are long, and hold no graphs.
  if (!op.startsWith('TreeEnsemble')) {
    for (const range of ranges) {
      cursor.moveTo(range.start);
      readInner(cursor, range.end, inner);
    }
  }
  return {
    domain: domainOf(texts[7]),
    op,
    inputs,
    outputs,
    captures: [...inner.captures],
    hidesTrees: inner.hidesTrees,
    attributes: function* () {
      for (const range of ranges) yield load(fd, range);
    },
    encoded: () => load(fd, whole),
  };
}

/** What the graphs within a node hold. */
interface Inner {
  readonly captures: Set<string>;
  hidesTrees: boolean;
}

/** Collects every name that the graphs in an attribute, or in the nodes of these, look at: their own and those from outside. */
function readInner(cursor: Cursor, end: number, inner: Inner): void {
  const output = (e: number): void => {
    inner.captures.add(cursor.message(e, { texts: [1] }).texts[1] ?? '');
  };
  const node = (e: number): void => readInnerNode(cursor, e, inner);
  const graph = (e: number): void => void cursor.message(e, { bytes: { 1: node, 12: output } });
  cursor.message(end, { bytes: { 6: graph, 11: graph } });
}

function readInnerNode(cursor: Cursor, end: number, inner: Inner): void {
  const name = (e: number): void => void inner.captures.add(cursor.text(e));
  const attribute = (e: number): void => readInner(cursor, e, inner);
  const { texts } = cursor.message(end, { texts: [4], bytes: { 1: name, 5: attribute } });
  if (texts[4]?.startsWith('TreeEnsemble') === true) inner.hidesTrees = true;
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
