/**
 * The statistics of a column of texts: the same for the same texts in whatever order and groups they came.
 *
 * Up to 10,000 different texts are counted each. Where there are more, those with the 1,024 least hashes are: a sample of the
 * different texts that does not depend on their order, with exact counts, because a text that is in it at the end was in it
 * whenever it came (Beyer et al. 2007, "On synopses for distinct-value estimation under multiset operations").
 */
import { compareText } from '../base/hash.js';

/** How many different texts are counted each. */
export const EXACT_TEXTS = 10_000;
/** How many are, where there are more. */
export const SAMPLED_TEXTS = 1024;
/** Longer texts are counted by their beginning and a hash. */
export const LONGEST_TEXT = 128;

/** Hashes are whole numbers below this. */
export const HASHES = 2 ** 53;

/** What was counted of a column of texts. */
export interface CategorySketch {
  readonly kind: 'category';
  /** Rows without a value. */
  readonly nulls: number;
  /** Rows with one, the empty text included. */
  readonly rows: number;
  readonly empty: number;
  /** In UTF-16 code units: of the shortest and the longest (undefined without texts), and of all together. */
  readonly shortest: number | undefined;
  readonly longest: number | undefined;
  readonly length: number;
  /** Texts with a hash above this are not counted each: HASHES while all are. */
  readonly bound: number;
  /** The different texts, in the order of `compareText`. */
  readonly texts: readonly string[];
  /** How often each was there. */
  readonly counts: Float64Array;
}

/** The statistics of no rows. */
export const NO_TEXTS: CategorySketch = {
  kind: 'category',
  nulls: 0,
  rows: 0,
  empty: 0,
  shortest: undefined,
  longest: undefined,
  length: 0,
  bound: HASHES,
  texts: [],
  counts: new Float64Array(0),
};

/**
 * A hash of 53 bits: two products over the code units, as FNV-1a, each finished as MurmurHash3 (Appleby) does.
 * Part of the format of statistics: samples of different hashes cannot be put together.
 */
export function textHash(text: string): number {
  let a = 0x811c9dc5;
  let b = 0x9747b28c;
  for (let i = 0; i < text.length; i++) {
    const unit = text.charCodeAt(i);
    a = Math.imul(a ^ unit, 0x01000193);
    b = Math.imul(b ^ unit, 0x5bd1e995);
    b ^= b >>> 15;
  }
  return (finished(a ^ (b >>> 16)) >>> 0) * 0x200000 + (finished(b ^ text.length) >>> 11);
}

function finished(hash: number): number {
  const once = Math.imul(hash ^ (hash >>> 16), 0x85ebca6b);
  const twice = Math.imul(once ^ (once >>> 13), 0xc2b2ae35);
  return twice ^ (twice >>> 16);
}

/** What a text is counted as. */
function counted(text: string): string {
  if (text.length <= LONGEST_TEXT) return text;
  return `${text.slice(0, LONGEST_TEXT)}…${textHash(text).toString(16)}`;
}

/** Counts the texts of one column, batch after batch. */
export class CategoryBuilder {
  private counts = new Map<string, number>();
  private bound = HASHES;
  private most = EXACT_TEXTS;
  private nulls = 0;
  private rows = 0;
  private empty = 0;
  private shortest = Number.POSITIVE_INFINITY;
  private longest = 0;
  private length = 0;

  /** Counts the texts of the rows whose bit is set in `chosen`, of all without it; null stands for no value. */
  add(texts: readonly (string | null)[], chosen?: Uint8Array): void {
    for (let row = 0; row < texts.length; row++) {
      if (chosen !== undefined && (chosen[row >> 3]! & (1 << (row & 7))) === 0) continue;
      const text = texts[row] ?? null;
      if (text === null) {
        this.nulls++;
        continue;
      }
      this.rows++;
      this.length += text.length;
      if (text.length === 0) this.empty++;
      if (text.length < this.shortest) this.shortest = text.length;
      if (text.length > this.longest) this.longest = text.length;
      this.count(counted(text));
    }
  }

  private count(text: string): void {
    if (this.bound < HASHES && textHash(text) > this.bound) return;
    const { counts } = this;
    const known = counts.get(text);
    counts.set(text, (known ?? 0) + 1);
    if (known !== undefined || counts.size <= this.most) return;
    const sample = leastHashes(counts);
    this.counts = sample.counts;
    this.bound = sample.bound;
    // Twice as many as wanted before the next sorting out.
    this.most = 2 * SAMPLED_TEXTS;
  }

  /** The statistics so far. */
  finish(): CategorySketch {
    const any = this.rows > 0;
    return {
      kind: 'category',
      nulls: this.nulls,
      rows: this.rows,
      empty: this.empty,
      shortest: any ? this.shortest : undefined,
      longest: any ? this.longest : undefined,
      length: this.length,
      ...ordered(this.counts, this.bound),
    };
  }
}

/** Those of some counted texts with the least hashes. */
function leastHashes(counts: ReadonlyMap<string, number>): {
  counts: Map<string, number>;
  bound: number;
} {
  const all = Array.from(counts, ([text, count]) => ({ text, count, hash: textHash(text) }))
    .sort((a, b) => a.hash - b.hash || compareText(a.text, b.text))
    .slice(0, SAMPLED_TEXTS);
  return {
    counts: new Map(all.map(({ text, count }) => [text, count])),
    bound: all.at(-1)!.hash,
  };
}

/** Counted texts in order; too many become a sample. */
function ordered(
  found: ReadonlyMap<string, number>,
  foundBound: number,
): Pick<CategorySketch, 'bound' | 'texts' | 'counts'> {
  const isSample = foundBound < HASHES;
  const tooMany = found.size > (isSample ? SAMPLED_TEXTS : EXACT_TEXTS);
  const { counts, bound } = tooMany ? leastHashes(found) : { counts: found, bound: foundBound };
  const texts = [...counts.keys()].sort(compareText);
  return { bound, texts, counts: Float64Array.from(texts, (text) => counts.get(text)!) };
}

/** The statistics of two sets of rows together. */
export function mergeCategory(a: CategorySketch, b: CategorySketch): CategorySketch {
  const bound = Math.min(a.bound, b.bound);
  const counts = new Map<string, number>();
  for (const { texts, counts: own } of [withinBound(a, bound), withinBound(b, bound)]) {
    texts.forEach((text, i) => {
      counts.set(text, (counts.get(text) ?? 0) + own[i]!);
    });
  }
  const lengths = [a.shortest, b.shortest].filter((length) => length !== undefined);
  const longest = [a.longest, b.longest].filter((length) => length !== undefined);
  return {
    kind: 'category',
    nulls: a.nulls + b.nulls,
    rows: a.rows + b.rows,
    empty: a.empty + b.empty,
    shortest: lengths.length === 0 ? undefined : Math.min(...lengths),
    longest: longest.length === 0 ? undefined : Math.max(...longest),
    length: a.length + b.length,
    ...ordered(counts, bound),
  };
}

/** The counted texts whose hash is at most a bound. */
export function withinBound(
  { texts, counts, bound: own }: Pick<CategorySketch, 'texts' | 'counts' | 'bound'>,
  bound: number,
): { readonly texts: readonly string[]; readonly counts: ArrayLike<number> } {
  if (own <= bound) return { texts, counts };
  const kept = texts.map((text) => textHash(text) <= bound);
  return {
    texts: texts.filter((_, i) => kept[i]),
    counts: [...counts].filter((_, i) => kept[i]),
  };
}

/** How many different texts there were: exact while all are counted, else estimated (Beyer et al. 2007), within 7 % or so. */
export function distinctTexts({ bound, texts }: CategorySketch): number {
  if (bound === HASHES) return texts.length;
  return Math.round((texts.length - 1) / (bound / HASHES));
}

/** The most frequent of the counted texts, with their counts; among equals in the order of `compareText`. */
export function topTexts(
  { texts, counts }: CategorySketch,
  most: number,
): { readonly text: string; readonly count: number }[] {
  return texts
    .map((text, i) => ({ text, count: counts[i]! }))
    .sort((a, b) => b.count - a.count || compareText(a.text, b.text))
    .slice(0, most);
}
