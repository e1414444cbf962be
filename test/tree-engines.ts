/** Scores rows with the engine for tree ensembles and with ONNX Runtime on one thread. */
import { Session } from '../src/base/onnx.js';
import { compileTrees, startTrees } from '../src/trees/engine.js';
import { type Floats, zeros } from '../src/trees/floats.js';

/** What came of it: how many values were compared, how many differ in a bit (a NaN is a NaN), or why there is nothing to compare. */
export interface Comparison {
  readonly values: number;
  readonly different: number;
  readonly unsupported?: string;
  readonly refused?: string;
}

/** Compares all outputs of a model for rows of `features` floats. */
export async function compareEngines(
  path: string,
  x: Floats,
  features: number,
): Promise<Comparison> {
  const model = compileTrees(path);
  if (typeof model === 'string') return { values: 0, different: 0, unsupported: model };
  const rows = x.length / features;
  const wanted = [...model.outputs.keys()];
  // The model's input may be of the other width than the ensemble: both engines get the same.
  const fed = model.element === 'float64' ? Float64Array.from(x) : Float32Array.from(x);
  const columns = Array.from({ length: features }, (_, offset) => {
    return { values: fed, stride: features, offset };
  });
  const got = startTrees(model).score(columns, { rows, wanted, allocate: zeros });
  let session: Session;
  try {
    session = await Session.open(path, 'trees.onnx', 'cpu');
  } catch (error) {
    return { values: 0, different: 0, refused: String(error) };
  }
  const feed = { element: model.element, shape: [rows, features], values: fed };
  const expected = await session.run(new Map([[model.input, feed]]), wanted);
  let values = 0;
  let different = 0;
  for (const name of wanted) {
    const mine = got.get(name)!.values;
    const theirs = expected.get(name)!.values;
    if (mine.length !== theirs.length) throw new Error(`${name}: ${mine.length} values`);
    values += theirs.length;
    for (let i = 0; i < theirs.length; i++) if (!Object.is(mine[i], theirs[i])) different++;
  }
  await session.close();
  return { values, different };
}
