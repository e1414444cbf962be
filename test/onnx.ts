/** Writes small ONNX models for tests, by hand: fields as in onnx.proto3. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { makeFolder } from './scoreline.js';

/** TensorProto.DataType, by the names that ONNX gives them. */
export const ELEMENT = {
  float: 1,
  uint8: 2,
  int32: 6,
  int64: 7,
  string: 8,
  bool: 9,
  float16: 10,
  double: 11,
  bfloat16: 16,
} as const;

/** A protobuf number without its tag. */
export function varint(value: number | bigint): Buffer {
  const bytes: number[] = [];
  let rest = BigInt.asUintN(64, BigInt(value));
  for (; rest > 0x7fn; rest >>= 7n) bytes.push(Number(rest & 0x7fn) | 0x80);
  return Buffer.from([...bytes, Number(rest)]);
}

/** A field that holds a number. */
export const int = (field: number, value: number | bigint): Buffer =>
  Buffer.concat([varint(field * 8), varint(value)]);

/** A field that holds a text, bytes or a message. */
export function part(field: number, ...content: (Buffer | string)[]): Buffer {
  const bytes = Buffer.concat(content.map((c) => (typeof c === 'string' ? Buffer.from(c) : c)));
  return Buffer.concat([varint(field * 8 + 2), varint(bytes.length), bytes]);
}

type Dimension = number | string;

const tensorType = (element: keyof typeof ELEMENT, shape: readonly Dimension[]): Buffer =>
  part(
    1,
    int(1, ELEMENT[element]),
    part(2, ...shape.map((d) => part(1, typeof d === 'number' ? int(1, d) : part(2, d)))),
  );

/** A tensor as an input or output declares it. */
export const tensor = (
  name: string,
  element: keyof typeof ELEMENT,
  shape: readonly Dimension[],
): Buffer => Buffer.concat([part(1, name), part(2, tensorType(element, shape))]);

/** A tensor of floats whose shape is not declared. */
export const shapeless = (name: string): Buffer =>
  Buffer.concat([part(1, name), part(2, part(1, int(1, ELEMENT.float)))]);

/** A sequence of maps from class label to probability. */
export const maps = (name: string, key: 'string' | 'int64'): Buffer =>
  Buffer.concat([
    part(1, name),
    part(
      2,
      part(4, part(1, part(5, int(1, ELEMENT[key]), part(2, part(1, int(1, ELEMENT.float)))))),
    ),
  ]);

/** A sequence of tensors of floats. */
export const sequence = (name: string): Buffer =>
  Buffer.concat([part(1, name), part(2, part(4, part(1, part(1, int(1, ELEMENT.float)))))]);

/** An attribute: whole numbers or texts. */
export function attribute(name: string, value: readonly (number | bigint)[] | string[]): Buffer {
  const isText = typeof value[0] === 'string';
  const values = (value as (number | bigint | string)[]).map((v) =>
    typeof v === 'string' ? part(9, v) : int(8, v),
  );
  return part(5, part(1, name), ...values, int(20, isText ? 8 : 7));
}

/** An attribute that holds one whole number. */
export const number = (name: string, value: number): Buffer =>
  part(5, part(1, name), int(3, value), int(20, 2));

/** An attribute that is a tensor. */
export const tensorAttribute = (name: string, value: Buffer): Buffer =>
  part(5, part(1, name), part(5, value), int(20, 4));

/** A node: operator (`domain.Name` for one of another domain), inputs, outputs, attributes. */
export function node(
  op: string,
  inputs: readonly string[],
  outputs: readonly string[],
  ...attributes: Buffer[]
): Buffer {
  const dot = op.lastIndexOf('.');
  return Buffer.concat([
    ...inputs.map((name) => part(1, name)),
    ...outputs.map((name) => part(2, name)),
    part(4, op.slice(dot + 1)),
    ...attributes,
    ...(dot < 0 ? [] : [part(7, op.slice(0, dot))]),
  ]);
}

/** A constant tensor of numbers. */
export function constant(
  name: string,
  element: 'float' | 'double' | 'uint8' | 'int64',
  shape: readonly number[],
  values: readonly number[],
): Buffer {
  const arrays = {
    float: () => Float32Array.from(values),
    double: () => Float64Array.from(values),
    uint8: () => Uint8Array.from(values),
    int64: () => BigInt64Array.from(values, BigInt),
  };
  const raw = Buffer.from(arrays[element]().buffer);
  return Buffer.concat([
    ...shape.map((d) => int(1, d)),
    int(2, ELEMENT[element]),
    part(8, name),
    part(9, raw),
  ]);
}

/** What a model consists of. */
export interface ModelParts {
  readonly inputs: readonly Buffer[];
  readonly outputs: readonly Buffer[];
  readonly nodes: readonly Buffer[];
  readonly constants?: readonly Buffer[];
  /** Fields of the graph that follow the others, and of the model. */
  readonly more?: readonly Buffer[];
  readonly after?: readonly Buffer[];
  readonly opset?: number;
  /** The version of the operators of ai.onnx.ml: 2 unless it is given. */
  readonly ml?: number;
  /** Without the operators of ONNX itself. */
  readonly onlyMl?: boolean;
}

/** The bytes of a model. */
export function modelBytes(parts: ModelParts): Buffer {
  const { inputs, outputs, nodes, constants = [], more = [], after = [] } = parts;
  const { opset = 13, ml = 2 } = parts;
  const graph = [
    ...nodes.map((n) => part(1, n)),
    part(2, 'graph'),
    ...constants.map((c) => part(5, c)),
    ...inputs.map((i) => part(11, i)),
    ...outputs.map((o) => part(12, o)),
    ...more,
  ];
  return Buffer.concat([
    int(1, 8),
    part(2, 'test'),
    part(7, ...graph),
    ...(parts.onlyMl ? [] : [part(8, part(1, ''), int(2, opset))]),
    part(8, part(1, 'ai.onnx.ml'), int(2, ml)),
    ...after,
  ]);
}

/** Writes a model to a folder of its own, and gives its path. */
export function writeModel(parts: ModelParts, name = 'model'): string {
  const path = join(makeFolder(), `${name}.onnx`);
  writeFileSync(path, modelBytes(parts));
  return path;
}
