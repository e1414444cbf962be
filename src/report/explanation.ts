/** Makes an explanation of what was found, and says it in a terminal. Pure. */
import { shown } from '../base/errors.js';
import type { Explained, ExplainedChange } from '../explain/explain.js';
import { namedParts, sentenceOf, verdictOf } from '../explain/sentence.js';
import type { Explanation } from './explanation-schema.js';

type Change = Explanation['changes'][number];

/** An explanation that says why there is none. */
export function notExplained(reason: string): Explanation {
  return {
    verdict: 'none',
    sentence: null,
    reason,
    notes: [],
    sampled: null,
    sameModel: null,
    orders: null,
    matched: null,
    scored: null,
    ms: null,
    changes: [],
  };
}

/** That of two sides that are the same: nothing was looked at. */
export function nothingMoved(): Explanation {
  return {
    ...notExplained(''),
    verdict: 'nothing',
    sentence: 'Nothing moved: the same rows, scored by the same model.',
    reason: null,
    sameModel: true,
  };
}

/** What was found as an explanation: sure changes first, then those of means. */
export function explanationOf(
  explained: Explained,
  about: { readonly notes: readonly string[]; readonly ms: number },
): Explanation {
  const changes = explained.changes.map((change) => changeOf(explained, change));
  const order = ['moved', 'offset', 'unclear', 'nothing'];
  const rank = ({ verdict, measure }: Change): number =>
    2 * order.indexOf(verdict) + (measure === 'mean' ? 0 : 1);
  const sorted = changes.toSorted((a, b) => rank(a) - rank(b));
  const oneWay =
    explained.orders === 'both'
      ? []
      : [
          'the models take different columns: rows and model were put in each other’s place in one order alone',
        ];
  return {
    verdict: sorted[0]?.verdict ?? 'none',
    sentence: sorted[0]?.sentence ?? null,
    reason: null,
    notes: [...about.notes, ...oneWay],
    sampled: explained.rows,
    sameModel: explained.sameModel,
    orders: explained.orders,
    matched: explained.matched,
    scored: explained.scored,
    ms: Math.round(about.ms),
    changes: sorted,
  };
}

function changeOf(explained: Explained, change: ExplainedChange): Change {
  const { target, crossover, features, keys, segments } = change;
  const { total, rows, model, sampled } = crossover;
  const saved = <Of extends { readonly change: number; readonly error: number }>(of: Of) => ({
    ...of,
    change: finite(of.change),
    error: finite(of.error),
  });
  const ofKeys = (part: { readonly share: number; readonly change: number }) => ({
    ...part,
    change: finite(part.change),
  });
  return {
    column: target.column,
    measure: target.measure,
    share: target.share,
    label: target.label,
    verdict: verdictOf(explained, change),
    sentence: sentenceOf(explained, change),
    before: finite(target.before ?? sampled.before),
    now: finite(target.now ?? sampled.now),
    ...saved(total),
    rows: saved(rows),
    model: saved(model),
    parts: namedParts(explained, change).map(saved),
    features: features.map(({ features: names, ...part }) => {
      return { ...saved(part), features: [...names] };
    }),
    keys:
      keys === null
        ? null
        : { came: ofKeys(keys.came), went: ofKeys(keys.went), changed: ofKeys(keys.changed) },
    segments: segments.map((segment) => ({ ...saved(segment), within: finite(segment.within) })),
  };
}

function finite(value: number): number | null {
  return Number.isFinite(value) ? value : null;
}

/** How many sentences a terminal has. */
const SENTENCES = 3;
/** A category in which so much of a change is, with at most half of that share of the rows, is where it is concentrated. */
const CONCENTRATED = 0.5;

/** What a terminal says of an explanation. */
export function explanationLines(explanation: Explanation): string[] {
  const { reason, sentence, changes, notes } = explanation;
  if (reason !== null) return [`why        not explained: ${reason}`];
  if (sentence === null) return [];
  const told = changes.filter(({ verdict }) => verdict === 'moved' || verdict === 'offset');
  const sentences =
    told.length === 0 ? [sentence] : told.slice(0, SENTENCES).map((c) => c.sentence);
  return [
    ...sentences.map((text) => `why        ${text}`),
    ...whereLines(told[0]),
    ...notes.map((note) => `why        note: ${note}`),
  ];
}

/** Where the first change is: in which rows, and in which category. */
function whereLines(change: Change | undefined): string[] {
  if (change === undefined || change.change === null) return [];
  const whole = change.change;
  const lines: string[] = [];
  const { keys } = change;
  if (keys !== null && (keys.came.share > 0 || keys.went.share > 0)) {
    const of = (
      name: string,
      { share, change: own }: { share: number; change: number | null },
    ): string => `${name} (${percent(share)} of rows) ${percent((own ?? 0) / whole)}`;
    const all = [
      of('new keys', keys.came),
      of('keys that are gone', keys.went),
      of('keys that stayed', keys.changed),
    ];
    lines.push(`where      of the change: ${all.join(', ')}`);
  }
  const candidates = change.segments.filter(({ change: own, error, before, now }) => {
    const share = (own ?? 0) / whole;
    const isSure = Math.abs(own ?? 0) > 3 * (error ?? 0);
    return isSure && share >= CONCENTRATED && Math.max(before, now) <= share / 2;
  });
  // One that is new, or gone, says more than others that came with it.
  const concentrated =
    candidates.find(({ before, now }) => before === 0 || now === 0) ?? candidates[0];
  if (concentrated !== undefined) {
    const { column, category, now, before } = concentrated;
    const value = category === null ? 'nothing' : `"${shown(category, 40)}"`;
    lines.push(
      `where      ${percent((concentrated.change ?? 0) / whole)} of the change is where ${shown(column, 60)} is ${value} (${percent(before)} → ${percent(now)} of rows)`,
    );
  }
  return lines;
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}
