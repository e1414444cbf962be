/** The error that something ends with. */
import { ScorelineError } from '../src/base/errors.js';

/** The `ScorelineError` that an action ends with; another error passes through, and none is an error too. */
export async function failure(act: () => unknown): Promise<ScorelineError> {
  try {
    await act();
  } catch (error) {
    if (error instanceof ScorelineError) return error;
    throw error;
  }
  throw new Error('expected an error');
}
