/** What ought to be published after each command of a random sequence, and with what the command ought to end. */
import type { Ledger } from '../src/plan/ledger.js';
import {
  countsId,
  type Input,
  outcomeOf,
  RANGE,
  type Settings,
  tinyModels,
} from './sequence-input.js';

/** What is published, or would be, of a partition. */
export interface Content {
  /** Of all that the record of the partition depends on. */
  readonly identity: string;
  readonly rows: readonly string[];
  readonly ledger: Ledger;
  /** Whether a score is beyond the range of the gate. */
  readonly outside: boolean;
}

/** Something that was reverted: the content of a partition, or that it was gone. */
interface Held {
  readonly unit: string;
  readonly identity: string | null;
  readonly snapshot: number;
}

type Units = ReadonlyMap<string, Content>;

/** A snapshot that ought to be there. */
export interface ModelSnapshot {
  readonly number: number;
  readonly units: Units;
  readonly format: Settings['format'];
  readonly name: string;
  readonly held: readonly Held[];
}

/** What a run staged. */
export interface ModelStaged {
  readonly units: Units;
  readonly removals: readonly string[];
  readonly format: Settings['format'];
  readonly name: string;
  readonly base: ModelSnapshot | undefined;
  /** Whether a gate stands against it. */
  readonly gates: boolean;
}

/** What of a run matters for what it comes to. */
export interface RunKind {
  readonly only?: string | undefined;
  readonly shard?: boolean;
  readonly keepGoing?: boolean;
  readonly prune?: boolean;
  readonly because?: boolean;
}

/** What a run ought to come to. */
export interface Expected {
  /** With what it may end, where nothing is published. */
  readonly codes: ReadonlySet<number>;
  /** What it would publish or stage; undefined where it comes to neither. */
  readonly publication: Publication | undefined;
}

/** Whole partitions, and those to drop. */
export interface Publication {
  readonly units: Units;
  readonly removals: readonly string[];
  readonly format: Settings['format'];
  readonly name: string;
  /** With what the command ends where it is published: partitions may have been passed over. */
  readonly exit: 0 | 4;
}

/** The content of a partition as the job stands; undefined when one of its files cannot be scored. */
export function contentOf(input: Input, unit: string, settings: Settings): Content | undefined {
  const paths = input.units().get(unit) ?? [];
  const files = paths.map((path) => input.files.get(path)!);
  if (files.some(({ kind }) => kind !== 'good')) return undefined;
  const { model, keep, filter, batchRows, nonFinite, format, hasKey } = settings;
  const said = [model, keep, filter, batchRows, nonFinite, format, hasKey, countsId(settings)];
  const digests = paths.map((path) => [path, input.digest(path)]);
  const rows = files.flatMap((file) => file.rows);
  const outcomes = rows.map((row) => outcomeOf(row, settings));
  const broken = files.reduce((sum, file) => sum + file.broken, 0);
  const count = (what: string): number => outcomes.filter((outcome) => outcome === what).length;
  const scores = outcomes.filter((outcome) => typeof outcome === 'number');
  return {
    identity: JSON.stringify([digests, said]),
    rows: rows.flatMap((row, i) => {
      const outcome = outcomes[i]!;
      return typeof outcome === 'number' ? [lineOf({ ...row }, keep, outcome)] : [];
    }),
    ledger: {
      rows: rows.length + broken,
      scored: scores.length,
      quarantined: count('quarantined') + broken,
      filtered: count('filtered'),
    },
    outside: scores.some((score) => !(score >= RANGE[0] && score <= RANGE[1])),
  };
}

/** A published row as a text: the score, and what is kept by name, but for what is null, as in files of other columns. */
export function lineOf(
  row: Readonly<Partial<Record<string, unknown>>>,
  keep: readonly string[],
  score: unknown,
): string {
  const kept = keep.filter((name) => row[name] !== null && row[name] !== undefined);
  return [...kept.map((name) => `${name}=${Number(row[name])}`).sort(), `y=${Number(score)}`].join(
    ' ',
  );
}

/** Whether a partition has an id twice: rows that are filtered, or set aside for what stands in them, do not count. */
function hasTwins(input: Input, unit: string, settings: Settings): boolean {
  const paths = input.units().get(unit) ?? [];
  const rows = paths.flatMap((path) => input.files.get(path)!.rows);
  const ids = rows
    .filter((row) => row.a !== 'x' && outcomeOf(row, settings) !== 'filtered')
    .map((row) => row.id);
  return settings.hasKey && new Set(ids).size < ids.length;
}

/** How many rows may be set aside of so many. */
function limitOf({ max }: Settings, rows: number): number {
  if (typeof max === 'number') return max;
  if (max === '0%') return 0;
  return max === undefined ? Math.max(10, Math.floor(rows / 1000)) : Math.max(10, rows);
}

/** The sum of a count over partitions. */
function sum(contents: Iterable<Content>, count: keyof Ledger): number {
  return [...contents].reduce((total, { ledger }) => total + ledger[count], 0);
}

/** Whether the job can be planned at all; the exit code if not. */
export function refusal(settings: Settings): number | undefined {
  return settings.engine === 'trees' && !tinyModels()[settings.model]!.isTrees ? 5 : undefined;
}

/** The state of an output. */
export class Model {
  snapshots: ModelSnapshot[] = [];
  readonly staged = new Map<string, ModelStaged>();
  /** How many of the newest snapshots stay after a publication. */
  keepSnapshots = 10;

  get latest(): ModelSnapshot | undefined {
    return this.snapshots.at(-1);
  }

  /** The partitions that are published and no longer in the input. */
  vanished(input: Input, only: string | undefined): string[] {
    const there = input.units();
    return [...(this.latest?.units.keys() ?? [])]
      .filter((unit) => !there.has(unit) && (only === undefined || unit === only))
      .sort();
  }

  /** The partitions that a run means. */
  meant(input: Input, only: string | undefined): string[] {
    return [...input.units().keys()].filter((unit) => only === undefined || unit === only);
  }

  /** What a run ought to come to. */
  expectRun(input: Input, settings: Settings, kind: RunKind): Expected {
    const meant = this.meant(input, kind.only);
    const removals = kind.prune ? this.vanished(input, kind.only) : [];
    const nothing = (...codes: number[]): Expected => ({
      codes: new Set(codes),
      publication: undefined,
    });
    // A folder of a column may be gone where others are there; of a day, only a range can say so.
    const isNone = kind.only !== undefined && input.layout.days;
    if (meant.length === 0 && (removals.length === 0 || input.files.size === 0 || isNone))
      return nothing(4);
    const refused = refusal(settings);
    if (refused !== undefined) return nothing(refused);
    const planned = new Map<string, Content>();
    for (const unit of meant) {
      const content = contentOf(input, unit, settings);
      if (content !== undefined) planned.set(unit, content);
    }
    const isNew = ([unit, { identity }]: [string, Content]): boolean =>
      this.latest?.units.get(unit)?.identity !== identity;
    const toDo = [...planned].filter(isNew);
    const twins = kind.shard ? [] : toDo.filter(([unit]) => hasTwins(input, unit, settings));
    const units = new Map([...planned].filter((one) => !twins.some(([unit]) => unit === one[0])));
    const failed = meant.length - units.size;
    // Rows are set aside as they are scored: how many of those that are new were scored before, a model does not know.
    const early =
      sum(new Map(toDo).values(), 'quarantined') > limitOf(settings, sum(planned.values(), 'rows'));
    if (failed > 0 && (!kind.keepGoing || units.size === 0))
      return nothing(4, ...(early ? [3] : []));
    if (kind.shard) return nothing(0, ...(early ? [3] : []));
    const news = [...units].filter(isNew).map(([, content]) => content);
    const limit = limitOf(settings, sum(units.values(), 'rows'));
    const codes = new Set<number>();
    if (sum(news, 'quarantined') > limit) codes.add(3);
    else if (early && failed > 0) codes.add(3).add(4);
    const publication: Publication = {
      units,
      removals,
      format: settings.format,
      name: settings.name,
      exit: failed > 0 ? 4 : 0,
    };
    if (!kind.because && this.heldOf(publication).length > 0) codes.add(3);
    if (this.mixesFormats(publication)) codes.add(2);
    if (codes.size > 0) return { codes, publication };
    const { fails } = settings.gate;
    const stands =
      fails === 'always' || (fails === 'outside' && news.some(({ outside }) => outside));
    if (news.length > 0 && stands) codes.add(3);
    if (news.length > 0 && fails === 'maybe') codes.add(3).add(publication.exit);
    return { codes: codes.size > 0 ? codes : new Set([publication.exit]), publication };
  }

  /** Drops what earlier runs staged of partitions that a run covers, but for what it has `kept`. */
  replaceStaged({ units, removals }: Publication, kept?: string): void {
    const covers = (unit: string): boolean => units.has(unit) || removals.includes(unit);
    for (const [runId, staged] of this.staged) {
      const all = [...staged.units.keys(), ...staged.removals];
      if (runId !== kept && all.every(covers)) this.staged.delete(runId);
    }
  }

  /** What of a publication was reverted. */
  heldOf({ units, removals }: Pick<Publication, 'units' | 'removals'>): readonly Held[] {
    return (this.latest?.held ?? []).filter(({ unit, identity }) =>
      units.has(unit)
        ? units.get(unit)!.identity === identity
        : identity === null && removals.includes(unit),
    );
  }

  /** Whether partitions of another format would stay beside a publication. */
  mixesFormats({
    units,
    removals,
    format,
  }: Pick<Publication, 'units' | 'removals' | 'format'>): boolean {
    const stays = [...(this.latest?.units.keys() ?? [])].filter(
      (unit) => !units.has(unit) && !removals.includes(unit),
    );
    return stays.length > 0 && this.latest?.format !== format;
  }

  /** With what the publication of something staged ought to end. */
  expectPublish(staged: ModelStaged, because: boolean): Set<number> {
    if (staged.gates && !because) return new Set([3]);
    const { latest } = this;
    if (latest !== undefined && latest.number !== staged.base?.number) {
      for (const unit of [...staged.units.keys(), ...staged.removals]) {
        const [was, theirs, ours] = [staged.base, latest, staged].map(
          (side) => side?.units.get(unit)?.identity,
        );
        if (theirs !== was && theirs !== ours) return new Set([7]);
      }
    }
    if (!because && this.heldOf(staged).length > 0) return new Set([3]);
    return new Set([this.mixesFormats(staged) ? 2 : 0]);
  }

  /** Publishes; tells whether that changed anything. `anew` publishes the same again. */
  publish(publication: Omit<Publication, 'exit'>, anew = false): boolean {
    const { latest } = this;
    const stays = [...(latest?.units ?? [])].filter(
      ([unit]) => !publication.removals.includes(unit),
    );
    const units = new Map([...stays, ...publication.units]);
    const { format, name } = publication;
    if (!anew && latest !== undefined && sameContent(latest, { units, format, name })) return false;
    const held = (latest?.held ?? []).filter(
      ({ unit }) => latest?.units.get(unit)?.identity === units.get(unit)?.identity,
    );
    this.snapshots.push({ number: (latest?.number ?? 0) + 1, units, format, name, held });
    return true;
  }

  /** The snapshot that a revert brings back: the one of a number, or the newest that differs and was not reverted. */
  revertTarget(to: number | undefined): ModelSnapshot | undefined {
    if (to !== undefined) return this.snapshots.find(({ number }) => number === to);
    const { latest } = this;
    return this.snapshots
      .slice(0, -1)
      .reverse()
      .find(
        (older) =>
          !sameContent(older, latest!) &&
          !latest!.held.some(({ unit, identity, snapshot }) =>
            identity === null
              ? snapshot === older.number
              : older.units.get(unit)?.identity === identity,
          ),
      );
  }

  /** Brings a snapshot back; tells whether that changed anything. */
  revert(target: ModelSnapshot): boolean {
    const latest = this.latest!;
    if (sameContent(latest, target)) return false;
    const held = new Map<string, Held>();
    for (const unit of [...latest.units.keys(), ...target.units.keys()]) {
      const identity = latest.units.get(unit)?.identity ?? null;
      held.set(`${unit} ${identity}`, { unit, identity, snapshot: latest.number });
    }
    for (const one of latest.held) held.set(`${one.unit} ${one.identity}`, one);
    this.snapshots.push({
      ...target,
      number: latest.number + 1,
      held: [...held.values()].filter(
        ({ unit, identity }) => (target.units.get(unit)?.identity ?? null) !== identity,
      ),
    });
    return true;
  }

  /** Keeps only the newest snapshots. */
  collect(keep: number): void {
    this.snapshots = this.snapshots.slice(-keep);
  }
}

type SnapshotContent = Pick<ModelSnapshot, 'units' | 'format' | 'name'>;

/** Whether two snapshots hold the same. */
function sameContent(a: SnapshotContent, b: SnapshotContent): boolean {
  const text = ({ units, format, name }: SnapshotContent): string =>
    JSON.stringify([
      format,
      name,
      [...units].map(([unit, { identity }]) => [unit, identity]).sort(),
    ]);
  return text(a) === text(b);
}

/** The rows that a fixture of a job has, as one text; an exit code where there can be none. */
export function fixtureRows(input: Input, settings: Settings): string | number {
  if (!settings.hasKey) return 2;
  const lenient: Settings = { ...settings, max: 1e9, gate: { gates: {}, fails: 'never' } };
  const { codes, publication } = new Model().expectRun(input, lenient, {});
  if (publication?.exit !== 0) return Math.max(...codes);
  const { units } = publication;
  // A fixture without rows says nothing.
  if (sum(units.values(), 'rows') === 0) return 4;
  return JSON.stringify(
    [...units].map(([unit, { rows, ledger }]) => [unit, [...rows].sort(), ledger.quarantined]),
  );
}
