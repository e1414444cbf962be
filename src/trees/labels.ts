/** The labels of a classifier's rows. */
import type { Floats } from './floats.js';
import type { Program } from './program.js';

/** The classes of rows by number, from the scores of a block. */
export function findClasses(
  { finish: { label } }: Program,
  scores: readonly Floats[],
  classes: Uint32Array,
): void {
  if (label === undefined || typeof label === 'string') return;
  if (label.by === 'threshold') {
    const column = scores[label.column]!;
    for (let row = 0; row < classes.length; row++)
      classes[row] = column[row]! > label.threshold ? 1 : 0;
    return;
  }
  for (let row = 0; row < classes.length; row++) {
    let best = 0;
    for (let k = 1; k < scores.length; k++) if (scores[k]![row]! > scores[best]![row]!) best = k;
    classes[row] = best;
  }
}

/** The labels of classes. */
export function labelsOf(
  { finish: { label } }: Program,
  classes: Uint32Array,
  labels: readonly bigint[] | readonly string[],
):
  | { readonly element: 'utf8'; readonly width: 1; readonly values: string[] }
  | { readonly element: 'int64'; readonly width: 1; readonly values: BigInt64Array } {
  const isLiteral = typeof label === 'object' && label.by === 'threshold' && label.literal;
  if (typeof labels[0] === 'string') {
    const values = Array.from(classes, (each) => String(labels[each]));
    return { element: 'utf8', width: 1, values };
  }
  const values = new BigInt64Array(classes.length);
  for (let row = 0; row < classes.length; row++) {
    const each = classes[row]!;
    values[row] = isLiteral ? BigInt(each) : (labels[each] as bigint);
  }
  return { element: 'int64', width: 1, values };
}
