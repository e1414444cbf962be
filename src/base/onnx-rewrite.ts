/**
 * Takes ZipMap off the outputs of a model. Exports of classifiers end in one by default: it makes a list of maps from
 * class label to probability of a matrix, and the Node binding of ONNX Runtime refuses whatever is not a tensor. Such a
 * node becomes an Identity of the matrix under the same output name, and the labels are kept.
 *
 * Only the fields that have to change are written anew; all else is copied as it is. As in `onnx-file`, what is read here
 * is hostile until proven otherwise.
 */
import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { bytesField, Cursor, intField, Malformed, messageHeader, textField } from './protobuf.js';

/** A model without its ZipMaps. */
export interface Rewritten {
  readonly bytes: Uint8Array;
  /** The class labels of each output that was a ZipMap's, in the order of its elements. */
  readonly labels: ReadonlyMap<string, readonly string[]>;
}

/** Bytes of the file from `start` up to `end`. */
interface Range {
  readonly start: number;
  readonly end: number;
}

/** A node that may stand between a matrix and an output; its range begins at the tag. */
interface Link extends Range {
  readonly op: 'ZipMap' | 'Identity';
  readonly content: number;
  readonly inputs: readonly string[];
  readonly outputs: readonly string[];
}

/** An output or a declared value of the graph; its range begins at the tag. */
interface Named extends Range {
  readonly content: number;
  readonly name: string;
}

interface Graph extends Range {
  readonly content: number;
  readonly links: readonly Link[];
  readonly outputs: readonly Named[];
  readonly values: readonly Named[];
}

interface Model {
  readonly graphs: readonly Graph[];
  readonly hasOnnxOperators: boolean;
}

/** What stands instead of a range. */
interface Edit extends Range {
  readonly bytes: Uint8Array;
}

/** ONNX files end here: protobuf counts a message's bytes in 31 bits. */
const LARGEST = 2 ** 31 - 1;

/**
 * The model in a file without the ZipMaps of its outputs; undefined when it has none. Memory holds the new model once, and
 * of a file without ZipMap only a window. Throws `Malformed`, and the errors of the file system.
 */
export function withoutZipMaps(path: string): Rewritten | undefined {
  const fd = openSync(path, 'r');
  try {
    const { size } = fstatSync(fd);
    if (size > LARGEST) return undefined;
    const cursor = new Cursor(fd, size);
    const model = readModel(cursor, size);
    if (!model.graphs.some(({ links }) => links.some(({ op }) => op === 'ZipMap')))
      return undefined;
    const [graph] = model.graphs;
    // Protobuf merges messages that are there twice; no exporter writes such a file.
    if (graph === undefined || model.graphs.length > 1) throw new Malformed('two graphs');
    const { edits, labels } = plan(cursor, fd, graph);
    if (labels.size === 0) return undefined;
    const bytes = assemble(fd, size, { graph, edits, addOperators: !model.hasOnnxOperators });
    return { bytes, labels };
  } finally {
    closeSync(fd);
  }
}

// Field numbers are those of `onnx/onnx.proto3`, as in `onnx-file`.

function readModel(cursor: Cursor, end: number): Model {
  const graphs: Graph[] = [];
  let hasOnnxOperators = false;
  cursor.message(end, {
    bytes: {
      7: (e, start) => graphs.push(readGraph(cursor, { start, end: e })),
      8: (e) => {
        const domain = cursor.message(e, { texts: [1] }).texts[1] ?? '';
        if (domain === '' || domain === 'ai.onnx') hasOnnxOperators = true;
      },
    },
  });
  return { graphs, hasOnnxOperators };
}

function readGraph(cursor: Cursor, range: Range): Graph {
  const content = cursor.position;
  const links: Link[] = [];
  const outputs: Named[] = [];
  const values: Named[] = [];
  cursor.message(range.end, {
    bytes: {
      1: (end, start) => {
        const link = readLink(cursor, { start, end });
        if (link !== undefined) links.push(link);
      },
      12: (end, start) => outputs.push(readNamed(cursor, { start, end })),
      13: (end, start) => values.push(readNamed(cursor, { start, end })),
    },
  });
  return { ...range, content, links, outputs, values };
}

function readNamed(cursor: Cursor, range: Range): Named {
  const content = cursor.position;
  return { ...range, content, name: cursor.message(range.end, { texts: [1] }).texts[1] ?? '' };
}

function readLink(cursor: Cursor, range: Range): Link | undefined {
  const content = cursor.position;
  const inputs: string[] = [];
  const outputs: string[] = [];
  const { texts } = cursor.message(range.end, {
    texts: [4, 7],
    bytes: {
      1: (end) => inputs.push(cursor.text(end)),
      2: (end) => outputs.push(cursor.text(end)),
    },
  });
  const domain = texts[7] ?? '';
  if (texts[4] === 'ZipMap' && domain === 'ai.onnx.ml')
    return { ...range, op: 'ZipMap', content, inputs, outputs };
  if (texts[4] === 'Identity' && (domain === '' || domain === 'ai.onnx'))
    return { ...range, op: 'Identity', content, inputs, outputs };
  return undefined;
}

/** What has to change in the graph, and the labels of the outputs that become tensors. */
function plan(
  cursor: Cursor,
  fd: number,
  graph: Graph,
): { edits: Edit[]; labels: Map<string, readonly string[]> } {
  const makers = new Map(
    graph.links.flatMap((link) =>
      link.outputs.length === 1 && link.inputs.length === 1 ? [[link.outputs[0]!, link]] : [],
    ) as [string, Link][],
  );
  const labels = new Map<string, readonly string[]>();
  const zips = new Map<Link, readonly string[]>();
  const retyped = new Set<string>();
  for (const { name } of graph.outputs) {
    const names = wayBack(name, makers);
    const zip = makers.get(names.at(-1)!);
    if (zip?.op !== 'ZipMap') continue;
    const known = zips.get(zip) ?? readLabels(cursor, zip);
    // ONNX Runtime refuses a ZipMap without labels, and says so.
    if (known.length === 0) continue;
    zips.set(zip, known);
    labels.set(name, known);
    for (const on of names) retyped.add(on);
  }
  const edits: Edit[] = [
    ...[...zips.keys()].map((zip) => ({ ...rangeOf(zip), bytes: identityOf(cursor, fd, zip) })),
    ...graph.outputs
      .filter(({ name }) => retyped.has(name))
      .map((output) => ({ ...rangeOf(output), bytes: tensorOutput(cursor, fd, output) })),
    // What is declared of a value between is its old type.
    ...graph.values
      .filter(({ name }) => retyped.has(name))
      .map((value) => ({ ...rangeOf(value), bytes: new Uint8Array() })),
  ];
  return { edits: edits.sort((a, b) => a.start - b.start), labels };
}

function rangeOf({ start, end }: Range): Range {
  return { start, end };
}

/** The names from an output back through Identity nodes, up to one that no Identity makes. */
function wayBack(output: string, makers: ReadonlyMap<string, Link>): string[] {
  const names = new Set([output]);
  let link = makers.get(output);
  while (link?.op === 'Identity' && !names.has(link.inputs[0]!)) {
    names.add(link.inputs[0]!);
    link = makers.get(link.inputs[0]!);
  }
  return [...names];
}

function readLabels(cursor: Cursor, zip: Link): string[] {
  const texts: string[] = [];
  const numbers: string[] = [];
  const attribute = (end: number): void => {
    const start = cursor.position;
    const name = cursor.message(end, { texts: [1] }).texts[1];
    cursor.moveTo(start);
    if (name === 'classlabels_strings')
      cursor.message(end, { bytes: { 9: (e) => texts.push(cursor.text(e)) } });
    if (name === 'classlabels_int64s')
      cursor.message(end, { each: { 8: (value) => numbers.push(String(value)) } });
  };
  cursor.moveTo(zip.content);
  cursor.message(zip.end, { bytes: { 5: attribute } });
  return texts.length > 0 ? texts : numbers;
}

/** The ZipMap as an Identity: its inputs, outputs and name as they are. */
function identityOf(cursor: Cursor, fd: number, zip: Link): Uint8Array {
  const fields = fieldsOf(cursor, fd, zip, [1, 2, 3]);
  return bytesField(1, ...fields, textField(4, 'Identity'));
}

/** An output as it is, but for its type: a tensor of floats of any shape. */
function tensorOutput(cursor: Cursor, fd: number, output: Named): Uint8Array {
  const fields = fieldsOf(cursor, fd, output, [1, 3, 4]);
  return bytesField(12, ...fields, bytesField(2, bytesField(1, intField(1, FLOAT))));
}

/** TensorProto.DataType. */
const FLOAT = 1;

/** Some fields of a message as they are in the file. */
function fieldsOf(
  cursor: Cursor,
  fd: number,
  message: Range & { readonly content: number },
  numbers: readonly number[],
): Uint8Array[] {
  const fields: Uint8Array[] = [];
  const copy = (end: number, start: number): void => {
    const bytes = new Uint8Array(end - start);
    readInto(fd, bytes, start);
    fields.push(bytes);
  };
  cursor.moveTo(message.content);
  cursor.message(message.end, { bytes: Object.fromEntries(numbers.map((n) => [n, copy])) });
  return fields;
}

/** The operator set of Identity, where a model has only those of machine learning. */
const OPERATORS = bytesField(8, textField(1, ''), intField(2, 13));

function assemble(
  fd: number,
  size: number,
  change: { graph: Graph; edits: readonly Edit[]; addOperators: boolean },
): Uint8Array {
  const { graph, edits } = change;
  const delta = edits.reduce((sum, { start, end, bytes }) => sum + bytes.length - end + start, 0);
  const header = messageHeader(7, graph.end - graph.content + delta);
  const after = change.addOperators ? OPERATORS : new Uint8Array();
  const all = [{ start: graph.start, end: graph.content, bytes: header }, ...edits];
  const growth = all.reduce((sum, { start, end, bytes }) => sum + bytes.length - end + start, 0);
  const target = new Uint8Array(size + growth + after.length);
  let from = 0;
  let to = 0;
  for (const { start, end, bytes } of all) {
    readInto(fd, target.subarray(to, to + start - from), from);
    to += start - from;
    target.set(bytes, to);
    to += bytes.length;
    from = end;
  }
  readInto(fd, target.subarray(to, to + size - from), from);
  target.set(after, to + size - from);
  return target;
}

/** Fills an array with the bytes of the file from `start` on. */
function readInto(fd: number, target: Uint8Array, start: number): void {
  let done = 0;
  while (done < target.length) {
    const got = readSync(fd, target, done, target.length - done, start + done);
    if (got === 0) throw new Malformed('became shorter while it was read');
    done += got;
  }
}
