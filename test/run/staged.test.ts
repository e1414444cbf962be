import {
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  unlinkSync,
  writeFileSync,
} from 'node:fs';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readHistory } from '../../src/run/history.js';
import { latestSnapshot, type Snapshot } from '../../src/run/snapshot.js';
import { discardStaged, publishStaged, removeReplaced, stage } from '../../src/run/staged.js';
import { failure } from '../failure.js';
import {
  contents,
  current,
  output,
  publicationOf,
  publishUnits,
  temporary,
} from '../publication-case.js';

const RUN = '20130601T020000.123Z-k3f9';
const options = { now: () => new Date(), because: undefined };

async function stageUnits(
  units: Readonly<Record<string, readonly string[]>>,
  base: Snapshot | undefined,
  runId = RUN,
): Promise<string> {
  const how = { runId, reason: 'too many bad rows', temporary };
  return stage(output, await publicationOf(units), base, how);
}

describe('staging', () => {
  test('shows what would have been published and publishes nothing', async () => {
    const first = await publishUnits({ a: ['1'] });
    const folder = await stageUnits({ a: ['2'], b: ['3'] }, first);
    expect(folder).toBe(output.path('staged', RUN));
    expect(contents(join(folder, 'data'))).toEqual({
      'a/flights-00000.parquet': '2',
      'b/flights-00000.parquet': '3',
    });
    expect(current()).toBe('snapshots/000001');
    expect(first).toEqual({ ...(await latestSnapshot(output)), files: {} });
  });

  test('keeps what the run was planned on, of its own units, and why it was not published', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    const folder = await stageUnits({ a: ['3'], c: ['4'] }, first);
    const record = JSON.parse(readFileSync(join(folder, 'staged.json'), 'utf8'));
    expect(record).toMatchObject({ units: ['a', 'c'], reason: 'too many bad rows' });
    expect(record.base).toMatchObject({ number: 1, manifest: { units: { a: expect.anything() } } });
    expect(Object.keys(record.base.manifest.units)).toEqual(['a']);
  });
});

describe('staging again', () => {
  const LATER = '20130602T020000.123Z-a1b2';
  const staged = () => readdirSync(output.path('staged')).sort();

  /** What a later run leaves that covers some units. */
  async function replace(covers: readonly string[], kept?: string): Promise<string[]> {
    return removeReplaced(output, { runId: LATER, covers: new Set(covers), kept, temporary });
  }

  test('the same keeps the folder that waits, so that the commands in older mails still work', async () => {
    const first = await publishUnits({ z: ['0'] });
    const folder = await stageUnits({ a: ['1'] }, undefined);
    expect(await stageUnits({ a: ['1'] }, first, LATER)).toBe(folder);
    expect(await replace(['a'], folder)).toEqual([]);
    expect(staged()).toEqual([RUN]);
  });

  test('other content replaces what an older run staged of the same partitions', async () => {
    await stageUnits({ a: ['1'] }, undefined);
    const folder = await stageUnits({ a: ['2'], b: ['3'] }, undefined, LATER);
    expect(staged()).toEqual([RUN, LATER]);
    expect(await replace(['a', 'b'], folder)).toEqual([RUN]);
    expect(staged()).toEqual([LATER]);
  });

  test('leaves what is staged of other partitions, what is newer, and what cannot be read', async () => {
    await stageUnits({ a: ['1'], c: ['1'] }, undefined);
    await stageUnits({ a: ['2'] }, undefined, '20990101T000000.000Z-zzzz');
    mkdirSync(output.path('staged', '20130101T000000.000Z-bad0'));
    expect(await replace(['a', 'b'])).toEqual([]);
    expect(staged()).toHaveLength(3);
  });

  test('on top of other published content is another decision', async () => {
    const first = await publishUnits({ a: ['0'] });
    await stageUnits({ a: ['1'] }, undefined);
    await stageUnits({ a: ['1'] }, first, LATER);
    expect(staged()).toEqual([RUN, LATER]);
  });
});

describe('publishing what was staged', () => {
  test('makes it the next snapshot, and leaves nothing staged', async () => {
    const first = await publishUnits({ a: ['1'], b: ['2'] });
    await stageUnits({ a: ['3'] }, first);
    const report = await publishStaged(output, RUN, { ...options, because: 'looked at it' });
    expect(report).toMatchObject({
      command: 'publish',
      outcome: 'published',
      subject: RUN,
      snapshot: 2,
      path: output.path('snapshots', '000002'),
      because: 'looked at it',
      error: null,
    });
    expect(contents(output.path('current', 'data'))).toEqual({
      'a/flights-00000.parquet': '3',
      'b/flights-00000.parquet': '2',
    });
    expect(readdirSync(output.path('current')).sort()).toEqual([
      'data',
      'manifest.json',
      'publisher.json',
    ]);
    expect(readdirSync(output.path('staged'))).toEqual([]);
    expect(await readHistory(output)).toMatchObject([
      { runId: report.runId, verdict: 'published', because: 'looked at it', subject: RUN },
    ]);
  });

  test('goes on top of what others have published since in other units', async () => {
    const first = await publishUnits({ a: ['1'] });
    await stageUnits({ a: ['2'] }, first);
    await publishUnits({ b: ['3'] }, first);
    expect(await publishStaged(output, RUN, options)).toMatchObject({ snapshot: 3 });
    expect(Object.keys(contents(output.path('current', 'data')))).toHaveLength(2);
  });

  test('works before anything was published', async () => {
    await stageUnits({ a: ['1'] }, undefined);
    expect(await publishStaged(output, RUN, options)).toMatchObject({ snapshot: 1 });
  });

  test.each([
    ['changed since', { a: ['1'] }],
    ['new since', {}],
  ])(
    'of a unit that another run has %s with other content is a conflict',
    async (_name, before) => {
      const first = await publishUnits({ ...before, z: ['0'] });
      const folder = await stageUnits({ a: ['2'] }, first);
      await publishUnits({ a: ['3'] }, first);
      const error = await failure(() => publishStaged(output, RUN, options));
      expect([error.code, error.message]).toEqual([
        'conflict',
        expect.stringMatching(/^partition a: snapshot 2 of another run was published first/),
      ]);
      expect(existsSync(folder)).toBe(true);
      expect(current()).toBe('snapshots/000002');
      expect(await readHistory(output)).toMatchObject([
        { verdict: 'failed', error: error.message },
      ]);
    },
  );

  test('of what is published already removes it and changes nothing', async () => {
    const first = await publishUnits({ a: ['1'] });
    await stageUnits({ a: ['2'] }, first);
    await publishUnits({ a: ['2'] }, first);
    const report = await publishStaged(output, RUN, options);
    expect(report).toMatchObject({ outcome: 'unchanged', snapshot: null });
    expect(readdirSync(output.path('staged'))).toEqual([]);
    expect(readdirSync(output.path('snapshots'))).toHaveLength(2);
  });

  test('takes from the staged folder what the store has lost', async () => {
    await stageUnits({ a: ['1'] }, undefined);
    rmSync(output.path('store'), { recursive: true });
    await publishStaged(output, RUN, options);
    expect(contents(output.path('current', 'data'))).toEqual({ 'a/flights-00000.parquet': '1' });
  });

  test.each([
    ['its record is gone', 'staged.json', undefined],
    ['its record is cut short', 'staged.json', '{"format":1'],
    ['its manifest is gone', 'manifest.json', undefined],
    ['its manifest names a folder outside', 'manifest.json', '{"units":{"../x":{}}}'],
  ])('fails when %s, and publishes nothing', async (_name, file, text) => {
    const folder = await stageUnits({ a: ['1'] }, undefined);
    unlinkSync(join(folder, file));
    if (text !== undefined) writeFileSync(join(folder, file), text);
    expect((await failure(() => publishStaged(output, RUN, options))).code).toBe('environment');
    expect(readdirSync(output.path('snapshots'))).toEqual([]);
  });
});

test('publishing what was staged fails when its record was edited', async () => {
  const folder = await stageUnits({ a: ['1'] }, undefined);
  const path = join(folder, 'staged.json');
  const text = readFileSync(path, 'utf8');
  unlinkSync(path);
  writeFileSync(path, text.replace('too many bad rows', 'nothing'));
  const { code, message } = await failure(() => publishStaged(output, RUN, options));
  expect([code, message]).toEqual(['environment', expect.stringContaining('staged.json: damaged')]);
});

test('publishing what was staged fails when its manifest was edited', async () => {
  const folder = await stageUnits({ a: ['1'] }, undefined);
  const path = join(folder, 'manifest.json');
  const text = readFileSync(path, 'utf8');
  unlinkSync(path);
  writeFileSync(path, text.replace('"scored":1', '"scored":2'));
  const { code, message } = await failure(() => publishStaged(output, RUN, options));
  expect([code, message]).toEqual([
    'environment',
    expect.stringContaining('manifest.json: damaged'),
  ]);
});

describe('discarding what was staged', () => {
  test('removes it, keeps what was scored, and says so in the history', async () => {
    await stageUnits({ a: ['1'] }, undefined);
    const parts = readdirSync(output.path('store', 'parts'));
    const report = await discardStaged(output, RUN, { ...options, because: 'bad file' });
    expect(report).toMatchObject({ outcome: 'discarded', subject: RUN, snapshot: null });
    expect(readdirSync(output.path('staged'))).toEqual([]);
    expect(readdirSync(output.path('store', 'parts'))).toEqual(parts);
    expect(await readHistory(output)).toMatchObject([
      { command: 'discard', verdict: 'discarded', because: 'bad file' },
    ]);
  });

  test('leaves nothing in the temporary folder', async () => {
    await stageUnits({ a: ['1'] }, undefined);
    await discardStaged(output, RUN, options);
    expect(readdirSync(output.path('tmp'))).toEqual([temporary.split('/').at(-1)]);
  });
});

describe('a run that staged nothing', () => {
  test.each(['20130601T020000.123Z-zzzz', '', '.', '..', '../snapshots/000001', '\x1b[31m'])(
    'is refused, and nothing is recorded: %j',
    async (name) => {
      await publishUnits({ a: ['1'] });
      for (const act of [publishStaged, discardStaged]) {
        const error = await failure(() => act(output, name, options));
        expect([error.code, error.message]).toEqual([
          'usage',
          expect.stringMatching(/: no run of this name has anything staged.*; nothing is staged$/),
        ]);
        expect(error.message).not.toContain('\x1b');
      }
      expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
      expect(await readHistory(output)).toEqual([]);
    },
  );

  test('is told which runs have', async () => {
    await stageUnits({ a: ['1'] }, undefined);
    mkdirSync(output.path('staged', 'x'));
    const error = await failure(() => discardStaged(output, `${RUN.slice(0, -1)}8`, options));
    expect(error.message).toMatch(new RegExp(`did you mean "${RUN}"\\?\\); staged: ${RUN}, x$`));
  });
});
