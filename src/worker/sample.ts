/**
 * The sample of a task: the rows of least hash among those that were scored, gathered while they are. It is kept beside the
 * scores; what kept columns say of the same rows is kept beside the part.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { columnOf, type RecordBatch, textsAt } from '../base/columns.js';
import { type Database, duckdbVersion, guardedSql, quoteName } from '../base/duckdb.js';
import type { TensorElement } from '../base/onnx.js';
import {
  HASHES,
  joinColumns,
  leastBound,
  pickRows,
  rowHash,
  type SampleColumn,
} from '../explain/sample.js';
import { decodeScored, encodePublished, type ScoredSample } from '../explain/sample-file.js';
import { SAMPLE_FILE } from '../plan/ledger.js';
import type { OutputBinding } from '../plan/predictions.js';
import type { InputBinding } from '../plan/signature.js';
import { textHash } from '../stats/category.js';
import type { FeatureBatch, FeaturesPlan } from './features.js';
import type { ScoredBatch } from './infer.js';
import type { SampleConfig, TaskOrder } from './protocol.js';
import { type Segment, type SourceBatch, segmentSql } from './read.js';
import { distinctOutputs, placesOf } from './score-table.js';

/** The types whose keys are hashed as the numbers that they are, so that files of different ones agree. */
const WHOLE = /^U?(?:TINY|SMALL|BIG)?INT(?:EGER)?$/;

/** The types of a column in the files of a task. */
function typesOf(segments: readonly Segment[], column: string): (string | undefined)[] {
  return segments.map(({ columns }) => columns.find(({ name }) => name === column)?.type);
}

function isWholeKey(segments: readonly Segment[], key: string): boolean {
  return typesOf(segments, key).every((type) => type !== undefined && WHOLE.test(type));
}

/** A plan that also fetches what names a row to its sample. */
export function withRowKey(
  plan: FeaturesPlan,
  segment: Segment,
  segments: readonly Segment[],
  key: string | undefined,
): FeaturesPlan {
  const type = key === undefined ? undefined : typesOf([segment], key)[0];
  if (key === undefined || type === undefined) return plan;
  const isUnsigned = type === 'UBIGINT';
  const whole = isWholeKey(segments, key);
  const sql = whole
    ? `coalesce(CAST(${quoteName(key)} AS ${isUnsigned ? 'UBIGINT' : 'BIGINT'}), 0)`
    : `hash(CAST(${quoteName(key)} AS VARCHAR))`;
  const element = whole && !isUnsigned ? ('int64' as const) : ('uint64' as const);
  return {
    ...plan,
    fetch: [...plan.fetch, { name: 'row_key', sql, element }],
    rowKey: { index: plan.fetch.length, element },
  };
}

/** What is said of how keys were hashed: texts by DuckDB, whose hash may be another in another version. */
function keyName(segments: readonly Segment[], key: string): string {
  return isWholeKey(segments, key) ? key : `${key} (DuckDB ${duckdbVersion()})`;
}

/** Rows of the sample so far, in the order of the task. */
interface Piece {
  readonly hashes: Float64Array;
  readonly places: Uint32Array;
  readonly columns: readonly SampleColumn[];
}

/** A batch, and what came of it. */
export interface SampledBatch {
  readonly source: SourceBatch<FeaturesPlan>;
  readonly features: FeatureBatch;
  readonly scored: ScoredBatch;
}

/** Gathers the sample of a task, batch after batch. */
export class TaskSample {
  private readonly order: Pick<TaskOrder, 'files' | 'rows'>;
  private readonly config: SampleConfig;
  private readonly features: readonly {
    readonly name: string;
    readonly element: TensorElement;
    readonly index: number;
  }[];
  private readonly outputs: readonly OutputBinding[];
  private readonly salts: readonly number[];
  private pieces: Piece[] = [];
  private gathered = 0;
  private bound = HASHES;
  private rows = 0;

  constructor(
    order: Pick<TaskOrder, 'files' | 'rows'>,
    config: SampleConfig,
    bindings: {
      readonly inputs: readonly InputBinding[];
      readonly outputs: readonly OutputBinding[];
      readonly filtered: boolean;
    },
  ) {
    this.order = order;
    this.config = config;
    this.outputs = bindings.outputs;
    // Where no filter decides how many rows there are, hashes that are not among the least for sure are passed over from the start.
    const enough = config.rows + 6 * Math.sqrt(config.rows);
    if (!bindings.filtered && order.rows > enough)
      this.bound = Math.floor(HASHES * (enough / order.rows));
    this.salts = order.files.map(({ path }) => Math.floor(textHash(path) / 0x200000) | 0);
    const seen = new Set<string>();
    let index = 0;
    this.features = bindings.inputs.flatMap(({ element, columns }) =>
      columns.flatMap((name) => {
        const own = { name, element, index: index++ };
        // A column that feeds two inputs is kept as the first has it.
        if (seen.has(name)) return [];
        seen.add(name);
        return [own];
      }),
    );
  }

  /** Looks at a batch of which some rows were scored; gives those that may be of the sample, in order. */
  add({ source, features, scored }: SampledBatch): Int32Array {
    const hashes = this.hashesOf(source);
    const bad = new Set(scored.bad.map(({ row }) => row));
    this.rows += source.rows - bad.size;
    let rows = rowsUpTo(hashes, this.bound);
    if (bad.size > 0) rows = rows.filter((row) => !bad.has(row));
    if (rows.length > this.config.rows) {
      this.bound = leastBound(hashesAt(hashes, rows), this.config.rows);
      rows = rows.filter((row) => hashes[row]! <= this.bound);
    }
    if (rows.length === 0) return rows;
    this.pieces.push({
      hashes: hashesAt(hashes, rows),
      places: placesOf(source, rows),
      columns: [
        ...this.features.map((feature) => featureRows(features.batch, feature, rows)),
        ...this.outputRows(scored, rows),
      ],
    });
    this.gathered += rows.length;
    if (this.gathered > 2 * this.config.rows) this.cut();
    return rows;
  }

  private outputRows({ outputs }: ScoredBatch, rows: Int32Array): SampleColumn[] {
    return distinctOutputs(this.outputs).map(({ name, element, width }) => {
      const { values } = outputs.get(name)!;
      return pickRows({ name, element, width, values }, rows);
    });
  }

  private hashesOf({
    batch,
    plan,
    rows,
    rowStart,
    positions,
  }: SourceBatch<FeaturesPlan>): Float64Array {
    if (plan.rowKey !== undefined) {
      const { index, element } = plan.rowKey;
      const keys = columnOf(batch, index, element).values as BigInt64Array;
      return hashesOfKeys(new Int32Array(keys.buffer, keys.byteOffset, 2 * rows));
    }
    const hashes = new Float64Array(rows);
    const { files } = this.order;
    let file = 0;
    let start = 0;
    for (let row = 0; row < rows; row++) {
      const place = positions?.[row] ?? rowStart + row;
      while (place >= start + files[file]!.rowEnd - files[file]!.rowStart) {
        start += files[file]!.rowEnd - files[file]!.rowStart;
        file++;
      }
      const inFile = files[file]!.rowStart + place - start;
      hashes[row] = rowHash(inFile | 0, Math.floor(inFile / 2 ** 32), this.salts[file]!);
    }
    return hashes;
  }

  /** The pieces as one. */
  private joined(): Piece {
    const hashes = new Float64Array(this.gathered);
    const places = new Uint32Array(this.gathered);
    let at = 0;
    for (const piece of this.pieces) {
      hashes.set(piece.hashes, at);
      places.set(piece.places, at);
      at += piece.hashes.length;
    }
    const columns = (this.pieces[0]?.columns ?? []).flatMap((_, i) => {
      const joined = joinColumns(this.pieces.map((piece) => piece.columns[i]!));
      return joined === undefined ? [] : [joined];
    });
    return { hashes, places, columns };
  }

  /** Keeps the rows of least hash. */
  private cut(): void {
    const { hashes, places, columns } = this.joined();
    if (hashes.length > this.config.rows) this.bound = leastBound(hashes, this.config.rows);
    const rows = Int32Array.from(hashes.keys()).filter((row) => hashes[row]! <= this.bound);
    this.pieces = [
      {
        hashes: hashesAt(hashes, rows),
        places: placesAt(places, rows),
        columns: columns.map((column) => pickRows(column, rows)),
      },
    ];
    this.gathered = rows.length;
  }

  /** Up to which hash the sample has all rows. */
  private boundOf(hashes: Float64Array): number {
    if (hashes.length === this.rows) return HASHES;
    // Fewer than wanted, because many rows were set aside: those that were looked for are all there.
    return hashes.length < this.config.rows ? this.bound : hashes.at(-1)!;
  }

  /** The sample; `segments` are those of the task. */
  finish(
    segments: readonly Segment[],
    model: Pick<ScoredSample, 'inputs' | 'fixedBatch'>,
  ): ScoredSample {
    const all = this.joined();
    const order = Int32Array.from(
      [...all.hashes.keys()]
        .sort((a, b) => all.hashes[a]! - all.hashes[b]! || a - b)
        .slice(0, this.config.rows),
    );
    const hashes = hashesAt(all.hashes, order);
    const columns = all.columns.map((column) => pickRows(column, order));
    const { key } = this.config;
    return {
      ...model,
      rows: this.rows,
      key: key === undefined ? null : keyName(segments, key),
      bound: this.boundOf(hashes),
      hashes,
      places: placesAt(all.places, order),
      features: columns.slice(0, this.features.length),
      outputs: columns.slice(this.features.length),
    };
  }
}

/** The hashes of keys that are two words each. */
function hashesOfKeys(words: Int32Array): Float64Array {
  const hashes = new Float64Array(words.length / 2);
  for (let row = 0; row < hashes.length; row++)
    hashes[row] = rowHash(words[2 * row]!, words[2 * row + 1]!, 0);
  return hashes;
}

function rowsUpTo(hashes: Float64Array, bound: number): Int32Array {
  const rows = new Int32Array(hashes.length);
  let length = 0;
  for (let row = 0; row < hashes.length; row++) if (hashes[row]! <= bound) rows[length++] = row;
  return rows.subarray(0, length);
}

function hashesAt(hashes: Float64Array, rows: Int32Array): Float64Array {
  const found = new Float64Array(rows.length);
  for (let i = 0; i < rows.length; i++) found[i] = hashes[rows[i]!]!;
  return found;
}

function placesAt(places: Uint32Array, rows: Int32Array): Uint32Array {
  const found = new Uint32Array(rows.length);
  for (let i = 0; i < rows.length; i++) found[i] = places[rows[i]!]!;
  return found;
}

function featureRows(
  batch: RecordBatch,
  { name, element, index }: TaskSample['features'][number],
  rows: Int32Array,
): SampleColumn {
  if (element === 'utf8') {
    const { texts, width } = textsAt(batch, index, rows);
    return { name, element, width, values: texts };
  }
  const { values, list } = columnOf(batch, index, element === 'float16' ? 'uint16' : element);
  return pickRows({ name, element, width: list?.width ?? 1, values }, rows);
}

/** The places of the sampled rows of scores that are there already; undefined where none were sampled. */
export async function sampledPlaces(order: TaskOrder): Promise<Uint32Array | undefined> {
  try {
    return decodeScored(await readFile(join(order.scoreFolder, SAMPLE_FILE)))?.places;
  } catch {
    // Without it nothing is explained: that is no reason not to publish. Damage is for `verify` to find.
    return undefined;
  }
}

/** How many kept columns of texts are in a sample. */
const KEPT_COLUMNS = 16;

/**
 * What kept columns say of the sampled rows of a task, as the bytes of the file beside its part. In the table of scores the rows
 * at these places are marked.
 */
export async function publishedSample(
  database: Database,
  order: TaskOrder,
  segments: readonly Segment[],
  places: Uint32Array,
): Promise<Uint8Array> {
  const { keep, columns } = order.publishing;
  const key = order.sample?.key;
  const texts = keep
    .filter(({ name, type }) => name !== key && (type === 'VARCHAR' || type.startsWith('ENUM')))
    .slice(0, KEPT_COLUMNS)
    .map(({ name }) => name);
  const names = key === undefined ? texts : [...texts, key];
  const found = await textsOfRows(database, segments, names, places);
  const kept = texts.map((name, i): SampleColumn => {
    return { name, element: 'utf8', width: 1, values: found[i]! };
  });
  const keys =
    key === undefined
      ? null
      : { name: key, element: 'utf8' as const, width: 1, values: found.at(-1)! };
  return encodePublished({ columns, kept, keys }, places.length);
}

/** Columns as texts, of the rows of a task at some places, in the order of the places. */
async function textsOfRows(
  database: Database,
  segments: readonly Segment[],
  names: readonly string[],
  places: Uint32Array,
): Promise<(string | null)[][]> {
  const texts = names.map(() => new Array<string | null>(places.length).fill(null));
  if (names.length === 0 || places.length === 0) return texts;
  // Only what is sampled becomes text, where the segments have a column as one type.
  const columns = names.map((name) => {
    const [first, ...others] = typesOf(segments, name);
    const same = first !== undefined && others.every((type) => type === first);
    return same ? quoteName(name) : `CAST(${quoteName(name)} AS VARCHAR)`;
  });
  const inner = segments
    .map((segment) =>
      segmentSql(
        segment,
        columns.map((column, i) => `${column} AS t${i}`),
      ),
    )
    .join(' UNION ALL ');
  const outer = names.map((_, i) => guardedSql(`CAST(t${i} AS VARCHAR)`, false));
  const sql =
    `SELECT scores.rowid, ${outer.join(', ')} FROM (${inner}) POSITIONAL JOIN scores ` +
    'WHERE sampled';
  const rank = new Map(Array.from(places, (place, i) => [place, i]));
  for await (const chunk of database.chunks(sql, true)) {
    const own = chunk.bytes(0, 'int64');
    const words = new Uint32Array(own.buffer, own.byteOffset, 2 * chunk.rows);
    const ranks = Array.from({ length: chunk.rows }, (_, row) => rank.get(words[2 * row]!));
    texts.forEach((column, i) => {
      const found = chunk.texts(i + 1);
      ranks.forEach((at, row) => {
        if (at !== undefined) column[at] = found[row]!;
      });
    });
  }
  return texts;
}
