/** Which operators of a model draw random numbers: their results are others each time. Pure. */

/** Operators that always draw, by domain and name; of others a `seed` says so. */
const DRAWING = new Set(
  (
    'RandomNormal RandomNormalLike RandomUniform RandomUniformLike Bernoulli Multinomial ' +
    'com.microsoft.Sampling'
  ).split(' '),
);

/** Operators that draw in training mode alone, and the place of that mode among their inputs. */
const DROPPING: ReadonlyMap<string, number> = new Map([
  ['Dropout', 2],
  ['com.microsoft.BiasDropout', 4],
  ['com.microsoft.BitmaskDropout', 2],
  ['com.microsoft.BitmaskBiasDropout', 4],
]);

/** A node as far as it matters here. */
export interface DrawingNode {
  /** With its domain before it, unless that is ONNX's own. */
  readonly op: string;
  readonly inputs: readonly string[];
  readonly hasSeed: boolean;
}

/** Collects what draws, over all graphs and functions of a model. */
export class RandomOperators {
  private readonly found = new Set<string>();
  /** Names of the training modes of what may draw, and constants that are false. */
  private readonly dropping: { op: string; mode: string }[] = [];
  private readonly falsehoods = new Map<string, boolean>();

  /** Takes a node. */
  add({ op, inputs, hasSeed }: DrawingNode): void {
    const place = DROPPING.get(op);
    if (place !== undefined) {
      const mode = inputs[place] ?? '';
      if (mode !== '') this.dropping.push({ op, mode });
    } else if (hasSeed || DRAWING.has(op)) this.found.add(op);
  }

  /** Takes a constant: graphs within graphs may use its name again, so all of a name have to be false. */
  constant(name: string, isFalse: boolean): void {
    this.falsehoods.set(name, isFalse && this.falsehoods.get(name) !== false);
  }

  /** The operators, as a person is told of them. */
  finish(): string[] {
    for (const { op, mode } of this.dropping) {
      if (this.falsehoods.get(mode) !== true) this.found.add(`${op} in training mode`);
    }
    return [...this.found];
  }
}
