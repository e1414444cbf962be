/** What an output holds, what waits for a person, and what to type next: as data and as text. Pure. */
import { EXITS, firstLine, shellWord, shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { type Decisions, decisionsOn } from './next-steps.js';
import { namesOf, plural } from './report.js';

/** Something staged. */
export interface Waiting {
  /** The run that staged it: the name that `publish` and `discard` take. */
  readonly run: string;
  /** `outdated`: another run has published one of its partitions since; `published`: so has been all of it. */
  readonly state: 'waits' | 'outdated' | 'published' | 'damaged';
  readonly partitions: readonly string[];
  /** Whether gates failed: then `publish` says what the data are to later runs. */
  readonly gatesFailed: boolean;
  /** Why it was not published, in lines. */
  readonly reasons: readonly string[];
  readonly folder: string;
  /** The page on the run; null where there is none. */
  readonly page: string | null;
}

/** The last run of an output. */
export interface LastRun {
  readonly run: string;
  /** When it began: ISO 8601, UTC. */
  readonly at: string;
  /** As `runs` has it. */
  readonly verdict: string;
  /** What the process ended with; null where that is not recorded. */
  readonly exit: number | null;
  readonly error: string | null;
  readonly page: string | null;
  /** Partitions that wait for their `ready` file. */
  readonly notReady: readonly string[];
}

/** The state of an output. */
export interface StatusReport {
  readonly format: 1;
  readonly output: string;
  readonly job: string | null;
  readonly jobFile: string | null;
  readonly published: {
    readonly snapshot: number;
    readonly path: string;
    readonly partitions: number;
    readonly rows: number;
    /** When it was published; null where no record says so. */
    readonly at: string | null;
  } | null;
  readonly staged: readonly Waiting[];
  readonly lastRun: LastRun | null;
  /** When a run last ended well: ISO 8601, UTC. */
  readonly lastSuccess: string | null;
  /** Partitions whose gates a person overrode, and what they are to later runs. */
  readonly overridden: readonly { readonly partition: string; readonly as: string }[];
  /** Partitions whose content was reverted and is held back. */
  readonly held: readonly string[];
  readonly next: readonly NextStep[];
}

/** A command to type, and why; null where a person has to do something else first. */
export interface NextStep {
  readonly why: string;
  readonly command: string | null;
}

/** What is to be done, the most pressing first; empty where nothing is. */
export function nextSteps({
  output,
  jobFile,
  staged,
  lastRun,
}: Omit<StatusReport, 'next'>): NextStep[] {
  const run = jobFile === null ? null : `scoreline run ${shellWord(jobFile)}`;
  return [
    ...staged.flatMap((one) => stepsFor(one, decisionsOn(output, one.run, one.gatesFailed))),
    ...afterRun(),
  ];

  function afterRun(): NextStep[] {
    if (lastRun === null) return [{ why: 'no run yet', command: run }];
    const { exit, verdict } = lastRun;
    if (verdict === 'unfinished')
      return [
        { why: 'the last run goes on, or was killed: the same command finishes it', command: run },
      ];
    // What is staged is in the list already.
    if (exit === null || exit === 0 || exit === 3) return [];
    const whatToDo = EXITS.find((row) => row.exit === exit)?.whatToDo ?? '';
    return [{ why: `the last run ended with ${exit}: ${whatToDo}`, command: run }];
  }
}

function stepsFor(
  { run, state, gatesFailed }: Waiting,
  { publish, discard }: Decisions,
): NextStep[] {
  const drop = (why: string): NextStep[] => [{ why: `${run}: ${why}`, command: discard }];
  switch (state) {
    case 'waits':
      return [
        {
          why: `${run}: look at its page, then publish it${gatesFailed ? ' (--exception or --new-normal)' : ''}`,
          command: publish,
        },
        { why: `${run}: or drop it`, command: discard },
      ];
    case 'outdated':
      return drop('another run has published its partitions since');
    case 'published':
      return drop('is published already');
    case 'damaged':
      return drop('cannot be read');
  }
}

/** How many lines of reasons are shown of one staged run. */
const REASONS_SHOWN = 5;

/** The state of an output as lines for a terminal. */
export function statusLines(status: StatusReport): string[] {
  const { job, output, published, staged, lastRun, lastSuccess, overridden, held, next } = status;
  return [
    `job        ${shown(job ?? 'unknown')}, in ${shown(output, 1000)}`,
    published === null
      ? 'published  nothing yet'
      : `published  snapshot ${published.snapshot}${published.at === null ? '' : ` of ${timeText(published.at)}`}: ${plural(published.partitions, 'partition')}, ${plural(published.rows, 'row')}`,
    `success    ${lastSuccess === null ? 'never' : timeText(lastSuccess)}`,
    ...lastRunLines(lastRun),
    staged.length === 0 ? 'staged     nothing' : `staged     ${grouped(staged.length)}`,
    ...staged.flatMap(waitingLines),
    ...(held.length === 0
      ? []
      : [`held       reverted, not published again by itself: ${namesOf(held)}`]),
    ...['exception', 'new-normal'].flatMap((as) => {
      const names = overridden.filter((one) => one.as === as).map(({ partition }) => partition);
      return names.length === 0 ? [] : [`overridden ${as}: ${namesOf(names)}`];
    }),
    ...(next.length === 0
      ? ['next       nothing to do']
      : next.flatMap(({ why, command }) => [
          `next       ${shown(why, 1000)}`,
          ...(command === null ? [] : [`           ${command}`]),
        ])),
  ];
}

function lastRunLines(lastRun: LastRun | null): string[] {
  if (lastRun === null) return ['last run   none'];
  const { run, at, verdict, exit, error, page, notReady } = lastRun;
  const code = exit === null ? '' : ` (${exit})`;
  return [
    `last run   ${run} of ${timeText(at)}: ${shown(verdict, 20)}${code}`,
    ...(error === null ? [] : [`           ${shown(firstLine(error), 1000)}`]),
    ...(page === null ? [] : [`           page ${shown(page, 1000)}`]),
    ...(notReady.length === 0 ? [] : [`not ready  ${namesOf(notReady)}`]),
  ];
}

function waitingLines({ run, state, partitions, reasons, page }: Waiting): string[] {
  const shownReasons = reasons.slice(0, REASONS_SHOWN);
  const more = reasons.length - shownReasons.length;
  const which = `${plural(partitions.length, 'partition')}: ${namesOf(partitions)}`;
  return [
    `           ${shown(run, 60)} ${state === 'waits' ? 'waits' : `is ${state}`}${partitions.length === 0 ? '' : `, ${which}`}`,
    ...shownReasons.map((line) => `             ${shown(line, 1000)}`),
    ...(more > 0 ? [`             … and ${more} more`] : []),
    ...(page === null ? [] : [`             page ${shown(page, 1000)}`]),
  ];
}

function timeText(iso: string): string {
  return `${iso.slice(0, 10)} ${iso.slice(11, 19)} UTC`;
}
