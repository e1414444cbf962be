/** The metrics of a run as text: names, labels, and what is left out. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { lastSuccessIn, type MeasuredRun, metricsText } from '../../src/report/metrics.js';
import type { QualityReport } from '../../src/report/quality-schema.js';
import type { RunReport } from '../../src/report/report.js';
import { ROOT } from '../scoreline.js';

const RUN = {
  ledger: { rows: 10, scored: 7, quarantined: 1, filtered: 2 },
  tasks: { scored: 2, reused: 3 },
  rowsThisRun: 5,
  times: { wall: 2000 },
} as RunReport;

const MEASURED: MeasuredRun = {
  job: 'flights',
  startedMs: 1_000_500,
  endedMs: 1_003_000,
  exit: 0,
  lastSuccess: 1003,
  run: RUN,
  quality: undefined,
};

const finding = (column: string | null, status: string): unknown => ({ column, status });
const column = (name: string, of: object): unknown => ({
  ...{ name, role: 'feature', ignored: false },
  ...{ change: { psi: 0.25, js: 0.5, ks: null, wasserstein: null, missing: null } },
  ...of,
});

function judged(quality: object): string {
  const judged = { rows: 1, partitions: 1, day: null };
  return metricsText({
    ...MEASURED,
    quality: { judged, gates: [], columns: [], ...quality } as unknown as QualityReport,
  });
}

/** The lines of a text that are values. */
const values = (text: string, start = ''): string[] =>
  text.split('\n').filter((line) => line.startsWith(`scoreline_${start}`));

describe('the metrics of a run', () => {
  test('are times, exit code, rows, tasks and speed, in seconds and rows', () => {
    expect(values(metricsText(MEASURED))).toEqual([
      'scoreline_run_start_timestamp_seconds{job="flights"} 1000.5',
      'scoreline_run_end_timestamp_seconds{job="flights"} 1003',
      'scoreline_run_duration_seconds{job="flights"} 2.5',
      'scoreline_run_exit_code{job="flights"} 0',
      'scoreline_last_success_timestamp_seconds{job="flights"} 1003',
      'scoreline_run_rows{job="flights",state="scored"} 7',
      'scoreline_run_rows{job="flights",state="quarantined"} 1',
      'scoreline_run_rows{job="flights",state="filtered"} 2',
      'scoreline_run_tasks{job="flights",state="scored"} 2',
      'scoreline_run_tasks{job="flights",state="reused"} 3',
      'scoreline_run_rows_per_second{job="flights"} 2.5',
    ]);
  });

  test('of one that scored nothing have no speed, of one that did not begin no rows', () => {
    const idle = metricsText({ ...MEASURED, run: { ...RUN, rowsThisRun: 0 } });
    expect(idle).not.toContain('per_second');
    const before = metricsText({ ...MEASURED, run: undefined, exit: 4 });
    expect(before).not.toContain('scoreline_run_rows');
    expect(values(before, 'run_exit_code')).toEqual(['scoreline_run_exit_code{job="flights"} 4']);
  });

  test('have a verdict for each gate and column; of two columns of one name the worse; skipped ones none', () => {
    const gates = [
      { gate: 'rows.min', findings: [finding(null, 'pass')] },
      {
        gate: 'drift.psi',
        findings: [finding('a', 'fail'), finding('a', 'pass'), finding('b', 'skipped')],
      },
      { gate: 'nulls', findings: [finding('a', 'warn')] },
    ];
    expect(values(judged({ gates }), 'gate')).toEqual([
      'scoreline_gate_verdict{job="flights",gate="rows.min",column=""} 0',
      'scoreline_gate_verdict{job="flights",gate="drift.psi",column="a"} 2',
      'scoreline_gate_verdict{job="flights",gate="nulls",column="a"} 1',
    ]);
  });

  test('have drift for each column that is compared and does not differ by its nature', () => {
    const endless = { change: { psi: 'Infinity', js: null, ks: { distance: 1 } } };
    const columns = [
      column('a', {}),
      column('b', { role: 'output', ...endless }),
      column('new', { change: null }),
      column('month', { ignored: true }),
    ];
    expect(values(judged({ columns }), 'drift')).toEqual([
      'scoreline_drift_psi{job="flights",column="a",role="feature"} 0.25',
      'scoreline_drift_psi{job="flights",column="b",role="output"} +Inf',
      'scoreline_drift_js_distance{job="flights",column="a",role="feature"} 0.5',
      'scoreline_drift_ks_distance{job="flights",column="b",role="output"} 1',
    ]);
  });

  test('are those that the documentation names', () => {
    const gates = [{ gate: 'rows.min', findings: [finding(null, 'pass')] }];
    const change = { psi: 0, js: 0, ks: { distance: 0 }, wasserstein: 0, missing: { increase: 0 } };
    const text = judged({ gates, columns: [column('a', { change })] });
    const names = [...text.matchAll(/^# TYPE (\S+)/gm)].map(([, name]) => name);
    const page = readFileSync(join(ROOT, 'docs/operating.md'), 'utf8');
    const rows = page.split('\n').filter((line) => /^\| `scoreline_(?!reason)/.test(line));
    const documented = rows.flatMap((row) => row.match(/scoreline_\w+/g));
    expect(names.toSorted()).toEqual(documented.toSorted());
  });

  test('keep label values of any text on their line', () => {
    const text = judged({ columns: [column('a"\\\nb', {})] });
    expect(text).toContain('column="a\\"\\\\\\nb"');
    expect(
      text.split('\n').filter((line) => !/^(scoreline_|# (HELP|TYPE) scoreline_)/.test(line)),
    ).toEqual(['']);
  });

  test('tell the next run of the last success of the same job', () => {
    const text = metricsText(MEASURED);
    expect(lastSuccessIn(text, 'flights')).toBe(1003);
    expect([lastSuccessIn(text, 'other'), lastSuccessIn('', 'flights')]).toEqual([0, 0]);
    const damaged = text.replace(/(last_success\S+) 1003/, '$1 soon');
    expect(lastSuccessIn(damaged, 'flights')).toBe(0);
  });
});
