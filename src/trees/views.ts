/**
 * What an ensemble's features are: columns of the model's own inputs, as long as nothing on the way changes a value, or of one
 * matrix that ONNX Runtime makes. On the way may stand what only moves columns (Concat, Gather, ArrayFeatureExtractor), what does
 * nothing (Identity, a Cast to the type that is there, multiplication by 1) and one Cast to the type that the ensemble compares.
 */
import { attributeInt, attributeName } from '../base/onnx-attribute.js';
import type { GraphNode, OnnxGraph } from '../base/onnx-graph.js';
import { DOUBLE, FLOAT, INT32, INT64, tensorOf } from '../base/onnx-tensor.js';
import type { Precision } from './floats.js';

/** What elements a column of features may have. */
export type FeatureElement = Precision | 'int64' | 'int32';

/** One column of a value: of an input of the model, or of what a part of it makes. */
export interface FeaturePlace {
  readonly value: string;
  readonly column: number;
  readonly element: FeatureElement;
}

/** The columns of a matrix; of `open` nobody knows how many it has, and they are those of one value, in their order. */
export type FeatureView =
  | { readonly open: string; readonly element: FeatureElement }
  | { readonly columns: readonly FeaturePlace[] };

/** Where a feature of an ensemble stands. */
export function placeOf(view: FeatureView, feature: number): FeaturePlace {
  if ('open' in view) return { value: view.open, column: feature, element: view.element };
  const place = view.columns[feature];
  if (place === undefined) throw new RangeError(`there is no feature ${feature}`);
  return place;
}

/** What an ensemble looks at, and what it compares it as. */
export interface Features {
  readonly view: FeatureView;
  readonly precision: Precision;
  /** What its node takes: that precision, or whole numbers. */
  readonly taken: FeatureElement;
}

/** A graph and which node makes which value. */
export interface Wiring {
  readonly graph: OnnxGraph;
  readonly makers: ReadonlyMap<string, GraphNode>;
}

const ELEMENTS: ReadonlyMap<number, FeatureElement> = new Map([
  [FLOAT, 'float32'],
  [DOUBLE, 'float64'],
  [INT64, 'int64'],
  [INT32, 'int32'],
]);

/** The element type with a number of TensorProto.DataType, if features may have it. */
export function featureElement(type: number): FeatureElement | undefined {
  return ELEMENTS.get(type);
}

/** The number of an element type in TensorProto.DataType. */
export function elementNumber(element: FeatureElement): number {
  return [...ELEMENTS].find(([, each]) => each === element)![0];
}

/** What features of that type are compared as: ONNX Runtime makes 32-bit floats of whole numbers. */
export function precisionOf(element: FeatureElement): Precision {
  return element === 'float64' ? 'float64' : 'float32';
}

/** No exporter nests columns deeper; a graph that is not one may lead in a circle. */
const DEEPEST = 64;
/** More columns are left to ONNX Runtime to bring together. */
const MOST_COLUMNS = 65_536;

/** The columns of the model's inputs that a value consists of, unchanged but for one Cast; undefined where it is something else. */
export function featuresOf(wiring: Wiring, value: string): Features | undefined {
  const found = columnsOf(wiring, { value, casts: [], depth: 0 });
  if (found === undefined) return undefined;
  const taken = new Set(found.taken);
  const [element] = taken;
  if (element === undefined || taken.size > 1) return undefined;
  return { view: found.view, precision: precisionOf(element), taken: element };
}

interface Step {
  readonly value: string;
  /** The types that Casts between here and the ensemble make, the last one first. */
  readonly casts: readonly number[];
  readonly depth: number;
}

interface Found {
  readonly view: FeatureView;
  /** What elements the matrix has; more than one kind where it is none. */
  readonly taken: readonly FeatureElement[];
}

function columnsOf(wiring: Wiring, { value, casts, depth }: Step): Found | undefined {
  if (depth > DEEPEST) return undefined;
  const { graph, makers } = wiring;
  const node = makers.get(value);
  const onward = (name: string | undefined, more: readonly number[] = []): Found | undefined =>
    name === undefined
      ? undefined
      : columnsOf(wiring, { value: name, casts: [...casts, ...more], depth: depth + 1 });
  if (node === undefined) return inputColumns(graph, value, casts);
  const to = castTo(node);
  if (to !== undefined) return onward(node.inputs[0], [to]);
  const same = unchanged(graph, node);
  if (same !== undefined) return onward(same);
  const picked = pickedColumns(graph, node);
  if (picked !== undefined) {
    const found = onward(node.inputs[0]);
    return found && picking(found, picked);
  }
  if (!isConcat(node)) return undefined;
  const parts = node.inputs.map((name) => onward(name));
  const columns: FeaturePlace[] = [];
  for (const part of parts) {
    if (part === undefined || 'open' in part.view) return undefined;
    if (columns.length + part.view.columns.length > MOST_COLUMNS) return undefined;
    columns.push(...part.view.columns);
  }
  return { view: { columns }, taken: parts.flatMap((part) => part!.taken) };
}

function inputColumns(
  { inputs, initializers }: OnnxGraph,
  name: string,
  casts: readonly number[],
): Found | undefined {
  const input = inputs.get(name);
  if (input === undefined || initializers.has(name)) return undefined;
  const element = featureElement(input.element);
  const taken = element && castElement(element, [...casts].reverse());
  if (element === undefined || taken === undefined) return undefined;
  const { shape } = input;
  // That an input has two dimensions is asked where it is bound to columns.
  const width = shape?.length === 2 ? (shape[1] ?? undefined) : undefined;
  if (width === undefined || width > MOST_COLUMNS)
    return { view: { open: name, element }, taken: [taken] };
  const columns = Array.from({ length: width }, (_, column) => ({ value: name, column, element }));
  return { view: { columns }, taken: [taken] };
}

/** What comes of elements behind these Casts; undefined where there and back again would round, or round twice. */
function castElement(
  element: FeatureElement,
  casts: readonly number[],
): FeatureElement | undefined {
  const types = casts.map(featureElement);
  const first = types.findIndex((type) => type !== element);
  if (first < 0) return element;
  const [type] = types.slice(first);
  const isOne = types.slice(first).every((each) => each === type);
  return isOne && (type === 'float32' || type === 'float64') ? type : undefined;
}

function picking({ view, taken }: Found, picked: readonly number[]): Found | undefined {
  if ('open' in view) {
    const columns = picked.map((column) => ({ value: view.open, column, element: view.element }));
    return { view: { columns }, taken };
  }
  const columns = picked.map((column) => view.columns[column]);
  if (columns.some((column) => column === undefined)) return undefined;
  return { view: { columns: columns as FeaturePlace[] }, taken };
}

/** The columns that a node takes out of a matrix: Gather along the second dimension, or ArrayFeatureExtractor. */
function pickedColumns(
  { initializers }: OnnxGraph,
  { domain, op, inputs, attributes }: GraphNode,
): number[] | undefined {
  const isGather = domain === '' && op === 'Gather' && isAlongRows(attributes);
  if (!isGather && !(domain === ML && op === 'ArrayFeatureExtractor')) return undefined;
  const encoded = initializers.get(inputs[1] ?? '')?.();
  const tensor = encoded && tensorOf(encoded, { dimensions: isGather ? [1] : [1, 2] });
  if (!(tensor instanceof BigInt64Array)) return undefined;
  const picked = Array.from(tensor, Number);
  const isSound = picked.every((column) => column >= 0 && column < MOST_COLUMNS);
  return isSound && picked.length <= MOST_COLUMNS ? picked : undefined;
}

function isConcat({ domain, op, attributes }: GraphNode): boolean {
  return domain === '' && op === 'Concat' && isAlongRows(attributes);
}

/** Whether the axis of a node is the second, which is the last one of a matrix. */
function isAlongRows(attributes: GraphNode['attributes']): boolean {
  for (const bytes of attributes())
    if (attributeName(bytes) === 'axis') return [1n, -1n].includes(attributeInt(bytes) ?? 0n);
  return false;
}

const ML = 'ai.onnx.ml';

/** The type that a Cast makes; undefined for other nodes. */
export function castTo({ domain, op, attributes }: GraphNode): number | undefined {
  if (domain !== '' || op !== 'Cast') return undefined;
  for (const bytes of attributes())
    if (attributeName(bytes) === 'to') return Number(attributeInt(bytes) ?? 0n);
  return undefined;
}

/** The input that a node hands on as it is; undefined where it does anything. */
export function unchanged(
  { initializers }: OnnxGraph,
  { domain, op, inputs }: GraphNode,
): string | undefined {
  const [first = '', second = ''] = inputs;
  if (domain !== '') return undefined;
  if (op === 'Identity') return first;
  if (op !== 'Mul') return undefined;
  const isOne = (name: string): boolean => {
    const encoded = initializers.get(name)?.();
    const tensor = encoded === undefined ? undefined : tensorOf(encoded);
    return (
      (tensor instanceof Float32Array || tensor instanceof Float64Array) &&
      tensor.length === 1 &&
      tensor[0] === 1
    );
  };
  if (isOne(second)) return first;
  return isOne(first) ? second : undefined;
}
