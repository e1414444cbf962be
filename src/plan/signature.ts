/** How columns meet a model: which column feeds which input, and which output becomes which prediction column. */

import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import type { FileStamp } from '../base/hash.js';
import type { TensorElement, TensorSpec } from '../base/onnx.js';
import type { PartitionValue, SchemaColumn } from './dataset.js';
import type { JobColumn, JobFeatures } from './job.js';

/** What a worker found out about a model. */
export interface ModelFacts {
  /** The SHA-256 of the model file and of its external data files, in order. */
  readonly sha256: readonly string[];
  /** Those files, and what they were when they were hashed. */
  readonly files: readonly { readonly path: string; readonly stamp: FileStamp }[];
  readonly bytes: number;
  /** The device it was loaded on, and why not on a better one. */
  readonly device: string;
  readonly deviceNote: string | undefined;
  readonly inputs: readonly TensorSpec[];
  readonly outputs: readonly OutputFacts[];
  /** Whether the graph only holds operators whose rows are cheap and independent (trees, linear models …). */
  readonly rowwise: boolean;
}

/** An output as a trial run of the model gave it, or else as the model declares it. */
export interface OutputFacts {
  readonly name: string;
  /** undefined for what is no tensor. */
  readonly element: TensorElement | undefined;
  /** Elements a row: 1 for shapes [N] and [N, 1], K for [N, K]; undefined when it cannot be known. */
  readonly width: number | undefined;
  /** Whether a row's elements are a list even when there is one of them. */
  readonly problem: string | undefined;
}

/** One model input and the columns that feed it, in order. */
export interface InputBinding {
  readonly name: string;
  readonly element: TensorElement;
  /** 1 for shape [N], 2 for [N, F]. */
  readonly rank: 1 | 2;
  readonly columns: readonly string[];
}

/** One prediction column and where it comes from. */
export interface OutputBinding {
  /** Its name in the published data. */
  readonly column: string;
  /** The model's output. */
  readonly output: string;
  readonly element: TensorElement;
  /** Elements a row of the model's output. */
  readonly width: number;
  /** Which of them this column holds; undefined for all. */
  readonly index: number | undefined;
}

/** Everything that scoring needs to know of the model's signature. */
export interface Binding {
  readonly inputs: readonly InputBinding[];
  readonly outputs: readonly OutputBinding[];
  /** The model's own fixed batch size; undefined when it takes any number of rows. */
  readonly fixedBatch: number | undefined;
}

/** The part of a job that binding looks at. */
export interface BindingRequest {
  readonly features: JobFeatures;
  /** Empty: every output under its own name. */
  readonly columns: readonly JobColumn[];
  /** Names the model in messages. */
  readonly shownAs: string;
}

/** Binds columns to a model's inputs and outputs. Throws `model` with every mismatch, one a line. */
export function bindModel(model: ModelFacts, request: BindingRequest): Binding {
  const problems: string[] = [];
  const inputs = bindInputs(model.inputs, request.features, problems);
  const fixedBatch = fixedBatchOf(model.inputs, problems);
  const outputs = bindOutputs(model.outputs, request.columns, problems);
  if (problems.length > 0) {
    throw new ScorelineError(
      'model',
      problems.map((problem) => `model ${request.shownAs}: ${problem}`).join('\n'),
    );
  }
  return { inputs, outputs, fixedBatch };
}

function bindInputs(
  specs: readonly TensorSpec[],
  features: JobFeatures,
  problems: string[],
): InputBinding[] {
  const names = specs.map(({ name }) => name);
  if (features.by === 'list' && specs.length !== 1) {
    problems.push(
      `features is a list, but the model has ${specs.length} inputs (${quoteAll(names)}); give a map of input -> column`,
    );
    return [];
  }
  const mapped = new Map(
    features.by === 'map' ? features.inputs.map(({ input, column }) => [input, column]) : [],
  );
  for (const name of mapped.keys()) {
    if (!names.includes(name)) {
      problems.push(`features: the model has no input "${shown(name)}"${didYouMean(name, names)}`);
    }
  }
  return specs.flatMap((spec) => {
    const columns =
      features.by === 'list' ? features.columns : [mapped.get(spec.name) ?? spec.name];
    return bindInput(spec, columns, features.by === 'list', problems) ?? [];
  });
}

function bindInput(
  spec: TensorSpec,
  columns: readonly string[],
  listed: boolean,
  problems: string[],
): InputBinding | undefined {
  const subject = `input "${shown(spec.name)}"`;
  const shape = shapeText(spec);
  if (spec.element === undefined) {
    problems.push(`${subject} is not a tensor`);
    return undefined;
  }
  if (spec.element === 'float16') {
    problems.push(`${subject} is float16, which is not supported yet`);
    return undefined;
  }
  const rank = spec.shape.length;
  if (rank === 0) {
    problems.push(`${subject} has no batch dimension (shape []); a model must take rows`);
    return undefined;
  }
  if (rank > 2) {
    problems.push(`${subject} has shape ${shape}; only [N] and [N, F] inputs are supported yet`);
    return undefined;
  }
  const width = rank === 1 ? 1 : spec.shape[1]!;
  if (
    rank === 1 &&
    typeof spec.shape[0] === 'number' &&
    listed &&
    columns.length === spec.shape[0]
  ) {
    problems.push(`${subject} has shape ${shape}: no batch dimension, it takes one row only`);
    return undefined;
  }
  if (typeof width === 'number' && width !== columns.length) {
    problems.push(
      listed
        ? `${subject} has shape ${shape}, but features lists ${columns.length} columns`
        : `${subject} has shape ${shape}: list its ${width} columns under features, in order`,
    );
    return undefined;
  }
  if (typeof width === 'string' && !listed) {
    problems.push(`${subject} has shape ${shape}: list its columns under features, in order`);
    return undefined;
  }
  return { name: spec.name, element: spec.element, rank: rank === 1 ? 1 : 2, columns };
}

/** The batch size that a model insists on: all inputs must agree. */
function fixedBatchOf(specs: readonly TensorSpec[], problems: string[]): number | undefined {
  const sizes = new Set(
    specs.map(({ shape }) => shape[0]).filter((size) => typeof size === 'number'),
  );
  if (sizes.size > 1) {
    problems.push(`its inputs have different fixed batch sizes: ${[...sizes].join(', ')}`);
  }
  const [size] = sizes;
  if (size === 0) problems.push('its batch dimension is 0');
  return size;
}

function bindOutputs(
  outputs: readonly OutputFacts[],
  columns: readonly JobColumn[],
  problems: string[],
): OutputBinding[] {
  const names = outputs.map(({ name }) => name);
  if (columns.length === 0) {
    const tensors = outputs.filter(({ element }) => element !== undefined);
    if (tensors.length === 0) problems.push('none of its outputs is a tensor');
    return tensors.flatMap((output) => bindOutput(output, output.name, undefined, problems));
  }
  return columns.flatMap(({ name: column, output: name, element }) => {
    const output = outputs.find((candidate) => candidate.name === name);
    if (output === undefined) {
      problems.push(
        `output.columns: the model has no output "${shown(name)}"${didYouMean(name, names)}; it has ${quoteAll(names)}`,
      );
      return [];
    }
    return bindOutput(output, column, element, problems);
  });
}

function bindOutput(
  output: OutputFacts,
  column: string,
  wanted: string | undefined,
  problems: string[],
): OutputBinding[] {
  const subject = `output "${shown(output.name)}"`;
  const { element, width } = output;
  if (output.problem !== undefined) {
    problems.push(`${subject} ${output.problem}`);
    return [];
  }
  if (element === undefined) {
    problems.push(`${subject} is a sequence or map, not a tensor`);
    return [];
  }
  if (element === 'float16') {
    problems.push(`${subject} is float16, which is not supported yet`);
    return [];
  }
  if (width === undefined) {
    problems.push(
      `${subject} declares no shape of one or two dimensions, and a trial run did not tell it`,
    );
    return [];
  }
  if (wanted === undefined)
    return [{ column, output: output.name, element, width, index: undefined }];
  const index = /^(?:0|[1-9]\d*)$/.test(wanted) ? Number(wanted) : width;
  if (index >= width) {
    problems.push(`${subject} has elements 0 to ${width - 1} a row, not "${shown(wanted)}"`);
    return [];
  }
  return [{ column, output: output.name, element, width, index }];
}

function quoteAll(names: readonly string[]): string {
  return names.map((name) => `"${shown(name)}"`).join(', ');
}

/** A shape as people write it, with N for a nameless dimension. */
export function shapeText(spec: TensorSpec): string {
  return `[${spec.shape.map((size) => (size === '' ? 'N' : shown(String(size)))).join(', ')}]`;
}

/** How a column gets to the element type that an input wants. */
export type CastKind =
  /** DuckDB hands the column out as it is; its element type converts to the input's in TypeScript. */
  | 'native'
  /** SQL casts it first, and tells where that lost something. */
  | 'sql'
  /** Text that has to be read as a value. */
  | 'text';

/** The type of a decimal of more than 38 digits: DuckDB would read other values from it. */
export const UNREADABLE_DECIMAL = 'DECIMAL of more than 38 digits';

const INTEGERS = [
  'TINYINT',
  'SMALLINT',
  'INTEGER',
  'BIGINT',
  'UTINYINT',
  'USMALLINT',
  'UINTEGER',
  'UBIGINT',
];
const FLOATS = ['FLOAT', 'DOUBLE'];

/** How a column of a DuckDB type may feed an input of an element type; undefined when it may not. */
export function castKind(sqlType: string, element: TensorElement): CastKind | undefined {
  const wide = /^DECIMAL\(\d+,\d+\)$|^U?HUGEINT$/.test(sqlType);
  if (element === 'utf8') {
    if (sqlType === 'VARCHAR') return 'native';
    return /^ENUM\(.*\)$|^UUID$/s.test(sqlType) ? 'sql' : undefined;
  }
  if (element === 'bool') return sqlType === 'BOOLEAN' ? 'native' : undefined;
  if (sqlType === 'BOOLEAN' || INTEGERS.includes(sqlType) || FLOATS.includes(sqlType))
    return 'native';
  return wide ? 'sql' : undefined;
}

/** A column by its exact name: from the file, or from the partition's folder. */
export interface ColumnSource {
  readonly name: string;
  readonly type: string;
  /** Its value comes from the folder's name. */
  readonly partition: boolean;
  /** Its value is written as text, in a folder's name or a CSV file: `type` is what the job says it is, else VARCHAR. */
  readonly written: boolean;
}

/** The type that a job gives to a column that is stored as text. */
export interface ColumnType {
  readonly column: string;
  readonly type: string;
}

/**
 * All columns of a file: its own, which in a `csv` are text that `types` say how to read, then those of its partition.
 * Throws `input` when one hides another.
 */
export function columnsOfFile(
  path: string,
  schema: readonly SchemaColumn[],
  partition: readonly PartitionValue[],
  types: readonly ColumnType[],
  csv: boolean,
): ColumnSource[] {
  const typeOf = (name: string): string =>
    types.find(({ column }) => column === name)?.type ?? 'VARCHAR';
  const own = schema.map(({ name, type }) => ({
    name,
    type: csv ? typeOf(name) : type,
    partition: false,
    written: csv,
  }));
  for (const { name } of partition) {
    const twin = own.find((column) => column.name.toLowerCase() === name.toLowerCase());
    if (twin !== undefined) {
      throw new ScorelineError(
        'input',
        `${shown(path)}: column "${shown(twin.name)}" is in the file and in its folder's name; rename one of them`,
      );
    }
  }
  return [
    ...own,
    ...partition.map(({ name }) => ({
      name,
      type: typeOf(name),
      partition: true,
      written: true,
    })),
  ];
}

/** What stands against feeding the model from a file's columns: one text for each column that does not fit. */
export function columnProblems(
  columns: readonly ColumnSource[],
  binding: Binding,
  keep: readonly string[],
): string[] {
  const byName = new Map(columns.map((column) => [column.name, column]));
  const names = columns.map(({ name }) => name);
  const missing = (name: string): string =>
    `has no column "${shown(name)}"${didYouMean(name, names)}`;
  const problems: string[] = [];
  for (const input of binding.inputs) {
    for (const name of input.columns) {
      const column = byName.get(name);
      if (column === undefined) {
        problems.push(missing(name));
      } else if (castFor(column, input.element) === undefined) {
        problems.push(
          `column "${shown(name)}" is ${shown(column.type)}, model input "${shown(input.name)}" expects ${input.element === 'utf8' ? 'text' : input.element}`,
        );
      }
    }
  }
  for (const name of keep) {
    const type = byName.get(name)?.type;
    if (type === undefined) problems.push(missing(name));
    else if (type === UNREADABLE_DECIMAL) {
      problems.push(`column "${shown(name)}" is a ${UNREADABLE_DECIMAL}, which cannot be read`);
    }
  }
  return [...new Set(problems)];
}

/** How a column of a file or partition feeds an input: what is written as text may be read as a value. */
export function castFor(column: ColumnSource, element: TensorElement): CastKind | undefined {
  if (column.written && column.type === 'VARCHAR' && element !== 'utf8') return 'text';
  return castKind(column.type, element);
}

/**
 * The one type that holds every value of two, unchanged: the wider of two integers or floats, DOUBLE for integers up to
 * 32 bits beside floating point. undefined when there is none.
 */
export function unifiedType(a: string, b: string): string | undefined {
  if (a === b) return a;
  const integers = [a, b].filter((type) => INTEGERS.includes(type));
  const floats = [a, b].filter((type) => FLOATS.includes(type));
  if (integers.length === 2) return widerInteger(a, b);
  if (floats.length === 2) return 'DOUBLE';
  const [integer] = integers;
  return floats.length === 1 && integer !== undefined && !integer.endsWith('BIGINT')
    ? 'DOUBLE'
    : undefined;
}

function widerInteger(a: string, b: string): string | undefined {
  const bits = (type: string) => 8 << (INTEGERS.indexOf(type) & 3);
  const signed = (type: string) => INTEGERS.indexOf(type) < 4;
  const [narrow, wide] = bits(a) <= bits(b) ? [a, b] : [b, a];
  if (signed(a) === signed(b)) return wide;
  if (signed(wide) && bits(wide) > bits(narrow)) return wide;
  const need = 2 * bits(signed(narrow) ? wide : narrow);
  return INTEGERS.slice(0, 4).find((type) => bits(type) >= need);
}
