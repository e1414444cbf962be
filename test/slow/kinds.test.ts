/** A model of every kind that people export, run over its rows, against what Python's onnxruntime says of them. */
import { copyFileSync, readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type JobCase, makeCase, type RunResult, type Sections } from '../job-case.js';
import { columns, exactPath, schemaOf } from '../parquet.js';
import { FIXTURES } from '../scoreline.js';

const FOLDER = join(FIXTURES, 'models', 'kinds');

/** Every kind, by what it is: a folder that is not here, or a name without a folder, fails. */
const KINDS = {
  'scikit-learn': `linear-regression multi-output-regression logistic-regression logistic-regression-two svc svr
    knn-classifier knn-regressor naive-bayes-gaussian naive-bayes-bernoulli mlp-classifier mlp-regressor`,
  'trees of scikit-learn': `random-forest-classifier random-forest-regressor random-forest-three-targets
    extra-trees-classifier extra-trees-regressor isolation-forest gradient-boosting-classifier
    gradient-boosting-regressor hist-gradient-boosting-classifier hist-gradient-boosting-regressor`,
  'gradient boosting': `lightgbm-regressor lightgbm-binary lightgbm-multiclass lightgbm-multiclass-picked xgboost-regressor xgboost-binary
    xgboost-multiclass catboost-regressor catboost-binary catboost-multiclass`,
  'pipelines over named columns': 'pipeline-tensors pipeline-zipmap pipeline-int-labels',
  'element types': `float16 float16-exact float64 int64 int32 uint8 every-number bool string-outputs
    string-matrix`,
  shapes: `embeddings image-nested image-flat sequence fixed-batch one-dimension many-outputs
    zipmap-beside-tensor optional-input external-data`,
  'operator sets': 'opset-7 opset-9 opset-13 opset-17 opset-newest',
  nets: 'transformer quantised',
};

interface Kind {
  readonly about: string;
  readonly sections: Sections & { output?: Sections; run?: Sections };
  /** Every bit, or the largest relative difference. */
  readonly tolerance: 'bits' | number;
  /** The same in small batches, where ONNX Runtime sums in another order. */
  readonly smallTolerance: 'bits' | number;
  readonly quarantined: number;
  /** A regular expression for each note of the report. */
  readonly notes: readonly string[];
  readonly lossyCasts: readonly unknown[];
}

function read(name: string): Kind {
  return JSON.parse(readFileSync(join(FOLDER, name, 'job.json'), 'utf8'));
}

async function score(name: string, run?: Sections): Promise<{ job: JobCase; result: RunResult }> {
  const { sections } = read(name);
  const job = makeCase({
    input: { path: 'in', key: 'id' },
    model: { path: join(FOLDER, name, 'model.onnx') },
    features: undefined,
    ...sections,
    output: { path: 'out', keep: ['id'], ...sections.output },
    ...(run === undefined ? {} : { run }),
  });
  copyFileSync(join(FOLDER, name, 'rows.parquet'), join(job.input, 'rows.parquet'));
  return { job, result: await job.run() };
}

/** Whether two values are the same, or near enough; whatever is no floating-point number must be the same. */
function isNear(got: unknown, want: unknown, tolerance: Kind['tolerance']): boolean {
  if (Array.isArray(got) && Array.isArray(want)) {
    return (
      got.length === want.length && got.every((value, at) => isNear(value, want[at], tolerance))
    );
  }
  // DuckDB's Parquet writer takes -0 and 0 for one entry of a dictionary (duckdb/duckdb#25781): see docs/architecture.md.
  if (Object.is(got, want) || got === want) return true;
  if (tolerance === 'bits' || typeof got !== 'number' || typeof want !== 'number') return false;
  return Math.abs(got - want) <= tolerance * Math.abs(want);
}

async function expectPredictions(
  job: JobCase,
  name: string,
  tolerance: Kind['tolerance'],
): Promise<void> {
  const expected = join(FOLDER, name, 'expected.parquet');
  const [file, ...others] = job.files();
  expect(others).toEqual([]);
  const published = join(job.output, 'current', 'data', file!);
  // The names and the types of the columns, in order.
  const schemas = [await schemaOf(published), await schemaOf(expected)].map(Object.entries);
  expect(schemas[0]).toEqual(schemas[1]);
  const got = await columns(`FROM read_parquet(${exactPath(published)})`);
  const want = await columns(`FROM read_parquet(${exactPath(expected)})`);
  expect(got.id).toEqual(want.id);
  for (const column of Object.keys(want)) {
    const apart = want[column]!.flatMap((value, row) =>
      isNear(got[column]![row], value, tolerance)
        ? []
        : [{ column, id: want.id![row], got: got[column]![row], want: value }],
    );
    expect(apart.slice(0, 3), `${apart.length} rows of ${want.id!.length} differ`).toEqual([]);
  }
}

describe.each(Object.entries(KINDS))('%s', (_group, names) => {
  test.each(names.split(/\s+/))('%s', async (name) => {
    const kind = read(name);
    const { job, result } = await score(name);
    expect(result).toMatchObject({ exit: 0, stderr: '', report: { outcome: 'published' } });
    const scored = (await columns(`SELECT id FROM '${join(FOLDER, name, 'expected.parquet')}'`))
      .id!;
    expect(result.report.ledger).toMatchObject({
      rows: scored.length + kind.quarantined,
      scored: scored.length,
      quarantined: kind.quarantined,
    });
    expect(result.report.notes).toEqual(kind.notes.map((note) => expect.stringMatching(note)));
    expect(result.report.lossyCasts).toEqual(kind.lossyCasts);
    await expectPredictions(job, name, kind.tolerance);
    if (kind.sections.run !== undefined) return;
    // Small batches, the last one short, give the same.
    const small = await score(name, { workers: 1, batch_rows: 37 });
    expect(small.result).toMatchObject({ exit: 0, stderr: '' });
    await expectPredictions(small.job, name, kind.smallTolerance);
  });
});

test('every folder is listed above', () => {
  const listed = Object.values(KINDS).flatMap((names) => names.split(/\s+/));
  expect(readdirSync(FOLDER).sort()).toEqual(listed.sort());
});
