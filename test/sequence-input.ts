/** The input, models and settings of random sequences of commands, and what their formulas say of each row. */
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { sha256 } from '../src/base/hash.js';
import { modelPath, type Sections } from './job-case.js';
import { writeParquet } from './parquet.js';
import type { Random } from './random.js';
import { type EnsembleParts, stump, writeEnsemble } from './tree-models.js';

/** A number, none, or (in CSV) what is no number. */
export type Value = number | null | 'x';

/** A row of the input. */
export interface Row {
  readonly id: number;
  readonly a: Value;
  readonly b: number | null;
}

/** A file of the input: its rows, CSV records that are none, and whether it can be scored at all. */
export interface InputFile {
  readonly rows: readonly Row[];
  readonly broken: number;
  readonly kind: 'good' | 'no-column' | 'garbage';
}

/** A tiny model, and what it says of a row in which a null is NaN. */
interface TinyModel {
  readonly path: string;
  readonly isTrees: boolean;
  readonly score: (a: number, b: number) => number;
}

function secondStump(): EnsembleParts {
  return { ...stump(), featureids: [1, 1, 1], values: [1.5, 0, 0], weights: [10, 20] };
}

let made: readonly TinyModel[] | undefined;

/** A linear model and two stumps; what is NaN is not at most a threshold. */
export function tinyModels(): readonly TinyModel[] {
  made ??= [
    { path: modelPath('small/linear'), isTrees: false, score: (a, b) => 2 * a + 3 * b + 1 },
    { path: writeEnsemble(stump(), 2), isTrees: true, score: (a) => (a <= 0.5 ? 1 : 2) },
    { path: writeEnsemble(secondStump(), 2), isTrees: true, score: (_, b) => (b <= 1.5 ? 10 : 20) },
  ];
  return made;
}

/** Gates, and whether they fail: of what is new, whatever it is; where a score is beyond a range; or as it comes. */
export interface GateChoice {
  readonly gates: Sections | undefined;
  readonly fails: 'never' | 'always' | 'outside' | 'maybe';
}

/** The range of the gate that fails outside of it. */
export const RANGE = [-4, 12] as const;

export const GATES: readonly GateChoice[] = [
  { gates: undefined, fails: 'never' },
  { gates: {}, fails: 'never' },
  { gates: { rows: { min: 0 } }, fails: 'never' },
  { gates: { rows: { min: 1_000_000 } }, fails: 'always' },
  { gates: { scores: { range: RANGE } }, fails: 'outside' },
  { gates: { rows: { change: '20%' }, scores: { mean_change: '5%' } }, fails: 'maybe' },
  {
    gates: { drift: { psi: 0.1, ks: { warn: 0.1 } }, nulls: { max_increase: '0%' } },
    fails: 'maybe',
  },
  { gates: { rows: { change: 'history' }, drift: { js: 'history' } }, fails: 'maybe' },
];

/** The filters of jobs. */
export const FILTERS: readonly { readonly sql: string; readonly keeps: (row: Row) => boolean }[] = [
  { sql: 'id % 3 <> 0', keeps: ({ id }) => id % 3 !== 0 },
  { sql: 'b >= 1', keeps: ({ b }) => b !== null && b >= 1 },
];

/** What of a job changes in a sequence. */
export interface Settings {
  name: string;
  model: number;
  /** Whether the model is written over the file of the one before. */
  inPlace: boolean;
  keep: readonly string[];
  statistics: boolean;
  filter: number | undefined;
  engine: 'auto' | 'onnxruntime' | 'trees';
  workers: 1 | 2;
  batchRows: 'auto' | 1 | 7;
  sampleRows: number | undefined;
  gate: GateChoice;
  baseline: unknown;
  canary: boolean;
  max: string | number | undefined;
  nonFinite: 'quarantine' | 'keep';
  format: 'parquet' | 'csv';
  hasKey: boolean;
  keepSnapshots: number;
}

/** The settings that a sequence begins with. */
export function firstSettings(random: Random): Settings {
  const model = random.whole(0, 2);
  return {
    name: 'case',
    model,
    inPlace: random.next() < 0.5,
    keep: ['id'],
    statistics: false,
    filter: undefined,
    engine: model > 0 && random.next() < 0.6 ? 'trees' : 'auto',
    workers: 1,
    batchRows: 'auto',
    sampleRows: random.pick([undefined, 0, 16]),
    gate: random.next() < 0.5 ? GATES[0]! : random.pick(GATES),
    baseline: 'auto',
    canary: false,
    max: undefined,
    nonFinite: 'quarantine',
    format: 'parquet',
    hasKey: random.next() < 0.5,
    keepSnapshots: random.pick([10, 3]),
  };
}

/** Changes one setting; `saved` is whether there is a saved baseline. */
export function changeSettings(settings: Settings, random: Random, saved: boolean): string {
  const baselines = [
    'auto',
    'previous',
    { trailing: 3 },
    ...(saved ? [{ file: 'saved.json' }] : []),
  ];
  const changes: Record<string, () => void> = {
    model: () => (settings.model = random.whole(0, 2)),
    name: () => (settings.name = settings.name === 'case' ? 'renamed' : 'case'),
    keep: () => (settings.keep = random.pick([['id'], ['id', 'a'], ['a', 'id'], []])),
    statistics: () => (settings.statistics = !settings.statistics),
    filter: () => (settings.filter = random.pick([undefined, 0, 1])),
    engine: () => {
      settings.engine = random.pick(['auto', 'onnxruntime', 'trees', 'trees']);
      // What ends with 5 says little more the second time.
      if (settings.engine === 'trees' && random.next() < 0.8) settings.model = random.whole(1, 2);
    },
    workers: () => (settings.workers = random.pick([1, 2])),
    batchRows: () => (settings.batchRows = random.pick(['auto', 1, 7])),
    sampleRows: () => (settings.sampleRows = random.pick([undefined, 0, 16])),
    gate: () => (settings.gate = random.pick(GATES)),
    baseline: () => (settings.baseline = random.pick(baselines)),
    canary: () => (settings.canary = !settings.canary),
    max: () => (settings.max = random.pick([undefined, '0%', 2, '100%'])),
    nonFinite: () => (settings.nonFinite = random.pick(['quarantine', 'keep'])),
    format: () => (settings.format = settings.format === 'csv' ? 'parquet' : 'csv'),
    hasKey: () => (settings.hasKey = !settings.hasKey),
    inPlace: () => (settings.inPlace = !settings.inPlace),
  };
  const name = random.pick([
    ...Object.keys(changes),
    'gate',
    'gate',
    'gate',
    'hasKey',
    'model',
    'model',
    'model',
  ]);
  changes[name]!();
  return `${name} ${JSON.stringify(settings[name as keyof Settings] ?? null)}`;
}

/** The job file of some settings. */
export function jobOf(settings: Settings, folder: string, { csv, days, long }: Layout): Sections {
  const { path } = tinyModels()[settings.model]!;
  const model = settings.inPlace ? join(folder, 'model.onnx') : path;
  if (settings.inPlace) copyFileSync(path, model);
  const { filter, keep, max, sampleRows } = settings;
  return {
    name: settings.name,
    input: {
      path: days ? 'in/{date:yyyy-MM-dd}' : 'in',
      ...(settings.hasKey && { key: 'id' }),
      ...(filter !== undefined && { where: FILTERS[filter]!.sql }),
      ...(csv && { types: { id: 'BIGINT', a: 'FLOAT', b: 'FLOAT' } }),
    },
    model: { path: model },
    output: {
      path: 'out',
      format: settings.format,
      keep,
      keep_snapshots: settings.keepSnapshots,
    },
    statistics: countsId(settings) ? ['id'] : undefined,
    sample_rows: sampleRows,
    gates: settings.gate.gates,
    baseline: settings.baseline,
    canary: settings.canary,
    quarantine: { ...(max !== undefined && { max }), non_finite: settings.nonFinite },
    run: {
      workers: settings.workers,
      engine: settings.engine,
      batch_rows:
        long && settings.batchRows !== 'auto' ? settings.batchRows * 1000 : settings.batchRows,
    },
  };
}

/** Whether statistics of the kept column id are asked for. */
export function countsId({ statistics, keep }: Settings): boolean {
  return statistics && keep.includes('id');
}

/** Rows for more than one task. */
const LONG_ROWS = 140_000;

function longRows(shift: number): Row[] {
  return Array.from({ length: LONG_ROWS }, (_, i) => ({
    id: 1_000_000 + i,
    a: ((i + shift) % 13) / 2 - 2,
    b: (i % 9) / 2,
  }));
}

/** Draws a file; its ids are of its own, unless one is to be there twice. */
export function drawFile(random: Random, { csv, ids }: { csv: boolean; ids: number }): InputFile {
  const chance = random.next();
  const count = random.pick([0, 1, 3, 8, 20]);
  const rows = Array.from({ length: count }, (_, i): Row => {
    const a =
      random.next() < 0.06 ? (csv && random.next() < 0.5 ? 'x' : null) : random.whole(-4, 8) / 2;
    return { id: ids + i, a, b: random.next() < 0.03 ? null : random.whole(0, 8) / 2 };
  });
  if (chance < 0.05 && rows.length > 1) rows[1] = { ...rows[1]!, id: rows[0]!.id };
  const kind = chance > 0.97 ? 'no-column' : chance > 0.94 ? 'garbage' : 'good';
  return { rows, broken: csv && random.next() < 0.2 ? random.whole(1, 3) : 0, kind };
}

/** Writes a file of the input. */
export async function writeInput(path: string, { rows, broken, kind }: InputFile): Promise<void> {
  mkdirSync(dirname(path), { recursive: true });
  const names = kind === 'no-column' ? ['id', 'a'] : ['id', 'a', 'b'];
  if (kind === 'garbage') {
    // A zero byte is in no name of a column.
    writeFileSync(path, Buffer.from([0, 255, 0, 254, rows.length, 10]));
  } else if (path.endsWith('.csv')) {
    const lines = rows.map((row) => names.map((name) => row[name as keyof Row] ?? '').join());
    const none = Array.from({ length: broken }, (_, i) => `${i},1,2,3,4`);
    writeFileSync(path, `${[names.join(), ...lines, ...none].join('\n')}\n`);
  } else {
    const typed = { id: 'BIGINT', a: 'FLOAT', b: 'FLOAT' };
    const select = names.map((name) => `${name}::${typed[name as 'a']} AS ${name}`).join();
    const shown = rows.length === LONG_ROWS ? [] : rows;
    const values = [{ id: 0, a: 0, b: 0 }, ...shown].map(
      ({ id, a, b }, i) => `(${i}, ${id}, ${a}, ${b})`,
    );
    const [first] = rows;
    if (rows.length === LONG_ROWS) {
      const shift = (Number(first!.a) + 2) * 2;
      const sql = `SELECT (1000000 + i)::BIGINT AS id, ((i + ${shift}) % 13 / 2 - 2)::FLOAT AS a, (i % 9 / 2)::FLOAT AS b FROM range(${LONG_ROWS}) t(i)`;
      return writeParquet(path, sql, { rowGroupSize: 71_680 });
    }
    const table = `(VALUES ${values.join()}) t(i, id, a, b)`;
    await writeParquet(path, `SELECT ${select} FROM ${table} WHERE i > 0 ORDER BY i`);
  }
}

/** What is to become of a row: published with a score, set aside, or filtered. */
export function outcomeOf(row: Row, settings: Settings): number | 'quarantined' | 'filtered' {
  const { filter, model, nonFinite } = settings;
  if (filter !== undefined && !FILTERS[filter]!.keeps(row)) return 'filtered';
  if (row.a === 'x') return 'quarantined';
  const score = tinyModels()[model]!.score(row.a ?? Number.NaN, row.b ?? Number.NaN);
  return Number.isFinite(score) || nonFinite === 'keep' ? score : 'quarantined';
}

/** How the input is laid out: as CSV or Parquet, in folders of a column or of days, and with one file of several tasks. */
export interface Layout {
  readonly csv: boolean;
  readonly days: boolean;
  readonly long: boolean;
}

/** The input as the test keeps it: files by their paths below the input's folder. */
export class Input {
  readonly files = new Map<string, InputFile>();
  readonly folder: string;
  readonly layout: Layout;
  private readonly random: Random;
  private readonly earlier: [path: string, file: InputFile][] = [];
  private made = 0;

  constructor(folder: string, random: Random, layout: Layout) {
    this.folder = folder;
    this.random = random;
    this.layout = layout;
  }

  /** The name of a partition. */
  unit(number: number): string {
    return this.layout.days ? `2013-06-0${number}` : `p=${number}`;
  }

  /** The options of a command that means a partition, or all. */
  selection(only: string | undefined): string[] {
    if (!this.layout.days) return only === undefined ? [] : ['--partition', only];
    if (only !== undefined) return ['--date', only];
    return ['--from', '2013-06-01', '--to', '2013-06-05', '--allow-missing'];
  }

  /** The partitions that have files, in order, and the paths of their files. */
  units(): Map<string, string[]> {
    const units = new Map<string, string[]>();
    for (const path of [...this.files.keys()].sort())
      units.set(dirname(path), [...(units.get(dirname(path)) ?? []), path]);
    return units;
  }

  /** The digest of a file's bytes. */
  digest(path: string): string {
    return sha256(readFileSync(join(this.folder, path)));
  }

  /** Puts some files there. */
  async begin(): Promise<string[]> {
    const done: string[] = [];
    if (this.layout.long) {
      const path = `${this.unit(1)}/long.parquet`;
      const file = { rows: longRows(this.random.whole(0, 9)), broken: 0, kind: 'good' as const };
      await writeInput(join(this.folder, path), file);
      this.files.set(path, file);
      done.push(`add ${path}`);
    }
    for (let files = 3; files > 0; files--) done.push(await this.change());
    return done;
  }

  /** Adds, changes, renames or removes a file or a partition; says what it did. */
  async change(): Promise<string> {
    const { random, files } = this;
    const ending = this.layout.csv ? 'csv' : 'parquet';
    const paths = [...files.keys()];
    const bad = paths.filter((path) => files.get(path)!.kind !== 'good');
    if (this.earlier.length > 3 && random.next() < 0.2) return this.putBack();
    const draw = random.next();
    if (bad.length > 0 && draw < 0.5) return this.put(random.pick(bad), 'mend');
    if (paths.length < 2 || draw < 0.3) {
      const name = `${this.unit(random.whole(1, 5))}/${random.pick(['a', 'b', 'c'])}.${ending}`;
      return this.put(name, files.has(name) ? 'change' : 'add');
    }
    const path = random.pick(paths);
    if (draw < 0.6) return this.put(path, 'change');
    if (draw < 0.7) {
      const to = `${dirname(path)}/r${++this.made}.${ending}`;
      renameSync(join(this.folder, path), join(this.folder, to));
      files.set(to, files.get(path)!);
      files.delete(path);
      return `rename ${path} to ${to}`;
    }
    const gone = draw < 0.85 ? [path] : paths.filter((one) => dirname(one) === dirname(path));
    for (const one of gone) {
      rmSync(join(this.folder, one));
      files.delete(one);
    }
    const folder = join(this.folder, dirname(path));
    // An empty folder says no more than one that is gone.
    if (existsSync(folder) && readdirSync(folder).length === 0 && random.next() < 0.5)
      rmSync(folder, { recursive: true });
    return `remove ${gone.join()}`;
  }

  /** Puts a file back as it was once: what was made of it may still be in the store. */
  private async putBack(): Promise<string> {
    const [path, file] = this.random.pick(this.earlier);
    await writeInput(join(this.folder, path), file);
    this.files.set(path, file);
    return `put back ${path}: ${file.kind}, ${file.rows.length} rows`;
  }

  private async put(path: string, what: 'add' | 'change' | 'mend'): Promise<string> {
    this.made += 100;
    const drawn = drawFile(this.random, { csv: this.layout.csv, ids: this.made });
    const file: InputFile = what === 'mend' ? { ...drawn, kind: 'good' } : drawn;
    await writeInput(join(this.folder, path), file);
    this.files.set(path, file);
    this.earlier.push([path, file]);
    return `${what} ${path}: ${file.kind}, ${file.rows.length} rows`;
  }
}
