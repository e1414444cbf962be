/** The footer of a Parquet file, as far as it says where things are and how many: what it claims must fit into the file. */
import { type FileHandle, open } from 'node:fs/promises';
import { ScorelineError, shown, systemError } from '../base/errors.js';
import { Malformed, ThriftReader } from '../base/thrift.js';

/** A column that holds values: its path, and how deep its levels go. */
export interface Leaf {
  readonly name: string;
  /** Parquet's number for the type of its values. */
  readonly type: number;
  readonly maxDefinition: number;
  readonly maxRepetition: number;
}

/** The pages of a column in a row group. */
export interface ColumnChunk {
  readonly leaf: Leaf;
  readonly codec: number;
  readonly values: number;
  /** Its first byte, and how many there are. */
  readonly start: number;
  readonly size: number;
  readonly encrypted: boolean;
}

/** A row group. */
export interface RowGroup {
  readonly rows: number;
  /** Uncompressed. */
  readonly bytes: number;
  readonly chunks: readonly ColumnChunk[];
}

/** What is wanted of a footer. */
export interface Footer {
  readonly rows: number;
  readonly groups: readonly RowGroup[];
  /** Where it begins: the pages lie before it. */
  readonly start: number;
  /** Whether the writer may have left headers of dictionaries out of the sizes of chunks: PARQUET-816. */
  readonly shortSizes: boolean;
}

const MAGIC_BYTES = 4;
const TAIL_BYTES = 8;
const FOOTER_BYTES_MAX = 1 << 30;
/** How deep columns may nest. */
const DEPTH_MAX = 200;

/** Reads the footer of a file; `path` names it in messages. Throws `input` where it cannot be one. */
export async function readFooter(path: string, absolute: string): Promise<Footer> {
  try {
    const file = await open(absolute, 'r');
    try {
      return await footerOf(file);
    } finally {
      await file.close();
    }
  } catch (error) {
    if (error instanceof Malformed) {
      throw new ScorelineError('input', `${shown(path)}: ${error.message}`, { cause: error });
    }
    throw systemError(error, `cannot read ${shown(path)}`, 'input');
  }
}

async function footerOf(file: FileHandle): Promise<Footer> {
  const { size } = await file.stat();
  const tail = await readAt(file, Math.max(0, size - TAIL_BYTES), Math.min(size, TAIL_BYTES));
  const magic = tail.toString('latin1', tail.length - MAGIC_BYTES);
  if (magic === 'PARE') throw new Malformed('is encrypted, which cannot be read');
  if (magic !== 'PAR1' || size < MAGIC_BYTES + TAIL_BYTES)
    throw new Malformed('is not a whole Parquet file: it does not end with PAR1; write it again');
  const length = tail.readUInt32LE(0);
  const start = size - TAIL_BYTES - length;
  if (start < MAGIC_BYTES)
    throw damaged(`its footer of ${length} bytes is longer than the file of ${size}`);
  if (length > FOOTER_BYTES_MAX)
    throw new Malformed(`its footer has ${length} bytes, and at most ${FOOTER_BYTES_MAX} are read`);
  const bytes = await readAt(file, start, length);
  try {
    return parseFooter(bytes, start);
  } catch (error) {
    if (!(error instanceof Malformed) || error instanceof Damaged) throw error;
    throw damaged(`its footer cannot be read: ${error.message}`);
  }
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const buffer = Buffer.alloc(length);
  let read = 0;
  while (read < length) {
    const { bytesRead } = await file.read(buffer, read, length - read, position + read);
    if (bytesRead === 0) throw damaged('it ends early');
    read += bytesRead;
  }
  return buffer;
}

class Damaged extends Malformed {}

/** What a footer claims that cannot be. */
function damaged(claim: string): Malformed {
  return new Damaged(`${claim}; the file is damaged: write it again`);
}

interface Claims {
  schema: SchemaNode[];
  rows: number;
  groups: GroupClaims[];
  createdBy: string;
}

interface SchemaNode {
  name: string;
  type: number;
  repetition: number;
  children: number;
}

interface GroupClaims {
  rows: number;
  chunks: ChunkClaims[];
}

interface ChunkClaims {
  type: number;
  codec: number;
  values: number;
  uncompressed: number;
  compressed: number;
  dataStart: number;
  dictionaryStart: number;
  encrypted: boolean;
  elsewhere: boolean;
}

function parseFooter(bytes: Uint8Array, start: number): Footer {
  const claims: Claims = { schema: [], rows: -1, groups: [], createdBy: '' };
  new ThriftReader(bytes).struct((field, reader) => {
    if (field === 2) reader.list(() => claims.schema.push(schemaNode(reader)));
    else if (field === 3) claims.rows = reader.whole();
    else if (field === 4) reader.list(() => claims.groups.push(rowGroup(reader)));
    else if (field === 6) claims.createdBy = reader.text();
    else return false;
    return true;
  });
  const leaves = leavesOf(claims.schema);
  const groups = claims.groups.map((group, index) => checkedGroup(group, { index, leaves, start }));
  const sum = groups.reduce((total, { rows }) => total + rows, 0);
  if (!Number.isSafeInteger(claims.rows) || claims.rows < 0 || sum !== claims.rows)
    throw damaged(`its footer says ${claims.rows} rows, its row groups ${sum}`);
  return { rows: claims.rows, groups, start, shortSizes: /parquet-mr/.test(claims.createdBy) };
}

function schemaNode(reader: ThriftReader): SchemaNode {
  const node: SchemaNode = { name: '', type: -1, repetition: 0, children: 0 };
  reader.struct((field) => {
    if (field === 1) node.type = reader.whole();
    else if (field === 3) node.repetition = reader.whole();
    else if (field === 4) node.name = reader.text();
    else if (field === 5) node.children = reader.whole();
    else return false;
    return true;
  });
  return node;
}

function rowGroup(reader: ThriftReader): GroupClaims {
  const group: GroupClaims = { rows: -1, chunks: [] };
  reader.struct((field) => {
    if (field === 1) reader.list(() => group.chunks.push(columnChunk(reader)));
    else if (field === 3) group.rows = reader.whole();
    else return false;
    return true;
  });
  return group;
}

function columnChunk(reader: ThriftReader): ChunkClaims {
  const chunk: ChunkClaims = {
    type: -1,
    codec: -1,
    values: -1,
    uncompressed: 0,
    compressed: -1,
    dataStart: -1,
    dictionaryStart: 0,
    encrypted: false,
    elsewhere: false,
  };
  reader.struct((field) => {
    if (field === 1) chunk.elsewhere = reader.text() !== '';
    else if (field === 3) reader.struct((inner) => chunkField(chunk, inner, reader));
    else {
      chunk.encrypted ||= field === 8;
      return false;
    }
    return true;
  });
  return chunk;
}

function chunkField(chunk: ChunkClaims, field: number, reader: ThriftReader): boolean {
  if (field === 1) chunk.type = reader.whole();
  else if (field === 4) chunk.codec = reader.whole();
  else if (field === 5) chunk.values = reader.whole();
  else if (field === 6) chunk.uncompressed = reader.whole();
  else if (field === 7) chunk.compressed = reader.whole();
  else if (field === 9) chunk.dataStart = reader.whole();
  else if (field === 11) chunk.dictionaryStart = reader.whole();
  else return false;
  return true;
}

/** The columns that hold values, in order: the leaves of the tree that the schema lists depth first. */
function leavesOf(schema: readonly SchemaNode[]): Leaf[] {
  const leaves: Leaf[] = [];
  let at = 1;
  const visit = (node: SchemaNode, above: Leaf, depth: number): void => {
    if (depth > DEPTH_MAX) throw damaged('the columns of its schema nest too deep');
    for (let i = 0; i < node.children; i++) {
      const child = schema[at++];
      if (child === undefined) throw damaged('its schema lacks columns that it announces');
      const leaf = {
        name: above.name === '' ? child.name : `${above.name}.${child.name}`,
        type: child.type,
        maxDefinition: above.maxDefinition + (child.repetition === 0 ? 0 : 1),
        maxRepetition: above.maxRepetition + (child.repetition === 2 ? 1 : 0),
      };
      if (child.children > 0) visit(child, leaf, depth + 1);
      else leaves.push(leaf);
    }
  };
  const [root] = schema;
  if (root === undefined) throw damaged('its footer has no schema');
  visit(root, { name: '', type: -1, maxDefinition: 0, maxRepetition: 0 }, 0);
  if (at < schema.length) throw damaged('its schema has columns that it does not announce');
  return leaves;
}

interface GroupPlace {
  readonly index: number;
  readonly leaves: readonly Leaf[];
  /** Where the footer begins. */
  readonly start: number;
}

function checkedGroup({ rows, chunks }: GroupClaims, place: GroupPlace): RowGroup {
  const { index, leaves } = place;
  if (!Number.isSafeInteger(rows) || rows < 0)
    throw damaged(`row group ${index} claims ${rows} rows`);
  if (chunks.length !== leaves.length)
    throw damaged(`row group ${index} has ${chunks.length} columns, its schema ${leaves.length}`);
  const checked = chunks.map((chunk, column) =>
    checkedChunk(chunk, { ...place, leaf: leaves[column]!, rows }),
  );
  const bytes = chunks.reduce((sum, { uncompressed }) => sum + uncompressed, 0);
  return { rows, bytes: Math.min(Math.max(0, bytes), Number.MAX_SAFE_INTEGER), chunks: checked };
}

function checkedChunk(
  claims: ChunkClaims,
  { index, leaf, rows, start: end }: GroupPlace & { readonly leaf: Leaf; readonly rows: number },
): ColumnChunk {
  const { codec, values, compressed, dataStart, dictionaryStart } = claims;
  const what = `row group ${index}, column "${shown(leaf.name)}"`;
  if (claims.elsewhere) throw new Malformed(`${what} lies in another file, which is not read`);
  // Some writers put a dictionary's place without one, or 0: it counts where it comes before the data.
  const start =
    dictionaryStart >= MAGIC_BYTES && dictionaryStart < dataStart ? dictionaryStart : dataStart;
  const encrypted = claims.encrypted && claims.type < 0;
  const chunk = { leaf, codec, values, start, size: compressed, encrypted: claims.encrypted };
  if (encrypted) return chunk;
  if (claims.type !== leaf.type)
    throw damaged(`${what} has type ${claims.type}, its schema says ${leaf.type}`);
  if (values < 0 || (leaf.maxRepetition === 0 && values !== rows))
    throw damaged(`${what} claims ${values} values for ${rows} rows`);
  // A chunk without values may have no place.
  if (values > 0 && (start < MAGIC_BYTES || compressed < 0 || start + compressed > end))
    throw damaged(`${what} lies at byte ${start} with ${compressed} bytes, outside of the file`);
  return chunk;
}
