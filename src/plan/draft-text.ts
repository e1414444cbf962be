/** A drafted job as the text of a job file, with what a person should know beside each key. Pure. */
import { basename } from 'node:path';
import { shown } from '../base/errors.js';
import { grouped } from '../base/grouped.js';
import { type CsvDialect, RFC_4180 } from './csv.js';
import type { DateTemplate } from './date-template.js';
import type { Draft, FeaturesDraft } from './draft.js';
import { quoted } from './proposal.js';

/** All that is said in a job file that is drafted; paths as they are written in it. */
export interface JobText {
  readonly name: string;
  /** How the model and the data were named, for the first lines. */
  readonly from: string;
  /** The schema that editors check the file by, relative to it. */
  readonly schema: string;
  readonly model: string;
  readonly input: {
    readonly path: string;
    /** What was found there, in words. */
    readonly found: string;
    readonly dates: DateTemplate | undefined;
    readonly csv: CsvDialect | undefined;
    /** Types that columns of text look like. */
    readonly types: readonly { readonly column: string; readonly type: string }[];
  };
  /** How far keys were looked for: in how many rows, and whether those are all. */
  readonly looked: { readonly rows: number; readonly all: boolean };
  /** Whether a person named the key. */
  readonly chosen: boolean;
  readonly output: string;
  readonly draft: Draft;
}

/** Where remarks begin. */
const REMARK_COLUMN = 40;
/** A list of names is written on one line up to this width, else a line each. */
const LIST_WIDTH = 100;
/** How many names a remark lists. */
const NAMED = 12;

/** A job name from a model's file name. */
export function jobNameOf(model: string): string {
  const name = basename(model)
    .replace(/\.onnx$/i, '')
    .replace(/[^A-Za-z0-9._-]/g, '-')
    .replace(/^[^A-Za-z0-9]+/, '')
    .slice(0, 64);
  return name === '' ? 'scores' : name;
}

/** The text of a job file; it is valid whatever the names in it are. */
export function jobText(job: JobText): string {
  const { draft } = job;
  return [
    `# yaml-language-server: $schema=./${job.schema}`,
    `# Written by "scoreline init" from ${shown(job.from)}. "scoreline schema" has every key.`,
    `name: ${quoted(job.name)}`,
    '',
    'input:',
    remark(`  path: ${quoted(job.input.path)}`, job.input.found),
    ...dateLines(job.input.dates),
    ...keyLines(job),
    remark('  # where: a > 0 AND b IS NOT NULL', 'other rows are counted as filtered, not scored'),
    ...csvLines(job.input.csv),
    ...typeLines(job.input.types, job.looked.rows),
    '',
    'model:',
    `  path: ${quoted(job.model)}`,
    '',
    ...featureLines(draft.features),
    '',
    'output:',
    remark(`  path: ${quoted(job.output)}`, 'scoreline owns this folder'),
    ...keepLines(draft),
    ...columnLines(draft),
    '',
    '# Without gates, what changed against the run before is only warned of; these would stop publication:',
    '# gates:',
    '#   rows: { change: 30% }',
    '#   drift: { psi: { warn: 0.1, fail: 0.2 } }',
    '',
  ].join('\n');
}

/** A line with a remark, aligned where there is room. */
function remark(line: string, text: string): string {
  return text === '' ? line : `${line.padEnd(REMARK_COLUMN - 2)}  # ${shown(text, 400)}`;
}

/** Names for a remark. */
function named(names: readonly string[]): string {
  const first = names.slice(0, NAMED).map((name) => shown(name, 40));
  return `${first.join(', ')}${names.length > NAMED ? `, … (${grouped(names.length)} in all)` : ''}`;
}

function dateLines(dates: DateTemplate | undefined): string[] {
  if (dates === undefined) return [];
  const then = `a day by itself: scoreline run … --date ${dates.last}`;
  return [remark(`  # path: ${quoted(dates.path)}`, then)];
}

function keyLines({ draft, looked, chosen }: JobText): string[] {
  if (chosen && draft.key !== undefined)
    return [remark(`  key: ${quoted(draft.key)}`, 'names a row; every run checks that')];
  const rows = `${looked.all ? 'all' : 'the first'} ${grouped(looked.rows)} rows`;
  if (draft.key !== undefined) {
    return looked.all
      ? [
          remark(
            `  key: ${quoted(draft.key)}`,
            `${rows} have different ones; every run checks that`,
          ),
        ]
      : [
          remark(
            `  # key: ${quoted(draft.key)}`,
            `${rows} have different ones; a run would check all`,
          ),
        ];
  }
  const others = draft.otherKeys.map((name) =>
    remark(`  # key: ${quoted(name)}`, `${rows} have different ones`),
  );
  return others.length > 0 ? others : [remark('  # key: …', 'a column that names each row')];
}

function csvLines(dialect: CsvDialect | undefined): string[] {
  if (dialect === undefined) return [];
  const { delimiter, quote, columns } = dialect;
  const lines = [
    ...(delimiter === RFC_4180.delimiter ? [] : [`delimiter: ${JSON.stringify(delimiter)}`]),
    ...(quote === RFC_4180.quote ? [] : [`quote: ${JSON.stringify(quote)}`]),
    ...(columns === undefined
      ? []
      : [
          remark('header: false', 'the first record does not look like names'),
          `columns: [${columns.map(quoted).join(', ')}]`,
        ]),
  ];
  return lines.length === 0 ? [] : ['  csv:', ...lines.map((line) => `    ${line}`)];
}

function typeLines(types: JobText['input']['types'], records: number): string[] {
  if (types.length === 0) return [];
  return [
    `  # Columns that feed nothing are text, unless types says otherwise. The first ${grouped(records)} records look like:`,
    '  # types:',
    ...types.map(({ column, type }) => `  #   ${quoted(column)}: ${type}`),
  ];
}

function featureLines(features: FeaturesDraft): string[] {
  switch (features.by) {
    case 'name':
      return ["# features: none needed, the columns have the names of the model's inputs"];
    case 'list':
      return list('features', features.columns, `${features.columns.length}: ${features.why}`);
    case 'open':
      return [
        `# TODO features: ${features.why}.`,
        ...(features.lines.length === 0
          ? []
          : [
              `# Take away the "# " before features and before ${features.form === 'map' ? 'all lines, each with its column' : 'those'}:`,
              '# features:',
              ...features.lines.map(({ input, column, remark: text }) =>
                remark(
                  input === undefined
                    ? `#   - ${quoted(column)}`
                    : `#   ${quoted(input)}: ${quoted(column)}`,
                  text,
                ),
              ),
            ]),
      ];
  }
}

/** A list of names under a key, on one line where there is room. */
function list(key: string, names: readonly string[], text: string): string[] {
  const line = `${key}: [${names.map(quoted).join(', ')}]`;
  if (line.length <= LIST_WIDTH) return [remark(line, text)];
  const indent = ' '.repeat(key.search(/\S/) + 2);
  return [remark(`${key}:`, text), ...names.map((name) => `${indent}- ${quoted(name)}`)];
}

function keepLines({ keep, leftOut }: Draft): string[] {
  const others = leftOut.length === 0 ? '' : `there are also ${named(leftOut)}`;
  if (keep.length > 0)
    return list('  keep', keep, others || 'passed through beside the predictions');
  return [remark('  # keep: […]', others || 'columns to pass through beside the predictions')];
}

function columnLines({ predictions, outputs }: Draft): string[] {
  if (outputs.length > 0) return ['  columns:', ...outputs.map((line) => `    ${line}`)];
  if (predictions.length === 0)
    return ['  # TODO columns: no output of the model can be published as it is'];
  return [
    remark('  # columns: { name: output }', `other names; else it publishes ${named(predictions)}`),
  ];
}
