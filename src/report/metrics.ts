/**
 * What a run did as Prometheus metrics, in the text format that the node exporter's textfile collector reads:
 * https://prometheus.io/docs/instrumenting/exposition_formats/. Pure.
 */
import type { QualityReport } from './quality-schema.js';
import type { RunReport } from './report.js';

/** A run of a job, as its metrics tell of it. */
export interface MeasuredRun {
  /** The name of the job. */
  readonly job: string;
  readonly startedMs: number;
  readonly endedMs: number;
  readonly exit: number;
  /** When a run last ended with 0 or 99, in seconds since 1970; 0 when none did. */
  readonly lastSuccess: number;
  /** Undefined for a run that ended before it began, for instance because no input was found. */
  readonly run: RunReport | undefined;
  /** Undefined where nothing was judged. */
  readonly quality: QualityReport | undefined;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [labels: Labels, value: number];

/** A metric: its name without `scoreline_`, what it means, and its values. */
interface Metric {
  readonly name: string;
  readonly help: string;
  readonly samples: readonly Sample[];
}

const LAST_SUCCESS = 'last_success_timestamp_seconds';

/** The metrics of a run as text. A metric that has no value for the run is left out. */
export function metricsText(measured: MeasuredRun): string {
  const { run, quality } = measured;
  const metrics = [
    ...endMetrics(measured),
    ...(run === undefined ? [] : runMetrics(run)),
    ...(quality === undefined || quality.judged === null
      ? []
      : [gateMetric(quality), ...driftMetrics(quality)]),
  ];
  return metrics
    .filter(({ samples }) => samples.length > 0)
    .flatMap(({ name, help, samples }) => [
      `# HELP scoreline_${name} ${help}`,
      `# TYPE scoreline_${name} gauge`,
      ...samples.map(([labels, value]) => `${series(name, measured.job, labels)} ${said(value)}`),
    ])
    .map((line) => `${line}\n`)
    .join('');
}

/** The time of the last success that a text of metrics tells of, in seconds since 1970; 0 when it tells of none of that job. */
export function lastSuccessIn(text: string, job: string): number {
  const start = `${series(LAST_SUCCESS, job, {})} `;
  const line = text.split('\n').find((one) => one.startsWith(start));
  const value = Number(line?.slice(start.length));
  return Number.isFinite(value) && value > 0 ? value : 0;
}

function endMetrics({ startedMs, endedMs, exit, lastSuccess }: MeasuredRun): Metric[] {
  return [
    one('run_start_timestamp_seconds', 'When the last run began.', startedMs / 1000),
    one('run_end_timestamp_seconds', 'When the last run ended.', endedMs / 1000),
    one('run_duration_seconds', 'How long the last run took.', (endedMs - startedMs) / 1000),
    one('run_exit_code', 'The exit code of the last run.', exit),
    one(LAST_SUCCESS, 'When a run last published, or had nothing to do; 0: never.', lastSuccess),
  ];
}

function runMetrics({ ledger, tasks, rowsThisRun, times }: RunReport): Metric[] {
  return [
    {
      name: 'run_rows',
      help: 'Rows of the partitions that the last run covered, by what became of them.',
      samples: (['scored', 'quarantined', 'filtered'] as const).map((state) => [
        { state },
        ledger[state],
      ]),
    },
    {
      name: 'run_tasks',
      help: 'Tasks of the last run: scored by it, or found done.',
      samples: (['scored', 'reused'] as const).map((state) => [{ state }, tasks[state]]),
    },
    {
      name: 'run_rows_per_second',
      help: 'Rows that the last run scored in a second; absent when there were none to score.',
      samples: rowsThisRun === 0 ? [] : [[{}, (1000 * rowsThisRun) / times.wall]],
    },
  ];
}

const VERDICTS = { pass: 0, warn: 1, fail: 2 } as const;

/** What the gates said; one that was skipped said nothing. */
function gateMetric({ gates }: QualityReport): Metric {
  const samples = gates.flatMap(({ gate, findings }) => {
    const worst = new Map<string, number>();
    for (const { column, status } of findings) {
      if (status === 'skipped') continue;
      // A column can be a feature and a prediction of the same name: a series must not be there twice.
      worst.set(column ?? '', Math.max(VERDICTS[status], worst.get(column ?? '') ?? 0));
    }
    return [...worst].map(([column, verdict]): Sample => [{ gate, column }, verdict]);
  });
  const help =
    'What a gate said of a column (of all rows: ""): 0 passed, 1 warned, 2 failed; absent when it was not judged.';
  return { name: 'gate_verdict', help, samples };
}

type Change = NonNullable<QualityReport['columns'][number]['change']>;

/** How far columns are from the baseline. */
function driftMetrics({ columns }: QualityReport): Metric[] {
  const measure = (
    name: string,
    help: string,
    of: (change: Change) => number | string | null | undefined,
  ): Metric => ({
    name: `drift_${name}`,
    help: `${help}, of a column of the rows that the last run judged against their baseline.`,
    samples: columns.flatMap(({ name: column, role, change, ignored }): Sample[] => {
      const value = change === null || ignored ? undefined : of(change);
      return value === null || value === undefined ? [] : [[{ column, role }, Number(value)]];
    }),
  });
  return [
    measure('psi', 'Population stability index', ({ psi }) => psi),
    measure('js_distance', 'Jensen-Shannon distance', ({ js }) => js),
    measure('ks_distance', 'Kolmogorov-Smirnov distance', ({ ks }) => ks?.distance),
    measure(
      'wasserstein_deviations',
      'Wasserstein distance in standard deviations of the baseline',
      ({ wasserstein }) => wasserstein,
    ),
    measure(
      'missing_increase_ratio',
      'Increase of the share of rows without a value',
      ({ missing }) => missing?.increase,
    ),
  ];
}

function one(name: string, help: string, value: number): Metric {
  return { name, help, samples: [[{}, value]] };
}

function series(name: string, job: string, labels: Labels): string {
  const pairs = Object.entries({ job, ...labels }).map(
    ([key, value]) => `${key}="${escaped(value)}"`,
  );
  return `scoreline_${name}{${pairs.join(',')}}`;
}

/** A label's value: backslash, double quote and line feed are the characters that end it or its line. */
function escaped(value: string): string {
  return value.replace(/["\\]/g, '\\$&').replaceAll('\n', '\\n');
}

function said(value: number): string {
  if (Number.isFinite(value) || Number.isNaN(value)) return String(value);
  return value > 0 ? '+Inf' : '-Inf';
}
