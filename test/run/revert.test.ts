import { readdirSync, readFileSync, rmSync, unlinkSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readHistory } from '../../src/run/history.js';
import { revert } from '../../src/run/revert.js';
import { latestSnapshot, publish } from '../../src/run/snapshot.js';
import { failure } from '../failure.js';
import {
  contents,
  current,
  output,
  publicationOf,
  publishUnits,
  temporary,
} from '../publication-case.js';

const options = { now: () => new Date(), because: undefined };
type Units = Readonly<Record<string, readonly string[]>>;

/** Publishes on top of whatever is there, as a run does that is planned on it. */
async function run(units: Units, because?: string): Promise<number | undefined> {
  const publication = { ...(await publicationOf(units)), evenReverted: because !== undefined };
  return (await publish(output, publication, await latestSnapshot(output), temporary))?.number;
}

async function refusal(units: Units): Promise<string> {
  const error = await failure(() => run(units));
  expect(error.code).toBe('gate');
  return error.message;
}

function data(): Record<string, string> {
  return contents(output.path('current', 'data'));
}

function manifestBytes(number: string): string {
  return readFileSync(output.path('snapshots', number, 'manifest.json'), 'utf8');
}

describe('reverting', () => {
  test('publishes the content of the snapshot before as a new one', async () => {
    await run({ a: ['1'], b: ['2'] });
    await run({ a: ['3'], c: ['4'] });
    const report = await revert(output, undefined, { ...options, because: 'wrong model' });
    expect(report).toMatchObject({
      command: 'revert',
      outcome: 'reverted',
      subject: 'snapshot 1',
      snapshot: 3,
      because: 'wrong model',
    });
    expect(current()).toBe('snapshots/000003');
    expect(data()).toEqual({ 'a/flights-00000.parquet': '1', 'b/flights-00000.parquet': '2' });
    expect(manifestBytes('000003')).toBe(manifestBytes('000001'));
    expect(await readHistory(output)).toMatchObject([{ verdict: 'reverted', snapshot: 3 }]);
  });

  test('brings back the report on that content', async () => {
    const publication = { ...(await publicationOf({ a: ['1'] })), review: async () => 'the first' };
    await publish(output, publication, undefined, temporary);
    await run({ a: ['2'] });
    await revert(output, undefined, options);
    expect(readFileSync(output.path('current', 'report.json'), 'utf8')).toBe('the first');
  });

  test('goes to any snapshot that is there, also forward again', async () => {
    for (const content of ['1', '2', '3']) await run({ a: [content] });
    expect(await revert(output, 1, options)).toMatchObject({ snapshot: 4 });
    expect(data()).toEqual({ 'a/flights-00000.parquet': '1' });
    expect(await revert(output, 3, options)).toMatchObject({ snapshot: 5 });
    expect(data()).toEqual({ 'a/flights-00000.parquet': '3' });
    expect(await run({ a: ['3'] })).toBeUndefined();
  });

  test('twice goes two back, not forward to what was reverted', async () => {
    for (const content of ['1', '2', '3']) await run({ a: [content] });
    await revert(output, undefined, options);
    expect(data()).toEqual({ 'a/flights-00000.parquet': '2' });
    await revert(output, undefined, options);
    expect(data()).toEqual({ 'a/flights-00000.parquet': '1' });
    expect((await failure(() => revert(output, undefined, options))).message).toMatch(
      /: there is no older snapshot with other content/,
    );
  });

  test('to what is published changes nothing', async () => {
    await run({ a: ['1'] });
    expect(await revert(output, 1, options)).toMatchObject({ outcome: 'unchanged' });
    expect(readdirSync(output.path('snapshots'))).toEqual(['000001']);
  });

  test('works from the snapshot alone where the store has lost its parts', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    rmSync(output.path('store'), { recursive: true });
    await revert(output, 1, options);
    expect(data()).toEqual({ 'a/flights-00000.parquet': '1' });
  });

  test('replaces a snapshot whose manifest is damaged', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    const path = output.path('snapshots', '000002', 'manifest.json');
    unlinkSync(path);
    writeFileSync(path, '{');
    expect(await revert(output, undefined, options)).toMatchObject({ snapshot: 3 });
    expect(data()).toEqual({ 'a/flights-00000.parquet': '1' });
    expect(await run({ a: ['2'] })).toBe(4);
  });

  test('passes over older snapshots that are damaged', async () => {
    for (const content of ['1', '2', '3']) await run({ a: [content] });
    unlinkSync(output.path('snapshots', '000002', 'manifest.json'));
    expect(await revert(output, undefined, options)).toMatchObject({ subject: 'snapshot 1' });
  });

  test('to a snapshot that is not there is refused, and says which are', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    const error = await failure(() => revert(output, 7, options));
    expect([error.code, error.message]).toEqual([
      'usage',
      'snapshot 7: is not there; there are 1, 2',
    ]);
    expect(await readHistory(output)).toEqual([]);
  });

  test('before anything is published is refused', async () => {
    expect((await failure(() => revert(output, undefined, options))).code).toBe('input');
  });
});

describe('what was reverted', () => {
  test('is not published again by a run, and the message says what to do', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'], b: ['3'] });
    await revert(output, undefined, options);
    expect(await refusal({ a: ['2'] })).toBe(
      'partition a: this content was published as snapshot 2 and reverted: change data, model or job, or publish it again with --because',
    );
    expect(await refusal({ a: ['2'], b: ['3'] })).toMatch(/^partition a and 1 more: /);
    expect(current()).toBe('snapshots/000003');
  });

  test('holds back the rest of a run as well: all or nothing', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    await revert(output, undefined, options);
    await refusal({ a: ['2'], new: ['4'] });
    expect(Object.keys(data())).toEqual(['a/flights-00000.parquet']);
  });

  test('stays held over later publications of other units', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    await revert(output, undefined, options);
    expect(await run({ b: ['3'] })).toBe(4);
    expect(await run({ a: ['1'], c: ['4'] })).toBe(5);
    await refusal({ a: ['2'] });
  });

  test('is held of every revert', async () => {
    for (const content of ['1', '2', '3']) await run({ a: [content] });
    await revert(output, undefined, options);
    await revert(output, undefined, options);
    expect(await refusal({ a: ['3'] })).toMatch(/snapshot 3 /);
    expect(await refusal({ a: ['2'] })).toMatch(/snapshot 4 /);
  });

  test('is free again once its unit became something else', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'], b: ['2'] });
    await revert(output, undefined, options);
    expect(await run({ a: ['3'] })).toBe(4);
    expect(await run({ a: ['2'] })).toBe(5);
    await refusal({ b: ['2'] });
    expect(readdirSync(output.path('current'))).toContain('held.json');
  });

  test('is published again with a reason, and then is held no longer', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    await revert(output, undefined, options);
    expect(await run({ a: ['2'] }, 'it was right')).toBe(4);
    expect(readdirSync(output.path('current')).sort()).toEqual(['data', 'manifest.json']);
    expect(await run({ a: ['2'] })).toBeUndefined();
  });

  test('is not published by a run that was planned before the revert', async () => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    const base = await latestSnapshot(output);
    await revert(output, undefined, options);
    const error = await failure(() => publishUnits({ a: ['2'] }, base));
    expect(error.code).toBe('conflict');
    expect(data()).toEqual({ 'a/flights-00000.parquet': '1' });
  });

  test.each(['constructor', ''])('may be a unit of the name %j', async (unit) => {
    await run({ [unit]: ['1'], x: ['0'] });
    await run({ [unit]: ['2'] });
    await revert(output, undefined, options);
    await refusal({ [unit]: ['2'] });
  });

  test.each<[string, (text: string) => string]>([
    ['damaged', () => '{"format":1}'],
    ['edited', (text) => text.replace('"snapshot":2', '"snapshot":7')],
  ])('is not forgotten silently: a list of it that is %s stops every run', async (_how, change) => {
    await run({ a: ['1'] });
    await run({ a: ['2'] });
    await revert(output, undefined, options);
    const path = output.path('current', 'held.json');
    const text = readFileSync(path, 'utf8');
    expect(change(text)).not.toBe(text);
    unlinkSync(path);
    writeFileSync(path, change(text));
    const error = await failure(() => run({ b: ['3'] }));
    expect([error.code, error.message]).toEqual([
      'environment',
      expect.stringMatching(/held\.json: damaged; it says what was reverted: /),
    ]);
  });
});
