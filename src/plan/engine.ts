/** Which engine runs the model: ONNX Runtime, or scoreline's own for tree ensembles. Pure. */
import { ScorelineError, shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import type { PublishingConfig, ScoringConfig } from './plan.js';
import type { ModelFacts } from './signature.js';

/** What can run a model. */
export type EngineName = 'onnxruntime' | 'trees';

/** An engine, and in words why it is this one. */
export interface EngineChoice {
  readonly engine: EngineName;
  readonly why: string;
}

/** Rows of its own that a run scores with both engines before it relies on the trees. */
const OWN_ROWS = 4096;
/** The trees are worth their check when it takes at most this share of what ONNX Runtime would have to do without them. */
const CHECK_SHARE = 1 / 8;

/**
 * Chooses the engine for `rows` rows. A run then proves the trees before it uses them. Throws `model` when the job insists on the
 * trees and they cannot run the model.
 */
export function chooseEngine(
  wanted: 'auto' | EngineName,
  rows: number,
  plan: {
    readonly model: ModelFacts;
    readonly shownModel: string;
    readonly scoring: ScoringConfig;
    readonly publishing: PublishingConfig;
  },
): EngineChoice {
  if (wanted === 'onnxruntime') return { engine: 'onnxruntime', why: 'run.engine says so' };
  const obstacle = obstacleTo(plan);
  if (obstacle !== undefined) {
    if (wanted === 'auto') return { engine: 'onnxruntime', why: obstacle };
    throw new ScorelineError(
      'model',
      `model ${plan.shownModel}: run.engine is trees, but ${obstacle}; use auto or onnxruntime`,
    );
  }
  if (wanted === 'trees') return { engine: 'trees', why: 'run.engine says so' };
  const { trees } = plan.model;
  const needed = Math.ceil((OWN_ROWS + ('why' in trees ? 0 : trees.madeUpRows)) / CHECK_SHARE);
  if (rows >= needed) return { engine: 'trees', why: 'faster, with the same bits' };
  return {
    engine: 'onnxruntime',
    why: `${grouped(rows)} rows to score do not pay for checking the trees, ${grouped(needed)} would`,
  };
}

/** What stands against the trees; undefined when nothing does. */
function obstacleTo({
  model,
  scoring,
  publishing,
}: {
  readonly model: ModelFacts;
  readonly scoring: ScoringConfig;
  readonly publishing: PublishingConfig;
}): string | undefined {
  const { trees } = model;
  if ('why' in trees) return trees.why;
  if (scoring.device !== 'cpu') return `the model runs on ${scoring.device}`;
  for (const { name, element, lastColumn } of trees.inputs) {
    const input = scoring.inputs.find((each) => each.name === name);
    if (input === undefined) return `the input "${shown(name)}" is not fed`;
    if (input.element !== element) return `the input is ${input.element}`;
    if (input.rank !== 2) return `the input has ${input.rank} dimensions`;
    const width = input.list === undefined ? input.columns.length : (input.list[0] ?? 0);
    if (width <= lastColumn)
      return `it uses feature ${lastColumn} of ${width === 0 ? 'an open number' : width}`;
  }
  const missing = publishing.columns.find(({ output }) => !trees.outputs.includes(output));
  return missing && `the trees do not give the output "${shown(missing.output)}"`;
}
