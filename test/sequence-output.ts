/** What an output of a random sequence holds, beside what the model of it says. */
import { existsSync, lstatSync, readdirSync, readFileSync, readlinkSync } from 'node:fs';
import { dirname, join, relative } from 'node:path';
import { expect } from 'vitest';
import { sha256 } from '../src/base/hash.js';
import { sumLedgers } from '../src/plan/ledger.js';
import type { PlanReport } from '../src/run/plan-job.js';
import { type JobCase, listFiles } from './job-case.js';
import { columns, exactPath } from './parquet.js';
import { manifestOf } from './published.js';
import type { Settings } from './sequence-input.js';
import { type Content, lineOf, type Model } from './sequence-model.js';

/** What is published is what the model has: numbers, `current`, units, books; a record is the same whenever it comes back. */
export function checkPublished(job: JobCase, model: Model, records: Map<string, string>): void {
  const folder = join(job.output, 'snapshots');
  const numbers = existsSync(folder)
    ? readdirSync(folder)
        .map(Number)
        .sort((a, b) => a - b)
    : [];
  expect(numbers).toEqual(model.snapshots.map(({ number }) => number));
  const staged = join(job.output, 'staged');
  expect(existsSync(staged) ? readdirSync(staged).sort() : []).toEqual(
    [...model.staged.keys()].sort(),
  );
  if (model.latest === undefined) return;
  const current = readlinkSync(join(job.output, 'current'));
  expect(Number(current.slice('snapshots/'.length))).toBe(model.latest.number);
  const { units } = manifestOf(job);
  expect(Object.keys(units).sort()).toEqual([...model.latest.units.keys()].sort());
  for (const [unit, { identity, ledger }] of model.latest.units) {
    const { inputs, parts, rejected = [] } = units[unit]!;
    expect(sumLedgers(inputs.map((one) => one.ledger)), `ledger of ${unit}`).toEqual(ledger);
    // No part has the records of CSV files that are none.
    const none = rejected.reduce((sum, { file }) => sum + file.rows, 0);
    const ofParts = sumLedgers(parts.map((part) => part.ledger));
    const { rows, quarantined } = ofParts;
    const all = { ...ofParts, rows: rows + none, quarantined: quarantined + none };
    expect(all, `ledger of the parts of ${unit}`).toEqual(ledger);
    for (const { data, quarantine, ledger } of parts)
      expect([data.rows, quarantine?.rows ?? 0]).toEqual([ledger.scored, ledger.quarantined]);
    const record = JSON.stringify(units[unit]);
    expect(records.get(identity) ?? record, `record of ${unit}`).toBe(record);
    records.set(identity, record);
  }
}

/** The rows that are published are those that the formulas say. */
export async function checkRows(job: JobCase, model: Model): Promise<void> {
  if (model.latest === undefined) return;
  const found = await publishedRows(join(job.output, 'current'), model.latest.format);
  for (const [unit, { rows }] of model.latest.units) {
    const [are, ought] = [(found.get(unit) ?? []).sort(), [...rows].sort()];
    // As texts first: of a long file it takes a second to compare lists.
    if (are.join('\n') !== ought.join('\n')) expect(are, `rows of ${unit}`).toEqual(ought);
  }
}

/** The entries of a store: folders three levels down. */
export function entriesOf(store: string): string[] {
  const below = (folder: string): string[] =>
    existsSync(folder) && lstatSync(folder).isDirectory()
      ? readdirSync(folder)
          .map((name) => join(folder, name))
          .sort()
      : [];
  return below(store).flatMap(below).flatMap(below);
}

/** The digests of the files of a snapshot whose bytes follow from what was scored. */
export function bytesOf(snapshot: string): Record<string, string> {
  const names = listFiles(snapshot).filter((name) =>
    /^(?:data|quarantine)\/|^manifest\.json$/.test(name),
  );
  return Object.fromEntries(
    names.map((name) => [name, sha256(readFileSync(join(snapshot, name)))]),
  );
}

/** The published rows of each partition, as texts. */
async function publishedRows(
  current: string,
  format: Settings['format'],
): Promise<Map<string, string[]>> {
  const rows = new Map<string, string[]>();
  const root = join(current, 'data');
  const files = listFiles(root).map((name) => exactPath(join(root, name)));
  if (files.length === 0) return rows;
  const options = 'union_by_name = true, filename = true, hive_partitioning = false';
  const read =
    format === 'csv'
      ? `read_csv([${files.join()}], header = true, all_varchar = true, ${options})`
      : `read_parquet([${files.join()}], ${options})`;
  const { filename, y, ...kept } = await columns(`SELECT * FROM ${read}`);
  for (const [i, path] of filename!.entries()) {
    const unit = dirname(relative(root, String(path)));
    const row = Object.fromEntries(Object.entries(kept).map(([name, all]) => [name, all[i]]));
    const line = lineOf(row, Object.keys(kept), y![i]);
    const others = rows.get(unit);
    if (others === undefined) rows.set(unit, [line]);
    else others.push(line);
  }
  return rows;
}

/** A plan says of each partition whether it is up to date, and whether it is held. */
export function checkPlan(
  report: PlanReport,
  contents: ReadonlyMap<string, Content | undefined>,
  { model, hash }: { readonly model: Model; readonly hash: boolean },
): void {
  const good = [...contents].filter(([, content]) => content !== undefined);
  expect(report.units.map(({ unit }) => unit).sort()).toEqual(good.map(([unit]) => unit));
  for (const { unit, why, held, rows } of report.units) {
    const content = contents.get(unit)!;
    const isPublished = model.latest?.units.get(unit)?.identity === content.identity;
    // Without hashes nothing is known of a file that is new.
    if (hash || why === null) expect(why === null, `${unit} is up to date`).toBe(isPublished);
    const reverted = model.heldOf({ units: new Map([[unit, content]]), removals: [] });
    if (held) expect(reverted, `${unit} is held`).not.toEqual([]);
    const [one] = reverted;
    if (hash && model.snapshots.some(({ number }) => number === one?.snapshot))
      expect(held, `${unit} is held`).toBe(true);
    expect(rows).toBeGreaterThanOrEqual(content.ledger.scored);
  }
}

/** Whether a file of the store is what snapshots link to. */
export function isLinked(path: string): boolean {
  return /\/(?:data\.[a-z.]+|quarantine\.parquet|rejected\.parquet)$/.test(path);
}

/** Whether a digest is kept of a file of the store: not of the rows of converted files, nor of the records. */
export function hasDigest(path: string): boolean {
  return !/(?:rows\.parquet|(?:part|scores|csv|model)\.json)$/.test(path);
}
