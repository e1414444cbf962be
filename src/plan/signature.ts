/** How columns meet a model: which column feeds which input, and which output becomes which prediction column. */

import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import type { FileStamp } from '../base/hash.js';
import type { TensorElement, TensorSpec } from '../base/onnx.js';
import type { SchemaColumn } from './dataset.js';
import type { JobColumn, JobFeatures } from './job.js';
import type { PartitionValue } from './partition.js';
import {
  bindOutputs,
  type OutputBinding,
  type OutputFacts,
  quoteAll,
  WIDTH_UNKNOWN,
} from './predictions.js';

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
  /** Inputs that the model has a default for: ONNX Runtime's Node binding cannot feed them. */
  readonly defaults?: readonly string[];
  readonly outputs: readonly OutputFacts[];
  /** The operators that draw random numbers. */
  readonly random: readonly string[];
  /** Whether the graph only holds operators whose rows are cheap and independent (trees, linear models …). */
  readonly rowwise: boolean;
  /** What scoreline's own engine for tree ensembles can do with it, or why nothing. */
  readonly trees: TreesFacts | { readonly why: string };
}

/** A model that the engine for tree ensembles can run. */
export interface TreesFacts {
  readonly trees: number;
  readonly leaves: number;
  /** The inputs that the trees look at themselves: what each holds, and the greatest number of a column of it that they use. */
  readonly inputs: readonly {
    readonly name: string;
    readonly element: 'float32' | 'float64' | 'int64' | 'int32';
    readonly lastColumn: number;
  }[];
  /** How many nodes ONNX Runtime runs before the trees, and how many behind them. */
  readonly before: number;
  readonly behind: number;
  /** The outputs that it gives. */
  readonly outputs: readonly string[];
  /** What both engines score before a run relies on it, besides rows of the run, in rows for all trees. */
  readonly madeUpRows: number;
}

/** One model input and the columns that feed it, in order. */
export interface InputBinding {
  readonly name: string;
  readonly element: TensorElement;
  /** 1 for shape [N], 2 for [N, F], more for tensors of lists. */
  readonly rank: number;
  readonly columns: readonly string[];
  /** Of an input that one column of lists feeds: the sizes of a row's dimensions, null where the model leaves it open. */
  readonly list?: readonly (number | null)[];
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
  /** Whether the model may draw random numbers. */
  readonly allowRandom: boolean;
  /** The columns that hold lists, in any file. */
  readonly listColumns?: ReadonlySet<string>;
}

/** Binds columns to a model's inputs and outputs. Throws `model` with every mismatch, one a line. */
export function bindModel(model: ModelFacts, request: BindingRequest): Binding {
  const problems: string[] = [];
  if (model.random.length > 0 && !request.allowRandom) {
    problems.push(
      `draws random numbers (${model.random.map((name) => shown(name)).join(', ')}), so that its scores are others each time; ` +
        'export it for inference, or set model.allow_random: true',
    );
  }
  const inputs = bindInputs(model, request, problems);
  const fixedBatch = fixedBatchOf(model.inputs, problems);
  const batchElements = inputs.reduce((sum, input) => sum + elementsPerRow(input), 0);
  if (fixedBatch !== undefined && fixedBatch * Math.max(1, batchElements) > BATCH_ELEMENTS) {
    problems.push(
      `its batch has ${fixedBatch} rows of ${batchElements} elements; at most ${BATCH_ELEMENTS} elements can be fed at a time`,
    );
  }
  const ofOutputs: string[] = [];
  const open = inputs.find(({ list }) => list?.includes(null));
  const spec = model.inputs.find(({ name }) => name === open?.name);
  const openList =
    spec === undefined ? undefined : `input "${shown(spec.name)}" has shape ${shapeText(spec)}`;
  const outputs = bindOutputs(model.outputs, request.columns, ofOutputs, openList);
  // That the width of an output is not known may follow from inputs that could not be tried.
  const isOwn = (problem: string): boolean =>
    problems.length === 0 || !problem.includes(WIDTH_UNKNOWN);
  problems.push(...ofOutputs.filter(isOwn));
  if (problems.length > 0) {
    throw new ScorelineError(
      'model',
      problems.map((problem) => `model ${request.shownAs}: ${problem}`).join('\n'),
    );
  }
  return { inputs, outputs, fixedBatch };
}

function bindInputs(
  { inputs: specs, defaults = [] }: ModelFacts,
  { features, listColumns = new Set() }: BindingRequest,
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
    if (defaults.includes(name)) {
      problems.push(
        `features: input "${shown(name)}" has a default in the model and cannot be fed; leave it out`,
      );
    } else if (!names.includes(name)) {
      problems.push(`features: the model has no input "${shown(name)}"${didYouMean(name, names)}`);
    }
  }
  return specs.flatMap((spec) => {
    const columns =
      features.by === 'list' ? features.columns : [mapped.get(spec.name) ?? spec.name];
    if (columns.length === 1 && spec.shape.length > 1 && listColumns.has(columns[0]!)) {
      return bindList(spec, columns, problems) ?? [];
    }
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
  const rank = spec.shape.length;
  if (spec.shapeless === true) {
    problems.push(`${subject} declares no shape; export the model with one, such as [N, F]`);
    return undefined;
  }
  if (rank === 0) {
    problems.push(`${subject} has no batch dimension (shape []); a model must take rows`);
    return undefined;
  }
  if (rank > 2) {
    const instead =
      columns.length === 1 ? `which "${shown(columns[0]!)}" is not` : `not ${columns.length}`;
    problems.push(
      `${subject} has shape ${shape}: give it one column of lists under features, ${instead}`,
    );
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
  return { name: spec.name, element: spec.element, rank, columns };
}

/** An input whose rows are the lists of one column. */
function bindList(
  { name, element, shape }: TensorSpec,
  columns: readonly string[],
  problems: string[],
): InputBinding | undefined {
  const subject = `input "${shown(name)}"`;
  const refuse = (problem: string): undefined => void problems.push(`${subject} ${problem}`);
  if (element === undefined) return refuse('is not a tensor');
  const list = shape.slice(1).map((size) => (typeof size === 'number' ? size : null));
  const text = shapeText({ name, element, shape });
  if (list.includes(0)) return refuse(`has shape ${text}: its rows have no elements`);
  if (list.length > 1 && list.includes(null)) {
    return refuse(
      `has shape ${text}: of the dimensions of a row none may be open; export the model with fixed sizes`,
    );
  }
  return { name, element, rank: shape.length, columns, list };
}

/** The most elements that a batch of a fixed size may have: more is no batch that memory holds. */
const BATCH_ELEMENTS = 2 ** 28;

/** The elements of a row of an input, of lists of open length one. */
function elementsPerRow({ columns, list }: InputBinding): number {
  return list?.reduce<number>((product, size) => product * (size ?? 1), 1) ?? columns.length;
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

/** The type of the elements of lists, and how deep they are nested; undefined for what is no list. */
export function listTypeOf(sqlType: string): { leaf: string; depth: number } | undefined {
  const [, leaf, levels] = /^(.*?)((?:\[\d*\])+)$/s.exec(sqlType) ?? [];
  if (leaf === undefined || levels === undefined) return undefined;
  return { leaf, depth: levels.split('[').length - 1 };
}

/** A column by its exact name: from the file, or from the partition's folder. */
export interface ColumnSource {
  readonly name: string;
  readonly type: string;
  /** Its value comes from the folder's name. */
  readonly partition: boolean;
  /** Its value is written as text, in a folder's name or a CSV file: `type` is what the job says it is, else VARCHAR. */
  readonly written: boolean;
  /** It holds nothing but nulls, which are of any type. */
  readonly nulls?: true;
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
  const own = schema.map(({ name, type, nulls }) => ({
    name,
    type: csv ? typeOf(name) : type,
    partition: false,
    written: csv,
    ...(nulls === undefined ? {} : { nulls }),
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
  const missing = (name: string): string => {
    const isTwin = (other: string): boolean => other.toLowerCase() === name.toLowerCase();
    const twin = columns.find((column) => column.partition && isTwin(column.name));
    const why =
      twin === undefined
        ? didYouMean(name, names)
        : `: its folder is named "${shown(twin.name)}=…", which differs in case; rename the folder, or the column in the job`;
    return `has no column "${shown(name)}"${why}`;
  };
  const problems: string[] = [];
  for (const input of binding.inputs) {
    for (const name of input.columns) {
      const column = byName.get(name);
      if (column === undefined) {
        problems.push(missing(name));
      } else if (!fits(column, input)) {
        problems.push(
          `column "${shown(name)}" is ${shown(column.type)}, model input "${shown(input.name)}" expects ${expectation(input)}`,
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

function fits(column: ColumnSource, { element, list }: InputBinding): boolean {
  if (list === undefined) return castFor(column, element) !== undefined;
  const type = listTypeOf(column.type);
  if (type === undefined || (type.depth !== 1 && type.depth !== list.length)) return false;
  return castKind(type.leaf, element) !== undefined;
}

function expectation({ element, list }: InputBinding): string {
  const one = element === 'utf8' ? 'text' : element;
  if (list === undefined) return one;
  if (list.length === 1) return `a list of ${list[0] ?? 'any number of'} ${one}`;
  const total = list.reduce<number>((product, size) => product * (size ?? 1), 1);
  return `a list of ${total} ${one}, or lists of lists of ${list.join(' by ')}`;
}

/** How a column of a file or partition feeds an input: what is written as text may be read as a value. */
export function castFor(column: ColumnSource, element: TensorElement): CastKind | undefined {
  if (column.written && column.type === 'VARCHAR' && element !== 'utf8') return 'text';
  // Nulls may feed what values of their type could not.
  return castKind(column.type, element) ?? (column.nulls === true ? 'sql' : undefined);
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
