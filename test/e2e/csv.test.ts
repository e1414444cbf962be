/** CSV input, from files to what is published: the same as Parquet, and nothing lost on the way. */
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { gzipSync } from 'node:zlib';
import { describe, expect, test } from 'vitest';
import { contentFiles, type JobCase, listFiles, makeCase, modelPath } from '../job-case.js';
import { literal, query } from '../parquet.js';
import { FIXTURES, scoreline } from '../scoreline.js';

function write(job: JobCase, name: string, content: string | Buffer): void {
  mkdirSync(join(job.input, name, '..'), { recursive: true });
  writeFileSync(join(job.input, name), content);
}

const published = (job: JobCase, kind: 'data' | 'quarantine' = 'data') =>
  query(`SELECT * FROM read_parquet(${job.published(kind)}, union_by_name = true)`);

describe('flights as CSV', () => {
  const FEATURES =
    'month day weekday hour minute dep_delay distance air_time carrier_code origin_code dest_code sched_arr_time'.split(
      ' ',
    );
  const sections = {
    model: { path: modelPath('flights') },
    features: FEATURES,
    output: { path: 'out', keep: ['flight_id', 'carrier'] },
  };
  const input = { path: 'in', key: 'flight_id', where: 'cancelled = false' };

  test('have the same predictions as the same flights in Parquet, plain and compressed', async () => {
    const parquet = makeCase({
      ...sections,
      input: { ...input, path: join(FIXTURES, 'flights/month=1') },
    });
    parquet.change({ features: ['day_of_year', ...FEATURES.slice(1)] });
    const csv = makeCase({
      ...sections,
      features: ['day_of_year', ...FEATURES.slice(1)],
      input: { ...input, types: { cancelled: 'BOOLEAN', flight_id: 'BIGINT' } },
    });
    const text = join(csv.folder, 'flights.csv');
    await query(
      `COPY (SELECT * FROM '${FIXTURES}/flights/month=1/flights.parquet') TO ${literal(text)} (FORMAT csv, HEADER)`,
    );
    const lines = readFileSync(text, 'utf8').split('\n');
    write(csv, 'a.csv', `${lines.slice(0, 10_001).join('\n')}\n`);
    write(csv, 'b.csv.gz', gzipSync([lines[0], ...lines.slice(10_001)].join('\r\n')));
    const [one, other] = [await parquet.run(), await csv.run()];
    expect([one.exit, other.exit, other.stderr]).toEqual([0, 0, '']);
    expect(other.report.ledger).toEqual(one.report.ledger);
    expect(other.report.lossyCasts).toEqual([]);
    const [difference] = await query(
      `SELECT count(*)::INTEGER AS n FROM (SELECT * FROM read_parquet(${parquet.published()})) a ` +
        `FULL JOIN (SELECT * FROM read_parquet(${csv.published()})) b USING (flight_id) ` +
        'WHERE a.variable IS DISTINCT FROM b.variable OR a.carrier IS DISTINCT FROM b.carrier',
    );
    expect(difference).toEqual({ n: 0 });
    expect((await csv.run()).report.outcome).toBe('unchanged');
  });
});

const TEXT = 'id,a,b,note\n001,0.5,2,"x, y"\n002,1,abc,\n003,1\n004,2,3,""\n';

describe('a CSV file', () => {
  const sections = {
    input: { path: 'in', key: 'id' },
    output: { path: 'out', keep: ['id', 'note'] },
  };

  test('stays text where nothing says otherwise, and every record is accounted for', async () => {
    const job = makeCase(sections);
    write(job, 'p=1/x.csv', TEXT);
    const { exit, report, stderr } = await job.run();
    expect([exit, stderr]).toEqual([0, '']);
    expect(report.ledger).toEqual({ rows: 4, scored: 2, quarantined: 2, filtered: 0 });
    expect(await published(job)).toMatchObject([
      { id: '001', note: 'x, y' },
      { id: '004', note: '' },
    ]);
    expect(job.files('quarantine')).toEqual([
      'p=1/case-00000.parquet',
      'p=1/case-00000.rejected.parquet',
    ]);
    const [bad, rejected] = await published(job, 'quarantine');
    expect(bad).toMatchObject({
      id: '002',
      b: 'abc',
      scoreline_file: 'p=1/x.csv',
      scoreline_reason: 'cast_failed',
      scoreline_column: 'b',
    });
    expect(rejected).toMatchObject({
      scoreline_file: 'p=1/x.csv',
      scoreline_line: '4',
      scoreline_byte: '40',
      scoreline_reason: 'missing_fields',
      scoreline_record: '003,1',
    });
  });

  test('gives the same bytes with one worker and with two', async () => {
    const manifests = [];
    for (const workers of [1, 2]) {
      const job = makeCase({ ...sections, run: { workers } });
      write(job, 'x.csv', TEXT);
      write(job, 'y.csv', TEXT.replaceAll('\n00', '\n10'));
      expect((await job.run()).exit).toBe(0);
      const files = contentFiles(join(job.output, 'current'));
      manifests.push(
        files.map((name) => [name, readFileSync(join(job.output, 'current', name), 'hex')]),
      );
    }
    expect(manifests[0]).toEqual(manifests[1]);
    expect(manifests[0]).toHaveLength(5);
  });

  test('is converted once, and again only where its rows are needed', async () => {
    const job = makeCase(sections);
    write(job, 'x.csv', TEXT);
    await job.run();
    const converted = () => listFiles(join(job.output, 'store', 'csv')).length;
    expect(converted()).toBe(3);
    rmSync(join(job.output, 'store', 'csv'), { recursive: true });
    expect((await job.run()).report.outcome).toBe('unchanged');
    expect(converted()).toBe(0);
    job.change({ output: { path: 'out', keep: ['id'] } });
    expect((await job.run()).report.outcome).toBe('published');
    expect(converted()).toBe(3);
  });

  test('is read in another dialect when the job says so', async () => {
    const job = makeCase({
      input: { path: 'in', csv: { delimiter: ';', null: 'NA' } },
      quarantine: { max: '100%' },
    });
    write(job, 'x.csv', 'a;b\n1;NA\n2;3\n');
    const first = await job.run();
    expect(first.report.ledger).toMatchObject({ scored: 1, quarantined: 1 });
    job.change({
      input: { path: 'in', csv: { delimiter: ';', header: false, columns: ['a', 'b'] } },
    });
    const { report } = await job.run();
    expect(report.ledger).toMatchObject({ rows: 3, scored: 1, quarantined: 2 });
    const plan = await job.plan();
    expect(plan.report.units).toMatchObject([{ rows: 3, tasks: 1, why: null }]);
  });

  test('with other fields than the types say puts those rows aside before the filter sees them', async () => {
    const job = makeCase({
      input: { path: 'in', key: 'id', where: 'c > 1', types: { id: 'INTEGER', c: 'INTEGER' } },
      output: { path: 'out', keep: ['id', 'c'] },
      quarantine: { max: '100%' },
    });
    write(job, 'x.csv', 'id,a,b,c\n1,1,1,5\n2,1,1,0\n3,1,1,1_0\n4,1,1,2.5\nx,1,1,9\n');
    const { exit, report } = await job.run();
    expect(exit).toBe(0);
    expect(report.ledger).toEqual({ rows: 5, scored: 1, quarantined: 3, filtered: 1 });
    expect(await published(job)).toMatchObject([{ id: 1, c: 5 }]);
    expect(await published(job, 'quarantine')).toMatchObject([
      { id: '3', c: '1_0', scoreline_column: 'c' },
      { id: '4', c: '2.5', scoreline_column: 'c' },
      { id: 'x', c: '9', scoreline_column: 'id' },
    ]);
  });

  test('is text to a filter, which is refused beside a number until the job says what it is', async () => {
    const input = { path: 'in', where: 'c = 3' };
    const job = makeCase({ input, output: { path: 'out', keep: ['c'] } });
    write(job, 'x.csv', 'a,b,c\n1,1,2.7\n1,1,3\n1,1, 3 \n');
    const refused = await job.run();
    expect([refused.exit, refused.stderr]).toEqual([
      2,
      expect.stringMatching(/^.*input\.where: column "c" is text, but used as INTEGER: .*\n$/),
    ]);
    job.change({ input: { ...input, types: { c: 'DOUBLE' } } });
    expect((await job.run()).report.ledger).toMatchObject({ scored: 1, quarantined: 1 });
    expect(await published(job)).toMatchObject([{ c: 3 }]);
  });

  test('with times keeps their moments: an offset needs TIMESTAMPTZ, and an impossible one is none', async () => {
    const offsets = ['', 'Z', '+02', '-05:00', '+99', '+02:75'];
    const rows = offsets.map((offset, i) => `2020-01-01 00:00:00${offset},${i},0`);
    const outcome = async (type: string) => {
      const job = makeCase({
        input: { path: 'in', types: { t: type } },
        output: { path: 'out', keep: ['t'], columns: { y: 'y' } },
        quarantine: { max: '100%' },
      });
      write(job, 'x.csv', `t,a,b\n${rows.join('\n')}\n`);
      expect(await job.run()).toMatchObject({ exit: 0 });
      const kept = await query(
        `SELECT CAST(t AS VARCHAR) AS t, y FROM read_parquet(${job.published()})`,
      );
      const aside = await query(
        `SELECT * FROM read_parquet(${job.published('quarantine')}) ORDER BY scoreline_row`,
      );
      return { kept, aside };
    };
    const plain = await outcome('TIMESTAMP');
    expect(plain.kept).toEqual([
      { t: '2020-01-01 00:00:00', y: 1 },
      { t: '2020-01-01 00:00:00', y: 3 },
    ]);
    expect(plain.aside.map(({ t }) => String(t).slice(19))).toEqual(offsets.slice(2));
    for (const row of plain.aside) {
      expect(row).toMatchObject({ scoreline_reason: 'cast_failed', scoreline_column: 't' });
      expect(row.scoreline_message).toMatch(/: with a UTC offset it is a TIMESTAMPTZ/);
    }
    const zoned = await outcome('timestamptz');
    expect(zoned.kept).toEqual([
      { t: '2020-01-01 00:00:00+00', y: 3 },
      { t: '2019-12-31 22:00:00+00', y: 5 },
      { t: '2020-01-01 05:00:00+00', y: 7 },
    ]);
    expect(zoned.aside.map(({ t }) => String(t).slice(19))).toEqual(['', '+99', '+02:75']);
  });

  test('with too many bad records stops the run before anything is scored', async () => {
    const job = makeCase({ ...sections, quarantine: { max: 0 } });
    write(job, 'x.csv', TEXT);
    const { exit, stderr } = await job.run();
    expect(exit).toBe(3);
    expect(stderr).toMatch(
      /quarantine\.max: 1 of 4 rows .* x\.csv line 4, byte 40: missing_fields/,
    );
    for (const kind of ['scores', 'parts'])
      expect(listFiles(join(job.output, 'store', kind))).toEqual([]);
  });

  test.each<[what: string, name: string, content: string | Buffer, words: RegExp]>([
    [
      'that ends early',
      'x.csv.gz',
      gzipSync(TEXT).subarray(0, 40),
      /x\.csv\.gz: damaged or cut short/,
    ],
    ['that is gzip', 'x.csv', gzipSync(TEXT), /x\.csv: is a gzip file/],
    ['without a column', 'x.csv', 'id,a,note\n1,2,x\n', /x\.csv: has no column "b"/],
    ['beside Parquet', 'y.parquet', 'PAR1', /x\.csv is CSV and y\.parquet is Parquet/],
  ])('%s is refused by name', async (_what, name, content, words) => {
    const job = makeCase(sections);
    if (name !== 'x.csv') write(job, 'x.csv', TEXT);
    write(job, name, content);
    const { exit, stderr } = await job.run();
    expect([exit, stderr]).toEqual([4, expect.stringMatching(words)]);
    expect(stderr.trim().split('\n')).toHaveLength(1);
  });

  test('is inspected where it is compressed and long, too', async () => {
    const job = makeCase();
    const rows = Array.from({ length: 300_000 }, (_, row) => `${row},${row / 7}`);
    write(job, 'x.csv.gz', gzipSync(['a,b', ...rows, ''].join('\n')));
    const { exit, stdout, stderr } = await scoreline(['inspect', join(job.input, 'x.csv.gz')]);
    expect([exit, stderr]).toEqual([0, '']);
    expect(stdout).toContain('300000 records = 300000 good + 0 set aside');
  });

  test('is inspected: its columns, its bad records, and how a job would read it', async () => {
    const job = makeCase();
    write(job, 'x.csv', "1;'a;b';2,5;007\n2;c;3,5;008\n3;d\n");
    const { exit, stdout } = await scoreline(['inspect', join(job.input, 'x.csv')]);
    expect(exit).toBe(0);
    expect(stdout).toContain('3 records = 2 good + 1 set aside');
    expect(stdout).toContain('line 3, byte 28: missing_fields');
    const yaml = stdout.slice(stdout.indexOf('input:')).trimEnd();
    expect(yaml.split('\n').map((line) => line.trim())).toEqual([
      'input:',
      'path: x.csv',
      'csv:',
      'delimiter: ";"',
      `quote: "'"`,
      'header: false',
      'columns: [c1, c2, c3, c4]',
      'types:',
      'c1: BIGINT',
    ]);
  });

  test.each([
    ['its first record has a value twice', '0,0,1\n1,0,1\n', 'columns: [c1, c2, c3]'],
    ['its first record has a field without a value', '1,,3\n4,5,6\n', 'columns: [c1, c2, c3]'],
  ])(
    'is inspected by its delimiter where it has no header and %s',
    async (_what, text, columns) => {
      const job = makeCase();
      write(job, 'x.csv', text);
      const { stdout } = await scoreline(['inspect', join(job.input, 'x.csv')]);
      expect(stdout).toContain(columns);
    },
  );

  test.each([
    ['a name twice', 'id,id\n1,2\n', 'column "id" is given twice'],
    ['a column without a name', ',a,b\n0,1,2\n', 'column 1 has no name'],
    ['a delimiter at its end', 'a,b,\n1,2,\n', 'column 3 has no name'],
  ])('is refused by inspect, as by a run, where its header has %s', async (_what, text, why) => {
    const job = makeCase();
    write(job, 'x.csv', text);
    const { exit, stderr } = await scoreline(['inspect', join(job.input, 'x.csv')]);
    expect([exit, stderr]).toEqual([4, expect.stringMatching(`x\\.csv: header: ${why}\n$`)]);
  });
});
