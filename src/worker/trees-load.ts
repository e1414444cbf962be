/** Loads a model into the engine for tree ensembles: its trees, and what ONNX Runtime runs before and behind them. */
import { elementType, runtimeMessage, Session, type TensorSpec } from '../base/onnx.js';
import type { Crossing, ModelPart } from '../base/onnx-part.js';
import {
  compileTrees,
  type MadeTypes,
  startUnit,
  type TreeModel,
  type TreeUnit,
  type UnitScorer,
} from '../trees/engine.js';
import { elementNumber, featureElement } from '../trees/views.js';

/** A part of a model in ONNX Runtime. */
export interface OpenPart extends Omit<ModelPart, 'bytes'> {
  readonly session: Session;
}

/** A model in the engine. The opener closes it. */
export interface LoadedTrees {
  readonly model: Pick<TreeModel, 'outputs' | 'trees' | 'leaves'>;
  readonly units: readonly UnitScorer[];
  readonly before: OpenPart | undefined;
  readonly behind: OpenPart | undefined;
  readonly close: () => Promise<void>;
}

/** Why a model is left to ONNX Runtime. */
class Refused extends Error {}

/** Loads a model; a text says why the engine cannot run it. Throws the errors of the file system. */
export async function loadTrees(path: string): Promise<LoadedTrees | string> {
  const parts: OpenPart[] = [];
  const close = async (): Promise<void> => {
    for (const { session } of parts.splice(0)) await session.close();
  };
  try {
    let model = compiled(path);
    let before = model.before && (await openPart(path, model.before, new Map()));
    if (before !== undefined) parts.push(before);
    const types = typesOf(before?.session.outputs ?? []);
    if (!fits(model.units, types)) {
      // Only now it is known what comes before: with that, other ensembles may be left to ONNX Runtime.
      await close();
      model = compiled(path, types);
      before = model.before && (await openPart(path, model.before, new Map()));
      if (before !== undefined) parts.push(before);
      if (!fits(model.units, typesOf(before?.session.outputs ?? [])))
        throw new Refused('what comes before the ensemble cannot be told apart from it');
    }
    const crossing = crossingTypes(model.units, before?.session.outputs ?? []);
    const behind = model.behind && (await openPart(path, model.behind, crossing));
    if (behind !== undefined) parts.push(behind);
    const { outputs, trees, leaves } = model;
    return { model: { outputs, trees, leaves }, units: started(model), before, behind, close };
  } catch (error) {
    await close();
    if (error instanceof Refused) return error.message;
    throw error;
  }
}

function compiled(path: string, types?: MadeTypes): TreeModel {
  const model = compileTrees(path, types);
  if (typeof model === 'string') throw new Refused(model);
  return model;
}

function started({ units }: TreeModel): UnitScorer[] {
  try {
    return units.map(startUnit);
  } catch (error) {
    // Without SIMD there is no such module, and without memory no such instance.
    const said = error instanceof Error ? error.message : error;
    throw new Refused(`WebAssembly cannot run it here: ${said}`);
  }
}

async function openPart(
  path: string,
  part: ModelPart,
  types: ReadonlyMap<string, Crossing>,
): Promise<OpenPart> {
  // The bytes are not kept: ONNX Runtime has what it needs of them.
  const { bytes, ...rest } = part;
  const unknown = part.crossing.find((name) => !types.has(name));
  if (unknown !== undefined) throw new Refused('what crosses the ensemble is no tensor');
  try {
    return { ...rest, session: await Session.openPart(bytes(types), path) };
  } catch (error) {
    throw new Refused(`ONNX Runtime refuses a part of it: ${runtimeMessage(error)}`);
  }
}

function typesOf(outputs: readonly TensorSpec[]): MadeTypes {
  return new Map(
    outputs.map(({ name, element }) => [
      name,
      element === undefined ? undefined : featureElement(elementType(element)),
    ]),
  );
}

/** Whether what a part makes for the trees is what they were compiled for. */
function fits(units: readonly TreeUnit[], types: MadeTypes): boolean {
  return units.every(
    ({ features }) =>
      !('open' in features) ||
      !types.has(features.open) ||
      types.get(features.open) === features.element,
  );
}

/** What is known of the values that cross into the part behind: those of the part before, and those of the trees. */
function crossingTypes(
  units: readonly TreeUnit[],
  before: readonly TensorSpec[],
): Map<string, Crossing> {
  const types = new Map<string, Crossing>();
  for (const { name, element, shape } of before) {
    if (element === undefined) continue;
    const sizes = shape.map((size) => (typeof size === 'number' ? size : null));
    // Of a shape that ONNX Runtime does not know it says what it says of a single number.
    const known = sizes.length === 0 ? undefined : sizes;
    types.set(name, { element: elementType(element), shape: known });
  }
  for (const { outputs, program, labels } of units) {
    const label = elementType(typeof labels?.[0] === 'string' ? 'utf8' : 'int64');
    for (const [value, output] of outputs) {
      types.set(
        value,
        output.kind === 'label'
          ? { element: label, shape: [null] }
          : { element: elementNumber(program.output), shape: [null, output.width] },
      );
    }
  }
  return types;
}
