/** Shows a person what a file or a model holds. */
import { open } from 'node:fs/promises';
import { type Database, duckdbError, quotePath } from '../base/duckdb.js';
import { shown, systemError } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { readOnnxFile } from '../base/onnx-file.js';
import { requireFile } from '../base/regular-file.js';
import { proposeBinding } from '../plan/proposal.js';
import { type ModelFacts, shapeText } from '../plan/signature.js';
import { describeModel, type ModelTools, shownModel } from './describe.js';
import type { Inspection } from './protocol.js';

/** Inspects a CSV file by its name, a Parquet file or, whatever does not start like one, an ONNX model. */
export async function inspectPath(
  open: () => Promise<Database>,
  tools: ModelTools,
  path: string,
): Promise<Inspection> {
  await requireFile(path, shown(path), 'input');
  if (/\.(?:csv|tsv)(?:\.gz|\.zst)?$/i.test(path)) {
    const { inspectCsv } = await import('./inspect-csv.js');
    return inspectCsv(path);
  }
  return (await startsLikeParquet(path))
    ? inspectParquet(await open(), path)
    : inspectModel(tools, path);
}

async function startsLikeParquet(path: string): Promise<boolean> {
  if (/\.(?:parquet|parq|pq)$/i.test(path)) return true;
  try {
    const file = await open(path, 'r');
    try {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(4), 0, 4, 0);
      return bytesRead === 4 && buffer.toString('latin1') === 'PAR1';
    } finally {
      await file.close();
    }
  } catch (error) {
    throw systemError(error, `cannot read ${shown(path)}`, 'input');
  }
}

async function inspectParquet(database: Database, path: string): Promise<Inspection> {
  const file = quotePath(path);
  try {
    const [meta] = await database.rows(
      `SELECT created_by, num_rows, num_row_groups, format_version, file_size_bytes FROM parquet_file_metadata(${file})`,
    );
    const groups = await database.rows(
      'SELECT row_group_id AS "group", any_value(row_group_num_rows) AS "rows", sum(total_uncompressed_size)::BIGINT AS bytes, ' +
        `sum(total_compressed_size)::BIGINT AS compressed FROM parquet_metadata(${file}) GROUP BY 1 ORDER BY 1`,
    );
    const columns = await database.rows(
      `SELECT column_name AS name, column_type AS "type" FROM (DESCRIBE SELECT * FROM read_parquet(${file}, hive_partitioning = false))`,
    );
    const stored = await database.rows(
      "SELECT path_in_schema AS path, string_agg(DISTINCT compression, ', ') AS compression, " +
        "string_agg(DISTINCT encodings, '; ') AS encodings, sum(stats_null_count)::BIGINT AS nulls " +
        `FROM parquet_metadata(${file}) GROUP BY 1, column_id ORDER BY column_id`,
    );
    const lines = [
      `${shown(path)}: Parquet, ${meta?.num_rows} rows in ${meta?.num_row_groups} row groups, ${meta?.file_size_bytes} bytes`,
      `written by ${shown(String(meta?.created_by ?? 'unknown'))}`,
      '',
      'columns',
      ...columns.map((column) => `  ${shown(String(column.name))}  ${shown(String(column.type))}`),
      '',
      'storage',
      ...stored.map(
        (column) =>
          `  ${shown(String(column.path))}  ${column.compression}  ${shown(String(column.encodings))}  nulls ${column.nulls ?? 'unknown'}`,
      ),
      '',
      'row groups',
      ...groups
        .slice(0, 20)
        .map(
          (group) =>
            `  ${group.group}: ${group.rows} rows, ${group.bytes} bytes (${group.compressed} compressed)`,
        ),
      ...(groups.length > 20 ? [`  … ${groups.length - 20} more`] : []),
    ];
    return {
      kind: 'parquet',
      lines,
      json: { kind: 'parquet', path, ...meta, columns, storage: stored, rowGroups: groups },
    };
  } catch (error) {
    throw duckdbError(error, shown(path), 'input');
  }
}

/** How many names of one kind are shown. */
const LISTED = 20;

async function inspectModel(tools: ModelTools, path: string): Promise<Inspection> {
  const file = await readOnnxFile(path);
  const ask = { path, shownAs: shownModel(path), device: 'cpu', columns: undefined };
  const facts = await describeModel(ask, tools, () => undefined);
  const opsets = file.opsets.map(
    ({ domain, version }) => `${shown(domain === '' ? 'ai.onnx' : domain)} ${version}`,
  );
  const metadata = [...Object.entries(file.metadata)];
  const proposal = proposeBinding(facts, file.metadata);
  const lines = [
    `${shown(path)}: ONNX model, ${facts.bytes} bytes, sha256 ${facts.sha256[0]}`,
    `made by ${shown(`${file.producer} ${file.producerVersion}`.trim() || 'unknown')}, IR version ${file.irVersion}, opsets ${opsets.join(', ')}`,
    '',
    'inputs',
    ...facts.inputs.map(
      (spec) => `  ${shown(spec.name)}  ${spec.element ?? 'not a tensor'} ${shapeText(spec)}`,
    ),
    ...(facts.defaults ?? [])
      .slice(0, LISTED)
      .map((name) => `  ${shown(name)}  has a default, which always counts`),
    '',
    'outputs',
    ...facts.outputs.map(({ name, element, width, problem, labels = [] }) => {
      const classes = labels.slice(0, LISTED).map((label) => shown(label, 40));
      if (labels.length > LISTED) classes.push('…');
      const type =
        element === undefined
          ? 'not a tensor'
          : `${element}, ${width ?? 'unknown'} a row${labels.length > 0 ? `: ${classes.join(', ')}` : ''}`;
      return `  ${shown(name)}  ${type}${problem === undefined ? '' : ` (${problem})`}`;
    }),
    '',
    `engine: ${engineText(facts.trees)}`,
    '',
    'job file',
    ...proposal,
    '',
    'operators',
    ...file.ops.map(
      ({ domain, op, count }) => `  ${shown(domain === '' ? op : `${domain}.${op}`)} × ${count}`,
    ),
    ...(file.random.length > 0
      ? ['', `draws random numbers: ${file.random.map((name) => shown(name)).join(', ')}`]
      : []),
    ...(file.externalData.length > 0
      ? ['', `external data: ${file.externalData.map((name) => shown(name)).join(', ')}`]
      : []),
    ...(metadata.length > 0
      ? [
          '',
          'metadata',
          ...metadata.map(([key, value]) => `  ${shown(key)}: ${shown(String(value))}`),
        ]
      : []),
  ];
  return {
    kind: 'model',
    lines,
    facts,
    metadata: Object.fromEntries(metadata),
    json: {
      kind: 'model',
      path,
      sha256: facts.sha256,
      bytes: facts.bytes,
      producer: file.producer,
      producerVersion: file.producerVersion,
      irVersion: file.irVersion,
      opsets: file.opsets,
      inputs: facts.inputs,
      defaults: facts.defaults,
      engine: facts.trees,
      jobFile: proposal.join('\n'),
      outputs: facts.outputs,
      operators: file.ops,
      random: file.random,
      externalData: file.externalData,
      metadata: Object.fromEntries(metadata),
    },
  };
}

function engineText(trees: ModelFacts['trees']): string {
  if ('why' in trees) return `onnxruntime (${shown(trees.why)})`;
  const [count, leaves] = [trees.trees, trees.leaves].map(grouped);
  const { before, behind } = trees;
  const around = [
    ...(before > 0 ? [`${grouped(before)} ${before === 1 ? 'node' : 'nodes'} before`] : []),
    ...(behind > 0 ? [`${grouped(behind)} ${behind === 1 ? 'node' : 'nodes'} behind`] : []),
  ];
  const parts = around.length === 0 ? '' : `; in onnxruntime ${around.join(' and ')}`;
  return `trees (${count} trees, ${leaves} leaves${parts})`;
}
