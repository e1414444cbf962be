/** Puts nodes before and behind random tree ensembles: what exporters put there, and anything else. */
import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { TensorValues } from '../src/base/onnx.js';
import { constant, ELEMENT, modelBytes, node, number, part, tensor, varint } from './onnx.js';
import type { Random } from './random.js';
import { type DrawnEnsemble, drawRows, ensembleNode } from './tree-models.js';

/** A model, and rows for its inputs. */
export interface DrawnModel {
  readonly path: string;
  readonly feeds: ReadonlyMap<string, TensorValues>;
  /** What stands around the ensembles, for messages and counts. */
  readonly kinds: readonly string[];
}

/** What makes the matrix `x` of a model's inputs. */
interface Before {
  readonly inputs: Buffer[];
  readonly nodes: Buffer[];
  readonly constants: Buffer[];
  readonly feeds: Map<string, TensorValues>;
}

type Element = 'float' | 'double';
const ELEMENTS = { float: 'float32', double: 'float64' } as const;

function floatsAttribute(name: string, values: readonly number[]): Buffer {
  const floats = Buffer.from(Float32Array.from(values).buffer);
  return part(5, part(1, name), part(7, floats), varint(20 * 8), varint(6));
}

const BEFORE = [
  'nothing',
  'Scaler',
  'Imputer',
  'Mul',
  'int64',
  'int32',
  'columns',
  'Gather',
] as const;

/** Draws what is before the ensembles, which look at `width` numbers of that type. */
function drawBefore(
  random: Random,
  kind: (typeof BEFORE)[number],
  { rows, width, element }: { rows: TensorValues['values']; width: number; element: Element },
): Before {
  const values = rows as Float32Array | Float64Array;
  const count = values.length / width;
  const named = (name: string, type: keyof typeof ELEMENT, columns = width): Buffer =>
    tensor(name, type, ['N', columns]);
  const feed = (fed: TensorValues['values'], type: TensorValues['element'], columns = width) => ({
    element: type,
    shape: [count, columns],
    values: fed,
  });
  const own = ELEMENTS[element];
  const whole = Array.from(values, (value) =>
    Number.isFinite(value) && Math.abs(value) < 1e9 ? Math.round(value) : random.whole(-9, 9),
  );
  const numbers = Array.from({ length: width }, () => random.next() + 0.5);
  const plain = {
    inputs: [named('raw', element)],
    constants: [],
    feeds: new Map([['raw', feed(values, own)]]),
  };
  switch (kind) {
    case 'nothing':
      return { ...plain, nodes: [node('Identity', ['raw'], ['x'])] };
    case 'Scaler': {
      const scaled = node(
        'ai.onnx.ml.Scaler',
        ['raw'],
        [element === 'float' ? 'x' : 'scaled'],
        floatsAttribute('offset', numbers),
        floatsAttribute('scale', [...numbers].reverse()),
      );
      // It makes 32-bit floats, whatever it gets.
      const widened = node('Cast', ['scaled'], ['x'], number('to', ELEMENT.double));
      return { ...plain, nodes: element === 'float' ? [scaled] : [scaled, widened] };
    }
    case 'Imputer': {
      if (element === 'double') return drawBefore(random, 'Mul', { rows, width, element });
      const replaced = floatsAttribute('imputed_value_floats', numbers);
      return { ...plain, nodes: [node('ai.onnx.ml.Imputer', ['raw'], ['x'], replaced)] };
    }
    case 'Mul':
      return {
        ...plain,
        nodes: [node('Mul', ['raw', 'factors'], ['x'])],
        constants: [constant('factors', element, [width], numbers)],
      };
    case 'int64':
    case 'int32': {
      const fed = kind === 'int64' ? BigInt64Array.from(whole, BigInt) : Int32Array.from(whole);
      return {
        inputs: [named('raw', kind)],
        nodes: [node('Cast', ['raw'], ['x'], number('to', ELEMENT[element]))],
        constants: [],
        feeds: new Map([['raw', feed(fed, kind)]]),
      };
    }
    case 'columns': {
      const names = Array.from({ length: width }, (_, column) => `c${column}`);
      const column = (at: number) => values.filter((_, i) => i % width === at);
      return {
        inputs: names.map((name) => named(name, element, 1)),
        nodes: [node('Concat', names, ['x'], number('axis', 1))],
        constants: [],
        feeds: new Map(names.map((name, at) => [name, feed(column(at), own, 1)])),
      };
    }
    case 'Gather': {
      const places = random.shuffled(Array.from({ length: width }, (_, i) => i));
      return {
        ...plain,
        nodes: [node('Gather', ['raw', 'places'], ['x'], number('axis', 1))],
        constants: [constant('places', 'int64', [width], places)],
      };
    }
    default:
      throw new RangeError(kind);
  }
}

const BEHIND = ['nothing', 'Neg', 'Mul', 'ArgMax', 'Softmax', 'ReduceSum', 'beside'] as const;

/** Writes a model of some random ensembles of one element type, with something before them and behind each. */
export function drawModel(
  random: Random,
  drawn: readonly [DrawnEnsemble, ...DrawnEnsemble[]],
  options: { readonly rows: number; readonly folder: string },
): DrawnModel {
  const width = Math.max(...drawn.map(({ features }) => features));
  const [first] = drawn;
  const element = first.parts.element ?? 'float';
  const rows = drawRows(random, { features: width, pool: first.pool }, options.rows);
  const beforeKind = random.pick([...BEFORE]);
  const before = drawBefore(random, beforeKind, { rows, width, element });
  const nodes = [...before.nodes];
  const outputs: Buffer[] = [];
  const kinds: string[] = [`${beforeKind} before`];
  const constants = [...before.constants, constant('third', 'float', [1], [1 / 3])];
  for (const [index, { parts }] of drawn.entries()) {
    const names = { y: `y${index}`, label: `label${index}` };
    nodes.push(ensembleNode({ ...parts, element }, names));
    const type = parts.version5 ? element : 'float';
    const columns = parts.labels?.length ?? parts.targets ?? 1;
    const kind = random.pick([...BEHIND]);
    kinds.push(`${kind} behind`);
    const name = `out${index}`;
    if (parts.labels !== undefined) {
      const label = typeof parts.labels[0] === 'string' ? 'string' : 'int64';
      outputs.push(tensor(names.label, label, ['N']));
    }
    const add = (made: Buffer, output: Buffer): void => {
      nodes.push(made);
      outputs.push(output);
    };
    if (kind === 'ArgMax') {
      add(node('ArgMax', [names.y], [name], number('axis', 1)), tensor(name, 'int64', ['N', 1]));
    } else if (kind === 'Mul') {
      nodes.push(node('Cast', [names.y], [`f${index}`], number('to', ELEMENT.float)));
      add(node('Mul', [`f${index}`, 'third'], [name]), tensor(name, 'float', ['N', columns]));
    } else if (kind === 'beside') {
      nodes.push(node('Cast', [names.y], [`c${name}`], number('to', ELEMENT[element])));
      const all = node('Concat', ['x', `c${name}`], [name], number('axis', 1));
      add(all, tensor(name, element, ['N', width + columns]));
    } else if (kind === 'ReduceSum') {
      add(node('ReduceSum', [names.y], [name]), tensor(name, type, [1, 1]));
    } else {
      const op = kind === 'nothing' ? 'Identity' : kind;
      add(node(op, [names.y], [name]), tensor(name, type, ['N', columns]));
    }
  }
  const path = join(options.folder, 'model.onnx');
  const ml = drawn.some(({ parts }) => parts.version5) ? 5 : 3;
  writeFileSync(path, modelBytes({ inputs: before.inputs, outputs, nodes, constants, ml }));
  return { path, feeds: before.feeds, kinds };
}
