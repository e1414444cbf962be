/**
 * Writes some nodes of a model as a model of their own: with the initializers, operator sets, functions and metadata of the whole.
 * Field numbers are those of `onnx/onnx.proto3`, as in `onnx-file`.
 */
import type { Declared, GraphNode, OnnxGraph } from './onnx-graph.js';
import { bytesField, intField, textField } from './protobuf.js';

/**
 * What crosses from another part into this one: its TensorProto.DataType, and its dimensions, null where they have no fixed size;
 * undefined where nothing is known of them.
 */
export interface Crossing {
  readonly element: number;
  readonly shape: readonly (number | null)[] | undefined;
}

/** A part of a model. Memory holds its nodes and initializers, encoded; the file may be closed. */
export interface ModelPart {
  /** How many nodes it has. */
  readonly nodes: number;
  /** The inputs of the whole model that it needs. */
  readonly inputs: readonly string[];
  /** The values from other parts that it needs. */
  readonly crossing: readonly string[];
  readonly outputs: readonly string[];
  /** The bytes of the model; `types` says what crosses into it, by name. */
  readonly bytes: (types: ReadonlyMap<string, Crossing>) => Uint8Array;
}

/** Every name that a node looks at. */
export function readsOf({ inputs, captures }: GraphNode): string[] {
  return [...inputs, ...captures].filter((name) => name !== '');
}

/** The part of a model that consists of some of its nodes, in their order, and gives some of the values that they make. */
export function partOf(
  graph: OnnxGraph,
  nodes: readonly GraphNode[],
  outputs: readonly string[],
): ModelPart {
  const { initializers, declared } = graph;
  const made = new Set(nodes.flatMap((node) => node.outputs));
  const read = new Set([...nodes.flatMap(readsOf), ...outputs].filter((name) => !made.has(name)));
  const isConstant = (name: string): boolean => initializers.has(name) || declared.sparse.has(name);
  const makers = new Set(graph.nodes.flatMap((node) => node.outputs));
  const crossing = [...read].filter((name) => makers.has(name));
  const own = [...read].filter((name) => graph.inputs.has(name));
  const fields = [
    ...nodes.map((node) => bytesField(1, node.encoded())),
    textField(2, 'part'),
    ...encoded(5, [...read], initializers),
    ...encoded(15, [...read], declared.sparse),
    // An input that is an initializer as well is one: it stays what it is, neither more nor less constant.
    ...encoded(11, own, declared.inputs),
    ...outputs.map((name) => bytesField(12, outputOf(name, declared))),
    ...encoded(
      13,
      [...made].filter((name) => !outputs.includes(name)),
      declared.values,
    ),
  ];
  const around = declared.model();
  return {
    nodes: nodes.length,
    inputs: own.filter((name) => !isConstant(name)),
    crossing,
    outputs,
    bytes: (types) =>
      Buffer.concat([
        ...around,
        bytesField(7, ...fields, ...crossing.map((name) => crossingInput(name, types.get(name)))),
      ]),
  };
}

/** The declaration of an output; what is not said of it, ONNX Runtime finds out. */
function outputOf(name: string, { outputs, values }: Declared): Uint8Array {
  return outputs.get(name)?.() ?? values.get(name)?.() ?? textField(1, name);
}

function encoded(
  field: number,
  names: readonly string[],
  from: ReadonlyMap<string, () => Uint8Array>,
): Uint8Array[] {
  return names.flatMap((name) => {
    const bytes = from.get(name)?.();
    return bytes === undefined ? [] : [bytesField(field, bytes)];
  });
}

/** The declaration of a value from another part as an input. */
function crossingInput(name: string, type: Crossing | undefined): Uint8Array {
  if (type === undefined) throw new TypeError(`nothing is known of the value "${name}"`);
  const sizes = type.shape?.map((size) =>
    bytesField(1, ...(size === null ? [] : [intField(1, size)])),
  );
  const shape = sizes === undefined ? [] : [bytesField(2, ...sizes)];
  const tensor = bytesField(1, intField(1, type.element), ...shape);
  return bytesField(11, textField(1, name), bytesField(2, tensor));
}
