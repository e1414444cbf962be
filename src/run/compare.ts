/** Compares two of anything that statistics are kept of: snapshots, what a run published or staged, saved baselines. */
import { stat } from 'node:fs/promises';
import { didYouMean, ScorelineError, shown } from '../base/errors.js';
import { listFolder } from '../base/files.js';
import type { Manifest, UnitRecord } from '../plan/manifest.js';
import { partitionValues } from '../plan/partition.js';
import { isSelected, partitionsOf, type Selection } from '../plan/selection.js';
import { type ComparisonReport, comparisonReport } from '../report/comparison.js';
import { notExplained } from '../report/explanation.js';
import type { Explanation } from '../report/explanation-schema.js';
import { readBaseline } from './baseline-file.js';
import { explainApart } from './explain.js';
import { isRunId, readHistory } from './history.js';
import { latestSnapshot, readSnapshot, type Snapshot, snapshotNumbers } from './snapshot.js';
import { readStaged } from './staged.js';
import { StatisticsReader } from './statistics.js';
import type { Output } from './store.js';

/** One side of a comparison. */
export interface Side {
  /** `latest`, `previous`, the number of a snapshot, the id of a run, or the path of a saved baseline. */
  readonly name: string;
  /** Partition values: only the partitions that have one of those given for each column. */
  readonly partitions: Selection['partitions'];
  /** Only the partitions in one of these folders, or below: days, and others whose folders give no values. */
  readonly folders: readonly string[];
}

/** What an option says of the partitions of a side: `name=value`, or a folder. Throws `usage`. */
export function sidePartitions(
  option: string,
  texts: readonly string[],
): Pick<Side, 'partitions' | 'folders'> {
  const isFolder = (text: string): boolean => text !== '' && !text.includes('=');
  const values = texts.filter((text) => !isFolder(text));
  return {
    partitions: partitionsOf(option, values, 'name=value or a folder'),
    folders: texts.filter(isFolder).map((text) => text.replace(/\/+$/, '')),
  };
}

/** Statistics, what they are of, and the units where it is not a saved baseline. */
type Found = Parameters<typeof comparisonReport>[0] & {
  readonly units: readonly UnitRecord[] | undefined;
};

/** How long an explanation may take: somebody waits for it. */
const EXPLAIN_MS = 5_000;

/**
 * Compares two sides from the statistics that are kept, and explains from samples and models that are kept why scores differ: no
 * data is read. Throws `usage` for a side that is not there, `input` when nothing is published or some statistics are not kept.
 */
export async function compare(
  output: Output,
  sides: { readonly baseline: Side; readonly current: Side },
  { why }: { readonly why: boolean },
): Promise<ComparisonReport> {
  const reader = new StatisticsReader(output);
  const baseline = await findSide(output, sides.baseline, reader);
  const current = await findSide(output, sides.current, reader);
  const explanation = why ? await explanationOf({ output, reader, baseline, current }) : null;
  return comparisonReport(baseline, current, explanation);
}

async function explanationOf({
  output,
  reader,
  baseline,
  current,
}: {
  readonly output: Output;
  readonly reader: StatisticsReader;
  readonly baseline: Found;
  readonly current: Found;
}): Promise<Explanation> {
  if (baseline.units === undefined || current.units === undefined)
    return notExplained('a saved baseline holds no rows');
  return explainApart({
    ...{ output, reader, budgetMs: EXPLAIN_MS },
    baseline: baseline.units,
    current: current.units,
  });
}

async function findSide(output: Output, side: Side, reader: StatisticsReader): Promise<Found> {
  if (await isBaselineFile(side.name)) {
    const { label, statistics, units } = await readBaseline(side.name, shown(side.name));
    if (wantedOf(side) !== '')
      throw new ScorelineError(
        'usage',
        `${shown(side.name)}: a saved baseline has no partitions to choose from`,
      );
    return { label, statistics, partitions: units, names: [], units: undefined };
  }
  const { label, manifest } = await findManifest(output, side.name);
  const chosen = chosenUnits(manifest, side, label);
  const found = await reader.ofUnits([...chosen.values()]);
  if (found?.units !== chosen.size) {
    const lacking = chosen.size - (found?.units ?? 0);
    throw new ScorelineError(
      'input',
      `${label}: of ${lacking} of ${chosen.size} partitions no statistics are kept; they are for what was scored since scoreline makes them and gc has left`,
    );
  }
  const wanted = wantedOf(side);
  return {
    label: wanted === '' ? label : `${shown(wanted)} of ${label}`,
    statistics: found.statistics,
    partitions: chosen.size,
    names: [...chosen.keys()],
    units: [...chosen.values()],
  };
}

/** Names that mean something in an output are no files. */
async function isBaselineFile(name: string): Promise<boolean> {
  if (name === 'latest' || name === 'previous' || /^\d+$/.test(name) || isRunId(name)) return false;
  return stat(name).then(
    (found) => found.isFile(),
    () => false,
  );
}

/** What a name means: the units that it published, or would have. */
async function findManifest(
  output: Output,
  name: string,
): Promise<{ readonly label: string; readonly manifest: Manifest }> {
  const numbers = await snapshotNumbers(output);
  const latest = await latestSnapshot(output);
  if (latest === undefined && !isRunId(name))
    throw new ScorelineError('input', `${shown(output.root)}: nothing is published yet`);
  if (name === 'latest') return ofSnapshot(latest!);
  if (name === 'previous') {
    const before = numbers.filter((number) => number < latest!.number).at(-1);
    if (before === undefined)
      throw new ScorelineError('input', `previous: snapshot ${latest!.number} is the only one`);
    return ofSnapshot(await readSnapshot(output, before));
  }
  if (/^\d{1,15}$/.test(name)) return ofNumber(output, Number(name), numbers);
  if (isRunId(name)) return ofRun(output, name, numbers);
  throw new ScorelineError(
    'usage',
    `${shown(name)}: neither latest, previous, the number of a snapshot, the id of a run, nor a file${didYouMean(name, ['latest', 'previous'])}`,
  );
}

function ofSnapshot({ number, manifest }: Snapshot): { label: string; manifest: Manifest } {
  return { label: `snapshot ${number}`, manifest };
}

async function ofNumber(
  output: Output,
  number: number,
  numbers: readonly number[],
): Promise<{ label: string; manifest: Manifest }> {
  if (numbers.includes(number)) return ofSnapshot(await readSnapshot(output, number));
  throw new ScorelineError(
    'usage',
    `snapshot ${number}: is not there; there are ${numbers.slice(-10).join(', ')}`,
  );
}

/** How runs and acts end that made a snapshot. */
const PUBLISHING = ['published', 'partial', 'reverted', 'repaired'];

async function ofRun(
  output: Output,
  runId: string,
  numbers: readonly number[],
): Promise<{ label: string; manifest: Manifest }> {
  if ((await listFolder(output.path('staged'))).includes(runId)) {
    const { manifest, record } = await readStaged(output.path('staged', runId));
    // What it would have published, not what was there before.
    const units = Object.fromEntries(
      Object.entries(manifest.units).filter(([unit]) => record.units.includes(unit)),
    );
    return { label: `what ${runId} staged`, manifest: { ...manifest, units } };
  }
  const history = await readHistory(output);
  const entry = history.find((each) => each.runId === runId);
  if (entry === undefined) {
    const names = history.map((each) => each.runId);
    throw new ScorelineError(
      'usage',
      `${shown(runId)}: no run of this name${didYouMean(runId, names)}; "scoreline runs" lists them`,
    );
  }
  if (entry.snapshot === null || !PUBLISHING.includes(entry.verdict))
    throw new ScorelineError(
      'usage',
      `${runId}: published nothing and has nothing staged; "scoreline runs" says what came of it`,
    );
  return ofNumber(output, entry.snapshot, numbers);
}

/** The partitions that a side is of, as the command line has them; empty for all. */
function wantedOf({ partitions, folders }: Side): string {
  return [...partitions.map(({ name, value }) => `${name}=${value}`), ...folders].join(', ');
}

function chosenUnits(manifest: Manifest, side: Side, label: string): Map<string, UnitRecord> {
  const all = Object.entries(manifest.units);
  const { folders } = side;
  const isWithin = (unit: string): boolean =>
    folders.length === 0 || folders.some((folder) => `${unit}/`.startsWith(`${folder}/`));
  const chosen = all.filter(([unit]) => isWithin(unit) && isSelected(side, partitionValues(unit)));
  if (chosen.length > 0) return new Map(chosen);
  const wanted = wantedOf(side);
  const some = all.slice(0, 3).map(([unit]) => shown(unit === '' ? '.' : unit));
  const more = all.length > 3 ? ', …' : '';
  throw new ScorelineError(
    'usage',
    wanted === ''
      ? `${label}: has no partitions`
      : `${shown(wanted)}: no partition of ${label}; it has ${some.join(', ')}${more}`,
  );
}
