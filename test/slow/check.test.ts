/** `scoreline check`: the rows of a fixture are scored as the job stands, and compared with those that are expected. */
import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { cpSync, existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { beforeAll, describe, expect, test } from 'vitest';
import type { CheckReport } from '../../src/report/check.js';
import {
  type JobCase,
  listFiles,
  makeCase,
  modelPath,
  type Sections,
  withReport,
} from '../job-case.js';
import { exactPath, query, writeParquet } from '../parquet.js';
import { pythonWith } from '../python.js';
import { FIXTURES, makeFolder, ROOT, scoreline } from '../scoreline.js';

const ROWS = 40;

let python = '';
beforeAll(() => {
  python = pythonWith('requirements.txt');
});

/** A job whose rows are a = i, b = 10 i: the model gives 32 i + 1. */
function makeJob(sections: Sections = {}): JobCase & { fixture: string; expected: string } {
  const job = makeCase({
    input: { path: 'in', key: 'id' },
    output: { path: 'out', keep: ['note'] },
    ...sections,
  });
  writeRows(job);
  const fixture = join(job.folder, 'fixtures', 'case');
  return { ...job, fixture, expected: join(fixture, 'expected.parquet') };
}

function writeRows(job: JobCase, change: (i: number, fields: string[]) => string[] = (_, f) => f) {
  const lines = Array.from({ length: ROWS }, (_, i) =>
    change(i, [`k${i}`, `${i}`, `${10 * i}`, `note ${i}`]).join(','),
  );
  writeFileSync(join(job.input, 'x.csv'), `id,a,b,note\n${lines.join('\n')}\n`);
}

async function check(job: JobCase, ...args: string[]) {
  const result = withReport<CheckReport>(
    await scoreline(['check', job.jobFile, '--json', ...args]),
  );
  return result;
}

async function record(job: JobCase, ...args: string[]): Promise<void> {
  const result = await scoreline(['check', job.jobFile, '--record', ...args]);
  expect(result).toMatchObject({ exit: 0, stderr: '' });
}

/** Writes the expected rows anew, changed by a query over them. */
async function changeExpected(path: string, sql: string): Promise<void> {
  const copy = `${path}.before`;
  cpSync(path, copy);
  await writeParquet(path, sql.replaceAll('EXPECTED', `read_parquet(${exactPath(copy)})`));
}

describe('a recorded fixture', () => {
  let job: ReturnType<typeof makeJob>;
  beforeAll(async () => {
    job = makeJob();
    await record(job);
  });

  test('holds the key, what the job keeps and what it predicts, and says what it was made of', async () => {
    const rows = await query(`SELECT * FROM read_parquet(${exactPath(job.expected)}) ORDER BY id`);
    expect(rows).toHaveLength(ROWS);
    expect(rows[0]).toEqual({ id: 'k0', note: 'note 0', y: 1 });
    const { recorded } = JSON.parse(readFileSync(join(job.fixture, 'fixture.json'), 'utf8'));
    expect(recorded.rows).toEqual({ rows: ROWS, scored: ROWS, quarantined: 0, filtered: 0 });
    expect(recorded.job['input.key']).toBe('id');
  });

  test('of a range of days keeps that some of them may have no input', async () => {
    const job = makeJob({ input: { path: 'in/{date:yyyy-MM-dd}.csv', key: 'id' } });
    cpSync(join(job.input, 'x.csv'), join(job.input, '2013-06-01.csv'));
    const range = ['--from', '2013-06-01', '--to', '2013-06-02'];
    const strict = await scoreline(['check', job.jobFile, '--record', ...range]);
    expect(strict).toMatchObject({ exit: 4, stderr: expect.stringContaining('2013-06-02') });
    await record(job, ...range, '--allow-missing');
    for (const args of [[], ['--variants']]) {
      const { exit, report } = await check(job, ...args);
      expect([exit, report.checked.rows.compared]).toEqual([0, ROWS]);
    }
  });

  test('is recorded with the same bytes again', async () => {
    const before = listFiles(job.fixture).map((name) => readFileSync(join(job.fixture, name)));
    await record(job);
    const after = listFiles(job.fixture).map((name) => readFileSync(join(job.fixture, name)));
    expect(after).toEqual(before);
  });

  test('is what the job gives: 0, and nothing is left behind or published', async () => {
    const temporary = makeFolder();
    const result = await scoreline(['check', job.jobFile], { env: { TMPDIR: temporary } });
    expect(result).toMatchObject({ exit: 0, stderr: '' });
    expect(result.stdout).toContain('equal      case: 40 rows as expected');
    expect(result.stdout).toContain('since      recorded, nothing has changed');
    expect([readdirSync(temporary), existsSync(job.output)]).toEqual([[], false]);
  });

  test('differs with another model: 3, and says that the model is another one, and by how much', async () => {
    const model = join(job.folder, 'shifted.onnx');
    // The bias of the model, 1, becomes 1.5: the only float 1 in it.
    const bytes = readFileSync(modelPath('small/linear'));
    const one = Buffer.from([0, 0, 0x80, 0x3f]);
    const at = bytes.indexOf(one);
    expect([at > 0, bytes.indexOf(one, at + 1)]).toEqual([true, -1]);
    Buffer.from([0, 0, 0xc0, 0x3f]).copy(bytes, at);
    writeFileSync(model, bytes);
    const { exit, report, stderr } = await check(job, '--model', model);
    expect(exit).toBe(3);
    expect(stderr).toBe('scoreline: case: "y" differs in 40 of 40 rows\n');
    expect(report.since?.[0]).toMatch(/^model changed \([0-9a-f]{8} → [0-9a-f]{8}\)$/);
    const column = report.checked.columns.find(({ name }) => name === 'y');
    expect(column).toMatchObject({ differ: 40, beyond: 40, meanChange: 0.5 });
    expect(column?.largest).toMatchObject({ absolute: 0.5, relative: 0.5 });
  });

  test('says which key of the job has changed', async () => {
    const { exit, report } = await check(job, '--set', 'output.columns={score: y}');
    expect(exit).toBe(3);
    expect(report.since).toEqual(['job changed (output.columns)']);
    expect([report.checked.lacking, report.checked.notExpected]).toEqual([['y'], ['score']]);
  });
});

describe('rows', () => {
  test('that are missing, not expected, set aside or no longer so are told apart', async () => {
    const job = makeJob({ quarantine: { max: 5 } });
    writeRows(job, (i, [id, a, b, note]) => [id!, i === 3 ? 'bad' : a!, b!, note!]);
    await record(job);
    writeRows(job, (i, [id, a, b, note]) => [
      i === 10 ? 'new' : id!,
      i === 4 ? 'worse' : a!,
      b!,
      note!,
    ]);
    const { exit, report } = await check(job);
    expect(exit).toBe(3);
    const { missing, added, setAside, returned, rows } = report.checked;
    const keys = [missing, added, setAside, returned].map(({ first }) =>
      first.map(({ key }) => key),
    );
    expect(keys).toEqual([['k10'], ['new'], ['k4'], ['k3']]);
    expect(setAside.first[0]).toMatchObject({ expected: null, scored: 'cast_failed' });
    expect(rows).toEqual({ expected: ROWS, scored: ROWS, compared: ROWS - 3 });
    expect(report.since).toEqual(['input changed']);
  });

  test('with one key in two partitions are those of their partition', async () => {
    const job = makeJob();
    for (const part of ['p=1', 'p=2']) {
      mkdirSync(join(job.input, part));
      writeFileSync(join(job.input, part, 'x.csv'), `id,a,b,note\nk,${part.at(-1)},0,n\n`);
    }
    writeFileSync(join(job.input, 'x.csv'), 'id,a,b,note\nk,9,0,n\n');
    await record(job);
    expect((await check(job)).exit).toBe(0);
    writeFileSync(join(job.input, 'p=2', 'x.csv'), 'id,a,b,note\nk,4,0,n\n');
    const { report } = await check(job);
    expect(report.checked.columns.find(({ name }) => name === 'y')?.worst).toEqual([
      { key: 'k', unit: 'p=2', expected: '5', scored: '9' },
    ]);
  });

  test('that are filtered now, though nothing else has changed, are a difference', async () => {
    const job = makeJob();
    await record(job);
    await changeExpected(job.expected, `SELECT * FROM EXPECTED WHERE id <> 'k7'`);
    const { exit, report, stderr } = await check(job, '--set', `input.where=id <> 'k7'`);
    expect(exit).toBe(3);
    expect(report.checked.missing.rows + report.checked.added.rows).toBe(0);
    expect(stderr).toContain('the ledger differs (scored 40 → 39, filtered 0 → 1)');
  });
});

describe('tolerances', () => {
  // One step of float32 above, by numpy: nextafter(float32(321), inf).
  const UP = `CASE WHEN id = 'k10' THEN CAST(321.000030517578125 AS FLOAT) ELSE y END`;

  test.each([
    ['exact', 3],
    ['ulp:1', 0],
    ['ulp:0', 3],
    ['absolute:4e-5', 0],
    ['absolute:3e-5', 3],
    ['relative:1e-7', 0],
    ['relative:9e-8', 3],
  ])('are kept with the fixture: %s ends with %d for a step of float32', async (text, exit) => {
    const job = makeJob();
    await record(job, '--tolerance', `y=${text}`);
    await changeExpected(job.expected, `SELECT * REPLACE (${UP} AS y) FROM EXPECTED`);
    const result = await check(job);
    expect(result.exit).toBe(exit);
    const column = result.report.checked.columns.find(({ name }) => name === 'y');
    expect(column).toMatchObject({ differ: 1, beyond: exit === 0 ? 0 : 1 });
    expect(column?.largest?.ulp).toBe(1);
  });

  test('of all columns are for those with fractions; labels stay exact', async () => {
    const job = makeJob();
    await record(job, '--tolerance', '*=absolute:1');
    await changeExpected(
      job.expected,
      `SELECT * REPLACE (${UP} AS y, replace(note, 'note 5', 'late') AS note) FROM EXPECTED`,
    );
    const { exit, report } = await check(job);
    expect(exit).toBe(3);
    const note = report.checked.columns.find(({ name }) => name === 'note');
    expect(note?.pairs).toEqual([{ expected: 'late', scored: 'note 5', rows: 1 }]);
    expect(report.checked.columns.find(({ name }) => name === 'y')?.beyond).toBe(0);
  });

  test('do not excuse a number that is none, or infinite', async () => {
    const job = makeJob();
    await record(job, '--tolerance', 'y=absolute:1e9');
    const value = `CASE id WHEN 'k1' THEN NULL WHEN 'k2' THEN 'nan'::FLOAT WHEN 'k3' THEN 'inf'::FLOAT ELSE y END`;
    await changeExpected(job.expected, `SELECT * REPLACE (${value} AS y) FROM EXPECTED`);
    const { report } = await check(job);
    const column = report.checked.columns.find(({ name }) => name === 'y');
    expect(column).toMatchObject({ differ: 3, beyond: 3, meanChange: null });
    expect(column?.worst.map(({ expected }) => expected)).toEqual([null, 'NaN', 'Infinity']);
  });

  test('of lists hold for each element', async () => {
    const job = makeJob({
      model: { path: modelPath('small/multi') },
      features: ['a', 'b', 'c'],
      output: { path: 'out' },
    });
    writeFileSync(join(job.input, 'x.csv'), 'id,a,b,c\nk0,1,1,1\nk1,1,2,1\nk2,2,1,1\n');
    await record(job, '--tolerance', 'p=absolute:0.1');
    await changeExpected(
      job.expected,
      `SELECT * REPLACE (CASE id WHEN 'k1' THEN list_transform(p, lambda x: CAST(x + 0.01 AS FLOAT)) WHEN 'k2' THEN list_transform(p, lambda x: CAST(x + 0.2 AS FLOAT)) ELSE p END AS p) FROM EXPECTED`,
    );
    const { report } = await check(job);
    const column = report.checked.columns.find(({ name }) => name === 'p');
    expect(column).toMatchObject({ kind: 'list', differ: 2, beyond: 1 });
    expect(column?.worst[0]?.key).toBe('k2');
  });
});

describe('expected rows from elsewhere', () => {
  test('are compared in the columns that they have, in the type of the predictions', async () => {
    const job = makeJob();
    // In float64, as training has them.
    await writeParquet(
      job.expected,
      `SELECT 'k' || i AS id, 2.0::DOUBLE * i + 3.0 * 10 * i + 1 AS y FROM range(${ROWS}) t(i)`,
    );
    const { exit, report } = await check(job);
    expect([exit, report.since, report.checked.notExpected]).toEqual([0, null, ['note']]);
  });

  test('that differ where a cast lost digits: the column is named', async () => {
    const job = makeJob({ input: { path: 'in', key: 'id', types: { a: 'BIGINT' } } });
    const a = (i: number): number => (i % 4 === 0 ? 2 ** 24 + 1 + 2 * i : i);
    writeRows(job, (i, [id, , b, note]) => [id!, `${a(i)}`, b!, note!]);
    const rows = Array.from({ length: ROWS }, (_, i) => `('k${i}', ${2 * a(i) + 30 * i + 1})`);
    await writeParquet(job.expected, `SELECT id, y::DOUBLE AS y FROM (VALUES ${rows}) t(id, y)`);
    mkdirSync(job.fixture, { recursive: true });
    writeFileSync(
      join(job.fixture, 'fixture.json'),
      JSON.stringify({ format: 1, tolerances: { y: 'absolute:0.5' } }),
    );
    const { exit, report } = await check(job);
    expect(exit).toBe(3);
    expect(report.checked.casts).toEqual([
      {
        column: 'a',
        element: 'float32',
        different: { rows: 10, changed: 10 },
        same: { rows: 30, changed: 0 },
      },
    ]);
  });

  test('are never overwritten by what the job gives', async () => {
    const job = makeJob();
    await writeParquet(job.expected, `SELECT 'k0' AS id, 1.0::DOUBLE AS y`);
    const before = readFileSync(job.expected);
    const result = await scoreline(['check', job.jobFile, '--record']);
    expect(result.exit).toBe(2);
    expect(result.stderr).toContain('was not recorded by scoreline; move it away');
    expect(readFileSync(job.expected)).toEqual(before);
  });

  test("are what Python's onnxruntime says of the flights, as the script of the documentation has it", async () => {
    const target = join(makeFolder(), 'expected.parquet');
    const args = [join(FIXTURES, 'flights'), join(FIXTURES, 'models/flights.onnx'), target];
    execFileSync(python, [join(ROOT, 'examples/expected.py'), ...args]);
    const fixture = join(ROOT, 'jobs/fixtures/flights/expected.parquet');
    const different = await query(
      `SELECT count(*)::INTEGER AS n FROM (FROM ${exactPath(target)} EXCEPT FROM ${exactPath(fixture)}) `,
    );
    expect(different).toEqual([{ n: 0 }]);
  });
});

describe('variants', () => {
  test('of the flights: scores depend on nothing but the row', async () => {
    const { exit, stdout } = await scoreline([
      'check',
      'jobs/flights.yaml',
      '--variants',
      '--json',
    ]);
    const report = JSON.parse(stdout) as CheckReport;
    expect([exit, report.variants.map(({ verdict }) => verdict)]).toEqual([
      0,
      Array(6).fill('equal'),
    ]);
    expect(report.variants.at(-1)).toMatchObject({ note: 'the rows with nulls are scored' });
    const compared = report.variants.at(-1)?.checked?.rows.compared ?? 0;
    expect(compared / 23_690).toBeGreaterThan(0.78);
    expect(compared / 23_690).toBeLessThan(0.82);
  });

  test('name a model whose rows depend on their neighbours, and by how much', async () => {
    const job = makeJob({ model: { path: modelPath('small/batch-dependent') }, features: ['a'] });
    await record(job);
    const { exit, report, stderr } = await check(job, '--variants');
    expect(exit).toBe(3);
    const verdicts = new Map(report.variants.map(({ name, verdict }) => [name, verdict]));
    expect(verdicts.get('one row at a time')).toBe('different');
    // x - mean(x) of 0 … 39: by itself each row has 0, in the batch -19.5 … 19.5.
    const [alone] = report.variants;
    const column = alone?.checked?.columns.find(({ name }) => name === 'y');
    expect(column?.largest?.absolute).toBe(19.5);
    expect(stderr).toContain('scores depend on one row at a time, batches of 7 rows');
  });

  test('set rows with nulls aside, and leave the others as they are, in CSV and in Parquet', async () => {
    for (const format of ['csv', 'parquet']) {
      const job = makeJob({
        model: { path: modelPath('small/ints') },
        features: { i: 'a', f: 'b' },
      });
      if (format === 'parquet') {
        await writeParquet(
          join(job.input, 'x.parquet'),
          `SELECT 'k' || i AS id, i AS a, i * 10.0 AS b, 'n' AS note FROM range(${ROWS}) t(i)`,
        );
        writeFileSync(join(job.input, '_x.csv'), '');
        execFileSync('rm', [join(job.input, 'x.csv')]);
      }
      await record(job);
      const { exit, report } = await check(job, '--variants');
      const verdicts = report.variants.map(({ name, verdict }) => `${name}: ${verdict}`);
      expect([exit, verdicts.filter((text) => !text.endsWith(': equal'))]).toEqual([0, []]);
      expect(report.variants.at(-1)?.note).toMatch(
        /^of the rows with nulls \d+ rows? set aside \(.*null_value.*\)$/,
      );
    }
  });

  test('read copies where the job would: below a glob with dates', async () => {
    const job = makeJob();
    for (const day of ['2013-06-01', '2013-06-02']) {
      mkdirSync(join(job.input, day));
      cpSync(join(job.input, 'x.csv'), join(job.input, day, 'x.csv'));
    }
    job.change({ input: { path: 'in/{date:yyyy-MM-dd}/*.csv', key: 'id' } });
    await record(job, '--from', '2013-06-01', '--to', '2013-06-02');
    const { exit, report } = await check(job, '--variants');
    expect([exit, report.checked.rows.compared]).toEqual([0, 2 * ROWS]);
    expect(report.variants.map(({ checked }) => checked?.rows.expected)).toHaveLength(6);
  });
});

describe('for a pipeline', () => {
  const HOSTILE = `]]><b a="1">&'\u001b[31m%0A::error::x`;

  test('JUnit XML is well-formed and counts what differs, whatever stands in keys and labels', async () => {
    const job = makeJob();
    await record(job);
    await changeExpected(
      job.expected,
      `SELECT * REPLACE (CASE WHEN id = 'k2' THEN '${HOSTILE.replaceAll("'", "''")}' ELSE note END AS note) FROM EXPECTED`,
    );
    const path = join(job.folder, 'junit.xml');
    const page = join(job.folder, 'check.html');
    const result = await scoreline([
      ...['check', job.jobFile, '--junit', path, '--html', page, '--format', 'github'],
    ]);
    expect(result.exit).toBe(3);
    const parsed: unknown = JSON.parse(
      execFileSync(
        python,
        [
          '-c',
          'import json,sys,xml.etree.ElementTree as e\nr=e.parse(sys.argv[1]).getroot()\n' +
            'print(json.dumps([r.attrib["tests"],r.attrib["failures"],[[c.attrib["name"],[f.text for f in c]] for c in r.iter("testcase")]]))',
          path,
        ],
        { encoding: 'utf8' },
      ),
    );
    const safe = HOSTILE.replace('\u001b', '\\u{1b}');
    expect(parsed).toEqual([
      '3',
      '1',
      [
        ['rows', []],
        ['column note', [`k2: ${safe} expected, note 2 given`]],
        ['column y', []],
      ],
    ]);
    const annotations = result.stdout.split('\n').filter((line) => line.startsWith('::'));
    expect(annotations).toHaveLength(1);
    expect(annotations[0]).toContain(safe.replaceAll('%', '%25'));
    const html = readFileSync(page, 'utf8');
    expect([html.includes('<b a='), html.includes('\u001b')]).toEqual([false, false]);
    expect(html).toContain('&lt;b a=&quot;1&quot;&gt;');
  });

  test('a file that cannot be written ends with 6', async () => {
    const job = makeJob();
    await record(job);
    const result = await scoreline(['check', job.jobFile, '--junit', '/proc/none/x.xml']);
    expect([result.exit, result.stderr.split('\n')]).toEqual([
      6,
      [expect.stringMatching(/^scoreline: cannot write \/proc\/none\/x\.xml: /), ''],
    ]);
  });
});

describe('a check that cannot be made', () => {
  const refused = async (job: JobCase, exit: number, message: RegExp, ...args: string[]) => {
    const result = await scoreline(['check', job.jobFile, ...args]);
    expect([result.exit, result.stdout]).toEqual([exit, '']);
    expect(result.stderr).toMatch(/^scoreline: [^\n]*\n$/);
    expect(result.stderr).toMatch(message);
  };

  test('without a fixture says how to record one', async () => {
    await refused(makeJob(), 2, /expected\.parquet: there is nothing to compare with; record it/);
  });

  test('without a key says so', async () => {
    await refused(makeJob({ input: { path: 'in' } }), 2, /name the column in input\.key/);
  });

  test.each([
    ['not JSON', /fixture\.json: /],
    ['{"format":1,"tolerances":{"y":"about"}}', /tolerances\.y: about is none; expected exact/],
    ['{"format":1,"colums":["y"]}', /fixture\.json: .*colums/],
    ['{"format":1,"tolerances":{"note":"absolute:1"}}', /only numbers have a tolerance/],
  ])('for a fixture.json that is wrong says what: %s', async (text, message) => {
    const job = makeJob();
    await record(job);
    writeFileSync(join(job.fixture, 'fixture.json'), text);
    await refused(job, 2, message);
  });

  test('for expected rows that cannot be read, lack the key or have it twice says so', async () => {
    const job = makeJob();
    mkdirSync(job.fixture, { recursive: true });
    writeFileSync(job.expected, 'PAR1 and no more');
    await refused(job, 4, /cannot read .*expected\.parquet: /);
    await writeParquet(job.expected, `SELECT 1 AS other`);
    await refused(job, 4, /expected\.parquet: no column "id"/);
    await writeParquet(job.expected, `SELECT 'k1' AS id, 1.0 AS y FROM range(2)`);
    await refused(job, 4, /column "id": the key k1 stands there 2 times/);
  });

  test('with an option that only a recording keeps says so', async () => {
    const job = makeJob();
    await record(job);
    await refused(job, 2, /--tolerance: goes with --record/, '--tolerance', 'y=ulp:1');
    await refused(job, 2, /--date: goes with --record/, '--date', '2013-06-01');
    await refused(job, 2, /--allow-missing: goes with --record/, '--allow-missing');
  });
});

test('a check that is killed leaves its folder to the next one, which removes it', async () => {
  const job = makeJob();
  await record(job);
  const folders = (): string[] =>
    readdirSync(tmpdir()).filter((name) => name.startsWith('scoreline-check-'));
  const args = [join(ROOT, 'bin/scoreline.js'), 'check', job.jobFile];
  const child = spawn(process.execPath, args, { stdio: 'ignore' });
  const ended = once(child, 'close');
  while (folders().length === 0) await sleep(5);
  child.kill('SIGKILL');
  await ended;
  expect(folders()).toHaveLength(1);
  expect((await check(job)).exit).toBe(0);
  expect(folders()).toEqual([]);
});
