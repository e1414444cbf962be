/** Which columns the gates of a job are about. */
import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import type { Job } from '../plan/job.js';
import type { OutputBinding } from '../plan/predictions.js';
import type { InputBinding } from '../plan/signature.js';

/** The columns that gates name. */
export function gateColumns({ gates }: Job): string[] {
  const named = [gates?.nulls, gates?.drift, gates?.new_categories];
  return [...new Set(named.flatMap((gate) => gate?.columns ?? []))];
}

/**
 * The kept columns of which statistics are wanted, in the order of the job. Throws `usage` for columns that are neither kept
 * nor known to the model, and for a gate on labels where there is none.
 */
export function countedColumns(
  job: Job,
  {
    inputs,
    outputs,
  }: {
    readonly inputs: readonly InputBinding[];
    readonly outputs: readonly OutputBinding[];
  },
): string[] {
  const { keep } = job.output;
  const known = new Set([
    ...inputs.flatMap(({ columns }) => columns),
    ...outputs.map(({ column }) => column),
  ]);
  const refuse = (key: string, name: string, where: string): never => {
    throw new ScorelineError(
      'usage',
      `${key}: "${shown(name)}" is ${where}${didYouMean(name, [...known, ...keep])}`,
    );
  };
  const named = gateColumns(job);
  for (const name of named)
    if (!known.has(name) && !keep.includes(name))
      refuse('gates', name, 'no feature, no prediction and not in output.keep');
  for (const name of job.statistics)
    if (!keep.includes(name)) refuse('statistics', name, 'not in output.keep');
  const hasLabel = outputs.some(isLabel);
  if (job.gates?.flips !== undefined && (!isKeyKept(job) || !hasLabel))
    throw new ScorelineError(
      'usage',
      'gates.flips: needs input.key, the same column in output.keep, and a prediction that is a label: a text, a whole number or a truth value',
    );
  const wanted = [...job.statistics, ...named.filter((name) => !known.has(name))];
  return keep.filter((name) => wanted.includes(name));
}

/** Whether what is published says the key of each row. */
export function isKeyKept({ input, output }: Job): boolean {
  return input.key !== undefined && output.keep.includes(input.key);
}

/** Whether a prediction is a label rather than a measure. */
export function isLabel({ element }: Pick<OutputBinding, 'element'>): boolean {
  return !element.startsWith('float');
}
