/** Scores rows with the engine for tree ensembles and with ONNX Runtime on one thread. */
import { Session, type TensorValues } from '../src/base/onnx.js';
import type { Floats } from '../src/trees/floats.js';
import { treesAsSession } from '../src/worker/trees.js';
import { loadTrees } from '../src/worker/trees-load.js';

/** What came of it: how many values were compared, how many differ in a bit (a NaN is a NaN), or why there is nothing to compare. */
export interface Comparison {
  readonly values: number;
  readonly different: number;
  readonly unsupported?: string;
  readonly refused?: string;
}

/** Compares all outputs of a model that the trees give, for rows of `features` numbers in its one input. */
export async function compareEngines(
  path: string,
  x: Floats,
  features: number,
): Promise<Comparison> {
  return compareFeeds(path, ({ inputs: [input] }) => {
    const rows = x.length / features;
    const fed = { float32: Float32Array, float64: Float64Array, int32: Int32Array };
    const { name, element } = input!;
    const values =
      element === 'int64'
        ? BigInt64Array.from(x, (value) => BigInt(Math.trunc(value)))
        : fed[element as keyof typeof fed].from(x);
    return new Map([[name, { element: element!, shape: [rows, features], values }]]);
  });
}

/** Compares all outputs of a model that the trees give, for what `feedsOf` makes of its signature, so many times. */
export async function compareFeeds(
  path: string,
  feedsOf: (session: Session) => Map<string, TensorValues>,
  batches = 1,
): Promise<Comparison> {
  const trees = await loadTrees(path);
  if (typeof trees === 'string') return { values: 0, different: 0, unsupported: trees };
  let session: Session | undefined;
  try {
    try {
      session = await Session.open(path, 'trees.onnx', 'cpu');
    } catch (error) {
      return { values: 0, different: 0, refused: String(error) };
    }
    const wanted = [...trees.model.outputs.keys()];
    let values = 0;
    let different = 0;
    for (let batch = 0; batch < batches; batch++) {
      const feeds = feedsOf(session);
      const got = await treesAsSession(trees).run(feeds, wanted);
      const expected = await session.run(feeds, wanted);
      for (const name of wanted) {
        const theirs = expected.get(name)!;
        values += theirs.values.length;
        different += differences(name, theirs, got.get(name)!);
      }
    }
    return { values, different };
  } finally {
    await session?.close();
    await trees.close();
  }
}

/** How many values differ in a bit; type and shape are to be the same. */
function differences(name: string, theirs: TensorValues, mine: TensorValues): number {
  const kinds = [mine, theirs].map(({ element, shape }) => `${element} [${shape}]`);
  if (kinds[0] !== kinds[1]) throw new Error(`${name}: ${kinds.join(', not ')}`);
  let different = 0;
  for (let i = 0; i < theirs.values.length; i++)
    if (!Object.is(mine.values[i], theirs.values[i])) different++;
  return different;
}
