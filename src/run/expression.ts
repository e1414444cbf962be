/** Has an expression of a job checked by a worker, which may die of it. */
import { ScorelineError } from '../base/errors.js';
import type { CheckExpression } from '../worker/protocol.js';
import { askPatiently, type Pool } from './pool.js';
import { WorkerDied } from './worker-died.js';

/**
 * Checks that a text of the job file is one harmless expression over the columns of a row, and that its constants take little
 * to compute. Throws `usage`.
 */
export async function checkExpressionIn(pool: Pool, ask: CheckExpression): Promise<void> {
  try {
    await askPatiently(pool, 'check-expression', ask);
  } catch (error) {
    if (!(error instanceof WorkerDied) || error.how !== 'limit') throw error;
    throw new ScorelineError(
      'usage',
      `${ask.where}: its constants take too much memory or time to compute (${error.message}): write shorter ones, or use a column of the input`,
      { cause: error },
    );
  }
}
