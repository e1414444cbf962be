/** Explains what runs published, with the built program's workers. */
import { join } from 'node:path';
import type { UnitRecord } from '../src/plan/manifest.js';
import type * as ReportModule from '../src/report/explanation.js';
import type { Explanation } from '../src/report/explanation-schema.js';
import type * as ExplainModule from '../src/run/explain.js';
import type * as SnapshotModule from '../src/run/snapshot.js';
import type * as StatisticsModule from '../src/run/statistics.js';
import type * as StoreModule from '../src/run/store.js';
import { ROOT } from './scoreline.js';

/** What of a snapshot is meant: its number, and the units; all without them. */
export interface Side {
  readonly snapshot: number;
  readonly units?: readonly string[];
}

/** What was found, and what a terminal says of it. */
export interface Told {
  readonly explanation: Explanation;
  readonly lines: readonly string[];
}

/** Explains the difference between what two snapshots of an output hold. */
export async function explainSides(
  root: string,
  baseline: Side,
  current: Side,
  options: { readonly budgetMs?: number; readonly quantiles?: readonly number[] } = {},
): Promise<Told> {
  const { explainApart } = await built<typeof ExplainModule>('run/explain');
  const { readSnapshot } = await built<typeof SnapshotModule>('run/snapshot');
  const { StatisticsReader } = await built<typeof StatisticsModule>('run/statistics');
  const { Output } = await built<typeof StoreModule>('run/store');
  const { explanationLines } = await built<typeof ReportModule>('report/explanation');
  const output = (await Output.find(root))!;
  const unitsOf = async ({ snapshot, units }: Side): Promise<UnitRecord[]> => {
    const { manifest } = await readSnapshot(output, snapshot);
    return Object.entries(manifest.units)
      .filter(([name]) => units === undefined || units.includes(name))
      .map(([, unit]) => unit);
  };
  const explanation = await explainApart({
    output,
    baseline: await unitsOf(baseline),
    current: await unitsOf(current),
    reader: new StatisticsReader(output),
    budgetMs: options.budgetMs ?? 2000,
    quantiles: options.quantiles ?? [],
  });
  return { explanation, lines: explanationLines(explanation) };
}

function built<Module>(name: string): Promise<Module> {
  return import(join(ROOT, 'dist', `${name}.js`));
}
