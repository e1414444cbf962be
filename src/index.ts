/** The public API: everything that the command line does can be done from here. */
export {
  type ErrorCode,
  EXIT_CODES,
  EXITS,
  type ExitCodeRow,
  exitCodeOf,
  ScorelineError,
} from './base/errors.js';
export { jobNameOf } from './plan/draft-text.js';
export { type Job, jobFromObject, loadJob } from './plan/job.js';
export { jobJsonSchema } from './plan/job-json-schema.js';
export { KEEP_SNAPSHOTS } from './plan/job-schema.js';
export { type SelectionOptions, selectionOf } from './plan/selection.js';
export { type CheckReport, checkSentence, checkText, recordLines } from './report/check.js';
export { githubLines } from './report/check-ci.js';
export { type ComparisonReport, comparisonCells, comparisonLines } from './report/comparison.js';
export { explanationLines } from './report/explanation.js';
export type { Explanation } from './report/explanation-schema.js';
export type { FailureNotes } from './report/next-steps.js';
export {
  type ActReport,
  actLines,
  plural,
  type RunReport,
  reportLines,
} from './report/report.js';
export { type StatusReport, statusLines } from './report/status.js';
export { type SavedBaseline, saveBaseline } from './run/baseline-file.js';
export { baselineFrom } from './run/baseline-from.js';
export { check, recordFixture } from './run/check.js';
export { writeCheck } from './run/check-files.js';
export type { Damage } from './run/checker.js';
export { compare, type Side, sidePartitions } from './run/compare.js';
export { explainApart } from './run/explain.js';
export { type GcOptions, type GcReport, gc } from './run/gc.js';
export { type ActOptions, type HistoryEntry, readHistory } from './run/history.js';
export {
  type DraftedJob,
  draftFor,
  type InitAnswers,
  type InitRequest,
  type WrittenJob,
  writeDraft,
} from './run/init.js';
export { type Diagnosis, diagnose, inspectFile } from './run/inspect.js';
export { checkMetricsPath, type EndedRun, writeMetrics } from './run/metrics.js';
export { notesOnFailure, pagePath } from './run/page.js';
export { type PlannedUnit, type PlanReport, planJob } from './run/plan-job.js';
export { type DifferentFile, type Rescored, type RescoreOptions, rescore } from './run/rescore.js';
export { revert } from './run/revert.js';
export { RunFailed, type RunOptions, runJob } from './run/run.js';
export type { ScoreEvent } from './run/score.js';
export { currentPath } from './run/snapshot.js';
export { discardStaged, publishStaged } from './run/staged.js';
export { statusOf } from './run/status.js';
export { Output } from './run/store.js';
export { writeTrend } from './run/trend.js';
export { type Verification, type VerifyOptions, verify } from './run/verify.js';
