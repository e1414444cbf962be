/** What is known of files and models from earlier runs. */
import { readFile } from 'node:fs/promises';
import { resolve } from 'node:path';
import { z } from 'zod';
import { writeFileWhole } from '../base/files.js';
import {
  canonicalJson,
  type FileStamp,
  isSettled,
  sha256,
  stampOf,
  stampText,
} from '../base/hash.js';
import { type CsvDialect, dialectJson } from '../plan/csv.js';
import type { DataFile, FileFacts, SchemaColumn } from '../plan/dataset.js';
import type { ModelFacts } from '../plan/signature.js';
import type { Output } from './store.js';

/** Changes whenever an older cache cannot be read: it is then made anew. */
const CACHE_FORMAT = 9;

const count = z.int().nonnegative();
const digest = z.string().regex(/^[0-9a-f]{64}$/);

const fileSchema = z.strictObject({
  stamp: z.string(),
  sha256: digest.nullable(),
  /** Whether its pages were checked when it was hashed. */
  checked: z.literal(true).exactOptional(),
  rows: count,
  /** Rows and bytes of each row group, in turn. */
  groups: z.array(count),
  /** The place of its schema among the cache's schemas. */
  schema: count,
  csv: z
    .strictObject({
      rejected: count,
      examples: z.array(z.string()).readonly(),
      plain: z.boolean(),
      longest: count,
    })
    .optional(),
});

type CachedFile = z.infer<typeof fileSchema>;

const stampSchema = z.strictObject({
  dev: z.string(),
  ino: z.string(),
  size: count,
  mtimeNs: z.string(),
  ctimeNs: z.string(),
});

const modelSchema = z.strictObject({
  device: z.string(),
  columns: count.nullable(),
  /** The rest is as a worker wrote it: the digest of the cache vouches for it. */
  facts: z.custom<ModelFacts>(
    (facts) =>
      z
        .looseObject({
          sha256: z.array(digest).min(1),
          files: z.array(z.strictObject({ path: z.string(), stamp: stampSchema })).min(1),
          device: z.string(),
          inputs: z.array(z.looseObject({ name: z.string() })),
          outputs: z.array(z.looseObject({ name: z.string() })),
        })
        .safeParse(facts).success,
  ),
});

type CachedModel = z.infer<typeof modelSchema>;

const cacheSchema = z.strictObject({
  schemas: z.array(
    z.array(
      z.strictObject({
        name: z.string(),
        type: z.string(),
        nulls: z.literal(true).exactOptional(),
      }),
    ),
  ),
  files: z.record(z.string(), fileSchema),
  models: z.record(z.string(), modelSchema),
});

/** The text of a cache: a line with its format and the digest of the rest, then the rest. */
function cacheText(content: z.infer<typeof cacheSchema>): string {
  const rest = JSON.stringify(content);
  return `${headOf(rest)}\n${rest}`;
}

function headOf(rest: string): string {
  return JSON.stringify({ format: CACHE_FORMAT, sha256: sha256(rest) });
}

/** Reads a cache; undefined where it is damaged, or of another version. */
function parseCache(text: string): z.infer<typeof cacheSchema> | undefined {
  const end = text.indexOf('\n');
  const rest = text.slice(end + 1);
  // Any change, also one that would be a valid cache, shows here.
  if (end < 0 || text.slice(0, end) !== headOf(rest)) return undefined;
  return cacheSchema.safeParse(JSON.parse(rest)).data;
}

/** What is wanted of files. */
export interface WantedFacts {
  /** How they are written, if they are CSV: then they are read to the end, and hashed, in any case. */
  readonly csv: CsvDialect | undefined;
  /** Whether their contents' SHA-256 is wanted. */
  readonly hash: boolean;
  /** Whether the pages of Parquet files are checked when they are hashed. */
  readonly checksums: boolean;
}

/** Descriptions of files and models, kept in the output by path and stamp; lost or damaged, they are made anew. */
export class DescriptionCache {
  private readonly path: string | undefined;
  private readonly schemas: (readonly SchemaColumn[])[] = [];
  private readonly schemaIndex = new Map<string, number>();
  private readonly files = new Map<string, CachedFile>();
  private readonly models = new Map<string, CachedModel>();
  private dirty = false;

  private constructor(path: string | undefined) {
    this.path = path;
  }

  /** The cache of an output; without one, a cache that is not kept. */
  static async load(output: Output | undefined): Promise<DescriptionCache> {
    const cache = new DescriptionCache(output?.path('cache', 'descriptions.json'));
    if (cache.path === undefined) return cache;
    try {
      const content = parseCache(await readFile(cache.path, 'utf8'));
      if (content === undefined) return cache;
      for (const schema of content.schemas) cache.internSchema(schema);
      for (const [path, file] of Object.entries(content.files)) cache.files.set(path, file);
      for (const [path, model] of Object.entries(content.models)) cache.models.set(path, model);
    } catch {
      // No cache, or one that cannot be read: what it would have said is found out again.
      return new DescriptionCache(cache.path);
    }
    return cache;
  }

  private internSchema(schema: readonly SchemaColumn[]): number {
    const text = JSON.stringify(schema);
    const known = this.schemaIndex.get(text);
    if (known !== undefined) return known;
    this.schemaIndex.set(text, this.schemas.length);
    return this.schemas.push(schema) - 1;
  }

  /** The facts of a file, if it is what it was when they were found, and they are all that is wanted. */
  file(file: DataFile, { csv: dialect, hash, checksums }: WantedFacts): FileFacts | undefined {
    const cached = this.files.get(nameOf(file, dialect));
    if (cached === undefined || cached.stamp !== stampText(file.stamp)) return undefined;
    if (hash && cached.sha256 === null) return undefined;
    if (hash && checksums && dialect === undefined && cached.checked !== true) return undefined;
    const schema = this.schemas[cached.schema];
    if (schema === undefined) return undefined;
    const rowGroups = [];
    for (let i = 0; i + 1 < cached.groups.length; i += 2) {
      rowGroups.push({ rows: cached.groups[i]!, bytes: cached.groups[i + 1]! });
    }
    const { sha256, rows, csv } = cached;
    return { sha256, rows, rowGroups, schema, ...(csv === undefined ? {} : { csv }) };
  }

  /** Keeps the facts of a file, unless it was written so lately that it may be written again unseen. */
  keepFile(
    file: DataFile,
    { csv: dialect, checksums }: WantedFacts,
    { stamp, facts }: { readonly stamp: FileStamp; readonly facts: FileFacts },
    nowNs: bigint,
  ): void {
    if (!isSettled(stamp, nowNs)) return;
    this.files.set(nameOf(file, dialect), {
      stamp: stampText(stamp),
      sha256: facts.sha256,
      ...(checksums && facts.sha256 !== null ? { checked: true as const } : {}),
      rows: facts.rows,
      groups: facts.rowGroups.flatMap(({ rows, bytes }) => [rows, bytes]),
      schema: this.internSchema(facts.schema),
      ...(facts.csv === undefined ? {} : { csv: facts.csv }),
    });
    this.dirty = true;
  }

  /** The facts of a model on a device, if its files are what they were when they were found. */
  async model(
    path: string,
    device: string,
    columns: number | undefined,
  ): Promise<ModelFacts | undefined> {
    const cached = this.models.get(resolve(path));
    if (cached === undefined || cached.device !== device || cached.columns !== (columns ?? null))
      return undefined;
    for (const { path: part, stamp } of cached.facts.files) {
      try {
        if (stampText(await stampOf(part)) !== stampText(stamp)) return undefined;
      } catch {
        return undefined;
      }
    }
    return cached.facts;
  }

  /** Keeps the facts of a model, unless a file of it was written lately. */
  keepModel(
    { path, device, columns }: { path: string; device: string; columns: number | undefined },
    facts: ModelFacts,
    nowNs: bigint,
  ): void {
    if (facts.files.some(({ stamp }) => !isSettled(stamp, nowNs))) return;
    this.models.set(resolve(path), { device, columns: columns ?? null, facts });
    this.dirty = true;
  }

  /** Writes the cache, if anything new is in it. */
  async save(): Promise<void> {
    if (this.path === undefined || !this.dirty) return;
    const content = {
      schemas: this.schemas.map((schema) => [...schema]),
      files: Object.fromEntries(this.files),
      models: Object.fromEntries(this.models),
    };
    await writeFileWhole(this.path, cacheText(content));
    this.dirty = false;
  }
}

/** The name of a file in the cache: no path holds a NUL. */
function nameOf({ absolute }: DataFile, dialect: CsvDialect | undefined): string {
  return dialect === undefined ? absolute : `${absolute}\0${canonicalJson(dialectJson(dialect))}`;
}
