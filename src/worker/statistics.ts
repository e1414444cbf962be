/**
 * The statistics of a task. Those of its features, as the model saw them, and of its predictions are made while it is scored; those
 * of kept columns, and of predictions whose scores were there already, from DuckDB. Rows set aside are in none of them.
 */
import { columnOf, type TypedArray, viewOf } from '../base/columns.js';
import { type Database, guardedSql, quoteName } from '../base/duckdb.js';
import type { ElementType } from '../base/elements.js';
import type { TensorElement } from '../base/onnx.js';
import type { OutputBinding } from '../plan/predictions.js';
import type { InputBinding } from '../plan/signature.js';
import { CategoryBuilder } from '../stats/category.js';
import type { ColumnRole, ColumnStatistics, Statistics } from '../stats/column.js';
import { NumericBuilder } from '../stats/numeric-builder.js';
import type { FeatureBatch } from './features.js';
import type { ScoredBatch } from './infer.js';
import type { TaskOrder } from './protocol.js';
import { ROW_STATUS } from './quarantine.js';
import { type Segment, segmentSql } from './read.js';
import { distinctOutputs } from './score-table.js';

/** Counts the values of one column. Of lists, all elements are counted together. */
interface Counter {
  readonly name: string;
  readonly role: ColumnRole;
  readonly builder: NumericBuilder | CategoryBuilder;
}

function counterOf(name: string, role: ColumnRole, element: TensorElement): Counter {
  const builder =
    element === 'utf8'
      ? new CategoryBuilder()
      : new NumericBuilder(element === 'float32' || element === 'float16' ? element : 'other');
  return { name, role, builder };
}

function finished(counters: readonly Counter[]): ColumnStatistics[] {
  return counters.map(({ name, role, builder }) => ({ name, role, sketch: builder.finish() }));
}

/** Rows next to each other, from the first to before the second. */
type Run = readonly [start: number, end: number];

/** The runs of rows of a batch between those that are set aside. */
function goodRuns(rows: number, bad: readonly { readonly row: number }[]): Run[] {
  const runs: Run[] = [];
  let start = 0;
  for (const { row } of bad) {
    if (row > start) runs.push([start, row]);
    start = row + 1;
  }
  if (rows > start) runs.push([start, rows]);
  return runs;
}

/** Counts the values of some rows, which have `width` each; with `element`, only that one of each row. */
function countRuns(
  { builder }: Counter,
  values: TypedArray | readonly (string | null)[],
  runs: readonly Run[],
  { width, element }: { readonly width: number; readonly element?: number | undefined },
): void {
  for (const [start, end] of runs) {
    const own = partOf(values, start * width, end * width);
    if (builder instanceof CategoryBuilder) {
      const texts = own as readonly (string | null)[];
      builder.add(element === undefined ? texts : texts.filter((_, i) => i % width === element));
    } else if (element === undefined || width === 1) {
      builder.add(own as TypedArray, { rows: (end - start) * width });
    } else {
      builder.add(own as TypedArray, { rows: end - start, width, element });
    }
  }
}

function partOf(
  values: TypedArray | readonly (string | null)[],
  start: number,
  end: number,
): TypedArray | readonly (string | null)[] {
  if (start === 0 && end === values.length) return values;
  return Array.isArray(values)
    ? values.slice(start, end)
    : (values as TypedArray).subarray(start, end);
}

/** Gathers the statistics of a task, batch after batch. */
export class TaskStatistics {
  private rows = 0;
  private readonly features: readonly {
    readonly element: ElementType;
    readonly counter: Counter | undefined;
  }[];
  private readonly outputs: readonly {
    readonly binding: OutputBinding;
    readonly counter: Counter;
  }[];

  constructor(inputs: readonly InputBinding[], columns: readonly OutputBinding[]) {
    const seen = new Set<string>();
    this.features = inputs.flatMap(({ element, columns: names }) =>
      names.map((name) => {
        // A column that feeds two inputs is counted as the first has it.
        const isNew = !seen.has(name);
        seen.add(name);
        return {
          element: element === 'float16' ? ('uint16' as const) : element,
          counter: isNew ? counterOf(name, 'feature', element) : undefined,
        };
      }),
    );
    this.outputs = columns.map((binding) => ({
      binding,
      // Outputs of float16 are float32 by now.
      counter: counterOf(
        binding.column,
        'output',
        binding.element === 'float16' ? 'float32' : binding.element,
      ),
    }));
  }

  /** Counts a batch of which some rows were scored. */
  add(features: FeatureBatch, { outputs, bad }: ScoredBatch, rows: number): void {
    const runs = goodRuns(rows, bad);
    for (const [start, end] of runs) this.rows += end - start;
    this.features.forEach(({ element, counter }, index) => {
      if (counter === undefined) return;
      const { values, list } = columnOf(features.batch, index, element);
      countRuns(counter, values, runs, { width: list?.width ?? 1 });
    });
    for (const { binding, counter } of this.outputs) {
      const found = outputs.get(binding.output);
      if (found === undefined) continue;
      countRuns(counter, found.values, runs, { width: found.width, element: binding.index });
    }
  }

  /** The statistics of the features, which belong to the scores. */
  ofFeatures(): Statistics {
    const counters = this.features.flatMap(({ counter }) => counter ?? []);
    return { rows: this.rows, columns: finished(counters) };
  }

  /** The statistics of the predictions, which belong to the part. */
  ofOutputs(): Statistics {
    return { rows: this.rows, columns: finished(this.outputs.map(({ counter }) => counter)) };
  }
}

/**
 * The statistics of what is published of a task: its predictions (`made`, or else from the table of its scores), and the
 * kept columns that the job asks for.
 */
export async function statisticsOfPart(
  database: Database,
  order: TaskOrder,
  segments: readonly Segment[],
  made: Statistics | undefined,
): Promise<Statistics> {
  const { keep, columns, statistics: wanted = [] } = order.publishing;
  const where = `WHERE status = ${ROW_STATUS.scored}`;
  if (made === undefined) {
    const sources = outputSources(columns);
    // Each by itself: an array has more elements than there are rows.
    for (const source of sources) await countSources(database, [source], `FROM scores ${where}`);
    made = { rows: await scoredRows(database), columns: finished(countersOf(sources)) };
  }
  const kept = keep
    .filter(({ name }) => wanted.includes(name))
    .map(({ name, type }, place) => keptSource(name, type, place));
  if (kept.length === 0) return made;
  const rows = segments
    .map((segment) =>
      segmentSql(
        segment,
        kept.map(({ inner }) => inner),
      ),
    )
    .join(' UNION ALL ');
  await countSources(database, kept, `FROM (${rows}) POSITIONAL JOIN scores ${where}`);
  return { rows: made.rows, columns: [...made.columns, ...finished(countersOf(kept))] };
}

/** A column that DuckDB is asked for. */
interface Source {
  readonly sql: string;
  readonly fetched: ElementType;
  readonly counter: Counter;
}

function countersOf(sources: readonly Source[]): Counter[] {
  return sources.map(({ counter }) => counter);
}

async function countSources(
  database: Database,
  sources: readonly Source[],
  from: string,
): Promise<void> {
  const select = sources.map(({ sql }) => sql).join(', ');
  for await (const chunk of database.chunks(`SELECT ${select} ${from}`, false)) {
    sources.forEach(({ counter: { builder }, fetched }, column) => {
      if (builder instanceof CategoryBuilder) builder.add(chunk.texts(column));
      else {
        // A copy: views must be aligned to the size of their elements.
        const values = viewOf(fetched, chunk.bytes(column, fetched).slice());
        builder.add(values, { rows: chunk.rows, validity: chunk.validity(column) });
      }
    });
  }
}

async function scoredRows(database: Database): Promise<number> {
  const [row] = await database.rows(
    `SELECT count(*)::INTEGER AS scored FROM scores WHERE status = ${ROW_STATUS.scored}`,
  );
  return Number(row?.scored);
}

function outputSources(columns: readonly OutputBinding[]): Source[] {
  const outputs = distinctOutputs(columns).map(({ name }) => name);
  return columns.map(({ column, output, element, width, index }) => {
    const own = `o${outputs.indexOf(output)}`;
    const fetched = element === 'float16' ? 'float32' : element;
    const each =
      index === undefined ? (width === 1 ? own : `unnest(${own})`) : `${own}[${index + 1}]`;
    return {
      sql: fetched === 'utf8' ? guardedSql(each, false) : each,
      fetched,
      counter: counterOf(column, 'output', fetched),
    };
  });
}

/** The types whose values are compared as numbers; all others are as text. */
const NUMBER = /^(?:BOOLEAN|U?(?:TINY|SMALL|BIG|HUGE)?INT(?:EGER)?|FLOAT|DOUBLE|DECIMAL\(.*\))$/;

function keptSource(name: string, type: string, place: number): Source & { inner: string } {
  const isNumber = NUMBER.test(type);
  const cast = `CAST(CAST(${quoteName(name)} AS ${type}) AS ${isNumber ? 'DOUBLE' : 'VARCHAR'})`;
  return {
    inner: `${cast} AS s${place}`,
    sql: isNumber ? `s${place}` : guardedSql(`s${place}`, false),
    fetched: isNumber ? 'float64' : 'utf8',
    counter: counterOf(name, 'kept', isNumber ? 'float64' : 'utf8'),
  };
}
