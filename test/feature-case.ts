/** Reads columns of files as features, as a task does: for tests of what a model gets to see. */
import { statSync } from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, expect } from 'vitest';
import { Arena, columnOf } from '../src/base/columns.js';
import { Database, quoteText } from '../src/base/duckdb.js';
import { stampOf } from '../src/base/hash.js';
import type { TensorElement } from '../src/base/onnx.js';
import type { PartitionValue } from '../src/plan/partition.js';
import type { ColumnType, InputBinding } from '../src/plan/signature.js';
import { planFeatures, toFeatures } from '../src/worker/features.js';
import type { OrderFile } from '../src/worker/protocol.js';
import { readBatches, segmentsOf } from '../src/worker/read.js';
import { makeFolder } from './scoreline.js';

let database: Database;
let folder: string;
let files = 0;

beforeAll(async () => {
  folder = makeFolder();
  database = await Database.open({
    memoryLimitBytes: 2 ** 29,
    temporaryFolder: folder,
    allowedFolders: [folder],
  });
});

afterAll(() => {
  database.close();
});

/** A Parquet file with the rows of a query, as a task names it. */
export async function fileOf(sql: string): Promise<OrderFile> {
  const path = `file-${files++}.parquet`;
  const absolute = join(folder, path);
  await database.run(`COPY (${sql}) TO ${quoteText(absolute)} (FORMAT parquet)`);
  const described = await database.rows(
    `DESCRIBE SELECT * FROM read_parquet(${quoteText(absolute)})`,
  );
  const [counted] = await database.rows(
    `SELECT count(*)::INTEGER AS n FROM read_parquet(${quoteText(absolute)})`,
  );
  const rows = Number(counted!.n);
  expect(statSync(absolute).size).toBeGreaterThan(0);
  return {
    path,
    absolute,
    stamp: await stampOf(absolute),
    schema: described.map((row) => ({
      name: String(row.column_name),
      type: String(row.column_type),
    })),
    fileRows: rows,
    rowStart: 0,
    rowEnd: rows,
  };
}

export interface Features {
  /** By feature: the values of all rows. */
  readonly columns: readonly (readonly unknown[])[];
  readonly bad: readonly {
    readonly row: number;
    readonly reason: string;
    readonly column: string;
  }[];
  readonly lossy: Readonly<Record<string, number>>;
}

/** The rows of files as a model takes them, read as a task reads them. */
export async function featuresOf(
  order: readonly OrderFile[],
  inputs: readonly InputBinding[],
  options: { partition?: PartitionValue[]; types?: ColumnType[]; batchRows?: number } = {},
): Promise<Features> {
  const { partition = [], types = [], batchRows = 1_000 } = options;
  const lossy = new Map<string, number>();
  const columns: unknown[][] = inputs.flatMap((input) => input.columns.map(() => []));
  const bad: { row: number; reason: string; column: string }[] = [];
  const batches = readBatches(
    database,
    segmentsOf({ files: order, partition, types, csv: false }),
    {
      where: undefined,
      batchRows,
      planFor: (segment) => planFeatures(segment, inputs),
    },
  );
  for await (const { plan, batch, rows, rowStart } of batches) {
    const features = toFeatures(batch, plan, rows, lossy, new Arena());
    for (const { row, reason, column } of features.bad)
      bad.push({ row: rowStart + row, reason, column });
    for (const [index, { element }] of plan.features.entries()) {
      const { values, validity } = columnOf(features.batch, index, element);
      expect(validity).toBeUndefined();
      expect(values).toHaveLength(rows);
      columns[index]!.push(...values);
    }
  }
  return { columns, bad, lossy: Object.fromEntries(lossy) };
}

/** Values of one SQL type, given as SQL, as an input of one element type takes them. */
export async function cast(
  literals: readonly string[],
  type: string,
  element: TensorElement,
): Promise<{ values: readonly unknown[]; bad: Record<number, string>; lossy: number }> {
  const rows: string[] = [];
  for (let start = 0; start < literals.length; start += 2_000) {
    rows.push(
      `SELECT unnest([${literals.slice(start, start + 2_000).join(', ')}]::${type}[]) AS x`,
    );
  }
  const file = await fileOf(rows.join(' UNION ALL '));
  const input: InputBinding = { name: 'in', element, rank: 2, columns: ['x'] };
  const { columns, bad, lossy } = await featuresOf([file], [input]);
  return {
    values: columns[0]!,
    bad: Object.fromEntries(bad.map(({ row, reason }) => [row, reason])),
    lossy: lossy.x ?? 0,
  };
}

/** The float with so many bits of mantissa that is nearest to a whole number, ties to even: done with whole numbers. */
export function nearest(value: bigint, bits: number): number {
  const magnitude = value < 0n ? -value : value;
  const excess = BigInt(Math.max(0, magnitude.toString(2).length - bits));
  let kept = magnitude >> excess;
  const rest = magnitude - (kept << excess);
  const half = excess > 0n ? 1n << (excess - 1n) : 1n;
  if (rest > half || (rest === half && (kept & 1n) === 1n)) kept++;
  const rounded = Number(kept << excess);
  return value < 0n ? -rounded : rounded;
}
