/** Files under names that do not say what they are, and files under several names. */
import { linkSync, mkdirSync, realpathSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { type Dataset, listDataset, listDates, listingNotes } from '../../src/plan/dataset.js';
import { failure } from '../failure.js';
import { makeFolder } from '../scoreline.js';

function folderOf(files: Readonly<Record<string, string>>): string {
  const root = realpathSync(makeFolder());
  for (const [name, content] of Object.entries(files)) {
    mkdirSync(dirname(join(root, name)), { recursive: true });
    writeFileSync(join(root, name), content);
  }
  return root;
}

interface Wanted {
  readonly files?: string;
  readonly csv?: boolean;
  readonly ready?: string;
}

function list(baseDir: string, pathText = '.', wanted: Wanted = {}): Promise<Dataset> {
  const { files, csv = false, ready } = wanted;
  return listDataset({ path: resolve(baseDir, pathText), pathText, baseDir, files, ready, csv });
}

async function readFrom(baseDir: string, pathText = '.', wanted: Wanted = {}): Promise<string[]> {
  return (await list(baseDir, pathText, wanted)).files.map(({ path }) => path);
}

describe('Parquet under a name that does not say so', () => {
  const names = ['000000_0', 'part-0.snappy', 'x.parquet.gz', 'y.parquet.bak', 'z.txt'];
  const magic = Object.fromEntries(names.map((name) => [`m=1/${name}`, 'PAR1…PAR1']));

  test('is refused and named: its rows would be lost', async () => {
    const root = folderOf({ 'm=1/a.parquet': '', ...magic });
    const refused = await failure(() => list(root));
    expect(refused).toMatchObject({ code: 'input' });
    expect(refused.message).toBe(
      'm=1/000000_0, m=1/part-0.snappy, m=1/x.parquet.gz, … (5 in all): are Parquet, but their names do not end in .parquet, .parq or .pq; set input.files to a pattern of the names to read ("*" reads all), or begin a name with "_" to leave the file out',
    );
    // A glob that means the folder is no other way in.
    expect((await failure(() => list(root, 'm=*'))).message).toBe(refused.message);
    const encrypted = folderOf({ 'a.parquet': '', e: 'PARE…' });
    expect((await failure(() => list(encrypted))).message).toContain(
      'e: is Parquet, but its name does',
    );
  });

  test('is read where input.files names it, and only that', async () => {
    const root = folderOf({ 'm=1/a.parquet': 'PAR1', ...magic });
    expect(await readFrom(root, '.', { files: '*' })).toHaveLength(6);
    expect(await readFrom(root, '.', { files: '00000?_0' })).toEqual(['m=1/000000_0']);
    expect(await readFrom(root, 'm=*', { files: 'part-0.snappy' })).toEqual(['m=1/part-0.snappy']);
    expect(await readFrom(root, 'm=1/*', { files: '*.parquet' })).toEqual(['a.parquet']);
  });

  test('is not looked at in a folder that is not ready: it may still be written', async () => {
    const root = folderOf({
      'm=1/a.parquet': '',
      'm=2/_SUCCESS': '',
      'm=2/b.parquet': '',
      ...magic,
    });
    const dataset = await list(root, '.', { ready: '_SUCCESS' });
    expect([dataset.notReady, dataset.files.map(({ path }) => path)]).toEqual([
      ['m=1'],
      ['m=2/b.parquet'],
    ]);
  });
});

describe('other files', () => {
  test('are named, the first few of them', async () => {
    const root = folderOf({
      'a.csv': '',
      'a.csv.bz2': 'BZh9',
      'b.tsv': 'a\tb',
      c: '',
      'd.txt': 'x',
    });
    const dataset = await list(root);
    expect(dataset.files.map(({ path }) => path)).toEqual(['a.csv']);
    expect(listingNotes(dataset)).toEqual([
      'passed over, by their names no data: a.csv.bz2, b.tsv, c, … (4 in all)',
    ]);
  });

  test('are named where there is nothing else', async () => {
    const root = folderOf({ 'a.tsv': 'a\tb' });
    expect((await failure(() => list(root))).message).toBe(
      `input.path ${root}: no .parquet or .csv file found, but a.tsv; set input.files to a pattern of the names to read`,
    );
  });

  test('are CSV where input.files names them and input.csv says how they are written', async () => {
    const root = folderOf({ 'a.tsv': 'a\tb\n1\t2\n', 'notes.md': 'hello' });
    const dataset = await list(root, '.', { files: '*.tsv', csv: true });
    expect([dataset.format, dataset.files.map(({ path }) => path)]).toEqual(['csv', ['a.tsv']]);
    expect((await failure(() => list(root, '.', { files: '*.tsv' }))).message).toBe(
      'a.tsv: is not Parquet; if it is CSV, say under input.csv how it is written, such as { delimiter: "\\t" }',
    );
  });

  test('are Parquet by how they begin, also where input.csv is set', async () => {
    const root = folderOf({ 'a.tsv': 'a\tb\n', '000000_0': 'PAR1' });
    expect((await failure(() => list(root, '.', { files: '*', csv: true }))).message).toContain(
      'a.tsv is CSV and 000000_0 is Parquet',
    );
  });
});

describe('a file with several names', () => {
  test('is read once: a link to it is not read', async () => {
    const root = folderOf({ '2024-01-01.parquet': 'a', '2024-01-02.parquet': 'b' });
    symlinkSync('2024-01-02.parquet', join(root, '0-latest.parquet'));
    const dataset = await list(root);
    expect(dataset.files.map(({ path }) => path)).toEqual([
      '2024-01-01.parquet',
      '2024-01-02.parquet',
    ]);
    expect(listingNotes(dataset)).toEqual([
      'read once, under another name of the same file: 0-latest.parquet (2024-01-02.parquet)',
    ]);
  });

  test('is read once: of hard links the first, and one below folders that give columns before others', async () => {
    const root = folderOf({ 'm=1/b.parquet': 'x' });
    linkSync(join(root, 'm=1/b.parquet'), join(root, 'm=1/a.parquet'));
    linkSync(join(root, 'm=1/b.parquet'), join(root, 'all.parquet'));
    const dataset = await list(root);
    expect(dataset.files.map(({ path }) => path)).toEqual(['m=1/a.parquet']);
    expect([...dataset.partitions.keys()]).toEqual(['m=1']);
  });

  test('is read for each value that its folders give to a column: these are different rows', async () => {
    const root = folderOf({ 'm=1/a.parquet': 'x', 'm=2/b.parquet': 'y' });
    linkSync(join(root, 'm=1/a.parquet'), join(root, 'm=2/a.parquet'));
    symlinkSync('m=1/a.parquet', join(root, 'latest.parquet'));
    expect(await readFrom(root)).toEqual(['m=1/a.parquet', 'm=2/a.parquet', 'm=2/b.parquet']);
  });

  test('is read for each date that names it', async () => {
    const root = folderOf({ 'in/2013-06-01/a.parquet': 'x' });
    mkdirSync(join(root, 'in/2013-06-02'));
    linkSync(join(root, 'in/2013-06-01/a.parquet'), join(root, 'in/2013-06-02/a.parquet'));
    const { files } = await listDates({
      ...{ pathText: 'in/{date:yyyy-MM-dd}', baseDir: root, ready: undefined, csv: false },
      ...{ dates: ['2013-06-01', '2013-06-02'], allowMissing: false },
    });
    expect(files.map(({ path }) => path)).toEqual(['2013-06-01/a.parquet', '2013-06-02/a.parquet']);
  });
});

describe.each([
  ['a link', (target: string, path: string) => symlinkSync(target, path)],
  ['a hard link', (target: string, path: string) => linkSync(join(dirname(path), target), path)],
] as const)('a dated file that is another day under a second name, by %s,', (_kind, make) => {
  const days = async (
    baseDir: string,
    pathText: string,
    dates: readonly number[],
  ): Promise<Dataset> =>
    listDates({
      ...{ pathText, baseDir, ready: undefined, csv: false, allowMissing: true },
      dates: dates.map((day) => `2024-01-0${day}`),
    });

  test.each(['in/{date:yyyy-MM-dd}.parquet', 'in/{date:yyyy-MM-dd}*.parquet'])(
    'is no input of its own day, whatever days are selected (%s)',
    async (pathText) => {
      const root = folderOf({ 'in/2024-01-02.parquet': 'x', 'in/2024-01-04.parquet': 'y' });
      make('2024-01-02.parquet', join(root, 'in', '2024-01-03.parquet'));
      const both = await days(root, pathText, [2, 3, 4]);
      expect(both.files.map(({ path, unit }) => [unit, path])).toEqual([
        ['2024-01-02', '2024-01-02.parquet'],
        ['2024-01-04', '2024-01-04.parquet'],
      ]);
      expect([both.missing, listingNotes(both)]).toEqual([
        ['2024-01-03'],
        [
          "not read, because each is another day's file under a second name: 2024-01-03.parquet (2024-01-02.parquet)",
        ],
      ]);
      expect((await days(root, pathText, [3, 4])).missing).toEqual(['2024-01-03']);
      expect((await days(root, pathText, [2])).missing).toEqual([]);
      expect((await failure(() => days(root, pathText, [3]))).message).toContain(
        ': nothing for 1 of 1 dates: 2024-01-03 (2024-01-03.parquet is 2024-01-02.parquet under a second name); check',
      );
    },
  );
});

test('links of two days to one file without a day are the input of the first, and a link is no file of an earlier day', async () => {
  const root = folderOf({ 'in/store/x.parquet': 'x', 'in/2024-01-05.parquet': 'y' });
  for (const day of [2, 3])
    symlinkSync('store/x.parquet', join(root, 'in', `2024-01-0${day}.parquet`));
  symlinkSync('2024-01-05.parquet', join(root, 'in', '2024-01-04.parquet'));
  const { missing, files } = await listDates({
    ...{ pathText: 'in/{date:yyyy-MM-dd}.parquet', baseDir: root, ready: undefined, csv: false },
    ...{ dates: [2, 3, 4, 5].map((day) => `2024-01-0${day}`), allowMissing: true },
  });
  expect(files.map(({ unit }) => unit)).toEqual(['2024-01-05', 'store/2024-01-02']);
  expect(missing).toEqual(['2024-01-03', '2024-01-04']);
});
