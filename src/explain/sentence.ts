/** Says in one sentence why scores moved, or that nothing can be said. */
import { shown } from '../base/errors.js';
import type { Part } from './crossover.js';
import type { Explained, ExplainedChange } from './explain.js';
import type { FeaturePart } from './features.js';
import type { Target } from './targets.js';

/** What is to be said of a change: it moved; it is none; chance alone may have made it; or its parts cancel each other. */
export type Verdict = 'moved' | 'nothing' | 'unclear' | 'offset';

/** A part of a change that can be named. */
export interface NamedPart extends Part {
  readonly kind: 'feature' | 'model' | 'others' | 'rows';
  /** In words: `dep_delay`, `nulls in dep_delay`, `the new model`. */
  readonly name: string;
}

/** A change of more standard errors is by chance with a probability below 0.001. */
const SURE = 3.3;
/** Of the many parts of a change that is none, one may be as far off by chance: those that cancel each other have to be surer. */
const SURE_OF_PART = 5;
/** Fewer rows say nothing. */
const FEWEST_ROWS = 100;
/** A part below this share of the largest is one of the others. */
const LEAST_PART = 0.1;
/** How many features a sentence names. */
const NAMED = 3;
/** Below this share of what it is a change of, a change is rounding. */
const ROUNDING = 1e-9;

/** What there is to say of a change. */
export function verdictOf({ rows }: Pick<Explained, 'rows'>, change: ExplainedChange): Verdict {
  const { total, rows: ofRows, model, sampled } = change.crossover;
  const scale = Math.max(Math.abs(sampled.before), Math.abs(sampled.now), Number.MIN_VALUE);
  const isNothing = (part: Part): boolean => Math.abs(part.change) <= ROUNDING * scale;
  const surely = (part: Part, errors: number): boolean =>
    !isNothing(part) && Math.abs(part.change) > errors * part.error;
  if (isNothing(total) && isNothing(ofRows) && isNothing(model)) return 'nothing';
  if (Math.min(rows.before, rows.now) < FEWEST_ROWS) return 'unclear';
  const large = [model, ...change.features].filter(
    (part) =>
      surely(part, SURE_OF_PART) &&
      Math.abs(part.change) > Math.max(2 * Math.abs(total.change), SURE_OF_PART * total.error),
  );
  if (large.length > 1) return 'offset';
  return surely(total, SURE) ? 'moved' : 'unclear';
}

/** The parts of a change as a sentence names them: the largest first, all others together at the end. */
export function namedParts(explained: Explained, change: ExplainedChange): NamedPart[] {
  const { rows, model } = change.crossover;
  const others = { kind: 'others' as const, name: 'other features' };
  const candidates: NamedPart[] =
    change.features.length === 0
      ? [{ kind: 'rows', name: rowsName(change), ...rows }]
      : change.features.map((part) => ({
          kind: 'feature',
          name: featureName(part),
          change: part.change,
          error: part.error,
        }));
  const all: NamedPart[] = [
    ...candidates,
    ...(explained.sameModel ? [] : [{ kind: 'model' as const, name: 'the new model', ...model }]),
  ].filter((part) => part.change !== 0);
  const largest = Math.max(0, ...all.map((part) => Math.abs(part.change)));
  const isNamed = (part: NamedPart): boolean =>
    Math.abs(part.change) >= LEAST_PART * largest && Math.abs(part.change) > SURE * part.error;
  const sorted = all.toSorted((a, b) => Math.abs(b.change) - Math.abs(a.change));
  const named: NamedPart[] = [];
  let features = 0;
  for (const part of sorted) {
    if (part.kind === 'model' ? !isNamed(part) : !isNamed(part) || features === NAMED) continue;
    if (part.kind !== 'model') features++;
    named.push(part);
  }
  const rest = sorted.filter((part) => !named.includes(part));
  if (rest.length === 0) return named;
  const sum = rest.reduce((total, part) => total + part.change, 0);
  const error = Math.sqrt(rest.reduce((total, part) => total + part.error ** 2, 0));
  const [only] = rest;
  const isOne = rest.length === 1 && only!.kind !== 'feature';
  return [...named, isOne ? only! : { ...others, change: sum, error }];
}

/** What the rows are called where no features are: those of the sample may not have changed at all. */
function rowsName({ target }: ExplainedChange): string {
  return target.measure === 'quantile' ? 'the rows' : 'rows outside the sample';
}

/** A feature, or several, and what of their values made it, in words. */
function featureName({ features, cause }: FeaturePart): string {
  const names = features.slice(0, NAMED).map((name) => shown(name, 60));
  const more = features.length - names.length;
  const together = `${names.join(' and ')}${more > 0 ? ` and ${more} more` : ''}`;
  if (features.length > 1) return `${together} (which move together)`;
  if (cause === null) return together;
  const shares = `(${percent(cause.before)} → ${percent(cause.now)})`;
  if (cause.kind === 'nulls') return `nulls in ${together} ${shares}`;
  const value = shown(cause.value ?? '', 40);
  return `${together} "${value}", ${cause.kind === 'new' ? 'new' : 'gone'} ${shares}`;
}

/** The sentence about a change. */
export function sentenceOf(explained: Explained, change: ExplainedChange): string {
  const { target, crossover } = change;
  const name = targetName(target);
  const verdict = verdictOf(explained, change);
  const { total, sampled } = crossover;
  const before = target.before ?? sampled.before;
  const now = target.now ?? sampled.now;
  const isRate = target.measure === 'rate';
  const factor = isRate ? 100 : 1;
  const parts = namedParts(explained, change);
  const sizes = [total, ...parts].map((part) => Math.abs(part.change * factor));
  const places = decimals(Math.max(...sizes));
  const number = (value: number): string => plain((value * factor).toFixed(places));
  const percentSign = isRate ? ' %' : '';
  const ends = `${number(before)}${percentSign} → ${number(now)}${percentSign}`;
  if (verdict === 'nothing')
    // By a change of nothing no number of decimals is to be told.
    return `Nothing moved: ${name} is ${plain(String(Number((now * factor).toPrecision(4))))}${percentSign} as before.`;
  if (verdict === 'unclear')
    return `${name} went from ${number(before)}${percentSign} to ${number(now)}${percentSign}: too little to tell from chance.`;
  const said = parts
    .filter((part) => Number((part.change * factor).toFixed(places)) !== 0)
    .map(
      (part) => `${part.change < 0 ? '−' : '+'}${number(Math.abs(part.change))} from ${part.name}`,
    )
    .join(', ');
  if (verdict === 'offset')
    return `${name} hardly moved (${ends}), because changes cancel each other: ${said}.`;
  const way = total.change < 0 ? 'fell' : 'rose';
  const unit = isRate ? ' points' : '';
  return `${name} ${way} by ${number(Math.abs(total.change))}${unit} (${ends}): ${said}.`;
}

/** A target in words. */
export function targetName({ column, measure, share, label }: Target): string {
  const name = shown(column, 60);
  if (measure === 'mean') return `Mean ${name}`;
  if (measure === 'quantile')
    return `The ${plain(String((share ?? 0) * 100))} % quantile of ${name}`;
  return `Share of ${name} "${shown(label ?? '', 40)}"`;
}

/** Decimal places with which the largest part of a change has two digits that count, or three from 10 to 100. */
function decimals(largest: number): number {
  if (!(largest > 0)) return 2;
  const power = Math.floor(Math.log10(largest));
  return power === 1 ? 1 : Math.min(12, Math.max(0, 1 - power));
}

function percent(share: number): string {
  const value = share * 100;
  const text = value === 0 || value >= 9.95 ? value.toFixed(0) : value.toPrecision(2);
  return `${plain(text)} %`;
}

/** A number as text, its minus a sign that is as wide as a plus. */
function plain(text: string): string {
  return Number(text) === 0 && text.startsWith('-') ? text.slice(1) : text.replace('-', '−');
}
