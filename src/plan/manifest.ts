/** The records that are kept on disk, and how they are read back: parsed once, here, and trusted afterwards. */
import { z } from 'zod';
import { ScorelineError, shown } from '../base/errors.js';
import { canonicalJson } from '../base/hash.js';
import type { CsvRecord, InputLedger, PartRecord, ScoresRecord } from './ledger.js';

const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);

const ledgerSchema = z.strictObject({
  rows: count,
  scored: count,
  quarantined: count,
  filtered: count,
});
const inputLedgerSchema = z.strictObject({ path: z.string(), ledger: ledgerSchema });
const storedFileSchema = z.strictObject({ sha256: digest, bytes: count, rows: count });
const partSchema = z.strictObject({
  key: digest,
  scoreKey: digest,
  ledger: ledgerSchema,
  data: storedFileSchema,
  quarantine: storedFileSchema.nullable(),
});

const storedPartSchema = z.strictObject({ part: partSchema, inputs: z.array(inputLedgerSchema) });

/** A part that is in the store: its record, and the ledger of each of its input files. */
export interface StoredPart {
  readonly part: PartRecord;
  readonly inputs: readonly InputLedger[];
}

/** Reads what is recorded beside a part; undefined when it is damaged. */
export function parseStoredPart(text: string): StoredPart | undefined {
  return storedPartSchema.safeParse(jsonOf(text)).data;
}

const scoresSchema = z.strictObject({
  format: z.literal(1),
  inputs: z.array(inputLedgerSchema),
  lossyCasts: z.array(z.strictObject({ column: z.string(), values: count })),
});

/** Reads what is recorded beside scores; undefined when it is damaged. */
export function parseScores(text: string): ScoresRecord | undefined {
  return scoresSchema.safeParse(jsonOf(text)).data;
}

const csvRecordSchema = z.strictObject({
  key: digest,
  rows: count,
  rejected: storedFileSchema.nullable(),
});

/** Reads what is recorded beside the rows of a CSV file; undefined when it is damaged. */
export function parseCsvRecord(text: string): CsvRecord | undefined {
  return csvRecordSchema.safeParse(jsonOf(text)).data;
}

const unitSchema = z.strictObject({
  inputs: z.array(z.strictObject({ path: z.string(), sha256: digest, ledger: ledgerSchema })),
  /** The model, then what of the job settled scores and publication: to say later why a unit is to do. */
  model: z.array(digest),
  job: z.record(z.string(), z.json()),
  parts: z.array(partSchema),
  /** Of the CSV files that have any, in order: the records that were set aside. */
  rejected: z.array(z.strictObject({ key: digest, file: storedFileSchema })).optional(),
});

/** What a snapshot holds of one unit. */
export type UnitRecord = z.infer<typeof unitSchema>;

const manifestSchema = z.strictObject({
  format: z.literal(1),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  extension: z.enum(['parquet', 'csv', 'csv.gz', 'csv.zst']),
  units: z.record(
    z.string().refine(isRelativeFolder, 'is not a folder below the output'),
    unitSchema,
  ),
});

function isRelativeFolder(unit: string): boolean {
  return (
    unit === '' ||
    (!unit.includes('\0') && unit.split('/').every((name) => !['', '.', '..'].includes(name)))
  );
}

/**
 * What a snapshot says of itself: content only, so no clock, host, number or run id. The paths of its files follow
 * from the units, and from `partFileName`.
 */
export type Manifest = z.infer<typeof manifestSchema>;

/** What a manifest says of a unit; a folder may have any name, also that of a property of every object. */
export function unitOf(manifest: Manifest | undefined, unit: string): UnitRecord | undefined {
  return manifest !== undefined && Object.hasOwn(manifest.units, unit)
    ? manifest.units[unit]
    : undefined;
}

/** The bytes of a manifest: canonical, so equal content gives equal bytes. */
export function manifestText(manifest: Manifest): string {
  return `${canonicalJson(manifest)}\n`;
}

/** Reads a manifest; `path` names it in messages. Throws `environment` when it is damaged. */
export function parseManifest(text: string, path: string): Manifest {
  const manifest = manifestSchema.safeParse(jsonOf(text));
  if (manifest.success) return manifest.data;
  throw new ScorelineError(
    'environment',
    `${shown(path)}: damaged manifest; restore it from a copy, or publish to another output`,
    { cause: manifest.error },
  );
}

function jsonOf(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

/** The name of part `index` of a job's output: `flights-00000.parquet`. */
export function partFileName(name: string, index: number, extension: string): string {
  return `${name}-${String(index).padStart(5, '0')}.${extension}`;
}
