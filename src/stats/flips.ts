/** What changed for the same key between two sets of predictions: counts that can be summed, and the keys that moved most. */

/** A published column to compare: a label is the same or another, a number moves by so much. */
export interface FlipColumn {
  readonly name: string;
  readonly kind: 'label' | 'number';
}

/** A key whose prediction changed; values as text, as they are published. */
export interface Mover {
  readonly key: string;
  readonly before: string | null;
  readonly now: string | null;
}

/** One column over the keys that both sides have. */
export interface ColumnFlips extends FlipColumn {
  /** Keys whose value is another than before; null beside a value is another, NaN beside NaN is not. */
  readonly changed: number;
  /** Of a label: how many keys went from one value to another, the most frequent pairs first. */
  readonly pairs: readonly {
    readonly before: string | null;
    readonly now: string | null;
    readonly keys: number;
  }[];
  /** Of a number: the sum of what it moved by, over keys that have a finite number on both sides; their number; the largest move. */
  readonly sum: number;
  readonly finite: number;
  readonly largest: number;
  /** Of a number: the keys that moved most, the largest move first. Of a label: some that changed, by key. */
  readonly movers: readonly Mover[];
}

/** What became of the keys of two sets of predictions. */
export interface Flips {
  readonly keys: { readonly both: number; readonly before: number; readonly now: number };
  /** Of the columns that both sides have. */
  readonly columns: readonly ColumnFlips[];
  /** Columns that one side lacks: there is nothing to compare. */
  readonly absent: readonly string[];
}

/** How many pairs and movers are kept of a column. */
export const FLIPS_KEPT = 10;

/** The flips of several disjoint sets of rows (partitions) as those of all of them. */
export function sumFlips(all: readonly Flips[]): Flips {
  const columns = new Map<string, ColumnFlips[]>();
  for (const column of all.flatMap((flips) => flips.columns)) {
    const known = columns.get(column.name);
    if (known === undefined) columns.set(column.name, [column]);
    else known.push(column);
  }
  const sum = (of: (flips: Flips) => number): number =>
    all.reduce((total, flips) => total + of(flips), 0);
  return {
    keys: {
      both: sum(({ keys }) => keys.both),
      before: sum(({ keys }) => keys.before),
      now: sum(({ keys }) => keys.now),
    },
    columns: [...columns.values()].map(sumColumn),
    absent: [...new Set(all.flatMap(({ absent }) => absent))].sort(),
  };
}

function sumColumn(columns: readonly ColumnFlips[]): ColumnFlips {
  const [{ name, kind }] = columns as readonly [ColumnFlips];
  const pairs = new Map<string, ColumnFlips['pairs'][number]>();
  for (const pair of columns.flatMap((column) => column.pairs)) {
    const id = JSON.stringify([pair.before, pair.now]);
    pairs.set(id, { ...pair, keys: pair.keys + (pairs.get(id)?.keys ?? 0) });
  }
  const total = (of: (column: ColumnFlips) => number): number =>
    columns.reduce((all, column) => all + of(column), 0);
  const movers = columns.flatMap((column) => column.movers);
  return {
    name,
    kind,
    changed: total(({ changed }) => changed),
    pairs: [...pairs.values()].sort(byKeys).slice(0, FLIPS_KEPT),
    sum: total((column) => column.sum),
    finite: total(({ finite }) => finite),
    largest: Math.max(0, ...columns.map(({ largest }) => largest)),
    movers: (kind === 'number' ? movers.sort(byMove) : movers).slice(0, FLIPS_KEPT),
  };
}

type Pair = ColumnFlips['pairs'][number];

/** The most keys first; of as many, in the order of their values, so that the order never depends on how rows came. */
function byKeys(a: Pair, b: Pair): number {
  return b.keys - a.keys || compareText(JSON.stringify(a), JSON.stringify(b));
}

function byMove(a: Mover, b: Mover): number {
  return moveOf(b) - moveOf(a) || compareText(a.key, b.key);
}

function moveOf({ before, now }: Mover): number {
  const move = Math.abs(Number(now) - Number(before));
  return Number.isNaN(move) ? Number.POSITIVE_INFINITY : move;
}

function compareText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
