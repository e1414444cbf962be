/** The samples that runs keep: which rows, what of them, and that damage to them shows. */
import { chmodSync, copyFileSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { sha256 } from '../../src/base/hash.js';
import { mergeSamples, numbersOf } from '../../src/explain/sample.js';
import {
  decodeKeys,
  decodePublished,
  decodeScored,
  type PublishedSample,
  type ScoredSample,
} from '../../src/explain/sample-file.js';
import { type JobCase, listFiles, makeCase, type Sections } from '../job-case.js';
import { query, writeParquet } from '../parquet.js';
import { FIXTURES, scoreline } from '../scoreline.js';

const MOST = 200;
const ROWS = 3000;

/** Rows 0 to 2,999 with a key, features and a text, of which one is null here and there. */
const rowsSql = (where = 'true'): string =>
  `SELECT i::BIGINT AS id, 'k' || i AS name, (i % 97)::FLOAT AS a, CASE WHEN i % 10 = 3 THEN NULL ELSE (i % 89)::FLOAT END AS b,
     ['north', 'south', NULL][1 + i % 3] AS region FROM range(${ROWS}) t(i) WHERE ${where}`;

const SECTIONS: Sections = {
  input: { path: 'in', key: 'id' },
  output: { path: 'out', keep: ['id', 'region'], columns: { score: 'y' } },
  quarantine: { non_finite: 'keep' },
  sample_rows: MOST,
};

interface Found {
  readonly scored: ScoredSample;
  readonly published: PublishedSample;
}

/** The samples of the published parts, in order. */
function samplesOf(job: JobCase): Found[] {
  const manifest = JSON.parse(job.manifest());
  return Object.values(
    manifest.units as Record<string, { parts: Record<string, string>[] }>,
  ).flatMap(({ parts }) =>
    parts.map(({ key, scoreKey }) => ({
      scored: decodeScored(readFileSync(samplePath(job, 'scores', scoreKey!)))!,
      published: publishedOf(readFileSync(samplePath(job, 'parts', key!))),
    })),
  );
}

const publishedOf = (bytes: Uint8Array): PublishedSample => ({
  ...decodePublished(bytes)!,
  keys: decodeKeys(bytes) ?? null,
});

function samplePath(job: JobCase, kind: string, key: string): string {
  return join(job.output, 'store', kind, key.slice(0, 2), key, 'sample.bin');
}

const merged = (samples: readonly Found[]) =>
  mergeSamples(
    samples.map(({ scored, published }) => ({
      ...scored,
      kept: [...published.kept, published.keys!],
    })),
    MOST,
  );

describe('the sample of a run', () => {
  test('has the same rows, by their keys, however the input is laid out; and what was scored of them', async () => {
    const whole = makeCase(SECTIONS);
    await writeParquet(join(whole.input, 'x.parquet'), rowsSql());
    expect((await whole.run()).exit).toBe(0);
    const [only] = samplesOf(whole);
    expect(only!.scored).toMatchObject({ rows: ROWS, key: 'id' });
    expect(only!.scored.hashes).toHaveLength(MOST);

    const split = makeCase({ ...SECTIONS, run: { workers: 2 } });
    for (const p of [0, 1, 2])
      await writeParquet(join(split.input, `p=${p}`, 'x.parquet'), rowsSql(`i % 3 = ${p}`));
    expect((await split.run()).exit).toBe(0);
    const parts = samplesOf(split);
    expect(parts).toHaveLength(3);
    expect(merged(parts)).toEqual(merged([only!]));

    const rows = await query(
      `SELECT id::VARCHAR AS id, score, region FROM read_parquet(${whole.published()}) ORDER BY id`,
    );
    const known = new Map(rows.map((row) => [row.id, row]));
    const scores = numbersOf(only!.scored.outputs[0]!);
    const [a, b] = only!.scored.features.map(numbersOf);
    only!.published.keys!.values.forEach((key, i) => {
      const id = Number(key);
      expect(scores[i]).toBe(Number(known.get(key)!.score));
      expect(only!.published.kept[0]!.values[i]).toBe(known.get(key)!.region);
      expect(a![i]).toBe(id % 97);
      expect(b![i]).toBe(id % 10 === 3 ? Number.NaN : id % 89);
    });
  });

  test('has the same rows, by their keys as texts, through a filter too', async () => {
    const sections = {
      ...SECTIONS,
      input: { path: 'in', key: 'name', where: 'a < 90' },
      output: { path: 'out', keep: ['region', 'name'] },
    };
    const whole = makeCase(sections);
    await writeParquet(join(whole.input, 'x.parquet'), rowsSql(), { rowGroupSize: 500 });
    expect((await whole.run()).exit).toBe(0);
    const split = makeCase(sections);
    for (const p of [0, 1])
      await writeParquet(join(split.input, `p=${p}`, 'x.parquet'), rowsSql(`i % 2 = ${p}`));
    expect((await split.run()).exit).toBe(0);
    expect(merged(samplesOf(split))).toEqual(merged(samplesOf(whole)));
    expect(merged(samplesOf(whole)).rows).toBeLessThan(ROWS);
    const names = samplesOf(whole)[0]!.published.keys!.values as string[];
    expect(names.every((name) => /^k\d+$/.test(name) && Number(name.slice(1)) % 97 < 90)).toBe(
      true,
    );
  });

  test('without a key has rows by their places, the same in each run', async () => {
    const { input: _, ...others } = SECTIONS;
    const first = makeCase(others);
    await writeParquet(join(first.input, 'x.parquet'), rowsSql());
    const second = makeCase(others);
    await writeParquet(join(second.input, 'x.parquet'), rowsSql(), { rowGroupSize: 2048 });
    expect([(await first.run()).exit, (await second.run()).exit]).toEqual([0, 0]);
    const [one, other] = [samplesOf(first)[0]!, samplesOf(second)[0]!];
    expect(one.scored.key).toBeNull();
    expect(one.published.keys).toBeNull();
    expect(other.scored.places).toEqual(one.scored.places);
    expect(new Set(one.scored.places).size).toBe(MOST);
  });

  test('leaves out rows that were set aside, and holds all rows where they are few', async () => {
    const job = makeCase({ ...SECTIONS, quarantine: { max: '100%' }, sample_rows: 1000 });
    await writeParquet(join(job.input, 'x.parquet'), rowsSql('i < 400'));
    expect((await job.run()).exit).toBe(0);
    const [found] = samplesOf(job);
    expect(found!.scored).toMatchObject({ rows: 360, bound: 2 ** 53 });
    const ids = [...found!.published.keys!.values].map(Number).sort((x, y) => x - y);
    expect(ids).toEqual([...Array(400).keys()].filter((id) => id % 10 !== 3));
  });
});

test('sample_rows: 0 keeps none', async () => {
  const job = makeCase({ ...SECTIONS, sample_rows: 0 });
  await writeParquet(join(job.input, 'x.parquet'), rowsSql());
  expect((await job.run()).exit).toBe(0);
  expect(listFiles(job.output).filter((name) => name.endsWith('sample.bin'))).toEqual([]);
});

test('a part that is made again from its scores has the same sample; damage to a sample is found, and mended by the next run', async () => {
  const job = makeCase(SECTIONS);
  await writeParquet(join(job.input, 'x.parquet'), rowsSql());
  expect((await job.run()).exit).toBe(0);
  const before = merged(samplesOf(job));
  rmSync(join(job.output, 'store', 'parts'), { recursive: true });
  expect((await job.run()).exit).toBe(0);
  expect(merged(samplesOf(job))).toEqual(before);

  const [{ scoreKey }] = JSON.parse(job.manifest()).units[''].parts;
  const path = samplePath(job, 'scores', scoreKey);
  chmodSync(path, 0o644);
  const bytes = readFileSync(path);
  bytes[50]! ^= 1;
  writeFileSync(path, bytes);
  const verified = await scoreline(['verify', job.output]);
  expect(verified.exit).not.toBe(0);
  expect(verified.stdout + verified.stderr).toMatch(/sample\.bin: its content has changed/);
  await scoreline(['verify', job.output, '--repair']);
  rmSync(join(job.output, 'store', 'parts'), { recursive: true });
  expect((await job.run()).exit).toBe(0);
  expect(merged(samplesOf(job))).toEqual(before);
});

describe('the model of a run', () => {
  const storedModels = (job: JobCase): string[] =>
    listFiles(join(job.output, 'store', 'models')).map((name) =>
      name.split('/').slice(2).join('/'),
    );

  test('is kept with its external data, whatever becomes of its file, and is verified', async () => {
    const job = makeCase(SECTIONS);
    for (const name of ['external.onnx', 'external.onnx.data'])
      copyFileSync(join(FIXTURES, 'models', 'small', name), join(job.folder, name));
    job.change({
      model: { path: 'external.onnx' },
      features: ['a', 'b', 'c', 'd'],
      output: { path: 'out', keep: ['id'], columns: { score: 'y[0]' } },
    });
    await writeParquet(
      join(job.input, 'x.parquet'),
      `SELECT *, a AS c, b AS d FROM (${rowsSql('i % 10 <> 3')})`,
    );
    expect((await job.run()).exit).toBe(0);
    expect(storedModels(job)).toEqual([
      'files/external.onnx',
      'files/external.onnx.data',
      'model.json',
    ]);
    const data = join(job.folder, 'external.onnx.data');
    const before = readFileSync(data);
    // As `cp` does: the file stays, its content does not.
    writeFileSync(data, Buffer.alloc(before.length, 7));
    const [folder] = listFiles(join(job.output, 'store', 'models')).map((name) =>
      dirname(dirname(name)),
    );
    const kept = join(job.output, 'store', 'models', folder!, 'files', 'external.onnx.data');
    expect(readFileSync(kept)).toEqual(before);
    expect((await scoreline(['verify', job.output])).exit).toBe(0);
    chmodSync(kept, 0o644);
    writeFileSync(kept, Buffer.alloc(before.length, 8));
    const verified = await scoreline(['verify', job.output]);
    expect(verified.stdout + verified.stderr).toMatch(
      /external\.onnx\.data: its content has changed/,
    );
    // A record that has been made to fit is none: the key of a model is the digest of its files.
    const record = join(job.output, 'store', 'models', folder!, 'model.json');
    const text = readFileSync(record, 'utf8');
    chmodSync(record, 0o644);
    writeFileSync(record, text.replace(sha256(before), sha256(readFileSync(kept))));
    expect((await scoreline(['verify', job.output])).stdout).toContain('model.json: is damaged');
  });

  test('is not kept where no rows are', async () => {
    const job = makeCase({ ...SECTIONS, sample_rows: 0 });
    await writeParquet(join(job.input, 'x.parquet'), rowsSql());
    expect((await job.run()).exit).toBe(0);
    expect(storedModels(job)).toEqual([]);
  });
});
