/** Scores rows with the engine for tree ensembles and with ONNX Runtime on one thread. */
import { Session } from '../src/base/onnx.js';
import { compileTrees, startTrees } from '../src/trees/engine.js';

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
  x: Float32Array,
  features: number,
): Promise<Comparison> {
  const model = compileTrees(path);
  if (typeof model === 'string') return { values: 0, different: 0, unsupported: model };
  const rows = x.length / features;
  const wanted = [...model.outputs.keys()];
  const columns = Array.from({ length: features }, (_, offset) => {
    return { values: x, stride: features, offset };
  });
  const allocate = (length: number): Float32Array => new Float32Array(length);
  const got = startTrees(model).score(columns, { rows, wanted, allocate });
  let session: Session;
  try {
    session = await Session.open(path, 'trees.onnx', 'cpu');
  } catch (error) {
    return { values: 0, different: 0, refused: String(error) };
  }
  const feed = { element: 'float32' as const, shape: [rows, features], values: x };
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
