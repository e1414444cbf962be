/** Rows that are set aside: why, and how that is told. */

/** Why a row was set aside. The words are an interface: they stand in the quarantine files. */
export type QuarantineReason =
  | 'null_value'
  | 'cast_failed'
  | 'nul_in_text'
  | 'wrong_length'
  | 'model_failed'
  | 'model_crashed'
  | 'model_hung'
  | 'non_finite_score';

/** One row set aside. */
export interface BadRow {
  /** Its place among the rows of the task, from 0. */
  readonly row: number;
  readonly reason: QuarantineReason;
  /** The input or prediction column to blame; '' where it is none in particular. */
  readonly column: string;
  /** What the model said, where it failed on the row; or what may be wrong with the value. */
  readonly detail?: string;
}

/** What is told of a row set aside. */
export function messageOfRow({ reason, detail }: Pick<BadRow, 'reason' | 'detail'>): string {
  const message = QUARANTINE_MESSAGES[reason];
  return detail === undefined ? message : `${message}: ${detail}`;
}

/** What a reason means, in a sentence for the person who reads the file. */
export const QUARANTINE_MESSAGES: Readonly<Record<QuarantineReason, string>> = {
  null_value: 'the column is null and the model input cannot hold a missing value',
  cast_failed: 'the value cannot be converted to the type that the job or the model asks for',
  nul_in_text: 'the text contains a NUL character, at which the model would see it end',
  wrong_length: 'the list has another number of elements than the model input takes a row',
  model_failed: 'the model fails on this row, also when it is alone',
  model_crashed: 'the model ends the process that runs it on this row, also when it is alone',
  model_hung: 'the model does not come to an end on this row, also when it is alone',
  non_finite_score: 'the model gave NaN or an infinite number',
};

/** The status of a row of a task, as it is stored beside its scores. */
export const ROW_STATUS = { scored: 0, filtered: 1, quarantined: 2 } as const;
