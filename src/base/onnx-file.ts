/**
 * What an ONNX model file says about itself, read from its protobuf without running it: signature, operator sets,
 * operators, external data.
 *
 * Field numbers are those of `onnx/onnx.proto3` in the ONNX specification (github.com/onnx/onnx, IR version 14).
 * The file is read through a window of fixed size and tensor data are stepped over, so that neither the size of
 * a model nor a length that it claims decides how much memory this takes. What is read here is hostile until
 * proven otherwise: every message must end within the one around it, nesting and the amount kept are limited.
 */
import { type FileHandle, open, realpath, stat } from 'node:fs/promises';
import { dirname, isAbsolute, relative, resolve, sep, win32 } from 'node:path';
import { errnoOf, ScorelineError, shown, systemError } from './errors.js';
import { RandomOperators } from './onnx-random.js';
import { Cursor, Malformed } from './protobuf.js';

/** An input or output of a graph as the model declares it. */
export interface OnnxValue {
  readonly name: string;
  readonly kind: 'tensor' | 'sequence' | 'map' | 'optional' | 'sparse' | 'unknown';
  /** 'float', 'int64', 'string' …; of a sequence, map or optional the whole type: 'seq(map(int64,float))'. */
  readonly elementType: string;
  /** A number, the name of a symbolic dimension, or null for one that is not known; null when none is declared. */
  readonly shape: readonly (number | string | null)[] | null;
  /** True for an input that is also an initializer: that one is its default (all weights, below IR version 4). */
  readonly optional: boolean;
}

/** The structure of a model file; the domain 'ai.onnx' is written as its other name, ''. */
export interface OnnxFile {
  readonly irVersion: number;
  readonly producer: string;
  readonly producerVersion: string;
  readonly domain: string;
  readonly modelVersion: bigint;
  /** Cut, as the values of `metadata` are, at 256 KiB. */
  readonly docString: string;
  readonly opsets: readonly { readonly domain: string; readonly version: number }[];
  /** Has no prototype: its keys are any text. */
  readonly metadata: Readonly<Record<string, string>>;
  readonly inputs: readonly OnnxValue[];
  readonly outputs: readonly OnnxValue[];
  readonly initializers: readonly string[];
  /** Operators by first appearance, those of subgraphs and of the bodies of functions included. */
  readonly ops: readonly { readonly domain: string; readonly op: string; readonly count: number }[];
  /** Those that draw random numbers; of some with the mode in which they do. */
  readonly random: readonly string[];
  /** The model's own functions, as 'domain::name', or 'name' without a domain. */
  readonly functions: readonly string[];
  /** The distinct locations of external data, by first appearance; not checked: see `externalDataFiles`. */
  readonly externalData: readonly string[];
}

/** The model being read, and where what is found at any depth goes. */
interface Reading {
  readonly cursor: Cursor;
  readonly ops: Map<string, { domain: string; op: string; count: number }>;
  readonly random: RandomOperators;
  readonly locations: Set<string>;
}

type Shape = (number | string | null)[];
type Type = Pick<OnnxValue, 'kind' | 'elementType' | 'shape'>;
type Value = Omit<OnnxValue, 'optional'>;

/** Of the main graph; of the graphs within nodes this is dropped. */
interface Graph {
  readonly inputs: Value[];
  readonly outputs: Value[];
  readonly initializers: string[];
}

function emptyGraph(): Graph {
  return { inputs: [], outputs: [], initializers: [] };
}

// Each function from here to `readShape` reads the message of onnx.proto3 that it is named for, up to `end`.

function readModel(cursor: Cursor, end: number): OnnxFile {
  const r: Reading = {
    cursor,
    ops: new Map(),
    random: new RandomOperators(),
    locations: new Set(),
  };
  const graph = emptyGraph();
  const opsets: { domain: string; version: number }[] = [];
  const metadata: Record<string, string> = Object.create(null);
  const functions: string[] = [];
  const docs: string[] = [];
  const { ints, texts } = cursor.message(end, {
    ints: [1, 5],
    texts: [2, 3, 4],
    bytes: {
      6: (e) => docs.push(cursor.text(e, { cut: true })),
      7: (e) => readGraph(r, e, graph),
      8: (e) => {
        const opset = cursor.message(e, { texts: [1], ints: [2] });
        opsets.push({ domain: domainOf(opset.texts[1]), version: Number(opset.ints[2] ?? 0) });
      },
      14: (e) => {
        const { key, value } = readEntry(cursor, e);
        metadata[key] = value;
      },
      25: (e) => functions.push(readFunction(r, e)),
    },
  });
  const defaults = new Set(graph.initializers);
  return {
    irVersion: Number(ints[1] ?? 0),
    producer: texts[2] ?? '',
    producerVersion: texts[3] ?? '',
    domain: texts[4] ?? '',
    modelVersion: ints[5] ?? 0n,
    docString: docs.at(-1) ?? '',
    opsets,
    metadata,
    inputs: graph.inputs.map((input) => ({ ...input, optional: defaults.has(input.name) })),
    outputs: graph.outputs.map((output) => ({ ...output, optional: false })),
    initializers: graph.initializers,
    ops: [...r.ops.values()],
    random: r.random.finish(),
    functions,
    externalData: [...r.locations],
  };
}

function domainOf(text: string | undefined): string {
  return text === undefined || text === 'ai.onnx' ? '' : text;
}

function readEntry(cursor: Cursor, end: number): { key: string; value: string } {
  const values: string[] = [];
  const { texts } = cursor.message(end, {
    texts: [1],
    bytes: { 2: (e) => values.push(cursor.text(e, { cut: true })) },
  });
  return { key: texts[1] ?? '', value: values.at(-1) ?? '' };
}

function readFunction(r: Reading, end: number): string {
  const { texts } = r.cursor.message(end, {
    texts: [1, 10],
    bytes: { 7: (e) => readNode(r, e), 11: (e) => readAttribute(r, e) },
  });
  const domain = domainOf(texts[10]);
  return `${domain}${domain && '::'}${texts[1] ?? ''}`;
}

function readGraph(r: Reading, end: number, graph: Graph = emptyGraph()): void {
  r.cursor.message(end, {
    bytes: {
      1: (e) => readNode(r, e),
      5: (e) => {
        const { name, isFalse } = readTensor(r, e);
        graph.initializers.push(name);
        r.random.constant(name, isFalse);
      },
      11: (e) => graph.inputs.push(readValueInfo(r.cursor, e)),
      12: (e) => graph.outputs.push(readValueInfo(r.cursor, e)),
      15: (e) => graph.initializers.push(readSparseTensor(r, e)),
    },
  });
}

function readNode(r: Reading, end: number): void {
  const inputs: string[] = [];
  const outputs: string[] = [];
  const attributes: Attribute[] = [];
  const { texts } = r.cursor.message(end, {
    texts: [4, 7],
    bytes: {
      1: (e) => inputs.push(r.cursor.text(e)),
      2: (e) => outputs.push(r.cursor.text(e)),
      5: (e) => attributes.push(readAttribute(r, e)),
    },
  });
  const domain = domainOf(texts[7]);
  const op = texts[4] ?? '';
  const key = JSON.stringify([domain, op]);
  const found = r.ops.get(key) ?? { domain, op, count: 0 };
  found.count++;
  r.ops.set(key, found);
  const hasSeed = attributes.some(({ name }) => name === 'seed');
  r.random.add({ op: domain === '' ? op : `${domain}.${op}`, inputs, hasSeed });
  if (op === 'Constant') r.random.constant(outputs[0] ?? '', attributes[0]?.isFalse === true);
}

/** An attribute: its name, and whether it is a tensor that holds nothing but false. */
interface Attribute {
  readonly name: string;
  readonly isFalse: boolean;
}

function readAttribute(r: Reading, end: number): Attribute {
  let isFalse = false;
  const tensor = (e: number): void => {
    isFalse = readTensor(r, e).isFalse;
  };
  const sparse = (e: number): unknown => readSparseTensor(r, e);
  const graph = (e: number): void => readGraph(r, e);
  const bytes = {
    5: once(tensor),
    6: graph,
    10: tensor,
    11: graph,
    22: once(sparse),
    23: sparse,
  };
  const { texts } = r.cursor.message(end, { texts: [1], bytes });
  return { name: texts[1] ?? '', isFalse };
}

function readSparseTensor(r: Reading, end: number): string {
  const names: string[] = [];
  const bytes = {
    1: once((e) => names.push(readTensor(r, e).name)),
    2: once((e) => readTensor(r, e)),
  };
  r.cursor.message(end, { bytes });
  return names.at(-1) ?? '';
}

/**
 * Refuses a second tensor in a field for one: protobuf would merge the two, and the location of one with the
 * "external" of the other would be external data that is not seen here.
 */
function once(read: (end: number) => unknown): (end: number) => void {
  let done = false;
  return (end) => {
    if (done) throw new Malformed(`two tensors in a place for one, before byte ${end}`);
    done = true;
    read(end);
  };
}

/** TensorProto.DataLocation. */
const EXTERNAL = 1n;
/** TensorProto.DataType. */
const BOOL = 9n;

function readTensor(r: Reading, end: number): Attribute {
  const entries: { key: string; value: string }[] = [];
  let bits: string | undefined;
  // One truth value is a byte, packed or raw.
  const bit = (e: number): void => {
    if (e === r.cursor.position + 1) bits = r.cursor.text(e);
  };
  const { texts, ints } = r.cursor.message(end, {
    texts: [8],
    ints: [2, 5, 14],
    bytes: { 5: bit, 9: bit, 13: (e) => entries.push(readEntry(r.cursor, e)) },
  });
  // data_location decides, not whether there are entries: ONNX Runtime and Python's onnx do the same.
  if (BigInt.asIntN(32, ints[14] ?? 0n) === EXTERNAL) {
    for (const { key, value } of entries) if (key === 'location') r.locations.add(value);
  }
  const isFalse = ints[2] === BOOL && (ints[5] === 0n || bits === '\0');
  return { name: texts[8] ?? '', isFalse };
}

function readValueInfo(cursor: Cursor, end: number): Value {
  const types: Type[] = [];
  const { texts } = cursor.message(end, {
    texts: [1],
    bytes: { 2: (e) => types.push(readType(cursor, e)) },
  });
  return { name: texts[1] ?? '', ...(types.at(-1) ?? UNKNOWN) };
}

const UNKNOWN: Type = { kind: 'unknown', elementType: 'unknown', shape: null };

function readType(cursor: Cursor, end: number): Type {
  const types: Type[] = [];
  cursor.message(end, {
    bytes: {
      1: (e) => types.push(readTensorType(cursor, e, 'tensor')),
      4: (e) => types.push(readContainerType(cursor, e, 'sequence')),
      5: (e) => types.push(readContainerType(cursor, e, 'map')),
      8: (e) => types.push(readTensorType(cursor, e, 'sparse')),
      9: (e) => types.push(readContainerType(cursor, e, 'optional')),
    },
  });
  return types.at(-1) ?? UNKNOWN;
}

function readTensorType(cursor: Cursor, end: number, kind: 'tensor' | 'sparse'): Type {
  const shapes: Shape[] = [];
  const { ints } = cursor.message(end, {
    ints: [1],
    bytes: { 2: (e) => shapes.push(readShape(cursor, e)) },
  });
  return { kind, elementType: elementName(ints[1]), shape: shapes.at(-1) ?? null };
}

/** Field 1 of a sequence or optional is the type held; of a map the type of its keys, and field 2 is the one held. */
function readContainerType(
  cursor: Cursor,
  end: number,
  kind: 'sequence' | 'map' | 'optional',
): Type {
  const types: Type[] = [];
  const { ints } = cursor.message(end, {
    ints: [1],
    bytes: { [kind === 'map' ? 2 : 1]: (e: number) => types.push(readType(cursor, e)) },
  });
  const held = types.at(-1) ?? UNKNOWN;
  const word = kind === 'sequence' ? 'seq' : kind;
  const key = kind === 'map' ? `${elementName(ints[1])},` : '';
  const text = held.kind === 'sparse' ? `sparse(${held.elementType})` : held.elementType;
  return { kind, elementType: `${word}(${key}${text})`, shape: null };
}

function readShape(cursor: Cursor, end: number): Shape {
  const shape: Shape = [];
  const dimension = (e: number): void => {
    const { ints, texts } = cursor.message(e, { ints: [1], texts: [2] });
    // Some exporters write -1 or an empty name for a dimension that is not known.
    if (ints[1] === undefined) shape.push(texts[2] || null);
    else shape.push(ints[1] < 0n ? null : Number(ints[1]));
  };
  cursor.message(end, { bytes: { 1: dimension } });
  return shape;
}

/** TensorProto.DataType, by number. */
const ELEMENT_NAMES =
  `undefined float uint8 int8 uint16 int16 int32 int64 string bool float16 double uint32 uint64
  complex64 complex128 bfloat16 float8e4m3fn float8e4m3fnuz float8e5m2 float8e5m2fnuz uint4 int4
  float4e2m1 float8e8m0 uint2 int2 float6e2m3 float6e3m2`.split(/\s+/);

/** The name that ONNX gives to an element type by its number. */
export function elementName(type: bigint | undefined): string {
  const number = Number(BigInt.asIntN(32, type ?? 0n));
  return ELEMENT_NAMES[number] ?? `type ${number}`;
}

/**
 * The structure of a model file. Throws a `ScorelineError` of one line when there is no such file, when it is not an
 * ONNX model with a graph that has outputs, or when it is cut short; does not say whether the model can run.
 */
export async function readOnnxFile(path: string): Promise<OnnxFile> {
  const what = `model ${shown(path)}`;
  const { handle, size } = await openModel(path, what);
  let head = '';
  try {
    const cursor = new Cursor(handle.fd, size);
    head = cursor.head();
    const file = readModel(cursor, size);
    if (file.irVersion <= 0) throw new Malformed('no IR version');
    if (file.outputs.length === 0) throw new Malformed('no graph that has an output');
    if (file.opsets.length === 0 && file.irVersion >= 3) throw new Malformed('no operator set');
    return file;
  } catch (error) {
    if (errnoOf(error) !== undefined) throw systemError(error, `cannot read ${what}`, 'model');
    if (!(error instanceof Malformed)) throw error;
    throw new ScorelineError('model', `${what}: ${refusal(error, { head, size })}`, {
      cause: error,
    });
  } finally {
    await handle.close();
  }
}

async function openModel(
  path: string,
  what: string,
): Promise<{ handle: FileHandle; size: number }> {
  try {
    const stats = await stat(path);
    if (stats.isDirectory()) throw new ScorelineError('model', `${what}: is a directory`);
    if (!stats.isFile()) throw new ScorelineError('model', `${what}: is not a regular file`);
    if (stats.size === 0) throw new ScorelineError('model', `${what}: the file is empty`);
    return { handle: await open(path), size: stats.size };
  } catch (error) {
    const errno = errnoOf(error);
    if (errno === 'ENOENT' || errno === 'ENOTDIR') {
      throw new ScorelineError('model', `model not found: ${shown(path)}`, { cause: error });
    }
    throw systemError(error, `cannot read ${what}`, 'model');
  }
}

/** What other files, taken for a model, have at a place near their begin. */
const OTHER_FORMATS: readonly (readonly [offset: number, magic: string, what: string])[] = [
  [0, 'PAR1', 'a Parquet file'],
  [0, 'PK\x03\x04', 'a zip archive, as PyTorch and Keras write'],
  [0, '\x89HDF', 'an HDF5 file, as Keras writes'],
  [0, '\x80', 'a Python pickle'],
  [0, '\x1f\x8b', 'a gzip file'],
  [0, '\x28\xb5\x2f\xfd', 'a zstd file'],
  [0, 'tree\nversion=', "a model in LightGBM's own format"],
  [0, 'CBM1', "a model in CatBoost's own format"],
  [4, 'ORTM', 'a model in ORT format'],
  [4, 'TFL3', 'a TensorFlow Lite model'],
  [0, 'version https://git-lfs', 'a Git LFS pointer: run "git lfs pull"'],
];

function otherFormat(head: string): string | undefined {
  const known = OTHER_FORMATS.find(([offset, magic]) => head.startsWith(magic, offset));
  if (known) return known[2];
  if (/^\s*<(!doctype|html)/i.test(head)) return 'an HTML page';
  if (/^\s*[{[]/.test(head)) return 'JSON';
  return /^[\s\x20-\x7e\x80-\xff]+$/.test(head) ? 'text' : undefined;
}

/** Says what is wrong with the bytes. Whoever writes ONNX begins with field 1, the IR version: a byte 08. */
function refusal(malformed: Malformed, { head, size }: { head: string; size: number }): string {
  if (!head.startsWith('\x08')) {
    const other = otherFormat(head);
    return `not an ONNX file${other === undefined ? '' : `, but ${other}`}`;
  }
  const { announcedEnd, message } = malformed;
  if (announcedEnd === undefined) return `not a valid ONNX file (${message})`;
  return `cut short: it needs at least ${announcedEnd} bytes and has ${size}`;
}

/**
 * The absolute paths of a model's external data files, which are proven to be files inside the model's own folder:
 * the one that `modelPath` names, or, when that is a link, the one where it leads (as in the cache of Hugging Face).
 */
export async function externalDataFiles(modelPath: string, file: OnnxFile): Promise<string[]> {
  if (file.externalData.length === 0) return [];
  const what = `model ${shown(modelPath)}`;
  try {
    const folder = resolve(dirname(modelPath));
    const model = await realpath(modelPath);
    const homes = [await realpath(folder), dirname(model)];
    const paths = new Set<string>();
    for (const location of file.externalData) {
      paths.add(await externalDataFile(location, { folder, homes, model, what }));
    }
    return [...paths];
  } catch (error) {
    throw systemError(error, `cannot read the external data of ${what}`, 'model');
  }
}

async function externalDataFile(
  location: string,
  {
    folder,
    homes,
    model,
    what,
  }: Readonly<{ folder: string; homes: string[]; model: string; what: string }>,
): Promise<string> {
  const refuse = (reason: string): ScorelineError =>
    new ScorelineError('model', `${what}: external data file "${shown(location)}" ${reason}`);
  const outside = "lies outside the model's folder";
  if (location === '' || location.includes('\0')) throw refuse('has no possible name');
  if (isAbsolute(location) || win32.isAbsolute(location)) throw refuse(outside);
  if (location.split(/[\\/]/).includes('..')) throw refuse(outside);
  const path = resolve(folder, location);
  const real = await realpath(path).catch((error: unknown) => {
    if (errnoOf(error) === 'ENOENT' || errnoOf(error) === 'ENOTDIR') throw refuse('is missing');
    throw error;
  });
  if (!homes.some((home) => isInside(home, real))) throw refuse(outside);
  if (!(await stat(real)).isFile()) throw refuse('is not a file');
  if (real === model) throw refuse('is the model file itself');
  return path;
}

function isInside(folder: string, path: string): boolean {
  const way = relative(folder, path);
  return way !== '..' && !way.startsWith(`..${sep}`) && !isAbsolute(way);
}
