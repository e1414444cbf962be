/** Settles which engine runs the model, for all tasks of a run, before any of them is handed out. */
import { ScorelineError } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { chooseEngine, type EngineChoice } from '../plan/engine.js';
import type { TreesCheck } from '../worker/protocol.js';
import type { Prepared } from './prepare.js';
import { WorkerDied } from './worker-died.js';

/**
 * The engine for `rows` rows: the trees only after `check`, which scores rows with both engines, found every bit equal. One
 * difference, or a check that does not come to an end, and the whole run is ONNX Runtime's. Throws `model` as `chooseEngine`.
 */
export async function settleEngine(
  prepared: Prepared,
  rows: number,
  check: () => Promise<TreesCheck>,
): Promise<EngineChoice> {
  const choice = chooseEngine(prepared.job.run.engine, rows, prepared);
  if (choice.engine === 'onnxruntime') return choice;
  try {
    const { rows: checked, difference, slower } = await check();
    if (difference !== undefined)
      return { engine: 'onnxruntime', why: `the trees do not give its numbers: ${difference}` };
    if (slower !== undefined && prepared.job.run.engine === 'auto') {
      const [trees, runtime] = [slower.trees, slower.runtime].map((ms) =>
        ms < 10 ? ms.toFixed(1) : grouped(Math.round(ms)),
      );
      const why = `the trees, and what is around them, took ${trees} ms for the first rows, ONNX Runtime ${runtime} ms`;
      return { engine: 'onnxruntime', why };
    }
    return { engine: 'trees', why: `${grouped(checked)} rows had the bits of ONNX Runtime` };
  } catch (error) {
    // Whatever is wrong with a file or the model, scoring says it better, and of which unit.
    const isTheirs = error instanceof ScorelineError || error instanceof WorkerDied;
    const isOver = error instanceof WorkerDied && error.how === 'closed';
    if (!isTheirs || isOver) throw error;
    return { engine: 'onnxruntime', why: `the trees could not be checked: ${error.message}` };
  }
}
