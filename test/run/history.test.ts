import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { readHistory, record, runIdOf } from '../../src/run/history.js';
import { output } from '../publication-case.js';

const RUN = '20130601T020000.123Z-k3f9';
const REPORT = {
  format: 1,
  runId: RUN,
  outcome: 'published',
  snapshot: 3,
  manifest: 'ab',
  ledger: { rows: 12, scored: 11, quarantined: 1, filtered: 0 },
  times: { wall: 1500 },
  error: null,
};

/** Leaves a text in place of a run's record. */
function leave(runId: string, text: string | undefined): void {
  mkdirSync(output.path('runs', runId), { recursive: true });
  if (text !== undefined) writeFileSync(output.path('runs', runId, 'run.json'), text);
}

describe('the name of a run', () => {
  test('says when it began, and sorts by time', () => {
    const id = runIdOf(new Date('2013-06-01T02:00:00.123Z'));
    expect(id).toMatch(/^20130601T020000\.123Z-[a-z0-9]{4}$/);
    expect(id < runIdOf(new Date('2013-06-01T02:00:00.124Z'))).toBe(true);
  });
});

describe('the history of an output', () => {
  test('is empty before the first run, also where the folder is not there', async () => {
    expect(await readHistory(output)).toEqual([]);
    rmSync(output.path('runs'), { recursive: true });
    expect(await readHistory(output)).toEqual([]);
  });

  test('says of each run when, what came of it, how much and how long, oldest first', async () => {
    leave('20130602T020000Z-aaaa', JSON.stringify({ ...REPORT, runId: '20130602T020000Z-aaaa' }));
    leave(RUN, JSON.stringify(REPORT));
    const [first, second] = await readHistory(output);
    expect(first).toEqual({
      runId: RUN,
      at: '2013-06-01T02:00:00.123Z',
      command: 'run',
      verdict: 'published',
      rows: 12,
      scored: 11,
      quarantined: 1,
      wallMs: 1500,
      ended: null,
      override: null,
      staged: null,
      snapshot: 3,
      manifest: 'ab',
      subject: null,
      because: null,
      user: null,
      host: null,
      error: null,
    });
    expect(second).toMatchObject({ runId: '20130602T020000Z-aaaa', at: '2013-06-02T02:00:00Z' });
  });

  test('shows a run without a record as unfinished', async () => {
    leave(RUN, undefined);
    expect(await readHistory(output)).toMatchObject([
      { runId: RUN, verdict: 'unfinished', rows: null, error: null },
    ]);
  });

  test.each([
    ['empty', ''],
    ['cut short', JSON.stringify(REPORT).slice(0, 60)],
    ['no object', '[]'],
    ['of another format', JSON.stringify({ ...REPORT, format: 2 })],
    ['without its verdict', JSON.stringify({ ...REPORT, outcome: undefined })],
    ['with a text for a number', JSON.stringify({ ...REPORT, ledger: { rows: '12' } })],
    ['the record of another run', JSON.stringify({ ...REPORT, runId: '20130601T020000Z-zzzz' })],
  ])('shows a record that is %s as damaged', async (_name, text) => {
    leave(RUN, text);
    expect(await readHistory(output)).toMatchObject([
      { runId: RUN, verdict: 'damaged', error: expect.stringMatching(/^run\.json: /) },
    ]);
  });

  test('shows a folder in place of a record as damaged', async () => {
    mkdirSync(output.path('runs', RUN, 'run.json'), { recursive: true });
    expect(await readHistory(output)).toMatchObject([{ runId: RUN, verdict: 'damaged' }]);
  });

  test('passes over what is no run', async () => {
    writeFileSync(output.path('runs', 'notes.txt'), '');
    mkdirSync(output.path('runs', '\x1b[31m'));
    expect(await readHistory(output)).toEqual([]);
  });

  test('holds what is recorded', async () => {
    await record(output, REPORT as never);
    expect(await readHistory(output)).toMatchObject([{ runId: RUN, verdict: 'published' }]);
  });
});
