/** Takes back what was published: an older snapshot's content becomes the next snapshot. */
import { ScorelineError, shown } from '../base/errors.js';
import { type Held, manifestText, unitOf } from '../plan/manifest.js';
import type { ActReport } from '../report/report.js';
import { contentOf } from './held.js';
import { type ActOptions, act } from './history.js';
import {
  putSnapshot,
  readSnapshot,
  repairCurrent,
  reportBeside,
  type Snapshot,
  snapshotNumbers,
} from './snapshot.js';
import type { Output } from './store.js';

/**
 * Publishes the content of snapshot `to` again, as the next one: without `to`, that of the newest that differs from what is
 * published and was not reverted itself. What it takes back is held: no run publishes it again by itself. Throws `usage` when
 * there is no such snapshot, `input` when nothing is published, `conflict` when another run publishes meanwhile.
 */
export async function revert(
  output: Output,
  to: number | undefined,
  options: ActOptions,
): Promise<ActReport> {
  const numbers = await snapshotNumbers(output);
  const number = numbers.at(-1);
  if (number === undefined)
    throw new ScorelineError('input', `${shown(output.root)}: nothing is published yet`);
  const latest = await readWhole(output, number);
  const target =
    to === undefined ? await before(output, numbers, latest) : await named(output, numbers, to);
  const subject = `snapshot ${target.number}`;
  return act(output, { command: 'revert', subject, ...options }, async ({ temporary, draft }) => {
    const { manifest } = target;
    if (latest !== undefined && manifestText(latest.manifest) === manifestText(manifest)) {
      // A revert that was killed just after it had published may have left it behind.
      await repairCurrent(output);
      return { outcome: 'unchanged', snapshot: undefined };
    }
    const report = await reportBeside(target);
    const next = {
      number: number + 1,
      manifest,
      held: heldAfter(latest, target),
      // What is a baseline is said of the content that comes back.
      overridden: target.overridden,
      report,
      draft: draft({ outcome: 'reverted' }),
    };
    const holders = latest === undefined ? [target] : [target, latest];
    const snapshot = await putSnapshot(output, next, holders, temporary);
    if (snapshot === undefined || (await snapshotNumbers(output)).at(-1) !== number + 1) {
      throw new ScorelineError(
        'conflict',
        `${subject}: another run published meanwhile; look at what is published, and revert again`,
      );
    }
    return { outcome: 'reverted', snapshot };
  });
}

/** A snapshot; undefined when its manifest is damaged: there is no saying what it held. */
async function readWhole(output: Output, number: number): Promise<Snapshot | undefined> {
  try {
    return await readSnapshot(output, number);
  } catch (error) {
    if (error instanceof ScorelineError) return undefined;
    throw error;
  }
}

async function named(output: Output, numbers: readonly number[], to: number): Promise<Snapshot> {
  if (numbers.includes(to)) return readSnapshot(output, to);
  throw new ScorelineError(
    'usage',
    `snapshot ${to}: is not there; there are ${numbers.slice(-10).join(', ')}`,
  );
}

/** The newest snapshot whose content differs from what is published and of which nothing was reverted. */
async function before(
  output: Output,
  numbers: readonly number[],
  latest: Snapshot | undefined,
): Promise<Snapshot> {
  for (const number of numbers.slice(0, -1).reverse()) {
    const older = await readWhole(output, number);
    if (older === undefined) continue;
    if (latest === undefined) return older;
    // That a unit is absent says little: only the very snapshot that was taken back is passed over for it.
    const isHeld = ({ unit, content, snapshot }: Held): boolean =>
      content === null ? snapshot === number : contentIn(older, unit) === content;
    if (manifestText(older.manifest) !== manifestText(latest.manifest) && !latest.held.some(isHeld))
      return older;
  }
  throw new ScorelineError(
    'usage',
    `${shown(output.root)}: there is no older snapshot with other content; gc keeps the newest 10`,
  );
}

/** The content of a unit in a snapshot; null when it has no such unit. */
function contentIn({ manifest }: Snapshot, name: string): string | null {
  const unit = unitOf(manifest, name);
  return unit === undefined ? null : contentOf(unit);
}

/** What is held once the content of `target` is published: what was before, and what goes. */
function heldAfter(latest: Snapshot | undefined, target: Snapshot): Held[] {
  if (latest === undefined) return [];
  const units = { ...latest.manifest.units, ...target.manifest.units };
  const gone = Object.keys(units).map((unit) => ({
    unit,
    content: contentIn(latest, unit),
    snapshot: latest.number,
  }));
  const held = new Map([...gone, ...latest.held].map((one) => [`${one.content} ${one.unit}`, one]));
  return [...held.values()].filter(({ unit, content }) => contentIn(target, unit) !== content);
}
