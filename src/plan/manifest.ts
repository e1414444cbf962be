/** The records that are kept on disk, and how they are read back: parsed once, here, and trusted afterwards. */
import { z } from 'zod';
import { ScorelineError, shown } from '../base/errors.js';
import { canonicalJson, isUnedited } from '../base/hash.js';
import {
  type CsvRecord,
  dataFileName,
  type InputLedger,
  type PartRecord,
  type ScoresRecord,
  type StoredFile,
} from './ledger.js';
import type { KeptColumn } from './plan.js';

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

/** The digest of the rest of a record beside something in the store: in those of before it was kept there is none. */
const ownDigest = { digest: digest.optional() };

/** A record as it was written; undefined when it is damaged. */
function recordIn<Parsed extends { readonly digest?: string | undefined }>(
  text: string,
  schema: z.ZodType<Parsed>,
): Omit<Parsed, 'digest'> | undefined {
  const found = schema.safeParse(jsonOf(text)).data;
  if (found === undefined) return undefined;
  const { digest: own, ...record } = found;
  return own === undefined || isUnedited({ ...record, digest: own }) ? record : undefined;
}

const storedPartSchema = z.strictObject({
  ...ownDigest,
  part: partSchema,
  inputs: z.array(inputLedgerSchema),
  statistics: digest.optional(),
  sample: digest.optional(),
});

/** A part that is in the store: its record, and the ledger of each of its input files. */
export interface StoredPart {
  readonly part: PartRecord;
  readonly inputs: readonly InputLedger[];
  /** The digest of the statistics beside it. */
  readonly statistics?: string | undefined;
  /** The digest of the sample beside it. */
  readonly sample?: string | undefined;
}

/** Reads what is recorded beside a part; undefined when it is damaged. */
export function parseStoredPart(text: string): StoredPart | undefined {
  return recordIn(text, storedPartSchema);
}

const scoresSchema = z.strictObject({
  ...ownDigest,
  format: z.union([z.literal(1), z.literal(2)]),
  key: digest.optional(),
  inputs: z.array(inputLedgerSchema),
  lossyCasts: z.array(z.strictObject({ column: z.string(), values: count })),
  files: z
    .strictObject({
      scores: digest,
      bad: digest.nullable(),
      statistics: digest.optional(),
      sample: digest.optional(),
    })
    .optional(),
});

/** Reads what is recorded beside the scores of a key; undefined when it is damaged, or belongs to another key. */
export function parseScores(text: string, key: string): ScoresRecord | undefined {
  const record = recordIn(text, scoresSchema);
  return record?.key === undefined || record.key === key ? record : undefined;
}

const csvRecordSchema = z.strictObject({
  ...ownDigest,
  key: digest,
  rows: count,
  data: storedFileSchema.optional(),
  rejected: storedFileSchema.nullable(),
});

/** Reads what is recorded beside the rows of a CSV file; undefined when it is damaged. */
export function parseCsvRecord(text: string): CsvRecord | undefined {
  return recordIn(text, csvRecordSchema);
}

const unitSchema = z.strictObject({
  inputs: z.array(z.strictObject({ path: z.string(), sha256: digest, ledger: ledgerSchema })),
  /** The model, then what of the job settled scores and publication: to say later why a unit is to do. */
  model: z.array(digest),
  job: z.record(z.string(), z.json()),
  /** The SQL types of the predictions, in the order of `output.columns`; not in records of before they were kept. */
  types: z.array(z.string()).optional(),
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

const namesSchema = z.array(z.string());
const keptSchema = z.array(z.tuple([z.string(), z.string()]));
const predictionsSchema = z.array(z.tuple([z.string()], z.unknown()));

/** The columns in the files that a unit was published with, as the record of its job says. */
export interface RecordedColumns {
  /** `nulls`: of Parquet's null type in the input, so that the type is none of its own. */
  readonly kept: readonly (KeptColumn & { readonly nulls?: true })[];
  /** The predictions; without a type in records of before it was kept. */
  readonly predictions: readonly { readonly name: string; readonly type: string | undefined }[];
}

/** The columns in the files that a unit was published with; undefined where its record does not say. */
export function recordedColumns({ job, types = [] }: UnitRecord): RecordedColumns | undefined {
  const textOf = (key: string): string => {
    const value = job[key];
    return typeof value === 'string' ? value : '';
  };
  const kept = keptSchema.safeParse(jsonOf(textOf('output.keep'))).data;
  const inFolders = namesSchema.safeParse(jsonOf(textOf('output.partition_columns'))).data ?? [];
  const nulls = namesSchema.safeParse(jsonOf(textOf('null columns'))).data ?? [];
  const predictions = predictionsSchema.safeParse(jsonOf(textOf('output.columns'))).data;
  if (kept === undefined || predictions === undefined) return undefined;
  return {
    kept: kept
      .filter(([name]) => !inFolders.includes(name))
      .map(([name, type]) => ({ name, type, ...(nulls.includes(name) ? { nulls: true } : {}) })),
    predictions: predictions.map(([name], index) => ({ name, type: types[index] })),
  };
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
    `${shown(path)}: damaged manifest; restore it from a copy, or let "scoreline revert" publish an older snapshot in its place`,
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

/** A file of a snapshot. */
export interface PublishedFile {
  readonly unit: string;
  /** Relative to the snapshot's folder. */
  readonly path: string;
  /** Where in the store it is: of which kind, under which key and name. */
  readonly kind: 'parts' | 'csv';
  readonly key: string;
  readonly name: string;
  readonly file: StoredFile;
}

/** The files that a manifest tells of, besides itself. */
export function publishedFiles(manifest: Manifest): PublishedFile[] {
  const { name, extension } = manifest;
  return Object.entries(manifest.units).flatMap(([unit, { parts, rejected = [] }]) => {
    const pathOf = (folder: string, index: number, end: string): string =>
      [folder, ...(unit === '' ? [] : [unit]), partFileName(name, index, end)].join('/');
    const ofParts = parts.flatMap(({ key, data, quarantine }, index): PublishedFile[] => {
      const of = { unit, kind: 'parts' as const, key };
      const path = pathOf('data', index, extension);
      const files = [{ ...of, path, name: dataFileName(extension), file: data }];
      if (quarantine === null) return files;
      const bad = { path: pathOf('quarantine', index, 'parquet'), name: 'quarantine.parquet' };
      return [...files, { ...of, ...bad, file: quarantine }];
    });
    const ofCsv = rejected.map(({ key, file }, index): PublishedFile => {
      const path = pathOf('quarantine', index, 'rejected.parquet');
      return { unit, path, kind: 'csv', key, name: 'rejected.parquet', file };
    });
    return [...ofParts, ...ofCsv];
  });
}

const judgedSchema = z.strictObject({
  unit: z.string(),
  /** Its day, where its name has one: ISO 8601. */
  date: z.string().nullable(),
  /** Whether a gate fails for its data. */
  failed: z.boolean(),
});

/** A unit that the gates judged. */
export type JudgedUnit = Readonly<z.infer<typeof judgedSchema>>;

const stagedSchema = z.strictObject({
  ...ownDigest,
  format: z.literal(1),
  /** The units that the run covered: only they are published. */
  units: z.array(z.string()),
  /** The units that it was to drop. */
  removals: z.array(z.string()).optional(),
  /** What of them was published when the run began. */
  base: z.strictObject({ number: count, manifest: manifestSchema }).nullable(),
  /** The gates that failed, a line each: it is published only with a reason. */
  gates: z.array(z.string()).optional(),
  /** The units that it brings anew: an override is about those that failed. Not in records of earlier versions. */
  judged: z.array(judgedSchema).optional(),
  /** Why it was not published. */
  reason: z.string(),
  /** The digests of the manifest and the report beside it; records of earlier versions lack them. */
  manifest: digest.optional(),
  report: digest.optional(),
});

/** What is kept beside a staged snapshot, so that it can be published later as if by its run. */
export type StagedRecord = Omit<z.infer<typeof stagedSchema>, 'digest'>;

/** Reads what is kept beside a staged snapshot; undefined when it is damaged. */
export function parseStaged(text: string): StagedRecord | undefined {
  return recordIn(text, stagedSchema);
}

const heldSchema = z.strictObject({
  ...ownDigest,
  format: z.literal(1),
  held: z.array(z.strictObject({ unit: z.string(), content: digest.nullable(), snapshot: count })),
});

/**
 * A unit's content that was taken back, and the snapshot that it was taken from: it is not published again by itself. null
 * where it was the unit's absence.
 */
export type Held = z.infer<typeof heldSchema>['held'][number];

/** Reads what a snapshot holds back; undefined when it is damaged. */
export function parseHeld(text: string): readonly Held[] | undefined {
  return recordIn(text, heldSchema)?.held;
}

const overriddenSchema = z.strictObject({
  ...ownDigest,
  format: z.literal(1),
  overridden: z.array(
    z.strictObject({
      unit: z.string(),
      /** The content that the mark is about: other content of the unit does not have it. */
      content: digest,
      /**
       * `exception`: never a baseline. `new-normal`: only data from then on is one. `superseded`: was published before a new
       * normal, and is a baseline only of later content of the same unit.
       */
      as: z.enum(['exception', 'new-normal', 'superseded']),
      /** The snapshot that published it with the override. */
      snapshot: count,
      /** The first day of a new normal, where units have dates. */
      from: z.string().optional(),
      /** What the unit held before an exception: the baseline in its place. */
      instead: z.strictObject({ parts: z.array(partSchema), model: z.array(digest) }).optional(),
    }),
  ),
});

/** What later runs have to know of data that a person published though its gates failed. */
export type Overridden = z.infer<typeof overriddenSchema>['overridden'][number];

/** Reads what a snapshot says of overridden gates; undefined when it is damaged. */
export function parseOverridden(text: string): readonly Overridden[] | undefined {
  return recordIn(text, overriddenSchema)?.overridden;
}
