/** What a snapshot says of itself: content only, so no clock, host, number or run id. */
import { z } from 'zod';
import { ScorelineError, shown } from '../base/errors.js';
import { canonicalJson, type Json } from '../base/hash.js';

const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);

/** The schema of a ledger. */
export const ledgerSchema = z.strictObject({
  rows: count,
  scored: count,
  quarantined: count,
  filtered: count,
});

/** Where the rows went: rows = scored + quarantined + filtered, always. */
export type Ledger = z.infer<typeof ledgerSchema>;

const storedFileSchema = z.strictObject({ sha256: digest, bytes: count, rows: count });

/** A file of a part: its content's digest, size and rows. */
export type StoredFile = z.infer<typeof storedFileSchema>;

/** The schema of a part record. */
export const partSchema = z.strictObject({
  /** The part key. */
  key: digest,
  scoreKey: digest,
  ledger: ledgerSchema,
  /** The rows that are published. */
  data: storedFileSchema,
  /** The rows set aside; null when there are none. */
  quarantine: storedFileSchema.nullable(),
});

/** One task's contribution to a snapshot. */
export type PartRecord = z.infer<typeof partSchema>;

const unitSchema = z.strictObject({
  inputs: z.array(z.strictObject({ path: z.string(), sha256: digest, ledger: ledgerSchema })),
  /** The model, then what of the job settled scores and publication: to say later why a unit is to do. */
  model: z.array(digest),
  job: z.record(z.string(), z.json()),
  parts: z.array(partSchema),
});

/** What a snapshot holds of one unit. */
export type UnitRecord = z.infer<typeof unitSchema>;

const extensionSchema = z.enum(['parquet', 'csv', 'csv.gz', 'csv.zst']);

/** How the names of published files end. */
export type DataExtension = z.infer<typeof extensionSchema>;

const manifestSchema = z.strictObject({
  format: z.literal(1),
  name: z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]*$/),
  extension: extensionSchema,
  units: z.record(
    z.string().refine(isRelativeFolder, 'is not a folder below the output'),
    unitSchema,
  ),
});

function isRelativeFolder(unit: string): boolean {
  return (
    unit === '' || unit.split('/').every((name) => name !== '' && name !== '.' && name !== '..')
  );
}

/** A snapshot's manifest. Paths of its files follow from it: see `dataPath`. */
export type Manifest = z.infer<typeof manifestSchema>;

/** The bytes of a manifest: canonical, so equal content gives equal bytes. */
export function manifestText(manifest: Manifest): string {
  return `${canonicalJson(manifest as Json)}\n`;
}

/** Reads a manifest; `path` names it in messages. Throws `environment` when it is damaged. */
export function parseManifest(text: string, path: string): Manifest {
  try {
    return manifestSchema.parse(JSON.parse(text));
  } catch (error) {
    throw new ScorelineError(
      'environment',
      `${shown(path)}: damaged manifest; run \`scoreline verify\``,
      {
        cause: error,
      },
    );
  }
}

/** The sum of ledgers. */
export function sumLedgers(ledgers: readonly Ledger[]): Ledger {
  const sum = { rows: 0, scored: 0, quarantined: 0, filtered: 0 };
  for (const ledger of ledgers) {
    sum.rows += ledger.rows;
    sum.scored += ledger.scored;
    sum.quarantined += ledger.quarantined;
    sum.filtered += ledger.filtered;
  }
  return sum;
}

/** Whether a ledger adds up. */
export function balances(ledger: Ledger): boolean {
  return ledger.rows === ledger.scored + ledger.quarantined + ledger.filtered;
}

/** The name of part `index` of a job's output: `flights-00000.parquet`. */
export function partFileName(name: string, index: number, extension: string): string {
  return `${name}-${String(index).padStart(5, '0')}.${extension}`;
}

/** How the names of published files end, from the format and compression of a job. */
export function dataExtension(output: {
  readonly format: 'parquet' | 'csv';
  readonly compression: string;
}): DataExtension {
  if (output.format === 'parquet') return 'parquet';
  return output.compression === 'gzip'
    ? 'csv.gz'
    : output.compression === 'zstd'
      ? 'csv.zst'
      : 'csv';
}

/** The name of a part's data in the store. */
export function dataFileName(extension: DataExtension): string {
  return `data.${extension}`;
}
