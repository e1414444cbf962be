/** How a job file would bind a model: sections of YAML to paste, for a person who knows the columns. */
import { shown } from '../base/errors.js';
import type { TensorSpec } from '../base/onnx.js';
import { elementIndex, type OutputFacts } from './predictions.js';
import { type ModelFacts, shapeText } from './signature.js';

/** Rows wider than this come from a column of lists, more likely than from as many columns. */
const COLUMNS_MAX = 64;
/** Elements of a row that get a prediction column of their own. */
const ELEMENTS_MAX = 20;

/**
 * Lines of a job file that bind a model: `features`, and `output` where an output has several elements a row. Columns that
 * are not known have placeholders. Valid YAML for every model, whatever its names.
 */
export function proposeBinding(
  model: Pick<ModelFacts, 'inputs' | 'outputs'>,
  metadata: Readonly<Record<string, string>>,
): string[] {
  return [...proposeFeatures(model.inputs, metadata), ...proposeOutput(model.outputs)];
}

function proposeFeatures(
  inputs: readonly TensorSpec[],
  metadata: Readonly<Record<string, string>>,
): string[] {
  const unfit = inputs.filter((spec) => refusal(spec) !== undefined);
  if (unfit.length > 0) {
    return unfit.map((spec) => `# input "${shown(spec.name)}" cannot be fed: ${refusal(spec)}`);
  }
  const [only] = inputs;
  if (only === undefined) return ['# the model has no inputs: there is nothing to feed'];
  const width = only.shape[1];
  if (inputs.length === 1 && only.shape.length === 2 && width !== 1) {
    return proposeMatrix(only, typeof width === 'number' ? width : undefined, metadata);
  }
  return [
    'features:                            # model input: column',
    ...inputs.map((spec) => `  ${quoted(spec.name)}: ${quoted(spec.name)}  # ${wanted(spec)}`),
  ];
}

function proposeMatrix(
  spec: TensorSpec,
  width: number | undefined,
  metadata: Readonly<Record<string, string>>,
): string[] {
  const { element = '' } = spec;
  const names = knownNames(width, metadata);
  if (names === undefined && width !== undefined && width > COLUMNS_MAX) {
    return [`features: [${quoted(spec.name)}]  # a column of ${wanted(spec)}, or ${width} columns`];
  }
  const columns = names ?? placeholders(width ?? 2);
  const remark =
    width === undefined
      ? `# ${element} columns in order, as many as the model was made for`
      : `# ${width} ${element} columns, in the order of the model's matrix`;
  return ['features:', ...columns.map((name) => `  - ${quoted(name)}`)].map((line, index) =>
    index === 0 ? `${line}                            ${remark}` : line,
  );
}

function placeholders(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `column_${index + 1}`);
}

/** Why a job cannot feed an input; undefined when it can. */
export function refusal(spec: TensorSpec): string | undefined {
  if (!isName(spec.name)) return 'its name cannot stand in a job file';
  if (spec.element === undefined) return 'it is not a tensor';
  if (spec.shapeless === true) return 'it declares no shape';
  if (spec.shape.length === 0) return 'it has no batch dimension';
  const open =
    spec.shape.slice(2).length > 0 && spec.shape.slice(1).some((size) => typeof size === 'string');
  return open ? `of the dimensions of a row none may be open, in ${shapeText(spec)}` : undefined;
}

/** What a column must hold for an input. */
export function wanted({ element, shape }: TensorSpec): string {
  const type = element === 'utf8' ? 'text' : (element ?? '');
  const sizes = shape.slice(1);
  if (sizes.every((size) => size === 1)) return type;
  const product = sizes.reduce<number>(
    (total, size) => total * (typeof size === 'number' ? size : 1),
    1,
  );
  if (sizes.some((size) => typeof size !== 'number')) return `lists of ${type}`;
  return `lists of ${product} ${type}`;
}

/** The names of the columns, where the model's metadata hold just as many under a name that says so. */
export function knownNames(
  width: number | undefined,
  metadata: Readonly<Record<string, string>>,
): string[] | undefined {
  const text = metadata.feature_names ?? metadata.features ?? metadata.columns;
  if (text === undefined || width === undefined) return undefined;
  let names: unknown;
  try {
    names = JSON.parse(text);
  } catch {
    names = text.split(',').map((name) => name.trim());
  }
  if (!Array.isArray(names) || names.length !== width) return undefined;
  const texts = names.filter((name) => typeof name === 'string' && isName(name));
  return texts.length === width && areDistinct(texts) ? texts : undefined;
}

/** Whether a text can be a name in a job file; YAML wants keys to be short. */
export function isName(text: string): boolean {
  return (
    text !== '' &&
    text !== '__proto__' &&
    text.length <= 200 &&
    !text.includes('\0') &&
    !/\p{Cs}/u.test(text)
  );
}

/** Whether no two names are the same but for upper and lower case. */
export function areDistinct(names: readonly string[]): boolean {
  return new Set(names.map((name) => name.toLowerCase())).size === names.length;
}

/** Every output, with a column for each of its elements where they are few. */
function proposeOutput(outputs: readonly OutputFacts[]): string[] {
  if (!outputs.some((output) => isUsable(output) && (output.width ?? 1) > 1)) return [];
  return [
    'output:',
    '  path: out',
    '  columns:                           # prediction: output[class]',
    ...proposeColumns(outputs).map((line) => `    ${line}`),
  ];
}

/** Entries of `output.columns` for every element of every output that can be published: none where there is none. */
export function proposeColumns(outputs: readonly OutputFacts[]): string[] {
  const taken = new Set<string>();
  return outputs.filter(isUsable).flatMap((output) => {
    // In a job file, brackets name an element.
    if (!isName(output.name) || /[[\]]/.test(output.name)) {
      return [`# output "${shown(output.name)}" cannot be named here`];
    }
    return columnsOf(output).map(
      ([name, from]) => `${quoted(freeName(name, taken))}: ${quoted(from)}`,
    );
  });
}

function isUsable({ element, problem, width = 0 }: OutputFacts): boolean {
  return element !== undefined && problem === undefined && width > 0;
}

/** Prediction columns of an output: name, and what the job file says of where it comes from. */
function columnsOf(output: OutputFacts): [name: string, from: string][] {
  const { name, width = 1, labels } = output;
  if (width === 1 || (labels === undefined && width > ELEMENTS_MAX)) return [[name, name]];
  const elements: [string, string][] = [];
  for (let index = 0; index < width; index++) {
    const label = labels?.[index] ?? String(index);
    const ways = [label, String(index)];
    const way = ways.find(
      (text) =>
        text !== '' &&
        isName(text) &&
        !/[[\]]/.test(text) &&
        elementIndex(output, width, text) === index,
    );
    const column = isName(`${name}_${label}`) ? label : String(index);
    if (way !== undefined) elements.push([`${name}_${column}`, `${name}[${way}]`]);
  }
  return elements;
}

function freeName(name: string, taken: Set<string>): string {
  let free = name;
  for (let count = 2; taken.has(free.toLowerCase()); count++) free = `${name}_${count}`;
  taken.add(free.toLowerCase());
  return free;
}

/** A text as YAML, on one line: plain where it can only be text, else in double quotes, with all that is not seen escaped. */
export function quoted(text: string): string {
  if (
    /^(?:\.\.\/)*[A-Za-z_][\w./-]*$/.test(text) &&
    !/^(?:true|false|null|y|n|yes|no|on|off)$/i.test(text)
  )
    return text;
  return JSON.stringify(text).replace(/[\p{C}\p{Zl}\p{Zp}]/gu, (character) => {
    const code = character.codePointAt(0)!.toString(16);
    return code.length > 4 ? `\\U${code.padStart(8, '0')}` : `\\u${code.padStart(4, '0')}`;
  });
}
