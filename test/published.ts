/** Reads what a job has published, and checks its books. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { Ledger, ScoresRecord } from '../src/plan/ledger.js';
import type { Manifest } from '../src/plan/manifest.js';
import type { JobCase } from './job-case.js';
import { columns } from './parquet.js';

/** What a snapshot says of itself. */
export function manifestOf(job: JobCase): Manifest {
  return JSON.parse(job.manifest()) as Manifest;
}

/** The published columns of a job, in order, without those of its folders; JavaScript values. */
export function publishedColumns(
  job: JobCase,
  select = '*',
  kind: 'data' | 'quarantine' = 'data',
): Promise<Record<string, unknown[]>> {
  return columns(
    `SELECT ${select} FROM read_parquet(${job.published(kind)}, hive_partitioning = false)`,
  );
}

const COUNTS = ['rows', 'scored', 'quarantined', 'filtered'] as const;

/** Checks that every row is accounted for, per file, part and unit; then returns the sum. */
export function balancedLedger(job: JobCase): Ledger {
  const sum = { rows: 0, scored: 0, quarantined: 0, filtered: 0 };
  for (const { inputs, parts } of Object.values(manifestOf(job).units)) {
    for (const { ledger } of [...inputs, ...parts]) {
      expect(ledger.scored + ledger.quarantined + ledger.filtered).toBe(ledger.rows);
    }
    for (const count of COUNTS) {
      const ofParts = parts.reduce((total, { ledger }) => total + ledger[count], 0);
      expect(inputs.reduce((total, { ledger }) => total + ledger[count], 0)).toBe(ofParts);
      sum[count] += ofParts;
    }
    for (const { data, quarantine, ledger } of parts) {
      expect(data.rows).toBe(ledger.scored);
      expect(quarantine?.rows ?? 0).toBe(ledger.quarantined);
    }
  }
  return sum;
}

/** How many values a cast has changed, by unit and column. */
export function lossyCastsByUnit(job: JobCase): Record<string, Record<string, number>> {
  return Object.fromEntries(
    Object.entries(manifestOf(job).units).map(([unit, { parts }]) => [
      unit,
      Object.fromEntries(
        parts.flatMap(({ scoreKey }) => scoresRecord(job, scoreKey).lossyCasts).map(pairOf),
      ),
    ]),
  );
}

function pairOf({ column, values }: { column: string; values: number }): [string, number] {
  return [column, values];
}

function scoresRecord(job: JobCase, scoreKey: string): ScoresRecord {
  const folder = join(job.output, 'store', 'scores', scoreKey.slice(0, 2), scoreKey);
  return JSON.parse(readFileSync(join(folder, 'scores.json'), 'utf8')) as ScoresRecord;
}
