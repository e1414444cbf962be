/** How a model's outputs become prediction columns. */
import { type ElementType, sqlTypeOfElement } from '../base/elements.js';
import { didYouMean, shown } from '../base/errors.js';
import type { TensorElement } from '../base/onnx.js';
import type { JobColumn } from './job.js';

/** An output as a trial run of the model gave it, or else as the model declares it. */
export interface OutputFacts {
  readonly name: string;
  /** undefined for what is no tensor. */
  readonly element: TensorElement | undefined;
  /** Elements a row: 1 for shapes [N] and [N, 1], K for [N, K]; undefined when it cannot be known. */
  readonly width: number | undefined;
  /** What stands against publishing it; undefined when nothing does. */
  readonly problem: string | undefined;
  /** The class labels of its elements, where the model has them. */
  readonly labels?: readonly string[];
  /** Its width is that of a trial with one column, and another with two: lists of a length that is not known may feed it. */
  readonly follows?: true;
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

/** The element type that an output is kept with: that of the model, but for float16, which has none in DuckDB. */
export function keptElement(element: TensorElement): ElementType {
  return element === 'float16' ? 'float32' : element;
}

/** The SQL type of a prediction column. */
export function predictionType({ element, width, index }: OutputBinding): string {
  const type = sqlTypeOfElement(keptElement(element));
  return index === undefined && width > 1 ? `${type}[]` : type;
}

/** What is said of an output whose shape is open. */
export const WIDTH_UNKNOWN = 'does not declare how many elements a row has';

/**
 * Binds the model's outputs to prediction columns; adds to `problems` what does not fit. `openList` names an input that
 * lists feed whose length the model leaves open.
 */
export function bindOutputs(
  found: readonly OutputFacts[],
  columns: readonly JobColumn[],
  problems: string[],
  openList?: string,
): OutputBinding[] {
  const outputs = openList === undefined ? found : found.map((one) => knownWidth(one, openList));
  const names = outputs.map(({ name }) => name);
  if (columns.length === 0) {
    const tensors = outputs.filter(({ element }) => element !== undefined);
    if (tensors.length === 0) problems.push(`none of its outputs (${quoteAll(names)}) is a tensor`);
    return tensors.flatMap((output) => bindWhole(output, problems));
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

/** An output whose width may follow from lists, which are not read before the model is bound, with that problem. */
function knownWidth(output: OutputFacts, openList: string): OutputFacts {
  const { element, width, problem, follows } = output;
  if (element === undefined || problem !== undefined) return output;
  if (width !== undefined && follows !== true) return output;
  const why = `${openList}, of which a list settles the length only when it is read`;
  return { ...output, problem: `${WIDTH_UNKNOWN}, and ${why}: export the model with fixed sizes` };
}

/** An output under its own name; with class labels, a column for each class. */
function bindWhole(output: OutputFacts, problems: string[]): OutputBinding[] {
  const { name, labels = [] } = output;
  const [whole] = bindOutput(output, name, undefined, problems);
  if (whole === undefined || labels.length < 2) return whole === undefined ? [] : [whole];
  const seen = new Set<string>();
  return labels.flatMap((label, index) => {
    const column = `${name}_${label}`;
    const lower = column.toLowerCase();
    if (seen.has(lower) || label.includes('\0')) {
      const what = seen.has(lower) ? 'is there twice' : 'contains NUL';
      problems.push(
        `output "${shown(name)}": its class label "${shown(label)}" ${what}; name its columns under output.columns`,
      );
      return [];
    }
    seen.add(lower);
    return [{ ...whole, column, index }];
  });
}

/** The most elements a row that can be published. */
const WIDTH_MAX = 100_000;

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
  if (width === undefined) {
    problems.push(`${subject} ${WIDTH_UNKNOWN}, and a trial run did not tell it`);
    return [];
  }
  if (width < 1 || width > WIDTH_MAX) {
    problems.push(`${subject} has ${width} elements a row; 1 to ${WIDTH_MAX} can be published`);
    return [];
  }
  if (wanted === undefined)
    return [{ column, output: output.name, element, width, index: undefined }];
  const index = elementIndex(output, width, wanted);
  if (index === undefined) {
    problems.push(`${subject} ${elementProblem(output, width, wanted)}`);
    return [];
  }
  return [{ column, output: output.name, element, width, index }];
}

/**
 * The place of an element that is named by its class label, or by its number from 0. Where all labels are numbers
 * themselves, a number is only ever a label.
 */
export function elementIndex(
  { labels = [] }: OutputFacts,
  width: number,
  wanted: string,
): number | undefined {
  const isUnique = new Set(labels).size === labels.length;
  const isNumber = /^(?:0|[1-9]\d*)$/.test(wanted);
  const first = labels.indexOf(wanted);
  if (first >= 0 && (isUnique || !isNumber)) {
    return labels.lastIndexOf(wanted) === first ? first : undefined;
  }
  const numbered = isUnique && labels.length > 0 && labels.every((label) => /^-?\d+$/.test(label));
  return isNumber && !numbered && Number(wanted) < width ? Number(wanted) : undefined;
}

/** How many class labels a message names. */
const LABELS_SHOWN = 10;

function elementProblem({ labels = [] }: OutputFacts, width: number, wanted: string): string {
  if (labels.length === 0) {
    return `has elements 0 to ${width - 1} a row, not "${shown(wanted)}"`;
  }
  const more = labels.length > LABELS_SHOWN ? `, … (${labels.length} in all)` : '';
  return `has no class "${shown(wanted)}"${didYouMean(wanted, labels)}; its classes are ${quoteAll(labels.slice(0, LABELS_SHOWN))}${more}`;
}

/** Names in quotes, as messages list them. */
export function quoteAll(names: readonly string[]): string {
  return names.map((name) => `"${shown(name)}"`).join(', ');
}
